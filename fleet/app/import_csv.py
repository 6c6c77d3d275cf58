"""Site files from a spreadsheet: a row a site, a column a field (docs/import-csv.md).

All rows are right, or none is taken.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from fleet.app.csv_table import Row, Table, read_table
from fleet.app.site_draft import (
    KUBERNETES,
    MANAGEMENT,
    SiteRequest,
    claims,
    draft_site,
    inherited,
    overlaps,
    request_claims,
    with_checks,
    wrong_value,
)
from fleet.diagnostics.diagnostic import Diagnostic, FleetError
from fleet.inventory.edit import EditError, new_text, with_values
from fleet.inventory.inventory import Inventory
from fleet.inventory.schema import Schema, child, resolved, schema
from fleet.inventory.shape import did_you_mean, nearest
from fleet.inventory.source import Path, SourceFile, YamlError

NAME, RING, PROFILE = ("name",), ("ring",), ("profile",)
NODES, DNS = ("azureLocal", "nodes"), ("azureLocal", "management", "dns")
KUBERNETES_DNS = ("kubernetes", "network", "dns")
SHORT: Mapping[str, Path] = {
    "name": NAME,
    "site": NAME,
    "ring": RING,
    "profile": PROFILE,
    "management": MANAGEMENT,
    "kubernetes": KUBERNETES,
    "nodes": NODES,
    "dns": DNS,
}
"""Headers that are not dotted paths, and the field of a site that each fills."""
_LIST = re.compile(r"[\s|;,]+")
_DIGITS = re.compile(r"[0-9]+")
_MOST_GUESSES = 100
"""New names of a spreadsheet that are compared with every site's; of more of them none is a slip."""
_ALMOST = 0.75
"""How like another a name is that was mistyped (difflib's ratio): a letter of three or four, two of eight."""


@dataclass
class Import:
    """What an import would do: texts of new and changed files by site, and everything found wrong."""

    created: dict[str, str] = field(default_factory=dict)
    updated: dict[str, str] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    found: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """A column: its number from 0, its header as typed, and the field that it fills."""

    number: int
    header: str
    path: Path
    kind: Schema


class _WrongError(Exception):
    """What is wrong with a row, and what to type instead; at the column of `path`, or at the row."""

    def __init__(self, message: str, help_text: str | None = None, path: Path = ()) -> None:
        super().__init__(message)
        self.message, self.help, self.path = message, help_text, path


def import_csv(
    name: str, content: bytes, fleet: Inventory, existing: Mapping[str, SourceFile], *, update: bool
) -> Import:
    """The site files that the spreadsheet `content` describes.

    Its findings are CSV001 for the file, CSV002 for its headers, CSV003 for a row; `name` is the file they
    name. `existing` has the file of every site that is there, whether it resolves or not. A row of such a
    site is an error, unless `update` is set: then a cell that is not empty changes its field, and nothing
    else changes. A name that is nearly that of a site which has no row is then a mistake, and not a new site.
    """
    table = read_table(name, content)
    result = Import(found=table.found)
    columns = [] if result.found else _columns(table, update=update)
    if not result.found:
        _Rows(table, columns, fleet, existing, update, result).take()
    return result


# --- headers


def _columns(table: Table, *, update: bool) -> list[Column]:
    """The columns with a header; what is wrong with one is added to the table's findings."""
    site, columns = schema("site"), list[Column]()
    known = {*SHORT, *(".".join(path) for path in _leaves(site, site, ()))}
    for number, header in enumerate(table.header.cells):
        if not header:
            continue  # cells below no header are a person's notes
        path = _path(site, header)
        double = next((column for column in columns if column.path == path), None)
        if path is None:
            near = did_you_mean(header, known) or ""
            help_text = near if near.startswith("did") else "docs/import-csv.md lists the headers"
            message = f"no field of a site is named {header!r}"
        elif double is not None:
            message = f"the columns {double.header!r} and {header!r} fill the same field"
            help_text = "remove one of them"
        else:
            columns.append(Column(number, header, path, _kind(site, path)))
            continue
        table.found.append(table.finding("CSV002", message, help_text, table.header, number))
    for path in (NAME,) if update else (NAME, RING):
        if not table.found and path not in [column.path for column in columns]:
            message = f"there is no column {path[0]!r}"
            table.found.append(table.finding("CSV002", message, "add it", table.header))
    return columns


def _path(site: Schema, header: str) -> Path | None:
    """The field that a header means, whatever its case; None where a site has no such field."""
    short = re.sub(r"[\s_-]", "", header).lower()
    if short in SHORT:
        return SHORT[short]
    path, node = list[str](), site
    for step in header.split("."):
        keys = resolved(site, node).get("properties", {})
        key = next((key for key in keys if key.lower() == step.strip().lower()), step.strip())
        following = child(site, node, key)
        if following is None:
            return None
        path.append(key)
        node = following
    fixed = path[0] in ("apiVersion", "kind")
    return None if fixed or not _is_leaf(site, node) else tuple(path)


