"""Planning and applying a site: what is asked of the engine, and when a validation is not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet.adapters.applied_marks import AppliedMarks
from fleet.adapters.oci_layout import LayoutStore
from fleet.app.site import CLUSTER_PROVIDER, LEFT_OUT, PLANNED, ClusterAccess, SiteApplier, site_content
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.secrets import HostSecretRef
from fleet.model.site import SiteSpec
from fleet.ports.engine import (
    EngineError,
    EngineFailure,
    OnEvent,
    PropertyChange,
    ResourceChange,
    StackRef,
    StackResource,
    StackResult,
    StackRun,
)
from tests.factory import factory_inventory

STACK = StackRef("fleet", "graz")


class FakeEngine:
    """Answers with what it was given and remembers what it was asked."""

    def __init__(self, result: StackResult | Exception, resources: tuple[StackResource, ...] = ()) -> None:
        self.result, self.recorded = result, resources
        self.asked: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = []

    def _answer(self, what: str, run: StackRun) -> StackResult:
        self.asked.append((what, run.config, run.secret_config))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def preview(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        return self._answer("preview", run)

    def up(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        return self._answer("up", run)

    def refresh(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        return self._answer("refresh", run)

    def destroy(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        return self._answer("destroy", run)

    def resources(self, stack: StackRef) -> tuple[StackResource, ...]:
        return self.recorded


class FakeSecrets:
    def resolve(self, ref: HostSecretRef) -> str:
        if ref.env == "MISSING":
            raise FleetError("SEC010", "the environment has no MISSING")
        return f"user:{ref.env}"


def graz(**edits: Any) -> SiteSpec:
    site = factory_inventory(**edits).site("graz")
    assert site is not None
    return site.spec


def applier(engine: FakeEngine, tmp_path: Path) -> SiteApplier:
    return SiteApplier(engine, LayoutStore(tmp_path), FakeSecrets(), lambda *_: lambda: None)


def result(*changes: ResourceChange, **fields: Any) -> StackResult:
    counts: dict[Any, int] = {}
    for change in changes:
        counts[change.op] = counts.get(change.op, 0) + 1
    return StackResult(STACK, changes, counts, {}, **fields)


def settings(mode: str, **fields: Any) -> StackResource:
    return StackResource("urn:x::deployment", "azure-native:resources:Resource", "deployment", {"properties": {"deploymentMode": mode}}, **fields)  # fmt: skip


@pytest.mark.parametrize(
    ("recorded", "validates"),
    [
        ((), True),
        ((settings("Validate"),), True),
        ((settings("Validate", failed=True),), True),
        ((settings("Deploy"),), False),
        ((settings("Deploy", failed=True),), False),
        ((settings("Deploy", pending=True),), False),
    ],
)
def test_a_site_is_validated_until_a_deployment_was_asked_for(
    recorded: tuple[StackResource, ...], validates: bool, tmp_path: Path
) -> None:
    engine = FakeEngine(result(), recorded)
    spec = graz()
    outcome = applier(engine, tmp_path).run_step(spec, "validate", site_content(spec))
    assert outcome.ok
    assert [(what, config["phase"]) for what, config, _ in engine.asked] == (
        [("up", "validate")] if validates else []
    )


def test_a_plan_asks_for_no_secret_and_a_deployment_does(tmp_path: Path) -> None:
    engine = FakeEngine(result())
    spec = graz()
    applier(engine, tmp_path).plan(spec)
    applier(engine, tmp_path).run_step(spec, "deploy", site_content(spec))
    assert [(what, sorted(secrets)) for what, _, secrets in engine.asked] == [
        ("preview", []),
        ("up", ["lcmUser", "localAdmin"]),
    ]


def test_a_plan_tells_changes_pending_operations_and_differences_that_stay(tmp_path: Path) -> None:
    engine = FakeEngine(
        result(
            ResourceChange(
                "urn:a::vault", "t", "vault", "update", (PropertyChange("tags.ring", "update", "a", "b"),)
            ),
            ResourceChange("urn:a::cluster", "t", "cluster", "same", ignored=("properties.podCidr",)),
            ResourceChange("urn:a::machine", "t", "machine", "read"),
            pending=("urn:a::flux",),
        )
    )
    plan = applier(engine, tmp_path).plan(graz())
    assert [(c.op, c.name, c.paths) for c in plan.changes] == [("update", "vault", ("tags.ring",))]
    assert (plan.unchanged, plan.pending, plan.ignored) == (1, ("flux",), ("cluster: properties.podCidr",))
    assert plan.changed


def test_what_fails_is_a_value_with_code_and_words(tmp_path: Path) -> None:
    spec = graz()
    failure = EngineFailure("urn:pulumi:graz::fleet::t::cluster", "QuotaExceeded", "no more")
    outcome = applier(FakeEngine(result(error=failure)), tmp_path).run_step(
        spec, "deploy", site_content(spec)
    )
    assert (outcome.ok, outcome.code, outcome.message) == (False, "QuotaExceeded", "cluster: no more")
    broken = applier(FakeEngine(EngineError("the state is gone", "copy it back")), tmp_path)
    assert not broken.run_step(spec, "deploy", site_content(spec)).ok
    assert "the state is gone" in str(broken.plan(spec).error)
    secretless = graz(edits={"fleet.yaml": [("lcmUser: {env: FLEET_LCM_USER}", "lcmUser: {env: MISSING}")]})
    outcome = applier(FakeEngine(result()), tmp_path).run_step(secretless, "deploy", site_content(secretless))
    assert (outcome.ok, outcome.code) == (False, "SEC010")


def test_what_fails_before_the_preview_is_in_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendering, and reading what was published: neither may end `fleet up` for the other sites."""

    def fails(*_: Any) -> Any:
        raise FleetError("ART001", "it cannot be read")

    engine = FakeEngine(result())
    with monkeypatch.context() as patch:
        patch.setattr(LayoutStore, "published_files", fails)
        plan = applier(engine, tmp_path).plan(graz())
    assert plan.error is not None
    assert "it cannot be read" in plan.error
    assert plan.artifact_digest == site_content(graz()).artifact.digest
    monkeypatch.setattr("fleet.app.site.render_site", fails)
    plan = applier(engine, tmp_path).plan(graz())
    assert plan.error is not None
    assert "it cannot be read" in plan.error
    assert (plan.site, plan.artifact_digest, plan.changed) == ("graz", "", False)
    assert engine.asked == []


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    spec = graz()
    outcome = applier(FakeEngine(result()), tmp_path).run_step(spec, "explode", site_content(spec))
    assert (outcome.ok, outcome.code) == (False, "ROL001")


