"""An organisation's own rules in Python: a package that works, as its page says, and packages that don't."""

import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import OWN, Finding, Rule, check, installed_rules
from tests.factory import FACTORY, ROOT, factory_inventory
from tests.factory import check as check_factory

IMPORTS = (
    "from fleet.inventory.rule import Across, Finding, Rule\ndef find(site, inventory):\n    return ()\n"
)
PAGE = (ROOT / "docs" / "rules-python.md").read_text(encoding="utf-8")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package `acme_rules` where pip would: the module and the metadata with the entry point."""

    def put(code: str, value: str = "acme_rules:RULES") -> Path:
        place = tmp_path / "lib"
        info = place / "acme_rules-1.2.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.2.0\n")
        (info / "entry_points.txt").write_text(f"[fleet.rules]\nacme = {value}\n")
        package = place / "acme_rules"
        package.mkdir()
        (package / "__init__.py").write_text(code)
        monkeypatch.syspath_prepend(str(place))
        return package

    yield put
    sys.modules.pop("acme_rules", None)
    importlib.invalidate_caches()


def rule(arguments: str) -> str:
    return f"{IMPORTS}RULES = (Rule({arguments}),)\n"


WRONG = [
    pytest.param("import no_such_module", "it can't be imported: ModuleNotFoundError: No module named 'no_such_module'", id="import"),
    pytest.param("RULES = (", "it can't be imported: SyntaxError: ", id="syntax"),
    pytest.param("1 / 0", "it can't be imported: ZeroDivisionError: division by zero", id="raises"),
    pytest.param("rules = ()", "it can't be imported: AttributeError: ", id="no-such-name"),
    pytest.param("RULES = None", "it is no sequence of Rule, but of type NoneType", id="none"),
    pytest.param("RULES = 'ORG001'", "it is no sequence of Rule, but of type str", id="text"),
    pytest.param(IMPORTS + "RULES = Rule('ORG001', 's', 's', check_site=find)", "it is no sequence of Rule, but of type Rule", id="one"),
    pytest.param("RULES = (print,)", "rule 1 is no Rule, but of type builtin_function_or_method", id="function"),
    pytest.param(rule("'NET003', 's', 's', check_site=find"), "the code NET003 is taken by fleet_validators", id="taken"),
    pytest.param(rule("'INV001', 's', 's', check_site=find"), "the code INV001 is taken by fleet", id="taken-by-the-loader"),
    pytest.param(
        IMPORTS + "RULES = [Rule('ORG001', 's', 's', check_site=find)] * 2", "the code ORG001 is in it twice", id="twice"
    ),
    pytest.param(rule("'org-1', 's', 's', check_site=find"), "rule 1 (org-1) needs a code of capital letters", id="code"),
    pytest.param(rule("'ORGANISATION1001', 's', 's', check_site=find"), "rule 1 (ORGANISATION1001) needs a code", id="long-code"),
    pytest.param(rule("1, 's', 's', check_site=find"), "rule 1 needs a code of capital letters", id="number"),
    pytest.param(
        rule("'ORG001', 's', 's', 'fatal', check_site=find"),
        "rule 1 (ORG001) has the severity 'fatal'; it is one of error, warning",
        id="severity",
    ),
    pytest.param(rule("'ORG001', ' ', 's', check_site=find"), "rule 1 (ORG001) needs a summary", id="summary"),
    pytest.param(rule("'ORG001', None, 's', check_site=find"), "rule 1 (ORG001) needs a text as its summary", id="no-summary"),
    pytest.param(rule("'ORG001', 's', 's'"), "rule 1 (ORG001) checks nothing", id="no-check"),
    pytest.param(rule("'ORG001', 's', 's', check_site='find'"), "rule 1 (ORG001) needs a function as its check_site", id="check"),
    pytest.param(rule("'ORG001', 's', 's', across=find"), "rule 1 (ORG001) needs Across(join, facts)", id="across"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message"), WRONG)
def test_a_package_that_cannot_be_used_is_named(install: Install, code: str, message: str) -> None:
    install(code)
    with pytest.raises(FleetError) as caught:
        installed_rules()
    assert (caught.value.code, caught.value.exit_code) == ("RUL002", exits.MISSING)
    start = "the rules of acme-rules 1.2.0 can't be used (entry point acme = acme_rules:RULES): "
    assert caught.value.message.startswith(start + message)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("code", "message"), WRONG)
def test_who_only_explains_gets_the_rules_of_the_others(install: Install, code: str, message: str) -> None:
    without = installed_rules()
    install(code)
    wrong: list[FleetError] = []
    assert installed_rules(wrong) == without
    assert [error.code for error in wrong] == ["RUL002"]


def test_the_command_line_says_so_and_calls_it_no_bug(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("import no_such_module")
    assert main(["validate", "-i", str(FACTORY)]) == exits.MISSING
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.startswith("error[RUL002]: the rules of acme-rules 1.2.0 can't be used")
    assert "docs/rules-python.md" in printed
    assert "bug in fleet" not in printed


@pytest.mark.parametrize("code", ["AB001", "ORG001", "ABCDEFGHIJKL001"])
def test_codes_of_every_length(install: Install, code: str) -> None:
    install(rule(f"{code!r}, 's', 's', 'warning', check_site=find"))
    assert code in {rule.code for rule in installed_rules()}


def test_ours_come_first_by_the_name_of_their_entry_point() -> None:
    points = importlib.metadata.entry_points(group="fleet.rules")
    assert OWN in {point.value for point in points}


@pytest.mark.parametrize("path", ["labels", ["labels", "owner"], None])
def test_a_path_that_is_no_tuple(path: object) -> None:
    def find(_site: Site, _inventory: Inventory) -> Iterator[Finding]:
        yield Finding(path, "no owner")  # type: ignore[arg-type]

    found = check(factory_inventory(), [Rule("ORG001", "s", "s", check_site=find)])
    what = f"TypeError: a path is a tuple: ('labels', 'owner'); this one is of type {type(path).__name__}"
    expected = f"the rule ORG001 could not be evaluated here: {what}"
    assert [(d.code, d.message) for d in found] == [("RUL001", expected)] * 3


def blocks(language: str) -> list[str]:
    """The examples of the page, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_package_of_the_page_works(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, test = blocks("python")
    [page] = blocks("markdown")
    assert 'acme = "acme_rules:RULES"' in blocks("toml")[0]
    package = install(code)
    (package / "rules").mkdir()
    (package / "rules" / "ORG001.md").write_text(page)
    assert main(["explain", "ORG001"]) == exits.OK
    assert "the hours of the service desk" in capsys.readouterr().out

    monkeypatch.chdir(ROOT)
    names: dict[str, Callable[[], None]] = {}
    exec(compile(test, "docs/rules-python.md", "exec"), names)
    tests = [run for name, run in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for run in tests:
        run()

    edits = {"sites/graz.yaml": [("line: assembly", "line: smelting")]}
    assert [(d.span.path, d.message) for d in check_factory(edits)] == [
        ("sites/narvik.yaml", "the line smelting is that of graz")
    ]
