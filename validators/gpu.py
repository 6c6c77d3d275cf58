"""Rules about GPUs."""

from collections.abc import Iterable, Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.kubernetes import NodePool
from fleet.model.site import SiteSpec

from .shares import most_nodes


def _vm_size_has_gpu(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, sizes = site.spec, catalog.vm_sizes()
    wanted = spec.gpu.model if spec.gpu else None
    if wanted is not None and wanted not in catalog.gpu_models():
        yield Finding(
            ("gpu", "model"),
            f"AKS on Azure Local has no VM size with the GPU {wanted!r}",
            did_you_mean(wanted, catalog.gpu_models()),
        )
        return
    fitting = sorted(name for name, size in sizes.items() if size.gpu is not None and size.gpu == wanted)
    for name, pool in spec.kubernetes.node_pools.items():
        path = ("kubernetes", "nodePools", name, "vmSize")
        size = sizes.get(pool.vm_size)
        if size is None:
            yield Finding(
                path,
                f"there is no VM size {pool.vm_size!r}",
                did_you_mean(pool.vm_size, fitting if pool.gpu else sizes),
            )
        elif pool.gpu and wanted is None:
            yield Finding(
                ("kubernetes", "nodePools", name, "gpu"),
                f"the node pool {name!r} asks for a GPU at a site that has none",
                "say which: 'gpu: {model: …, perNode: …}'",
            )
        elif pool.gpu and size.gpu != wanted:
            has = f"carries {size.gpu}" if size.gpu else "carries no GPU"
            yield Finding(
                path, f"{pool.vm_size} {has}; the site's GPU is {wanted}", f"one of {', '.join(fitting)}"
            )
        elif not pool.gpu and size.gpu is not None:
            yield Finding(
                path,
                f"{pool.vm_size} carries a {size.gpu} that the node pool {name!r} does not ask for",
                f"add 'gpu: true' to {name!r}",
            )


def _pools_with_gpus(spec: SiteSpec) -> Iterator[tuple[str, NodePool, int]]:
    """The pools whose VMs take GPUs, with how many each VM takes."""
    sizes = catalog.vm_sizes()
    for name, pool in spec.kubernetes.node_pools.items():
        size = sizes.get(pool.vm_size)
        if pool.gpu and size is not None and size.gpus:
            yield name, pool, size.gpus


def _placed(vms: Iterable[int], machines: int, each: int) -> bool:
    """Whether VMs that take so many GPUs go on machines with `each`: a VM's are of one machine (DDA).

    First the large ones, on the first machine with room: with VMs of one and two GPUs there is no better way.
    """
    free = [each] * machines
    for vm in sorted(vms, reverse=True):
        machine = next((n for n, left in enumerate(free) if left >= vm), None)
        if machine is None:
            return False
        free[machine] -= vm
    return True


def _enough_gpus(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.gpu is None:
        return
    each, machines = spec.gpu.per_node, len(spec.azure_local.nodes)
    pools = list(_pools_with_gpus(spec))
    too_large = [(name, pool, gpus) for name, pool, gpus in pools if gpus > each]
    for name, pool, gpus in too_large:
        yield Finding(
            ("kubernetes", "nodePools", name, "vmSize"),
            f"a {pool.vm_size} takes {gpus} GPUs of one machine; a machine has {each}",
            "a VM size with fewer GPUs",
        )
    if too_large:
        return
    vms = [gpus for _name, pool, gpus in pools for _node in range(pool.count)]
    if sum(vms) > each * machines:
        yield Finding(
            ("gpu", "perNode"),
            f"the node pools take {sum(vms)} GPUs; the site has {each * machines}",
            "fewer nodes in the GPU pools, or more GPUs",
        )
    elif not _placed(vms, machines, each):
        yield Finding(
            ("gpu", "perNode"),
            f"{len(vms)} VMs with GPUs do not go on {machines} machines with {each} each: "
            "the GPUs of a VM are of one machine",
            "fewer nodes in the GPU pools, or a VM size with fewer GPUs",
        )


def _spare_gpu(site: Site, _: Inventory) -> Iterator[Finding]:
    """Of each host, also where another one has a GPU free: that is what Microsoft asks for."""
    spec = site.spec
    if spec.gpu is None:
        return
    each, machines = spec.gpu.per_node, len(spec.azure_local.nodes)
    pools = list(_pools_with_gpus(spec))
    if not _placed([gpus for _name, pool, gpus in pools for _node in range(pool.count)], machines, each):
        return  # GPU002 says it
    grown = any(most_nodes(pool) > pool.count for _name, pool, _gpus in pools)
    vms = [gpus for _name, pool, gpus in pools for _node in range(most_nodes(pool))]
    for name, _pool, gpus in pools:
        if not _placed(vms, machines, each - gpus):
            scaled = ", when the autoscalers have added all that they may" if grown else ""
            yield Finding(
                ("kubernetes", "nodePools", name, "count"),
                f"not every machine has {gpus} GPU{'s' if gpus > 1 else ''} spare to upgrade "
                f"the node pool {name!r}{scaled}: without, an upgrade hangs",
                "leave as many GPUs of each machine free as one of its nodes has",
            )


def _mig(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu = site.spec.gpu
    card = catalog.gpu_models().get(gpu.model) if gpu else None
    if gpu is not None and card is not None and gpu.sharing == "mig" and not card.mig:
        able = sorted(c.name for c in catalog.gpu_models().values() if c.mig)
        yield Finding(
            ("gpu", "sharing"),
            f"a {card.name} can't be cut into MIG instances",
            f"'sharing: none'; only {', '.join(able)} can",
        )


RULES = (
    Rule(
        code="GPU001",
        summary="a node pool's VM size carries the GPU that is asked for, and only then",
        source="facts 1.9, gpu-facts 2.5 (Microsoft's list of 2026-03-18)",
        check_site=_vm_size_has_gpu,
    ),
    Rule(
        code="GPU002",
        summary="the node pools take no more GPUs than the machines have",
        source="facts 1.9 (DDA: a GPU belongs to one VM)",
        check_site=_enough_gpus,
    ),
    Rule(
        code="GPU003",
        summary="every machine has a GPU spare for upgrades",
        source="facts 1.9 (a spare GPU per host), gpu-facts 2.5",
        severity="warning",
        check_site=_spare_gpu,
    ),
    Rule(
        code="GPU004",
        summary="only cards that can are cut into MIG instances",
        source="gpu-facts 2.6",
        check_site=_mig,
    ),
)
