"""The agents: services with the environment that their clients really read."""

import hashlib
import json
from collections.abc import Iterator

from fleet.model.agents import Agent
from fleet.model.site import SiteSpec
from fleet.render.section import GUARDED, Section, cpu_quantity, memory_quantity, site_image, taints_of
from fleet.render.templating import render_template


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `agents`, after all that agents call."""
    files = {f"{name}.yaml": _agent(spec, name, agent) for name, agent in spec.agents.items()}
    if files:
        yield Section("agents", "workloads/agents", files, ("platform", "services", "inference", "tools"))


def _agent(spec: SiteSpec, name: str, agent: Agent) -> str:
    config = agent_config(spec, agent)
    return render_template(
        "workloads/agents/agent.yaml.j2",
        name=name,
        agent=agent,
        taints=taints_of(spec, agent.node_pool),
        guarded_callers=[name for name in GUARDED if name == "platform" or name in agent.callers],
        cpu=cpu_quantity,
        memory=memory_quantity,
        image=site_image(spec, agent.image),
        config=config,
        config_digest=hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16],
        key_variables=("FOUNDRY_API_KEY", "OPENAI_API_KEY"),
    )


def agent_config(spec: SiteSpec, agent: Agent) -> dict[str, str]:
    """The environment of an agent, without secrets.

    `FOUNDRY_*` and `INFERENCE_*` are the adapter's (requirement G23); `OPENAI_*` and
    `ENABLE_SENSITIVE_DATA` are what Microsoft Agent Framework's chat completion client and its
    telemetry read (facts 5: Foundry Local serves chat completions, not the Responses API).
    """
    url = f"https://{agent.inference}.platform.svc.cluster.local/v1"
    deployment = spec.inference.get(agent.inference)
    model = deployment.model if deployment else ""
    config = {
        "FOUNDRY_BASE_URL": url,
        "FOUNDRY_MODEL": model,
        "INFERENCE_TIMEOUT_SECONDS": str(agent.policies.timeout_seconds),
        "INFERENCE_MAX_RETRIES": str(agent.policies.max_retries),
        "INFERENCE_MAX_CONCURRENCY": str(agent.policies.max_concurrency),
        "INFERENCE_BREAKER_FAILURES": str(agent.policies.breaker.failures),
        "INFERENCE_BREAKER_OPEN_SECONDS": str(agent.policies.breaker.open_seconds),
        "AGENT_MAX_TURNS": str(agent.policies.max_turns),
        "AGENT_RECONNECT_JITTER_SECONDS": str(agent.policies.reconnect_jitter_seconds),
        "OPENAI_BASE_URL": url,
        "FLEET_SITE": spec.name,
    }
    if agent.policies.deadline_seconds is not None:
        config["AGENT_DEADLINE_SECONDS"] = str(agent.policies.deadline_seconds)
    if agent.policies.requests_per_minute is not None:
        config["AGENT_REQUESTS_PER_MINUTE"] = str(agent.policies.requests_per_minute)
    if agent.framework == "maf":
        config |= {"OPENAI_CHAT_COMPLETION_MODEL": model, "ENABLE_SENSITIVE_DATA": "false"}
    return dict(sorted(config.items()))
