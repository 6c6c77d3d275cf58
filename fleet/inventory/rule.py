"""What a rule is: a small function with a stable code. The rules themselves are in `validators/`."""

import importlib.metadata
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, get_args

from fleet.diagnostics.diagnostic import Diagnostic, FleetError, Severity, Span
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.source import Path
from fleet.model.fleet import Ring

P = ParamSpec("P")
T = TypeVar("T")

ENTRY_POINTS = "fleet.rules"
"""The entry point group that names sequences of rules: ours, and an organisation's own."""

Fact = tuple[Any, ...]
"""Something that a site tells, as a flat tuple of text and whole numbers: facts are kept between runs.
Anything else is refused. A path stands at the end, step by step: `first, last, *path = fact`."""

OWN = "fleet_validators:RULES"
"""The value of the entry point that names fleet's own rules."""

CODE = re.compile(r"[A-Z][A-Z0-9]{1,11}[0-9]{3}")
"""The form of a rule's code; the same as that of a policy's (docs/policies.md)."""

UNUSABLE = "RUL002"
"""The code of the failure when an installed package's rules can't be used."""

EXIT_MISSING = 11

FAILED = "RUL001"
"""The code of a rule's own failure: an exception where findings or facts were expected."""

Facts = Mapping[str, Sequence[Fact]]
"""By the code of their rule, what a site told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: `path` leads to the value, `help` says what to type instead.

    Raises TypeError for a path that is no tuple: a text would be taken for a step a letter.
    """

    path: Path
    message: str
    help: str | None = None
    redact: bool = False
    """The value may be a secret: its line is not shown."""
    site: str | None = None
    """For a rule about the fleet: the site that `path` is in; without one it is in `fleet.yaml`."""
    others: tuple[str, ...] = ()
    """For a rule about the fleet: other sites without which there would be no finding."""

    def __post_init__(self) -> None:
        """Refuses a path that is no tuple; the rule that made it is then shown with RUL001."""
        if not isinstance(self.path, tuple):
            raise TypeError(
                f"a path is a tuple: ('labels', 'owner'); this one is of type {type(self.path).__name__}"
            )


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """What a join sees: the facts of all sites for its rule, and what `fleet.yaml` says."""

    rows: Sequence[tuple[str, Fact]]
    """A site's name and one of its facts; in the order of the names, a site's in the order it told them."""
    rings: tuple[Ring, ...]
    """In the order of the rollout."""
    used_rings: frozenset[str]
    """Rings that any site file names, also one that could not be resolved."""
    raw: Mapping[str, Any]
    """`fleet.yaml` as plain values."""
    complete: bool = True
    """Every site file could be used. What no site has is missing, or unused, only then."""


def _nothing(_site: Site, _inventory: Inventory) -> Iterable[Fact]:
    return ()


