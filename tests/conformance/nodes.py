"""Node objects of a site: one for each VM of its node pools, as the inventory and the catalogue say."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet import catalog
from fleet.model.site import SiteSpec

# Millicores that a node keeps for itself, by its vCPUs: Azure's table for AKS (learn.microsoft.com/azure/aks/
# node-resource-reservations). AKS on Azure Local publishes none; this stands in for it.
_CPU_RESERVED = {1: 60, 2: 100, 4: 140, 6: 160, 8: 180, 12: 220, 16: 260, 32: 420}
GPU = "nvidia.com/gpu"


def nodes_of(spec: SiteSpec) -> Iterator[Mapping[str, Any]]:
    """The site's nodes, named `POOL-1` and so on, with the label by which manifests choose a pool.

    Pods get less than the VM has: 28 of 32 GiB (facts 3.4). GPUs are whole cards, as Azure Local's device plugin
    offers them without sharing. What the platform's own pods take (DNS, CNI, Arc's agents) is not subtracted.
    """
    for name, pool in spec.kubernetes.node_pools.items():
        size = catalog.vm_sizes()[pool.vm_size]
        usable_mib = int(size.memory_gib * 1024 * catalog.serving().node_memory)
        gpus = {GPU: str(size.gpus)} if pool.gpu else {}
        capacity = {"cpu": str(size.vcpus), "memory": f"{size.memory_gib}Gi", "pods": str(pool.max_pods)}
        allocatable = {
            "cpu": f"{size.vcpus * 1000 - _CPU_RESERVED[size.vcpus]}m",
            "memory": f"{usable_mib}Mi",
            "pods": str(pool.max_pods),
        }
        for number in range(1, pool.count + 1):
            node = f"{name}-{number}"
            labels = {**pool.labels, "fleet/node-pool": name}
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": node,
                    "labels": {**labels, "kubernetes.io/hostname": node, "kubernetes.io/os": pool.os},
                },
                "spec": {"taints": [taint.model_dump() for taint in pool.taints]},
                "status": {"capacity": capacity | gpus, "allocatable": allocatable | gpus},
            }
