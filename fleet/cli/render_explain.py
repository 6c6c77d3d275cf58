"""`fleet render SITE --explain PATH[:LINE]`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rich.text import Text

from fleet.cli import exits
from fleet.cli.console import out, say
from fleet.cli.inventory_commands import find_site, valid_inventory
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.shape import did_you_mean
from fleet.render.explain import Line, explain_file
from fleet.render.tree import RenderedTree, render_site

SHOWN = 8
"""Fields that are named for a line when a whole file is explained."""


def run_explain_render(folder: Path, name: str | None, wanted: str) -> int:
    """Exit code of `fleet render --explain`. Raises `FleetError`: ENV006, ENV023, and INV100."""
    path, number = _line_number(wanted)
    site, tree = _site_of(valid_inventory(folder), name, path)
    file = _file_of(tree, path)
    lines = tree.files[file].count("\n")
    if number is not None and not 0 < number <= lines:
        raise FleetError("ENV023", f"{file} has no line {number}", f"it has {lines}", exits.USAGE)
    explained = explain_file(site.spec, file)
    for line in explained.lines if number is None else (explained.lines[number - 1],):
        if number is None and not line.fields:
            continue
        out().print(Text(f"{file}:{line.number}: {line.text}"), soft_wrap=True)
        for words in _words(site, line, SHOWN if number is None else len(line.fields)):
            out().print(Text(f"    {words}", style="dim"), soft_wrap=True)
    if number is None:
        constant = sum(not line.fields for line in explained.lines)
        say(f"{constant} of {lines} lines are the same whatever the inventory says, and are not shown")
    if explained.untried:
        fields = ", ".join(".".join(map(str, path)) for path in explained.untried)
        say(f"not known for these, since no other value of them can be rendered: {fields}", "warning")
    return exits.OK


def _words(site: Site, line: Line, most: int) -> Iterator[str]:
    for place in line.places:
        yield f"template  {place}"
    if not line.places:
        yield "template  none: fleet's code writes it"
    for path in line.fields[:most]:
        value = _value(site, path)
        origin = site.origin(path)
        span = origin.span
        where = f"{origin.layer}, {span.path}:{span.line}" if span else "fleet's own default"
        yield f"field     {'.'.join(map(str, path))} = {value}  ({where})"
    if len(line.fields) > most:
        yield f"          and {len(line.fields) - most} more; name the line to see them"
    if not line.fields:
        yield "field     none: it is the same whatever the inventory says"


def _value(site: Site, path: tuple[str | int, ...]) -> str:
    value: Any = site.spec.model_dump(mode="json", by_alias=True)
    for step in path:
        value = value[step]
    if isinstance(value, dict):
        return json.dumps(path[-1], ensure_ascii=False) + " (its name)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _line_number(wanted: str) -> tuple[PurePosixPath, int | None]:
    found = re.fullmatch(r"(.+?):([0-9]+)", wanted)
    return (PurePosixPath(found[1]), int(found[2])) if found else (PurePosixPath(wanted), None)


def _site_of(inventory: Inventory, name: str | None, path: PurePosixPath) -> tuple[Site, RenderedTree]:
    """The site that is named, or the one whose folder the path goes through: `gitops/graz/platform/…`."""
    if name is None:
        name = next((part for part in path.parts if inventory.site(part) is not None), None)
    if name is None:
        raise FleetError(
            "ENV006", "which site's file is that?", f"fleet render SITE --explain {path}", exits.USAGE
        )
    site = find_site(inventory, name)
    return site, render_site(site.spec)


def _file_of(tree: RenderedTree, path: PurePosixPath) -> str:
    """The file of the tree that the path ends with. Raises `FleetError` (ENV023)."""
    for start in range(len(path.parts)):
        file = "/".join(path.parts[start:])
        if file in tree.files:
            return file
    hint = did_you_mean(str(path), tree.files) or f"fleet render {tree.site} shows all"
    raise FleetError("ENV023", f"{tree.site} has no file {path}", hint, exits.USAGE)
