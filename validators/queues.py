"""Rules about the queues of KAI Scheduler."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.kubernetes import Kai, Queue

UNLIMITED = -1
OPERATOR_OWNS_PODS = "foundry-local-azure-local"
"""Its pods are made from a custom resource without scheduler name or labels (facts 3.2)."""


def kai_of(site: Site) -> Kai | None:
    """The site's KAI Scheduler."""
    return site.spec.gpu.kai if site.spec.gpu else None


def above(kai: Kai, name: str) -> Iterator[str]:
    """A queue and those above it, the lowest first; each once, also where they go in a circle."""
    seen: set[str] = set()
    at: str | None = name
    while at is not None and at in kai.queues and at not in seen:
        seen.add(at)
        yield at
        at = kai.queues[at].parent


def leaves(kai: Kai) -> set[str]:
    """The queues that work can wait in: those that are no parent."""
    return set(kai.queues) - {queue.parent for queue in kai.queues.values() if queue.parent}


def _known_parents(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    for name, queue in kai.queues.items() if kai else ():
        if kai is not None and queue.parent is not None and queue.parent not in kai.queues:
            yield Finding(
                ("gpu", "kai", "queues", name, "parent"),
                f"the queue {name!r} is under {queue.parent!r}, which the site does not have",
                did_you_mean(queue.parent, kai.queues) or f"add {queue.parent!r} to 'queues'",
            )


def _no_circle(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    for name, queue in kai.queues.items() if kai else ():
        if kai is not None and queue.parent is not None and name in above(kai, queue.parent):
            yield Finding(
                ("gpu", "kai", "queues", name, "parent"),
                f"the queue {name!r} is above itself",
                "leave 'parent' out of the topmost queue",
            )


def _known_queue(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    for name, deployment in site.spec.inference.items():
        if deployment.queue is None:
            continue
        path = ("inference", name, "queue")
        if kai is None:
            yield Finding(
                path,
                f"{name} waits in the queue {deployment.queue!r} at a site without KAI",
                "leave 'queue' out, or add 'kai' under 'gpu'",
            )
        elif deployment.queue not in kai.queues:
            yield Finding(
                path,
                f"{name} waits in the queue {deployment.queue!r}, which the site does not have",
                did_you_mean(deployment.queue, kai.queues) or "add it under 'gpu.kai.queues'",
            )


def _leaf(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    lowest = leaves(kai)
    for name, deployment in site.spec.inference.items():
        if deployment.queue in kai.queues and deployment.queue not in lowest:
            under = sorted(q for q, queue in kai.queues.items() if queue.parent == deployment.queue)
            yield Finding(
                ("inference", name, "queue"),
                f"the queue {deployment.queue!r} has queues under it, so nothing in it is ever scheduled",
                f"one of those under it: {', '.join(under)}",
            )


def _quota_and_limit(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    for name, queue in kai.queues.items() if kai else ():
        for key, unit, quota, limit in _resources(queue):
            # A limit of 0 is nothing beyond the quota; a quota that nobody wrote was not meant to guarantee.
            said = f"{key}_quota{'_mb' if unit else ''}" in queue.model_fields_set
            if said and limit > 0 and (quota == UNLIMITED or quota > limit):
                guaranteed = "without limit" if quota == UNLIMITED else f"{quota:g}"
                yield Finding(
                    ("gpu", "kai", "queues", name, f"{key}Quota{unit}"),
                    f"the queue {name!r} is guaranteed {guaranteed} and limited to {limit:g}",
                    f"at most '{key}Quota{unit}: {limit:g}', or a higher limit",
                )


def _resources(queue: Queue) -> tuple[tuple[str, str, float, float], ...]:
    """Of each resource its key, what ends it, the quota and the limit."""
    return (
        ("gpu", "", queue.gpu_quota, queue.gpu_limit),
        ("cpu", "", queue.cpu_quota, queue.cpu_limit),
        ("memory", "Mb", queue.memory_quota_mb, queue.memory_limit_mb),
    )


def _closed(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    # Of what may not be stopped KAI011 says that the quota is missing.
    on_gpus = {d.queue for d in site.spec.inference.values() if d.accelerator == "gpu" and d.preemptible}
    for name, queue in kai.queues.items():
        for key, unit, quota, limit in _resources(queue):
            if limit == 0 and quota == 0 and (key != "gpu" or name in on_gpus):
                word = {"gpu": "GPU", "cpu": "CPU", "memory": "memory"}[key]
                both = f"'{key}Quota{unit}: -1' and " if key != "gpu" else ""
                yield Finding(
                    ("gpu", "kai", "queues", name, f"{key}Limit{unit}"),
                    f"a limit of 0 gives the queue {name!r} no {word} at all",
                    f"{both}'{key}Limit{unit}: -1': without limit",
                )


def _unused(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None:
        return
    used = {deployment.queue for deployment in site.spec.inference.values()}
    for name in sorted(leaves(kai) - used):
        yield Finding(
            ("gpu", "kai", "queues", name),
            f"no deployment waits in the queue {name!r}",
            f"'queue: {name}' at a deployment, or leave it out",
        )


def _every_gpu_pod_queues(site: Site, _: Inventory) -> Iterator[Finding]:
    if kai_of(site) is None:
        return
    for name, deployment in site.spec.inference.items():
        if deployment.accelerator != "gpu" or deployment.queue is not None:
            continue
        if deployment.runtime != OPERATOR_OWNS_PODS:
            yield Finding(
                ("inference", name),
                f"{name} takes GPUs and waits in no queue: two schedulers would hand out the same GPUs",
                "add 'queue: …' with a queue of 'gpu.kai.queues'",
            )


def _queued_by_its_operator(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.runtime == OPERATOR_OWNS_PODS and deployment.queue is not None:
            yield Finding(
                ("inference", name, "queue"),
                f"Foundry Local's operator makes the pods of {name}, and gives them no queue",
                "leave 'queue' out and give it a node pool of its own, or 'runtime: vllm'",
            )


RULES = (
    Rule(
        code="KAI004",
        summary="a queue's parent is a queue of the site",
        source="gpu-facts 1.4",
        check_site=_known_parents,
    ),
    Rule(
        code="KAI005",
        summary="no queue is above itself",
        source="gpu-facts 1.4",
        check_site=_no_circle,
    ),
    Rule(
        code="KAI006",
        summary="a deployment waits in a queue of its site",
        source="gpu-facts 1.7, requirement H2",
        check_site=_known_queue,
    ),
    Rule(
        code="KAI007",
        summary="a deployment waits in a queue without queues under it",
        source="gpu-facts 1.4 (only leaf queues schedule, KAI issue 621)",
        check_site=_leaf,
    ),
    Rule(
        code="KAI008",
        summary="a queue is guaranteed no more than its limit",
        source="gpu-facts 1.4",
        check_site=_quota_and_limit,
    ),
    Rule(
        code="KAI010",
        summary="no queue is closed by a limit of 0",
        source="gpu-facts 1.4",
        check_site=_closed,
    ),
    Rule(
        code="KAI014",
        summary="a deployment waits in every queue",
        source="gpu-facts 1.4",
        severity="warning",
        check_site=_unused,
    ),
    Rule(
        code="KAI016",
        summary="where KAI places GPU pods, it places all of them",
        source="gpu-facts 1.2, 1.8 (the chart's default queue guarantees no GPU)",
        check_site=_every_gpu_pod_queues,
    ),
    Rule(
        code="KAI017",
        summary="what Foundry Local's operator runs waits in no queue",
        source="facts 3.2 (ModelDeployment has no schedulerName and no pod labels)",
        check_site=_queued_by_its_operator,
    ),
)
