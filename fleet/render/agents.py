"""The agents: services with the environment that their clients really read."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.model.agents import Agent
from fleet.model.site import SiteSpec
from fleet.render.environment import image_version, trace_environment
from fleet.render.ingress import POD_LABELS, entered
from fleet.render.section import (
    BEFORE_PODS,
    GUARDED,
    Section,
    cpu_quantity,
    memory_quantity,
    site_image,
    taints_of,
)
from fleet.render.stores import accesses
from fleet.render.templating import render_template
from fleet.render.tools import ENTRA_AUDIENCE, PORT, correlation_header, token_audience, tool_url, tools_of

IDENTITY = "/var/run/secrets/fleet"
"""Where an agent finds what it proves to tools who it is with."""
CPU_PERCENT = 80
"""Of what its pods ask for: above, an agent gets another replica. Kubernetes' own default
(HorizontalPodAutoscaler v2, spec.metrics)."""
CALM_SECONDS = 300
"""How long load must have been lower before a replica goes. Kubernetes' own default
(HorizontalPodAutoscaler v2, spec.behavior.scaleDown.stabilizationWindowSeconds)."""


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `agents`, after all that agents call."""
    files = {f"{name}.yaml": _agent(spec, name, agent) for name, agent in spec.agents.items()}
    if files:
        files["priority_class.yaml"] = render_template(
            "workloads/priority_class.yaml.j2", name="fleet-agents", value=0, description="Agents."
        )
        after = (*BEFORE_PODS, "services", "inference", "tools")
        yield Section("agents", "workloads/agents", files, after)


def _agent(spec: SiteSpec, name: str, agent: Agent) -> str:
    config = agent_config(spec, name, agent)
    tools = tools_of(spec, agent)
    return render_template(
        "workloads/agents/agent.yaml.j2",
        name=name,
        agent=agent,
        tools=tools,
        tool_port=PORT,
        services=list(accesses(spec, agent)),
        annotations=_annotations(spec, agent, config),
        taints=taints_of(spec, agent.node_pool),
        from_ingress=POD_LABELS if name in entered(spec) and spec.platform.ingress else None,
        guarded_callers=[namespace for namespace in GUARDED if namespace in agent.callers],
        cpu=cpu_quantity,
        memory=memory_quantity,
        image=site_image(spec, agent.image),
        config=config,
        audiences=_audiences(spec, agent),
        entra=ENTRA_AUDIENCE in _audiences(spec, agent).values(),
        has_certificate=spec.platform.service_auth == "mtls",
        autoscaler=_autoscaler(agent),
        grace_seconds=grace_seconds(agent),
        key_variables=("FOUNDRY_API_KEY", "OPENAI_API_KEY"),
    )


def agent_config(spec: SiteSpec, name: str, agent: Agent) -> dict[str, str]:
    """The environment of the agent `name`, without secrets, in the order of its keys.

    `FOUNDRY_*` and `INFERENCE_*` are the adapter's (requirement G23); `OPENAI_*` are what the frameworks'
    clients read; `TOOL_*` say where each tool is and what it wants to see.
    """
    url = f"https://{agent.inference}.platform.svc.cluster.local/v1"
    deployment = spec.inference.get(agent.inference)
    model = deployment.model if deployment else ""
    policies = agent.policies
    config = {
        "FOUNDRY_BASE_URL": url,
        "FOUNDRY_MODEL": model,
        "INFERENCE_TIMEOUT_SECONDS": str(policies.timeout_seconds),
        "INFERENCE_MAX_RETRIES": str(policies.max_retries),
        "INFERENCE_MAX_CONCURRENCY": str(policies.max_concurrency),
        "INFERENCE_BREAKER_FAILURES": str(policies.breaker.failures),
        "INFERENCE_BREAKER_OPEN_SECONDS": str(policies.breaker.open_seconds),
        "AGENT_MAX_TURNS": str(policies.max_turns),
        "AGENT_RECONNECT_JITTER_SECONDS": str(policies.reconnect_jitter_seconds),
        "AGENT_CHECKPOINTS": agent.checkpoints,
        "AGENT_MEMORY_STORE": agent.memory_store,
        "CORRELATION_HEADER": correlation_header(spec),
        "OPENAI_BASE_URL": url,
        "FLEET_SITE": spec.name,
    }
    if policies.deadline_seconds is not None:
        config["AGENT_DEADLINE_SECONDS"] = str(policies.deadline_seconds)
    if policies.requests_per_minute is not None:
        config["AGENT_REQUESTS_PER_MINUTE"] = str(policies.requests_per_minute)
    config |= _framework(spec, agent, url, model)
    config |= trace_environment(spec, name, "agents", agent.image)
    config |= _tools(spec, agent)
    return dict(sorted(config.items()))


