"""What the program declares inside a site's cluster: which path each connectivity takes, and who owns what."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from stacks_recorder import CONTENT, SECRETS, Recording, changed, factory_sites, record

from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.model.site import SiteSpec
from fleet.ports.engine import StackRef, StackRun
from fleet.render.section import NAMESPACES
from fleet.sandbox.providers import SandboxProviders
from fleet_stacks import in_cluster
from fleet_stacks.errors import StackError
from fleet_stacks.in_cluster_objects import Object, tree_objects
from fleet_stacks.in_cluster_origins import in_cluster_origins
from fleet_stacks.in_cluster_releases import flux_release
from fleet_stacks.program import FluxContent, SiteProgram

SITES = factory_sites()
TURIN, GRAZ, NARVIK = SITES["turin"], SITES["graz"], SITES["narvik"]
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://cluster.example:6443"}}]
users: [{name: u, user: {token: not-to-be-seen}}]
"""
WITH_CLUSTER = {**SECRETS, "fleet:kubeconfig": KUBECONFIG}
DIGEST = "sha256:" + "7" * 64
IMAGE = f"registry.factory.example/distribution/distribution:3.0.0@{DIGEST}"
FLUX_IMAGES = {
    f"ghcr.io/fluxcd/{name}:v1.6.2": DIGEST
    for name in ("source-controller", "kustomize-controller", "helm-controller", "flux-cli")
}
FLUX_PIN = {"flux2": {"version": "2.16.4", "digest": DIGEST, "images": FLUX_IMAGES}}
GPU_PINS = {"gpu-operator": {"digest": DIGEST}, "kai-scheduler": {"version": "v0.16.8", "digest": DIGEST}}
ALL_PINS = FLUX_PIN | GPU_PINS


def with_gpu_stack(spec: SiteSpec, components: dict[str, Any]) -> SiteSpec:
    queues = {"agents": {"gpuQuota": 1, "parent": "site"}, "site": {"gpuQuota": 2}}
    gpu = {"model": "L4", "perNode": 2, "operator": {}, "kai": {"queues": queues}}
    return changed(SiteSpec.model_validate({**dump(spec), "gpu": gpu}), components=components)


def dump(spec: SiteSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True)


def in_the_cluster(spec: SiteSpec, **more: Any) -> Recording:
    secrets = {**WITH_CLUSTER, **more.pop("config", {})}
    return record(spec, secrets=secrets, **more)


def named(found: Object) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


def kubernetes(recording: Recording) -> set[str]:
    return {
        name
        for name, item in recording.resources.items()
        if item.type.startswith(("kubernetes:", "pulumi:providers:kub"))
    }


def whys(recording: Recording) -> dict[str, str]:
    return {item["what"]: item["why"] for item in recording.outputs["leftOut"]}


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_without_a_kubeconfig_nothing_is_declared_and_it_is_said(spec: SiteSpec) -> None:
    recording = record(spec)
    assert kubernetes(recording) == set()
    assert "fleet:kubeconfig" in whys(recording)[in_cluster.NO_KUBECONFIG.what]
    assert in_cluster.NO_KUBECONFIG.what not in whys(in_the_cluster(spec))


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_nothing_is_declared_in_a_cluster_that_is_not_there_yet(spec: SiteSpec) -> None:
    assert kubernetes(in_the_cluster(spec, phase="validate")) == set()


@pytest.mark.parametrize("spec", [TURIN, GRAZ], ids=["connected", "constrained"])
def test_with_arc_flux_is_azures(spec: SiteSpec) -> None:
    recording = in_the_cluster(spec)
    assert {"extension-flux", "flux-configuration"} <= set(recording.resources)
    assert not [n for n in kubernetes(recording) if n.startswith(("flux", "namespace-", "release-flux"))]


def test_without_arc_flux_is_in_the_cluster_and_waits_for_nothing_of_arc() -> None:
    recording = in_the_cluster(changed(NARVIK, components=FLUX_PIN))
    names = set(recording.resources)
    assert not [n for n in names if n.startswith("extension-") or n == "flux-configuration"]
    types = {json.dumps(item.inputs.get("resourceType", "")) for item in recording.resources.values()}
    assert not [t for t in types if "extensions" in t or "fluxConfigurations" in t]
    assert {"flux-source", "flux-entry", "release-flux2", "namespace-flux-system"} <= names
    before = recording.order("flux-entry")
    assert {"flux-source", "release-flux2", "namespace-flux-system"} <= before
    assert not [n for n in before if n.startswith("extension-")]
    source = recording.resources["flux-source"].inputs
    assert source["spec"]["url"] == "oci://registry.narvik.factory.example/fleet/site"
    assert source["spec"]["ref"] == {"digest": CONTENT.digest}
    assert source["metadata"] == {"name": "fleet", "namespace": "flux-system"}
    entry = recording.resources["flux-entry"].inputs
    assert entry["spec"]["path"] == "./clusters/narvik"
    assert entry["spec"]["sourceRef"] == {"kind": "OCIRepository", "name": "fleet"}


