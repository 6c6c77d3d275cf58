"""Laying site values over each other: defaults, profile, ring, site.

Mappings merge key by key, everything else replaces, and `null` takes an inherited key away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.diagnostics.diagnostic import Span
from fleet.inventory.source import Path, SourceFile


@dataclass(frozen=True)
class Layer:
    """Site fields of one origin: `data` stands at `at` of `file`."""

    name: str
    """`defaults`, `profile pilot`, `ring canary` or `site graz`."""
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
