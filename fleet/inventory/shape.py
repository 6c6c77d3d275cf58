"""From the model's complaints to diagnostics that say what to type instead."""

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from fleet.diagnostics.diagnostic import Diagnostic
from fleet.inventory.secret_shapes import REFERENCE_HELP, secret_shape
from fleet.inventory.source import Path, SourceFile
from fleet.model.site import ClusterSecretRef, HostSecretRef, SecretKey

Place = Callable[[Path, bool], tuple[SourceFile, Path]]
"""Given a path in the validated value (and whether its key is meant): the file, and the path in it."""


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A help text naming the known word nearest to `word`, or listing a few when none is near."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, 1, 0.6) or [k for k in known if k.lower() == word.lower()]
    if near:
        return f"did you mean {near[0]!r}?"
    if not known:
        return None
    shown = ", ".join(known[:12])
    return f"known: {shown}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def _models_at(model: type[BaseModel], path: Path) -> list[type[BaseModel]]:
    """The model classes that may stand at `path`."""
    here: list[Any] = [model]
    for step in path:
        following: list[Any] = []
        for kind in here:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for name, info in kind.model_fields.items():
                    if (info.alias or name) == step:
                        following += _unfold(info.annotation)
            elif isinstance(kind, _ItemsOf):
                following += _unfold(kind.item)
        here = following
    return [kind for kind in here if isinstance(kind, type) and issubclass(kind, BaseModel)]


class _ItemsOf:
    def __init__(self, item: Any) -> None:
        self.item = item


def _unfold(annotation: Any) -> list[Any]:
    """The model classes and collections inside an annotation."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _unfold(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for part in typing.get_args(annotation) for kind in _unfold(part)]
    if origin is tuple:
        return [_ItemsOf(typing.get_args(annotation)[0])]
    if origin is not None and issubclass(origin, Mapping):
        return [_ItemsOf(typing.get_args(annotation)[1])]
    if origin is not None and hasattr(origin, "__value__"):
        return _unfold(origin.__value__)
    return [annotation]


_SECRETS = {HostSecretRef, ClusterSecretRef, SecretKey}
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 and not secret_shape(value) else "a text"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "nothing" if value is None else f"the number {value}"


def shape_diagnostics(
    model: type[BaseModel], error: ValidationError, place: Place, *, ignore_missing: bool = False
) -> list[Diagnostic]:
    """One diagnostic for each complaint of the model, in the model's order.

    Codes: INV010 unknown key, INV011 wrong value, INV012 missing key, SEC001 a literal secret where a
    reference belongs (its line is not shown).
    """
    found = []
    for item in error.errors(include_url=False):
        kind, context = item["type"], item.get("ctx", {})
        path: Path = tuple(step for step in item["loc"] if step != "[key]")
        about_key = item["loc"][-1:] == ("[key]",)
        dotted = ".".join(str(step) for step in path)
        if kind == "missing":
            if ignore_missing:
                continue
            file, where = place(path[:-1], True)
            found.append(
                file.diagnostic(
                    "INV012", f"{dotted} is missing", file.locate(where, key=True), f"add '{path[-1]}: …'" + _doc(model, path)
                )
            )
            continue
        if kind == "extra_forbidden":
            file, where = place(path, True)
            known = [
                info.alias or name for kind_ in _models_at(model, path[:-1]) for name, info in kind_.model_fields.items()
            ]
            found.append(
                file.diagnostic(
                    "INV010", f"unknown key {path[-1]!r}" + (f" in {'.'.join(map(str, path[:-1]))}" if path[:-1] else ""),
                    file.locate(where, key=True), did_you_mean(str(path[-1]), known),
                )
            )  # fmt: skip
            continue
        file, where = place(path, about_key)
        span = file.locate(where, key=about_key)
        if kind in ("model_type", "model_attributes_type") and _SECRETS.intersection(_models_at(model, path)):
            found.append(
                file.diagnostic(
                    "SEC001", f"{dotted} holds a literal secret", span,
                    REFERENCE_HELP,
                    redact=True,
                )
            )  # fmt: skip
            continue
        help_text = None
        if kind in _WANTED:
            message = f"{dotted} is {_kind(item['input'])} where {_WANTED[kind]} is expected"
            if kind == "bool_type" and str(item["input"]).lower() in ("yes", "no", "on", "off"):
                help_text = f"write {'true' if str(item['input']).lower() in ('yes', 'on') else 'false'}"
            elif kind == "string_type" and isinstance(item["input"], (int, float)):
                help_text = f'put it in quotes: "{item["input"]}"'
            elif kind == "int_type" and isinstance(item["input"], str) and item["input"].strip().isdigit():
                help_text = f"write {int(item['input'])}, without quotes or leading zeros"
        elif kind == "literal_error":
            expected = [word.strip("' ") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
            message = f"{dotted} is {_kind(item['input'])}; expected {context['expected']}"
            help_text = did_you_mean(item["input"], expected) if isinstance(item["input"], str) else None
        elif kind == "string_pattern_mismatch":
            message = f"{'the key' if about_key else dotted} is {_kind(item['input'])}, which does not match {context['pattern']}"
        elif kind == "value_error":
            message = f"{dotted}: {context['error']}"
        else:
            message = f"{dotted}: {item['msg'][:1].lower()}{item['msg'][1:]}"
        found.append(file.diagnostic("INV011", message, span, help_text))
    return found


def _doc(model: type[BaseModel], path: Path) -> str:
    for parent in _models_at(model, path[:-1]):
        for name, info in parent.model_fields.items():
            if (info.alias or name) == path[-1] and info.description:
                return f" ({info.description.splitlines()[0].rstrip('.')})"
    return ""
