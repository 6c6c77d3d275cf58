"""`# fleet: ignore[CODE] reason`: what it sets aside, what not, and what is wrong with it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.app.validate import report
from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.diagnostics.machine import diagnostics_json
from fleet.diagnostics.suppress import Report, suppress
from fleet.inventory.load import load_inventory
from fleet.inventory.rule import installed_rules
from fleet.inventory.source import SourceFile
from tests.factory import factory_files, places

GRAZ, FLEET = "sites/graz.yaml", "fleet.yaml"
KNOWN = {"NET003", "NET009", "TOL002", "SEC001"}


def over(text: str, *found: tuple[str, int], complete: bool = True) -> Report:
    """What the comments of `text` make of findings, given as code and line."""
    source = SourceFile("f.yaml", text.encode())
    diagnostics = [Diagnostic(code, "error", "m", Span("f.yaml", n, 1, n, 2)) for code, n in found]
    return suppress(diagnostics, [source], KNOWN, complete=complete)


def codes(result: Report) -> list[str]:
    return [f"{d.code}:{d.span.line}" for d in result.found]


def in_the_factory(path: str, old: str, new: str) -> Report:
    files = factory_files({path: [(old, new)]})
    sources = {name: SourceFile(name, text.encode()) for name, text in files.items()}
    inventory, shape = load_inventory(sources.pop(FLEET), list(sources.values()))
    return report(inventory, shape, installed_rules())


@pytest.mark.parametrize(
    "text",
    [
        "a: 1  # fleet: ignore[NET003] why",
        "# fleet: ignore[NET003] why\na: 1",
        "  # fleet: ignore[ NET003 ,NET009 ]  why  \na: 1 # other",
        "a: 1 #fleet:ignore[NET003]why",
        "a: 1\t# fleet:  ignore[NET003] why",
        "# fleet: ignore[NET003] why\n# one more remark\na: 1",
        "# fleet: ignore[TOL002] this\n# fleet: ignore[NET003] why\na: 1",
        "'# ': 1  # fleet: ignore[NET003] why",
        'a: "x # y"  # fleet: ignore[NET003] why',
        "a: |  # fleet: ignore[NET003] why\n  text",
        "a: x#y  # fleet: ignore[NET003] why",
        "ä: {b: [1, 'ö # ']}  # fleet: ignore[NET003] why",
    ],
)
def test_a_suppression_at_the_line_or_alone_above(text: str) -> None:
    line = 1 + max(
        n for n, part in enumerate(text.split("\n")) if not part.strip().startswith("#") and part[0] != " "
    )
    result = over(text, ("NET003", line), complete=False)
    assert codes(result) == []
    assert [s.reason for s in result.suppressed] == ["why"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1  # fleet: ignore[NET009] why", 1),  # another code
        ("a: 1  # fleet: ignore[NET003] why\nb: 1", 2),  # at the end of the line above: about that line
        ("# fleet: ignore[NET003] why\n\na: 1", 3),  # a blank line between
        ("a: 1\n# fleet: ignore[NET003] why", 1),  # below
        ("a: '# fleet: ignore[NET003] why'", 1),
        ('a: "b\n  # fleet: ignore[NET003] why\n  c"\nd: 1', 3),
        ("a: |\n  # fleet: ignore[NET003] why\n  b\nc: 1", 3),
        ("a: >-\n  b # fleet: ignore[NET003] why\nc: 1", 2),
        ("a: b# fleet: ignore[NET003] why", 1),  # no comment: nothing before its sign
        ("a: 1  # see # fleet: ignore[NET003] why", 1),  # not the comment's start
        ("a: 1  # fleet: ignored[NET003] why", 1),
    ],
)
def test_what_suppresses_nothing(text: str, line: int) -> None:
    result = over(text, ("NET003", line), complete=False)
    assert codes(result) == [f"NET003:{line}"]
    assert result.suppressed == ()


def test_only_findings_of_its_own_file_are_set_aside() -> None:
    other = Diagnostic("NET003", "error", "m", Span("other.yaml", 1, 1, 1, 2))
    source = SourceFile("f.yaml", b"a: 1  # fleet: ignore[NET003] why")
    assert suppress([other], [source], KNOWN, complete=False).found == (other,)


def test_at_the_last_line_of_a_long_value() -> None:
    found = Diagnostic("NET003", "error", "m", Span("f.yaml", 1, 4, 2, 5))
    source = SourceFile("f.yaml", b"a: [1,\n  2]  # fleet: ignore[NET003] why")
    assert suppress([found], [source], KNOWN).found == ()


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("ignore[NET003]", "SUP001 f.yaml:1 the suppression of NET003 gives no reason"),
        ("ignore[NET003]   ", "SUP001 f.yaml:1 the suppression of NET003 gives no reason"),
        ("ignore", "SUP001 f.yaml:1 a suppression that names no code"),
        ("ignore NET003 why", "SUP001 f.yaml:1 a suppression that names no code"),
        ("ignore[] why", "SUP001 f.yaml:1 a suppression that names no code"),
        ("ignore[NET003 why", "SUP001 f.yaml:1 a suppression that names no code"),
        ("ignore[" + "A" * 10_000 + "] why", "SUP001 f.yaml:1 a suppression that names no code"),
        ("ignore[NET009] why", "SUP002 f.yaml:1 nothing to suppress: NET009 finds nothing here"),
        ("ignore[NET03] why", "SUP003 f.yaml:1 there is no rule 'NET03'"),
        ("ignore[net003] why", "SUP003 f.yaml:1 there is no rule 'net003'"),
        ("ignore[INV010] why", "SUP004 f.yaml:1 INV010 can't be suppressed"),
        ("ignore[SEC001] why", "SUP004 f.yaml:1 SEC001 can't be suppressed"),
        ("ignore[SUP002] why", "SUP004 f.yaml:1 SUP002 can't be suppressed"),
    ],
)
def test_what_is_wrong_with_a_suppression(comment: str, expected: str) -> None:
    result = over(f"a: 1  # fleet: {comment}", ("NET003", 1))
    (wrong,) = [d for d in result.found if d.code.startswith("SUP")]
    assert places([wrong]) == [expected]
    assert wrong.severity == ("warning" if wrong.code == "SUP002" else "error")
    assert wrong.help
    assert wrong.span.column == 7
    assert "NET003:1" in codes(result)  # it had no effect


def test_an_unknown_code_is_answered_with_the_nearest() -> None:
    assert over("a: 1 # fleet: ignore[NET03] why").found[0].help == "did you mean 'NET003'?"


def test_each_code_of_several_is_judged_alone() -> None:
    result = over("a: 1 # fleet: ignore[NET003, NET009, NET003, NET00X] why", ("NET003", 1), ("NET003", 1))
    assert codes(result) == ["SUP002:1", "SUP003:1"]
    assert len(result.suppressed) == 2


def test_nothing_is_unused_while_not_everything_was_checked() -> None:
    assert over("a: 1 # fleet: ignore[NET009] why", complete=False).found == ()


def test_files_without_suppressions_are_not_scanned() -> None:
    broken = SourceFile("f.yaml", b"\xff: [")
    assert suppress([], [broken], KNOWN) == Report(())


def test_a_file_that_is_not_yaml_has_no_suppressions() -> None:
    assert over("a: 1  # fleet: ignore[NET003] why\nb: @", ("NET003", 1)).suppressed == ()


def test_the_reason_is_not_quoted_from_a_line_with_a_secret() -> None:
    secret = "sk-" + "a1B2" * 8
    result = over(f"a: {secret}  # fleet: ignore[NET003] was {secret}", ("NET003", 1))
    assert [s.reason for s in result.suppressed] == ["…"]
    result = over(f"a: {secret}  # fleet: ignore[NET003]")
    assert [d.source_line for d in result.found] == [None]


@given(st.text(alphabet="a: |>-'\"#\n[]{},&*!fleet:ignore[NET003]\t\r😀", max_size=80))
def test_no_text_is_a_crash_or_moves_a_line(noise: str) -> None:
    for text in (noise, noise + "\n# fleet: ignore[NET003] why\n", noise + " # fleet: ignore[NET003"):
        result = over(text)
        lines = len(re.split("\r\n|[\r\n]", text))
        assert all(1 <= d.span.line <= lines for d in result.found)


def test_many_signs_in_many_quotes_take_linear_work() -> None:
    """Quadratic, this would be 10^10 comparisons."""
    text = "a: [" + "' # x'," * 100_000 + "]  # fleet: ignore[NET003] why"
    assert len(over(text, ("NET003", 1)).suppressed) == 1


def test_many_comments_in_a_row_take_linear_work() -> None:
    """Quadratic, this would be 10^9 lines looked at."""
    text = "# fleet: ignore[NET003] why\n" * 20_000 + "a: 1"
    assert len(over(text, ("NET003", 20_001)).suppressed) == 1


def test_only_the_first_unknown_codes_name_the_nearest() -> None:
    found = over("a: 1\n" + "".join(f"b{n}: 1  # fleet: ignore[NET03] why\n" for n in range(300))).found
    assert [d.help for d in found].count("did you mean 'NET003'?") == 100
    assert len(found) == 300


def test_a_finding_of_a_rule_is_set_aside_at_its_line() -> None:
    comment = "  # fleet: ignore[TOL002] the plant's brokers move, until May"
    result = in_the_factory(
        GRAZ, "{cidr: 10.30.8.21/32, port: 1433}", "{cidr: 10.0.0.0/8, port: 1433}" + comment
    )
    assert result.found == ()
    (aside,) = result.suppressed
    assert (aside.diagnostic.code, aside.reason) == ("TOL002", "the plant's brokers move, until May")
    document = diagnostics_json(result.found, 3, result.suppressed)
    assert document["errors"] == 0
    assert [(s["code"], s["line"], s["reason"]) for s in document["suppressed"]] == [
        ("TOL002", aside.diagnostic.span.line, aside.reason)
    ]


def test_a_finding_in_a_shared_layer_is_set_aside_for_all_sites() -> None:
    assert in_the_factory(FLEET, "maxRetries: 2", "maxRetries: 5").found != ()
    old = "      policies: {timeoutSeconds: 30, maxRetries: 2"
    new = "      # fleet: ignore[AGT005] the plant's network loses packets\n" + old.replace("2", "5")
    result = in_the_factory(FLEET, old, new)
    assert result.found == ()
    assert result.suppressed[0].diagnostic.sites == ("graz", "narvik", "turin")


def test_errors_of_shape_stay() -> None:
    result = in_the_factory(GRAZ, "ring: broad\n", "ring: broad\nrig: x  # fleet: ignore[INV010] for later\n")
    assert [d.code for d in result.found] == [
        "INV010"
    ]  # the file could not be used: its comments were not read


def test_a_literal_secret_stays() -> None:
    secret = "sk-" + "a1B2" * 8
    result = in_the_factory(GRAZ, "line: assembly}", f"line: {secret}}}  # fleet: ignore[SEC001] only a test")
    assert [d.code for d in result.found] == ["SEC001", "SUP004"]
    assert secret not in repr(result)


def test_the_command_counts_what_is_suppressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in factory_files(
        {GRAZ: [("10.30.8.21/32, port: 1433}", "10.0.0.0/8, port: 1433}  # fleet: ignore[TOL002] why")]}
    ).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["validate", "-i", str(tmp_path)]) == exits.OK
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 sites: no problems found; 1 suppressed" in captured.err
