"""Checking a fleet."""

from collections.abc import Iterable, Sequence

from fleet.diagnostics.diagnostic import Diagnostic, has_errors, merged
from fleet.diagnostics.suppress import Report, suppress
from fleet.inventory.inventory import Inventory
from fleet.inventory.rule import Rule, all_ran, check


def report(inventory: Inventory | None, shape: Iterable[Diagnostic], rules: Sequence[Rule]) -> Report:
    """Every finding about the fleet's shape and by its rules, each once, in the order of the files.

    Those that a comment suppresses stand apart. Nothing is called an unused suppression while the
    shape has errors or a rule failed: what it would suppress may come from what could not be checked.
    """
    shape = tuple(shape)
    if inventory is None:
        return Report(merged(shape))
    found = [*shape, *check(inventory, rules)]
    files = (inventory.file, *(site.layers[-1].file for site in inventory.sites))
    known = {rule.code for rule in rules}.union(d.code for d in found)
    return suppress(merged(found), files, known, complete=not has_errors(shape) and all_ran(found))


def validate(
    inventory: Inventory | None, shape: Iterable[Diagnostic], rules: Sequence[Rule]
) -> tuple[Diagnostic, ...]:
    """What `report` found, without what is suppressed."""
    return report(inventory, shape, rules).found
