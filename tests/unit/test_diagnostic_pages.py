"""Every code has an explanation, and every rule a page whose examples are what they say."""

import re
from collections.abc import Mapping

import pytest
import yaml

from fleet.app.explain import explanations
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.inventory.layers import overlay
from fleet.inventory.rule import installed_rules
from fleet.inventory.source import SourceFile
from tests.factory import ROOT, factory_files, load, places
from tests.unit.rules.cases import NEED_MORE_SITES

RULES = {rule.code: rule for rule in installed_rules()}
KNOWN = explanations(tuple(RULES.values()))
PAGES = {code: known.page for code, known in KNOWN.items() if known.page is not None}
# What is wrong with these files can't be said in an example of YAML. (POL pages have examples in Rego:
# tests/unit/test_rego.py tries them.)
WITHOUT_EXAMPLE = {"INV001", "INV002", "INV003", "INV004", "RUL001", *NEED_MORE_SITES} | {
    code for code in PAGES if code[:3] == "POL"
}
# An example is laid over the example fleet's file as a layer is, or appended to it as text.
EXAMPLE = re.compile(r"^```yaml (wrong|right) (\S+)( append)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r'"([A-Z][A-Z0-9]{2}[0-9]{3})"')


def applied(page: str, kind: str) -> Mapping[str, str]:
    """The example fleet's files with the wrong or the right examples of a page."""
    files = factory_files()
    for example, path, append, text in EXAMPLE.findall(page):
        if example != kind:
            continue
        if append:
            files[path] += text
        else:
            below, _ = SourceFile(path, files[path].encode()).load()
            over, _ = SourceFile(path, text.encode()).load()
            files[path] = yaml.safe_dump(overlay(below, over), allow_unicode=True, sort_keys=False)
    return files


def found(page: str, kind: str) -> tuple[Diagnostic, ...]:
    return load(applied(page, kind))[1]


def test_every_rule_has_a_page() -> None:
    assert sorted(RULES.keys() - PAGES.keys()) == [], "write validators/rules/CODE.md"


def test_every_page_is_of_a_code_in_use() -> None:
    in_use = RULES.keys() | codes_in_the_code()
    pages = {page.stem for page in (ROOT / "validators" / "rules").glob("*.md")} | PAGES.keys()
    assert sorted(pages - in_use) == []


def codes_in_the_code() -> set[str]:
    """The codes of findings and failures that anything in the program can show."""
    modules = [p for folder in ("fleet", "stacks", "validators") for p in (ROOT / folder).rglob("*.py")]
    return {code for module in modules for code in CODE.findall(module.read_text(encoding="utf-8"))}


def test_every_code_in_the_code_is_explained() -> None:
    assert sorted(codes_in_the_code() - KNOWN.keys()) == [], "add it to fleet/diagnostics/codes.yaml"


def test_every_explanation_is_of_a_code_in_use() -> None:
    assert sorted(KNOWN.keys() - RULES.keys() - codes_in_the_code()) == []


@pytest.mark.parametrize("code", sorted(RULES))
def test_the_title_of_a_rules_page_is_the_rules_summary(code: str) -> None:
    assert KNOWN[code].summary == RULES[code].summary


@pytest.mark.parametrize("code", sorted(PAGES.keys() - WITHOUT_EXAMPLE))
def test_the_wrong_example_fires_and_the_right_one_does_not(code: str) -> None:
    page = PAGES[code]
    assert {kind for kind, *_ in EXAMPLE.findall(page)} == {"wrong", "right"}, code
    wrong, right = found(page, "wrong"), found(page, "right")
    assert code in {d.code for d in wrong}, places(wrong)
    assert places(right) == []
    assert "## Wrong" in page
    assert "## Right" in page
