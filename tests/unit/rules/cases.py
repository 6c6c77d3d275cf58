"""The form in which a rule is tested: cases where it fires, and near misses where it stays silent.

A module a topic holds `CASES` by code and ends with `test_fires, test_near_misses = rule_tests(CASES)`;
`test_complete.py` sees to it that no rule is left out. A case is a few edits of `examples/factory`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import yaml

from fleet.inventory.rule import Rule, installed_rules
from tests.factory import Edits, factory_files, load, places

__all__ = ["FLEET", "GRAZ", "NARVIK", "NEED_MORE_SITES", "TURIN", "Case", "Cases", "Edits", "rule_tests"]

FLEET, GRAZ, NARVIK, TURIN = "fleet.yaml", "sites/graz.yaml", "sites/narvik.yaml", "sites/turin.yaml"
NEED_MORE_SITES = frozenset({"FLT014", "FLT015"})
"""Rules whose limit takes more sites to cross than the example has: test_fleet_names.py tries their joins."""
Field = tuple[str | int, ...]

_MARKER = re.compile(r"(?P<path>[^\s:]+):\{(?P<text>.+?)\} (?P<message>.*)", re.DOTALL)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Case:
    """Edits that make a rule fire, and what it says then.

    `expected` holds `file:line message` of every finding of the rule, in the order in which they are
    shown; of a message the start is enough. The line is a number or, better, `{text}`: the only line
    that holds this text after the edits. `{first > second}` is the first line with `second` after the
    only line with `first`. `also` names the other codes that the edits set off; all of them. `help` is
    the start of what the first finding says to type, where that is worked out and not just written down.
    """

    edits: Edits
    expected: str | tuple[str, ...]
    also: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class Cases:
    """A rule's cases: each limit of the rule has one just across it, and one just before it.

    A near miss changes a field that a firing case changes too, and the fleet still loads; what other
    rules say about it is theirs.
    """

    fires: Sequence[Case]
    near: Sequence[Edits]


def rule_tests(cases: Mapping[str, Cases]) -> tuple[Callable[..., None], Callable[..., None]]:
    """The two tests of a topic's module, to be named `test_…` there."""

    @cache
    def fields_that_fire(code: str) -> set[Field]:
        return {field for case in cases[code].fires for field in changed_fields(case.edits)}

    @pytest.mark.parametrize(
        ("code", "case"),
        [
            pytest.param(code, case, id=f"{code}-{n}")
            for code in cases
            for n, case in enumerate(cases[code].fires)
        ],
    )
    def test_fires(code: str, case: Case) -> None:
        assert_fires(code, case)

    @pytest.mark.parametrize(
        ("code", "edits"),
        [
            pytest.param(code, near, id=f"{code}-{n}")
            for code in cases
            for n, near in enumerate(cases[code].near)
        ],
    )
    def test_near_misses(code: str, edits: Edits) -> None:
        assert_near_miss(code, edits, fields_that_fire(code))

    return test_fires, test_near_misses


def assert_fires(code: str, case: Case) -> None:
    """The rule finds what the case expects, nothing more, with a help; others only as the case says."""
    files = factory_files(case.edits)
    _, found = load(files, _rules())
    wanted = (case.expected,) if isinstance(case.expected, str) else case.expected
    starts = [f"{code} {with_line(files, text)}" for text in wanted]
    findings = [d for d in found if d.code == code]
    own = places(findings)
    same = 0 < len(own) == len(starts) and all(map(str.startswith, own, starts))
    assert same, "\n  ".join(["expected", *starts, "found", *places(found)])
    others = {d.code for d in found} - {code}
    assert others == set(case.also), "\n  ".join([f"also={case.also}, but found", *places(found)])
    assert all(d.help for d in findings), f"{code} does not say what to type"
    assert (findings[0].help or "").startswith(case.help), f"the help is {findings[0].help!r}"


def assert_near_miss(code: str, edits: Edits, fields_that_fire: Collection[Field]) -> None:
    """The rule is silent although the edits change a field that sets it off elsewhere."""
    fields = changed_fields(edits)
    assert fields, "the edits change nothing"
    related = any(a[: len(b)] == b or b[: len(a)] == a for a in fields for b in fields_that_fire)
    assert related, f"no case of {code} that fires changes one of {sorted(map(str, fields))}"
    inventory, found = load(factory_files(edits), _rules())
    assert inventory is not None, places(found)
    wrong = [d for d in found if d.code == code or d.code.startswith(("INV", "SUP", "RUL"))]
    assert not wrong, places(wrong)


def with_line(files: Mapping[str, str], expected: str) -> str:
    """`expected` with `{text}` made the number of its line. Raises AssertionError when it is not clear."""
    match = _MARKER.fullmatch(expected)
    if match is None:
        return expected
    path, text, message = match.group("path", "text", "message")
    lines = files[path].splitlines()
    first, *rest = text.split(" > ")
    holding = [number for number, line in enumerate(lines, 1) if first in line]
    assert len(holding) == 1, f"{first!r} is on the lines {holding} of {path}; it must be on one"
    number = holding[0]
    for part in rest:
        after = (n for n, line in enumerate(lines[number:], number + 1) if part in line)
        number = next(after, 0)
        assert number, f"{part!r} is not after {first!r} in {path}"
    return f"{path}:{number} {message}"


def changed_fields(edits: Edits) -> set[Field]:
    """The fields that the edits change, as a site has them, whichever layer or site they stand in."""
    before, after = factory_files(), factory_files(edits)
    return {
        _without_layer(path, field)
        for path in after
        if after[path] != before.get(path)
        for field in _differences(_values(before.get(path, "")), _values(after[path]))
    }


@cache
def _rules() -> tuple[Rule, ...]:
    return installed_rules()  # finding them takes as long as running them


@cache
def _values(text: str) -> Any:
    return yaml.load(text, Loader=_LOADER)


def _without_layer(path: str, field: Field) -> Field:
    if path != FLEET:
        return field
    match field:
        case ("defaults", *rest) | ("profiles", _, *rest) | ("rings", _, "defaults", *rest):
            return tuple(rest)
        case _:
            return field


def _differences(before: Any, after: Any, at: Field = ()) -> Iterator[Field]:
    """Where two values differ, as deep as it can be said: an item of a list stands for any of them."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from _differences(before.get(key), after.get(key), (*at, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for old, new in zip(before, after, strict=True):
            yield from _differences(old, new, (*at, "*"))
    elif before != after:
        yield at
