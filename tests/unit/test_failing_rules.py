"""A rule that raises costs nobody the findings of the others: it becomes RUL001, in both ways of checking."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fleet.app.check_files import SiteFile, SiteResult, check_files
from fleet.app.validate import report
from fleet.diagnostics.diagnostic import FleetError
from fleet.diagnostics.suppress import Report
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.load import load_inventory
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule, installed_rules
from fleet.inventory.source import SourceFile
from tests.factory import Edits, factory_files, places

FLEET, GRAZ, NARVIK, TURIN = "fleet.yaml", "sites/graz.yaml", "sites/narvik.yaml", "sites/turin.yaml"
LATE = "the rule ORG001 could not be evaluated here: ZeroDivisionError: division by zero"
SMALL_POOL: Edits = {
    GRAZ: [
        (
            "infraPool: {start: 10.30.1.100, end: 10.30.1.110}",
            "infraPool: {start: 10.30.1.100, end: 10.30.1.104}",
        )
    ]
}
SAME_NAME: Edits = {GRAZ: [("name: graz-n2", "name: graz-n1")]}
Findings = Iterator[Finding]


class InMemory:
    """A site file that is there already."""

    def __init__(self, path: str, text: str) -> None:
        self.key = self.path = path
        self.source = SourceFile(path, text.encode())

    def read(self) -> SourceFile:
        return self.source


class Kept(dict[str, SiteResult]):
    """What is known of files that do not change."""

    def put(self, file: SiteFile, source: SourceFile, result: SiteResult) -> None:
        self[file.key] = result

    def get(self, file: SiteFile) -> SiteResult | None:  # type: ignore[override]
        return super().get(file.key)


def run(rules: Iterable[Rule], edits: Edits | None = None, kept: Kept | None = None) -> Report:
    """What is found file by file, which must be what is found in the whole fleet."""
    files, rules = factory_files(edits), tuple(rules)
    fleet = SourceFile(FLEET, files.pop(FLEET).encode())
    sites = [InMemory(path, text) for path, text in files.items()]
    checked = check_files(fleet, sites, rules, kept).report
    inventory, shape = load_inventory(fleet, [site.source for site in sites])
    if kept is None:
        assert report(inventory, shape, rules) == checked
    return checked


def org(**kinds: Any) -> Rule:
    return Rule("ORG001", "a rule of an organisation", "its handbook", "warning", **kinds)


def at_graz(site: Site, _: Inventory) -> Findings:
    yield Finding(("ring",), "before")
    if site.name == "graz":
        1 / 0  # noqa: B018


def at_once(site: Site, _: Inventory) -> list[Finding]:
    return [Finding(("ring",), f"{1 / (site.name != 'graz')}")]


def nowhere(site: Site, _: Inventory) -> Findings:
    yield Finding(12, "a path that is none")  # type: ignore[arg-type]


def facts(site: Site, _: Inventory) -> Iterator[Fact]:
    yield (site.name,)
    if site.name == "graz":
        1 / 0  # noqa: B018


def no_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    yield (site.name, ("nested",))


def names(fleet: FleetFacts) -> Findings:
    yield Finding(("rings",), f"{[fact[0] for _, fact in fleet.rows]}, {fleet.complete}")


def late(_: object) -> Findings:
    yield Finding(("rings",), "before")
    yield Finding(("ring",), "at turin", site="turin")
    1 / 0  # noqa: B018


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param(
            org(check_site=at_graz),
            [f"ORG001 {GRAZ}:4 before", f"ORG001 {NARVIK}:4 before", f"ORG001 {TURIN}:4 before", f"RUL001 {GRAZ}:1 {LATE}"],
            id="site",
        ),
        pytest.param(
            org(check_site=at_once), [f"ORG001 {NARVIK}:4 1.0", f"ORG001 {TURIN}:4 1.0", f"RUL001 {GRAZ}:1 {LATE}"], id="site-at-once"
        ),
        pytest.param(
            org(across=Across(names, facts)), [f"ORG001 {FLEET}:8 ['narvik', 'turin'], False", f"RUL001 {GRAZ}:1 {LATE}"], id="facts"
        ),
        pytest.param(
            org(across=Across(late)), [f"ORG001 {FLEET}:8 before", f"ORG001 {TURIN}:4 at turin", f"RUL001 {FLEET}:1 {LATE}"], id="join"
        ),
        pytest.param(
            org(check_fleet=late), [f"ORG001 {FLEET}:8 before", f"ORG001 {TURIN}:4 at turin", f"RUL001 {FLEET}:1 {LATE}"], id="fleet"
        ),
    ],
)  # fmt: skip
def test_each_kind_of_check(rule: Rule, expected: list[str]) -> None:
    """What an organisation's own rule found before it raised stays, and so does what it finds elsewhere."""
    found = run([rule]).found
    assert sorted(places(found)) == sorted(expected)
    [failed] = [d for d in found if d.code == "RUL001"]
    assert failed.severity == "error"
    assert failed.help == f"this is a mistake of the rule, please report it; the rule is from {rule.package}"
    assert rule.package not in ("fleet", "")
    assert failed.sites == (("graz",) if failed.span.path == GRAZ else ())


