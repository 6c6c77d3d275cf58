"""A real API server takes, strictly, what the examples do not switch on: sandboxes, autoscaling, stores, identities;
and Pod Security takes each of their pods."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fleet.render import agents, sandboxes, tools
from tests.conformance.cluster import Cluster, Document, RefusedError, documents
from tests.conformance.definitions import checkable, definitions
from tests.conformance.rendering import pods_of
from tests.conformance.running import running_cluster
from tests.unit.rendered_sites import DIGEST, site

RESTRICTED = ("agents", "tools", "sandboxes")
SANDBOX = f"{{isolation: gvisor, image: 'registry.factory.example/sandboxes/python:1.0@{DIGEST}', nodePool: agents, slots: 4, warm: 2, egress: [{{cidr: 10.30.7.7/32, port: 3128}}]}}"
PINS = f"components: {{agent-sandbox: {{digest: '{DIGEST}'}}}}"
ARCHIVE = f"archive: {{image: 'registry.factory.example/tools/archive:1.0@{DIGEST}', replicas: 2, allowedDestinations: []}}"
VARIANTS = {
    "sandboxes": f"sandboxes: {{python: {SANDBOX}}}\n{PINS}\ntools: {{work-orders: {{sandbox: python, runsCode: untrusted}}}}",
    "stores and an autoscaler": "agents: {maf-agent-api: {framework: langgraph, checkpoints: redis, memoryStore: postgres, "
    "longRunning: true, autoscale: {minReplicas: 2, maxReplicas: 4}}}\nservices: {redis: {storageGib: 5}, "
    "postgres: {storageGib: 5}, temporal: {}, bus: {kind: nats, storageGib: 5}, mcpRegistry: {}}",
    "certificates": f"platform: {{serviceAuth: mtls}}\ntools: {{work-orders: {{authentication: mtls, fallback: archive}}, {ARCHIVE}}}",
    "a toolbox and Entra ID": f"tools: {{work-orders: {{authentication: workload-identity}}, {ARCHIVE}}}\n"
    f"toolboxes: {{desk: {{tools: [archive], version: 2}}}}\nagents: {{maf-agent-api: {{toolbox: desk, prompts: '{DIGEST}'}}}}",
    "nobody calls, nothing is measured": "platform: {ingress: null}\ntelemetry: null",
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.install(definitions())
        for name in ("platform", "flux-system", "agent-sandbox-system", *RESTRICTED):
            level = "restricted" if name in RESTRICTED else "baseline"
            labels = f"{{pod-security.kubernetes.io/enforce: {level}}}"
            text = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n"
            running.apply(next(documents(text)))
            account = {"apiVersion": "v1", "kind": "ServiceAccount"}
            running.create({**account, "metadata": {"name": "default", "namespace": name}})
        for name, value in (("fleet-agents", 0), ("fleet-tools", 0), ("fleet-sandboxes", -5)):
            rank = f"value: {value}\npreemptionPolicy: {'Never' if value < 0 else 'PreemptLowerPriority'}\n"
            text = (
                f"apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: {name}}}\n{rank}"
            )
            running.apply(next(documents(text)))
        runtime = "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: gvisor}\nhandler: runsc\n"
        running.apply(next(documents(runtime)))
        yield running


def rendered(variant: str) -> list[Document]:
    spec = site("graz", VARIANTS[variant])
    sections = [*sandboxes.sections(spec), *tools.sections(spec), *agents.sections(spec)]
    return [found for section in sections for text in section.files.values() for found in documents(text)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_taken(cluster: Cluster, variant: str) -> None:
    refused = []
    for document in checkable(rendered(variant)):
        try:
            cluster.apply(document, dry_run=True)
        except RefusedError as error:
            refused.append(f"{document.name}: {error}")
    assert refused == []


def pod_templates(variant: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = rendered(variant)
    yield from pods_of(found)
    for document in found:
        if document.value["kind"] == "SandboxTemplate":
            yield document.value["metadata"]["namespace"], document.value["spec"]["podTemplate"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_pod_security_takes_every_pod(cluster: Cluster, variant: str) -> None:
    templates = list(pod_templates(variant))
    assert {namespace for namespace, _ in templates} >= {"agents", "tools"}
    for namespace, template in templates:
        metadata = {"name": "as-rendered", "namespace": namespace, "labels": template["metadata"]["labels"]}
        spec = {k: v for k, v in template["spec"].items() if k != "serviceAccountName"}
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)


def test_a_sandbox_that_asks_for_more_is_refused(cluster: Cluster) -> None:
    """The proof that the test above can fail."""
    template = next(t for namespace, t in pod_templates("sandboxes") if namespace == "sandboxes")
    spec = {k: v for k, v in template["spec"].items() if k != "serviceAccountName"} | {"hostNetwork": True}
    metadata = {"name": "more", "namespace": "sandboxes"}
    with pytest.raises(RefusedError, match="violates PodSecurity"):
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)
