"""Rules about rings."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory
from fleet.inventory.rule import Finding, Rule


def _every_ring_used(inventory: Inventory) -> Iterator[Finding]:
    for number, ring in enumerate(inventory.rings):
        if ring.name not in inventory.used_rings:
            yield Finding(
                ("rings", number, "name"),
                f"no site is in the ring {ring.name!r}",
                "put a site in it or remove it: an empty ring proves nothing to the rings after it",
            )


RULES = (
    Rule(
        code="RNG001",
        summary="every ring has a site",
        source="reference/rollout.md B6: every target site in exactly one wave",
        check_fleet=_every_ring_used,
    ),
)
