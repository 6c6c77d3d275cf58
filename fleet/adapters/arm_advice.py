"""What to do about an error of Azure: known codes, in plain words (arm_advice.yaml)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

_FILE: Final = Path(__file__).with_name("arm_advice.yaml")

_CODE: Final = re.compile(r"""(?x)
    Code="([A-Za-z]+)"              # azure-native, as Azure's Go SDK of the first generation writes it
    | ERROR\ CODE:\ ([A-Za-z]+)     # as that of the second does
    | "code":\s*"([A-Za-z]+)"       # the answer's body as it came
    | \(HTTP\ \d{3},\ ([A-Za-z]+)   # ours, fleet/adapters/arm_errors.py
""")
"""Where a code stands in an error's text; the first two are from memory."""


@dataclass(frozen=True)
class Advice:
    """What happened, in plain words, and what to do. `credential`: it is about who is signed in.

    `registration`: the commands that register what the site's subscription needs belong to it.
    """

    what: str
    do: str
    source: str
    credential: bool = False
    registration: bool = False


@cache
def _table() -> Mapping[str, Mapping[str, Advice]]:
    data: Mapping[str, Mapping[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {part: {key: Advice(**row) for key, row in rows.items()} for part, rows in data.items()}


def known_codes() -> frozenset[str]:
    """The codes that there is advice about."""
    return frozenset(_table()["codes"])


def advice_about(code: str, message: str, resource: str = "") -> Advice | None:
    """The advice about an error; None where it is none of the known ones.

    `code` is ARM's where the engine knows it; the Pulumi CLI has it in its `message` only. `resource` is the
    name in the stack: an operation that ends badly after hours has codes that nobody lists.
    """
    codes = _table()["codes"]
    if code in codes:
        return codes[code]
    for found in _CODE.finditer(message):
        name = next(group for group in found.groups() if group)
        if name in codes:
            return codes[name]
    if advice := advice_about_sign_in(message):
        return advice
    return next(
        (advice for names, advice in _table()["resources"].items() if re.fullmatch(names, resource)), None
    )


def advice_about_sign_in(message: str) -> Advice | None:
    """The advice about what a sign-in's tool says in words; None where they are not known."""
    return next((advice for words, advice in _table()["texts"].items() if re.search(words, message)), None)
