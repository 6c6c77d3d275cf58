"""A file of the inventory: its bytes to text and values, and back from a value's path to its place.

Places are not kept while loading: they are found again, from the same text, when a diagnostic needs one. That
keeps a fleet of 10,000 sites small in memory. How text becomes values is in fleet/inventory/yaml_reader.py.
"""

import codecs
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.diagnostics.secret_shapes import without_secrets
from fleet.inventory.yaml_reader import LINE_BREAK, UNREADABLE, Place, YamlTextError, read_yaml

Path = tuple[str | int, ...]

MAX_BYTES = 10_000_000
"""Larger files are refused unread: a site file is a few kilobytes."""
MAX_SHOWN = 100
"""Findings of one kind that are shown of one file; more of them are counted (INV017)."""

_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_UTF8_HELP = "save the file as UTF-8"


class YamlError(Exception):
    """The text is not a document of ours. `diagnostic` says what and where."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


@dataclass(frozen=True)
class SourceFile:
    """A file of the inventory: `path` as the user will see it, `content` its bytes."""

    path: str
    content: bytes

    @cached_property
    def text(self) -> str:
        """The text, without a byte order mark.

        Raises `YamlError`: INV002 larger than MAX_BYTES, INV003 not UTF-8 or a character that is refused.
        """
        content = self.content
        if len(content) > MAX_BYTES:
            raise self._refusal(
                "INV002",
                f"larger than {MAX_BYTES // 1_000_000} MB",
                "",
                "an inventory file is a few kilobytes; was another file meant?",
            )
        for mark, name in _OTHER_MARKS:
            if content.startswith(mark):
                raise self._refusal("INV003", f"not text in UTF-8, but in {name}", "", _UTF8_HELP)
        content = content.removeprefix(codecs.BOM_UTF8)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start].decode()
            raise self._refusal("INV003", "not text: its bytes are not UTF-8", before, _UTF8_HELP) from None
        if odd := UNREADABLE.search(text):
            message, help_text = _unreadable(odd[0])
            raise self._refusal("INV003", message, text[: odd.start()], help_text)
        return text

    def _refusal(self, code: str, message: str, before: str, help_text: str) -> YamlError:
        """An error at the character after `before`; without the source line, which can't be shown."""
        lines = LINE_BREAK.split(before)
        line, column = len(lines), len(lines[-1]) + 1
        span = Span(self.path, line, column, line, column + 1)
        return YamlError(Diagnostic(code, "error", message, span, help_text))

    @property
    def start(self) -> Span:
        """The first character."""
        return Span(self.path, 1, 1, 1, 2)

    def diagnostic(
        self,
        code: str,
        message: str,
        span: Span,
        help_text: str | None = None,
        *,
        redact: bool = False,
    ) -> Diagnostic:
        """An error at `span` of this file, with the source line unless `redact` is set."""
        return Diagnostic(code, "error", message, span, help_text, None if redact else self.line(span.line))

    def line(self, number: int) -> str | None:
        """Line `number`, counted from 1; None past the end, and where a secret stands in it."""
        lines = self._lines
        if not 0 < number <= len(lines):
            return None
        searched = lines[number - 1][:10_000]
        return searched[:1000] if without_secrets(searched) == searched else None

    def written(self, span: Span) -> str | None:
        """What stands at `span`; None when it is more than a line or a line that may not be shown."""
        line = self.line(span.line)
        if line is None or span.end_line != span.line or span.end_column > len(line) + 1:
            return None
        return line[span.column - 1 : span.end_column - 1]

    @cached_property
    def _lines(self) -> list[str]:
        return LINE_BREAK.split(self.text)

    def load(self) -> tuple[dict[str, Any], list[Diagnostic]]:
        """The document's mapping, and findings that do not stop the reading (INV006 duplicate keys).

        Raises `YamlError` when there is no value to go on with: the codes of `text` and `read_yaml`, INV004
        for an empty file, INV008 for what is not a mapping.
        """
        try:
            document = read_yaml(self.text, self.path)
        except YamlTextError as problem:
            raise YamlError(self._told(problem)) from None
        if document.value is None:
            help_text = "start it with 'apiVersion: fleet/v1'"
            raise YamlError(Diagnostic("INV004", "error", "the file is empty", self.start, help_text))
        if not isinstance(document.value, dict):
            message = "the file is not a mapping of keys to values"
            raise YamlError(self.diagnostic("INV008", message, self.start, "begin each line with 'key: '"))
        duplicates = document.duplicates
        return document.value, capped([self._told(d) for d in duplicates[: MAX_SHOWN + 1]], len(duplicates))

    def _told(self, problem: YamlTextError) -> Diagnostic:
        return self.diagnostic(problem.code, problem.message, self._within(problem.span), problem.help)

    def _within(self, span: Span) -> Span:
        """`span`, or its part inside the text: libyaml ends what the file ends a line further down."""
        if span.end_line <= len(self._lines):
            return span
        last, end = len(self._lines), len(self._lines[-1]) + 1
        line, column = (span.line, span.column) if span.line <= last else (last, end)
        return Span(span.path, line, column, last, end)

    @cached_property
    def _places(self) -> Place:
        return read_yaml(self.text, self.path, with_places=True).place or Place(self.start)

    def locate(self, path: Path, *, key: bool = False) -> Span:
        """The place of the value at `path` (or of its key); of the nearest parent where it is not given.

        An item of a list has no key: a value that it does not give is shown at where the item begins.
        """
        place = self._places
        for step in path:
            child = place.children.get(step)
            if child is None:
                # A missing value is shown at the key of the mapping that should hold it.
                return place.key or (self.start if place is self._places else self._within(place.value))
            place = child
        span = place.key if key and place.key else place.value
        if span.end_line > span.line and place.key:  # a whole block: its key says it better
            return place.key
        return self._within(span)

    def first_from(self, line: int) -> Path | None:
        """The path of the first value that begins, with its key, on `line` or below; None below the last."""
        best: tuple[int, int, int, Path] | None = None
        todo: list[tuple[Place, Path]] = [(self._places, ())]
        while todo:
            place, path = todo.pop()
            span = place.key or place.value
            begins = (span.line, span.column, len(path), path)
            if path and span.line >= line and (best is None or begins[:3] < best[:3]):
                best = begins
            todo += [(child, (*path, step)) for step, child in place.children.items()]
        return best[3] if best else None


def capped(found: list[Diagnostic], total: int) -> list[Diagnostic]:
    """The first MAX_SHOWN of `found`; where there are more, one that says how many of `total` are missing.

    A file that is wrong all over, or hostile, must not fill a log or a build server's time. INV017.
    """
    if len(found) <= MAX_SHOWN:
        return found
    message = f"{total - MAX_SHOWN:,} more like the one before are not shown"
    more = replace(found[MAX_SHOWN], code="INV017", message=message, help="mend those above first")
    return [*found[:MAX_SHOWN], more]


def _unreadable(character: str) -> tuple[str, str]:
    """The message and the help for a character that no file may hold."""
    if character == "\0":
        return "not text: it holds a NUL byte", f"is it a binary file, or UTF-16? {_UTF8_HELP}"
    number = f"U+{ord(character):04X}"
    if character in "\x85\u2028\u2029":
        message = f"it holds {number}, which ends the line for some readers of YAML and not for others"
        return message, "put a line break or a space in its place"
    if character == "\ufeff":
        return f"it holds {number}, a byte order mark, not at its start", "remove it; it can't be seen"
    return f"not text: it holds the control character {number}", "remove it"
