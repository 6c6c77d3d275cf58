"""A rollout refuses what it would pass over: limits of a ring, and a site's maintenance windows."""

from pathlib import Path

import pytest

from fleet.cli import exits
from fleet.cli.main import main
from fleet.cli.rollout_commands import refuse_what_is_not_kept
from fleet.diagnostics.diagnostic import FleetError
from tests.factory import factory_files, factory_inventory, load
from tests.unit.rules.cases import FLEET, TURIN, Edits

RING = "  - name: broad\n    soakMinutes: 0\n"
WINDOW = "maintenance: {timeZone: Europe/Rome, windows: [{days: [sun], start: '02:00', minutes: 240}]}\n"


def edits_of(field: str) -> Edits:
    return {FLEET: [(RING, f"{RING}    {field}\n")]}


@pytest.mark.parametrize(
    ("edits", "message", "help_text"),
    [
        (edits_of('maxConcurrent: "2"'), "the ring 'broad' sets 'maxConcurrent'", "--max-concurrency"),
        (edits_of('maxUnavailable: "50%"'), "the ring 'broad' sets 'maxUnavailable'", "--max-concurrency"),
        (edits_of("maxFailures: 1"), "the ring 'broad' sets 'maxFailures'", "--max-failures"),
        (edits_of("approval: {approvers: [change-board]}"), "the ring 'broad' sets 'approval'", "rollout pause"),
        ({TURIN: [("labels:", WINDOW + "labels:")]}, "the site 'turin' sets 'maintenance'", "may be changed"),
    ],
)  # fmt: skip
def test_what_a_rollout_would_pass_over_is_refused(edits: Edits, message: str, help_text: str) -> None:
    inventory, _ = load(factory_files(edits))
    assert inventory is not None
    with pytest.raises(FleetError) as refused:
        refuse_what_is_not_kept(inventory)
    assert refused.value.code == "ROL016"
    assert message in refused.value.message
    assert help_text in refused.value.help


def test_no_failures_is_what_rollouts_do_anyway() -> None:
    refuse_what_is_not_kept(factory_inventory(edits_of("maxFailures: 0")))


def test_the_command_refuses_before_it_writes_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, text in factory_files({TURIN: [("labels:", WINDOW + "labels:")]}).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    workspace = tmp_path / "work"
    arguments = ["rollout", "start", "-i", str(tmp_path), "--workspace", str(workspace), "--yes"]
    assert main(arguments) == exits.USAGE
    assert "ROL016" in capsys.readouterr().err
    assert not workspace.exists()
