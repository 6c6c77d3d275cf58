"""What a site's GPU pools offer when their GPUs are shared, and what a deployment takes of it.

For the rules about GPUs, queues and models. With `gpu.sharing: mig` and the strategy `single`, and with
`time-slicing`, a pool offers more `nvidia.com/gpu` than it has cards; with `mixed` it offers profiles
(gpu-facts 1.11, 2.3).
"""

import re
from collections.abc import Iterator

from fleet import catalog
from fleet.model.inference import InferenceDeployment
from fleet.model.kubernetes import MigSlices, NodePool
from fleet.model.site import SiteSpec

_PROFILE = re.compile(r"(\d+)g\.(\d+)gb")


def profile_size(profile: str) -> tuple[int, int] | None:
    """Compute slices and GB of a MIG profile such as `1g.24gb`; None for what has another form."""
    match = _PROFILE.fullmatch(profile)
    return (int(match[1]), int(match[2])) if match else None


def cut(spec: SiteSpec, pool: NodePool) -> MigSlices | None:
    """How the GPUs of a pool are cut into MIG instances; None when they are whole."""
    return pool.mig if spec.gpu is not None and spec.gpu.sharing == "mig" and pool.gpu else None


def cards(pool: NodePool) -> int:
    """GPUs that the pool's VMs hold together."""
    size = catalog.vm_sizes().get(pool.vm_size)
    return pool.count * size.gpus if size is not None and pool.gpu else 0


def shares_a_card(spec: SiteSpec, pool: NodePool) -> int:
    """`nvidia.com/gpu` that one card of the pool is offered as; 0 with MIG `mixed`, which offers none."""
    slices = cut(spec, pool)
    if slices is not None:
        return sum(slices.profiles.values()) if slices.strategy == "single" else 0
    if spec.gpu is not None and spec.gpu.sharing == "time-slicing":
        return spec.gpu.time_slices or 1
    return 1


def deployments_on_gpus(spec: SiteSpec) -> Iterator[tuple[str, InferenceDeployment, NodePool]]:
    """The deployments that take GPUs of a pool that has some, with that pool."""
    pools = spec.kubernetes.node_pools
    for name, deployment in spec.inference.items():
        pool = pools.get(deployment.node_pool)
        if deployment.accelerator == "gpu" and deployment.gpus and pool is not None and pool.gpu:
            yield name, deployment, pool


def usable_gib(spec: SiteSpec, pool: NodePool, deployment: InferenceDeployment) -> float | None:
    """GPU memory in GiB of one GPU, or of the share of it, that a deployment takes; None when not known."""
    card = catalog.gpu_models().get(spec.gpu.model) if spec.gpu else None
    if card is None:
        return None
    slices = cut(spec, pool)
    if slices is not None:
        profile = deployment.mig_profile if slices.strategy == "mixed" else next(iter(slices.profiles))
        size = profile_size(profile) if profile else None
        return float(size[1]) if size else None
    return card.memory_gib * (deployment.gpu_fraction or 1) / shares_a_card(spec, pool)


def queued_gpus(spec: SiteSpec, pool: NodePool, deployment: InferenceDeployment) -> float:
    """GPUs that KAI counts for all replicas: a `mixed` profile counts as its `g` number (gpu-facts 1.11)."""
    slices = cut(spec, pool)
    if slices is not None and slices.strategy == "mixed":
        size = profile_size(deployment.mig_profile or "")
        return float(size[0] * deployment.replicas) if size else 0
    return (deployment.gpu_fraction or deployment.gpus) * deployment.replicas


def queued_capacity(spec: SiteSpec) -> float:
    """GPUs that KAI finds at the site, counted as `queued_gpus` does."""
    total = 0
    for pool in spec.kubernetes.node_pools.values():
        slices = cut(spec, pool)
        if slices is not None and slices.strategy == "mixed":
            sizes = ((profile_size(profile), number) for profile, number in slices.profiles.items())
            total += cards(pool) * sum(size[0] * number for size, number in sizes if size)
        else:
            total += cards(pool) * shares_a_card(spec, pool)
    return total
