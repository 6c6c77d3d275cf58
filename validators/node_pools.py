"""Rules about node pools: who runs where, labels, taints and autoscalers."""

import re
from collections.abc import Iterator
from typing import get_args

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.kubernetes import NodePool
from fleet.model.services import Services

POOLS: Path = ("kubernetes", "nodePools")
_STORES = tuple(
    (field.alias or name, name)
    for name, field in Services.model_fields.items()
    if any("node_pool" in getattr(kind, "model_fields", {}) for kind in get_args(field.annotation))
)
"""Services that may have a pool of their own: the key and the attribute."""
_NAME = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _bounds(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, pool in site.spec.kubernetes.node_pools.items():
        scale = pool.autoscale
        if scale is not None and scale.min_count > scale.max_count:
            yield Finding(
                (*POOLS, name, "autoscale", "minCount"),
                f"the pool {name} has {scale.min_count} nodes at least and {scale.max_count} at most",
                "swap them",
            )


def _count_in_bounds(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, pool in site.spec.kubernetes.node_pools.items():
        scale = pool.autoscale
        if scale is None or scale.min_count > scale.max_count:
            continue
        if not scale.min_count <= pool.count <= scale.max_count:
            yield Finding(
                (*POOLS, name, "count"),
                f"the pool {name} starts with {pool.count} nodes; "
                f"its autoscaler keeps {scale.min_count} to {scale.max_count}",
                f"'count: {min(max(pool.count, scale.min_count, 1), scale.max_count)}'",
            )


def _system_pool_empties(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    pool = kubernetes.node_pools.get(kubernetes.system_pool)
    if pool is not None and pool.autoscale is not None and pool.autoscale.min_count == 0:
        two = kubernetes.system_pool in _pools_of_two(site)
        yield Finding(
            (*POOLS, kubernetes.system_pool, "autoscale", "minCount"),
            f"the autoscaler may take every node of the system pool {kubernetes.system_pool}",
            _two_nodes(pool) if two else "'minCount: 1'",
        )


def _keeps_off(pool: NodePool) -> bool:
    # The system's own pods tolerate CriticalAddonsOnly.
    return any(t.effect != "PreferNoSchedule" and t.key != "CriticalAddonsOnly" for t in pool.taints)


def _system_pods(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    linux = {name: pool for name, pool in kubernetes.node_pools.items() if pool.os == "linux"}
    if linux and all(_keeps_off(pool) for pool in linux.values()):
        name = kubernetes.system_pool if kubernetes.system_pool in linux else next(iter(linux))
        yield Finding(
            (*POOLS, name, "taints"),
            "every Linux pool has taints; the system's own pods, such as CoreDNS, tolerate none of them",
            f"leave the pool {name} without taints that keep pods off",
        )


def _gpu_on_windows(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, pool in site.spec.kubernetes.node_pools.items():
        if pool.os == "windows" and pool.gpu:
            yield Finding(
                (*POOLS, name, "os"),
                f"the pool {name} has GPUs; they are for Linux nodes only",
                "'os: linux'",
            )


def _system_pool_os(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    pool = kubernetes.node_pools.get(kubernetes.system_pool)
    if pool is not None and pool.os == "windows":
        yield Finding(
            (*POOLS, kubernetes.system_pool, "os"),
            f"the system pool {kubernetes.system_pool} runs Windows; the cluster's own pods run on Linux",
            "name a Linux pool as systemPool",
        )


def _windows_workloads(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    windows = {name: pool for name, pool in pools.items() if pool.os == "windows"}
    if not windows:
        return
    for kind, name, at in _placed(site):
        if at in windows:
            yield Finding(
                (kind, name, "nodePool"),
                f"{name} is a Linux container; its pool {at} runs Windows",
                "name a Linux pool",
            )
    for name, pool in windows.items():
        if pool.sandbox_runtimes:
            yield Finding(
                (*POOLS, name, "sandboxRuntimes"),
                f"{' and '.join(pool.sandbox_runtimes)} run on Linux nodes; the pool {name} runs Windows",
                "'os: linux', or leave 'sandboxRuntimes' out",
            )


def _placed(site: Site) -> Iterator[tuple[str, str, str]]:
    """What runs where: the key of its group (`agents`), its name, its pool."""
    spec = site.spec
    yield from (("agents", name, agent.node_pool) for name, agent in spec.agents.items())
    yield from (("tools", name, tool.node_pool) for name, tool in spec.tools.items())
    yield from (("inference", name, item.node_pool) for name, item in spec.inference.items())
    yield from (("sandboxes", name, sandbox.node_pool) for name, sandbox in spec.sandboxes.items())
    for key, field in _STORES:
        store = getattr(spec.services, field)
        if store is not None and store.node_pool is not None:
            yield "services", key, store.node_pool


def _purposes(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    if all(pool.purpose is None for pool in pools.values()):
        return
    for kind, name, at in _placed(site):
        purpose = pools[at].purpose if at in pools else None
        # Tools are beside the agents that call them, unless they have a pool of their own.
        if purpose is not None and purpose != kind and (kind, purpose) != ("tools", "agents"):
            yield Finding(
                (kind, name, "nodePool"),
                f"{kind}.{name} runs on the pool {at}, which is reserved for {purpose}",
                f"name a pool with 'purpose: {kind}', or one without a purpose",
            )


def _reserved_labels(site: Site, _: Inventory) -> Iterator[Finding]:
    facts = catalog.azure_local()
    for name, pool in site.spec.kubernetes.node_pools.items():
        for key in pool.labels:
            domain = key.partition("/")[0] if "/" in key else ""
            ours = domain == "fleet"
            theirs = f".{domain}".endswith((".kubernetes.io", ".k8s.io")) and key not in facts.node_labels
            if theirs and any(f".{domain}".endswith(f".{known}") for known in facts.node_label_domains):
                theirs = False
            if ours or theirs:
                yield Finding(
                    (*POOLS, name, "labels", key),
                    f"the label {key} of the pool {name} is in a domain that "
                    + ("fleet writes itself" if ours else "nodes may not write in"),
                    "use a domain of your own, such as factory.example/line",
                )


def _label_syntax(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, pool in site.spec.kubernetes.node_pools.items():
        for key, value in pool.labels.items():
            domain, slash, last = key.rpartition("/")
            if not _NAME.fullmatch(last) or (slash and not _DOMAIN.fullmatch(domain)):
                yield Finding(
                    (*POOLS, name, "labels", key),
                    f"{key!r} is no key of a Kubernetes label",
                    "letters, digits, '-', '_' and '.', at most 63, with a domain before a '/' or without",
                )
            elif value and not _NAME.fullmatch(value):
                yield Finding(
                    (*POOLS, name, "labels", key),
                    f"{value!r}, the value of the label {key}, is not one that Kubernetes takes",
                    "letters, digits, '-', '_' and '.', at most 63, a letter or digit at both ends",
                )


def _taints_once(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, pool in site.spec.kubernetes.node_pools.items():
        seen: set[tuple[str, str]] = set()
        for number, taint in enumerate(pool.taints):
            if (taint.key, taint.effect) in seen:
                yield Finding(
                    (*POOLS, name, "taints", number),
                    f"the pool {name} has two taints {taint.key} with the effect {taint.effect}",
                    "keep one: a key has one value for each effect",
                )
            seen.add((taint.key, taint.effect))


def _pools_of_two(site: Site) -> set[str]:
    """Pools that keep two nodes: those of agents and tools in a production cluster."""
    spec = site.spec
    if spec.environment != "prod" or spec.topology != "datacenter-cluster":
        return set()
    return {at for kind, _name, at in _placed(site) if kind in ("agents", "tools")}


def _two_nodes(pool: NodePool) -> str:
    """What makes a pool keep two nodes, without being wrong in another way then (K8S006, K8S007)."""
    if pool.autoscale is None:
        return "'count: 2'"
    more = ["maxCount: 2"] if pool.autoscale.max_count < 2 else []
    return f"'{', '.join(['minCount: 2', *more])}'" + (" and 'count: 2'" if pool.count < 2 else "")


def _single_worker(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes, used = site.spec.kubernetes, _pools_of_two(site)
    for name, pool in kubernetes.node_pools.items():
        least = pool.autoscale.min_count if pool.autoscale else pool.count
        if least == 0 and name == kubernetes.system_pool:
            continue  # K8S008 says it
        if name in used and least < 2:
            yield Finding(
                (*POOLS, name, "autoscale", "minCount") if pool.autoscale else (*POOLS, name, "count"),
                f"the pool {name} of a production cluster may have {least} node{'' if least == 1 else 's'}: "
                "its agents and tools stop while it is upgraded",
                _two_nodes(pool),
            )


RULES = (
    Rule(
        code="K8S006",
        summary="an autoscaler's minimum is not above its maximum",
        source="facts 1.9, agentPoolProfiles",
        check_site=_bounds,
    ),
    Rule(
        code="K8S007",
        summary="a pool's count is within its autoscaler's bounds",
        source="facts 1.9, agentPoolProfiles",
        check_site=_count_in_bounds,
    ),
    Rule(
        code="K8S008",
        summary="an autoscaler leaves the system pool a node",
        source="facts 1.9, agentPoolProfiles (minCount 1)",
        check_site=_system_pool_empties,
    ),
    Rule(
        code="K8S009",
        summary="the system's own pods find a Linux pool without taints",
        source="Kubernetes: taints and tolerations; AKS: CriticalAddonsOnly",
        check_site=_system_pods,
    ),
    Rule(
        code="K8S010",
        summary="pools with GPUs run Linux",
        source="facts 1.9 (GPU: Linux only), gpu-facts 2.5",
        check_site=_gpu_on_windows,
    ),
    Rule(
        code="K8S011",
        summary="the system pool runs Linux",
        source="facts 1.9, agentPoolProfiles; requirement A2",
        check_site=_system_pool_os,
    ),
    Rule(
        code="K8S012",
        summary="everything that fleet renders runs on Linux pools",
        source="requirement A2; Kubernetes: Windows nodes take no Linux security settings",
        check_site=_windows_workloads,
    ),
    Rule(
        code="K8S013",
        summary="a pool keeps its purpose to itself",
        source="requirements A7, A11",
        severity="warning",
        check_site=_purposes,
    ),
    Rule(
        code="K8S014",
        summary="pool labels are in no domain that is reserved",
        source="Kubernetes: NodeRestriction (KEP-279)",
        check_site=_reserved_labels,
    ),
    Rule(
        code="K8S015",
        summary="pool labels are such as Kubernetes takes",
        source="Kubernetes: labels, syntax and character set",
        check_site=_label_syntax,
    ),
    Rule(
        code="K8S016",
        summary="a pool has one taint for each key and effect",
        source="Kubernetes: validation of a node's taints",
        check_site=_taints_once,
    ),
    Rule(
        code="K8S017",
        summary="agents and tools of a production cluster have two nodes or more",
        source="requirements A9, A14; facts 1.6 (rolling upgrade)",
        severity="warning",
        check_site=_single_worker,
    ),
)
