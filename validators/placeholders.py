"""Rules about placeholders: what `fleet init` and `fleet site add` left to be replaced."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.layers import Layer, owner
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path, SourceFile

NOBODY = "00000000-0000-0000-0000-000000000000"
_MARK = re.compile(r"#[ \t]*REPLACE\b:?(.*)")


@functools.lru_cache(maxsize=256)  # a shared file is looked at for each site
def _marks(file: SourceFile) -> tuple[tuple[Path, str], ...]:
    """The remarks `# REPLACE: …` of a file, each with the path of the value there or next."""
    if "REPLACE" not in file.text:
        return ()
    found = []
    for number, line in enumerate(file.text.splitlines(), 1):
        if (mark := _MARK.search(line)) and (path := file.first_from(number)) is not None:
            found.append((path, mark[1].strip()[:200]))
    return tuple(found)


def _in_force(site: Site, layer: Layer, path: Path) -> Path | None:
    """`path` of the layer's file as a path of the site; None when the site has another value there."""
    if path[: len(layer.at)] != layer.at:
        return None
    inner = path[len(layer.at) :]
    return inner if inner and owner(site.layers, inner) is layer else None


def _zero_ids(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, str) and NOBODY in value:
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _zero_ids(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _zero_ids(item, (*path, number))


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _left_marks(site: Site, _: Inventory) -> Iterator[Finding]:
    for layer in site.layers:
        zeros = set(_ids(layer))
        for path, remark in _marks(layer.file):
            inner = _in_force(site, layer, path)
            if inner is not None and not any(zero[: len(inner)] == inner for zero in zeros):
                words = f": {remark}" if remark else ""
                yield Finding(
                    inner,
                    f"{_dotted(inner)} is marked to be replaced{words}",
                    "put the real value there, and remove the remark",
                )


def _ids(layer: Layer) -> Iterator[Path]:
    return _zero_ids(layer.data) if NOBODY in layer.file.text else iter(())


def _left_ids(site: Site, _: Inventory) -> Iterator[Finding]:
    for layer in site.layers:
        remarks = {path[len(layer.at) :]: remark for path, remark in _marks(layer.file)}
        for path in _ids(layer):
            if owner(site.layers, path) is not layer:
                continue
            remark = next((remarks[path[:n]] for n in range(len(path), 0, -1) if path[:n] in remarks), "")
            yield Finding(
                path,
                f"{_dotted(path)} is an id of zeros, which names nobody",
                f"put the real id there: {remark}" if remark else "put the real id there",
            )


RULES = (
    Rule(
        code="FLT007",
        summary="nothing is left that is marked to be replaced",
        source="`fleet init` marks what it makes up",
        severity="warning",
        check_site=_left_marks,
    ),
    Rule(
        code="FLT008",
        summary="no id is the placeholder of zeros",
        source="RFC 9562 §5.9: the nil UUID stands for the absence of one",
        severity="warning",
        check_site=_left_ids,
    ),
)
