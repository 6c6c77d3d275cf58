"""What each field means, from the text under it: read from the source, and only when somebody asks.

pydantic can do this as it builds a class, but then every start of the CLI parses the models' source.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Mapping
from functools import cache

from pydantic import BaseModel


@cache
def field_meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """The docstring under each field of `model` and its bases, by attribute name; those without are left out.

    Empty where the source is not at hand.
    """
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel and base.__module__ in sys.modules:
            meanings |= _own(base)
    return meanings


def _own(model: type[BaseModel]) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):
        return {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[statement.target.id] = inspect.cleandoc(below.value.value)
    return found


def describe(model: type[BaseModel]) -> None:
    """Put the meanings of the fields of `model`, and of every model in them, into their JSON Schema."""
    for each in models_in(model):
        for name, text in field_meanings(each).items():
            each.model_fields[name].description = text
    for each in models_in(model):
        each.model_rebuild(force=True)


@cache
def models_in(model: type[BaseModel]) -> tuple[type[BaseModel], ...]:
    """The models that the fields of `model` hold, deepest first, `model` itself last; each once."""
    seen: dict[type[BaseModel], None] = {}

    def walk(annotation: object) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in seen:
                for info in annotation.model_fields.values():
                    walk(info.annotation)
                seen[annotation] = None
            return
        for argument in getattr(annotation, "__args__", ()):
            walk(argument)

    walk(model)
    return tuple(seen)
