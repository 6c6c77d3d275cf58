"""What the policies refuse: Kubernetes' own admission evaluates the same CEL that Kyverno and Gatekeeper are given.

Neither engine runs here: that they take these objects, test_api_server.py says of their definitions.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fleet.model.site import SiteSpec
from fleet.render import policies
from fleet.render.policies import CONTAINERS, Refusal
from fleet.render.tree import render_site
from tests.conformance.cluster import Cluster, RefusedError, wait_until
from tests.conformance.rendering import pods_of, rendered
from tests.conformance.running import running_cluster
from tests.factory import factory_inventory

PINNED = f"registry.graz.factory.example/a/b:1@sha256:{'0' * 64}"


def graz() -> SiteSpec:
    return next(site.spec for site in factory_inventory().sites if site.name == "graz")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for document in rendered(render_site(graz())):
            if document.value["kind"] == "Namespace":
                running.apply(document)
                name = document.value["metadata"]["name"]
                account = {"apiVersion": "v1", "kind": "ServiceAccount"}
                running.create({**account, "metadata": {"name": "default", "namespace": name}})
        for rule in policies.refusals(graz()):
            for value in as_kubernetes_own(rule):
                running.create(value)
        wait_until(lambda: refused(running, pod("agents", "a/b")) != "", "the policies are not in force")
        yield running


def as_kubernetes_own(rule: Refusal) -> Iterator[Mapping[str, Any]]:
    """The rule as a ValidatingAdmissionPolicy, and its binding."""
    group = "" if rule.resources == ("pods",) else "apps"
    kind, version = "ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1"
    matched = {
        "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": rule.resources,
    }  # fmt: skip
    places = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": rule.namespaces}
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [matched],
            "namespaceSelector": {"matchExpressions": [places]},
        },
        "validations": [{"expression": rule.expression, "message": rule.message}],
    }
    if not group:
        spec["variables"] = [{"name": "containers", "expression": CONTAINERS}]
    yield {"apiVersion": version, "kind": kind, "metadata": {"name": rule.name}, "spec": spec}
    binding = {"policyName": rule.name, "validationActions": ["Deny"]}
    yield {"apiVersion": version, "kind": f"{kind}Binding", "metadata": {"name": rule.name}, "spec": binding}


def pod(namespace: str, image: str, first: str | None = None) -> dict[str, Any]:
    """A pod that the restricted standard takes, with an init container of `first`."""
    secure = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec: dict[str, Any] = {"containers": [{"name": "a", "image": image, "securityContext": secure}]}
    if first:
        spec["initContainers"] = [{"name": "b", "image": first, "securityContext": secure}]
    metadata = {"name": "asked", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
    }


def refused(cluster: Cluster, value: Mapping[str, Any]) -> str:
    """What the API server says against it, or nothing."""
    try:
        cluster.create(value, dry_run=True)
    except RefusedError as error:
        return str(error)
    return ""


def test_every_rendered_pod_is_let_in(cluster: Cluster) -> None:
    for number, (namespace, template) in enumerate(pods_of(rendered(render_site(graz())))):
        metadata = {
            "name": f"pod-{number}",
            "namespace": namespace,
            "labels": template["metadata"]["labels"],
        }
        # Classes and accounts are others' business here.
        left_out = ("serviceAccountName", "priorityClassName")
        spec = {key: value for key, value in template["spec"].items() if key not in left_out}
        assert refused(cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}) == ""


def test_every_rendered_deployment_is_let_in(cluster: Cluster) -> None:
    found = [d.value for d in rendered(render_site(graz())) if d.value["kind"] == "Deployment"]
    assert found
    for deployment in found:
        assert refused(cluster, deployment) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (pod("agents", "registry.graz.factory.example/a/b:1"), "named by its digest"),
        (pod("tools", PINNED, first="registry.graz.factory.example/a/b:1"), "named by its digest"),
        (pod("platform", "registry.graz.factory.example/a/b:latest"), "'latest' is another one"),
        (pod("observability", "registry.graz.factory.example/a/b"), "'latest' is another one"),
        (pod("agents", PINNED.replace("graz", "evil")), "images come from registry.graz.factory.example"),
        (pod("agents", f"registry.graz.factory.example.evil/a@sha256:{'0' * 64}"), "images come from"),
        (pod("platform", "docker.io/a/b:1"), "images come from"),
    ],
)  # fmt: skip
def test_what_is_refused(cluster: Cluster, value: Mapping[str, Any], said: str) -> None:
    assert said in refused(cluster, value)


@pytest.mark.parametrize("shared", ["hostNetwork", "hostPID", "hostIPC"])
def test_what_shares_its_node_is_refused_also_where_pod_security_is_off(
    cluster: Cluster, shared: str
) -> None:
    value = pod("observability", PINNED)
    value["spec"][shared] = True
    label = {"pod-security.kubernetes.io/enforce": "privileged"}
    cluster.merge("/api/v1/namespaces/observability", {"metadata": {"labels": label}})
    assert "a pod is not privileged" in refused(cluster, value)


def test_a_version_will_do_for_a_chart(cluster: Cluster) -> None:
    assert refused(cluster, pod("platform", "registry.graz.factory.example/a/b:1.2")) == ""


def test_another_namespace_is_none_of_their_business(cluster: Cluster) -> None:
    assert refused(cluster, pod("flux-system", "docker.io/a/b")) == ""


def test_a_workload_without_its_labels_is_refused(cluster: Cluster) -> None:
    found = next(
        d.value
        for d in rendered(render_site(graz()))
        if d.value["kind"] == "Deployment" and d.value["metadata"]["namespace"] == "agents"
    )
    bare = {**found, "metadata": {"name": "bare", "namespace": "agents", "labels": {"app": "bare"}}}
    assert "fleet/role" in refused(cluster, bare)
