"""Where a site's services run, how much they ask for, by which image and certificate."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render.certificates import Name
from fleet.render.releases import component_image
from fleet.render.section import taints_of
from fleet.render.templating import render_template


def services_pool(spec: SiteSpec, wanted: str | None = None) -> str:
    """The node pool of a service: the one that it names, else the one for services, else the system pool."""
    if wanted is not None:
        return wanted
    for name, pool in spec.kubernetes.node_pools.items():
        if pool.purpose == "services":
            return name
    return spec.kubernetes.system_pool


def on_pool(spec: SiteSpec, wanted: str | None = None) -> dict[str, Any]:
    """`nodeSelector` and `tolerations`, as charts take them (requirement A11)."""
    pool = services_pool(spec, wanted)
    tolerations = [
        {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
        for taint in taints_of(spec, pool)
    ]
    return {"nodeSelector": {"fleet/node-pool": pool}, "tolerations": tolerations}


def footprint(spec: SiteSpec, small: tuple[str, str], usual: tuple[str, str]) -> dict[str, Any]:
    """Requests of processors and memory, with the memory as limit; `small` is for a site of one machine.

    Starting values of this project, not measured ones.
    """
    cpu, memory = small if spec.topology == "pilot-node" else usual
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def pinned_image(spec: SiteSpec, component: str, repository: str, tag: str | None = None) -> str:
    """`host/path:tag@digest` of a component's image, for our own manifests.

    A component that is one image and no chart has its digest as the component's; another's image without a
    digest of its own goes by its tag. `tag` chooses where the catalogue has several of one repository.
    Raises KeyError for an image that the catalogue does not list, and `FleetError` (TPL003) for a component
    that the inventory lacks.
    """
    pin = spec.components.get(component)
    if pin is None:
        raise FleetError(
            "TPL003",
            f"{spec.name}: {component} is switched on, and `components` has no digest of it",
            f"components: {{{component}: {{digest: sha256:…}}}}",
        )
    name, listed, digest = component_image(spec, component, repository)
    if tag is not None and tag != listed:
        if f"{repository}:{tag}" not in catalog.components()[component].images:
            raise KeyError(f"{component} has no image {repository}:{tag} (fleet/catalog/components.yaml)")
        listed, digest = tag, pin.images.get(f"{repository}:{tag}")
    if digest is None and component in IMAGES:
        digest = pin.digest
    return f"{name}:{listed}@{digest}" if digest else f"{name}:{listed}"


IMAGES = frozenset({"otel-collector", "clickhouse", "mcp-registry"})
"""Components that are one image and no chart: their digest under `components` is the image's."""


def service_certificates(spec: SiteSpec, namespace: str, services: Mapping[str, Sequence[str]]) -> str:
    """A certificate in the Secret `SERVICE-tls` for each service, under its own name and the hosts with it,
    by the site's issuer: keys `tls.crt`, `tls.key` and `ca.crt` (requirement B11)."""
    certificates = spec.platform.certificates
    ends = ("", ".svc", ".svc.cluster.local")
    names = [
        Name(
            namespace,
            f"{service}-tls",
            tuple(f"{host}.{namespace}{end}" for host in (service, *hosts) for end in ends),
        )
        for service, hosts in services.items()
    ]
    hours = {"valid": 24 * certificates.valid_days, "renewed": 24 * certificates.renew_days_before}
    return render_template("platform/certificates.yaml.j2", names=names, hours=hours)
