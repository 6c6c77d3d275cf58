"""Where a line of a site's tree comes from: the template's line, and the fields of the inventory.

Fields are found by trying: each value of the site is changed a little, the site is rendered again, and the
lines that differ are those that depend on it, through whatever the code does with it. That is exact for every
value that the site has; a value that is not set can't be seen in a line, and is not tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.source import Path
from fleet.model.site import SiteSpec
from fleet.render.templating import Places, traced
from fleet.render.tree import render_site

_MARK = "x9"
"""What is put behind names and texts: they stay names, and in their order."""


@dataclass(frozen=True)
class Line:
    """A line of a file and where it comes from."""

    number: int
    text: str
    places: Places
    """Lines of templates, the innermost first; none for what no template wrote."""
    fields: tuple[Path, ...] = ()
    """The values of the site that it depends on, by the inventory's keys; those that stand in it first."""


@dataclass(frozen=True)
class Explained:
    """The lines of a file, and the fields that could not be tried."""

    lines: tuple[Line, ...]
    untried: tuple[Path, ...]
    """Every change that was tried of these made the rendering fail."""


def explain_file(spec: SiteSpec, path: str) -> Explained:
    """Where each line of the file `path` of the site's tree comes from.

    Raises KeyError when the tree has no such file, and `FleetError` as `render_site` does.
    """
    with traced() as texts:
        text = render_site(spec).files[path]
    own = text.split("\n")[:-1]
    lines = [Line(n, line, at) for n, (line, at) in enumerate(zip(own, _places(text, texts), strict=True), 1)]
    fields: list[list[tuple[Path, Any]]] = [[] for _ in lines]
    untried = []
    for field, value, changed in changes(spec):
        tried = False
        depends: set[int] = set()
        for other, renamed in changed:
            try:
                files = render_site(other).files
            except (FleetError, LookupError, ValueError, TypeError, AttributeError):
                continue
            tried = True
            depends |= _differing(own, _same_file(files, path, renamed))
        if not tried:
            untried.append(field)
        for number in depends:
            fields[number].append((field, value))
    explained = (
        replace(line, fields=tuple(_by_nearness(line.text, found)))
        for line, found in zip(lines, fields, strict=True)
    )
    return Explained(tuple(explained), tuple(untried))


def _by_nearness(text: str, fields: Sequence[tuple[Path, Any]]) -> list[Path]:
    """Fields whose value stands in the line first, longer values before shorter ones."""

    def rank(field: tuple[Path, Any]) -> int:
        shown = str(field[1]).lower() if isinstance(field[1], bool) else str(field[1])
        return -len(shown) if shown and shown in text else 0

    return [path for path, _ in sorted(fields, key=rank)]


def _places(text: str, texts: Mapping[str, Sequence[Places]]) -> list[Places]:
    """The places of each line of a file, which is one rendered text or several behind each other."""
    lines = text.split("\n")[:-1]
    places: list[Places] = [()] * len(lines)
    for part, of_part in sorted(texts.items(), key=lambda item: -len(item[0])):
        start = text.find(part) if len(part) > 1 else -1
        while start >= 0:
            first = text.count("\n", 0, start)
            for offset, at in enumerate(of_part[: part.count("\n")]):
                if not places[first + offset]:
                    places[first + offset] = at
            start = text.find(part, start + len(part))
    return places


def _same_file(files: Mapping[str, str], path: str, renamed: tuple[str, str] | None) -> list[str]:
    """The file's lines in another rendering; it may be called by another name there."""
    text = files.get(path)
    if text is None and renamed is not None:
        old, new = renamed
        text = next((text for name, text in files.items() if name.replace(new, old) == path), None)
    return [] if text is None else text.split("\n")[:-1]


def _differing(own: Sequence[str], other: Sequence[str]) -> set[int]:
    """Lines of `own`, from 0, that `other` does not have at their place."""
    if len(own) == len(other):
        return {number for number, (a, b) in enumerate(zip(own, other, strict=True)) if a != b}
    differing: set[int] = set()
    for op, start, end, _, _ in SequenceMatcher(None, own, other, autojunk=False).get_opcodes():
        if op != "equal":
            differing.update(range(start, end))
    return differing


Change = tuple[SiteSpec, tuple[str, str] | None]
"""A site with one value changed; when that is a name, the old one and the new one."""


def changes(spec: SiteSpec) -> Iterator[tuple[Path, Any, list[Change]]]:
    """Each value and each name of the site, with the site as it is when that is changed in some ways.

    What comes out is not validated: it is to be rendered, and to be thrown away.
    """
    for path, value, others in _leaves(spec, SiteSpec):
        renamed = isinstance(value, str)
        changed = [(site, (value, other) if renamed else None) for other, site in others]
        yield path, value, changed


def _leaves(value: Any, kind: Any, path: Path = ()) -> Iterator[tuple[Path, Any, list[tuple[Any, Any]]]]:
    """Values below `value`: path, value, and pairs of another value and the whole with it in its place."""
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            for below, leaf, others in _leaves(getattr(value, name), info.annotation, (info.alias or name,)):
                yield (*path, *below), leaf, [(o, value.model_copy(update={name: n})) for o, n in others]
    elif isinstance(value, Mapping):
        inner = (get_args(_plain(kind)) or (str, Any))[-1]
        for key, item in value.items():
            for below, leaf, others in _leaves(item, inner, (str(key),)):
                yield (*path, *below), leaf, [(o, {**value, key: n}) for o, n in others]
            if isinstance(key, str):
                new = key + _MARK
                yield (*path, key), key, [(new, {new if k == key else k: v for k, v in value.items()})]
    elif isinstance(value, (list, tuple)):
        inner = (get_args(_plain(kind)) or (Any,))[0]
        for number, item in enumerate(value):
            for below, leaf, others in _leaves(item, inner, (number,)):
                yield (
                    (*path, *below),
                    leaf,
                    [(o, (*value[:number], n, *value[number + 1 :])) for o, n in others],
                )
    elif value is not None:
        yield path, value, [(other, other) for other in _others(value, kind)]


def _plain(kind: Any) -> Any:
    """A type without `Annotated`, and without the `None` of what may be left out."""
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    if get_origin(kind) in (Union, type(int | None)):
        kinds = [_plain(each) for each in get_args(kind) if each is not type(None)]
        return kinds[0] if len(kinds) == 1 else kind
    return kind


def _others(value: Any, kind: Any) -> list[Any]:
    """Other values in its place: some show what others don't, where code rounds or compares."""
    known = get_args(_plain(kind)) if get_origin(_plain(kind)) is Literal else ()
    if known:
        return [other for other in known if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value * 10 + 1, *([value - 1] if value > 1 else [])]
    if isinstance(value, IPv4Address):
        return [value + 1]
    if isinstance(value, IPv4Network):
        return [IPv4Network((int(value.network_address) ^ (1 << (32 - value.prefixlen)), value.prefixlen))]
    if isinstance(value, str):
        return [_digit_changed(value) if value.startswith("sha256:") else value + _MARK]
    return []


def _digit_changed(digest: str) -> str:
    return digest[:-1] + ("0" if digest[-1] != "0" else "1")
