"""The fleet's model packages, typed: `fleet.yaml` has them, and every site's rules ask for them."""

from collections.abc import Mapping
from typing import Any

from fleet.inventory.inventory import Inventory
from fleet.model.supply import ModelPackage

# The last fleet that was asked for. It is held, so that its identity can't become another's.
_last: list[tuple[Mapping[str, Any], Mapping[str, ModelPackage]]] = []


def packages(inventory: Inventory) -> Mapping[str, ModelPackage]:
    """The packages of `fleet.yaml` by name. Loading has validated them; they are typed once a fleet."""
    if not _last or _last[0][0] is not inventory.raw:
        raw = inventory.raw.get("packages") or {}
        _last[:] = [(inventory.raw, {name: ModelPackage.model_validate(raw[name]) for name in sorted(raw)})]
    return _last[0][1]
