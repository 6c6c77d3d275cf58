"""The served models: runtimes behind their gateways, one stable name each.

A deployment's image holds the gateway, and the runtime beside it (or in the Arc extension's pods: `foundry`).
What the gateway is told is a contract, docs/inference-contract.md: each variable, its meaning and its field.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.inference import InferenceDeployment
from fleet.model.kubernetes import NodePool
from fleet.model.site import SiteSpec
from fleet.render import foundry
from fleet.render.environment import trace_environment
from fleet.render.model_cache import CACHE_NAMESPACE, CACHE_PORT, Weights, package_of, weights_of
from fleet.render.section import BEFORE_PODS, Section, cpu_quantity, memory_quantity, site_image, taints_of
from fleet.render.templating import render_template

PREEMPTIBLE: Final = "fleet-preemptible"
"""The priority class of deployments that may be stopped, where Kubernetes' own scheduler places them."""
_PROBE_SECONDS: Final = 10
_SLACK_SECONDS: Final = 60  # for scheduling a pod and pulling its image from the site's registry: a judgement


@dataclass(frozen=True)
class _Serving:
    """A Deployment to render: a deployment of the inventory, or its canary."""

    name: str
    of: str
    deployment: InferenceDeployment
    replicas: int
    weights: Weights | None
    canary: bool = False


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `inference`, and `foundry-local` with the objects of the Arc extension's operator.

    Raises `FleetError`: TPL002, TPL011 and TPL012.
    """
    if not spec.inference:
        return
    serving = {name: tuple(_serving(spec, name, each)) for name, each in spec.inference.items()}
    canaries = frozenset(one.of for each in serving.values() for one in each if one.canary)
    files = {}
    for name, each in serving.items():
        if any(one.canary and one.name in spec.inference for one in each):
            clash = next(one.name for one in each if one.canary)
            raise FleetError(
                "TPL002", f"{spec.name}: two things would be the deployment {clash}", "rename one"
            )
        files[f"{name}.yaml"] = "---\n".join(_deployment(spec, one, each, canaries) for one in each)
    if any(each.preemptible and each.queue is None for each in spec.inference.values()):
        # No deployment can have this name.
        files["_priority.yaml"] = render_template("platform/inference/priority.yaml.j2", name=PREEMPTIBLE)
    # Models load for minutes, and Flux waits until the last replica has: they are replaced one by one.
    seconds = max(one.replicas * _deadline(one) for each in serving.values() for one in each)
    yield Section(
        "inference",
        "platform/inference",
        files,
        (*BEFORE_PODS, "gpu", "queues"),
        f"{ceil(seconds / 60) + 4}m",
    )
    backends = {
        f"{name}.yaml": render_template(
            "platform/inference/model-deployment.yaml.j2",
            name=name,
            backend=foundry.backend(name),
            port=foundry.PORT,
            object=foundry.model_deployment(spec, name, each, _resources(spec, each)),
        )
        for name, each in spec.inference.items()
        if each.runtime == foundry.RUNTIME
    }
    if backends:
        # Its kind comes with an extension, after this tree: nothing waits for it but its own gateway.
        yield Section("foundry-local", "platform/foundry-local", backends, ("platform",), "30m")


def _serving(spec: SiteSpec, name: str, deployment: InferenceDeployment) -> Iterator[_Serving]:
    if deployment.runtime == foundry.RUNTIME:  # its model is the operator's; a package is refused (TPL012)
        yield _Serving(name, name, deployment, min(deployment.replicas, 2), None)
        return
    package = deployment.package
    weights = weights_of(spec, name, deployment, package) if package is not None else None
    yield _Serving(name, name, deployment, deployment.replicas, weights)
    if deployment.canary is not None:
        canary, package = f"{name}-canary", deployment.canary.package
        # It may be of another precision than what it is compared with (requirement G31).
        packed = package_of(spec, name, package)
        one = deployment.model_copy(update={"replicas": 1, "precision": packed.precision})
        yield _Serving(canary, name, one, 1, weights_of(spec, canary, one, package), canary=True)


def _deployment(
    spec: SiteSpec, serving: _Serving, all_of: tuple[_Serving, ...], canaries: frozenset[str]
) -> str:
    deployment, behind = serving.deployment, serving.deployment.runtime == foundry.RUNTIME
    routes = _routes(spec, serving)
    canary = next((one.name for one in all_of if one.canary), None)
    return render_template(
        "platform/inference/deployment.yaml.j2",
        name=serving.name,
        tls=f"{serving.of}-tls",
        deployment=deployment,
        replicas=serving.replicas,
        canary=serving.canary,
        taints=taints_of(spec, deployment.node_pool),
        model=deployment.model,
        image=site_image(spec, deployment.image),
        environment={
            **environment(spec, serving.of, deployment, None if serving.canary else canary),
            **trace_environment(spec, serving.name, "platform", deployment.image),
        },
        package=serving.weights.package if serving.weights else None,
        weights=serving.weights,
        routes=routes,
        routes_digest=hashlib.sha256(routes.encode()).hexdigest()[:16] if routes else None,
        behind=foundry.backend(serving.of) if behind else None,
        backend_port=foundry.PORT,
        resources={"cpu_request": "250m", "memory": "512Mi"} if behind else _resources(spec, deployment),
        gpus={} if behind else _gpu_resources(spec, deployment),
        labels=_labels(deployment),
        annotations=_annotations(deployment),
        priority=PREEMPTIBLE if deployment.preemptible and deployment.queue is None else None,
        probe_seconds=_PROBE_SECONDS,
        probes=ceil(deployment.warmup.timeout_seconds / _PROBE_SECONDS),
        deadline=_deadline(serving),
        grace=max(30, ceil(deployment.slo.p95_ms / 1000) + 10),
        sources=sorted(_sources(spec, serving, canaries)),
        targets=sorted(_targets(spec, serving, canary)),
        cache_namespace=CACHE_NAMESPACE,
        cache_port=CACHE_PORT,
    )


def environment(
    spec: SiteSpec, name: str, deployment: InferenceDeployment, canary: str | None = None
) -> Mapping[str, str]:
    """What the gateway of a deployment is told, without secrets, by variable (docs/inference-contract.md).

    Limits of the deployment are divided between its replicas, rounded up. `canary` names the deployment that
    gets a part of the requests.
    """
    replicas = min(deployment.replicas, 2) if deployment.runtime == foundry.RUNTIME else deployment.replicas
    gateway = deployment.gateway
    found = {
        "ENDPOINT_NAME": _host(name),
        "RUNTIME": deployment.runtime,
        "MODEL": deployment.model,
        "MODEL_PRECISION": deployment.precision,
        "MODALITY": deployment.modality,
        "TOOL_CALLING": deployment.tool_calling,
        "MAX_CONTEXT_TOKENS": str(deployment.context_tokens),
        "MAX_OUTPUT_TOKENS": str(deployment.max_output_tokens),
        "MAX_SESSIONS": str(ceil(deployment.slo.concurrent_sessions / replicas)),
        "MAX_CONCURRENCY": str(ceil(gateway.max_concurrency / replicas)),
        "QUEUE_LENGTH": str(ceil(gateway.queue_length / replicas)),
        "WARMUP_PROMPTS": str(deployment.warmup.prompts),
        "WARMUP_TIMEOUT_SECONDS": str(deployment.warmup.timeout_seconds),
        "FALLBACK": deployment.fallback.to,
    }
    if gateway.requests_per_minute is not None:
        found["REQUESTS_PER_MINUTE"] = str(ceil(gateway.requests_per_minute / replicas))
    if deployment.runtime_version is not None:
        found["RUNTIME_VERSION"] = deployment.runtime_version
    if deployment.execution_provider is not None:
        found["EXECUTION_PROVIDER"] = deployment.execution_provider
    if deployment.runtime == "vllm":
        found["GPU_MEMORY_UTILIZATION"] = f"{deployment.gpu_memory_utilization:g}"
        found["TENSOR_PARALLEL"] = str(deployment.tensor_parallel or max(deployment.gpus, 1))
    if deployment.runtime == foundry.RUNTIME:
        found |= foundry.upstream(name)
    if deployment.fallback.to == "deployment" and deployment.fallback.deployment is not None:
        found["FALLBACK_URL"] = f"https://{_host(deployment.fallback.deployment)}/v1"
    if canary is not None and deployment.canary is not None:
        found["CANARY_URL"] = f"https://{_host(canary)}/v1"
        found["CANARY_PERCENT"] = str(deployment.canary.percent)
    if spec.router is not None and spec.router.model == name:
        found["ROUTES_FILE"] = "/routes/routes.json"
    return found


def _host(name: str) -> str:
    return f"{name}.platform.svc.cluster.local"


def _routes(spec: SiteSpec, serving: _Serving) -> str | None:
    """The router's table as JSON, for the gateway of the deployment that decides (requirement G21)."""
    router = spec.router
    if router is None or serving.canary or router.model != serving.name:
        return None
    routes = []
    for route in router.routes:
        there = spec.inference.get(route.deployment)
        if there is not None:
            routes.append(
                {
                    "kind": route.kind,
                    "url": f"https://{_host(route.deployment)}/v1",
                    "model": there.model,
                    "privacy": there.privacy,
                    "timeoutSeconds": route.timeout_seconds,
                }
            )
    return json.dumps({"confidence": router.confidence, "routes": routes}, sort_keys=True)


