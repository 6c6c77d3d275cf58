"""What every workload is told by its environment: whom to trust, and where telemetry goes."""

from fleet.model.site import SiteSpec
from fleet.render.certificates import AUTHORITY
from fleet.render.telemetry import ENDPOINT

CA_BUNDLE = f"/etc/{AUTHORITY}/ca-bundle.crt"
"""The CAs that the site trusts: trust-manager's ConfigMap in the namespace, where our pods mount it."""
TRUST = {"SSL_CERT_FILE": CA_BUNDLE, "REQUESTS_CA_BUNDLE": CA_BUNDLE}
"""Read by OpenSSL (so by Python's ssl and by httpx 0.28), and by requests."""


def trace_environment(spec: SiteSpec, name: str, namespace: str, image: str) -> dict[str, str]:
    """The CAs that a workload trusts, and `OTEL_*` as OpenTelemetry's SDKs read it themselves.

    Without `telemetry` the SDK is switched off: the site has no collector.
    """
    if spec.telemetry is None:
        return TRUST | {"OTEL_SDK_DISABLED": "true"}
    attributes = {
        "service.namespace": namespace,
        "service.version": image_version(image),
        "deployment.environment.name": spec.environment,
        "fleet.site": spec.name,
        "fleet.ring": spec.ring,
    }
    return TRUST | {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in attributes.items()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": CA_BUNDLE,
    }


def image_version(image: str) -> str:
    """An image's tag, which its makers call it by, or the start of its digest (requirement K9)."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest[:19]
