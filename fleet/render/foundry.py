"""Foundry Local of the Arc extension: a `ModelDeployment` that its operator serves (facts 3.2).

The operator owns the pods: it gives them no queue, no scheduler, no share of a GPU and no disruption budget.
What the object can't carry is refused here by name (a queue: KAI017 says it at the inventory's line). Its
Service has a port of the runtime, so the deployment's own image stands in front as a gateway with the stable
name.

The group's definitions are published nowhere: nothing here was checked against them but the fact sheet.
"""

from collections.abc import Mapping
from typing import Any, Final

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.inference import InferenceDeployment
from fleet.model.site import SiteSpec
from fleet.render.section import taints_of

RUNTIME: Final = "foundry-local-azure-local"
NAMESPACE: Final = "platform"
"""Of the objects here; the extension is told to watch it (stacks/arc_extensions.py)."""
PORT: Final = 5000  # of the operator's Services as they were seen (facts 3.3); its documented default is 8080
_PARALLEL_FROM: Final = (
    0,
    260801,
)  # several GPUs a replica since August 2026 (gpu-facts 2.5); day: an inference


def backend(name: str) -> str:
    """The name of a deployment's `ModelDeployment`, and of the Service that its operator makes."""
    return f"{name}-model"


def model_deployment(
    spec: SiteSpec, name: str, deployment: InferenceDeployment, resources: Mapping[str, str]
) -> Mapping[str, Any]:
    """The object for a deployment with the runtime `foundry-local-azure-local`.

    vLLM serves GPUs where no execution provider is named, ONNX Runtime all else: with it tool calls are
    refused by the server (facts 3.3). The model is the catalogue's of that name, in its latest version: it
    has no other pin. Raises `FleetError` TPL012 for what the object can't carry in the extension's pinned
    version.
    """
    _refuse(spec, name, deployment)
    vllm = deployment.accelerator == "gpu" and deployment.execution_provider is None
    limits: dict[str, Any] = {"memory": resources["memory"]}
    if deployment.gpus:
        limits["gpu"] = deployment.gpus
    said: dict[str, Any] = {
        "displayName": name,
        "model": {"catalog": {"name": deployment.model, "version": "latest"}},
        "workloadType": "generative",
        "compute": deployment.accelerator,
        "runtime": "vllm" if vllm else "onnx-genai",
        "replicas": deployment.replicas,
        "port": PORT,
        "resources": {
            "requests": {"cpu": resources["cpu_request"], "memory": resources["memory"]},
            "limits": limits,
        },
        "nodeSelector": {"fleet/node-pool": deployment.node_pool},
        "tolerations": [
            {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
            for taint in taints_of(spec, deployment.node_pool)
        ],
    }
    if vllm:
        said["vllm"] = {
            "preferences": {
                "max_model_len": deployment.context_tokens,
                "gpu_memory_utilization": deployment.gpu_memory_utilization,
            }
        }
    if _version(spec) >= _numbers(catalog.azure()["extensions"]["foundry-local"]["gatewayApiFrom"])[:2]:
        said["endpoint"] = {"exposure": "internal"}  # before, an endpoint is internal when none is asked for
    return {
        "apiVersion": "foundrylocal.azure.com/v1",
        "kind": "ModelDeployment",
        "metadata": {"name": backend(name), "namespace": NAMESPACE},
        "spec": said,
    }


def upstream(name: str) -> Mapping[str, str]:
    """What the gateway in front of a `ModelDeployment` is told of it; its key is in a Secret (facts 3.3)."""
    return {
        "UPSTREAM_CA_FILE": "/upstream/ca-bundle.crt",
        "UPSTREAM_URL": f"https://{backend(name)}.{NAMESPACE}.svc.cluster.local:{PORT}/v1",
    }


def _refuse(spec: SiteSpec, name: str, deployment: InferenceDeployment) -> None:
    refused = (
        (deployment.queue is not None, "queue", "leave 'queue' out, or 'runtime: vllm'"),
        (deployment.gpu_fraction is not None, "gpuFraction", "whole GPUs, or 'runtime: vllm'"),
        (deployment.mig_profile is not None, "migProfile", "the MIG strategy 'single', or 'runtime: vllm'"),
        (deployment.preemptible, "preemptible", "leave it out, or 'runtime: vllm'"),
        (deployment.canary is not None, "canary", "a second deployment, or 'runtime: vllm'"),
        (
            deployment.package is not None,
            "package",
            "a model of its catalogue, or 'runtime: vllm'",
        ),
        (
            deployment.gpus > 1 and _version(spec) < _PARALLEL_FROM,
            "gpus",
            "'gpus: 1', or an extension of August 2026 or later in azure.extensions.foundryLocal.version",
        ),
    )
    for there, field, instead in refused:
        if there:
            raise FleetError(
                "TPL012",
                f"{spec.name}: Foundry Local's ModelDeployment can't carry '{field}' of inference.{name}",
                instead,
            )


def _version(spec: SiteSpec) -> tuple[int, ...]:
    pinned = spec.azure.extensions.foundry_local.version
    return _numbers(pinned or catalog.azure()["extensions"]["foundry-local"]["version"])[:2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("+")[0].split("."))
