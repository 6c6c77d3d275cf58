"""A remembered plan is only ever that of the very same input: each part of the key is changed once."""

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fleet.adapters import toolkit_digest as toolkit
from fleet.adapters.plan_cache import PlanCache
from fleet.adapters.toolkit_digest import digest_of
from fleet.app.site import PROJECT, site_content
from fleet.cli import plan_workers
from fleet.cli.plan_workers import PlannedNow, plan_fleet, site_inputs
from fleet.cli.wiring import Parts, Workspace
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.plan.plan_file import NONE, SiteInputs
from fleet.plan.site_plan import FileChanges, PlannedChange, SitePlan, file_digests
from tests.factory import FACTORY, factory_inventory

INPUTS = SiteInputs("sha256:a", "sha256:b", NONE, NONE)
PLAN = SitePlan(
    "graz", "canary", "sha256:a", "sha256:c", (PlannedChange("update", "t", "n", ("a.b",)),), 4,
    FileChanges(("x",), ("y",), ("z",)), ("pending",), ("ignored",),
)  # fmt: skip


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    shutil.copytree(FACTORY, tmp_path / "fleet")
    return Parts(Workspace(tmp_path / "ws"), tmp_path / "fleet", "local")


@pytest.fixture
def graz() -> SiteSpec:
    return next(site.spec for site in factory_inventory().sites if site.name == "graz")


@dataclass
class Planner:
    """Stands for the engine: counts what it is asked."""

    asked: int = 0
    meanwhile: Callable[[], object] = lambda: None
    error: FleetError | None = None

    def __call__(self, parts: Parts, spec: SiteSpec) -> SitePlan:
        self.asked += 1
        self.meanwhile()
        if self.error is not None:
            raise self.error
        return replace(PLAN, site=spec.name, spec_digest=spec.digest)


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Planner]:
    made = Planner()
    monkeypatch.setattr(plan_workers, "plan_site", made)
    yield made


def once(parts: Parts, spec: SiteSpec) -> PlannedNow:
    return next(iter(plan_fleet(parts, [spec], 1, cached=True)))


def state_file(parts: Parts, spec: SiteSpec) -> Path:
    path = parts.workspace.state / PROJECT / f"{spec.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_plan_comes_back_whole(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "ws", "sha256:tool")
    assert cache.get("graz", INPUTS) is None
    cache.put(PLAN, INPUTS)
    assert cache.get("graz", INPUTS) == PLAN
    assert (tmp_path / "ws").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("part", ["spec", "program", "state", "published"])
def test_each_input_is_in_the_key(tmp_path: Path, part: str) -> None:
    cache = PlanCache(tmp_path, "sha256:tool")
    cache.put(PLAN, INPUTS)
    assert cache.get("graz", replace(INPUTS, **{part: "sha256:new"})) is None


def test_toolkit_and_site_are_in_the_key(tmp_path: Path) -> None:
    PlanCache(tmp_path, "sha256:tool").put(PLAN, INPUTS)
    assert PlanCache(tmp_path, "sha256:new").get("graz", INPUTS) is None
    folder = tmp_path / "cache" / "plans"
    (folder / "graz.json").rename(folder / "turin.json")
    assert PlanCache(tmp_path, "sha256:tool").get("turin", INPUTS) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[1,2,3]\n{}", None])
def test_a_damaged_file_is_passed_over(tmp_path: Path, damage: bytes | None) -> None:
    cache = PlanCache(tmp_path, "sha256:tool")
    cache.put(PLAN, INPUTS)
    path = tmp_path / "cache" / "plans" / "graz.json"
    path.write_bytes(path.read_bytes()[:-10] if damage is None else damage)
    assert cache.get("graz", INPUTS) is None


def test_what_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    PlanCache(tmp_path, "sha256:tool").put(PLAN, INPUTS)


