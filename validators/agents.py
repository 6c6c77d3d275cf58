"""Rules about agents and their tools."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.site import SiteSpec


def _known_inference(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        if agent.inference not in site.spec.inference:
            yield Finding(
                ("agents", name, "inference"),
                f"the agent {name!r} uses the inference {agent.inference!r}, which the site does not have",
                did_you_mean(agent.inference, site.spec.inference) or "add it under 'inference:'",
            )


def _known_tools(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        for number, tool in enumerate(agent.tools):
            if tool not in site.spec.tools:
                yield Finding(
                    ("agents", name, "tools", number),
                    f"the agent {name!r} uses the tool {tool!r}, which the site does not have",
                    did_you_mean(tool, site.spec.tools) or "add it under 'tools:'",
                )


def _destinations(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, tool in site.spec.tools.items():
        # Said to be none is no mistake, and code that runs in a sandbox goes where the sandbox may.
        said = "allowed_destinations" in tool.model_fields_set
        if not tool.allowed_destinations and not said and tool.sandbox is None:
            yield Finding(
                ("tools", name),
                f"the tool {name!r} has no allowed destinations, so it can reach nothing",
                "add 'allowedDestinations: [{cidr: …, port: …}]', or '[]' where nothing is right",
            )


def _known_pools(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    for kind, things in (("agents", site.spec.agents), ("tools", site.spec.tools)):
        for name, thing in things.items():
            if thing.node_pool not in pools:
                yield Finding(
                    (kind, name, "nodePool"),
                    f"{name!r} runs in the node pool {thing.node_pool!r}, which the site does not have",
                    did_you_mean(thing.node_pool, pools),
                )


EVERYWHERE = 8
"""A prefix this short or shorter is no destination but a part of the internet or a whole private range."""


def _narrow(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, tool in site.spec.tools.items():
        for number, destination in enumerate(tool.allowed_destinations):
            if destination.cidr.prefixlen <= EVERYWHERE:
                yield Finding(
                    ("tools", name, "allowedDestinations", number, "cidr"),
                    f"the tool {name!r} may reach all of {destination.cidr}",
                    "name the hosts that it needs, such as 10.1.2.3/32",
                )


def needs_two(spec: SiteSpec) -> bool:
    """Whether each agent and tool has two replicas at least: in production, where there are two machines."""
    return spec.environment == "prod" and spec.topology != "pilot-node"


def _replicas(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if not needs_two(spec):
        return
    scaled = {name: agent.autoscale for name, agent in spec.agents.items() if agent.autoscale is not None}
    for name, bounds in scaled.items():
        if bounds.min_replicas == 1:  # of none AGT009 says it
            more = ", maxReplicas: 2" if bounds.max_replicas < 2 else ""
            yield Finding(
                ("agents", name, "autoscale", "minReplicas"),
                f"{name!r} may be scaled to one replica in production",
                f"'minReplicas: 2{more}'",
            )
    agents = {name: agent.replicas for name, agent in spec.agents.items() if name not in scaled}
    tools = {name: tool.replicas for name, tool in spec.tools.items()}
    for kind, things in (("agents", agents), ("tools", tools)):
        for name, replicas in things.items():
            if replicas < 2:
                yield Finding(
                    (kind, name, "replicas"), f"{name!r} has one replica in production", "'replicas: 2'"
                )


def _retries(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        if agent.policies.max_retries > 2:
            yield Finding(
                ("agents", name, "policies", "maxRetries"),
                f"{name!r} asks {agent.policies.max_retries + 1} times before it gives up, "
                "which makes an overload worse",
                "'maxRetries: 2' at most",
            )


RULES = (
    Rule(
        code="AGT001",
        summary="an agent uses an inference deployment of its site",
        source="requirement J2",
        check_site=_known_inference,
    ),
    Rule(
        code="AGT002",
        summary="an agent uses tools of its site",
        source="requirement E3",
        check_site=_known_tools,
    ),
    Rule(
        code="AGT003",
        summary="agents and tools run in node pools of their site",
        source="requirement A7",
        check_site=_known_pools,
    ),
    Rule(
        code="AGT004",
        summary="agents and tools have two replicas in production",
        source="requirement G40",
        severity="warning",
        check_site=_replicas,
    ),
    Rule(
        code="AGT005",
        summary="an agent retries once or twice",
        source="requirement G24",
        severity="warning",
        check_site=_retries,
    ),
    Rule(
        code="TOL002",
        summary="a tool's destinations are hosts, not half the internet",
        source="requirements B7, P1",
        check_site=_narrow,
    ),
    Rule(
        code="TOL001",
        summary="a tool names the destinations that it may reach",
        source="requirements B7, B8",
        check_site=_destinations,
    ),
)
