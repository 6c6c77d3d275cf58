"""Checking a fleet file by file: what is known of a file that did not change is not worked out again.

It finds what `fleet.app.validate.report` finds, and holds one resolved site at a time.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

from fleet.diagnostics.diagnostic import Diagnostic, Span, has_errors, merged
from fleet.diagnostics.suppress import Report, suppress
from fleet.inventory.inventory import Inventory, Site, WatchedInventory, line_at, span_at
from fleet.inventory.load import Fleet, load_fleet, load_inventory, load_site, second_file, site_layers
from fleet.inventory.rule import Fact, Facts, Finding, FleetFacts, Rule, all_ran, attempt
from fleet.inventory.source import SourceFile, YamlError

T = TypeVar("T")

Identity = tuple[Span, str, str]
"""`Diagnostic.sort_key`: findings of which only one is shown."""


@dataclass(frozen=True, slots=True)
class SiteResult:
    """All that is needed of a site file while neither it, nor `fleet.yaml`, nor the rules change."""

    name: str | None
    """The site; None when it could not be resolved."""
    profile: str | None
    ring: str | None
    """As the file names it; None when the file can't be read."""
    shape: tuple[Diagnostic, ...]
    """What is wrong with the file's shape."""
    found: tuple[Diagnostic, ...] = ()
    """What rules about one site found."""
    facts: Facts = field(default_factory=dict)
    """What the site tells to rules across sites."""
    suppresses: bool = False
    """A comment in the file may suppress findings."""


class SiteFile(Protocol):
    """A site file that may not have been read yet."""

    @property
    def key(self) -> str:
        """Its place below the inventory's folder; no two files have the same."""

    @property
    def path(self) -> str:
        """As diagnostics name it; files that are links to one file have the same."""

    def read(self) -> SourceFile | Diagnostic:
        """The file, or INV001 when it can't be read."""


class Results(Protocol):
    """Results of earlier runs with the same `fleet.yaml` and the same rules."""

    def get(self, file: SiteFile) -> SiteResult | None:
        """What is known of the file as it is now; None when it changed or is new."""

    def put(self, file: SiteFile, source: SourceFile, result: SiteResult) -> None:
        """Keep what was worked out from `source`."""


@dataclass(frozen=True)
class Checked:
    """What was found, and what it was found in."""

    report: Report
    files: Mapping[str, SiteResult]
    """Every site file that could be read, by its key."""
    sites: Mapping[str, str]
    """Every site that could be checked, and its file's key; in the order of the names."""
    about: Mapping[Identity, Collection[str]]
    """The keys of the site files that a finding comes from; without an entry, it is about its own file."""
    fleet: Fleet | None
    """`fleet.yaml`; None when it can't be used."""