@pytest.mark.parametrize("rule", [org(check_site=nowhere), org(across=Across(names, no_facts))])
def test_a_finding_or_a_fact_that_is_none_is_a_failure_of_its_rule(rule: Rule) -> None:
    found = run([rule]).found
    assert [d.span.path for d in found if d.code == "RUL001"] == [GRAZ, NARVIK, TURIN]


@pytest.mark.parametrize("code", ["NET002", "AZL002"])
def test_a_failing_rule_of_ours_leaves_all_other_findings(code: str) -> None:
    def broken(site: Site, _: Inventory) -> Findings:
        raise ValueError("two\nlines")

    edits = {GRAZ: [*SMALL_POOL[GRAZ], *SAME_NAME[GRAZ]]}
    rules = installed_rules()
    before = run(rules, edits).found
    after = run(
        [replace(rule, check_site=broken) if rule.code == code else rule for rule in rules], edits
    ).found
    assert {d.code for d in before} == {"NET002", "AZL002"}
    assert [d for d in after if d.code != "RUL001"] == [d for d in before if d.code != code]
    assert places([d for d in after if d.code == "RUL001"]) == [
        f"RUL001 {path}:1 the rule {code} could not be evaluated here: ValueError: two lines"
        for path in (GRAZ, NARVIK, TURIN)
    ]


def test_a_fact_that_several_rules_ask_for_fails_each_of_them() -> None:
    rules = [replace(org(across=Across(names, facts)), code=code) for code in ("ORG001", "ORG002")]
    found = run(rules).found
    assert [d.message.partition(" could")[0] for d in found if d.code == "RUL001"] == [
        "the rule ORG001",
        "the rule ORG002",
    ]


def test_a_failure_is_not_kept() -> None:
    raises = [True]

    def once(site: Site, _: Inventory) -> Findings:
        yield Finding(("ring",), "found")
        if site.name == "graz" and raises:
            raise LookupError

    kept = Kept()
    assert "RUL001" in {d.code for d in run([org(check_site=once)], kept=kept).found}
    assert sorted(kept) == [NARVIK, TURIN]
    raises.clear()
    assert [d.code for d in run([org(check_site=once)], kept=kept).found] == ["ORG001"] * 3
    assert sorted(kept) == [GRAZ, NARVIK, TURIN]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), FleetError("POL009", "no engine")])
@pytest.mark.parametrize("kind", ["check_site", "check_fleet", "join", "facts"])
def test_what_is_no_mistake_of_the_rule_passes(error: BaseException, kind: str) -> None:
    def stop(*_: object) -> Any:
        raise error

    rules: dict[str, Callable[[], Rule]] = {
        "check_site": lambda: org(check_site=stop),
        "check_fleet": lambda: org(check_fleet=stop),
        "join": lambda: org(across=Across(stop)),
        "facts": lambda: org(across=Across(names, stop)),
    }
    with pytest.raises(type(error)):
        run([rules[kind]()])


def test_a_failure_can_not_be_suppressed_and_makes_no_suppression_unused() -> None:
    edits = {GRAZ: [("apiVersion: fleet/v1", "apiVersion: fleet/v1  # fleet: ignore[RUL001, ORG001] why")]}
    assert {d.code for d in run([org(check_site=at_graz)], edits).found} == {"ORG001", "RUL001", "SUP004"}
    assert {d.code for d in run([org(check_site=lambda s, i: ())], edits).found} == {"SUP002", "SUP004"}


def test_a_secret_in_an_exception_is_not_shown() -> None:
    def told(site: Site, _: Inventory) -> Findings:
        raise ValueError("https://me:pw123@x.example is " + "x" * 5000)

    [failed, *_] = run([org(check_site=told)]).found
    assert "pw123" not in failed.message
    assert len(failed.message) <= 1000
