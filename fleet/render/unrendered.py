"""`unrendered`: what a site says and nothing acts on yet, so that nobody takes silence for done."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from fleet.model.site import SiteSpec

UNRENDERED = (
    "azureLocal.nodes.*.rack",
    "connectivity.rateLimitMbps",
    "connectivity.windows",
    "maintenance",
    "kubernetes.nodePools.*.mig",
    "platform.ingress",
    "platform.certificates",
    "platform.secretStore",
    "platform.policies",
    "platform.mesh",
    "platform.serviceAuth",
    "gpu.sharing",
    "gpu.timeSlices",
    "gpu.operator",
    "gpu.kai",
    "delivery.keepRevisions",
    "registry.upstreams",
    "registry.keepVersions",
    "registry.scan",
    "registry.anonymousPull",
    "modelCache",
    "inference.*.runtimeVersion",
    "inference.*.package",
    "inference.*.executionProvider",
    "inference.*.modality",
    "inference.*.toolCalling",
    "inference.*.gpuFraction",
    "inference.*.migProfile",
    "inference.*.tensorParallel",
    "inference.*.queue",
    "inference.*.preemptible",
    "inference.*.maxOutputTokens",
    "inference.*.gpuMemoryUtilization",
    "inference.*.gateway",
    "inference.*.warmup",
    "inference.*.canary",
    "inference.*.fallback",
    "router",
    "agents.*.autoscale",
    "agents.*.toolbox",
    "agents.*.checkpoints",
    "agents.*.memoryStore",
    "agents.*.prompts",
    "tools.*.kind",
    "tools.*.mcpSpec",
    "tools.*.authentication",
    "tools.*.authorization",
    "tools.*.validation",
    "tools.*.audit",
    "tools.*.limits",
    "tools.*.breaker",
    "tools.*.fallback",
    "tools.*.sandbox",
    "toolboxes",
    "sandboxes",
    "retrieval",
    "services.redis",
    "services.postgres",
    "services.blobStore",
    "services.clickhouse",
    "services.temporal",
    "services.celery",
    "services.bus",
    "services.langfuse",
    "services.metrics",
    "services.mcpRegistry",
    "telemetry",
    "evaluation",
    "governance.guardrails",
)
"""Fields that only rules read: `*` is any name or number. A field leaves this list when a template, a stack
or a command acts on it (tests/unit/test_unrendered.py holds the fields that something acts on, and facts)."""


def unrendered(spec: SiteSpec) -> tuple[str, ...]:
    """YAML paths, `inference.chat.canary`, that the site sets to something else than their default and that
    neither the rendered tree nor the Pulumi program acts on; in the order of `UNRENDERED`. Pure."""
    return tuple(path for pattern in UNRENDERED for path in _set(spec, pattern.split("."), ""))


def _set(value: Any, steps: list[str], at: str) -> Iterator[str]:
    step, *rest = steps
    if step == "*":
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _set(item, rest, f"{at}.{key}")
        return
    kind: type[BaseModel] = type(value)
    name = _attributes(kind)[step]
    below = getattr(value, name)
    path = f"{at}.{step}" if at else step
    if not rest:
        if below != kind.model_fields[name].get_default(call_default_factory=True):
            yield path
    elif below is not None:
        yield from _set(below, rest, path)


@cache
def _attributes(kind: type[BaseModel]) -> Mapping[str, str]:
    """The model's attributes by their YAML keys."""
    return {field.alias or name: name for name, field in kind.model_fields.items()}
