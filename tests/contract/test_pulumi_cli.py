"""The pulumi engine against the CLI where it is installed, and against a recorder of its arguments."""

import shutil
from pathlib import Path

import pytest

from fleet.engine.pulumi_cli import PulumiCliEngine
from fleet.ports.engine import EngineError, StackRef, StackRun


def recorder(folder: Path, exit_code: int = 0) -> None:
    """A `pulumi` that writes down what it is given: a stand-in for the CLI."""
    program = folder / "pulumi"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/arguments"\ncat > "{folder}/input"\n'
        f'echo "error: no stack" >&2\nexit {exit_code}\n'
    )
    program.chmod(0o755)


def test_a_secret_goes_by_standard_input_and_never_by_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    PulumiCliEngine(tmp_path).set_secret("turin", "fleet:localAdmin", "administrator:Correct-Horse")
    assert "Correct-Horse" not in (tmp_path / "arguments").read_text()
    assert (tmp_path / "input").read_text() == "administrator:Correct-Horse"
    assert "--secret" in (tmp_path / "arguments").read_text().splitlines()


def test_a_refusal_of_the_cli_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder(tmp_path, exit_code=255)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(EngineError, match="pulumi config set failed: error: no stack"):
        PulumiCliEngine(tmp_path).set_secret("turin", "fleet:localAdmin", "administrator:Correct-Horse")


def declare_output() -> None:
    import pulumi

    pulumi.export("answer", 42)


@pytest.mark.skipif(
    shutil.which("pulumi") is None, reason="no `pulumi` on PATH: the real CLI was not exercised"
)
def test_the_real_cli_runs_a_program(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    env = {
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend",
        "PULUMI_CONFIG_PASSPHRASE": "only for this test",
    }
    run = StackRun(StackRef("fleet", "turin"), declare_output, secret_config={"localAdmin": "a:b"})
    result = PulumiCliEngine(tmp_path / "work", env).up(run)
    assert result.error is None
    assert result.outputs["answer"] == 42
