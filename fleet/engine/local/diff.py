"""Property paths and differences: what changed between two property bags, and which changes count."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fleet.engine.local.values import Secret, leaves, mask, reveal
from fleet.ports.engine import SECRET, UNKNOWN, PropertyChange

_MISSING: Final = object()
_STEP: Final = re.compile(r"""\.?\["((?:\\"|[^"])*)"\]|\.?\[(\d+|\*)\]|\.?([^.\[\]]+)""")
_BARE: Final = re.compile("[A-Za-z0-9_]+")

Path = tuple[str | int, ...]


def parse_path(path: str) -> Path:
    """Read a Pulumi property path: `a.b`, `a[0]`, `a["b.c"]`; `*` matches any key or index.

    Raises ValueError. The grammar is that of sdk/go/common/resource/properties_path.go in pulumi/pulumi.
    """
    steps: list[str | int] = []
    position = len(path) if path.startswith(".") else 0
    while position < len(path):
        match = _STEP.match(path, position)
        if not match:
            raise ValueError(f"{path!r} is not a property path")
        quoted, index, name = match.groups()
        if quoted is not None:
            steps.append(quoted.replace('\\"', '"'))
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


def contains(pattern: Path, path: Path) -> bool:
    """Whether `path` is at or under `pattern`: what `replace_on_changes` asks (`PropertyPath.Contains`)."""
    return len(path) >= len(pattern) and matches(pattern, path)


def property_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[PropertyChange, ...]:
    """The leaves that differ between two property bags, sorted by path, secrets masked.

    Lists are compared by index. A secret is one leaf, whatever is in it; that something has become one, or is
    none any more, is no difference of its own. A sealed one differs from every plain value.
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
    elif _differ(old, new):
        yield PropertyChange(format_path(path), "update", mask(old), mask(new))


def _differ(old: Any, new: Any) -> bool:
    if isinstance(old, Secret) or isinstance(new, Secret):
        return bool(reveal(old) != reveal(new))
    return old != new or isinstance(old, bool) is not isinstance(new, bool)


def format_path(path: Iterable[str | int]) -> str:
    """Write a property path as Pulumi prints it (`PropertyPath.String`)."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += '["' + step.replace('"', '\\"') + '"]'
    return text


def ignore_changes(old: dict[str, Any], new: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Copy `new` with the value at each path put back to what `old` has there, or removed if it has none.

    As in Pulumi (`PropertyPath.Reset`), nothing comes into being on the way to a path: what holds it must be
    in `new` already, and a list keeps its length.
    """
    result: dict[str, Any] = _copy(new)
    for path in paths:
        _reset(parse_path(path), _copy(old), result)
    return result


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


def _reset(path: Path, old: Any, new: Any) -> bool:
    """Put back what is at `path`, in place; False where the rest of `*` is to be left as it is."""
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return _reset_index(step, rest, old, new)
    if step == "*":
        return _reset_all(rest, old, new)
    olds, news = isinstance(old, dict), isinstance(new, dict)
    if rest:
        if not olds or not news:
            return not olds and not news
        if step not in new:
            return step not in old
        return _reset(rest, old.get(step, _MISSING), new[step])
    if olds and step in old:
        if news:
            new[step] = old[step]
        return news
    if news:
        new.pop(step, None)
    return True


def _reset_index(index: int, rest: Path, old: Any, new: Any) -> bool:
    olds, news = isinstance(old, list), isinstance(new, list)
    if not olds or not news:
        return not olds and not news
    if index >= len(old) or index >= len(new):
        return not rest and index >= len(old) and index >= len(new)
    if rest:
        return _reset(rest, old[index], new[index])
    new[index] = old[index]
    return True


def _reset_all(rest: Path, old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        if not rest:
            new.clear()
            new.update(old)
            return True
        # Sorted, as one that cannot be put back leaves those after it; Pulumi takes them in any order.
        return all(key in new and _reset(rest, old[key], new[key]) for key in sorted(old))
    if isinstance(old, list) and isinstance(new, list):
        for index in range(min(len(old), len(new))):
            if not rest:
                new[index] = old[index]
            elif not _reset(rest, old[index], new[index]):
                return False
        return len(old) == len(new)
    return not rest and isinstance(new, dict | list)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
