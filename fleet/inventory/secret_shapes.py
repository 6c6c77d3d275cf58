"""What literal secrets look like. The secrets themselves are never printed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

SHAPES = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}"),
    "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."),
    "a storage account key": re.compile(r"AccountKey=[A-Za-z0-9+/=]{40,}"),
    "a shared access signature": re.compile(r"[?&]sig=[A-Za-z0-9%+/=]{20,}"),
    "a password in a URL": re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@"),
    "an age identity": re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
}

REFERENCE_HELP = (
    "say where the secret is kept, such as {env: MY_SECRET} or {kubernetes: {name: …, key: …}}; "
    "and replace the secret: it is in the file's history"
)


def secret_shape(text: str) -> str | None:
    """What kind of secret `text` holds, or None."""
    return next((name for name, shape in SHAPES.items() if shape.search(text)), None)


def literal_secrets(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The path and kind of every literal secret under `value`."""
    if isinstance(value, str):
        if kind := secret_shape(value):
            yield path, kind
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from literal_secrets(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from literal_secrets(item, (*path, number))
