"""`fleet sandbox fault`: against a sandbox that runs in a workspace, and files of faults with mistakes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cli import exits
from fleet.cli.main import main
from fleet.sandbox.arm import ArmSandbox

SUB = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEET_WORKSPACE", str(tmp_path))
    (tmp_path / "sandbox").mkdir()
    return tmp_path


@pytest.fixture
def sandbox(workspace: Path) -> Iterator[ArmSandbox]:
    with ArmSandbox(workspace / "sandbox" / "arm", subscriptions=[SUB]) as running:
        connection = {
            "endpoint": running.endpoint,
            "caFile": str(running.ca_file),
            "tokenFile": str(workspace / "sandbox" / "arm" / "token"),
            "pid": os.getpid(),
        }
        (workspace / "sandbox" / "connection.json").write_text(json.dumps(connection))
        yield running


def fault(*arguments: str) -> int:
    return main(["sandbox", "fault", *arguments])


def test_a_fault_is_added_listed_and_cleared(sandbox: ArmSandbox, capsys: pytest.CaptureFixture[str]) -> None:
    kind = "Microsoft.KeyVault/vaults"
    assert fault("add", "--code", "QuotaExceeded", "--type", kind, "--method", "PUT", "--count", "2") == 0
    fault_id = capsys.readouterr().out.strip()
    (ordered,) = sandbox.faults.all()
    assert (ordered.id, ordered.status, ordered.methods, ordered.count) == (fault_id, 409, ("PUT",), 2)
    assert fault("list") == 0
    shown = capsys.readouterr().out
    assert fault_id in shown and "409 QuotaExceeded" in shown and "0 of 2" in shown
    assert fault("list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["faults"][0]["code"] == "QuotaExceeded"
    assert fault("clear", "nothing") == exits.USAGE
    assert fault("clear", fault_id) == 0
    assert sandbox.faults.all() == []
    assert fault("list") == 0 and "no faults" in capsys.readouterr().err


def test_a_file_of_faults_is_ordered(sandbox: ArmSandbox, tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults:\n  - {kind: throttle, probability: 0.1}\n  - {kind: slow, after: 60}\n")
    assert fault("run", str(file)) == 0
    assert [f.kind for f in sandbox.faults.all()] == ["throttle", "slow"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("faults:\n  - {kind: drop}\n  - kind: earthquake\n", 3, "'kind' is one of http"),
        ("faults:\n  - {kind: drop}\n  - path: '['\n    kind: drop\n", 3, "not a regular expression"),
        ("faults:\n  - path: 'a{99999999999999999999}'\n    kind: drop\n", 2, "not a regular expression"),
        ("faults:\n  - kind: drop\n    when: now\n", 3, "has no 'when'"),
        ("faults:\n  - kind: slow\n", 2, "needs 'after'"),
        ("faults:\n  - 3\n", 2, "a fault is a mapping"),
        ("faults:\n  - type: Microsoft.KeyVault/vault\n", 2, "no type 'Microsoft.KeyVault/vault'"),
        ("faults: []\n", 1, "at least one fault"),
        ("fault:\n  - {kind: drop}\n", 1, "has no 'fault'"),
        ("faults: [\n", 1, "not YAML"),
        ("", 1, "empty"),
    ],
)
def test_a_wrong_file_orders_nothing_and_names_the_line(
    sandbox: ArmSandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, line: int, words: str
) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(text)
    assert fault("run", str(file)) == exits.VALIDATION
    told = capsys.readouterr().err
    assert f"faults.yaml:{line}:" in told and words in told and "no fault was ordered" in told
    assert sandbox.faults.all() == []


def test_without_a_sandbox_it_says_what_to_do(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fault("list") == exits.MISSING
    assert "fleet sandbox start" in capsys.readouterr().err


def test_bad_options_are_a_usage_error(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fault("add", "--kind", "drop", "--status", "500") == exits.USAGE
    assert "SBF001" in capsys.readouterr().err
    assert fault("run", str(workspace / "absent.yaml")) == exits.UNEXPECTED
    assert "absent.yaml" in capsys.readouterr().err


def test_an_id_that_is_none_cancels_nothing(sandbox: ArmSandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert fault("add", "--kind", "drop") == 0
    for wrong in ("", "../../subscriptions", "a/b?c=#d", "%2e%2e"):
        assert fault("clear", wrong) == exits.USAGE
        assert "SBF002" in capsys.readouterr().err
    assert len(sandbox.faults.all()) == 1


def test_a_sandbox_that_is_gone_is_named(sandbox: ArmSandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.stop()
    assert fault("list") == exits.UNEXPECTED
    assert "SBF003" in capsys.readouterr().err
