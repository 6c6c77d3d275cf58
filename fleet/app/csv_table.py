"""A spreadsheet saved as text: its rows, and the place of a cell for whoever must mend it."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.inventory.secret_shapes import secret_shape
from fleet.inventory.source import MAX_BYTES


@dataclass(frozen=True)
class Row:
    """A row: its number as a person counts it, the headers being row 1, and the line that it begins in."""

    number: int
    line: int
    cells: tuple[str, ...]
    """Without the space around them."""


@dataclass
class Table:
    """The rows of a file, and what is wrong with it as a file (CSV001)."""

    name: str
    delimiter: str = ","
    lines: list[str] = field(default_factory=list)
    header: Row = field(default_factory=lambda: Row(1, 1, ()))
    rows: list[Row] = field(default_factory=list)
    found: list[Diagnostic] = field(default_factory=list)

    def finding(
        self, code: str, message: str, help_text: str | None, row: Row, column: int | None = None
    ) -> Diagnostic:
        """An error at a row, or at its cell number `column` (from 0)."""
        line = self.lines[row.line - 1] if 0 < row.line <= len(self.lines) else ""
        start, end = 0, max(len(line), 1)
        if column is not None:
            start, end = self._cell(line, column)
        shown = line[:1000] if line and not secret_shape(line[:10_000]) else None
        span = Span(self.name, row.line, start + 1, row.line, max(end, start + 1) + 1)
        return Diagnostic(code, "error", message, span, help_text, shown)

    def _cell(self, line: str, column: int) -> tuple[int, int]:
        """Where a cell stands in its line, counted from 0; a cell that is not there, at the line's end."""
        at = 0
        for _ in range(column):
            at = self._end(line, at) + 1
        start = min(at, len(line))
        return start, self._end(line, start)

    def _end(self, line: str, start: int) -> int:
        quoted = re.compile(r'\s*"(?:[^"]|"")*"').match(line, start)
        end = line.find(self.delimiter, quoted.end() if quoted else start)
        return end if end >= 0 else len(line)


def read_table(name: str, content: bytes) -> Table:
    """The table in a file that a spreadsheet saved: comma, semicolon or tab; UTF-8, or UTF-16 with its mark.

    The delimiter is whichever the first line has most of, outside of quotes. Rows without any text are left
    out, but counted.
    """
    table = Table(name)
    text = _text(table, content)
    if text is None:
        return table
    table.lines = re.split("\r\n|\r|\n", text)
    first = re.sub(r'"[^"]*"', "", table.lines[0])
    table.delimiter = max(",;\t", key=first.count)
    rows = _rows(table, text)
    table.header = next(rows, table.header)
    if not any(table.header.cells) and not table.found:
        table.found.append(
            table.finding("CSV001", "the first row is empty", "it names the columns", table.header)
        )
        return table
    table.rows = [row for row in rows if any(row.cells)]
    if not table.rows and not table.found:
        table.found.append(
            table.finding("CSV001", "there is no row below the headers", "one row a site", table.header)
        )
    return table


def _text(table: Table, content: bytes) -> str | None:
    def refused(message: str, help_text: str, line: int = 1) -> None:
        table.found.append(table.finding("CSV001", message, help_text, Row(line, line, ())))

    if len(content) > MAX_BYTES:
        refused(f"larger than {MAX_BYTES // 1_000_000} MB", "import it in parts")
        return None
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        refused(
            "not text: its bytes are not UTF-8",
            "save it as 'CSV UTF-8'",
            content.count(b"\n", 0, error.start) + 1,
        )
        return None
    if "\0" in text:
        refused("not text: it holds a NUL byte", "is it a workbook? save it as CSV")
        return None
    return text


def _rows(table: Table, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=table.delimiter, strict=True)
    number = line = 1
    try:
        for cells in reader:
            yield Row(number, line, tuple(cell.strip() for cell in cells))
            number, line = number + 1, reader.line_num + 1
    except csv.Error as error:
        message = f"row {number} can't be read: {error}"
        table.found.append(table.finding("CSV001", message, "is a quote left open?", Row(number, line, ())))
