"""The served models: runtimes behind their gateways, one stable name each."""

from collections.abc import Iterator
from math import ceil, floor

from fleet import catalog
from fleet.model.inference import InferenceDeployment
from fleet.model.site import SiteSpec
from fleet.render.section import Section, cpu_quantity, memory_quantity, site_image, taints_of
from fleet.render.templating import render_template


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `inference`, where the site serves models."""
    files = {f"{name}.yaml": _deployment(spec, name, each) for name, each in spec.inference.items()}
    if files:
        # Models load for minutes, and Flux waits as long as the startup probe does.
        yield Section("inference", "platform/inference", files, ("platform",), "35m")


def _deployment(spec: SiteSpec, name: str, deployment: InferenceDeployment) -> str:
    return render_template(
        "platform/inference/deployment.yaml.j2",
        name=name,
        deployment=deployment,
        taints=taints_of(spec, deployment.node_pool),
        model=deployment.model,
        image=site_image(spec, deployment.image),
        sessions=ceil(deployment.slo.concurrent_sessions / deployment.replicas),
        resources=_resources(spec, deployment),
    )


def _resources(spec: SiteSpec, deployment: InferenceDeployment) -> dict[str, str]:
    """Half of the node's processors and memory: a replica fits beside the node's own daemons.

    With `memoryGib` that much memory, and of the processors the same share as of the memory.

    Where a node has several GPUs, half of the share of those that the replica takes: each GPU can have a pod.
    A VM of 32 GiB leaves about 28 GiB to pods (facts 3.4), so half is safe on every listed size.
    """
    pool = spec.kubernetes.node_pools.get(deployment.node_pool)
    size = catalog.vm_sizes().get(pool.vm_size) if pool else None
    vcpus, memory = (size.vcpus, size.memory_gib) if size else (2, 8)
    taken, present = (deployment.gpus, size.gpus) if deployment.gpus and size and size.gpus else (1, 1)
    if deployment.memory_gib is not None:
        return {
            "cpu_request": cpu_quantity(
                max(floor(1000 * vcpus * min(deployment.memory_gib / memory, 1)), 100)
            ),
            "memory": memory_quantity(ceil(1024 * deployment.memory_gib)),
        }
    return {
        "cpu_request": str(max(vcpus * taken // (2 * present), 1)),
        "memory": f"{max(memory * taken // (2 * present), 1)}Gi",
    }
