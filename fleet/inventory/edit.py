"""Changes to the text of an inventory's files: the house format, values set, new files. Text in, text out.

ruamel.yaml reads and writes the text with its comments and quotes; the order of keys is made before, by
moving text (fleet/inventory/order.py). Whatever was done is read again by our own reader: an edit that would
change another value, or lose a comment, is refused.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.emitter import RoundTripEmitter
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from fleet.inventory.order import ordered, with_key
from fleet.inventory.schema import Schema, child, resolved
from fleet.inventory.source import Path, SourceFile, YamlError

WIDTH = 110
"""Longer lists and mappings in brackets go on in the next line; a text never does."""
_INLINE = 92
"""The longest mapping that a new file has in braces, in characters."""
_PASSES = 4
"""A second pass finds nothing to do, but for comments in odd places that the first one moved."""
_WORDS_OF_YAML_1_1 = ("yes", "no", "on", "off", "y", "n")
"""Text to us, true or false to older readers: quoted in what is written, so that all agree."""
_ANCHORS = "an anchor is given twice, or its alias would stand before it: write the value out"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class EditError(Exception):
    """The text can't be changed as asked; the message says why, as one phrase."""


class _Emitter(RoundTripEmitter):
    """Breaks only what stands in brackets over lines, and no text, however long."""

    def process_scalar(self) -> None:
        width, self.best_width = self.best_width, sys.maxsize
        super().process_scalar()
        self.best_width = width


def formatted(file: SourceFile, schema: Schema) -> str:
    """The file's text in the house format: keys as `ordered` has them, two spaces an indent, LF.

    Comments, quotes and what is written in brackets stay so. Raises `YamlError` when the file can't be read,
    `EditError` when a value or a comment would not survive.
    """
    values = _values(file)
    text = _lines(file.text)
    content = text.rstrip(" \t\n")
    text = content + text[len(content) :].partition("\n")[0] + "\n"  # without the blank lines at the end
    for _ in range(_PASSES):
        last = text
        try:
            text = _layout(ordered(text, schema))
        except yaml.composer.ComposerError:
            raise EditError(_ANCHORS) from None
        except yaml.YAMLError:
            raise EditError("the YAML library does not keep one of its comments where it stands") from None
        if text == last:
            break
    else:
        raise EditError("its comments find no lasting place")
    if text != file.text:
        _check(file, text, values)
    return text


def with_values(file: SourceFile, changes: Mapping[Path, Any], schema: Schema) -> str:
    """The file's text with the value at each path (of keys) set; comments and all other values stay.

    A mapping that is missing on the way is added. Raises `YamlError` as `formatted`, and `EditError` also
    when the file is not in the house layout: more than the change would differ.
    """
    values = _values(file)
    if _layout(file.text) != file.text:
        raise EditError("it is not in the layout of `fleet fmt`, and more than the change would differ")
    library = _library(file.text)
    document = library.load(file.text)
    added: list[tuple[Path, Any]] = []
    for path, value in changes.items():
        if not _replaced(document, path, value):
            added.append((path, value))
        _replaced(values, path, value, add=True)
    text = _dumped(library, document)
    for path, value in added:
        text = _with_added(text, path, value, schema)
    _check(file, text, values)
    return text


def new_text(values: Mapping[str, Any], schema: Schema) -> str:
    """A new file in the house format: keys in the order of `schema`, short mappings in braces."""
    return _dumped(_library(), _styled(_sorted(values, schema, schema), top=True))


def plain(text: str) -> str:
    """`text` as YAML that reads as that text: in quotes only where it must be."""
    try:
        same = SourceFile("", f"key: {text}\n".encode()).load()[0] == {"key": text}
    except YamlError:
        same = False
    return text if same else json.dumps(text, ensure_ascii=False)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _values(file: SourceFile) -> dict[str, Any]:
    values, problems = file.load()
    if problems:
        raise YamlError(problems[0])
    return dict(values)


def _check(file: SourceFile, text: str, wanted: Mapping[str, Any]) -> None:
    """Raises `EditError` when `text` does not read as `wanted`, or lacks a comment of `file`."""
    try:
        values = _values(SourceFile(file.path, text.encode()))
    except YamlError as error:
        raise EditError(f"it could not be read any more: {error.diagnostic.message}") from None
    # As JSON: for Python, 1 == True == 1.0.
    if json.dumps(values, sort_keys=True) != json.dumps(wanted, sort_keys=True):
        raise EditError("a value would change: it is written in a way that the YAML library does not keep")
    lost = Counter(_comments(_lines(file.text))) - Counter(_comments(text))
    if lost:
        raise EditError(
            f"the YAML library would lose the comment {min(lost)!r}; move it to a line above a key"
        )


