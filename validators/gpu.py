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


RULES = (
    Rule(
        code="GPU001",
        summary="a node pool's VM size carries the GPU that is asked for, and only then",
        source="facts 1.9, gpu-facts 2.5 (Microsoft's list of 2026-03-18)",
        check_site=_vm_size_has_gpu,
    ),
)
