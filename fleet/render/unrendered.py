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
    "platform.certificates.caFile",
    "platform.mesh",
    "delivery.keepRevisions",
    "registry.upstreams",
    "registry.keepVersions",
    "registry.scan",
    "registry.anonymousPull",
    "inference.*.gateway.access",
    "inference.*.canary.hours",
    "retrieval",
    "services.redis.flavour",
    "services.redis.backup",
    "services.postgres.backup.restoreTestDays",
    "services.blobStore.backup",
    "services.clickhouse.backup",
    "services.celery",
    "services.bus.retentionHours",
    "services.bus.backup",
    "services.langfuse.retentionDays",
    "services.metrics.auth",
    "services.metrics.backup",
    "services.mcpRegistry.storageGib",
    "services.mcpRegistry.healthCheckMinutes",
    "services.mcpRegistry.scan",
    "telemetry.auditDays",
    "telemetry.alerts.receiver",
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
