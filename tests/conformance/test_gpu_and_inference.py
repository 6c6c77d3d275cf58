"""A real API server takes, strictly, what the examples do not switch on: the GPU stack, queues, canary, packages."""

from collections.abc import Iterator

import pytest

from fleet.model.site import SiteSpec
from fleet.model.supply import ModelPackage
from fleet.render import gpu, inference
from fleet.render.section import Section
from tests.conformance.cluster import Cluster, Document, RefusedError, documents
from tests.conformance.definitions import checkable, definitions
from tests.conformance.running import running_cluster
from tests.unit.rendered_sites import DIGEST, site

PINS = f"components: {{gpu-operator: {{digest: '{DIGEST}'}}, kai-scheduler: {{digest: '{DIGEST}'}}}}"
KAI = "kai: {gpuSharing: true, topologyLevels: [example.com/rack, kubernetes.io/hostname], queues: {site: {gpuQuota: 2}, agents: {parent: site, gpuQuota: 0.5, reclaimMinRuntime: 5m}}}"
ROUTES = "router: {model: chat, routes: [{kind: complex, deployment: small, timeoutSeconds: 60}]}"
SMALL = f"small: {{runtime: foundry-local, model: phi-4-mini, accelerator: cpu, gpus: 0, nodePool: agents, image: 'a.example/b@{DIGEST}', slo: {{p95Ms: 1000, concurrentSessions: 2}}}}"
CHAT = "package: old, canary: {package: new}, queue: agents, gpuFraction: 0.5, fallback: {to: deployment, deployment: small}"
STACK = f"gpu: {{sharing: fraction, operator: {{}}, {KAI}}}\n{PINS}\n{ROUTES}\ninference: {{chat: {{{CHAT}, %s}}, {SMALL}}}"
VARIANTS = {
    "several replicas": STACK % "replicas: 2",
    "a claim": STACK % "replicas: 1",
    "image volumes": STACK % "replicas: 2" + "\nkubernetes: {version: 1.35.0}",
    "mig": f"gpu: {{model: RTX6000Pro, sharing: mig, operator: {{devicePlugin: true}}}}\n{PINS}\n"
    "kubernetes: {nodePools: {inference: {vmSize: Standard_NC16_RTX6000Pro_1, mig: {strategy: mixed, profiles: {1g.24gb: 4}}}}}\n"
    "inference: {chat: {migProfile: 1g.24gb, preemptible: true}}",
    "behind the operator": "inference: {chat: {runtime: foundry-local-azure-local}}",
}
PACKAGES = {
    name: ModelPackage.model_validate(
        {
            "model": "phi-4-mini", "precision": "fp16", "sizeGib": 7.5, "source": "s", "licence": "MIT",
            "artifact": f"registry.factory.example/models/{name}@{DIGEST}",
        }
    )
    for name in ("old", "new")
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.install(definitions())
        for name in ("platform", "flux-system"):
            running.apply(next(documents(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")))
        yield running


def rendered(spec: SiteSpec) -> list[Document]:
    spec = spec.model_copy(update={"packages": PACKAGES})
    sections: list[Section] = [*gpu.sections(spec), *inference.sections(spec)]
    return [found for section in sections for text in section.files.values() for found in documents(text)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_taken(cluster: Cluster, variant: str) -> None:
    found = rendered(site("graz", VARIANTS[variant]))
    refused = []
    for document in checkable(found):
        try:
            cluster.apply(document, dry_run=True)
        except RefusedError as error:
            refused.append(f"{document.name}: {error}")
    assert refused == []
    kinds = {document.value["kind"] for document in found}
    assert {
        "several replicas": {"Queue", "Topology", "HelmRelease"},
        "a claim": {"PersistentVolumeClaim"},
    }.get(variant, {"Deployment"}) <= kinds


def test_an_unknown_field_of_a_queue_is_refused(cluster: Cluster) -> None:
    """The proof that the test above can fail."""
    queue = next(d for d in rendered(site("graz", VARIANTS["a claim"])) if d.value["kind"] == "Queue")
    if not checkable([queue]):
        pytest.skip("KAI's definitions are in ../shared, which is not here")
    with pytest.raises(RefusedError, match="parent_queue"):
        cluster.apply(
            Document(queue.text.replace("priority:", "parent_queue: x\n  priority:"), queue.value),
            dry_run=True,
        )
