"""Jinja2, set up so that a value can't break out of its place in the YAML."""

import json
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import (
    BaseLoader,
    Environment,
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from markupsafe import Markup

from fleet.diagnostics.diagnostic import FleetError

_PLAIN = re.compile(r"[a-zA-Z][a-zA-Z0-9]*([._/-][a-zA-Z0-9]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What YAML 1.2 (5.1) and PyYAML refuse, or take for a line break, where it is not escaped. JSON does not
escape it."""
_FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What a wrong expression in a template raises."""


class TemplateFailedError(FleetError):
    """TPL001: `given` are the values that the template had, to find the inventory's line by."""

    def __init__(self, message: str, given: Mapping[str, Any]) -> None:
        super().__init__("TPL001", message)
        self.given = given


def to_yaml(value: Any) -> Any:
    """Each `{{ value }}` of a template as a YAML scalar or flow collection (JSON is YAML).

    Text is quoted unless it is a plain word that no reader of YAML takes for anything else. Raises ValueError
    for what YAML can't say: half a character (a lone surrogate), a number that is none.
    """
    if isinstance(value, Undefined):
        return str(value)  # raises, naming what is missing
    if isinstance(value, Markup):  # what a macro returned: YAML already
        return value
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    if not text.isascii():
        text.encode()
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
    file = resources.files("fleet_templates").joinpath(*name.split("/"))
    return (file.read_text(encoding="utf-8"), f"templates/{name}", lambda: True) if file.is_file() else None


def environment(loader: BaseLoader, *extensions: type[Extension]) -> Environment:
    """Jinja2 as all of this is rendered with: missing values raise, each value is quoted as YAML."""
    # HTML escaping is on only to mark what macros return; `to_yaml` does the quoting.
    made = Environment(
        loader=loader,
        extensions=extensions,
        undefined=StrictUndefined,
        finalize=_finalize,
        autoescape=True,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    made.filters["block"] = lambda value, indent: Markup(yaml_block(value, indent))  # noqa: S704 - YAML
    return made


@cache
def _environment() -> Environment:
    return environment(FunctionLoader(_load))


def _finalize(value: Any) -> Any:
    return Markup(to_yaml(value))  # noqa: S704 - not HTML: this keeps the YAML from being escaped as HTML


def _place(error: Exception, template: str) -> str:
    """The template and line where it went wrong: the innermost one, when macros are involved."""
    if isinstance(error, TemplateSyntaxError):
        return f"templates/{error.name}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("templates/")]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"templates/{template}"


def yaml_block(value: Any, indent: int) -> str:
    """A mapping or list as block YAML: indented by `indent` spaces, keys in order, no newline at the end."""
    return _block(json.dumps(value, ensure_ascii=False, allow_nan=False), indent)


@lru_cache(maxsize=4096)
def _block(text: str, indent: int) -> str:
    # Sites share most values, and writing YAML is slow: equal values are written once.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    block = yaml.dump(
        json.loads(text),
        Dumper=dumper,
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
        default_flow_style=False,
    )
    return "\n".join(" " * indent + line for line in block.rstrip("\n").split("\n"))


def render_template(template: str, /, **values: Any) -> str:
    """The text of `template` (a path below `templates/`), ending in one newline.

    Raises `TemplateFailedError` (TPL001) naming the template and its line when it asks for something missing,
    or for something that can't be done with the value that is there.
    """
    trace = _TRACE.get()
    try:
        text = _environment().get_template(template).render(**values)
        if trace is not None:
            trace[_ended(text)] = _lines_of(template, values)
    except _FAULTS as error:
        raise TemplateFailedError(f"{_place(error, template)}: {_words(error)}", values) from error
    return _ended(text)


def _words(error: Exception) -> str:
    said = error.message if isinstance(error, TemplateError) else str(error)
    return said or type(error).__name__


def _ended(text: str) -> str:
    return text.strip("\n") + "\n"


Places = tuple[str, ...]
"""The places in templates that a line comes from, as `templates/x.yaml.j2:12`: the innermost (a macro's)
first, then what called it."""

_TRACE: ContextVar[dict[str, list[Places]] | None] = ContextVar("fleet-trace", default=None)
_MARK = re.compile("\x02([^\x02\x03]*)\x03")


@contextmanager
def traced() -> Iterator[Mapping[str, list[Places]]]:
    """While it lasts, each text that `render_template` gives, and where each of its lines comes from.

    What a caller has kept from before is not rendered again, and so not among the texts.
    """
    trace: dict[str, list[Places]] = {}
    token = _TRACE.set(trace)
    try:
        yield trace
    finally:
        _TRACE.reset(token)


class _Marks(Extension):
    """Puts a mark with its place behind each line of a template's text, and before each `{{`.

    It works on the lexer's tokens: white space that a template takes away is gone by then, so that the text
    between the marks stays the same.
    """

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """The tokens of a template, with marks between them."""
        ended, pending = 0, 0
        for token in stream:
            if token.type == "data":
                lines = token.value.split("\n")
                ended = token.lineno + len(lines) - 1
                marked = (
                    f"{line}{_mark(stream, token.lineno + n)}" if line.strip() else line
                    for n, line in enumerate(lines)
                )
                yield Token(token.lineno, "data", "\n".join(marked))
                continue
            if token.type == "variable_begin":
                # Behind `{{-` the line above is the one that text would be added to: then the mark follows.
                pending = token.lineno if 0 < ended < token.lineno else 0
                if not pending:
                    yield Token(token.lineno, "data", _mark(stream, token.lineno))
            yield token
            if token.type == "variable_end" and pending:
                yield Token(token.lineno, "data", _mark(stream, pending))


def _mark(stream: TokenStream, line: int) -> str:
    return f"\x02templates/{stream.name}:{line}\x03"


@cache
def _marking_environment() -> Environment:
    return environment(FunctionLoader(_load), _Marks)


def _lines_of(template: str, values: Mapping[str, Any]) -> list[Places]:
    """Where each line of the rendered text comes from; a line without a mark continues the one above."""
    marked = _marking_environment().get_template(template).render(**values)
    places: list[Places] = []
    for line in marked.split("\n"):
        found = tuple(dict.fromkeys(_MARK.findall(line)))
        places.append(found or (places[-1] if places else ()))
    blank = len(marked) - len(marked.lstrip("\n"))
    return places[blank:]
