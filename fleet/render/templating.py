"""Jinja2, set up so that a value can't break out of its place in the YAML."""

import json
import re
import traceback
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError, TemplateSyntaxError, Undefined
from markupsafe import Markup

from fleet.diagnostics.diagnostic import FleetError

_PLAIN = re.compile(r"[a-zA-Z][a-zA-Z0-9]*([._/-][a-zA-Z0-9]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def to_yaml(value: Any) -> Any:
    """Each `{{ value }}` of a template as a YAML scalar or flow collection (JSON is YAML).

    Text is quoted unless it is a plain word that no reader of YAML takes for anything else.
    """
    if isinstance(value, Undefined):
        return str(value)  # raises, naming what is missing
    if isinstance(value, Markup):  # what a macro returned: YAML already
        return value
    if isinstance(value, str):
        return (
            value
            if _PLAIN.fullmatch(value) and value.lower() not in _WORDS
            else json.dumps(value, ensure_ascii=False)
        )
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
    file = resources.files("fleet_templates").joinpath(*name.split("/"))
    return (file.read_text(encoding="utf-8"), f"templates/{name}", lambda: True) if file.is_file() else None


@cache
def _environment() -> Environment:
    # HTML escaping is on only to mark what macros return; `to_yaml` does the quoting.
    environment = Environment(
        loader=FunctionLoader(_load),
        undefined=StrictUndefined,
        finalize=_finalize,
        autoescape=True,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    environment.filters["block"] = lambda value, indent: Markup(yaml_block(value, indent))  # noqa: S704 - YAML
    return environment


def _finalize(value: Any) -> Any:
    return Markup(to_yaml(value))  # noqa: S704 - not HTML: this keeps the YAML from being escaped as HTML


def _place(error: TemplateError, template: str) -> str:
    """The template and line where it went wrong: the innermost one, when macros are involved."""
    if isinstance(error, TemplateSyntaxError):
        return f"templates/{error.name}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("templates/")]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else f"templates/{template}"


def yaml_block(value: Any, indent: int) -> str:
    """A mapping or list as block YAML: indented by `indent` spaces, keys in order, no newline at the end."""
    return _block(json.dumps(value, ensure_ascii=False), indent)


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

    Raises `FleetError` (TPL001) naming the template and its line when it asks for something missing.
    """
    try:
        text = _environment().get_template(template).render(**values)
    except TemplateError as error:
        raise FleetError("TPL001", f"{_place(error, template)}: {error.message}") from error
    return text.strip("\n") + "\n"
