"""Property paths and differences: what changed between two property bags, and which changes count."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fleet.engine.local.values import leaves, mask
from fleet.ports.engine import SECRET, UNKNOWN, PropertyChange

_MISSING: Final = object()
_STEP: Final = re.compile(r"""\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|\.?([^.\[\]]+)""")

Path = tuple[str | int, ...]


def parse_path(path: str) -> Path:
    """Read a Pulumi property path: `a.b`, `a[0]`, `a["b.c"]`; `*` matches any key or index."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if not match:
            raise ValueError(f"{path!r} is not a property path")
        quoted, index, name = match.groups()
        if quoted is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
        elif index is not None:
            steps.append(index if index == "*" else int(index))
        else:
            steps.append(name)
        position = match.end()
    if not steps:
        raise ValueError("a property path is empty")
    return tuple(steps)


def matches(pattern: Path, path: Path) -> bool:
    """Whether a change at `path` is covered by `pattern`: at it, under it, or (a parent changed) above it."""
    return all(p in ("*", s) for p, s in zip(pattern, path, strict=False))


def property_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[PropertyChange, ...]:
    """The leaves that differ between two property bags, sorted by path, secrets masked.

    Lists are compared by index. A secret is one leaf, whatever is in it.
    """
    return tuple(sorted(_changes((), dict(old), dict(new)), key=lambda change: change.path))


def _changes(path: Path, old: Any, new: Any) -> Iterator[PropertyChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes((*path, key), old.get(key, _MISSING), new.get(key, _MISSING))
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            yield from _changes(
                (*path, i), old[i] if i < len(old) else _MISSING, new[i] if i < len(new) else _MISSING
            )
    elif old is _MISSING:
        yield PropertyChange(format_path(path), "add", None, mask(new))
    elif new is _MISSING:
        yield PropertyChange(format_path(path), "remove", mask(old), None)
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield PropertyChange(format_path(path), "update", mask(old), mask(new))


def format_path(path: Iterable[str | int]) -> str:
    """Write a property path as Pulumi prints it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[^.\[\]\"]+", step):
            text += f".{step}" if text else step
        else:
            text += '["' + step.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    return text


def ignore_changes(old: dict[str, Any], new: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Copy `new` with the value at each path put back to what `old` has there, or removed if it has none."""
    result: Any = _copy(new)
    for path in paths:
        result = _restore(result, old, parse_path(path))
    return dict(result)


def hidden_paths(old: dict[str, Any], new: dict[str, Any], paths: Iterable[str]) -> tuple[str, ...]:
    """Where `ignore_changes` of these paths hides a difference between `old` and `new`, sorted.

    What is unknown or secret on either side is left out: whether it differs cannot be told, or not shown.
    """
    kept = ignore_changes(old, new, paths)
    return tuple(
        c.path for c in property_changes(kept, new) if not _veiled(c.before) and not _veiled(c.after)
    )


def _veiled(side: Any) -> bool:
    found = list(leaves(side))
    return bool(found) and all(leaf in (SECRET, UNKNOWN) for leaf in found)


def _restore(new: Any, old: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(new, dict) or (new is _MISSING and isinstance(old, dict)):
        target: dict[str, Any] = new if isinstance(new, dict) else {}
        olds: dict[str, Any] = old if isinstance(old, dict) else {}
        for key in (olds.keys() | target.keys()) if step == "*" else [str(step)]:
            before, now = olds.get(key, _MISSING), target.get(key, _MISSING)
            value = before if not rest else _restore(now, before, rest)
            if value is _MISSING:
                target.pop(key, None)
            else:
                target[key] = value
        return new if new is _MISSING and not target else target
    if isinstance(new, list) and isinstance(old, list):
        indices = range(len(new)) if step == "*" else [step] if isinstance(step, int) else []
        for i in indices:
            if i < len(new) and i < len(old):
                new[i] = old[i] if not rest else _restore(new[i], old[i], rest)
    return new


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
