"""A real API server takes every object that is rendered, strictly: no field unknown, doubled or misplaced.

The definitions of others' kinds are those that `definitions.py` finds.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fleet.render.section import GUARDED, NAMESPACES
from fleet.render.tree import RenderedTree, render_site
from tests.bench.generate_fleet import generate
from tests.conformance.cluster import Cluster, Document, RefusedError
from tests.conformance.definitions import checkable, definitions
from tests.conformance.rendering import build, pods_of, rendered, write_tree
from tests.conformance.running import running_cluster
from tests.factory import factory_inventory, load

GENERATED = 200
NAMED = ("serviceAccountName", "priorityClassName")
"""What a pod names and the API server looks up: not there in a test that applies nothing but the pod."""
RESTRICTED = [name for name, level in NAMESPACES if level == "restricted"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.install(definitions())
        for document in rendered(next(iter(trees().values()))):
            if document.value["kind"] == "Namespace":
                running.apply(document)
                # Made by the controller manager, which does not run here.
                account = {"apiVersion": "v1", "kind": "ServiceAccount"}
                namespace = document.value["metadata"]["name"]
                running.create({**account, "metadata": {"name": "default", "namespace": namespace}})
        yield running


def trees() -> dict[str, RenderedTree]:
    return {site.name: render_site(site.spec) for site in factory_inventory().sites}


def refusals(cluster: Cluster, found: Sequence[Document], *, dry_run: bool = False) -> list[str]:
    messages = []
    for document in checkable(found):
        # Of a quota in force no pod is let in before a controller has counted, and none runs here.
        only_asked = dry_run or document.value["kind"] == "ResourceQuota"
        try:
            cluster.apply(document, dry_run=only_asked)
        except RefusedError as error:
            messages.append(f"{document.name}: {error}")
    return messages


@pytest.mark.parametrize("site", sorted(trees()))
def test_every_object_of_the_example_is_taken(cluster: Cluster, site: str) -> None:
    found = rendered(trees()[site])
    assert len(found) > 15
    assert refusals(cluster, found) == []


def test_every_object_of_generated_sites_is_taken(cluster: Cluster, tmp_path: Path) -> None:
    generate(GENERATED, tmp_path)
    files = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in sorted(tmp_path.rglob("*.yaml"))}
    inventory, diagnostics = load(files)
    assert inventory is not None
    assert not diagnostics
    assert len(inventory.sites) == GENERATED
    seen: set[str] = set()
    wrong = []
    for site in inventory.sites:
        # What another site has to the byte has been taken already.
        new = [d for d in rendered(render_site(site.spec)) if d.text not in seen]
        seen.update(d.text for d in new)
        wrong += [f"{site.name}: {message}" for message in refusals(cluster, new, dry_run=True)]
    assert wrong == []


@pytest.mark.parametrize("site", sorted(trees()))
def test_pod_security_takes_every_pod(cluster: Cluster, site: str) -> None:
    pods = list(pods_of(rendered(trees()[site])))
    assert {namespace for namespace, _ in pods} >= {"agents", "tools"}
    for namespace, pod in pods:
        metadata = {"name": "as-rendered", "namespace": namespace, "labels": pod["metadata"]["labels"]}
        spec = {k: v for k, v in pod["spec"].items() if k not in NAMED}
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)


@pytest.mark.parametrize("namespace", RESTRICTED)
def test_pod_security_refuses_what_asks_for_more(cluster: Cluster, namespace: str) -> None:
    pod = next(pod for place, pod in pods_of(rendered(trees()["graz"])) if place == namespace)
    spec = {k: v for k, v in pod["spec"].items() if k not in NAMED} | {"hostNetwork": True}
    metadata = {"name": "more", "namespace": namespace}
    with pytest.raises(RefusedError, match="violates PodSecurity"):
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)


def test_an_unknown_field_is_refused(cluster: Cluster) -> None:
    """The proof that the tests above can fail."""
    service = next(d for d in rendered(trees()["graz"]) if d.value["kind"] == "Service")
    wrong = Document(service.text.replace("selector:", "selektor:"), service.value)
    with pytest.raises(RefusedError, match="selektor"):
        cluster.apply(wrong, dry_run=True)


@pytest.mark.parametrize("site", sorted(trees()))
def test_kustomize_builds_every_part(tmp_path: Path, site: str) -> None:
    """As Flux's kustomize-controller does; together the parts hold every object, each once."""
    tree = trees()[site]
    write_tree(tree, tmp_path)
    entry = build(tmp_path / "clusters" / site)
    parts = [d.value["spec"]["path"] for d in entry if d.value["kind"] == "Kustomization"]
    built = [*entry, *(d for part in parts for d in build(tmp_path / part))]
    assert sorted(d.name for d in built) == sorted(d.name for d in rendered(tree))


def test_nothing_may_talk_in_a_guarded_namespace_unless_allowed(cluster: Cluster) -> None:
    found = rendered(trees()["graz"])
    assert refusals(cluster, [d for d in found if d.value["kind"] == "NetworkPolicy"]) == []
    for namespace in GUARDED:
        policies = cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")["items"]
        assert any(p["spec"]["podSelector"] == {} and "egress" not in p["spec"] for p in policies), namespace
