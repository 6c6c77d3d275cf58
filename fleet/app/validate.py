"""Checking a fleet."""

from collections.abc import Iterable, Sequence

from fleet.diagnostics.diagnostic import Diagnostic, merged
from fleet.inventory.inventory import Inventory
from fleet.inventory.rule import Rule, check


def validate(
    inventory: Inventory | None, shape: Iterable[Diagnostic], rules: Sequence[Rule]
) -> tuple[Diagnostic, ...]:
    """Every finding about the fleet's shape and by its rules, each once, in the order of the files."""
    found = list(shape)
    if inventory is not None:
        found += check(inventory, rules)
    return merged(found)
