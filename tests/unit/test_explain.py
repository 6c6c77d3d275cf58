"""`fleet explain`: advice on the failures that people meet most, and what an unknown code probably means."""

from pathlib import Path

import pytest
import yaml

from fleet.app.explain import explanations
from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.explain import built_in, near_code
from fleet.inventory.rule import installed_rules
from tests.factory import FACTORY, ROOT

WITH_ADVICE = [
    *(f"ENV{n:03}" for n in (3, 4, 6, 7, 10, 22)),
    *(f"ENG{n:03}" for n in range(1, 7)),
    *(f"ROL{n:03}" for n in (8, *range(14, 20))),
    *("SEC010", "STK001", "STK002", "TPL001", "TPL003"),
    *(f"BCK{n:03}" for n in range(1, 4)),
    *(f"ADP{n:03}" for n in range(1, 7)),
]


@pytest.mark.parametrize("code", WITH_ADVICE)
def test_a_failure_that_people_meet_is_explained_in_sentences(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", code.lower(), "-i", str(FACTORY)]) == exits.OK
    title, _, advice = capsys.readouterr().out.partition("\n")
    assert title == f"{code}: {built_in()[code].summary}"
    assert advice.rstrip().endswith((".", ")."))
    assert 20 < len(advice.split()) < 100


def test_advice_is_of_codes_that_there_are() -> None:
    text = (ROOT / "fleet" / "diagnostics" / "advice.yaml").read_text()
    advice = yaml.safe_load(text)
    assert list(advice) == sorted(advice)
    assert advice.keys() <= built_in().keys()
    assert max(map(len, text.splitlines())) <= 122, "as long as a page's lines: nothing wraps it"


@pytest.mark.parametrize(
    ("asked", "help_text"),
    [
        ("NET3", "did you mean NET003?"),
        ("net-003", "did you mean NET003?"),
        ("NTE003", "did you mean NET003?"),
        ("NET999", "codes of NET: NET001 to NET0"),
        ("NET", "codes of NET: NET001 to NET0"),
        ("FOO001", "`fleet explain` lists every code"),
        ("E001", "`fleet explain` lists every code"),
        ("hello", "`fleet explain` lists every code"),
        ("", "`fleet explain` lists every code"),
        ("../../etc/passwd", "`fleet explain` lists every code"),
        ("A" * 100_000, "`fleet explain` lists every code"),
    ],
)
def test_only_what_was_plainly_meant_is_proposed(asked: str, help_text: str) -> None:
    assert near_code(asked, explanations(installed_rules()).keys()).startswith(help_text)


def test_the_command_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["explain", "NET3", "-i", str(tmp_path)]) == exits.USAGE
    assert "did you mean NET003?" in capsys.readouterr().err
