"""Rules about GPUs."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean


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


def gpus_used(site: Site) -> int:
    """GPUs that the site's node pools hold together."""
    sizes = catalog.vm_sizes()
    pools = site.spec.kubernetes.node_pools.values()
    return sum(pool.count * sizes[pool.vm_size].gpus for pool in pools if pool.gpu and pool.vm_size in sizes)


def _enough_gpus(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.gpu is None:
        return
    there, used = spec.gpu.per_node * len(spec.azure_local.nodes), gpus_used(site)
    if used > there:
        yield Finding(
            ("gpu", "perNode"),
            f"the node pools take {used} GPUs; the site has {there}",
            "fewer nodes in the GPU pools, or more GPUs",
        )


def _spare_gpu(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, sizes = site.spec, catalog.vm_sizes()
    if spec.gpu is None:
        return
    spare = spec.gpu.per_node * len(spec.azure_local.nodes) - gpus_used(site)
    for name, pool in spec.kubernetes.node_pools.items():
        size = sizes.get(pool.vm_size)
        if pool.gpu and size is not None and 0 <= spare < size.gpus:
            yield Finding(
                ("kubernetes", "nodePools", name, "count"),
                f"no GPU is spare to upgrade the node pool {name!r}: the upgrade would hang",
                "leave as many GPUs free as one of its nodes has",
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
        summary="the node pools take no more GPUs than there are",
        source="facts 1.9 (DDA: a GPU belongs to one VM)",
        check_site=_enough_gpus,
    ),
    Rule(
        code="GPU003",
        summary="a GPU is spare for upgrades",
        source="facts 1.9, gpu-facts 2.5",
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
