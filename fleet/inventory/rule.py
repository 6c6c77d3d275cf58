"""What a rule is: a small function with a stable code. The rules themselves are in `validators/`."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fleet.diagnostics.diagnostic import Diagnostic, Severity
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.source import Path

ENTRY_POINTS = "fleet.rules"
"""The entry point group that names sequences of rules: ours, and an organisation's own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: `path` leads to the value, `help` says what to type instead."""

    path: Path
    message: str
    help: str | None = None
    redact: bool = False
    """The value may be a secret: its line is not shown."""
    site: str | None = None
    """For a rule about the fleet: the site that `path` is in; without one it is in `fleet.yaml`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about one site (`check_site`) or about the fleet as a whole (`check_fleet`).

    `summary` says what holds where the rule is kept, `source` where the limit that it checks was read.
    """

    code: str
    summary: str
    source: str
    severity: Severity = "error"
    check_site: Callable[[Site, Inventory], Iterable[Finding]] | None = None
    check_fleet: Callable[[Inventory], Iterable[Finding]] | None = None

    def run(self, inventory: Inventory) -> Iterator[Diagnostic]:
        """All that the rule finds in the fleet."""
        if self.check_site is not None:
            for site in inventory.sites:
                for f in self.check_site(site, inventory):
                    yield site.diagnostic(
                        self.code, self.severity, f.message, f.path, f.help, redact=f.redact
                    )
        if self.check_fleet is not None:
            for f in self.check_fleet(inventory):
                if f.site is not None and (owner := inventory.site(f.site)) is not None:
                    yield owner.diagnostic(
                        self.code, self.severity, f.message, f.path, f.help, redact=f.redact
                    )
                    continue
                file = inventory.file
                span = file.locate(f.path)
                line = None if f.redact else file.line(span.line)
                yield Diagnostic(self.code, self.severity, f.message, span, f.help, line)


def installed_rules() -> tuple[Rule, ...]:
    """Every rule of every installed package, by code. Raises ValueError when two share a code."""
    rules: dict[str, Rule] = {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        for rule in point.load():
            if rule.code in rules:
                raise ValueError(f"two rules have the code {rule.code}; the second comes from {point.value}")
            rules[rule.code] = rule
    return tuple(rules[code] for code in sorted(rules))


def check(inventory: Inventory, rules: Sequence[Rule]) -> list[Diagnostic]:
    """What the rules find, in no particular order."""
    return [diagnostic for rule in rules for diagnostic in rule.run(inventory)]
