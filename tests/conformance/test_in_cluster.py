"""What the program declares in a site's cluster, through the local engine and our provider, on a real API server.

Flux's definitions are read from ../shared/contracts, which only a checkout of this project's makers has;
elsewhere these tests are skipped. Helm releases are not part of it: the stand-in runs no Helm.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pulumi
import pytest

from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.model.site import SiteSpec
from fleet.ports.engine import RunOptions, StackRef, StackResult, StackRun
from fleet.sandbox.providers import SandboxProviders
from fleet_stacks.in_cluster import InCluster, InClusterArgs
from fleet_stacks.program import FluxContent
from tests.conformance.cluster import Cluster, Document, documents, wait_until
from tests.conformance.running import running_cluster
from tests.factory import ROOT, factory_inventory

CRDS = ROOT.parent / "shared" / "contracts" / "crds"
DEFINITIONS = ("source.toolkit.fluxcd.io_ocirepositories", "kustomize.toolkit.fluxcd.io_kustomizations")
CONTENT = FluxContent("oci://registry.factory.example/fleet/site", "sha256:" + "5" * 64, "LS0tLS1CRUdJTg==")
NEWER = FluxContent(CONTENT.url, "sha256:" + "6" * 64, CONTENT.ca_certificate)
IMAGE = "registry.factory.example/distribution/distribution:3.0.0@sha256:" + "7" * 64
SOURCE = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/fleet"
PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    if not CRDS.is_dir():
        pytest.skip("Flux's definitions are not beside this checkout (../shared)")
    with running_cluster(folder, nodes=True) as running:
        for name in DEFINITIONS:
            for definition in documents((CRDS / f"{name}.yaml").read_text()):
                running.apply(definition)
                wait_until(partial(established, running, definition), f"{name} is not served")
        yield running


def established(cluster: Cluster, definition: Document) -> bool:
    status = cluster.get(cluster.path(definition.value)).get("status", {})
    # Null until the API server has looked at it.
    return any(c["type"] == "Established" and c["status"] == "True" for c in status.get("conditions") or ())


def declare(spec: SiteSpec, content: FluxContent, image: str | None) -> None:
    kubeconfig = pulumi.Config("fleet").require_secret("kubeconfig")
    ready = pulumi.ComponentResource("test:index:Ready", "ready")
    InCluster("in-cluster", InClusterArgs(spec, content, kubeconfig, ready, image, helm=False))


class Site:
    """One stack of the in-cluster part alone; `up` and its like run it with the local engine."""

    def __init__(self, folder: Path, kubeconfig: str) -> None:
        site = factory_inventory().site("narvik")
        assert site is not None
        self.spec = site.spec
        self.providers = SandboxProviders()
        self.engine = LocalEngine(StateStore(folder / "state"), self.providers, lambda: PASSPHRASE)
        self.kubeconfig = kubeconfig

    def run(
        self,
        content: FluxContent = CONTENT,
        *,
        unprotect: bool = False,
        nothing: bool = False,
    ) -> StackRun:
        program: Callable[[], None] = partial(declare, self.spec, content, IMAGE)
        return StackRun(
            StackRef("fleet", "narvik"),
            _nothing if nothing else program,
            secret_config={"fleet:kubeconfig": self.kubeconfig},
            options=RunOptions(unprotect=unprotect),
        )


def _nothing() -> None:
    pass


@pytest.fixture(scope="module")
def site(cluster: Cluster, folder: Path) -> Iterator[Site]:
    made = Site(folder, (folder / "kubeconfig").read_text())
    with made.providers:
        yield made


def good(result: StackResult) -> StackResult:
    assert result.error is None, [f"{f.urn}: {f.message}" for f in result.failures]
    return result


def ops(result: StackResult) -> dict[str, str]:
    return {c.name: c.op for c in result.changes if c.op != "same" and c.type.startswith("kubernetes:")}


def test_the_life_of_a_sites_cluster(cluster: Cluster, site: Site, folder: Path) -> None:
    """In one test, as each step stands on the one before."""
    planned = good(site.engine.preview(site.run()))
    made = good(site.engine.up(site.run()))
    assert ops(made) == ops(planned)
    assert set(ops(made).values()) == {"create"} and len(ops(made)) >= 15
    assert PASSPHRASE not in str(made)
    token = (folder / "tokens.csv").read_text().partition(",")[0]
    for file in (folder / "state").rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes()

    # What is there is what the site needs: served by the API server, under a manager of Pulumi's form.
    source = cluster.get(SOURCE)
    assert source["spec"]["url"] == "oci://registry.narvik.factory.example/fleet/site"
    assert source["metadata"]["managedFields"][0]["manager"].startswith("pulumi-kubernetes-")
    agents = cluster.get("/api/v1/namespaces/agents")["metadata"]
    assert agents["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    claim = cluster.get("/api/v1/namespaces/registry/persistentvolumeclaims/registry")
    assert claim["spec"]["resources"]["requests"] == {"storage": "300Gi"}

    assert ops(good(site.engine.up(site.run()))) == {}
    assert ops(good(site.engine.refresh(site.run()))) == {}

    # A change of the inventory, in place.
    changed = good(site.engine.up(site.run(NEWER)))
    assert ops(changed) == {"flux-source": "update"}
    assert cluster.get(SOURCE)["spec"]["ref"] == {"digest": NEWER.digest}

    # What Flux or a person changes in a namespace later is theirs.
    cluster.merge("/api/v1/namespaces/agents", {"metadata": {"labels": {"fleet/ring": "elsewhere"}}})
    # A hand edit of what is ours is seen, and taking it back needs a word.
    cluster.merge(SOURCE, {"spec": {"interval": "7m"}})
    seen = ops(good(site.engine.refresh(site.run(NEWER))))
    assert seen == {"flux-source": "refresh", "namespace-agents": "refresh"}
    drift = good(site.engine.preview(site.run(NEWER)))
    assert ops(drift) == {"flux-source": "update"}
    (change,) = [c for c in drift.changes if c.name == "flux-source"]
    assert [(p.path, p.before, p.after) for p in change.changes] == [("spec.interval", "7m", "5m")]
    refused = site.engine.up(site.run(NEWER))
    assert refused.error is not None and refused.error.code == "Conflict"
    assert "spec.interval" in refused.error.message and "patchForce" in refused.error.message
    cluster.merge(SOURCE, {"spec": {"interval": "5m"}})
    good(site.engine.up(site.run(NEWER)))

    # Without the kubeconfig nothing is declared: that must not take the site down.
    stopped = site.engine.up(site.run(nothing=True))
    assert {f.code for f in stopped.failures} == {"Protected"}
    assert cluster.get(SOURCE)["spec"]["ref"] == {"digest": NEWER.digest}

    # Taken away: what is kept stays in the cluster.
    gone = good(site.engine.destroy(site.run(unprotect=True)))
    assert ops(gone)["flux-entry"] == "delete" and ops(gone)["namespace-agents"] == "retain"
    assert cluster.get("/api/v1/namespaces/agents")["status"]["phase"] == "Active"

    # And taken up again: what this stack's own managers made is not somebody else's, unless they changed it.
    refused = site.engine.up(site.run(NEWER))
    assert [(f.code, f.urn.rpartition("::")[2]) for f in refused.failures] == [
        ("Conflict", "namespace-agents")
    ]
    cluster.merge("/api/v1/namespaces/agents", {"metadata": {"labels": {"fleet/ring": site.spec.ring}}})
    again = good(site.engine.up(site.run(NEWER)))
    assert ops(again) == {"namespace-agents": "create"}
    good(site.engine.destroy(site.run(unprotect=True)))


def test_what_somebody_else_made_is_not_taken_over(cluster: Cluster, site: Site) -> None:
    theirs = Document(
        "", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}}
    )
    cluster.create({**theirs.value, "data": {"a": "1"}})
    try:
        result = site.engine.up(
            StackRun(StackRef("fleet", "other"), _a_map, secret_config=site.run().secret_config)
        )
        assert result.error is not None and result.error.code == "AlreadyExists"
        assert cluster.get(cluster.path(theirs.value))["data"] == {"a": "1"}
    finally:
        cluster.delete(theirs.value)


def test_a_kind_that_is_not_served_is_named(cluster: Cluster, site: Site) -> None:
    run = StackRun(StackRef("fleet", "unknown"), _a_topology, secret_config=site.run().secret_config)
    result = site.engine.up(run)
    assert result.error is not None and result.error.code == "KindNotServed"
    assert "kai.scheduler/v1alpha1 Topology" in result.error.message


def test_a_replaced_object_is_gone_before_it_is_made_again(cluster: Cluster, site: Site) -> None:
    config = {"secret_config": site.run().secret_config}
    stack = StackRef("fleet", "replaced")
    good(site.engine.up(StackRun(stack, partial(_a_map, "2"), **config)))  # type: ignore[arg-type]
    result = good(site.engine.up(StackRun(stack, partial(_a_map, "3"), **config)))  # type: ignore[arg-type]
    assert ops(result) == {"map": "replace"}
    path = "/api/v1/namespaces/default/configmaps/m"
    assert cluster.get(path)["data"] == {"a": "3"}
    good(site.engine.destroy(StackRun(stack, _nothing, **config)))  # type: ignore[arg-type]
    assert "m" not in [i["metadata"]["name"] for i in cluster.get(path.rpartition("/")[0])["items"]]


def _provider() -> pulumi.ResourceOptions:
    import pulumi_kubernetes as k

    return pulumi.ResourceOptions(
        provider=k.Provider("k", kubeconfig=pulumi.Config("fleet").require_secret("kubeconfig"))
    )


def _a_map(value: str = "2") -> None:
    import pulumi_kubernetes as k

    k.core.v1.ConfigMap("map", metadata={"name": "m"}, data={"a": value}, opts=_provider())


def _a_topology() -> None:
    import pulumi_kubernetes as k

    k.apiextensions.CustomResource(
        "t", api_version="kai.scheduler/v1alpha1", kind="Topology", metadata={"name": "t"}, opts=_provider()
    )