def _targets(spec: SiteSpec, serving: _Serving, canary: str | None) -> set[str]:
    """The deployments that a gateway calls."""
    found = set()
    fallback = serving.deployment.fallback
    if fallback.to == "deployment" and fallback.deployment is not None:
        found.add(fallback.deployment)
    if canary is not None and not serving.canary:
        found.add(canary)
    if spec.router is not None and spec.router.model == serving.of and not serving.canary:
        found |= {route.deployment for route in spec.router.routes}
    return found & {*spec.inference, *([canary] if canary else [])} - {serving.name}


def _sources(spec: SiteSpec, serving: _Serving, canaries: frozenset[str]) -> set[str]:
    """The gateways that call a deployment; a canary's, the deployment that it is of and nobody else."""
    if serving.canary:
        return {serving.of}
    found = {
        source
        for source, each in spec.inference.items()
        if serving.name in _targets(spec, _Serving(source, source, each, 1, None), None)
    }
    # A canary has the fallback of what it is a canary of, and does not route.
    falling = {
        f"{name}-canary" for name in canaries if spec.inference[name].fallback.deployment == serving.name
    }
    return found | falling


def _labels(deployment: InferenceDeployment) -> Mapping[str, str]:
    """KAI's labels of a deployment that waits in a queue (gpu-facts 1.7, 1.8).

    The class is said and not left to KAI's guess from the kind of owner. What may be stopped has a lower one:
    KAI stops work for work of a higher class only.
    """
    if deployment.queue is None:
        return {}
    return {
        "kai.scheduler/queue": deployment.queue,
        "kai.scheduler/preemptibility": "preemptible" if deployment.preemptible else "non-preemptible",
        "priorityClassName": "train" if deployment.preemptible else "inference",
    }


