"""YAML text to plain values: bounded, strict, and by YAML 1.2 (docs/yaml.md has every answer, with its test).

PyYAML's libyaml parser reads the text; the steps from its events to values are ours, because they must be
bounded (values, aliases, depth), strict (duplicate keys, tags) and YAML 1.2 (`no` is a word, not false).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from fleet.diagnostics.diagnostic import Span
from fleet.diagnostics.secret_shapes import secret_shape

MAX_DEPTH = 64
"""Mappings and lists inside each other, also by aliases. A resolved site has less than a dozen."""
MAX_VALUES = 200_000
"""In one file. A site has a few hundred."""
MAX_ALIASED_VALUES = 100_000
"""How many values aliases may repeat in one file; a "billion laughs" needs more."""
CHARACTERS_OF_A_VALUE = 100
"""A text counts as one value more for each so many characters: a few long ones repeated fill a memory too."""
MAX_INTEGER = 2**63
"""What is not below it is text: other readers of the values (JSON, ARM, Kubernetes) have 64 bits."""

UNREADABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that no file may hold, and no escape may bring in.

Control characters drive terminals and end lines of logs. U+0085, U+2028 and U+2029 end a line by YAML 1.1
(§4.2) and not by 1.2 (§5.4): a key behind one is seen by some readers only.
"""
LINE_BREAK = re.compile("\r\n|\r|\n")
"""YAML 1.2 §5.4; with the others refused, also what libyaml counts."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[1-9][0-9]*[eE][-+]?[0-9]+"
)
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INDENTATION = "check the indentation here and above"
_HELP = {
    "mapping values are not allowed in this context": "put a text that holds ': ' in quotes, or "
    + _INDENTATION,
    "did not find expected key": _INDENTATION + ", and that quotes and brackets are closed",
    "did not find expected '-' indicator": _INDENTATION,
    "did not find expected ',' or ']'": "close the bracket, or put a comma between the entries",
    "did not find expected ',' or '}'": "close the brace, or put a comma between the entries",
    "could not find expected ':'": "a key is followed by ': ' in its own line",
    "found unexpected end of stream": "close the quotation mark",
    "found undefined tag handle": "remove the tag, or put the text in quotes",
    "did not find expected <document start>": "remove what stands behind the end of the document",
}
"""For libyaml's problems: what to type."""


