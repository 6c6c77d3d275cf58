"""Literal secrets among an inventory's values. The secrets themselves are never printed."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.diagnostics.secret_shapes import SHAPES, secret_shape

__all__ = ["REFERENCE_HELP", "SHAPES", "literal_secrets", "secret_shape"]

REFERENCE_HELP = (
    "say where the secret is kept, such as {env: MY_SECRET} or {kubernetes: {name: …, key: …}}; "
    "and replace the secret: it is in the file's history"
)


def literal_secrets(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The path and kind of every literal secret under `value`, also where it is a key."""
    if isinstance(value, str):
        if kind := secret_shape(value):
            yield path, kind
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if kind := secret_shape(str(key)):
                yield (*path, key), kind
            yield from literal_secrets(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from literal_secrets(item, (*path, number))
