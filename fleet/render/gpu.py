"""GPUs: NVIDIA's operator, KAI Scheduler, its queues and topology, each where the inventory switches it on.

AKS on Azure Local brings a driver and a device plugin (facts 1.9, an inference). So the operator runs without
either unless the inventory says otherwise: time slices and MIG strategies are configuration of a device
plugin, which Azure's own can't be given (GPU018). Names of values are those of the charts gpu-operator
v26.7.0 and kai-scheduler v0.16.8 and v0.17.0, read at their tags on 2026-11-21.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.kubernetes import Gpu, Kai, MigSlices, Queue
from fleet.model.site import SiteSpec
from fleet.render.releases import release
from fleet.render.section import Section, site_image
from fleet.render.templating import render_template

GPU_OPERATOR: Final = "gpu-operator"
KAI: Final = "kai-scheduler"
MIG_LABEL: Final = "nvidia.com/mig.config"
"""Of a node: the name of the MIG layout that the operator's MIG manager gives its cards (gpu-facts 2.3)."""
_UNCUT: Final = "all-disabled"  # the MIG manager's own name for whole cards
_KAI_REGISTRY: Final = "ghcr.io/kai-scheduler/kai-scheduler"
_RENDERS_CONFIG: Final = (0, 17)  # the minor of KAI since which `kaiConfig.render` exists (its CHANGELOG)
_OPERATOR_IMAGES: Final = (
    # Where the chart's values have an image, and its name without a tag: all that v26.7.0 gives one for.
    ("operator", "nvcr.io/nvidia/gpu-operator"),
    ("validator", "nvcr.io/nvidia/gpu-operator"),
    ("gfd", "nvcr.io/nvidia/k8s-device-plugin"),
    ("driver", "nvcr.io/nvidia/driver"),
    ("driver.manager", "nvcr.io/nvidia/cloud-native/k8s-driver-manager"),
    ("toolkit", "nvcr.io/nvidia/k8s/container-toolkit"),
    ("devicePlugin", "nvcr.io/nvidia/k8s-device-plugin"),
    ("dcgmExporter", "nvcr.io/nvidia/k8s/dcgm-exporter"),
    ("migManager", "nvcr.io/nvidia/cloud-native/k8s-mig-manager"),
    ("dcgm", "nvcr.io/nvidia/cloud-native/dcgm"),
    ("nodeStatusExporter", "nvcr.io/nvidia/gpu-operator"),
    ("gds", "nvcr.io/nvidia/cloud-native/nvidia-fs"),
    ("gdrcopy", "nvcr.io/nvidia/cloud-native/gdrdrv"),
    ("vfioManager", "nvcr.io/nvidia/cloud-native/k8s-driver-manager"),
    ("vfioManager.driverManager", "nvcr.io/nvidia/cloud-native/k8s-driver-manager"),
    ("vgpuManager.driverManager", "nvcr.io/nvidia/cloud-native/k8s-driver-manager"),
    ("vgpuDeviceManager", "nvcr.io/nvidia/cloud-native/vgpu-device-manager"),
    ("sandboxDevicePlugin", "nvcr.io/nvidia/kubevirt-gpu-device-plugin"),
    ("kataSandboxDevicePlugin", "nvcr.io/nvidia/cloud-native/nvidia-sandbox-device-plugin"),
    ("ccManager", "nvcr.io/nvidia/cloud-native/k8s-cc-manager"),
    ("draDriver", "nvcr.io/nvidia/dra-driver-nvidia-gpu"),
)
_GPU_TOLERATION: Final = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
_NFD_IMAGE: Final = "registry.k8s.io/nfd/node-feature-discovery"
_KAI_IMAGES: Final = (
    # Where the values have a tag, and the image's last name.
    ("operator.image", "operator"),
    ("podgrouper.image", "podgrouper"),
    ("podgroupcontroller.image", "podgroupcontroller"),
    ("binder.image", "binder"),
    ("binder.resourceReservationImage", "resourcereservation"),
    ("scheduler.image", "scheduler"),
    ("queuecontroller.image", "queuecontroller"),
    ("admission.image", "admission"),
    ("nodescaleadjuster.image", "nodescaleadjuster"),
    ("nodescaleadjuster.scalingPodImage", "scalingpod"),
    ("numaPlacementExporter.image", "numa-placement-exporter"),
    ("crdupgrader.image", "crd-upgrader"),
    ("kaiConfigDeployer.image", "crd-upgrader"),
    ("topologyMigration.image", "crd-upgrader"),
    ("postCleanup.image", "crd-upgrader"),
)


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `gpu` with the releases, and `queues` after it, whose kinds KAI's chart brings.

    Raises `FleetError`: TPL003 without a chart's digest, TPL010 where pools are cut in different ways and
    their nodes have no label to tell them apart.
    """
    gpu = spec.gpu
    if gpu is None:
        return
    files = {}
    if gpu.operator is not None:
        values = gpu_operator_values(spec)
        files[f"{GPU_OPERATOR}.yaml"] = _release(spec, GPU_OPERATOR, values, "privileged")  # gpu-facts 2.1
    if gpu.kai is not None:
        files[f"{KAI}.yaml"] = _release(spec, KAI, kai_values(spec))
    if files:
        yield Section("gpu", "platform/gpu", files, ("platform",), "20m")
    if gpu.kai is not None and (gpu.kai.queues or gpu.kai.topology_levels):
        yield Section("queues", "platform/queues", _queues(gpu.kai), ("gpu",))


def _release(
    spec: SiteSpec, component: str, values: Mapping[str, Any], pod_security: str | None = None
) -> str:
    namespace = render_template(
        "platform/gpu/namespace.yaml.j2", name=component, pod_security=pod_security, site=spec
    )
    return f"{namespace}---\n{release(spec, component, component, values, timeout='15m')}"


def gpu_operator_values(spec: SiteSpec) -> Mapping[str, Any]:
    """Values of the chart gpu-operator for a site with `gpu.operator` (gpu-facts 2.3, 2.5).

    There is no one knob for a mirror: each image field gets the site's registry, and the digest that
    `components` has (gpu-facts 2.4), also of parts that are off, so that nothing of the chart names another
    place. The driver's image stays by tag: the operator adds the node's system to it. Raises `FleetError`
    TPL010 as `sections` does.
    """
    gpu = spec.gpu
    assert gpu is not None
    assert gpu.operator is not None
    operator = gpu.operator
    mig = gpu.sharing == "mig"
    values: dict[str, Any] = {
        "nfd": {"enabled": True},
        "driver": {"enabled": operator.driver},
        # Beside a driver of the node's own, the node's own toolkit stays: two are mutually exclusive (2.8).
        "toolkit": {"enabled": operator.driver},
        "devicePlugin": {"enabled": operator.device_plugin},
        # Its ServiceMonitor is on by default and needs the definitions of the Prometheus operator.
        "dcgmExporter": {"enabled": operator.metrics, "serviceMonitor": {"enabled": False}},
        "migManager": {"enabled": mig},
    }
    if mig:
        strategy, default, layouts = _mig_layouts(spec)
        values["mig"] = {"strategy": strategy}
        values["migManager"]["config"] = {
            "create": True,
            "name": "fleet-mig",
            "default": default,
            "data": {"config.yaml": _text({"version": "v1", "mig-configs": layouts})},
        }
    if gpu.sharing == "time-slicing" and operator.device_plugin:
        values["devicePlugin"]["config"] = {
            "create": True,
            "name": "fleet-sharing",
            "default": "time-slices",  # of every node: a site's cards are all of one kind (facts 1.9)
            "data": {"time-slices": _text(_time_slices(gpu))},
        }
    if taints := _gpu_taints(spec):
        # What runs on GPU nodes must tolerate their taints; a list of values replaces the chart's own.
        values["daemonsets"] = {"tolerations": [_GPU_TOLERATION, *taints]}
        values["node-feature-discovery"] = {"worker": {"tolerations": [_GPU_TOLERATION, *taints]}}
    _operator_images(spec, values)
    return values


def _gpu_taints(spec: SiteSpec) -> list[Mapping[str, str]]:
    taints = {
        taint: {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
        for pool in spec.kubernetes.node_pools.values()
        if pool.gpu
        for taint in pool.taints
    }
    return list(taints.values())


def _operator_images(spec: SiteSpec, values: dict[str, Any]) -> None:
    pins = _pins(spec, GPU_OPERATOR)
    for path, image in _OPERATOR_IMAGES:
        if spec.registry is not None:
            # The site's image without its last name: the chart has that in a field of its own.
            _put(values, f"{path}.repository", site_image(spec, image).rpartition("/")[0])
        if image in pins and path != "driver":
            _put(values, f"{path}.version", pins[image])
    if spec.registry is not None:
        _put(values, "node-feature-discovery.image.repository", site_image(spec, _NFD_IMAGE))
    if _NFD_IMAGE in pins:
        _put(values, "node-feature-discovery.image.tag", pins[_NFD_IMAGE])


def kai_values(spec: SiteSpec) -> Mapping[str, Any]:
    """Values of the chart kai-scheduler for a site with `gpu.kai` (gpu-facts 1.1).

    `global.registry` is the one knob for a mirror. Since v0.17 the chart renders its `Config` itself; before,
    only its hook makes one, which therefore stays on. Pods with a fraction keep the node's own container
    runtime where the operator installs none: the class `nvidia` would not be there.
    """
    gpu = spec.gpu
    assert gpu is not None
    assert gpu.kai is not None
    shared: dict[str, Any] = {"gpuSharing": gpu.kai.gpu_sharing}
    if spec.registry is not None:
        shared["registry"] = site_image(spec, _KAI_REGISTRY)
    values: dict[str, Any] = {
        "global": shared,
        # The chart's default queue guarantees no GPU: what waits there waits for ever (gpu-facts 1.8).
        "defaultQueue": {"createDefaultQueue": False},
    }
    if _kai_minor(gpu.kai) >= _RENDERS_CONFIG:
        values |= {"kaiConfigDeployer": {"enabled": False}, "kaiConfig": {"render": True}}
    if gpu.kai.gpu_sharing and not (gpu.operator is not None and gpu.operator.driver):
        values["admission"] = {"gpuFractionRuntimeClassName": ""}
    pins = _pins(spec, KAI)
    for path, name in _KAI_IMAGES:
        if f"{_KAI_REGISTRY}/{name}" in pins:
            _put(values, f"{path}.tag", pins[f"{_KAI_REGISTRY}/{name}"])
    return values


def queue(name: str, said: Queue) -> Mapping[str, Any]:
    """A KAI queue (gpu-facts 1.4): every resource is said, as one that is not said allows nothing."""
    spec: dict[str, Any] = {
        "priority": said.priority,
        "resources": {
            resource: {"quota": quota, "limit": limit, "overQuotaWeight": said.over_quota_weight}
            for resource, quota, limit in (
                ("gpu", said.gpu_quota, said.gpu_limit),
                ("cpu", said.cpu_quota, said.cpu_limit),
                ("memory", said.memory_quota_mb, said.memory_limit_mb),
            )
        },
    }
    for key, value in (
        ("parentQueue", said.parent),
        ("preemptMinRuntime", said.preempt_min_runtime),
        ("reclaimMinRuntime", said.reclaim_min_runtime),
    ):
        if value is not None:
            spec[key] = value
    return {
        "apiVersion": "scheduling.run.ai/v2",
        "kind": "Queue",
        "metadata": {"name": name},
        "spec": spec,
    }


def _queues(kai: Kai) -> Mapping[str, str]:
    files = {f"{name}.yaml": _object(queue(name, said)) for name, said in kai.queues.items()}
    if kai.topology_levels:
        levels = [{"nodeLabel": label} for label in kai.topology_levels]
        files["_topology.yaml"] = _object(  # no queue can have this name
            {
                "apiVersion": "kai.scheduler/v1alpha1",
                "kind": "Topology",
                # Its levels can't be changed (gpu-facts 1.6): with this Flux makes another in its place.
                "metadata": {
                    "name": "cluster-topology",
                    "annotations": {"kustomize.toolkit.fluxcd.io/force": "enabled"},
                },
                "spec": {"levels": levels},
            }
        )
    return files


def _object(found: Mapping[str, Any]) -> str:
    return render_template("platform/gpu/object.yaml.j2", object=found)


def _text(value: Mapping[str, Any]) -> str:
    return _object(value)


def _time_slices(gpu: Gpu) -> Mapping[str, Any]:
    return {
        "version": "v1",
        "flags": {"migStrategy": "none"},
        "sharing": {
            "timeSlicing": {
                # Two slices of a card are no more of it than one: who asks for two is refused.
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": gpu.time_slices or 1}],
            }
        },
    }


def _mig_layouts(spec: SiteSpec) -> tuple[str, str, Mapping[str, Any]]:
    """The MIG strategy, the layout of nodes without a label, and all layouts by their names, the pools'."""
    pools = {name: pool for name, pool in spec.kubernetes.node_pools.items() if pool.gpu}
    layouts: dict[str, Any] = {_UNCUT: [{"devices": "all", "mig-enabled": False}]}
    wanted: dict[str, MigSlices | None] = {}
    for name, pool in pools.items():
        wanted[name] = pool.mig
        if pool.mig is not None:
            devices = dict(sorted(pool.mig.profiles.items()))
            layouts[name] = [{"devices": "all", "mig-enabled": True, "mig-devices": devices}]
    cuts = {name: mig for name, mig in wanted.items() if mig is not None}
    strategies = {mig.strategy for mig in cuts.values()}
    if len(strategies) > 1:
        raise FleetError(
            "TPL010",
            f"{spec.name}: the node pools {', '.join(cuts)} have both MIG strategies; the operator has one",
            "the same 'strategy' in each",
        )
    strategy = strategies.pop() if strategies else "none"
    distinct = [mig for n, mig in enumerate(wanted.values()) if mig not in list(wanted.values())[:n]]
    if len(distinct) < 2:
        return strategy, next(iter(cuts), _UNCUT), layouts
    for name, pool in pools.items():
        layout = name if name in cuts else _UNCUT
        if pool.labels.get(MIG_LABEL) != layout:
            raise FleetError(
                "TPL010",
                f"{spec.name}: GPU pools are cut in different ways, and no label tells the nodes of {name!r} "
                "which is theirs",
                f"kubernetes: {{nodePools: {{{name}: {{labels: {{{MIG_LABEL}: {layout}}}}}}}}}",
            )
    return strategy, _UNCUT, layouts


def _kai_minor(kai: Kai) -> tuple[int, int]:
    major, minor, _patch = kai.version.removeprefix("v").split(".")
    return int(major), int(minor)


def _pins(spec: SiteSpec, component: str) -> Mapping[str, str]:
    """`tag@digest` by an image's name without a tag, for those whose digest the inventory has.

    Both charts and the operators write `name:tag`, so that the digest travels with the tag.
    """
    pin = spec.components.get(component)
    found = {}
    for reference, digest in pin.images.items() if pin else ():
        name, _, tag = reference.rpartition(":")
        found[name] = f"{tag}@{digest}"
    return found


def _put(values: dict[str, Any], path: str, value: str) -> None:
    *groups, last = path.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[last] = value
