"""What a site's GPU pools offer when their GPUs are shared, and what a deployment takes of it.

For the rules about GPUs, queues and models. With `gpu.sharing: mig` and the strategy `single`, and with
`time-slicing`, a pool offers more `nvidia.com/gpu` than it has cards; with `mixed` it offers profiles
(gpu-facts 1.11, 2.3).
"""

import re
from collections.abc import Iterable, Iterator

from fleet import catalog
from fleet.model.inference import InferenceDeployment
from fleet.model.kubernetes import MigSlices, NodePool
from fleet.model.site import SiteSpec

_PROFILE = re.compile(r"(\d+)g\.(\d+)gb")
GIB_A_GB = 1e9 / 1024**3
CARD_SHARE = 0.96
"""Of a card that fractions are given together; the driver keeps the rest (gpu-facts 7.1, 2.6)."""


def profile_size(profile: str) -> tuple[int, int] | None:
    """Compute slices and GB of a MIG profile such as `1g.24gb`; None for what has another form."""
    match = _PROFILE.fullmatch(profile)
    return (int(match[1]), int(match[2])) if match else None


def cut(spec: SiteSpec, pool: NodePool) -> MigSlices | None:
    """How the GPUs of a pool are cut into MIG instances; None when they are whole."""
    return pool.mig if spec.gpu is not None and spec.gpu.sharing == "mig" and pool.gpu else None


def most_nodes(pool: NodePool) -> int:
    """Nodes of the pool when its autoscaler, where it has one, has added all that it may."""
    return pool.autoscale.max_count if pool.autoscale else pool.count


def cards(pool: NodePool) -> int:
    """GPUs that the pool's VMs hold together, when there are as many as there may be."""
    size = catalog.vm_sizes().get(pool.vm_size)
    return most_nodes(pool) * size.gpus if size is not None and pool.gpu else 0


def cards_taken(asked: Iterable[float]) -> int:
    """Cards that replicas take which ask for so many each: whole ones, or a fraction of one.

    The largest fraction comes first and goes on the first card with room: with equal ones that is the fewest
    cards, and otherwise a few percent more at most. A card is not cut across, so that three replicas of 0.6
    take three.
    """
    whole, rooms = 0, list[float]()
    for ask in sorted(asked, reverse=True):
        if ask >= 1:
            whole += round(ask)
            continue
        fitting = next((n for n, room in enumerate(rooms) if ask <= room + 1e-9), None)
        if fitting is None:
            rooms.append(CARD_SHARE - ask)
        else:
            rooms[fitting] -= ask
    return whole + len(rooms)


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
        if size is None:
            return None
        # A profile's name says what NVIDIA's card has; Azure's may have less (gpus.yaml).
        part = card.memory_gib * size[0] / card.mig_slices if card.mig_slices else card.memory_gib
        return min(size[1] * GIB_A_GB, part)
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