def test_the_entry_is_the_one_that_azure_makes() -> None:
    arc = record(GRAZ).resources["flux-configuration"].inputs["properties"]
    ((name, said),) = arc["kustomizations"].items()
    entry = in_the_cluster(NARVIK).resources["flux-entry"].inputs
    assert entry["metadata"]["name"] == f"fleet-{name}"
    assert entry["spec"]["prune"] is said["prune"] and entry["spec"]["wait"] is said["wait"]
    assert entry["spec"]["interval"] == f"{said['syncIntervalInSeconds'] // 60}m"
    assert entry["spec"]["timeout"] == f"{said['timeoutInSeconds'] // 60}m"
    assert entry["spec"]["retryInterval"] == f"{said['retryIntervalInSeconds'] // 60}m"


def test_namespaces_are_the_trees_and_then_fluxs() -> None:
    resources = in_the_cluster(NARVIK).resources
    rendered = {
        o["metadata"]["name"]: o["metadata"] for o in tree_objects(NARVIK) if o["kind"] == "Namespace"
    }
    assert set(rendered) >= {name for name, _ in NAMESPACES}
    for name, metadata in rendered.items():
        made = resources[f"namespace-{name}"]
        assert made.inputs["metadata"] == metadata
        assert made.protect and made.retain
        assert made.ignore_changes == ("metadata.labels", "metadata.annotations")
    levels = dict(NAMESPACES)
    assert levels["agents"] == rendered["agents"]["labels"]["pod-security.kubernetes.io/enforce"]


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_no_object_has_two_owners(spec: SiteSpec) -> None:
    site = with_gpu_stack(spec, ALL_PINS)
    recording = in_the_cluster(site, config={"fleet:registryImage": IMAGE})
    tree = {named(o) for o in tree_objects(site) if "name" in o.get("metadata", ())}
    assert {("HelmRelease", "gpu-operator"), ("HelmRelease", "kai-scheduler"), ("Queue", "agents")} <= tree
    for name in kubernetes(recording) - {"kubernetes"}:
        assert not name.startswith(("release-gpu", "release-kai", "queue-"))
        inputs = recording.resources[name].inputs
        if "metadata" in inputs and not name.startswith("namespace-"):
            assert named(inputs) not in tree, name


def test_flux_that_no_chart_is_pinned_for_is_left_out() -> None:
    others = {name: pin for name, pin in NARVIK.components.items() if name != "flux2"}
    recording = in_the_cluster(NARVIK.model_copy(update={"components": others}))
    assert not [n for n in recording.resources if n.startswith("release-")]
    assert "components have no flux2" in whys(recording)["the chart flux2"]
    pinned = in_the_cluster(changed(NARVIK, components=FLUX_PIN)).resources["release-flux2"]
    assert pinned.inputs["chart"].startswith("oci://registry.narvik.factory.example/")
    assert pinned.inputs["chart"].endswith(f"@{DIGEST}")
    assert pinned.inputs["version"] == "2.16.4"
    assert pinned.protect and pinned.retain


def test_flux_without_the_digest_of_an_image_is_left_out() -> None:
    images = {k: v for k, v in FLUX_IMAGES.items() if "helm-controller" not in k}
    spec = changed(NARVIK, components={"flux2": {**FLUX_PIN["flux2"], "images": images}})
    assert flux_release(spec) == "components.flux2.images has no digest of helm-controller"
    recording = in_the_cluster(spec)
    assert "release-flux2" not in recording.resources and "flux-source" in recording.resources
    assert "helm-controller" in whys(recording)["the chart flux2"]


def test_fluxs_images_come_from_the_sites_registry_by_digest() -> None:
    values = in_the_cluster(changed(NARVIK, components=FLUX_PIN)).resources["release-flux2"].inputs["values"]
    assert values["sourceController"] == {
        "image": "registry.narvik.factory.example/fluxcd/source-controller",
        "tag": f"v1.6.2@{DIGEST}",
    }
    assert values["imageAutomationController"] == {"create": False}


def test_a_private_authority_is_given_to_flux() -> None:
    content = FluxContent(CONTENT.url, CONTENT.digest, "LS0tLS1CRUdJTg==")
    resources = in_the_cluster(NARVIK, content=content).resources
    assert resources["flux-source"].inputs["spec"]["certSecretRef"] == {"name": "registry-ca"}
    assert "registry-ca" in resources["flux-source"].after
    assert "certSecretRef" not in in_the_cluster(NARVIK).resources["flux-source"].inputs["spec"]


def test_without_content_flux_has_no_source() -> None:
    names = kubernetes(in_the_cluster(NARVIK, content=None))
    assert "namespace-agents" in names and not names & {"flux-source", "flux-entry"}


