"""Rules about the AKS cluster."""

import base64
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.site import SiteSpec

CONTROL_PLANES = (3, 5)
"""How many VMs a control plane of more than one may have (facts 1.9)."""


def _control_plane_size(site: Site, _: Inventory) -> Iterator[Finding]:
    name = site.spec.kubernetes.control_plane.vm_size
    fitting = sorted(size.name for size in catalog.vm_sizes().values() if size.control_plane)
    if name not in fitting:
        near = did_you_mean(name, fitting)
        yield Finding(
            ("kubernetes", "controlPlane", "vmSize"), f"a control plane can't run on {name!r}", near
        )


def _limits(site: Site, _: Inventory) -> Iterator[Finding]:
    pools, facts = site.spec.kubernetes.node_pools, catalog.azure_local()
    if len(pools) > facts.pools_max:
        yield Finding(
            ("kubernetes", "nodePools"),
            f"{len(pools)} node pools; a cluster has at most {facts.pools_max}",
            "join some",
        )
    workers = sum(max(p.count, p.autoscale.max_count if p.autoscale else 0) for p in pools.values())
    nodes = workers + site.spec.kubernetes.control_plane.count
    if nodes > facts.nodes_max:
        yield Finding(
            ("kubernetes", "nodePools"),
            f"{nodes} nodes; a cluster has at most {facts.nodes_max}",
            "make it two clusters",
        )


def _single_control_plane(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    # Where racks need more still, K8S018 says it.
    alone = spec.kubernetes.control_plane.count == 1 and _needed_by_racks(spec) is None
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


def _needed_by_racks(spec: SiteSpec) -> tuple[int, int] | None:
    """The machines of the largest zone, and control plane VMs that are more; None where there are enough.

    AKS spreads over hosts and not over zones: with few VMs all may be in one zone.
    """
    local, count = spec.azure_local, spec.kubernetes.control_plane.count
    zones = Counter(node.zone for node in local.nodes)
    hosts = max(zones.values())
    if local.pattern != "rack-aware" or len(zones) < 2 or count > hosts:
        return None
    more = next((number for number in CONTROL_PLANES if number > hosts), None)
    return (hosts, more) if more is not None else None  # of larger zones AZL010 says it


def _rack_aware_control_plane(site: Site, _: Inventory) -> Iterator[Finding]:
    count, needed = site.spec.kubernetes.control_plane.count, _needed_by_racks(site.spec)
    if needed is not None:
        hosts, more = needed
        yield Finding(
            ("kubernetes", "controlPlane", "count"),
            f"{count} control plane VM{'' if count == 1 else 's'} may all be in one zone of {hosts} machines",
            f"'count: {more}': more than a zone has machines",
        )


@lru_cache(maxsize=1024)
def _rsa_bits(key: str) -> int | None:
    """Bits of a public RSA key as OpenSSH writes it (RFC 4253, 6.6); 0: unreadable, None: another kind."""
    kind, encoded = key.split(None, 2)[:2]
    if kind != "ssh-rsa":
        return None
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        return 0
    fields, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        fields.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(data) or len(fields) != 3 or fields[0] != b"ssh-rsa":
        return 0
    return int.from_bytes(fields[2], "big").bit_length()


def _ssh_key(site: Site, _: Inventory) -> Iterator[Finding]:
    bits, least = _rsa_bits(site.spec.kubernetes.ssh_public_key), catalog.azure_local().ssh_rsa_bits_min
    path = ("kubernetes", "sshPublicKey")
    if bits == 0:
        yield Finding(path, "the RSA key can't be read", "copy the whole line of the .pub file")
    elif bits is not None and bits < least:
        yield Finding(
            path,
            f"the RSA key has {bits} bits; Azure takes {least} or more",
            "make one with 'ssh-keygen -t ed25519', or '-t rsa -b 4096'",
        )


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
    Rule(
        code="K8S018",
        summary="a rack-aware cluster has more control plane VMs than a zone has machines",
        source="facts 1.8 (AKS on rack-aware)",
        severity="warning",
        check_site=_rack_aware_control_plane,
    ),
    Rule(
        code="K8S019",
        summary="an RSA key for the nodes has 2048 bits or more",
        source="azure-docs, virtual-machines/linux/mac-create-ssh-keys; facts 1.9, linuxProfile",
        check_site=_ssh_key,
    ),
)
