"""No rule without a case that fires and a near miss. Their pages are checked in test_diagnostic_pages.py."""

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

from fleet.inventory.rule import installed_rules
from tests.unit.rules.cases import NEED_MORE_SITES, Cases

HERE = Path(__file__).resolve().parent
WITHOUT_CASES = {"test_cases", "test_complete"}
TOPICS: dict[str, Mapping[str, Cases]] = {
    module.stem: import_module(f"tests.unit.rules.{module.stem}").CASES
    for module in sorted(HERE.glob("test_*.py"))
    if module.stem not in WITHOUT_CASES
}
CASES = {code: cases for topic in TOPICS.values() for code, cases in topic.items()}
RULES = {rule.code for rule in installed_rules()} - NEED_MORE_SITES


@pytest.mark.parametrize("code", sorted(RULES))
def test_every_rule_has_a_case_that_fires_and_a_near_miss(code: str) -> None:
    if code not in CASES:
        pytest.fail("write its cases in tests/unit/rules (CONTRIBUTING.md, A new rule)")
    assert CASES[code].fires, "it never fires"
    assert CASES[code].near, "it has no near miss"


def test_every_case_is_of_an_installed_rule() -> None:
    assert sorted(CASES.keys() - RULES) == []


def test_the_cases_of_a_rule_stand_together() -> None:
    modules = Counter(code for topic in TOPICS.values() for code in topic)
    assert [code for code, number in modules.items() if number > 1] == []
