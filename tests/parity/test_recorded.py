"""The local engine against what a Pulumi CLI did with the same programs, as `tests.parity.record` wrote it down."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parity.cases import CASES, DIFFERENT, play, told_alike
from tests.parity.programs import Program
from tests.parity.record import FILE, digest, sequence
from tests.parity.stages import Local

RECORDED: dict[str, Any] = json.loads(FILE.read_text())


def to_the_letter(one: dict[str, str], other: dict[str, str], program: Program) -> bool:
    return one == other


def compare(
    folder: Path, programs: list[Program], answers: list[dict[str, Any]], alike: Any = told_alike
) -> None:
    assert [a["program"] for a in answers] == [digest(p) for p in programs[: len(answers)]], (
        "these are not the programs that were recorded: run `python -m tests.parity.record` with a CLI on PATH"
    )
    with Local.open(folder / "local") as local:
        for program, answer in zip(programs, answers, strict=False):
            seen = play(local, program)
            assert seen.failed == answer["failed"], program
            if not seen.failed:
                assert alike(answer["preview"], seen.preview, program), program
                assert alike(answer["up"], seen.up, program), program
                assert seen.world == answer["world"], program


@pytest.mark.parametrize("name", CASES)
def test_cases(tmp_path: Path, name: str) -> None:
    compare(tmp_path, list(CASES[name]), RECORDED["cases"][name])


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.xfail(reason="a difference that is known: docs/parity.md", strict=False)
def test_known_differences(tmp_path: Path, name: str) -> None:
    compare(tmp_path, list(DIFFERENT[name]), RECORDED["cases"][name], to_the_letter)
    # After a failure the worlds are compared too: what each engine still did.
    assert not RECORDED["cases"][name][-1]["failed"], "the engines stop at different points"


@pytest.mark.parametrize("seed", RECORDED["generated"])
def test_generated_programs(tmp_path: Path, seed: str) -> None:
    compare(tmp_path, list(sequence(int(seed))), RECORDED["generated"][seed])
