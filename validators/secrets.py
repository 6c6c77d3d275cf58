"""Rules about secrets."""

from collections.abc import Iterator
from typing import Any

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.secret_shapes import REFERENCE_HELP, literal_secrets


def _findings(value: Any) -> Iterator[Finding]:
    for path, kind in literal_secrets(value):
        yield Finding(
            path,
            f"{'.'.join(map(str, path))} holds {kind}",
            REFERENCE_HELP,
            redact=True,
        )


def _in_site(site: Site, _: Inventory) -> Iterator[Finding]:
    yield from _findings(site.layers[-1].data)


def _in_fleet(inventory: Inventory) -> Iterator[Finding]:
    yield from _findings(inventory.raw)


RULES = (
    Rule(
        code="SEC001",
        summary="no literal secret stands in the inventory",
        source="requirements B15, P8",
        check_site=_in_site,
        check_fleet=_in_fleet,
    ),
)
