"""From the model's complaints to diagnostics that say what to type instead."""

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.secret_shapes import secret_shape
from fleet.inventory.forms import expected_form
from fleet.inventory.secret_shapes import REFERENCE_HELP
from fleet.inventory.source import MAX_SHOWN, Path, SourceFile, capped
from fleet.inventory.yaml_reader import plain_value, quoted
from fleet.model.descriptions import field_meanings
from fleet.model.secrets import ClusterSecretRef, HostSecretRef, SecretKey

Place = Callable[[Path, bool], tuple[SourceFile, Path]]
"""Given a path in the validated value (and whether its key is meant): the file, and the path in it."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that `word` is most like, at least as much as `cutoff` (1: equal); None without one."""
    if len(word) > 100:  # no slip of the keys; and comparing takes time
        return None
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, 1, cutoff)
    return next(iter(near), None) or next((k for k in known if k.lower() == word.lower()), None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A help text naming the known word nearest to `word`, or listing a few when none is near."""
    known = sorted(set(known))
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near!r}?"
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


def _kind(value: object, written: str | None) -> str:
    """What was given; a number as it was `written`, where that is known."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 and not secret_shape(value) else "a text"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "nothing" if value is None else f"the number {written or value}"


@dataclass(frozen=True)
class _Complaint:
    """One complaint of the model: what kind, where in the validated value, about a key or a value."""

    model: type[BaseModel]
    kind: str
    path: Path
    about_key: bool
    given: Any
    context: Mapping[str, Any]
    text: str

    @property
    def dotted(self) -> str:
        return dotted(self.path)


def dotted(path: Path) -> str:
    """The path as messages name it; keys that a user made up may be of any length, or hold a secret."""
    steps = (str(step) for step in path)
    return ".".join(step if len(step) <= 60 and not secret_shape(step) else "…" for step in steps)


def shape_diagnostics(
    model: type[BaseModel],
    error: ValidationError,
    place: Place,
    *,
    ignore_missing: bool = False,
    names: Mapping[str, Iterable[str]] = types.MappingProxyType({}),
) -> list[Diagnostic]:
    """One diagnostic for each complaint of the model, in the model's order.

    With `ignore_missing`, what another layer may complete is no complaint. A key that is missing because it
    is mistyped is told once, as the unknown key that it is. `names` holds, for a key that
    refers to something by its name, the names that exist: help for a name that can't be one. Codes: INV010
    unknown key, INV011 wrong value, INV012 missing key, INV017 more of these than are shown, SEC001 a literal
    secret where a reference belongs (its line is not shown).
    """
    found: list[Diagnostic] = []
    total = 0
    items = error.errors(include_url=False)
    paths = [tuple(step for step in item["loc"] if step != "[key]") for item in items]
    above = {path[:end] for path in paths for end in range(len(path))}
    mistyped = _mistyped(model, [(item["type"], path) for item, path in zip(items, paths, strict=True)])
    for item, path in zip(items, paths, strict=True):
        complaint = _Complaint(
            model,
            item["type"],
            path,
            item["loc"][-1:] == ("[key]",),
            item["input"],
            item.get("ctx", {}),
            item["msg"],
        )
        if complaint.kind in ("missing", "too_short") and ignore_missing:
            continue
        if complaint.kind == "missing" and path in mistyped:
            continue
        if complaint.kind == "too_short" and path in above:
            continue  # the model counts only right items; the wrong one, which is told, may be all that lacks
        total += 1
        if total > MAX_SHOWN + 1:
            continue  # only counted: finding a place and the nearest word takes time
        if complaint.kind == "missing":
            found.append(_missing(complaint, place))
        elif complaint.kind == "extra_forbidden":
            found.append(_unknown_key(complaint, place))
        else:
            found.append(_wrong_value(complaint, place, names))
    return capped(found, total)


def _mistyped(model: type[BaseModel], complaints: list[tuple[str, Path]]) -> set[Path]:
    """Of the keys that are missing, those that an unknown key beside them is taken for."""
    parents = {path[:-1] for kind, path in complaints if kind == "missing"}
    unknown = [path for kind, path in complaints if kind == "extra_forbidden" and path[:-1] in parents]
    meant = [(path, nearest(str(path[-1]), _keys(model, path[:-1]))) for path in unknown[:MAX_SHOWN]]
    return {(*path[:-1], key) for path, key in meant if key is not None}


def _keys(model: type[BaseModel], parent: Path) -> list[str]:
    """The keys that the model knows at `parent`."""
    return [
        info.alias or name for kind in _models_at(model, parent) for name, info in kind.model_fields.items()
    ]


def _missing(complaint: _Complaint, place: Place) -> Diagnostic:
    parent, key = complaint.path[:-1], complaint.path[-1]
    file, where = place(parent, True)
    help_text = f"add '{key}: …'{_doc(complaint.model, complaint.path)}"
    span = file.locate(where, key=True)
    return file.diagnostic("INV012", f"{complaint.dotted} is missing", span, help_text)


def _unknown_key(complaint: _Complaint, place: Place) -> Diagnostic:
    parent, key = complaint.path[:-1], str(complaint.path[-1])
    file, where = place(complaint.path, True)
    known = _keys(complaint.model, parent)
    inside = f" in {dotted(parent)}" if parent else ""
    span = file.locate(where, key=True)
    return file.diagnostic("INV010", f"unknown key {quoted(key)}{inside}", span, did_you_mean(key, known))


def _wrong_value(complaint: _Complaint, place: Place, names: Mapping[str, Iterable[str]]) -> Diagnostic:
    file, where = place(complaint.path, complaint.about_key)
    span = file.locate(where, key=complaint.about_key)
    expects_reference = complaint.kind in ("model_type", "model_attributes_type") and _SECRETS.intersection(
        _models_at(complaint.model, complaint.path)
    )
    if expects_reference:
        message = f"{complaint.dotted} holds a literal secret"
        return file.diagnostic("SEC001", message, span, REFERENCE_HELP, redact=True)
    written = file.written(span)
    if isinstance(complaint.given, str) or written is None or plain_value(written) != complaint.given:
        written = None  # an alias, or in quotes
    message, help_text = _words(complaint, written)
    if complaint.kind == "string_pattern_mismatch" and (known := names.get(complaint.dotted)):
        help_text = did_you_mean(complaint.given, known)
    return file.diagnostic("INV011", message, span, help_text)


def _words(complaint: _Complaint, written: str | None) -> tuple[str, str | None]:
    """The message for a wrong value, and what to type instead where that is known."""
    dotted, given, context = complaint.dotted, complaint.given, complaint.context
    kind_given = _kind(given, written)
    match complaint.kind:
        case kind if kind in _WANTED:
            help_text = _retype(complaint, written)
            return f"{dotted} is {kind_given} where {_WANTED[kind]} is expected", help_text
        case "literal_error":
            expected = str(context["expected"])
            return f"{dotted} is {kind_given}; expected {expected}", _nearest(given, expected)
        case "string_pattern_mismatch":
            what = "the key" if complaint.about_key else dotted
            return f"{what} is {kind_given}; expected {expected_form(context['pattern'])}", None
        case "too_short":
            return (
                f"{dotted} has {context['actual_length']}; at least {context['min_length']} must be there",
                None,
            )
        case "value_error":
            return f"{dotted}: {context['error']}", None
        case _:
            return f"{dotted}: {complaint.text[:1].lower()}{complaint.text[1:]}", None


def _nearest(given: object, expected: str) -> str | None:
    """The help for a text that is none of the `expected` values, given as "1, 3 or 5" or "'a' or 'b'"."""
    if not isinstance(given, str):
        return None
    words = [word.strip() for word in expected.replace(" or ", ", ").split(",")]
    if given.strip() in words:  # texts stand in quotes there, so this is a number
        return f"write {given.strip()}, without quotes"
    return did_you_mean(given, [word.strip("'") for word in words])


def _retype(complaint: _Complaint, written: str | None) -> str | None:
    """The same value as the wanted type, where it is plain what was meant; 1.10 is not to become "1.1"."""
    kind, given = complaint.kind, complaint.given
    if kind == "bool_type" and str(given).lower() in ("yes", "no", "on", "off"):
        return f"write {'true' if str(given).lower() in ('yes', 'on') else 'false'}"
    if kind == "string_type" and isinstance(given, (int, float)):
        return f'put it in quotes: "{written}"' if written else "put it in quotes"
    if kind == "int_type" and isinstance(given, str):
        if re.fullmatch(r"\s*[0-9]{1,18}\s*", given):
            return f"write {int(given)}, without quotes or leading zeros"
        return _in_unit(str(complaint.path[-1]) if complaint.path else "", given)
    if _WANTED[kind] == "a list":
        return _as_list(complaint, written)
    return None


_MILLISECONDS = {"ms": 1, "seconds": 1000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
_UNIT_LETTERS = {"ms": "ms", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _in_unit(key: str, given: str) -> str | None:
    """The help for a time with its unit, "1h", where the unit is told by the key: `soakMinutes`."""
    ending = re.search(r"(?:^|[a-z0-9])(Ms|[Ss]econds|[Mm]inutes|[Hh]ours|[Dd]ays)$", key)
    if ending is None:
        return None
    unit = ending[1].lower()
    meant = f"a whole number of {'milliseconds' if unit == 'ms' else unit}"
    if time := re.fullmatch(r"\s*([0-9]{1,9})\s*(ms|[smhd])\s*", given):
        count, rest = divmod(int(time[1]) * _MILLISECONDS[_UNIT_LETTERS[time[2]]], _MILLISECONDS[unit])
        if not rest:
            return f"write {count}, {meant}"
    return f"write {meant}"


def _as_list(complaint: _Complaint, written: str | None) -> str | None:
    """The help for what stands, alone or as a mapping, where a list is wanted."""
    given = complaint.given
    if isinstance(given, Mapping):
        items = _models_at(complaint.model, (*complaint.path, 0))
        first = next((info.alias or name for kind in items for name, info in kind.model_fields.items()), None)
        return f"write a list, each item after a dash: '- {first}: …'" if first else "write a list: '- …'"
    if isinstance(given, str):
        # In a flow list, commas, brackets and the like would mean something else; a secret isn't repeated.
        plain = re.fullmatch(r"[A-Za-z0-9_./-]{1,60}", given) and plain_value(given) == given
        return f"write [{given}]" if plain and not secret_shape(given) else "write a list: '- …'"
    return f"write [{written}]" if given is not None and written else None


def _doc(model: type[BaseModel], path: Path) -> str:
    for parent in _models_at(model, path[:-1]):
        for name, info in parent.model_fields.items():
            if (info.alias or name) == path[-1] and (meaning := field_meanings(parent).get(name)):
                return f" ({meaning.splitlines()[0].rstrip('.')})"
    return ""
