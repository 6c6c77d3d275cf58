"""YAML text to plain values, and back from a value's path to its place in the text.

PyYAML's libyaml parser reads the text; the steps from its events to values are ours, because they
must be bounded (aliases, depth), strict (duplicate keys) and YAML 1.2 (`no` is a word, not false).
Places are not kept while loading: they are found again, from the same text, when a diagnostic needs
one. That keeps a fleet of 10,000 sites small in memory.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.inventory.secret_shapes import secret_shape

Path = tuple[str | int, ...]

MAX_BYTES = 10_000_000
"""Larger files are refused unread: a site file is a few kilobytes."""
MAX_DEPTH = 64
MAX_ALIASED_VALUES = 100_000
"""How many values aliases may repeat in one file; a "billion laughs" needs more."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[1-9][0-9]*[eE][-+]?[0-9]+"
)
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class YamlError(Exception):
    """The text is not a document of ours. `diagnostic` says what and where."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _scalar(event: Any) -> Any:
    """The value of a scalar by YAML 1.2's core schema; what looks octal (`010`) stays text."""
    text: str = event.value
    if event.tag is not None:
        return text if event.tag == "tag:yaml.org,2002:str" else _Unsupported(f"the tag {event.tag}")
    if not event.implicit[0]:  # quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "-+.0123456789" and len(text) <= 40:  # a longer number is no number of ours
        if _INT.fullmatch(text):
            return int(text, 0 if text.startswith(("0o", "0x")) else 10)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


@dataclass(frozen=True, slots=True)
class _Unsupported:
    what: str


@dataclass(slots=True)
class _Place:
    """Where a value and, in a mapping, its key stand."""

    value: Span
    key: Span | None = None
    children: dict[str | int, "_Place"] = field(default_factory=dict)


@dataclass(slots=True)
class _Frame:
    container: Any  # dict or list
    anchor: str | None
    place: _Place | None
    key: Any = None
    key_span: Span | None = None
    has_key: bool = False
    size: int = 1
    merged: set[str] = field(default_factory=set)
    """Keys that came by `<<`: giving them again is what merging is for."""


