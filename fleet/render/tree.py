"""`render_site`: every file of a site's GitOps tree, as text by path."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.agents import Agent
from fleet.model.inference import InferenceDeployment
from fleet.model.kubernetes import Taint
from fleet.model.site import SiteSpec
from fleet.render.templating import render_template

NAMESPACES = (
    # Requirement A16, A17: these five, and no privileges where code of others runs.
    ("platform", "baseline"),
    ("agents", "restricted"),
    ("tools", "restricted"),
    ("observability", "baseline"),
    ("flux-system", "baseline"),
)
GUARDED = ("platform", "agents", "tools")
"""Namespaces in which nothing may talk that no policy allows."""


@dataclass(frozen=True)
class Part:
    """A folder that Flux applies after those that it depends on."""

    name: str
    path: str
    depends_on: tuple[str, ...]
    timeout: str = "5m"
    """How long Flux waits for it to be ready (requirement C2)."""


@dataclass(frozen=True)
class RenderedTree:
    """A site's files: POSIX path to text, in the order of the paths."""

    site: str
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """`sha256:…` over paths and texts."""
        digest = hashlib.sha256()
        for path, text in self.files.items():
            digest.update(f"{path}\0{len(text.encode())}\0{text}".encode())
        return "sha256:" + digest.hexdigest()


def site_image(spec: SiteSpec, image: str) -> str:
    """The image as the site pulls it: from its own registry where it has one, by the same digest."""
    if spec.registry is None:
        return image
    _, _, path = image.partition("/")
    return f"{spec.registry.host}/{path}"


def render_site(spec: SiteSpec) -> RenderedTree:
    """The site's tree. The same spec gives the same bytes on every machine.

    Raises `FleetError`: TPL001 when a template asks for something that is not there, TPL002 when two things
    would be the same file.
    """
    files: dict[str, str] = {}
    for path, text in _files(spec):
        if path in files:
            name = path.rpartition("/")[2].removesuffix(".yaml")
            raise FleetError("TPL002", f"{spec.name}: two things would be {path}", f"rename {name!r}")
        files[path] = text
    return RenderedTree(spec.name, {path: files[path] for path in sorted(files)})


def _files(spec: SiteSpec) -> Iterator[tuple[str, str]]:
    parts = _parts(spec)
    cluster = f"clusters/{spec.name}"
    yield f"{cluster}/kustomization.yaml", render_template("clusters/site/kustomization.yaml.j2", site=spec)
    yield f"{cluster}/site.yaml", render_template("clusters/site/site.yaml.j2", site=spec)
    yield f"{cluster}/parts.yaml", render_template("clusters/site/parts.yaml.j2", site=spec, parts=parts)

    namespaces = [{"name": name, "pod_security": level} for name, level in NAMESPACES]
    yield "platform/kustomization.yaml", render_template("platform/kustomization.yaml.j2", site=spec)
    yield (
        "platform/namespaces.yaml",
        render_template("platform/namespaces.yaml.j2", site=spec, namespaces=namespaces),
    )
    yield (
        "platform/network-policies.yaml",
        render_template("platform/network-policies.yaml.j2", site=spec, guarded=GUARDED),
    )

    if spec.inference:
        yield (
            "platform/inference/kustomization.yaml",
            render_template("platform/inference/kustomization.yaml.j2", site=spec),
        )
    for name, deployment in spec.inference.items():
        yield (
            f"platform/inference/{name}.yaml",
            render_template(
                "platform/inference/deployment.yaml.j2",
                name=name,
                deployment=deployment,
                taints=_taints(spec, deployment.node_pool),
                model=deployment.model,
                image=site_image(spec, deployment.image),
                sessions=ceil(deployment.slo.concurrent_sessions / deployment.replicas),
                resources=_inference_resources(spec, deployment),
            ),
        )

    if spec.agents:
        yield (
            "workloads/agents/kustomization.yaml",
            render_template("workloads/agents/kustomization.yaml.j2", site=spec),
        )
    for name, agent in spec.agents.items():
        config = agent_config(spec, agent)
        yield (
            f"workloads/agents/{name}.yaml",
            render_template(
                "workloads/agents/agent.yaml.j2",
                name=name,
                agent=agent,
                taints=_taints(spec, agent.node_pool),
                guarded_callers=[name for name in GUARDED if name == "platform" or name in agent.callers],
                cpu=_cpu,
                memory=_memory,
                image=site_image(spec, agent.image),
                config=config,
                config_digest=hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16],
                key_variables=("FOUNDRY_API_KEY", "OPENAI_API_KEY"),
            ),
        )

    if spec.tools:
        yield (
            "workloads/tools/kustomization.yaml",
            render_template("workloads/tools/kustomization.yaml.j2", site=spec),
        )
    for name, tool in spec.tools.items():
        yield (
            f"workloads/tools/{name}.yaml",
            render_template(
                "workloads/tools/tool.yaml.j2",
                name=name,
                tool=tool,
                taints=_taints(spec, tool.node_pool),
                image=site_image(spec, tool.image),
                destinations=",".join(f"{d.cidr}:{d.port}" for d in tool.allowed_destinations),
            ),
        )


def _parts(spec: SiteSpec) -> list[Part]:
    parts = [Part("platform", "./platform", ())]
    for name, path, present in (
        ("inference", "./platform/inference", spec.inference),
        ("tools", "./workloads/tools", spec.tools),
    ):
        if present:
            # Models load for minutes, and Flux waits as long as the startup probe does.
            parts.append(Part(name, path, ("platform",), "35m" if name == "inference" else "5m"))
    if spec.agents:
        parts.append(Part("agents", "./workloads/agents", tuple(part.name for part in parts)))
    return parts


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


def _taints(spec: SiteSpec, pool: str) -> tuple[Taint, ...]:
    there = spec.kubernetes.node_pools.get(pool)
    return there.taints if there else ()


def _cpu(millis: int) -> str:
    """As Kubernetes writes it itself: whole processors without a unit."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def _memory(mib: int) -> str:
    return f"{mib}Mi" if mib % 1024 else f"{mib // 1024}Gi"


def _inference_resources(spec: SiteSpec, deployment: InferenceDeployment) -> dict[str, str]:
    """Half of the node's processors and memory: a replica fits beside the node's own daemons.

    With `memoryGib` that much memory, and of the processors the same share as of the memory.

    Where a node has several GPUs, half of the share of those that the replica takes: each GPU can have a pod.
    A VM of 32 GiB leaves about 28 GiB to pods (facts 3.4), so half is safe on every listed size.
    """
    pool = spec.kubernetes.node_pools.get(deployment.node_pool)
    size = catalog.vm_sizes().get(pool.vm_size) if pool else None
    vcpus, memory = (size.vcpus, size.memory_gib) if size else (2, 8)
    taken, present = (deployment.gpus, size.gpus) if deployment.gpus and size and size.gpus else (1, 1)
    if deployment.memory_gib is not None:
        return {
            "cpu_request": _cpu(max(floor(1000 * vcpus * min(deployment.memory_gib / memory, 1)), 100)),
            "memory": _memory(ceil(1024 * deployment.memory_gib)),
        }
    return {
        "cpu_request": str(max(vcpus * taken // (2 * present), 1)),
        "memory": f"{max(memory * taken // (2 * present), 1)}Gi",
    }
