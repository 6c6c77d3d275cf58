"""GPU operator, KAI Scheduler, queues and topology: what is switched on, from where, cut how."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render import gpu
from tests.unit.rendered_sites import DIGEST, objects, one, site

PINS = f"components: {{gpu-operator: {{digest: '{DIGEST}'}}, kai-scheduler: {{digest: '{DIGEST}'}}}}"
POOLS = "{vmSize: Standard_NC16_RTX6000Pro_1, gpu: true, count: 1"


def with_gpu(gpu_fields: str, more: str = "", name: str = "graz") -> SiteSpec:
    return site(name, f"gpu: {{model: L4, perNode: 2, {gpu_fields}}}\n{PINS}\n{more}")


def release_values(spec: SiteSpec, name: str) -> Any:
    return one(objects(gpu.sections(spec)), "HelmRelease", name)["spec"]["values"]


def test_a_site_that_switches_nothing_on_gets_nothing() -> None:
    for name in ("graz", "narvik", "turin"):
        assert list(gpu.sections(site(name))) == []


def test_on_aks_arc_the_operator_brings_neither_driver_nor_toolkit_nor_device_plugin() -> None:
    (section,) = gpu.sections(with_gpu("operator: {}"))
    assert (section.name, section.path, section.after) == ("gpu", "platform/gpu", ("platform",))
    found = objects([section])
    labels = one(found, "Namespace", "gpu-operator")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    release = one(found, "HelmRelease", "gpu-operator")["spec"]
    assert (release["targetNamespace"], release["storageNamespace"]) == ("gpu-operator", "gpu-operator")
    values = release["values"]
    assert [values[part]["enabled"] for part in ("driver", "toolkit", "devicePlugin")] == [False] * 3
    assert values["migManager"]["enabled"] is False
    # The kind ServiceMonitor is nobody's here.
    assert values["dcgmExporter"]["serviceMonitor"] == {"enabled": False}


def test_elsewhere_the_operator_brings_all_of_it() -> None:
    values = release_values(
        with_gpu("operator: {driver: true, devicePlugin: true, metrics: false}"), "gpu-operator"
    )
    assert [values[part]["enabled"] for part in ("driver", "toolkit", "devicePlugin")] == [True] * 3
    assert values["dcgmExporter"]["enabled"] is False


def image_fields(values: Any) -> Iterator[tuple[str, str]]:
    for name, part in values.items():
        if isinstance(part, dict):
            if "repository" in part:
                yield name, part["repository"]
            yield from ((f"{name}.{below}", place) for below, place in image_fields(part))


def test_every_image_of_the_chart_comes_from_the_sites_registry() -> None:
    """Of v26.7.0: twenty-one fields of its own and one of node feature discovery."""
    found = dict(image_fields(release_values(with_gpu("operator: {}"), "gpu-operator")))
    assert len(found) == 22
    assert {place.partition("/")[0] for place in found.values()} == {"registry.graz.factory.example"}
    assert {"operator", "driver.manager", "vfioManager.driverManager", "draDriver", "gfd"} <= set(found)


def test_the_image_of_each_part_is_its_own() -> None:
    """`repository` holds all but the image's last name, which the chart has beside it."""
    values = release_values(with_gpu("operator: {driver: true, devicePlugin: true}"), "gpu-operator")
    host = "registry.graz.factory.example"
    assert {
        part: values[part]["repository"] for part in ("operator", "toolkit", "devicePlugin", "dcgmExporter")
    } == {
        "operator": f"{host}/nvidia",
        "toolkit": f"{host}/nvidia/k8s",
        "devicePlugin": f"{host}/nvidia",
        "dcgmExporter": f"{host}/nvidia/k8s",
    }
    assert values["driver"]["manager"]["repository"] == f"{host}/nvidia/cloud-native"


def test_without_a_registry_of_its_own_a_site_pulls_from_the_makers() -> None:
    values = release_values(with_gpu("operator: {}", name="turin"), "gpu-operator")
    assert "repository" not in str(values)


