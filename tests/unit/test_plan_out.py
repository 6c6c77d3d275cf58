"""`fleet plan --out` and `fleet rollout start --plan`: accepted as planned, refused when something changed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fleet.app.rollout import RunResult
from fleet.app.site import PROJECT
from fleet.cli import exits, plan_command, plan_out, plan_workers, rollout_commands
from fleet.cli.plan_command import run_plan
from fleet.cli.rollout_commands import run_start
from fleet.cli.wiring import Parts
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import PlannedChange, SitePlan
from fleet.render.artifact import tree_artifact
from fleet.render.tree import render_site
from fleet.rollout.events import RunState
from fleet.rollout.spec import RolloutSpec
from tests.factory import FACTORY


class Ground:
    """A fleet, a workspace and a plan, without an engine."""

    def __init__(self, root: Path) -> None:
        self.fleet, self.workspace, self.plan_file = root / "fleet", root / "ws", root / "plan.json"
        shutil.copytree(FACTORY, self.fleet)
        self.driven: list[RolloutSpec] = []

    def plan(self, *names: str, out: Path | None = None, output: str = "table") -> int:
        return run_plan(
            self.fleet, self.workspace, list(names), 1, output, False, None, out or self.plan_file
        )

    def start(self, plan: Path | None = None) -> int:
        return run_start(self.fleet, self.workspace, "local", True, "2", 0, plan or self.plan_file)

    def refused(self) -> FleetError:
        with pytest.raises(FleetError) as caught:
            self.start()
        assert not self.driven
        return caught.value

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.fleet / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def state(self, site: str) -> Path:
        path = self.workspace / "state" / PROJECT / f"{site}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def quick_plan(parts: Parts, spec: SiteSpec) -> SitePlan:
    """The engine is tested elsewhere; the artifact is the real one, for the rollout looks at it."""
    digest = tree_artifact(render_site(spec)).digest
    return SitePlan(spec.name, spec.ring, spec.digest, digest, (PlannedChange("create", "t", "n"),))


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    made = Ground(tmp_path)
    monkeypatch.setattr(plan_workers, "plan_site", quick_plan)
    monkeypatch.setattr(Parts, "require_rollout_target", lambda self: None)

    def drive(parts: Any, folder: Path, *, start: RolloutSpec, workers: int) -> RunResult:
        made.driven.append(start)
        return RunResult("r", RunState.COMPLETED, "", ())

    monkeypatch.setattr(rollout_commands, "drive", drive)
    monkeypatch.setattr(rollout_commands, "refuse_what_is_not_kept", lambda inventory: None)
    return made


def test_a_plan_that_holds_is_rolled_out(ground: Ground) -> None:
    assert ground.plan() == exits.OK
    assert ground.start() == exits.OK
    assert set(ground.driven[0].by_site) == {"graz", "narvik", "turin"}


def test_exactly_the_sites_of_the_plan_are_rolled_out(ground: Ground) -> None:
    ground.plan("turin")
    assert ground.start() == exits.OK
    assert set(ground.driven[0].by_site) == {"turin"}
    assert [ring.sites[0].site for ring in ground.driven[0].rings] == ["turin"]
    specs = next((ground.workspace / "plans").iterdir())
    assert [path.stem for path in specs.glob("*.json")] == ["turin"]


def test_the_same_plan_is_the_same_bytes(ground: Ground, tmp_path: Path) -> None:
    ground.plan()
    ground.plan(out=tmp_path / "again.json")
    assert ground.plan_file.read_bytes() == (tmp_path / "again.json").read_bytes()


def test_a_changed_site_is_refused_by_name(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.plan()
    ground.edit("sites/turin.yaml", "labels: {", "labels: {moved: again, ")
    error = ground.refused()
    assert (error.code, error.exit_code) == ("ROL008", exits.STALE)
    words = capsys.readouterr().err
    assert "turin: what the inventory says of it changed" in words
    assert "graz:" not in words


def test_a_changed_state_is_refused_by_name(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.plan()
    ground.state("graz").write_text("{}")
    assert ground.refused().exit_code == exits.STALE
    assert "graz: its recorded state changed" in capsys.readouterr().err


def test_another_toolkit_is_refused(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.plan()
    monkeypatch.setattr(plan_out, "toolkit_digest", lambda: "sha256:new")
    assert ground.refused().exit_code == exits.STALE
    assert "another version of fleet" in capsys.readouterr().err


def test_a_site_that_went_or_came_is_refused(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.plan()
    (ground.fleet / "sites" / "narvik.yaml").unlink()
    assert ground.refused().exit_code == exits.STALE
    assert "narvik: it is no longer in the inventory" in capsys.readouterr().err
    ground.plan()
    shutil.copy(FACTORY / "sites" / "narvik.yaml", ground.fleet / "sites")
    assert ground.refused().exit_code == exits.STALE
    assert "narvik: it was added" in capsys.readouterr().err


def test_steps_that_would_differ_are_refused(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    from fleet.plan import site_plan

    ground.plan()
    monkeypatch.setattr(site_plan, "PROGRAM_VERSION", -1)
    error = ground.refused()
    assert (error.code, error.exit_code) == ("ROL008", exits.STALE)
    assert "graz" in error.message


def test_a_plan_edited_by_hand_is_refused(ground: Ground) -> None:
    ground.plan()
    document = json.loads(ground.plan_file.read_text())
    document["sites"][0]["summary"]["create"] = 0
    ground.plan_file.write_text(json.dumps(document))
    error = ground.refused()
    assert (error.code, error.exit_code) == ("ROL018", exits.INTEGRITY)


def test_what_is_no_plan_is_refused(ground: Ground) -> None:
    ground.plan_file.write_text('{"version": 1}')
    assert ground.refused().code == "ROL017"
    ground.plan_file.unlink()
    assert ground.refused().code == "ENV021"
    ground.plan_file.mkdir()
    assert ground.refused().code == "ENV021"


def test_one_site_that_fails_does_not_stop_the_others(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(Parts, "require_rollout_target", lambda self: None)
    monkeypatch.setattr(rollout_commands, "refuse_what_is_not_kept", lambda inventory: None)
    ground.state("graz").write_text('{"version": 3, "depl')  # cut in half
    assert ground.plan() == exits.SITES_FAILED
    shown = capsys.readouterr()
    assert "2 of 3 sites would change" in shown.err
    rows = {site["site"]: site["error"] for site in json.loads(ground.plan_file.read_text())["sites"]}
    assert rows["narvik"] is rows["turin"] is None
    assert rows["graz"] and str(ground.state("graz")) in rows["graz"]
    error = ground.refused()
    assert (error.code, error.exit_code) == ("ROL019", exits.SITES_FAILED)
    assert "graz" in error.message


def test_unreadable_published_files_are_that_sites_error(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(parts: Parts, spec: SiteSpec) -> SitePlan:
        if spec.name == "graz":
            raise ValueError("Expecting value")
        return quick_plan(parts, spec)

    monkeypatch.setattr(plan_workers, "plan_site", broken)
    assert ground.plan() == exits.SITES_FAILED
    rows = {site["site"]: site["error"] for site in json.loads(ground.plan_file.read_text())["sites"]}
    assert rows == {"graz": "ENV021: a file of the workspace can't be read: Expecting value",
                    "narvik": None, "turin": None}  # fmt: skip


@pytest.mark.parametrize("kind", ["a folder", "no folder", "a device"])
def test_where_it_cannot_be_written_is_told_before_the_work(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(plan_workers, "plan_site", lambda *_: pytest.fail("it was planned"))
    out = {"a folder": tmp_path, "no folder": tmp_path / "no" / "plan.json", "a device": Path(os.devnull)}
    with pytest.raises(FleetError) as caught:
        ground.plan(out=out[kind])
    assert caught.value.code == "ENV021"


def test_a_dash_is_standard_output_and_nothing_else_is_there(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ground.plan(out=Path("-")) == exits.OK
    assert json.loads(capsys.readouterr().out)["kind"] == "fleet-plan"
    with pytest.raises(FleetError, match="both want standard output"):
        ground.plan(out=Path("-"), output="json")


def test_an_interrupted_plan_leaves_the_file_before_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.plan()
    before = ground.plan_file.read_bytes()

    def interrupted(*_: object) -> SitePlan:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan_workers, "plan_site", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ground.plan()
    assert ground.plan_file.read_bytes() == before
    assert sorted(path.name for path in ground.plan_file.parent.iterdir()) == ["fleet", "plan.json"]


def test_a_few_sites_leave_no_file_behind_and_many_are_remembered(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.plan()
    assert not ground.workspace.exists()
    monkeypatch.setattr(plan_command, "INLINE", 0)
    ground.plan()
    assert "of an earlier run" not in capsys.readouterr().err
    first = ground.plan_file.read_bytes()
    ground.plan()
    assert "3 plans are of an earlier run" in capsys.readouterr().err
    assert ground.plan_file.read_bytes() == first


def test_a_base_and_a_plan_to_keep_do_not_go_together(ground: Ground) -> None:
    with pytest.raises(FleetError) as caught:
        run_plan(ground.fleet, ground.workspace, [], 1, "table", False, ground.fleet, ground.plan_file)
    assert caught.value.exit_code == exits.USAGE


def test_nothing_secret_is_in_it(ground: Ground) -> None:
    ground.plan()
    text = ground.plan_file.read_text()
    for word in ("FLEET_LOCAL_ADMIN", "10.0.", "keyVault", "subscription"):
        assert word not in text