def test_the_second_time_nothing_is_planned(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    assert not once(parts, graz).remembered
    again = once(parts, graz)
    assert again.remembered
    assert planner.asked == 1
    assert again.plan.changes == PLAN.changes


def test_no_cache_when_it_is_not_wanted(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    for _ in range(2):
        list(plan_fleet(parts, [graz], 1, cached=False))
    assert planner.asked == 2
    assert not parts.workspace.root.exists()


def test_a_changed_site_is_planned_again(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    once(parts, graz)
    value = graz.model_dump(mode="json", by_alias=True) | {"labels": {"line": "new"}}
    once(parts, SiteSpec.model_validate(value))
    assert planner.asked == 2


def test_a_changed_state_is_planned_again(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    once(parts, graz)
    state_file(parts, graz).write_text("{}")
    once(parts, graz)
    state_file(parts, graz).write_text("{ }")
    once(parts, graz)
    state_file(parts, graz).unlink()
    state_file(parts, graz).with_name("graz.json.bak").write_text("{}")  # the state was lost, not never there
    once(parts, graz)
    assert planner.asked == 4


def test_published_manifests_are_planned_again(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    once(parts, graz)
    content = site_content(graz)
    parts.workspace.artifacts.publish(content.url, content.artifact, file_digests(content.tree))
    once(parts, graz)
    assert planner.asked == 2


@dataclass(frozen=True)
class Program:
    spec: Any
    content: str
    adopted: tuple[str, ...] = ()


@pytest.mark.parametrize("other", [Program(None, "other ca"), Program(None, "ca", ("role",))])
def test_whatever_else_the_program_is_given_is_in_the_key(
    parts: Parts, graz: SiteSpec, planner: Planner, monkeypatch: pytest.MonkeyPatch, other: Program
) -> None:
    monkeypatch.setattr(plan_workers, "program_of", lambda *_: Program(graz, "ca"))
    once(parts, graz)
    monkeypatch.setattr(plan_workers, "program_of", lambda *_: replace(other, spec=graz))
    assert not once(parts, graz).remembered


def test_the_registrys_authority_is_read_from_its_file(parts: Parts, graz: SiteSpec) -> None:
    from tests.unit.test_plan_markdown import certificate

    assert graz.registry is not None
    named = graz.model_copy(update={"registry": graz.registry.model_copy(update={"ca_file": "ca.pem"})})
    missing = site_inputs(parts, named)
    (parts.inventory / "ca.pem").write_bytes(certificate("one"))
    one = site_inputs(parts, named)
    (parts.inventory / "ca.pem").write_bytes(certificate("two"))
    two = site_inputs(parts, named)
    assert len({missing.program, one.program, two.program}) == 3


def test_a_failed_plan_is_not_kept(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    planner.error = FleetError("ENG004", "a state file is cut")
    failed = once(parts, graz)
    assert failed.plan.error == "ENG004: a state file is cut"
    planner.error = None
    assert once(parts, graz).plan.error is None
    assert planner.asked == 2


def test_what_changed_while_it_was_planned_is_not_kept(
    parts: Parts, graz: SiteSpec, planner: Planner
) -> None:
    planner.meanwhile = lambda: state_file(parts, graz).write_text("{}")
    first = once(parts, graz)
    assert first.inputs.state == NONE
    state_file(parts, graz).unlink()
    planner.meanwhile = lambda: None
    assert not once(parts, graz).remembered


def test_the_toolkit_is_every_file_of_it_and_every_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a_toolkit"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n")
    (package / "templates" / "a.yaml").write_text("a: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = [digest_of(("a_toolkit",), ())]
    for name, text in (
        ("__init__.py", "x = 2\n"), ("templates/a.yaml", "a: 2\n"), ("catalog.yaml", ""), ("b.py", ""),
    ):  # fmt: skip
        (package / name).write_text(text)
        seen.append(digest_of(("a_toolkit",), ()))
    (package / "b.py").rename(package / "c.py")
    seen.append(digest_of(("a_toolkit",), ()))
    seen.append(digest_of(("a_toolkit",), ("pulumi",)))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    seen.append(digest_of(("a_toolkit",), ("pulumi",)))
    assert len(set(seen)) == len(seen)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "c.pyc").write_bytes(b"1")
    assert digest_of(("a_toolkit",), ("pulumi",)) == seen[-1]


def test_the_toolkit_holds_code_catalogue_stacks_and_templates() -> None:
    files = {f"{package}/{name}" for package in toolkit.PACKAGES for name, _ in toolkit._files(package)}
    for part in ("fleet/plan/site_plan.py", "fleet/catalog/azure.yaml", "fleet_stacks/program.py"):
        assert part in files
    assert any(name.startswith("fleet_templates/") and name.endswith(".yaml.j2") for name in files) or any(
        name.startswith("fleet_templates/") and not name.endswith(".py") for name in files
    )


def test_a_remembered_file_holds_no_value_of_the_site(parts: Parts, graz: SiteSpec, planner: Planner) -> None:
    once(parts, graz)
    body = (parts.workspace.root / "cache" / "plans" / "graz.json").read_bytes().partition(b"\n")[2]
    assert set(json.loads(body)) == set(SitePlan.__dataclass_fields__)


def test_workers_answer_in_the_order_of_the_sites() -> None:
    assert list(plan_workers.each(abs, [-6, 5, -4, 3, -2, 1], 2)) == [6, 5, 4, 3, 2, 1]


def test_a_worker_that_is_killed_is_an_error_with_a_way_on() -> None:
    with pytest.raises(FleetError, match="ended before its work") as caught:
        list(plan_workers.each(os._exit, [1, 1, 1, 1, 1], 2))
    assert "-j 1" in caught.value.help


def test_the_collector_of_garbage_is_left_as_it_was() -> None:
    before = gc.isenabled(), gc.get_freeze_count()
    assert list(plan_workers.each(abs, range(20), 1)) == list(range(20))
    assert (gc.isenabled(), gc.get_freeze_count()) == before
    with pytest.raises(ValueError, match="invalid literal"):
        list(plan_workers.each(int, ["x"], 1))
    assert (gc.isenabled(), gc.get_freeze_count()) == before
