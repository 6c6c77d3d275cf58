"""What Azure says beside what an inventory says: where they agree, and what a file must say. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.inventory.schema import Schema, child, resolved
from fleet.inventory.source import Path

_NO_CASE = frozenset(
    {
        "subscription",
        "resourceGroup",
        "clusterName",
        "keyVault",
        "arcGatewayId",
        "tenant",
        "ouPath",
        "domainFqdn",
    }
)
"""Azure, DNS and Active Directory compare these names without their case."""


def told_whole(path: Path) -> bool:
    """Whether a mapping is told whole: what Azure does not name there is not there."""
    pools: Path = ("kubernetes", "nodePools")
    labels = len(path) == 4 and path[:2] == pools and path[3] == "labels"
    return labels or path in (pools, ("azure", "tags"))


def leaves(told: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value with its path; lists are values, and None is what Azure says there is none of."""
    for key, value in told.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def at(tree: Any, path: Path) -> Any:
    """The value at `path`; None where there is none."""
    for step in path:
        tree = tree.get(step) if isinstance(tree, Mapping) else None
    return tree


def agrees(azure: Any, inventory: Any, key: str | int = "") -> bool:
    """Whether an inventory's value says what Azure says, as far as Azure says anything.

    Things with a name are compared by it, in any order. An inventory may say more of a thing than Azure.
    """
    if azure is None or azure in ("", [], {}):
        return inventory in (None, "", [], {}, ())
    if isinstance(azure, Mapping):
        return isinstance(inventory, Mapping) and all(
            agrees(value, inventory.get(name), name) for name, value in azure.items()
        )
    if isinstance(azure, list):
        if not isinstance(inventory, list | tuple) or len(azure) != len(inventory):
            return False
        pairs = zip(_by_name(azure), _by_name(inventory), strict=True)
        return all(agrees(one, other) for one, other in pairs)
    if isinstance(azure, str) and isinstance(inventory, str) and key in _NO_CASE:
        return azure.lower() == inventory.lower()
    return bool(azure == inventory and type(azure) is type(inventory))


def _by_name(items: Any) -> list[Any]:
    if all(isinstance(item, Mapping) and "name" in item for item in items):
        return sorted(items, key=lambda item: str(item["name"]).lower())
    return list(items)


def differing(
    told: Mapping[str, Any], inventory: Mapping[str, Any], path: Path = ()
) -> Iterator[tuple[Path, Any, Any]]:
    """Path, the inventory's value and Azure's, wherever they say different things."""
    for key, value in told.items():
        mine = inventory.get(key)
        if isinstance(value, Mapping) and value and isinstance(mine, Mapping):
            yield from differing(value, mine, (*path, key))
        elif not agrees(value, mine, key):
            yield (*path, key), mine, value
    for key in sorted(set(inventory) - set(told)) if told_whole(path) else ():
        yield (*path, key), inventory[key], None


def remainder(
    wanted: Mapping[str, Any], below: Mapping[str, Any], root: Schema, node: Schema, path: Path = ()
) -> dict[str, Any]:
    """What a site's file must say so that it has `wanted`, over what it inherits (`below`).

    Nothing that it inherits or that is a default of the model; null where an inherited key must go.
    `node` is the schema of a site, within `root`, at `path`.
    """
    made: dict[str, Any] = {}
    for key, value in wanted.items():
        following = child(root, node, key) or {}
        inherited = below.get(key)
        if value is None:
            if inherited is not None:
                made[key] = None
        elif isinstance(value, Mapping):
            beneath = inherited if isinstance(inherited, Mapping) else {}
            part = remainder(value, beneath, root, following, (*path, key))
            if part or (not value and inherited):
                made[key] = part or None
        elif key in below:
            if not agrees(value, inherited, key):
                made[key] = value
        elif not _is_default(root, node, key, value):
            made[key] = value
    if told_whole(path):
        made |= {key: None for key in below if key not in wanted and below[key] is not None}
    return made


def _is_default(root: Schema, node: Schema, key: str, value: Any) -> bool:
    declared = resolved(root, node).get("properties", {}).get(key, {})
    return "default" in declared and agrees(value, declared["default"], key)
