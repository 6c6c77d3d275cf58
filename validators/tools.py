"""Rules about who may call a tool, what is checked and written down, and what happens when it fails."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.inventory.source import Path


def _authentication(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.environment != "prod":
        return
    for name, tool in site.spec.tools.items():
        if tool.authentication == "none":
            yield Finding(
                ("tools", name, "authentication"),
                f"the tool {name!r} asks its callers in production for no proof of who they are",
                "'authentication: token', or 'mtls' where the platform has it",
            )


def _mtls(site: Site, _: Inventory) -> Iterator[Finding]:
    platform = site.spec.platform
    if platform.service_auth == "mtls" or platform.mesh != "none":
        return
    for name, tool in site.spec.tools.items():
        if tool.authentication == "mtls":
            yield Finding(
                ("tools", name, "authentication"),
                f"the tool {name!r} asks for client certificates, and nothing gives agents any",
                "'platform: {serviceAuth: mtls}', or 'authentication: token'",
            )


def _audit(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, tool in site.spec.tools.items():
        if tool.audit == "none" and (tool.authorization.write or site.spec.environment == "prod"):
            what = "changes something, and" if tool.authorization.write else "is used in production, and"
            yield Finding(
                ("tools", name, "audit"),
                f"the tool {name!r} {what} no call of it is written down",
                "'audit: all'",
            )


def _known_agents(site: Site, _: Inventory) -> Iterator[Finding]:
    agents = site.spec.agents
    for name, tool in site.spec.tools.items():
        for number, agent in enumerate(tool.authorization.agents):
            if agent not in agents:
                yield Finding(
                    ("tools", name, "authorization", "agents", number),
                    f"the tool {name!r} lets the agent {agent!r} call it, which the site does not have",
                    did_you_mean(agent, agents) or "leave it out",
                )


def _allowed(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    for name, agent in spec.agents.items():
        named: list[tuple[Path, str]] = [
            (("agents", name, "tools", number), tool) for number, tool in enumerate(agent.tools)
        ]
        if agent.toolbox is not None and agent.toolbox in spec.toolboxes:
            path: Path = ("agents", name, "toolbox")
            named += [(path, tool) for tool in spec.toolboxes[agent.toolbox].tools if tool not in agent.tools]
        for path, tool in named:
            allowed = spec.tools[tool].authorization.agents if tool in spec.tools else ()
            if allowed and name not in allowed:
                yield Finding(
                    path,
                    f"the agent {name!r} uses the tool {tool!r}, which lets only {', '.join(allowed)}",
                    f"add {name} to the tool's 'authorization: {{agents: …}}', or leave the tool out",
                )


def _validation(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.environment != "prod":
        return
    for name, tool in site.spec.tools.items():
        if tool.validation == "none":
            yield Finding(
                ("tools", name, "validation"),
                f"the tool {name!r} takes whatever arguments a model writes",
                "'validation: schema'",
            )


def _fallback_known(site: Site, _: Inventory) -> Iterator[Finding]:
    tools = site.spec.tools
    for name, tool in tools.items():
        if tool.fallback is not None and tool.fallback not in tools:
            yield Finding(
                ("tools", name, "fallback"),
                f"the tool {name!r} falls back to {tool.fallback!r}, which the site does not have",
                did_you_mean(tool.fallback, tools.keys() - {name}) or "add it under 'tools:'",
            )


def _fallback_ends(site: Site, _: Inventory) -> Iterator[Finding]:
    tools = site.spec.tools
    for name, tool in tools.items():
        seen, at = [name], tool.fallback
        while at is not None and at in tools and at not in seen:
            seen.append(at)
            at = tools[at].fallback
        if at == name:  # told once for each tool on the circle, and not for those that lead to it
            circle = " to ".join((*seen, name))
            yield Finding(
                ("tools", name, "fallback"), f"fallbacks go in a circle: {circle}", "leave out one of them"
            )


def _fallback_writes(site: Site, _: Inventory) -> Iterator[Finding]:
    tools = site.spec.tools
    for name, tool in tools.items():
        other = tools.get(tool.fallback) if tool.fallback is not None else None
        if other is not None and other.authorization.write and not tool.authorization.write:
            yield Finding(
                ("tools", name, "fallback"),
                f"the tool {name!r} only reads; when it fails, {tool.fallback!r} is asked, which may write",
                "a fallback that only reads",
            )


def _revision(site: Site, _: Inventory) -> Iterator[Finding]:
    known = catalog.platform().mcp_revisions
    for name, tool in site.spec.tools.items():
        if tool.mcp_spec is not None and tool.mcp_spec not in known:
            yield Finding(
                ("tools", name, "mcpSpec"),
                f"{tool.mcp_spec} is no revision of the MCP specification that is known here",
                f"known: {', '.join(known)}",
            )


def _toolbox_tools(site: Site, _: Inventory) -> Iterator[Finding]:
    tools = site.spec.tools
    for name, toolbox in site.spec.toolboxes.items():
        for number, tool in enumerate(toolbox.tools):
            if tool not in tools:
                yield Finding(
                    ("toolboxes", name, "tools", number),
                    f"the toolbox {name!r} holds the tool {tool!r}, which the site does not have",
                    did_you_mean(tool, tools) or "add it under 'tools:'",
                )


RULES = (
    Rule(
        code="TOL003",
        summary="a tool in production knows who calls it",
        source="requirements B8, B9",
        check_site=_authentication,
    ),
    Rule(
        code="TOL004",
        summary="where a tool asks for client certificates, agents have some",
        source="requirement B9",
        check_site=_mtls,
    ),
    Rule(
        code="TOL005",
        summary="calls of a tool are written down where it matters",
        source="requirements B8, B10, E3",
        severity="warning",
        check_site=_audit,
    ),
    Rule(
        code="TOL006",
        summary="a tool lets agents of its site call it",
        source="requirements B8, E15",
        check_site=_known_agents,
    ),
    Rule(
        code="TOL007",
        summary="an agent uses only tools that let it",
        source="requirements B8, E15",
        check_site=_allowed,
    ),
    Rule(
        code="TOL008",
        summary="a tool in production checks its arguments",
        source="requirements B8, E11",
        severity="warning",
        check_site=_validation,
    ),
    Rule(
        code="TOL009",
        summary="a tool falls back to a tool of its site",
        source="requirements E12, M17",
        check_site=_fallback_known,
    ),
    Rule(
        code="TOL010",
        summary="a tool's fallbacks lead to an end",
        source="requirements E12, M17",
        check_site=_fallback_ends,
    ),
    Rule(
        code="TOL011",
        summary="the fallback of a tool that reads does not write",
        source="requirements E9, E12",
        severity="warning",
        check_site=_fallback_writes,
    ),
    Rule(
        code="TOL018",
        summary="a tool's revision of the MCP specification was published",
        source="requirement E2; releases of modelcontextprotocol/specification",
        severity="warning",
        check_site=_revision,
    ),
    Rule(
        code="TOL019",
        summary="a toolbox holds tools of its site",
        source="requirement E5",
        check_site=_toolbox_tools,
    ),
)
