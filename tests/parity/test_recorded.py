"""The local engine against what a Pulumi CLI did with the same programs, as `tests.parity.record` wrote it down."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.parity.cases import CASES, DIFFERENT, play
from tests.parity.programs import Program
from tests.parity.record import FILE, digest, sequence
from tests.parity.stages import Local

RECORDED: dict[str, Any] = json.loads(FILE.read_text())


def compare(folder: Path, programs: list[Program], answers: list[dict[str, Any]]) -> None:
    assert [a["program"] for a in answers] == [digest(p) for p in programs[: len(answers)]], (
        "these are not the programs that were recorded: run `python -m tests.parity.record` with a CLI on PATH"
    )
    with Local.open(folder / "local") as local:
        for program, answer in zip(programs, answers, strict=False):
            seen = play(local, program)
            if seen.failed:
                # Where each stops is a known difference; that both fail is not.
                assert answer["failed"], program
                return
            assert {"program": digest(program), **asdict(seen)} == answer, program


@pytest.mark.parametrize("name", CASES)
def test_cases(tmp_path: Path, name: str) -> None:
    compare(tmp_path, list(CASES[name]), RECORDED["cases"][name])


def test_what_is_dropped_with_something_protected_is_all_kept(tmp_path: Path) -> None:
    """On purpose: both fail, and Pulumi has deleted the other one by then."""
    name = "one of two that are dropped is protected"
    before, after = RECORDED["cases"][name]
    both = list(DIFFERENT[name])
    with Local.open(tmp_path / "local") as local:
        assert play(local, both[0]).world == before["world"]
        seen = play(local, both[1])
    assert (seen.failed, after["failed"]) == (True, True)
    assert (len(seen.world), len(after["world"])) == (2, 1)


@pytest.mark.parametrize("seed", RECORDED["generated"])
def test_generated_programs(tmp_path: Path, seed: str) -> None:
    compare(tmp_path, list(sequence(int(seed))), RECORDED["generated"][seed])
