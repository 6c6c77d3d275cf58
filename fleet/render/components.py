"""Which third parties' software a site runs: one row a component, for rendering and the rule CMP001."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fleet.model.services import Services
from fleet.model.site import SiteSpec


class Use(NamedTuple):
    """A component, and what in an inventory switches it on."""

    component: str
    """A name of the catalogue of components."""
    path: tuple[str, ...]
    """The inventory's keys that switch it on: where somebody is told that its digest is missing."""
    when: Callable[[SiteSpec], bool]


def _service(key: str, component: str) -> Use:
    """A service that is there or not; `key` is as in YAML."""
    name = next(name for name, field in Services.model_fields.items() if (field.alias or name) == key)
    return Use(component, ("services", key), lambda spec: getattr(spec.services, name) is not None)


def _disconnected(spec: SiteSpec) -> bool:
    """Elsewhere Azure's extension brings cert-manager and trust-manager (facts 2.5)."""
    return spec.connectivity.mode == "disconnected"


def _ingress(spec: SiteSpec) -> str | None:
    return spec.platform.ingress.kind if spec.platform.ingress is not None else None


USED: tuple[Use, ...] = (
    Use(
        "flux2",
        ("kubernetes", "kubeconfig"),
        lambda spec: _disconnected(spec) and spec.kubernetes.kubeconfig is not None,
    ),
    Use("cert-manager", ("platform", "certificates"), _disconnected),
    Use("trust-manager", ("platform", "certificates"), _disconnected),
    Use("traefik", ("platform", "ingress"), lambda spec: _ingress(spec) == "traefik"),
    Use("nginx-ingress", ("platform", "ingress", "kind"), lambda spec: _ingress(spec) == "nginx"),
    Use("kong", ("platform", "ingress", "kind"), lambda spec: _ingress(spec) == "kong"),
    Use(
        "kyverno",
        ("platform", "policies", "admission"),
        lambda spec: spec.platform.policies.admission == "kyverno",
    ),
    Use(
        "gatekeeper",
        ("platform", "policies", "admission"),
        lambda spec: spec.platform.policies.admission == "gatekeeper",
    ),
    Use(
        "falco",
        ("platform", "policies", "runtimeDetection"),
        lambda spec: spec.platform.policies.runtime_detection == "falco",
    ),
    Use(
        "gpu-operator",
        ("gpu", "operator"),
        lambda spec: spec.gpu is not None and spec.gpu.operator is not None,
    ),
    Use("kai-scheduler", ("gpu", "kai"), lambda spec: spec.gpu is not None and spec.gpu.kai is not None),
    Use("otel-collector", ("telemetry",), lambda spec: spec.telemetry is not None),
    _service("metrics", "victoria-metrics"),
    Use(
        "vmalert",
        ("services", "metrics"),
        lambda spec: spec.services.metrics is not None and spec.telemetry is not None,
    ),
    _service("postgres", "cloudnative-pg"),
    _service("redis", "valkey"),
    _service("blobStore", "seaweedfs"),
    _service("clickhouse", "clickhouse"),
    _service("temporal", "temporal"),
    _service("langfuse", "langfuse"),
    Use(
        "nats",
        ("services", "bus"),
        lambda spec: spec.services.bus is not None and spec.services.bus.kind == "nats",
    ),
    _service("mcpRegistry", "mcp-registry"),
    Use("agent-sandbox", ("sandboxes",), lambda spec: bool(spec.sandboxes)),
)
"""Every component that rendering may ask for, with its switch; `release` raises TPL003 without a digest.
And Flux itself, which the Pulumi program installs where Azure does not (stacks/in_cluster.py)."""


def used(spec: SiteSpec) -> Iterator[Use]:
    """The rows that the site switches on, in the order of `USED`."""
    return (use for use in USED if use.when(spec))