def _annotations(deployment: InferenceDeployment) -> Mapping[str, str]:
    if deployment.gpu_fraction is None:
        return {}
    return {"gpu-fraction": f"{deployment.gpu_fraction:g}"}


def _gpu_resources(spec: SiteSpec, deployment: InferenceDeployment) -> Mapping[str, int]:
    """The extended resource that a replica asks for.

    With the MIG strategy `single` and with time slices it is a share that calls itself a GPU (gpu-facts 2.3).
    A fraction is an annotation: KAI refuses both together (gpu-facts 1.7).
    """
    if not deployment.gpus or deployment.gpu_fraction is not None:
        return {}
    if deployment.mig_profile is not None:
        return {f"nvidia.com/mig-{deployment.mig_profile}": deployment.gpus}
    return {"nvidia.com/gpu": deployment.gpus}


def _deadline(serving: _Serving) -> int:
    """Seconds in which a new replica must get ready: fetching its package takes as long as loading it may."""
    loading = serving.deployment.warmup.timeout_seconds
    return loading * (2 if serving.weights and serving.weights.fetch else 1) + _SLACK_SECONDS


def _resources(spec: SiteSpec, deployment: InferenceDeployment) -> dict[str, str]:
    """Half of the node's processors and memory: a replica fits beside the node's own daemons.

    With `memoryGib` that much memory, and of the processors the same share as of the memory.

    Where a node has several GPUs, or shares of one, half of the part of those that the replica takes: each
    can have a pod. A VM of 32 GiB leaves about 28 GiB to pods (facts 3.4), so half is safe on every listed
    size.
    """
    pool = spec.kubernetes.node_pools.get(deployment.node_pool)
    size = catalog.vm_sizes().get(pool.vm_size) if pool else None
    vcpus, memory = (size.vcpus, size.memory_gib) if size else (2, 8)
    if deployment.memory_gib is not None:
        return {
            "cpu_request": cpu_quantity(
                max(floor(1000 * vcpus * min(deployment.memory_gib / memory, 1)), 100)
            ),
            "memory": memory_quantity(ceil(1024 * deployment.memory_gib)),
        }
    half = Fraction(1, 2)
    if pool is not None and size is not None and size.gpus and deployment.gpus:
        half *= _cards(spec, pool, deployment) / size.gpus
    cpu, gib = half * vcpus, half * memory
    return {
        "cpu_request": str(floor(cpu)) if cpu >= 1 else cpu_quantity(max(floor(1000 * cpu), 100)),
        "memory": f"{floor(gib)}Gi" if gib >= 1 else memory_quantity(floor(1024 * gib)),
    }


def _cards(spec: SiteSpec, pool: NodePool, deployment: InferenceDeployment) -> Fraction:
    """Cards, or the part of one, that a replica takes."""
    sharing = spec.gpu.sharing if spec.gpu else "none"
    if deployment.gpu_fraction is not None:
        return Fraction(str(deployment.gpu_fraction))
    shares = 1
    if sharing == "mig" and pool.mig is not None:
        shares = sum(pool.mig.profiles.values())
    elif sharing == "time-slicing" and spec.gpu is not None:
        shares = spec.gpu.time_slices or 1
    return Fraction(deployment.gpus, shares)
