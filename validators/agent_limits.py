"""Rules about what an agent may take: time, requests at once, replicas, CPU and memory."""

from collections import defaultdict
from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.agents import Agent, Resources
from fleet.model.site import SiteSpec

from .agents import needs_two
from .shares import most_nodes


def _deadline(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        policies = agent.policies
        tries = 1 + policies.max_retries
        if (
            policies.deadline_seconds is not None
            and policies.timeout_seconds * tries > policies.deadline_seconds
        ):
            yield Finding(
                ("agents", name, "policies", "deadlineSeconds"),
                f"{name!r} may try {tries} times for {policies.timeout_seconds} s; "
                f"its caller gives up after {policies.deadline_seconds} s",
                f"'timeoutSeconds: {max(policies.deadline_seconds // tries, 1)}', fewer retries, "
                f"or 'deadlineSeconds: {policies.timeout_seconds * tries}'",
            )


def _most(agent: Agent) -> int:
    """Replicas when all of them are there."""
    return max(agent.replicas, agent.autoscale.max_replicas) if agent.autoscale else agent.replicas


def _gateway(site: Site, _: Inventory) -> Iterator[Finding]:
    asked: dict[str, int] = defaultdict(int)
    for agent in site.spec.agents.values():
        asked[agent.inference] += agent.policies.max_concurrency * _most(agent)
    for name, requests in asked.items():
        deployment = site.spec.inference.get(name)
        if deployment is None:
            continue
        admitted = deployment.gateway.max_concurrency + deployment.gateway.queue_length
        if requests > admitted:
            yield Finding(
                ("inference", name, "gateway"),
                f"the agents of {name} may have {requests} requests under way; its gateway refuses more "
                f"than {admitted}",
                "a lower 'maxConcurrency' of the agents, or a longer 'queueLength' of the gateway",
            )


def _bounds(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        bounds = agent.autoscale
        if bounds is not None and bounds.min_replicas > bounds.max_replicas:
            yield Finding(
                ("agents", name, "autoscale", "minReplicas"),
                f"{name!r} has {bounds.min_replicas} replicas at least and {bounds.max_replicas} at most",
                "swap them",
            )


def _within_bounds(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        bounds = agent.autoscale
        if bounds is None or bounds.min_replicas > bounds.max_replicas:
            continue
        if not bounds.min_replicas <= agent.replicas <= bounds.max_replicas:
            nearest = min(max(agent.replicas, bounds.min_replicas), bounds.max_replicas)
            yield Finding(
                ("agents", name, "replicas"),
                f"{name!r} starts with {agent.replicas} replica{'' if agent.replicas == 1 else 's'}; "
                f"its autoscaler keeps {bounds.min_replicas} to {bounds.max_replicas}",
                f"'replicas: {nearest}'",
            )


def _never_zero(site: Site, _: Inventory) -> Iterator[Finding]:
    least = 2 if needs_two(site.spec) else 1
    for name, agent in site.spec.agents.items():
        bounds = agent.autoscale
        if bounds is not None and bounds.min_replicas == 0:
            more = f", maxReplicas: {least}" if bounds.max_replicas < least else ""
            yield Finding(
                ("agents", name, "autoscale", "minReplicas"),
                f"{name!r} may be scaled to no replica, which loses the tasks that it holds",
                f"'minReplicas: {least}{more}'",
            )


def _resources(spec: SiteSpec) -> Iterator[tuple[Path, str, Resources]]:
    for name, agent in spec.agents.items():
        yield ("agents", name, "resources"), name, agent.resources
    for name, sandbox in spec.sandboxes.items():
        yield ("sandboxes", name, "resources"), name, sandbox.resources


def _requests(site: Site, _: Inventory) -> Iterator[Finding]:
    for path, name, given in _resources(site.spec):
        for key, unit, request, limit in (
            ("cpuMillis", "millicores", given.cpu_millis, given.cpu_limit_millis),
            ("memoryMib", "MiB", given.memory_mib, given.memory_limit_mib),
        ):
            if request > limit:
                most = key.replace("M", "LimitM")
                yield Finding(
                    (*path, key),
                    f"{name!r} asks for {request} {unit}, and may take {limit}",
                    f"'{most}: {request}', or ask for less",
                )


def _placed(spec: SiteSpec) -> Iterator[tuple[str, Path, int, Resources]]:
    """Pods that must all be there: their pool, what says how many, how many, and what each asks for."""
    for name, agent in spec.agents.items():
        least = agent.autoscale.min_replicas if agent.autoscale else agent.replicas
        yield agent.node_pool, ("agents", name, "replicas"), least, agent.resources
    for name, sandbox in spec.sandboxes.items():
        yield sandbox.node_pool, ("sandboxes", name, "slots"), sandbox.slots, sandbox.resources


def _fits(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, sizes = site.spec, catalog.vm_sizes()
    asked: dict[str, list[int]] = {}
    full: set[str] = set()
    for at, path, number, each in _placed(spec):
        pool = spec.kubernetes.node_pools.get(at)
        size = sizes.get(pool.vm_size) if pool else None
        if pool is None or size is None or at in full:
            continue
        total = asked.setdefault(at, [0, 0])
        total[0] += number * each.cpu_millis
        total[1] += number * each.memory_mib
        nodes = most_nodes(pool)
        cpu = nodes * size.vcpus * 1000
        memory = int(nodes * size.memory_gib * 1024 * catalog.serving().node_memory)
        for unit, wanted, there in (("millicores", total[0], cpu), ("MiB", total[1], memory)):
            if wanted > there:
                full.add(at)
                yield Finding(
                    path,
                    f"agents and sandboxes ask for {wanted} {unit} of the node pool {at!r}, "
                    f"which has {there} for pods",
                    "fewer of them, smaller requests, or a larger pool",
                )
                break


def _tools_in_time(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    for name, agent in spec.agents.items():
        deadline = agent.policies.deadline_seconds
        for number, tool in enumerate(agent.tools if deadline is not None else ()):
            known = spec.tools.get(tool)
            if known is not None and deadline is not None and known.limits.timeout_seconds >= deadline:
                yield Finding(
                    ("agents", name, "tools", number),
                    f"a call of {tool!r} may take {known.limits.timeout_seconds} s; "
                    f"the caller of {name!r} gives up after {deadline} s",
                    f"'limits: {{timeoutSeconds: …}}' of the tool below {deadline}",
                )


RULES = (
    Rule(
        code="AGT006",
        summary="every try of an agent ends before its caller gives up",
        source="requirement M14",
        check_site=_deadline,
    ),
    Rule(
        code="AGT007",
        summary="a gateway admits or queues what its agents may send at once",
        source="requirements G24, M4",
        severity="warning",
        check_site=_gateway,
    ),
    Rule(
        code="AGT008",
        summary="an agent's fewest replicas are no more than its most",
        source="requirement J18; Kubernetes, HorizontalPodAutoscaler v2",
        check_site=_bounds,
    ),
    Rule(
        code="AGT020",
        summary="an agent's replicas are within its autoscaler's bounds",
        source="requirement J18; Kubernetes, HorizontalPodAutoscaler v2",
        severity="warning",
        check_site=_within_bounds,
    ),
    Rule(
        code="AGT009",
        summary="an agent is never scaled to zero",
        source="requirements J10, M11",
        severity="warning",
        check_site=_never_zero,
    ),
    Rule(
        code="AGT010",
        summary="agents and sandboxes ask for no more than they may take",
        source="requirement J1; Kubernetes, resource management for pods",
        check_site=_requests,
    ),
    Rule(
        code="AGT011",
        summary="agents and sandboxes fit the node pools that they run in",
        source="requirements O3, O18; facts 3.4 (memory that pods get)",
        check_site=_fits,
    ),
    Rule(
        code="AGT012",
        summary="a tool's call ends before the caller of its agent gives up",
        source="requirements M2, M14",
        severity="warning",
        check_site=_tools_in_time,
    ),
)
