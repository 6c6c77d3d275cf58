"""Rules about what KAI's queues guarantee: to what may not be stopped, and beside what the site has."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.model.inference import InferenceDeployment

from .queues import OPERATOR_OWNS_PODS, UNLIMITED, above, kai_of
from .shares import deployments_on_gpus, queued_capacity, queued_gpus

MB_A_GIB = 1024**3 / 1e6


def _lasting(site: Site) -> Iterator[InferenceDeployment]:
    """The deployments that KAI runs inside a queue's quota or not at all."""
    for deployment in site.spec.inference.values():
        if not deployment.preemptible and deployment.queue and deployment.runtime != OPERATOR_OWNS_PODS:
            yield deployment


def _gpu_quota(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    wanted: dict[str, float] = {}
    for _name, deployment, pool in deployments_on_gpus(site.spec):
        if deployment.preemptible or not deployment.queue or deployment.runtime == OPERATOR_OWNS_PODS:
            continue
        for queue in above(kai, deployment.queue):
            wanted[queue] = wanted.get(queue, 0) + queued_gpus(site.spec, pool, deployment)
    for name in sorted(wanted):
        quota = kai.queues[name].gpu_quota
        if quota != UNLIMITED and wanted[name] > quota + 1e-9:
            yield Finding(
                ("gpu", "kai", "queues", name, "gpuQuota"),
                f"{wanted[name]:g} GPUs of the queue {name!r} are for what may not be stopped; "
                f"it is guaranteed {quota:g}",
                f"at least 'gpuQuota: {wanted[name]:g}', or 'preemptible: true' at a deployment",
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
        if queue.cpu_quota == 0:
            yield Finding(
                ("gpu", "kai", "queues", name, "cpuQuota"),
                f"the queue {name!r} guarantees no CPU, so what may not be stopped never starts in it",
                "'cpuQuota: -1' is without limit",
            )
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
