"""What every cluster has before the first workload: namespaces and their limits, who may talk to whom,
certificates, secrets, policies, the entry."""

from collections.abc import Iterable, Iterator, Mapping
from math import floor
from typing import Any, NamedTuple

from fleet import catalog
from fleet.model.kubernetes import NodePool
from fleet.model.site import SiteSpec
from fleet.render import certificates, controllers, ingress, policies, secrets
from fleet.render.section import GUARDED, NAMESPACES, Section, memory_quantity, taints_of
from fleet.render.templating import render_template

HANDLERS = {"gvisor": "runsc", "kata": "kata"}
"""containerd's names of the runtimes, by RuntimeClass (from memory: gVisor's and Kata's instructions)."""


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `platform`, which all others come after, and those of the platform's own services.

    Raises `FleetError` (TPL003) when a component that the platform needs has no digest.
    """
    files = {
        "namespaces.yaml": render_template(
            "platform/namespaces.yaml.j2",
            site=spec,
            namespaces=[{"name": name, "pod_security": level} for name, level in NAMESPACES],
        ),
        "network-policies.yaml": render_template(
            "platform/network-policies.yaml.j2",
            guarded=GUARDED,
            sends_to_azure=spec.telemetry is not None and spec.telemetry.azure_monitor,
        ),
        "quotas.yaml": render_template("platform/quotas.yaml.j2", quotas=list(quotas(spec))),
    }
    classes = list(runtime_classes(spec))
    if classes:
        files["runtime-classes.yaml"] = render_template("platform/runtime-classes.yaml.j2", classes=classes)
    yield Section("platform", "platform", files)
    topics = (certificates, policies, ingress)
    found = controllers.section(spec, [each for topic in topics for each in topic.controllers(spec)])
    if found is not None:
        yield found
    for topic in (secrets, *topics):
        yield from topic.sections(spec)


class Quota(NamedTuple):
    """What the pods of a namespace may ask for together."""

    namespace: str
    cpu: str
    memory: str
    pods: int
    gpus: bool
    """Whether they may ask for GPUs at all."""
    services: bool
    """Whether they may be reached from outside the cluster."""


def quotas(spec: SiteSpec) -> Iterator[Quota]:
    """A quota for each namespace of workloads: all that the nodes of its pools hold, at their most.

    So one namespace can't fill the pools of another, and whatever finds a node also finds room in the quota.
    Agents and tools have the pools that they name; charts in `platform` and `observability` may be on any.
    None for a namespace of pools whose VM size is in no catalogue.
    """
    pools = spec.kubernetes.node_pools
    named = {
        "platform": set(pools),
        "agents": {agent.node_pool for agent in spec.agents.values()},
        "tools": {tool.node_pool for tool in spec.tools.values()},
        "observability": set(pools),
    }
    for namespace, names in named.items():
        own = [pools[name] for name in sorted(names & pools.keys()) or sorted(pools)]
        if own and all(pool.vm_size in catalog.vm_sizes() for pool in own):
            cpu, memory, pods = _held(own)
            # GPU metrics are read without one; only what serves models takes any.
            in_platform = namespace == "platform"
            yield Quota(namespace, str(cpu), memory_quantity(memory), pods, in_platform, in_platform)


def _held(pools: Iterable[NodePool]) -> tuple[int, int, int]:
    """Processors, memory in MiB and pods of the pools' nodes, at their most.

    Of the processors all, as no figure says what AKS keeps back; of the memory what pods get (facts 3.4).
    """
    cpu = memory = pods = 0
    for pool in pools:
        size = catalog.vm_sizes()[pool.vm_size]
        nodes = max(pool.count, pool.autoscale.max_count if pool.autoscale else 0)
        cpu += size.vcpus * nodes
        memory += floor(size.memory_gib * 1024 * catalog.serving().node_memory) * nodes
        pods += pool.max_pods * nodes
    return cpu, memory, pods


def runtime_classes(spec: SiteSpec) -> Iterator[Mapping[str, Any]]:
    """A RuntimeClass for each sandbox runtime that a pool's nodes have: name, handler, and where it is.

    A class names one pool: where several have the runtime, the pods choose theirs, as all pods here do.
    """
    for name, handler in HANDLERS.items():
        pools = [key for key, pool in spec.kubernetes.node_pools.items() if name in pool.sandbox_runtimes]
        if pools:
            pool = pools[0] if len(pools) == 1 else None
            yield {
                "name": name,
                "handler": handler,
                "pool": pool,
                "taints": taints_of(spec, pool) if pool else (),
            }
