"""A real API server takes, strictly, the services that the examples do not switch on, and telemetry with all of it.

CloudNativePG's definitions are on no module proxy: its objects are left out.
"""

from collections.abc import Iterator

import pytest

from fleet.model.services import Services, Telemetry
from fleet.render import services, telemetry
from fleet.render.section import NAMESPACES
from fleet.render.templating import render_template
from tests.conformance.cluster import Cluster, Document, RefusedError, documents
from tests.conformance.definitions import checkable, definitions
from tests.conformance.rendering import pods_of
from tests.conformance.running import running_cluster
from tests.factory import factory_inventory
from tests.unit.test_render_services import ALL, backup

TARGETS = ("nfs://nas.factory.example/fleet", "s3://backup.factory.example/fleet/graz")
TOLD = {"retentionDays": 30, "samplePercent": 10, "bufferHours": 24, "bufferGib": 5, "azureMonitor": True}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.install(definitions())
        spec = factory_inventory().sites[0].spec
        namespaces = [{"name": name, "pod_security": level} for name, level in NAMESPACES]
        text = render_template("platform/namespaces.yaml.j2", site=spec, namespaces=namespaces)
        for document in documents(text):
            running.apply(document)
            # Made by the controller manager, which does not run here.
            metadata = {"name": "default", "namespace": document.value["metadata"]["name"]}
            running.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        yield running


def everything(site: str, target: str) -> list[Document]:
    found = factory_inventory().site(site)
    assert found is not None
    stores = {**ALL, "metrics": {"storageGib": 9, "retentionDays": 30}}
    stores["postgres"] = {"storageGib": 20, "replicas": 2, "backup": backup(target)}
    update = {"services": Services.model_validate(stores), "telemetry": Telemetry.model_validate(TOLD)}
    spec = found.spec.model_copy(update=update)
    sections = [*services.sections(spec), *telemetry.sections(spec)]
    return [d for section in sections for text in section.files.values() for d in documents(text)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("site", ["turin", "graz", "narvik"])
def test_every_object_is_taken(cluster: Cluster, site: str, target: str) -> None:
    found = everything(site, target)
    assert len(checkable(found)) > 50
    refused = []
    for document in checkable(found):
        try:
            cluster.apply(document)
        except RefusedError as error:
            refused.append(f"{document.name}: {error}")
    assert refused == []


def test_pod_security_takes_every_pod(cluster: Cluster) -> None:
    pods = list(pods_of(everything("graz", TARGETS[0])))
    assert {namespace for namespace, _ in pods} == {"platform", "observability"}
    for namespace, pod in pods:
        metadata = {"name": "as-rendered", "namespace": namespace, "labels": pod["metadata"]["labels"]}
        spec = {k: v for k, v in pod["spec"].items() if k != "serviceAccountName"}
        # Of a StatefulSet's claims the controller makes volumes.
        named = {volume["name"] for volume in spec["volumes"]}
        mounted = {mount["name"] for c in spec["containers"] for mount in c.get("volumeMounts", ())}
        spec["volumes"] = [*spec["volumes"], *({"name": name, "emptyDir": {}} for name in mounted - named)]
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)