def _comments(text: str) -> Iterator[str]:
    """Every comment: what is between two tokens and not space; and in the first line of a block text."""
    end = 0
    for token in yaml.scan(text, Loader=_LOADER):
        gap = text[end : token.start_mark.index]
        end = max(end, token.end_mark.index)
        if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
            gap += text[token.start_mark.index : end].partition("\n")[0]
        yield from _comments_of(gap)
    yield from _comments_of(text[end:])


def _comments_of(gap: str) -> list[str]:
    return [line[line.index("#") :].rstrip() for line in gap.split("\n") if "#" in line]


# --- ruamel.yaml


def _library(text: str = "") -> YAML:
    """The library, set to the house layout; a document that begins with `---` keeps it."""
    library = YAML()
    library.Emitter = _Emitter
    library.preserve_quotes = True
    library.width = WIDTH
    library.indent(mapping=2, sequence=4, offset=2)
    library.explicit_start = any(line.startswith("---") for line in text.split("\n"))
    return library


def _dumped(library: YAML, value: Any) -> str:
    stream = io.StringIO()
    library.dump(value, stream)
    return stream.getvalue()


def _layout(text: str) -> str:
    library = _library(text)
    try:
        return _dumped(library, library.load(text))
    except ComposerError:
        raise EditError(_ANCHORS) from None
    except YAMLError as error:
        raise EditError(f"the YAML library can't read it: {str(error).splitlines()[0]}") from None
    except (ValueError, ArithmeticError):  # it makes numbers and dates of what is text to us
        raise EditError("the YAML library can't read a number or date in it; put it in quotes") from None


def _replaced(node: Any, path: Path, value: Any, *, add: bool = False) -> bool:
    """Set what is there at `path` of nested mappings, or `add` it; False when nothing is there."""
    for depth, step in enumerate(path):
        if depth + 1 < len(path) and isinstance(node.get(step), dict):
            node = node[step]
            continue
        if step not in node and not add:
            return False
        for outer in reversed(path[depth + 1 :]):
            value = {outer: value}
        node[step] = _styled(value) if isinstance(node, CommentedMap) else value
        return True
    return False


def _with_added(text: str, path: Path, value: Any, schema: Schema) -> str:
    """`text` with a value that is not there yet; an earlier one may have added mappings on its way."""
    node: Any = _values(SourceFile("", text.encode()))
    steps = [str(step) for step in path]
    depth = 0
    while isinstance(node.get(steps[depth]), dict):
        node, depth = node[steps[depth]], depth + 1
    for outer in reversed(steps[depth + 1 :]):
        value = {outer: value}
    entry = CommentedMap({steps[depth]: _styled(value)})
    block = _dumped(_library(), entry)
    entry.fa.set_flow_style()
    inline = _dumped(_library(), entry).strip()[1:-1]
    try:
        return with_key(text, schema, steps[:depth], steps[depth], block, inline)
    except KeyError as error:
        raise EditError(f"{error.args[0]} comes from an alias or a merge: write it out") from None


def _sorted(value: Any, root: Schema, here: Schema) -> Any:
    if not isinstance(value, Mapping):
        return value
    order = {key: place for place, key in enumerate(resolved(root, here).get("properties", {}))}
    keys = sorted(value, key=lambda key: order.get(key, len(order)))
    return {key: _sorted(value[key], root, child(root, here, key) or {}) for key in keys}


def _styled(value: Any, *, top: bool = False) -> Any:
    """`value` as the library's own kinds, in brackets where that is short."""
    if isinstance(value, Mapping):
        mapping = CommentedMap({key: _styled(item) for key, item in value.items()})
        if not top and len(json.dumps(value).replace('"', "")) <= _INLINE:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, (list, tuple)):
        sequence = CommentedSeq([_styled(item) for item in value])
        if not any(isinstance(item, Mapping) for item in value):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and value.lower() in _WORDS_OF_YAML_1_1:
        return DoubleQuotedScalarString(value)
    return value