class _Builder:
    """Events to one value, iteratively: depth is bounded by us and not by the interpreter's stack."""

    def __init__(self, source: "SourceFile", with_places: bool) -> None:
        self.source, self.with_places = source, with_places
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int, _Place | None]] = {}
        self.open_anchors: set[str] = set()
        self.aliased = 0
        self.root: Any = None
        self.root_place: _Place | None = None
        self.documents = 0
        self.duplicates: list[Diagnostic] = []

    def span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        return Span(self.source.path, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def fail(self, code: str, message: str, span: Span, help_text: str | None = None) -> YamlError:
        return YamlError(self.source.diagnostic(code, message, span, help_text))

    def build(self) -> None:
        for event in self.events():
            kind = type(event)
            if kind is yaml.ScalarEvent:
                value = _scalar(event)
                if isinstance(value, _Unsupported):
                    raise self.fail(
                        "INV005", f"{value.what} is not supported", self.span(event), "remove the tag"
                    )
                self.add(value, 1, event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if len(self.stack) >= MAX_DEPTH:
                    raise self.fail("INV007", f"nested deeper than {MAX_DEPTH} levels", self.span(event))
                self.push({} if kind is yaml.MappingStartEvent else [], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.pop(event)
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents > 1:
                    raise self.fail(
                        "INV008",
                        "a second YAML document in one file",
                        self.span(event),
                        "give each site a file of its own",
                    )

    def events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self.source.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            span = self.source.point(mark.line + 1, mark.column + 1) if mark else self.source.start
            raise self.fail("INV005", f"not YAML: {error.problem or error.context}", span) from None
        except yaml.reader.ReaderError as error:
            raise self.fail("INV003", f"not text: {error.reason}", self.source.start) from None

    def push(self, container: Any, event: Any) -> None:
        if event.tag is not None:
            raise self.fail(
                "INV005", f"the tag {event.tag} is not supported", self.span(event), "remove the tag"
            )
        place = _Place(self.span(event)) if self.with_places else None
        if event.anchor:
            self.open_anchors.add(event.anchor)
        self.stack.append(_Frame(container, event.anchor, place))

    def pop(self, event: Any) -> None:
        frame = self.stack.pop()
        if frame.place is not None:
            start, end = frame.place.value, self.span(event)
            frame.place.value = Span(start.path, start.line, start.column, end.line, end.column)
        if frame.anchor:
            self.open_anchors.discard(frame.anchor)
            self.anchors[frame.anchor] = (frame.container, frame.size, frame.place)
        self.attach(frame.container, frame.size, frame.place, self.span(event))

    def alias(self, event: Any) -> None:
        if event.anchor in self.open_anchors:
            raise self.fail(
                "INV007",
                f"the alias *{event.anchor} stands inside its own anchor",
                self.span(event),
                "write the value out",
            )
        if event.anchor not in self.anchors:
            raise self.fail("INV005", f"not YAML: the alias *{event.anchor} has no anchor", self.span(event))
        value, size, place = self.anchors[event.anchor]
        self.aliased += size
        if self.aliased > MAX_ALIASED_VALUES:
            raise self.fail(
                "INV007",
                f"aliases repeat more than {MAX_ALIASED_VALUES:,} values",
                self.span(event),
                "write fewer aliases",
            )
        self.attach(
            value, size, _Place(self.span(event), None, place.children) if place else None, self.span(event)
        )

    def add(self, value: Any, size: int, event: Any) -> None:
        place = _Place(self.span(event)) if self.with_places else None
        if event.anchor:
            self.anchors[event.anchor] = (value, size, place)
        self.attach(
            value, size, place, None if not self.stack else self.span(event) if self.awaits_key() else None
        )

    def awaits_key(self) -> bool:
        frame = self.stack[-1]
        return isinstance(frame.container, dict) and not frame.has_key

    def attach(self, value: Any, size: int, place: _Place | None, span: Span | None) -> None:
        if not self.stack:
            self.root, self.root_place = value, place
            return
        frame = self.stack[-1]
        frame.size += size
        if isinstance(frame.container, list):
            if place is not None and frame.place is not None:
                frame.place.children[len(frame.container)] = place
            frame.container.append(value)
        elif not frame.has_key:
            self.take_key(frame, value, span or self.source.start)
        else:
            frame.has_key = False
            if frame.key == "<<":
                self.merge(frame, value, place)
                return
            if place is not None and frame.place is not None:
                place = _Place(place.value, frame.key_span, place.children)
                frame.place.children[frame.key] = place
            frame.container[frame.key] = value

    def take_key(self, frame: _Frame, key: Any, span: Span) -> None:
        if isinstance(key, (dict, list)):
            raise self.fail("INV005", "a key is text, not a mapping or a sequence", span)
        if not isinstance(key, str):  # `1:` or `true:`; keys of ours are always text
            key = str(key).lower() if isinstance(key, bool) else "" if key is None else str(key)
        if key in frame.merged:
            frame.merged.discard(key)
        elif key in frame.container:
            self.duplicates.append(
                self.source.diagnostic(
                    "INV006", f"the key {key!r} is given twice", span, "keep one of the two"
                )
            )
        frame.key, frame.key_span, frame.has_key = key, span, True

    def merge(self, frame: _Frame, value: Any, place: _Place | None) -> None:
        """YAML 1.1 merge keys (`<<: *base`): kept because anchors without them are of little use."""
        for number, part in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(part, dict):
                raise self.fail("INV005", "'<<' merges a mapping", frame.key_span or self.source.start)
            part_place = (place.children.get(number) if isinstance(value, list) else place) if place else None
            for key, item in part.items():
                if key not in frame.container:
                    frame.container[key] = item
                    frame.merged.add(key)
                    if frame.place is not None and part_place is not None and key in part_place.children:
                        frame.place.children[key] = part_place.children[key]


@dataclass(frozen=True)
class SourceFile:
    """A file of the inventory: `path` as the user will see it, `content` its bytes."""

    path: str
    content: bytes

    @cached_property
    def text(self) -> str:
        """The text, without a byte order mark; raises `YamlError` when it is not UTF-8 text."""
        if len(self.content) > MAX_BYTES:
            raise YamlError(
                Diagnostic(
                    "INV002", "error", f"larger than {MAX_BYTES // 1_000_000} MB", self.start,
                    "an inventory file is a few kilobytes; was another file meant?",
                )
            )  # fmt: skip
        try:
            text = self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.content.count(b"\n", 0, error.start) + 1
            place = Span(self.path, line, 1, line, 2)
            raise YamlError(
                Diagnostic(
                    "INV003", "error", "not text: its bytes are not UTF-8", place, "save the file as UTF-8"
                )
            ) from None
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            place = Span(self.path, line, 1, line, 2)
            raise YamlError(
                Diagnostic(
                    "INV003", "error", "not text: it holds a NUL byte", place, "is this a binary file?"
                )
            )
        return text

    @property
    def start(self) -> Span:
        """The first character."""
        return Span(self.path, 1, 1, 1, 2)

    def point(self, line: int, column: int) -> Span:
        """One character; past the end of the text, the end of its last line."""
        last = max(1, len(self.text.rstrip("\n").split("\n")))
        if line > last:
            line, column = last, len(self._lines[last - 1]) + 1
        return Span(self.path, line, column, line, column + 1)

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
        if not 0 < number <= len(lines) or secret_shape(lines[number - 1][:10_000]):
            return None
        return lines[number - 1][:1000]

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    def load(self) -> tuple[Any, list[Diagnostic]]:
        """The document's value, and findings that do not stop the reading (duplicate keys).

        Raises `YamlError` when there is no value to go on with.
        """
        builder = _Builder(self, with_places=False)
        builder.build()
        if builder.root is None:
            raise YamlError(
                Diagnostic(
                    "INV004", "error", "the file is empty", self.start, "start it with 'apiVersion: fleet/v1'"
                )
            )
        if not isinstance(builder.root, dict):
            raise YamlError(
                self.diagnostic("INV008", "the file is not a mapping of keys to values", self.start)
            )
        return builder.root, builder.duplicates

    @cached_property
    def _places(self) -> _Place:
        builder = _Builder(self, with_places=True)
        builder.build()
        return builder.root_place or _Place(self.start)

    def locate(self, path: Path, *, key: bool = False) -> Span:
        """The place of the value at `path` (or of its key); of the nearest parent where it is not given."""
        place = self._places
        for step in path:
            child = place.children.get(step)
            if child is None:
                # A missing value is shown at the key of the mapping that should hold it.
                return place.key or self.start
            place = child
        span = place.key if key and place.key else place.value
        if span.end_line > span.line and place.key:  # a whole block: its key says it better
            return place.key
        return span
