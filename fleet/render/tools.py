"""The tools: each behind a proxy that reaches its own destinations and nothing else.

What a proxy is told stands in its ConfigMap; docs/tool-proxy-contract.md says what each key means.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from fleet.model.agents import Agent, Tool
from fleet.model.site import SiteSpec
from fleet.render.environment import trace_environment
from fleet.render.section import BEFORE_PODS, Section, api_server_networks, site_image, taints_of
from fleet.render.templating import render_template

PORT = 8443
"""On which every proxy listens, with the certificate of the Secret `NAME-tls`."""
SANDBOX_PORT = 8888
"""On which a sandbox listens: agent-sandbox's own runtime image and its clients' default
(kubernetes-sigs/agent-sandbox, examples/python-runtime-sandbox and docs/go_sdk_reference.md)."""
AUDIENCE = "tools"
"""Of the tokens with which agents prove to tools who they are."""
ENTRA_AUDIENCE = "api://AzureADTokenExchange"
"""Of tokens that Entra ID exchanges; from memory, as Azure's workload identity webhook asks for them."""


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `tools`, where the site has some."""
    files = {f"{name}.yaml": _tool(spec, name, tool) for name, tool in spec.tools.items()}
    if files:
        files["priority_class.yaml"] = render_template(
            "workloads/priority_class.yaml.j2",
            name="fleet-tools",
            value=0,
            description="The proxies of tools.",
        )
        after = (*BEFORE_PODS, "services", "sandboxes")
        yield Section("tools", "workloads/tools", files, after)


def tools_of(spec: SiteSpec, agent: Agent) -> tuple[str, ...]:
    """The agent's tools: those that it names, then those of its toolbox (requirement E5), each once."""
    toolbox = spec.toolboxes.get(agent.toolbox) if agent.toolbox else None
    return tuple(dict.fromkeys((*agent.tools, *(toolbox.tools if toolbox else ()))))


def tool_url(name: str, tool: Tool) -> str:
    """Where a tool is called: an MCP server at `/mcp` by streamable HTTP (requirement E13), others at `/`."""
    return f"https://{name}.tools.svc.cluster.local/" + ("mcp" if tool.kind == "mcp" else "")


def proxy_config(spec: SiteSpec, name: str) -> dict[str, Any]:
    """What the proxy of the tool `name` is told, without secrets: docs/tool-proxy-contract.md.

    Raises KeyError for a tool that the site does not have.
    """
    tool = spec.tools[name]
    config: dict[str, Any] = {
        "tool": name,
        "kind": tool.kind,
        "mcpSpec": tool.mcp_spec,
        "schemaVersion": tool.schema_version,
        "listen": {"port": PORT, "certificate": "/tls/tls.crt", "key": "/tls/tls.key"},
        "authentication": _authentication(spec, tool),
        "authorization": {
            "callers": [*(f"agents/{each}" for each in _agents(spec, name)), *_proxies(spec, name)],
            "agents": list(tool.authorization.agents),
            "operations": list(tool.authorization.operations) or ["*"],
            "write": tool.authorization.write,
            "approval": tool.authorization.approval,
        },
        "validation": tool.validation,
        "audit": _audit(spec, tool),
        "limits": tool.limits.model_dump(by_alias=True),
        "breaker": tool.breaker.model_dump(by_alias=True),
        "allowedDestinations": [{"cidr": str(d.cidr), "port": d.port} for d in tool.allowed_destinations],
    }
    if tool.fallback is not None and tool.fallback in spec.tools:
        config["fallback"] = tool_url(tool.fallback, spec.tools[tool.fallback])
    if tool.sandbox is not None and tool.sandbox in spec.sandboxes:
        config["sandbox"] = {
            "namespace": "sandboxes",
            "warmPool": tool.sandbox,
            "port": SANDBOX_PORT,
            "timeoutSeconds": spec.sandboxes[tool.sandbox].timeout_seconds,
        }
    return {key: value for key, value in config.items() if value is not None}


def _authentication(spec: SiteSpec, tool: Tool) -> dict[str, str]:
    match tool.authentication:
        case "token":
            return {"kind": "token", "audience": AUDIENCE}
        case "mtls":
            return {"kind": "mtls", "clientCa": "/etc/fleet-ca/ca-bundle.crt"}
        case "workload-identity":
            return {"kind": "workload-identity", "tenant": spec.azure.tenant}
        case "none":
            return {"kind": "none"}


def _audit(spec: SiteSpec, tool: Tool) -> dict[str, str]:
    """Which calls, the header that ties them together, what becomes of their arguments (E3, K5)."""
    told = {"calls": tool.audit, "correlationHeader": correlation_header(spec)}
    return told | {"arguments": spec.telemetry.redaction.tool_arguments if spec.telemetry else "off"}


def correlation_header(spec: SiteSpec) -> str:
    """The header that ties request, tool, inference and answer together (requirement K1)."""
    return spec.telemetry.correlation_header if spec.telemetry else "x-correlation-id"


def _agents(spec: SiteSpec, name: str) -> Iterator[str]:
    """Agents that use the tool, and may."""
    allowed = spec.tools[name].authorization.agents
    for each, agent in spec.agents.items():
        if name in tools_of(spec, agent) and (not allowed or each in allowed):
            yield each


def _proxies(spec: SiteSpec, name: str) -> list[str]:
    """Proxies that ask this tool when theirs fails (requirement E12)."""
    return [f"tools/{each}" for each, tool in spec.tools.items() if tool.fallback == name]


def _tool(spec: SiteSpec, name: str, tool: Tool) -> str:
    config = proxy_config(spec, name)
    asks_api_server = tool.authentication == "token" or tool.sandbox is not None
    return render_template(
        "workloads/tools/tool.yaml.j2",
        name=name,
        tool=tool,
        port=PORT,
        sandbox_port=SANDBOX_PORT,
        taints=taints_of(spec, tool.node_pool),
        image=site_image(spec, tool.image),
        config=config,
        config_digest=hashlib.sha256(json.dumps(config).encode()).hexdigest()[:16],
        environment=trace_environment(spec, name, "tools", tool.image),
        proxies=[each.removeprefix("tools/") for each in _proxies(spec, name)],
        asks_api_server=asks_api_server,
        api_server=api_server_networks(spec) if asks_api_server else (),
        fallback_audience=_fallback_audience(spec, tool),
    )


def _fallback_audience(spec: SiteSpec, tool: Tool) -> str | None:
    """Of the token that the proxy shows to the tool that it falls back to; None where it shows none."""
    fallback = spec.tools.get(tool.fallback) if tool.fallback else None
    return token_audience(fallback) if fallback else None


def token_audience(tool: Tool) -> str | None:
    """Of the token that the tool's callers show; None where they show none."""
    return {"token": AUDIENCE, "workload-identity": ENTRA_AUDIENCE}.get(tool.authentication)