class _Run:
    """One run over all files."""

    def __init__(
        self, fleet: Fleet, files: Sequence[SiteFile], rules: Sequence[Rule], results: Results | None
    ) -> None:
        self.fleet, self.rules, self.results = fleet, rules, results
        self.of_site = tuple(rule for rule in rules if rule.check_site is not None)
        # Rules that ask the same of a site have one answer, under the code of the first.
        first: dict[object, Rule] = {}
        self.told_as = {
            rule.code: first.setdefault(rule.across.facts, rule).code
            for rule in rules
            if rule.across is not None
        }
        self.across = tuple(first.values())
        self.untold: set[str] = set()
        """Codes of rules in `across` that could not ask every site."""
        self.files = {file.key: file for file in sorted(files, key=lambda file: file.path)}
        self.head = fleet.inventory((), 0, ())
        self.shape: list[Diagnostic] = []
        self.found: list[Diagnostic] = []
        self.read: dict[str, SiteResult] = {}
        self.sites: dict[str, str] = {}
        self.about: dict[Identity, set[str]] = {}

    @cached_property
    def _whole(self) -> Inventory:
        sources = [source for file in self.files.values() if isinstance(source := file.read(), SourceFile)]
        inventory, _ = load_inventory(self.fleet.file, sources)
        assert inventory is not None  # its fleet.yaml was read before
        return inventory

    def watched(self) -> WatchedInventory:
        return WatchedInventory(self.head, lambda: self._whole)

    def each_file(self) -> None:
        """Every file by itself, in the order of the paths: the first one that names a site has it."""
        for key, file in self.files.items():
            result = self.results.get(file) if self.results is not None else None
            if result is None and (result := self._check(file)) is None:
                continue
            self.read[key] = result
            self._note(self.shape, result.shape, key)
            if result.name is not None:
                earlier = self.sites.setdefault(result.name, key)
                if earlier != key and isinstance(source := file.read(), SourceFile):
                    second = second_file(source, result.name, self.files[earlier].path)
                    self._note(self.shape, [second], key, earlier)

    def _check(self, file: SiteFile) -> SiteResult | None:
        source = file.read()
        if isinstance(source, Diagnostic):
            self.shape.append(source)
            return None
        loaded = load_site(self.fleet, source)
        site = loaded.site
        # More than a suppression looks like, so that how one is written is told in one place.
        suppresses = b"fleet:" in source.content
        if site is None:
            result = SiteResult(None, None, loaded.ring, loaded.found, suppresses=suppresses)
        else:
            seen = self.watched()
            known = site.name in self.sites  # what a second file says is not checked
            of_site, across = ((), ()) if known else (self.of_site, self.across)
            found = [item for rule in of_site for item in rule.of_site(site, seen)]
            facts: dict[str, Sequence[Fact]] = {}
            for rule in across:
                told, error = attempt(rule.facts_of, site, seen)
                if error is not None:
                    found += self._untold(rule, site, error)
                elif told:
                    facts[rule.code] = told
            spec = site.spec
            result = SiteResult(
                spec.name, spec.profile, spec.ring, loaded.found, tuple(found), facts, suppresses
            )
            # The failure of a rule may depend on more than what is kept says: it is tried again each time.
            if known or seen.looked or not all_ran(found):
                return result
        if self.results is not None:
            self.results.put(file, source, result)
        return result

    def _untold(self, asked: Rule, site: Site, error: Exception) -> Iterator[Diagnostic]:
        """RUL001 for each rule that asks the same of a site as this one."""
        self.untold.add(asked.code)
        for rule in self.rules:
            if self.told_as.get(rule.code) == asked.code:
                yield rule.failed_at(site, error)

    def all_together(self) -> None:
        """What rules found in each site, and what they find across them."""
        self.sites = dict(sorted(self.sites.items()))
        for key in self.sites.values():
            self._note(self.found, self.read[key].found, key)
        rings = frozenset(result.ring for result in self.read.values() if result.ring is not None)
        told = [(name, facts) for name, key in self.sites.items() if (facts := self.read[key].facts)]
        complete = len(self.sites) == len(self.files)
        inventory = self.watched()
        for rule in self.rules:
            if rule.across is not None:
                code = self.told_as[rule.code]
                rows = [(name, fact) for name, facts in told if code in facts for fact in facts[code]]
                all_told = complete and code not in self.untold
                seen = FleetFacts(rows, self.head.rings, rings, self.head.raw, all_told)
                for finding, item in self._all_placed(rule, rule.across.join, seen):
                    files = [
                        self.sites[name] for name in (finding.site, *finding.others) if name in self.sites
                    ]
                    self._note(self.found, [item], *files)
            if rule.check_fleet is not None:
                # Nobody says which sites such a finding depends on: all of them.
                for _, item in self._all_placed(rule, rule.check_fleet, inventory):
                    self._note(self.found, [item], *self.read)

    def _all_placed(
        self, rule: Rule, find: Callable[[T], Iterable[Finding]], seen: T
    ) -> list[tuple[Finding, Diagnostic]]:
        """Findings across sites at their places; RUL001, in `fleet.yaml`, is noted where the rule raises."""

        def placed() -> Iterator[tuple[Finding, Diagnostic]]:
            for finding in find(seen):
                yield finding, self._placed(rule, finding)

        found, error = attempt(placed)
        if error is not None:
            self._note(self.found, [rule.failed(self.head, error)])
        return found

    def _placed(self, rule: Rule, finding: Finding) -> Diagnostic:
        """A finding across sites at its place; only now is the file of its site read."""
        if finding.site is None or (key := self.sites.get(finding.site)) is None:
            return rule.in_fleet_file(self.head, finding)
        source, result = self.files[key].read(), self.read[key]
        span, line = Span(self.files[key].path, 1, 1, 1, 2), None
        if isinstance(source, SourceFile) and result.ring is not None:
            try:
                layers = site_layers(self.fleet, source, finding.site, result.profile, result.ring)
            except YamlError:  # changed while we look
                layers = ()
            if layers:
                span = span_at(layers, finding.path)
                line = None if finding.redact else line_at(layers, span)
        return Diagnostic(
            rule.code, rule.severity, finding.message, span, finding.help, line, (finding.site,)
        )

    def _note(self, into: list[Diagnostic], found: Iterable[Diagnostic], *files: str) -> None:
        for item in found:
            into.append(item)
            if files:
                self.about.setdefault(item.sort_key, set()).update(files)


def check_files(
    fleet_file: SourceFile,
    files: Sequence[SiteFile],
    rules: Sequence[Rule],
    results: Results | None = None,
    unreadable: Sequence[Diagnostic] = (),
) -> Checked:
    """Every finding about the fleet's shape and by its rules, as `fleet.app.validate.report` gives it.

    `results` are of earlier runs, and are added to; `unreadable` are findings about what could not even be
    listed.
    """
    fleet, shape = load_fleet(fleet_file)
    shape = [*unreadable, *shape]
    if fleet is None:
        shape += [problem for file in files if isinstance(problem := file.read(), Diagnostic)]
        return Checked(Report(merged(shape)), {}, {}, {}, None)
    run = _Run(fleet, files, rules, results)
    run.each_file()
    run.all_together()
    shape += run.shape
    found = [*shape, *run.found]
    sources = [fleet_file]
    for key in run.sites.values():
        if run.read[key].suppresses and isinstance(source := run.files[key].read(), SourceFile):
            sources.append(source)
    known = {rule.code for rule in rules}.union(d.code for d in found)
    report = suppress(merged(found), sources, known, complete=not has_errors(shape) and all_ran(found))
    return Checked(report, run.read, run.sites, run.about, fleet)