def test_registry_and_model_cache_run_where_an_image_is_named() -> None:
    assert "registry and model cache in the cluster" in whys(in_the_cluster(NARVIK))
    resources = in_the_cluster(NARVIK, config={"fleet:registryImage": IMAGE}).resources
    for name, size in (("registry", "300Gi"), ("model-cache", "100Gi")):
        claim = resources[f"{name}-persistentvolumeclaim"]
        assert claim.inputs["spec"]["resources"] == {"requests": {"storage": size}}
        assert claim.protect and claim.retain and claim.ignore_changes == ("spec",)
        pod = resources[f"{name}-deployment"].inputs["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == IMAGE
        assert {"name": "REGISTRY_AUTH", "value": "htpasswd"} in container["env"]
        assert f"{name}-namespace" in resources[f"{name}-deployment"].after
    assert "storageClassName" not in resources["model-cache-persistentvolumeclaim"].inputs["spec"]
    fast = changed(NARVIK, modelCache={"storageGib": 100, "storageClass": "fast"})
    claim = in_the_cluster(fast, config={"fleet:registryImage": IMAGE}).resources[
        "model-cache-persistentvolumeclaim"
    ]
    assert claim.inputs["spec"]["storageClassName"] == "fast"
    assert resources["registry-service"].inputs["spec"]["type"] == "LoadBalancer"
    assert not [
        n for n in kubernetes(in_the_cluster(TURIN, config={"fleet:registryImage": IMAGE})) if "registry" in n
    ]


def test_the_inventory_can_name_the_registrys_image() -> None:
    recording = in_the_cluster(changed(NARVIK, registry={"image": IMAGE}))
    (container,) = recording.resources["registry-deployment"].inputs["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert "registry and model cache in the cluster" not in whys(recording)
    with pytest.raises(ValidationError, match="pattern"):
        changed(NARVIK, registry={"image": "registry.example/distribution:3"})


def test_without_helm_releases_are_left_out_and_what_needs_them_is_declared() -> None:
    recording = in_the_cluster(changed(NARVIK, components=FLUX_PIN), config={"fleet:helmReleases": "false"})
    assert "release-flux2" not in recording.resources and "flux-entry" in recording.resources
    assert "runs no Helm" in whys(recording)["the chart flux2"]


def test_without_a_kubeconfig_the_workloads_of_a_site_without_arc_wait() -> None:
    assert "nothing installs Flux here" in whys(record(NARVIK))[in_cluster.NO_FLUX.what]
    assert in_cluster.NO_FLUX.what not in whys(record(GRAZ))
    assert in_cluster.NO_FLUX.what not in whys(in_the_cluster(NARVIK))


def test_a_run_that_is_no_plan_declares_nothing_for_a_kubeconfig_that_is_not_there() -> None:
    assert kubernetes(record(NARVIK, secrets={**SECRETS, "fleet:planCluster": "true"})) == set()


def test_an_image_without_a_digest_is_refused() -> None:
    with pytest.raises(StackError, match="by digest"):
        in_the_cluster(NARVIK, config={"fleet:registryImage": "registry.example/distribution:3"})


def test_what_must_not_be_lost_is_protected_and_the_kubeconfig_is_secret() -> None:
    recording = in_the_cluster(NARVIK, config={"fleet:registryImage": IMAGE})
    resources = recording.resources
    assert resources["flux-source"].protect and resources["flux-entry"].protect
    assert KUBECONFIG not in recording.text().replace(json.dumps(resources["kubernetes"].inputs), "")
    assert "4dabf18193072939515e22adb298388d" in str(resources["kubernetes"].inputs["kubeconfig"])
    assert resources["kubernetes"].inputs["clusterIdentifier"].endswith("/connectedClusters/narvik-aks")


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_all_of_it_comes_after_the_cluster(spec: SiteSpec) -> None:
    recording = in_the_cluster(with_gpu_stack(spec, ALL_PINS), config={"fleet:registryImage": IMAGE})
    for name in kubernetes(recording) - {"kubernetes"}:
        assert "provisioned-cluster" in recording.order(name), name


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_each_resource_leads_back_to_a_field(spec: SiteSpec) -> None:
    content = FluxContent(CONTENT.url, CONTENT.digest, "LS0tLS1CRUdJTg==")
    data = dump(with_gpu_stack(spec, ALL_PINS))
    if data["registry"]:
        data["registry"]["caFile"] = "ca.pem"
    site = SiteSpec.model_validate(data)
    recording = in_the_cluster(site, content=content, config={"fleet:registryImage": IMAGE})
    origins = in_cluster_origins(site)
    assert kubernetes(recording) <= set(origins)
    for path in origins.values():
        value: Any = dump(site)
        for key in path.split("."):
            value = value[key]


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_the_whole_program_is_planned_without_a_cluster(spec: SiteSpec, tmp_path: Path) -> None:
    """Flux's release too, which the stand-in plans and does not make."""
    site = with_gpu_stack(spec, ALL_PINS)
    engine = LocalEngine(StateStore(tmp_path), SandboxProviders(), lambda: "passphrase")
    run = StackRun(
        StackRef("fleet", spec.name), SiteProgram(site, "deploy", CONTENT), secret_config=WITH_CLUSTER
    )
    result = engine.preview(run)
    assert result.error is None, result.failures
    planned = {change.name for change in result.changes if change.type.startswith("kubernetes:")}
    for name in ("release-flux2", "flux-entry"):
        assert (name in planned) is (spec.connectivity.mode == "disconnected")
    assert "not-to-be-seen" not in str(result)