class YamlTextError(Exception):
    """What is wrong with a text, and where; `code` is that of a diagnostic."""

    def __init__(self, code: str, message: str, span: Span, help_text: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.help = code, message, span, help_text


@dataclass(slots=True)
class Place:
    """Where a value and, in a mapping, its key stand."""

    value: Span
    key: Span | None = None
    children: dict[str | int, "Place"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A text's value, None for one without any; its places, if asked for; and its duplicate keys."""

    value: Any
    place: Place | None
    duplicates: list[YamlTextError]


def read_yaml(text: str, path: str, *, with_places: bool = False) -> Document:
    """The one document in `text`, which holds nothing UNREADABLE; `path` is for the places.

    Raises `YamlTextError`: INV003 a character that may not be, INV005 not YAML or not supported, INV007 too
    many values or too deep, INV008 a second document. Duplicate keys (INV006) do not stop the reading.
    """
    builder = _Builder(text, path, with_places)
    builder.build()
    return Document(builder.root, builder.root_place, builder.duplicates)


def quoted(text: str) -> str:
    """`text` in quotes for a message: not too long, and never a secret."""
    if secret_shape(text):
        return "that looks like a secret"
    return repr(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def plain_value(text: str) -> Any:
    """The value of a scalar without quotes, by YAML 1.2's core schema.

    Text stays what other readers differ about or have no number for: `010`, `.inf`, `1e400`, 20 digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "-+.0123456789" and len(text) <= 40:
        if _INT.fullmatch(text):
            whole = int(text, 0 if text.startswith(("0o", "0x")) else 10)
            return whole if abs(whole) < MAX_INTEGER else text
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    return text


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is not closed yet."""

    container: Any
    anchor: str | None
    start: Any  # the mark where it begins
    place: Place | None
    key: str | None = None  # the key whose value comes next
    key_event: Any = None
    merging: bool = False  # that key is `<<`
    size: int = 1
    height: int = 1
    merges: int = 0
    merged: set[str] = field(default_factory=set)
    """Keys that came by `<<`: giving them again is what merging is for."""


@dataclass(slots=True)
class _Item:
    """A value that is complete. Not frozen: there is one for each scalar, and freezing costs time."""

    value: Any
    size: int
    height: int
    place: Place | None


class _Builder:
    """Events to one value, iteratively: depth is bounded by us and not by the interpreter's stack."""

    def __init__(self, text: str, path: str, with_places: bool) -> None:
        self.text, self.path, self.with_places = text, path, with_places
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Item] = {}
        self.open_anchors: set[str] = set()
        self.values = self.aliased = self.documents = 0
        self.root: Any = None
        self.root_place: Place | None = None
        self.duplicates: list[YamlTextError] = []

    def between(self, start: Any, end: Any) -> Span:
        return Span(self.path, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def span(self, event: Any) -> Span:
        return self.between(event.start_mark, event.end_mark)

    def build(self) -> None:
        for event in self.events():
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.push({} if kind is yaml.MappingStartEvent else [], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.pop(event)
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.document(event)

    def events(self) -> Iterator[Any]:
        last: Any = None
        try:
            for event in yaml.parse(self.text, Loader=_LOADER):
                last = event.end_mark
                yield event
        except yaml.MarkedYAMLError as error:
            raise self.not_yaml(error) from None
        except UnicodeDecodeError:  # from libyaml's bytes: half a character, escaped in a tag
            span = self.between(last, last)
            raise YamlTextError("INV005", "not YAML: a tag that is no text", span, "remove the tag") from None

    def not_yaml(self, error: yaml.MarkedYAMLError) -> YamlTextError:
        mark, problem = error.problem_mark or error.context_mark, str(error.problem or error.context)
        if problem == "could not find expected ':'":  # noticed lines below the key that has none
            mark = error.context_mark or mark
        lines = LINE_BREAK.split(self.text)
        while len(lines) > 1 and not lines[-1]:
            lines.pop()
        line, column = (mark.line, mark.column) if mark else (0, 0)
        if line >= len(lines):  # past the end: the end of the last line
            line, column = len(lines) - 1, len(lines[-1])
        span = Span(self.path, line + 1, column + 1, line + 1, column + 2)
        character = lines[line][column : column + 1]
        if character == "\t":
            return YamlTextError("INV005", "not YAML: a tab where only spaces may stand", span, "use spaces")
        help_text = _HELP.get(problem)
        if problem == "found character that cannot start any token":
            help_text = f"put a text that begins with {character} in quotes"
        return YamlTextError("INV005", f"not YAML: {problem}", span, help_text)

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise YamlTextError(
                "INV008",
                "a second YAML document in one file",
                self.span(event),
                "give each site a file of its own",
            )
        if event.version not in (None, (1, 2)):
            version = ".".join(map(str, event.version))
            raise YamlTextError(
                "INV005",
                f"the file says that it is YAML {version}; files are read by YAML 1.2",
                self.span(event),
                "remove the line with %YAML",
            )

    def scalar(self, event: Any) -> None:
        text: str = event.value
        if event.tag not in (None, _CORE + "str"):
            raise self.tagged(event)
        if event.style == '"' and (odd := UNREADABLE.search(text.replace("\r", "\0"))):
            raise YamlTextError(
                "INV003",
                f"an escape for the character U+{ord(text[odd.start()]):04X}, which no value may hold",
                self.span(event),
                "remove it",
            )
        self.count(event)
        plain = event.implicit[0] and event.tag is None
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and frame.key is None and type(frame.container) is dict
        if not is_key or event.anchor:
            place = Place(self.span(event)) if self.with_places else None
            item = _Item(plain_value(text) if plain else text, _size(text), 0, place)
            if event.anchor:
                self.anchors[event.anchor] = item
            if not is_key:
                self.attach(item)
                return
        if plain and not text:
            raise YamlTextError("INV005", "a key is missing", self.span(event), "write one before the ':'")
        # As it is written: `1:`, `true:` and `0x10:` are keys like any.
        self.take_key(text, event, merging=plain and text == "<<")

    def tagged(self, event: Any) -> YamlTextError:
        tag = "!!" + event.tag.removeprefix(_CORE) if event.tag.startswith(_CORE) else event.tag
        shown = tag if len(tag) <= 60 else tag[:59] + "…"
        return YamlTextError(
            "INV005", f"the tag {shown} is not supported", self.span(event), "remove the tag"
        )

    def count(self, event: Any) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            raise YamlTextError(
                "INV007",
                f"more than {MAX_VALUES:,} values",
                self.span(event),
                "is this an inventory's file? Give each site one of its own",
            )

    def push(self, container: Any, event: Any) -> None:
        if event.tag is not None:
            raise self.tagged(event)
        if self.awaits_key():
            raise self.no_key(event)
        self.check_depth(1, event)
        self.count(event)
        place = Place(self.span(event)) if self.with_places else None
        if event.anchor:
            self.open_anchors.add(event.anchor)
        self.stack.append(_Frame(container, event.anchor, event.start_mark, place))

    def check_depth(self, height: int, event: Any) -> None:
        if len(self.stack) + height > MAX_DEPTH:
            raise YamlTextError("INV007", f"nested deeper than {MAX_DEPTH} levels", self.span(event))

    def pop(self, event: Any) -> None:
        frame = self.stack.pop()
        if frame.place is not None:
            frame.place.value = self.between(frame.start, event.end_mark)
        item = _Item(frame.container, frame.size, frame.height, frame.place)
        if frame.anchor:
            self.open_anchors.discard(frame.anchor)
            self.anchors[frame.anchor] = item
        self.attach(item)

    def alias(self, event: Any) -> None:
        if event.anchor in self.open_anchors:
            raise YamlTextError(
                "INV007",
                f"the alias *{_short(event.anchor)} stands inside its own anchor",
                self.span(event),
                "write the value out",
            )
        if event.anchor not in self.anchors:
            raise YamlTextError(
                "INV005",
                f"the alias *{_short(event.anchor)} has no anchor before it",
                self.span(event),
                "put & and its name before the value that is meant, or put the text in quotes",
            )
        item = self.anchors[event.anchor]
        self.count(event)
        self.aliased += item.size
        if self.aliased > MAX_ALIASED_VALUES:
            raise YamlTextError(
                "INV007",
                f"aliases repeat more than {MAX_ALIASED_VALUES:,} values",
                self.span(event),
                "write fewer aliases",
            )
        if self.awaits_key():
            if not isinstance(item.value, str):
                raise self.no_key(event)
            self.take_key(item.value, event, merging=False)
            return
        merging = bool(self.stack) and self.stack[-1].merging  # then its entries come one level up
        self.check_depth(item.height - merging, event)
        place = Place(self.span(event), None, item.place.children) if item.place else None
        self.attach(_Item(item.value, item.size, item.height, place))

    def awaits_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].container, dict) and self.stack[-1].key is None

    def no_key(self, event: Any) -> YamlTextError:
        return YamlTextError("INV005", "a key is a text", self.span(event), "write it out")

    def attach(self, item: _Item) -> None:
        """Put a value into the mapping or list that is open."""
        if not self.stack:
            self.root, self.root_place = item.value, item.place
            return
        frame, place = self.stack[-1], item.place
        frame.size += item.size
        frame.height = max(frame.height, item.height + (not frame.merging))
        if isinstance(frame.container, list):
            if place is not None and frame.place is not None:
                frame.place.children[len(frame.container)] = place
            frame.container.append(item.value)
            return
        assert frame.key is not None
        key, frame.key = frame.key, None
        if frame.merging:
            self.merge(frame, item.value, place)
            return
        if place is not None and frame.place is not None:
            frame.place.children[key] = Place(place.value, self.span(frame.key_event), place.children)
        frame.container[key] = item.value

    def take_key(self, key: str, event: Any, *, merging: bool) -> None:
        frame = self.stack[-1]
        frame.key, frame.key_event, frame.merging = key, event, merging
        frame.size += len(key) // CHARACTERS_OF_A_VALUE
        if merging:
            frame.merges += 1
            if frame.merges > 1:
                help_text = "merge all at once: <<: [*one, *two]"
                self.duplicates.append(
                    YamlTextError("INV006", "'<<' is given twice", self.span(event), help_text)
                )
        elif key in frame.merged:
            frame.merged.discard(key)
        elif key in frame.container:
            message = f"the key {quoted(key)} is given twice"
            self.duplicates.append(YamlTextError("INV006", message, self.span(event), "keep one of the two"))

    def merge(self, frame: _Frame, value: Any, place: Place | None) -> None:
        """YAML 1.1 merge keys (`<<: *base`): kept because anchors without them are of little use."""
        for number, part in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(part, dict):
                raise YamlTextError(
                    "INV005",
                    "'<<' merges a mapping",
                    self.span(frame.key_event),
                    "name one: <<: *name; or quote the key",
                )
            part_place = (place.children.get(number) if isinstance(value, list) else place) if place else None
            for key, item in part.items():
                if key not in frame.container:
                    frame.container[key] = item
                    frame.merged.add(key)
                    if frame.place is not None and part_place is not None and key in part_place.children:
                        frame.place.children[key] = part_place.children[key]


def _size(text: str) -> int:
    return 1 + len(text) // CHARACTERS_OF_A_VALUE
