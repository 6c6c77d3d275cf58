"""Rules about agents and their tools."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean


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
        if not tool.allowed_destinations:
            yield Finding(
                ("tools", name),
                f"the tool {name!r} has no allowed destinations, so it can reach nothing",
                "add 'allowedDestinations: [{cidr: …, port: …}]'",
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
        code="TOL001",
        summary="a tool names the destinations that it may reach",
        source="requirements B7, B8",
        check_site=_destinations,
    ),
)