def _kind(site: Schema, path: Path) -> Schema:
    node = site
    for step in path:
        node = child(site, node, step) or {}
    return node


def _is_leaf(site: Schema, kind: Schema) -> bool:
    """Whether a cell can hold it: one value, or a list of texts."""
    if "array" in _types(kind):
        return _types(resolved(site, kind.get("items", {}))) == {"string"}
    return "object" not in _types(kind)


def _leaves(site: Schema, node: Schema, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, part in resolved(site, node).get("properties", {}).items():
        part = resolved(site, part)
        if _is_leaf(site, part):
            yield (*above, key)
        yield from _leaves(site, part, (*above, key))


def _types(kind: Schema) -> set[str]:
    """The JSON types that a schema allows, but null."""
    if "enum" in kind:
        return {
            "integer" if isinstance(value, int) else "string" for value in kind["enum"] if value is not None
        }
    types = kind.get("type", ())
    return {types} if isinstance(types, str) else {*types} - {"null"}


# --- rows


class _Rows:
    def __init__(
        self,
        table: Table,
        columns: list[Column],
        fleet: Inventory,
        existing: Mapping[str, SourceFile],
        update: bool,
        result: Import,
    ) -> None:
        self.table, self.columns, self.result = table, columns, result
        self.fleet, self.existing, self.update = fleet, existing, update
        self.schema = schema("site")
        self.networks = list(claims(fleet))
        self.row_of: dict[str, Row] = {}
        number = next((column.number for column in columns if column.path == NAME), 0)
        named = {cell for row in table.rows for cell in row.cells[number : number + 1]}
        self.unnamed = sorted(existing.keys() - named)
        self.guesses = _MOST_GUESSES

    def take(self) -> None:
        """Every row into the result: a file's text, or findings."""
        for row in self.table.rows:
            before = len(self.result.found)
            values = self.values(row)
            self.header(row, values)
            if len(self.result.found) > before:
                continue
            try:
                self.site(values)
            except _WrongError as wrong:
                self.wrong(row, wrong)
            except FleetError as error:  # what a site can't be drafted from
                self.wrong(row, _WrongError(error.message, error.help))
            except YamlError as error:
                self.result.found.append(error.diagnostic)
            except EditError as error:
                self.wrong(
                    row, _WrongError(f"the site's file can't be changed: {error}", "`fleet fmt`", NAME)
                )
        for one, other in overlaps(self.networks):
            owner = max(one, other, key=lambda claim: self.row_of.get(claim.site, self.table.header).number)
            owner_row = self.row_of.get(owner.site)
            if owner_row is not None:
                less = other if owner is one else one
                message = f"{owner.what} {owner.network} overlaps {less.what} {less.network}"
                self.wrong(owner_row, _WrongError(message, "give one of them another network", owner.path))

        self.result.found.sort(key=lambda finding: finding.sort_key)

    def wrong(self, row: Row, wrong: _WrongError) -> None:
        column = next((column for column in self.columns if column.path == wrong.path), None)
        where = f"row {row.number}" + (f", column {column.header!r}" if column else "")
        number = column.number if column else None
        finding = self.table.finding("CSV003", f"{where}: {wrong.message}", wrong.help, row, number)
        self.result.found.append(finding)

    def values(self, row: Row) -> dict[Path, Any]:
        """The fields that a row gives; what is wrong with a cell is among the findings."""
        values: dict[Path, Any] = {}
        for column in self.columns:
            cell = row.cells[column.number] if column.number < len(row.cells) else ""
            if cell:
                try:
                    values[column.path] = _value(column, cell)
                except _WrongError as wrong:
                    self.wrong(row, wrong)
        if any(row.cells[len(self.table.header.cells) :]):
            help_text = f"a text that holds {self.table.delimiter!r} stands in quotes"
            self.wrong(row, _WrongError("more cells than headers", help_text))
        return values

    def header(self, row: Row, values: Mapping[Path, Any]) -> None:
        """Whether the row's name, ring and profile can be; what is wrong is among the findings."""
        name = values.get(NAME)
        cells = {column.path: row.cells[column.number :][:1] for column in self.columns}
        if not any(cells[NAME]):
            self.wrong(row, _WrongError("there is no name", "name the site", NAME))
        elif earlier := self.row_of.get(str(name)):
            message = f"{name!r} is in row {earlier.number} already"
            self.wrong(row, _WrongError(message, "remove one of them", NAME))
        elif name in self.existing and not self.update:
            help_text = "remove the row, or add --update to change the site"
            self.wrong(row, _WrongError(f"the site {name!r} is there already", help_text, NAME))
        elif name is not None and self.update and (meant := self.mistyped(str(name))) is not None:
            help_text = f"did you mean {meant!r}? A site that is new is imported without --update"
            self.wrong(row, _WrongError(f"there is no site {name!r}", help_text, NAME))
        elif name is not None and name not in self.existing and not any(cells.get(RING, ())):
            self.wrong(row, _WrongError("there is no ring", "name the new site's ring", RING))
        if name is not None:
            self.row_of.setdefault(name, row)
        rings = [ring.name for ring in self.fleet.rings]
        profiles = list(self.fleet.raw.get("profiles") or {})
        for path, known in ((RING, rings), (PROFILE, profiles)):
            if path in values and values[path] not in known:
                near = did_you_mean(values[path], known)
                self.wrong(row, _WrongError(f"there is no {path[0]} {values[path]!r}", near, path))

    def mistyped(self, name: str) -> str | None:
        """The site that a row probably means: one with nearly this name, that no other row changes.

        Names that differ in their digits only are a series: s100 and s101 are two sites.
        """
        if name in self.existing or not self.guesses:
            return None
        self.guesses -= 1
        letters = _DIGITS.sub("", name)
        return nearest(name, [other for other in self.unnamed if _DIGITS.sub("", other) != letters], _ALMOST)

    def site(self, values: dict[Path, Any]) -> None:
        """A row that is right into a site's file."""
        name = values.pop(NAME)
        file = self.existing.get(name)
        if file is None:
            self.result.created[name] = self.created(name, values)
            return
        if DNS in values:
            values[KUBERNETES_DNS] = values[DNS]
        there = file.load()[0]
        changes = {path: value for path, value in values.items() if _differs(there, path, value)}
        if changes:
            self.result.updated[name] = with_values(file, changes, self.schema)
        else:
            self.result.unchanged.append(name)

    def created(self, name: str, values: dict[Path, Any]) -> str:
        """The text of a new site's file: planned from its networks where both are given."""
        ring, profile = values[RING], values.get(PROFILE)
        document: dict[str, Any] = {"apiVersion": "fleet/v1", "kind": "Site", "name": name}
        assumed: tuple[str, ...] = ()
        if (MANAGEMENT in values) != (KUBERNETES in values):
            missing = KUBERNETES if MANAGEMENT in values else MANAGEMENT
            raise _WrongError("a site is planned from both of its networks", "give both, or neither", missing)
        if MANAGEMENT in values:
            request = SiteRequest(
                name, ring, profile, IPv4Network(values[MANAGEMENT]), IPv4Network(values[KUBERNETES]),
                [(node["name"], IPv4Address(node["ip"])) for node in values.get(NODES, ())],
                [IPv4Address(address) for address in values.get(DNS, ())],
            )  # fmt: skip
            below = inherited(self.fleet.raw, ring, profile, name)
            draft = draft_site(request, below)
            document, assumed = draft.values, draft.assumed
            self.networks += request_claims(request, below)
        elif DNS in values:
            values = {**values, KUBERNETES_DNS: values[DNS]}
        for path, value in values.items():
            node = document
            for step in path[:-1]:
                node = node.setdefault(str(step), {})
            node[str(path[-1])] = value
        return with_checks(new_text(document, self.schema), assumed)


def _differs(node: Any, path: Path, value: Any) -> bool:
    for step in path:
        if not isinstance(node, dict) or step not in node:
            return True
        node = node[step]
    return bool(node != value) or type(node) is not type(value)  # for Python, 1 == True


def _value(column: Column, cell: str) -> Any:
    """What a cell says, of the type that its field wants. Raises `_WrongError`."""
    types = _types(column.kind)
    value: Any = cell
    if column.path == NODES:
        value = _nodes(cell)
    elif "array" in types:
        value = [part for part in _LIST.split(cell) if part]
    elif types == {"integer"} and re.fullmatch(r"[-+]?[0-9]{1,18}", cell):
        value = int(cell)
    elif types == {"number"} and re.fullmatch(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?", cell):
        value = float(cell)
    elif types == {"boolean"} and cell.lower() in ("true", "false"):
        value = cell.lower() == "true"
    if wrong := wrong_value(column.path, value):
        raise _WrongError(*wrong, column.path)
    return value


def _nodes(cell: str) -> list[dict[str, str]]:
    """Machines as `name=address`, with space, `|`, `;` or `,` between them."""
    nodes = []
    for part in filter(None, _LIST.split(cell)):
        name, sign, address = part.partition("=")
        if not (name and sign and address):
            raise _WrongError(f"{part!r} is no machine", "write graz-n1=10.30.1.11 graz-n2=10.30.1.12", NODES)
        nodes.append({"name": name, "ip": address})
    return nodes