def test_publishing_says_what_changed_against_what_was_published(tmp_path: Path) -> None:
    site = applier(FakeEngine(result()), tmp_path)
    first = graz()
    added = site.run_step(first, "publish", site_content(first)).detail["files"]["added"]
    assert len(added) == len(site_content(first).tree.files)
    second = graz(edits={"fleet.yaml": [("maxRetries: 2", "maxRetries: 1")]})
    assert site.run_step(second, "publish", site_content(second)).detail["files"] == {
        "added": (),
        "changed": ("workloads/agents/maf-agent-api.yaml",),
        "removed": (),
    }
    assert site.run_step(second, "publish", site_content(second)).message == "already there"


def test_publishing_goes_on_after_a_kill_between_index_and_list(tmp_path: Path) -> None:
    store, spec = LayoutStore(tmp_path), graz()
    site = applier(FakeEngine(result()), tmp_path)
    site.run_step(spec, "publish", site_content(spec))
    (store.folder(site_content(spec).url) / "files.json").unlink()
    assert site.plan(spec).files
    site.run_step(spec, "publish", site_content(spec))
    assert not site.plan(spec).files


def test_marks(tmp_path: Path) -> None:
    marks = AppliedMarks(tmp_path / "applied")
    assert not marks.holds("graz", "sha256:a")
    marks.put("graz", "sha256:a")
    assert marks.holds("graz", "sha256:a")
    assert not marks.holds("graz", "sha256:b")
    marks.take_away("graz")
    marks.take_away("graz")
    assert not marks.holds("graz", "sha256:a")


def with_cluster(name: str) -> SiteSpec:
    edit = ("kubernetes:\n", f"kubernetes:\n  kubeconfig: {{env: {name}}}\n")
    return graz(edits={"sites/graz.yaml": [edit]})


IN_CLUSTER = StackResource("urn:x::flux-source", "kubernetes:source.toolkit.fluxcd.io/v1:OCIRepository", "flux-source", {})  # fmt: skip


def test_a_kubeconfig_is_for_deployments_only(tmp_path: Path) -> None:
    engine, spec = FakeEngine(result()), with_cluster("GRAZ_KUBECONFIG")
    made = applier(engine, tmp_path)
    assert made.run_step(spec, "validate", site_content(spec)).ok
    assert made.run_step(spec, "deploy", site_content(spec)).ok
    assert [secrets.get("kubeconfig") for *_, secrets in engine.asked] == [None, "user:GRAZ_KUBECONFIG"]
    assert "user:" not in repr(made.cluster(spec))


def test_a_kubeconfig_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    spec = with_cluster("MISSING")
    outcome = applier(FakeEngine(result()), tmp_path).run_step(spec, "deploy", site_content(spec))
    assert outcome.ok
    assert "what is in the cluster waits: the environment has no MISSING" in outcome.message
    assert outcome.detail[LEFT_OUT] == "the environment has no MISSING"
    assert applier(FakeEngine(result()), tmp_path).cluster(graz()) == ClusterAccess()


def test_a_kubeconfig_that_is_gone_stops_a_run_before_it_drops_what_it_does_not_see(tmp_path: Path) -> None:
    spec, engine = with_cluster("MISSING"), FakeEngine(result(), (IN_CLUSTER,))
    outcome = applier(engine, tmp_path).run_step(spec, "deploy", site_content(spec))
    assert (outcome.ok, outcome.code) == (False, "SEC010")
    assert engine.asked == []


def test_a_plan_without_the_kubeconfig_shows_all_but_the_credential(tmp_path: Path) -> None:
    provider = ResourceChange("urn:p", CLUSTER_PROVIDER, "kubernetes", "update")
    source = ResourceChange("urn:s", IN_CLUSTER.type, "flux-source", "update")
    moved = ResourceChange("urn:p", CLUSTER_PROVIDER, "kubernetes", "replace")
    made, spec = applier(FakeEngine(result(provider, source)), tmp_path), with_cluster("MISSING")
    assert [change.name for change in made.plan(spec, PLANNED).changes] == ["flux-source"]
    assert len(made.plan(spec, ClusterAccess("given")).changes) == 2
    assert len(applier(FakeEngine(result(moved)), tmp_path).plan(spec, PLANNED).changes) == 1