def _framework(spec: SiteSpec, agent: Agent, url: str, model: str) -> dict[str, str]:
    """What the framework's own clients and telemetry read.

    Microsoft Agent Framework: facts 5; Foundry Local serves chat completions, not the Responses API.
    LangGraph: langchain-openai 1.7.4 reads the older name of the base URL, waits 120 s for the next piece of
    a stream unless told, and takes no model from its environment (langchain_openai/chat_models/base.py);
    LangSmith sends traces out of the site when its tracing is on.
    What prompts hold is recorded only where the site says so (requirement K5): OpenTelemetry's instruments
    don't unless told, OpenLLMetry's do (opentelemetry-instrumentation-langchain 0.62.4, utils.py).
    """
    raw = spec.telemetry is not None and spec.telemetry.redaction.prompts == "raw"
    said = "true" if raw else "false"
    contents = {
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_AND_EVENT" if raw else "NO_CONTENT",
        "TRACELOOP_TRACE_CONTENT": said,
    }
    match agent.framework:
        case "maf":
            version = {"OTEL_SERVICE_VERSION": image_version(agent.image)} if spec.telemetry else {}
            return contents | version | {"OPENAI_CHAT_COMPLETION_MODEL": model, "ENABLE_SENSITIVE_DATA": said}
        case "langgraph":
            return contents | {
                "OPENAI_API_BASE": url,
                "LANGCHAIN_OPENAI_STREAM_CHUNK_TIMEOUT_S": str(agent.policies.timeout_seconds),
                "LANGSMITH_TRACING": "false",
            }
        case _:
            return contents


def _tools(spec: SiteSpec, agent: Agent) -> dict[str, str]:
    """`TOOL_NAME_URL` of each tool and the file of the token that it wants; the agent's own certificate."""
    config = {}
    audiences = _audiences(spec, agent)
    for name in tools_of(spec, agent):
        if name not in spec.tools:  # AGT002 says so
            continue
        tool, variable = spec.tools[name], "TOOL_" + name.upper().replace("-", "_")
        config[f"{variable}_URL"] = tool_url(name, tool)
        file = next((file for file, audience in audiences.items() if audience == token_audience(tool)), None)
        if file is not None:
            config[f"{variable}_TOKEN_FILE"] = f"{IDENTITY}/{file}"
    if spec.platform.service_auth == "mtls":
        config |= {"CLIENT_CERTIFICATE_FILE": "/tls/tls.crt", "CLIENT_KEY_FILE": "/tls/tls.key"}
    return config


def _audiences(spec: SiteSpec, agent: Agent) -> dict[str, str]:
    """The audience of each token that the agent's tools want to see, by the file that holds it."""
    wanted = {token_audience(spec.tools[name]) for name in tools_of(spec, agent) if name in spec.tools}
    return {
        ("entra-token" if each == ENTRA_AUDIENCE else "tool-token"): each
        for each in sorted(filter(None, wanted))
    }


def _annotations(spec: SiteSpec, agent: Agent, config: Mapping[str, str]) -> dict[str, str]:
    """What makes an agent's version besides its image (requirement C6): a change of it is rolled out."""
    # A changed ConfigMap restarts no pod by itself.
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    annotations = {"fleet/config-digest": digest}
    if agent.prompts is not None:
        annotations["fleet/prompts"] = agent.prompts
    if agent.toolbox is not None and agent.toolbox in spec.toolboxes:
        annotations["fleet/toolbox"] = f"{agent.toolbox}-{spec.toolboxes[agent.toolbox].version}"
    return annotations


def _autoscaler(agent: Agent) -> Mapping[str, Any] | None:
    """The bounds and pace of its autoscaler. Never none: the last pod's tasks would be lost (J10, M11)."""
    if agent.autoscale is None:
        return None
    return {
        "least": max(agent.autoscale.min_replicas, 1),
        "most": agent.autoscale.max_replicas,
        "cpu_percent": CPU_PERCENT,
        "calm_seconds": CALM_SECONDS,
    }


def grace_seconds(agent: Agent) -> int:
    """How long a pod that is told to stop may still work: until the caller's deadline, or through all tries
    of one call; 30 s, which is Kubernetes' own default, at least."""
    policies = agent.policies
    return max(policies.deadline_seconds or policies.timeout_seconds * (1 + policies.max_retries), 30)