def test_images_carry_the_digests_of_the_inventory() -> None:
    images = {
        "nvcr.io/nvidia/gpu-operator:v26.7.0": DIGEST,
        "nvcr.io/nvidia/driver:595.91.07": DIGEST,
        "registry.k8s.io/nfd/node-feature-discovery:v0.19.0": DIGEST,
    }
    more = f"components: {{gpu-operator: {{digest: '{DIGEST}', images: {yaml.safe_dump(images, default_flow_style=True)}}}}}"
    spec = site("graz", f"gpu: {{model: L4, perNode: 2, operator: {{driver: true}}}}\n{more}")
    values = release_values(spec, "gpu-operator")
    assert values["operator"]["version"] == values["validator"]["version"] == f"v26.7.0@{DIGEST}"
    assert values["node-feature-discovery"]["image"]["tag"] == f"v0.19.0@{DIGEST}"
    # The operator puts the node's system behind the driver's version: a digest would be of another image.
    assert "version" not in values["driver"]
    assert "version" not in values["gfd"]


def test_what_runs_on_gpu_nodes_tolerates_their_taints() -> None:
    taint = "kubernetes: {nodePools: {inference: {taints: [{key: models, value: only, effect: NoExecute}]}}}"
    values = release_values(with_gpu("operator: {}", taint), "gpu-operator")
    wanted = {"key": "models", "operator": "Equal", "value": "only", "effect": "NoExecute"}
    assert wanted in values["daemonsets"]["tolerations"]
    assert wanted in values["node-feature-discovery"]["worker"]["tolerations"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in values["daemonsets"][
        "tolerations"
    ]
    assert "daemonsets" not in release_values(with_gpu("operator: {}"), "gpu-operator")


def test_time_slices_are_the_device_plugins_configuration_on_every_node() -> None:
    fields = "sharing: time-slicing, timeSlices: 4, operator: {devicePlugin: true}"
    config = release_values(with_gpu(fields), "gpu-operator")["devicePlugin"]["config"]
    assert config["create"] is True
    told = yaml.safe_load(config["data"][config["default"]])
    assert told["sharing"]["timeSlicing"] == {
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
    }


def cut(**pools: str) -> SiteSpec:
    said = ", ".join(f"{name}: {POOLS}, {rest}}}" for name, rest in pools.items())
    return site(
        "graz",
        "gpu: {model: RTX6000Pro, perNode: 4, sharing: mig, operator: {devicePlugin: true}}\n"
        f"{PINS}\nkubernetes: {{nodePools: {{{said}}}}}",
    )


def mig(spec: SiteSpec) -> tuple[Any, Mapping[str, Any]]:
    """The values, and the layouts as the MIG manager reads them."""
    values = release_values(spec, "gpu-operator")
    config = values["migManager"]["config"]
    assert values["migManager"]["enabled"] is True
    return values, yaml.safe_load(config["data"]["config.yaml"])["mig-configs"]


def test_pools_that_are_cut_alike_need_no_label() -> None:
    values, layouts = mig(cut(inference="mig: {profiles: {1g.24gb: 4}}"))
    assert values["mig"] == {"strategy": "single"}
    default = values["migManager"]["config"]["default"]
    assert layouts[default] == [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.24gb": 4}}]


def test_pools_that_are_cut_differently_are_told_apart_by_a_label_of_their_nodes() -> None:
    small, large = (
        "mig: {strategy: mixed, profiles: {1g.24gb: 4}}",
        "mig: {strategy: mixed, profiles: {2g.48gb: 2}}",
    )
    with pytest.raises(FleetError, match="no label tells the nodes of 'inference'") as caught:
        list(gpu.sections(cut(inference=small, large=large)))
    assert caught.value.code == "TPL010"
    assert caught.value.help is not None
    labels = {name: f"labels: {{nvidia.com/mig.config: {name}}}" for name in ("inference", "large")}
    assert labels["inference"] in caught.value.help
    values, layouts = mig(
        cut(inference=f"{small}, {labels['inference']}", large=f"{large}, {labels['large']}")
    )
    assert values["mig"] == {"strategy": "mixed"}
    assert values["migManager"]["config"]["default"] == "all-disabled"
    assert layouts["large"][0]["mig-devices"] == {"2g.48gb": 2}


def test_a_pool_of_whole_cards_beside_a_cut_one_is_labelled_too() -> None:
    slices = "mig: {profiles: {1g.24gb: 4}}, labels: {nvidia.com/mig.config: inference}"
    with pytest.raises(FleetError, match="nodes of 'whole'"):
        list(gpu.sections(cut(inference=slices, whole="labels: {}")))
    _, layouts = mig(cut(inference=slices, whole="labels: {nvidia.com/mig.config: all-disabled}"))
    assert layouts["all-disabled"] == [{"devices": "all", "mig-enabled": False}]


def test_both_mig_strategies_at_a_site_are_refused() -> None:
    with pytest.raises(FleetError, match="both MIG strategies") as caught:
        list(
            gpu.sections(
                cut(
                    inference="mig: {strategy: single, profiles: {1g.24gb: 4}}",
                    large="mig: {strategy: mixed, profiles: {2g.48gb: 2}}",
                )
            )
        )
    assert caught.value.code == "TPL010"


@pytest.mark.parametrize(("version", "rendered"), [("v0.16.8", False), ("v0.17.0", True), ("v1.0.0", True)])
def test_kais_configuration_is_the_charts_where_the_chart_can_render_it(version: str, rendered: bool) -> None:
    """Before 0.17 only the hook makes it: without, nothing of KAI would start."""
    values = release_values(with_gpu(f"kai: {{version: {version}, queues: {{}}}}"), "kai-scheduler")
    assert ("kaiConfigDeployer" in values, "kaiConfig" in values) == (rendered, rendered)
    if rendered:
        assert (values["kaiConfigDeployer"]["enabled"], values["kaiConfig"]["render"]) == (False, True)


def test_kai_comes_from_the_sites_registry_by_digest() -> None:
    image = "ghcr.io/kai-scheduler/kai-scheduler/crd-upgrader:v0.16.8"
    more = f"components: {{kai-scheduler: {{digest: '{DIGEST}', images: {{'{image}': '{DIGEST}'}}}}}}"
    spec = site("graz", f"gpu: {{model: L4, perNode: 2, kai: {{gpuSharing: true, queues: {{}}}}}}\n{more}")
    values = release_values(spec, "kai-scheduler")
    assert values["global"] == {
        "gpuSharing": True,
        "registry": "registry.graz.factory.example/kai-scheduler/kai-scheduler",
    }
    assert values["crdupgrader"]["image"] == values["postCleanup"]["image"] == {"tag": f"v0.16.8@{DIGEST}"}
    assert "scheduler" not in values
    # The class `nvidia` is the operator's toolkit's.
    assert values["admission"] == {"gpuFractionRuntimeClassName": ""}
    assert values["defaultQueue"] == {"createDefaultQueue": False}


def resources(spec: Any) -> Iterator[tuple[str, str]]:
    for resource, said in spec["resources"].items():
        yield from ((resource, key) for key in said)


def test_queues_say_every_resource_and_come_after_kai() -> None:
    queues = "{site: {gpuQuota: 2, gpuLimit: 2}, agents: {parent: site, gpuQuota: 0.5, priority: 200, preemptMinRuntime: 20s}}"
    gpus, after = gpu.sections(with_gpu(f"kai: {{queues: {queues}}}"))
    assert (gpus.name, after.name, after.path, after.after) == ("gpu", "queues", "platform/queues", ("gpu",))
    found = objects([after])
    child = one(found, "Queue", "agents")
    assert child["apiVersion"] == "scheduling.run.ai/v2"
    assert child["spec"]["parentQueue"] == "site" and child["spec"]["preemptMinRuntime"] == "20s"
    for item in found:
        assert set(resources(item["spec"])) == {
            (resource, key)
            for resource in ("cpu", "memory", "gpu")
            for key in ("quota", "limit", "overQuotaWeight")
        }
    assert child["spec"]["resources"]["gpu"] == {"quota": 0.5, "limit": -1, "overQuotaWeight": 1}
    assert "parentQueue" not in one(found, "Queue", "site")["spec"]


def test_topology_levels_keep_their_order() -> None:
    levels = "topologyLevels: [example.com/room, example.com/rack, kubernetes.io/hostname], queues: {}"
    *_, last = gpu.sections(with_gpu(f"kai: {{{levels}}}"))
    topology = one(objects([last]), "Topology", "cluster-topology")
    assert topology["apiVersion"] == "kai.scheduler/v1alpha1"
    assert [level["nodeLabel"] for level in topology["spec"]["levels"]] == [
        "example.com/room", "example.com/rack", "kubernetes.io/hostname",
    ]  # fmt: skip


@pytest.mark.parametrize("fields", ["operator: {}", "kai: {queues: {}}"])
def test_a_chart_without_a_digest_is_not_rendered(fields: str) -> None:
    bare = with_gpu(fields).model_copy(update={"components": {}})
    with pytest.raises(FleetError) as caught:
        list(gpu.sections(bare))
    assert caught.value.code == "TPL003"
