"""Rules about code that nobody has read, and where it runs."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean


def _isolated(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, tool in site.spec.tools.items():
        if tool.runs_code != "untrusted":
            continue
        sandbox = site.spec.sandboxes.get(tool.sandbox) if tool.sandbox is not None else None
        if tool.sandbox is None:
            yield Finding(
                ("tools", name, "runsCode"),
                f"the tool {name!r} runs code that a model wrote, in no sandbox",
                "add 'sandbox: …', which names one with 'isolation: gvisor'",
            )
        elif sandbox is not None and sandbox.isolation == "container":
            yield Finding(
                ("tools", name, "sandbox"),
                f"the tool {name!r} runs code that a model wrote in {tool.sandbox!r}, "
                "a plain container, which is no boundary for it",
                "a sandbox with 'isolation: gvisor'",
            )


def _known(site: Site, _: Inventory) -> Iterator[Finding]:
    known = site.spec.sandboxes
    for name, tool in site.spec.tools.items():
        if tool.sandbox is not None and tool.sandbox not in known:
            yield Finding(
                ("tools", name, "sandbox"),
                f"the tool {name!r} runs code in the sandbox {tool.sandbox!r}, which the site does not have",
                did_you_mean(tool.sandbox, known) or "add it under 'sandboxes:'",
            )


def _pools(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    for name, sandbox in site.spec.sandboxes.items():
        if sandbox.node_pool not in pools:
            yield Finding(
                ("sandboxes", name, "nodePool"),
                f"the sandbox {name!r} runs in the node pool {sandbox.node_pool!r}, "
                "which the site does not have",
                did_you_mean(sandbox.node_pool, pools),
            )


def _runtimes(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, sandbox in site.spec.sandboxes.items():
        pool = site.spec.kubernetes.node_pools.get(sandbox.node_pool)
        kind = sandbox.isolation
        if pool is not None and kind != "container" and kind not in pool.sandbox_runtimes:
            yield Finding(
                ("sandboxes", name, "isolation"),
                f"the sandbox {name!r} needs {kind}, which the nodes of {sandbox.node_pool!r} do not have",
                f"'sandboxRuntimes: [{kind}]' on the pool, once it is installed there",
            )


def _warm(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, sandbox in site.spec.sandboxes.items():
        if sandbox.warm > sandbox.slots:
            yield Finding(
                ("sandboxes", name, "warm"),
                f"{sandbox.warm} sandboxes of {name!r} are kept ready; there may be {sandbox.slots}",
                f"at most 'warm: {sandbox.slots}'",
            )


def _own_pool(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if not spec.sandboxes or spec.topology == "pilot-node":
        return
    kinds = (("inference", spec.inference), ("agent", spec.agents), ("tool", spec.tools))
    others = {thing.node_pool: (kind, name) for kind, things in kinds for name, thing in things.items()}
    for name, sandbox in spec.sandboxes.items():
        if sandbox.node_pool in others:
            kind, other = others[sandbox.node_pool]
            yield Finding(
                ("sandboxes", name, "nodePool"),
                f"the sandbox {name!r} runs on the nodes of the {kind} {other!r}",
                "a node pool with 'purpose: sandboxes'",
            )


def _kata(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, sandbox in site.spec.sandboxes.items():
        if sandbox.isolation == "kata":
            yield Finding(
                ("sandboxes", name, "isolation"),
                f"the sandbox {name!r} needs virtual machines inside the nodes' virtual machines, "
                "which AKS on Azure Local is not known to offer",
                "'isolation: gvisor'",
            )


RULES = (
    Rule(
        code="SBX001",
        summary="a sandbox runs in a node pool of its site",
        source="requirement F6",
        check_site=_pools,
    ),
    Rule(
        code="SBX002",
        summary="a sandbox's runtime is installed on its nodes",
        source="requirement F4; gpu-facts 4.2",
        check_site=_runtimes,
    ),
    Rule(
        code="SBX003",
        summary="no more sandboxes are kept ready than there may be",
        source="requirements F3, F8; gpu-facts 4.1 (SandboxWarmPool)",
        check_site=_warm,
    ),
    Rule(
        code="SBX004",
        summary="sandboxes have nodes of their own",
        source="requirements A11, F6, F7",
        severity="warning",
        check_site=_own_pool,
    ),
    Rule(
        code="SBX006",
        summary="sandboxes use an isolation that the nodes can have",
        source="requirement F4; gpu-facts 4.2",
        severity="warning",
        check_site=_kata,
    ),
    Rule(
        code="TOL016",
        summary="code that a model wrote runs in a sandbox that isolates",
        source="requirements F1, F2",
        check_site=_isolated,
    ),
    Rule(
        code="TOL017",
        summary="a tool runs code in a sandbox of its site",
        source="requirements F2, F3",
        check_site=_known,
    ),
)
