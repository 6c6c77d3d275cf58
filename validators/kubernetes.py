"""Rules about the AKS cluster."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean

MAX_POOLS, MAX_NODES = 16, 200
"""Node pools a cluster and nodes a cluster (facts 1.9)."""


def _control_plane_size(site: Site, _: Inventory) -> Iterator[Finding]:
    name = site.spec.kubernetes.control_plane.vm_size
    fitting = sorted(size.name for size in catalog.vm_sizes().values() if size.control_plane)
    if name not in fitting:
        near = did_you_mean(name, fitting)
        yield Finding(
            ("kubernetes", "controlPlane", "vmSize"), f"a control plane can't run on {name!r}", near
        )


def _limits(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    if len(pools) > MAX_POOLS:
        yield Finding(
            ("kubernetes", "nodePools"),
            f"{len(pools)} node pools; a cluster has at most {MAX_POOLS}",
            "join some",
        )
    nodes = sum(pool.count for pool in pools.values()) + site.spec.kubernetes.control_plane.count
    if nodes > MAX_NODES:
        yield Finding(
            ("kubernetes", "nodePools"),
            f"{nodes} nodes; a cluster has at most {MAX_NODES}",
            "make it two clusters",
        )


def _single_control_plane(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    alone = spec.kubernetes.control_plane.count == 1
    if alone and spec.environment == "prod" and spec.topology == "datacenter-cluster":
        yield Finding(
            ("kubernetes", "controlPlane", "count"),
            "one control plane VM in a production cluster: its host's failure stops the API server",
            "'count: 3'",
        )


def _system_pool(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    pool = kubernetes.node_pools.get(kubernetes.system_pool)
    path = ("kubernetes", "systemPool")
    plain = sorted(name for name, p in kubernetes.node_pools.items() if not p.gpu)
    if pool is None:
        message = f"the system pool {kubernetes.system_pool!r} is no node pool of the site"
        yield Finding(path, message, did_you_mean(kubernetes.system_pool, plain))
    elif pool.gpu:
        yield Finding(path, f"the system pool {kubernetes.system_pool!r} has GPUs", did_you_mean("", plain))


def _inference_size(site: Site, _: Inventory) -> Iterator[Finding]:
    """Foundry Local's least worker is a D4s_v3: 4 vCPUs and 16 GiB."""
    spec, sizes = site.spec, catalog.vm_sizes()
    for name, deployment in spec.inference.items():
        pool = spec.kubernetes.node_pools.get(deployment.node_pool)
        size = sizes.get(pool.vm_size) if pool else None
        if size is not None and size.memory_gib < sizes["Standard_D4s_v3"].memory_gib:
            yield Finding(
                ("kubernetes", "nodePools", deployment.node_pool, "vmSize"),
                f"{size.name} has {size.memory_gib} GiB; {name} needs a worker of 16 GiB or more",
                "Standard_D4s_v3 is the least",
            )


RULES = (
    Rule(
        code="K8S001",
        summary="the control plane runs on a VM size made for it",
        source="facts 1.9",
        check_site=_control_plane_size,
    ),
    Rule(
        code="K8S002",
        summary="the cluster keeps to the limits of pools and nodes",
        source="facts 1.9 (scale requirements)",
        check_site=_limits,
    ),
    Rule(
        code="K8S003",
        summary="a production cluster has three control plane VMs",
        source="facts 1.9",
        severity="warning",
        check_site=_single_control_plane,
    ),
    Rule(
        code="K8S005",
        summary="the system pool is a node pool without GPUs",
        source="gpu-facts 2.5 (a GPU pool can't be the system pool)",
        check_site=_system_pool,
    ),
    Rule(
        code="K8S004",
        summary="inference runs on workers of 16 GiB or more",
        source="facts 3.1, gpu-facts 2.5",
        check_site=_inference_size,
    ),
)
