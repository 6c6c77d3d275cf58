"""Long random text among an inventory's values: a secret without a shape of its own.

Words, names, paths and version numbers are told from it by how often the kind of character changes; digests,
GUIDs, commits and public keys are random too, and are told by their form.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import log2
from typing import Any

from fleet.diagnostics.secret_shapes import secret_shape

_LONG_ENOUGH = 20
"""Characters; a shorter run says too little (12 random bytes in base64 are 16)."""
_ENTROPY = 3.5
"""Bits a character. 20 random letters and digits have 3.6 or more; a repeated pattern has less."""
_CHANGES = 0.4
"""Share of neighbours of different kinds: about 0.6 in base64, below 0.3 in camelCase."""

# A run is cut at `/`, `-`, `_` and `.`, at which names and paths are: what is left of base64 is long enough.
_RUN = re.compile(r"[A-Za-z0-9+]{20,}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_HEX_LENGTHS = frozenset({40, 64, 96, 128})
"""SHA-1 (a commit), SHA-256, SHA-384, SHA-512: digests, which inventories are full of."""
_DIGESTS = ("sha256:", "sha512:")
_PUBLIC = re.compile(r"^(ssh-|ecdsa-sha2-)|-----BEGIN (CERTIFICATE|PUBLIC KEY)")


def is_random(text: str) -> bool:
    """Whether `text` holds a run of characters that looks drawn, and is nothing public. Linear time."""
    if len(text) < _LONG_ENOUGH or _PUBLIC.search(text):
        return False
    return any(
        _random_run(match.group())
        for match in _RUN.finditer(text)
        if text[max(match.start() - 7, 0) : match.start()] not in _DIGESTS
    )


def random_texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every text under `value` that is random, and is not a secret of a known shape (SEC001)."""
    if isinstance(value, str):
        if is_random(value) and secret_shape(value) is None:
            yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from random_texts(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from random_texts(item, (*path, number))


def _random_run(run: str) -> bool:
    if _HEX.fullmatch(run):
        return len(run) >= 32 and len(run) not in _HEX_LENGTHS and _entropy(run) >= 3.0
    kinds = [_kind(character) for character in run]
    if len(set(kinds)) < 3:
        return False
    changes = sum(a != b for a, b in pairwise(kinds)) / (len(run) - 1)
    return changes >= _CHANGES and _entropy(run) >= _ENTROPY


def _kind(character: str) -> str:
    return "0" if character.isdigit() else "a" if character.islower() else "A"


def _entropy(text: str) -> float:
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values())
