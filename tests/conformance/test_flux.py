"""Flux's own kustomize-controller takes what is rendered: the artifact's bytes, the order, waiting, pruning.

Real: the controller, API server, scheduler and controllers of Kubernetes. Stand-ins: source-controller
(tests/conformance/flux.py) and the nodes (KWOK).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.model.site import SiteSpec
from fleet.render.artifact import Artifact, tree_artifact
from fleet.render.tree import RenderedTree, render_site
from tests.conformance.cluster import Cluster, wait_until
from tests.conformance.definitions import definitions
from tests.conformance.flux import ENTRY, Flux, running_flux
from tests.conformance.nodes import nodes_of
from tests.conformance.rendering import rendered
from tests.conformance.running import running_cluster
from tests.factory import Edits, factory_inventory

SITE = "graz"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), nodes=True) as running:
        running.install(definitions())
        for node in nodes_of(site()):
            running.create(node)
        yield running


@pytest.fixture
def flux(cluster: Cluster, tmp_path: Path) -> Iterator[Flux]:
    with running_flux(cluster, tmp_path) as running:
        yield running


def site(edits: Edits | None = None) -> SiteSpec:
    """Without its ingress, a chart: Flux's helm-controller, which says when one is ready, does not run here."""
    found = factory_inventory(edits).site(SITE)
    assert found is not None
    platform = found.spec.platform.model_copy(update={"ingress": None})
    return found.spec.model_copy(update={"platform": platform})


def artifact_of(files: dict[str, str]) -> Artifact:
    return tree_artifact(RenderedTree(SITE, files))


def test_a_site_is_delivered_changed_and_pruned(cluster: Cluster, flux: Flux) -> None:
    tree = render_site(site())
    first = tree_artifact(tree)
    flux.publish(first)
    flux.deliver(site())
    flux.wait_applied(first.digest)
    assert set(flux.conditions()) >= {ENTRY, "platform", "inference", "tools", "agents"}
    for document in rendered(tree):
        assert cluster.get(cluster.path(document.value)), document.name

    without_tools = site({"fleet.yaml": [
        ("      tools: [work-orders]\n", "      tools: []\n"),
    ], "sites/graz.yaml": []})  # fmt: skip
    changed = render_site(without_tools.model_copy(update={"tools": {}}))
    second = tree_artifact(changed)
    flux.publish(second)
    flux.wait_applied(second.digest)
    assert "tools" not in flux.conditions(), "the part went"
    assert cluster.get("/apis/apps/v1/namespaces/tools/deployments")["items"] == [], "and what it had brought"
    assert cluster.get("/apis/apps/v1/namespaces/agents/deployments")["items"], "and nothing else"

    flux.withdraw()
    wait_until(lambda: not cluster.get("/apis/apps/v1/deployments")["items"], "the workloads were not pruned")


def test_what_depends_on_a_failing_part_waits(cluster: Cluster, flux: Flux) -> None:
    """Inference does not come up, so agents do not start; the message says which part."""
    files = dict(render_site(site()).files)
    name = next(path for path in files if path.startswith("platform/inference/") and "/kustom" not in path)
    files[name] = files[name].replace("kind: Deployment", "kind: Deploiment")
    broken = artifact_of(files)
    flux.publish(broken)
    flux.deliver(site())

    def told() -> bool:
        found = flux.conditions()
        return (
            found.get("platform", ("",))[0] == "True"
            and "Deploiment" in found.get("inference", ("", "", ""))[2]
            and "inference" in found.get("agents", ("", "", ""))[2]
        )

    wait_until(told, f"Flux did not say it: {flux.conditions()}", seconds=60)
    assert cluster.get("/apis/apps/v1/namespaces/agents/deployments")["items"] == []
    mended = tree_artifact(render_site(site()))
    flux.publish(mended)
    flux.wait_applied(mended.digest)
    flux.withdraw()


def test_an_artifact_whose_bytes_are_not_its_digests_is_refused(flux: Flux) -> None:
    good = tree_artifact(render_site(site()))
    other = tree_artifact(RenderedTree(SITE, {"clusters/graz/kustomization.yaml": "resources: []\n"}))
    layer = next(blob for blob in other.blobs.values() if blob.startswith(b"\x1f\x8b"))
    digest = next(name for name, blob in good.blobs.items() if blob.startswith(b"\x1f\x8b"))
    flux.publish(Artifact(good.manifest, good.digest, {digest: layer}))
    flux.deliver(site())
    wait_until(
        lambda: "digest" in flux.conditions().get(ENTRY, ("", "", ""))[2].lower(),
        f"it was taken: {flux.conditions()}",
        seconds=60,
    )
    flux.withdraw()