@dataclass(frozen=True, slots=True)
class Across:
    """A check across sites in two steps: each site tells facts, a join finds what is wrong among them all.

    The facts of a site whose file did not change are kept from the last run. So a join never sees a site's
    values, and costs n log n at most. Ready-made joins are in `fleet/inventory/joins.py`.
    """

    join: Callable[[FleetFacts], Iterable[Finding]]
    facts: Callable[[Site, Inventory], Iterable[Fact]] = _nothing


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about one site (`check_site`), across sites (`across`), or about the fleet (`check_fleet`).

    `summary` says what holds where the rule is kept, `source` where the limit that it checks was read.

    Findings about a site are kept as long as its file, `fleet.yaml` and the rules' code stay as they are. A
    `check_site` may look at other sites through the inventory it is given; that site is then checked in every
    run, and every site is loaded for it. A `check_fleet` runs in every run, and looking at `inventory.sites`
    loads them all: seconds in a large fleet. `across` is the way without that.

    A rule that raises is mistaken, and costs nobody the other findings: `RUL001` stands where it could not
    be evaluated, beside what it had found before. A `FleetError`, which is an expected failure, passes.
    """

    code: str
    summary: str
    source: str
    severity: Severity = "error"
    check_site: Callable[[Site, Inventory], Iterable[Finding]] | None = None
    check_fleet: Callable[[Inventory], Iterable[Finding]] | None = None
    across: Across | None = None
    version: str = ""
    """What the findings depend on beside the code of the rule's package: the digest of a policy's file."""

    @property
    def package(self) -> str:
        """The top package of the rule's own code, where its page is."""
        across = (self.across.facts, self.across.join) if self.across is not None else ()
        modules = (getattr(f, "__module__", None) or "" for f in (self.check_site, self.check_fleet, *across))
        names = (module.partition(".")[0] for module in modules)
        return next((name for name in names if name not in ("", "fleet")), "fleet")

    def of_site(self, site: Site, inventory: Inventory) -> list[Diagnostic]:
        """What `check_site` finds at one site, and RUL001 where it raises."""
        if self.check_site is None:
            return []
        found, error = attempt(self._of_site, self.check_site, site, inventory)
        return found if error is None else [*found, self.failed_at(site, error)]

    def _of_site(
        self, find: Callable[[Site, Inventory], Iterable[Finding]], site: Site, inventory: Inventory
    ) -> Iterator[Diagnostic]:
        for f in find(site, inventory):
            yield site.diagnostic(self.code, self.severity, f.message, f.path, f.help, redact=f.redact)

    def facts_of(self, site: Site, inventory: Inventory) -> tuple[Fact, ...]:
        """What one site tells the rule's join. Raises TypeError for a fact that can't be kept."""
        if self.across is None:
            return ()
        facts = tuple(self.across.facts(site, inventory))
        for fact in facts:
            if type(fact) is not tuple or not _PLAIN.issuperset(map(type, fact)):
                raise TypeError(f"{self.code}: {fact!r} is no fact: a flat tuple of text and whole numbers")
        return facts

    def in_fleet_file(self, inventory: Inventory, finding: Finding) -> Diagnostic:
        """A finding of the fleet as a whole, in `fleet.yaml`."""
        span = inventory.file.locate(finding.path)
        line = None if finding.redact else inventory.file.line(span.line)
        return Diagnostic(self.code, self.severity, finding.message, span, finding.help, line)

    def failed_at(self, site: Site, error: Exception) -> Diagnostic:
        """RUL001: the rule can't be evaluated at a site; shown at the start of the site's file."""
        return self._failed(site.layers[-1].file.start, error, (site.name,))

    def failed(self, inventory: Inventory, error: Exception) -> Diagnostic:
        """RUL001: the rule can't be evaluated across the sites; shown at the start of `fleet.yaml`."""
        return self._failed(inventory.file.start, error, ())

    def _failed(self, span: Span, error: Exception, sites: tuple[str, ...]) -> Diagnostic:
        # One line, and not the traceback, which is of no use to whoever wrote the inventory.
        what = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))
        message = f"the rule {self.code} could not be evaluated here: {what}"
        help_text = f"this is a mistake of the rule, please report it; the rule is from {self.package}"
        return Diagnostic(FAILED, "error", message, span, help_text, None, sites)


def attempt(
    find: Callable[P, Iterable[T]], *args: P.args, **kwargs: P.kwargs
) -> tuple[list[T], Exception | None]:
    """What a rule's function gives, and the exception that ended it early, if one did.

    A `FleetError` passes, and so does what ends the process (KeyboardInterrupt, SystemExit).
    """
    given: list[T] = []
    try:
        for item in find(*args, **kwargs):
            given.append(item)  # one by one: what came before an exception stays
    except FleetError:
        raise
    except Exception as error:
        return given, error
    return given, None


def all_ran(found: Iterable[Diagnostic]) -> bool:
    """Whether every rule that gave these findings could be evaluated everywhere."""
    return all(item.code != FAILED for item in found)


_PLAIN = frozenset({str, int})


def installed_rules(wrong: list[FleetError] | None = None) -> tuple[Rule, ...]:
    """Every rule of every installed package, by code.

    Raises `FleetError` (RUL002) when a package's rules can't be used: they do not import, are no sequence of
    `Rule`, a rule's fields are wrong, or its code is taken. A caller that only explains or lists gives a
    list: what is wrong is put there, and the rules of the other packages are returned.
    """
    rules: dict[str, Rule] = {}
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    # Ours come first, whatever the order of installation: where a code is taken, the other package is named.
    for point in sorted(points, key=lambda point: (point.value != OWN, point.value, point.name)):
        try:
            rules |= _rules_of(point, rules)
        except FleetError as error:
            if wrong is None:
                raise
            wrong.append(error)
    return tuple(rules[code] for code in sorted(rules))


