"""Rules about what KAI's queues guarantee: to what may not be stopped, and beside what the site has."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.model.inference import InferenceDeployment
from fleet.model.kubernetes import Kai, Queue

from .queues import OPERATOR_OWNS_PODS, UNLIMITED, above, kai_of
from .shares import deployments_on_gpus, queued_capacity, queued_gpus

MB_A_GIB = 1024**3 / 1e6


def _lasting(site: Site) -> Iterator[InferenceDeployment]:
    """The deployments that KAI runs inside a queue's quota or not at all."""
    for deployment in site.spec.inference.values():
        if not deployment.preemptible and deployment.queue and deployment.runtime != OPERATOR_OWNS_PODS:
            yield deployment


def _wanted(site: Site, kai: Kai) -> dict[str, float]:
    """GPUs that may not be taken away, by the queue that they are waited for in and those above it."""
    wanted: dict[str, float] = {}
    for _name, deployment, pool in deployments_on_gpus(site.spec):
        if deployment.preemptible or not deployment.queue or deployment.runtime == OPERATOR_OWNS_PODS:
            continue
        for queue in above(kai, deployment.queue):
            wanted[queue] = wanted.get(queue, 0) + queued_gpus(site.spec, pool, deployment)
    return wanted


def _is_short(queue: Queue, wanted: float) -> bool:
    return queue.gpu_quota != UNLIMITED and wanted > queue.gpu_quota + 1e-9


def _gpu_quota(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    for name, wanted in sorted(_wanted(site, kai).items()) if kai else ():
        if kai is None or not _is_short(kai.queues[name], wanted):
            continue
        below = sum(max(queue.gpu_quota, 0) for queue in kai.queues.values() if queue.parent == name)
        yield Finding(
            ("gpu", "kai", "queues", name, "gpuQuota"),
            f"{wanted:g} GPUs of the queue {name!r} are for what may not be stopped; "
            f"it is guaranteed {kai.queues[name].gpu_quota:g}",
            f"at least 'gpuQuota: {max(wanted, below):g}', or 'preemptible: true' at a deployment",
        )


def _children_fit(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    short = {name for name, wanted in _wanted(site, kai).items() if _is_short(kai.queues[name], wanted)}
    for name, queue in kai.queues.items():
        if queue.gpu_quota == UNLIMITED or name in short:
            continue  # of one that is short for its own work KAI011 says it
        quotas = [child.gpu_quota for child in kai.queues.values() if child.parent == name]
        total = sum(quota for quota in quotas if quota != UNLIMITED)
        if UNLIMITED in quotas or total > queue.gpu_quota:
            asked = "GPUs without limit" if UNLIMITED in quotas else f"{total:g} GPUs"
            yield Finding(
                ("gpu", "kai", "queues", name, "gpuQuota"),
                f"the queues under {name!r} are guaranteed {asked}, and it {queue.gpu_quota:g}",
                f"'gpuQuota: {total:g}', or less for those under it" if total else "a number for each",
            )


def _cpu_and_memory_quota(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    memory: dict[str, float] = {}
    for deployment in _lasting(site):
        for name in above(kai, deployment.queue or ""):
            gib = deployment.memory_gib or 0
            memory[name] = memory.get(name, 0) + gib * MB_A_GIB * deployment.replicas
    for name in sorted(memory):
        queue = kai.queues[name]
        if queue.cpu_quota == 0 and queue.cpu_limit != 0:  # closed, says KAI010
            yield Finding(
                ("gpu", "kai", "queues", name, "cpuQuota"),
                f"the queue {name!r} guarantees no CPU, so what may not be stopped never starts in it",
                "'cpuQuota: -1' is without limit",
            )
        if queue.memory_quota_mb == queue.memory_limit_mb == 0:
            continue
        if queue.memory_quota_mb == 0 or UNLIMITED != queue.memory_quota_mb < memory[name]:
            yield Finding(
                ("gpu", "kai", "queues", name, "memoryQuotaMb"),
                f"the queue {name!r} guarantees {queue.memory_quota_mb} MB of memory; "
                f"what may not be stopped takes {f'{memory[name]:.0f} MB' if memory[name] else 'more'}",
                "'memoryQuotaMb: -1' is without limit",
            )


def _site_has_it(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    tops = {name: queue for name, queue in kai.queues.items() if queue.parent is None}
    there = queued_capacity(site.spec)
    total = sum(queue.gpu_quota for queue in tops.values() if queue.gpu_quota != UNLIMITED)
    if total > there:
        first = next(name for name, queue in tops.items() if queue.gpu_quota > 0)
        yield Finding(
            ("gpu", "kai", "queues", first, "gpuQuota"),
            f"the queues are guaranteed {total:g} GPUs; KAI finds {there:g} in the node pools",
            f"at most {there:g} together",
        )


RULES = (
    Rule(
        code="KAI009",
        summary="the queues under a queue are guaranteed no more than it is",
        source="gpu-facts 1.4 (KAI's webhook warns)",
        severity="warning",
        check_site=_children_fit,
    ),
    Rule(
        code="KAI011",
        summary="what may not be stopped is inside its queue's GPU quota",
        source="gpu-facts 1.8, 1.11 (with MIG mixed, quotas count slices)",
        check_site=_gpu_quota,
    ),
    Rule(
        code="KAI012",
        summary="what may not be stopped is inside its queue's CPU and memory quota",
        source="gpu-facts 1.4, 1.8; KAI's reason NonPreemptibleOverQuota is given for CPU and memory too",
        check_site=_cpu_and_memory_quota,
    ),
    Rule(
        code="KAI015",
        summary="the queues are guaranteed no more GPUs than the site has",
        source="gpu-facts 1.11",
        check_site=_site_has_it,
    ),
)
