"""Laying site values over each other: defaults, profile, ring, site.

Mappings merge key by key, everything else replaces, and `null` takes an inherited key away. Then `${site}`
is made the site's name.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.diagnostics.diagnostic import Span
from fleet.inventory.source import Path, SourceFile


@dataclass(frozen=True)
class Layer:
    """Site fields of one origin: `data` stands at `at` of `file`."""

    name: str
    """`defaults`, `profile pilot`, `ring canary`, `site graz`; `packages` for those that it serves."""
    file: SourceFile
    at: Path
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a resolved value comes from. `span` is None for a default of the model itself."""

    layer: str
    span: Span | None


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`; neither is changed.

    What only one of them has is in the result itself, not as a copy, unless it holds a null: mappings that
    sites share keep their identity, by which they are known again (`SharedValues`).
    """
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            # Nulls that have nothing to take away are dropped.
            result[key] = overlay(below, value) if isinstance(below, dict) else _without_nulls(value)
        else:
            result[key] = value
    return result


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """`value` without the nulls of it and the mappings in it: itself where there is none."""
    result = value
    for key, item in value.items():
        kept = _without_nulls(item) if isinstance(item, dict) else item
        if kept is not item or item is None:
            if result is value:
                result = dict(value)
            if item is None:
                del result[key]
            else:
                result[key] = kept
    return result


SITE = "${site}"
"""Stands for the site's own name in any text of a layer: `keyVault: kv-fleet-${site}`."""


def named(value: Any, name: str, holding: Collection[int]) -> Any:
    """`value` with `${site}` made `name`; what is not in `holding` (see `holding_site`) is not copied."""
    if isinstance(value, str):
        return value.replace(SITE, name) if SITE in value else value
    if id(value) not in holding:
        return value
    if isinstance(value, dict):
        return {key: named(item, name, holding) for key, item in value.items()}
    return [named(item, name, holding) for item in value]


def without_site(value: Any, holding: Collection[int]) -> Any:
    """`value` without the texts that hold `${site}`."""
    if id(value) not in holding:
        return value
    if isinstance(value, dict):
        return {k: without_site(item, holding) for k, item in value.items() if not _names_site(item)}
    return [without_site(item, holding) for item in value if not _names_site(item)]


def _names_site(value: Any) -> bool:
    return isinstance(value, str) and SITE in value


def holding_site(value: Any) -> set[int]:
    """The ids of the mappings and sequences in `value`, and its own, that hold `${site}` at any depth."""
    found: set[int] = set()
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            inner = holding_site(item)
            found |= inner
            if inner or _names_site(item):
                found.add(id(value))
    return found


def _holds(data: Any, path: Path) -> bool:
    for step in path:
        if isinstance(data, Mapping):
            if step not in data:
                return False
        elif not isinstance(data, (list, tuple)) or not isinstance(step, int) or step >= len(data):
            return False
        data = data[step]
    return True


def owner(layers: Sequence[Layer], path: Path) -> Layer | None:
    """The last layer that gives a value at `path`, or None when only the model's default does."""
    for layer in reversed(layers):
        if _holds(layer.data, path):
            return layer
    return None


def find_origin(layers: Sequence[Layer], path: Path) -> Origin:
    """Where the value at `path` was written."""
    layer = owner(layers, path)
    if layer is None:
        return Origin("default", None)
    return Origin(layer.name, layer.file.locate((*layer.at, *path)))