def _rules_of(point: importlib.metadata.EntryPoint, taken: Mapping[str, Rule]) -> dict[str, Rule]:
    """The rules that an entry point names, by code; FleetError (RUL002) when any can't be used."""
    try:
        value = point.load()
    except Exception as error:  # whatever another's module raises while it is imported
        what = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))
        raise _unusable(point, f"it can't be imported: {what}") from error
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _unusable(point, f"it is no sequence of Rule, but of type {type(value).__name__}")
    found: dict[str, Rule] = {}
    reserved: Iterable[str] = ()
    if point.value != OWN:
        # Only where there are rules of others: the pages take milliseconds to read.
        from fleet.diagnostics.explain import built_in

        reserved = built_in().keys()
    for number, rule in enumerate(value, 1):
        mistake = _mistake(rule)
        if mistake is not None:
            name = rule.code if isinstance(rule, Rule) and isinstance(rule.code, str) else ""
            raise _unusable(point, f"rule {number}{f' ({name})' if name else ''} {mistake}")
        if rule.code in taken or rule.code in found or rule.code in reserved:
            first = taken.get(rule.code)
            whose = (
                "is in it twice"
                if rule.code in found
                else f"is taken by {first.package if first else 'fleet'}"
            )
            raise _unusable(point, f"the code {rule.code} {whose}")
        found[rule.code] = rule
    return found


def _mistake(rule: object) -> str | None:
    """What is wrong with the fields of a rule. Types are checked too: others' code may be unchecked."""
    if not isinstance(rule, Rule):
        return f"is no Rule, but of type {type(rule).__name__}"
    if not isinstance(rule.code, str) or CODE.fullmatch(rule.code) is None:
        return "needs a code of capital letters and three digits, such as ORG001 (at most 15 characters)"
    if rule.severity not in get_args(Severity):
        return f"has the severity {rule.severity!r}; it is one of {', '.join(get_args(Severity))}"
    for name in ("summary", "source", "version"):
        if not isinstance(getattr(rule, name), str):
            return f"needs a text as its {name}"
    if not rule.summary.strip():
        return "needs a summary"
    if rule.check_site is None and rule.check_fleet is None and rule.across is None:
        return "checks nothing: it needs check_site, across or check_fleet"
    if rule.across is not None and not isinstance(rule.across, Across):
        return "needs Across(join, facts) as its across"
    for name in ("check_site", "check_fleet"):
        if getattr(rule, name) is not None and not callable(getattr(rule, name)):
            return f"needs a function as its {name}"
    return None


def _unusable(point: importlib.metadata.EntryPoint, what: str) -> FleetError:
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
    return FleetError(
        UNUSABLE,
        f"the rules of {package} can't be used (entry point {point.name} = {point.value}): {what}",
        "mend or uninstall that package; docs/rules-python.md says what a package of rules is",
        EXIT_MISSING,
    )


def rule_packages(rules: Iterable[Rule]) -> frozenset[str]:
    """The top packages that rules come from: their own, and those of the entry points that name them."""
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    named = {point.module.partition(".")[0] for point in points}
    return frozenset(named | {rule.package for rule in rules}) - {"fleet"}


def check(inventory: Inventory, rules: Sequence[Rule]) -> list[Diagnostic]:
    """What the rules find, in no particular order."""
    found: list[Diagnostic] = []
    for rule in rules:
        rows: list[tuple[str, Fact]] = []
        complete = len(inventory.sites) == inventory.site_files
        for site in inventory.sites:
            found += rule.of_site(site, inventory)
            told, error = attempt(rule.facts_of, site, inventory)
            rows += [(site.name, fact) for fact in told]
            if error is not None:
                found.append(rule.failed_at(site, error))
                complete = False
        facts = FleetFacts(rows, inventory.rings, inventory.used_rings, inventory.raw, complete)
        of_fleet: list[tuple[list[Diagnostic], Exception | None]] = []
        if rule.across is not None:
            of_fleet.append(attempt(_placed, rule, inventory, rule.across.join, facts))
        if rule.check_fleet is not None:
            of_fleet.append(attempt(_placed, rule, inventory, rule.check_fleet, inventory))
        for placed, error in of_fleet:
            found += placed
            if error is not None:
                found.append(rule.failed(inventory, error))
    return found


def _placed(
    rule: Rule, inventory: Inventory, find: Callable[[T], Iterable[Finding]], seen: T
) -> Iterator[Diagnostic]:
    """Findings about the fleet, each in the file that it is in."""
    for f in find(seen):
        owner = inventory.site(f.site) if f.site is not None else None
        if owner is None:
            yield rule.in_fleet_file(inventory, f)
        else:
            yield owner.diagnostic(rule.code, rule.severity, f.message, f.path, f.help, redact=f.redact)
