"""Third parties' software: a Helm chart by digest, which Flux's helm-controller installs."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render.section import site_image
from fleet.render.templating import render_template


def release(
    spec: SiteSpec,
    component: str,
    namespace: str,
    values: Mapping[str, Any],
    *,
    depends_on: Sequence[str] = (),
    timeout: str = "10m",
) -> str:
    """The text of a component's OCIRepository and HelmRelease, both in `flux-system`.

    `component` is a name of the catalogue of components and of `components` in the inventory, which has the
    chart's digest; `values` are the chart's, as JSON values; `depends_on` names other releases of the site.
    Raises `FleetError` (TPL003) when the inventory has no such component.
    """
    pin = spec.components.get(component)
    if pin is None:
        raise FleetError(
            "TPL003",
            f"{spec.name}: {component} is switched on, and `components` has no digest of its chart",
            f"components: {{{component}: {{digest: sha256:…}}}}",
        )
    return render_template(
        "release.yaml.j2",
        component=component,
        namespace=namespace,
        version=pin.version or catalog.components()[component].version,
        digest=pin.digest,
        url=chart_url(spec, component),
        ca_secret=_ca_secret(spec),
        interval_minutes=spec.delivery.interval_minutes,
        timeout=timeout,
        depends_on=depends_on,
        values=values,
    )


REGISTRY_CA = "registry-ca"
"""The Secret in `flux-system` with the CA of the site's registry (stacks/in_cluster.py makes it)."""


def _ca_secret(spec: SiteSpec) -> str | None:
    """Whom Flux trusts for the charts, where a private CA signed the registry's certificate. Elsewhere than
    on disconnected sites Azure's extension keeps the CA, under a name that it does not promise."""
    private = spec.registry is not None and spec.registry.ca_file is not None
    return REGISTRY_CA if private and spec.connectivity.mode == "disconnected" else None


def chart_url(spec: SiteSpec, component: str) -> str:
    """Where the site pulls a chart: its own registry, else the makers', else the fleet's (`charts/NAME`)."""
    chart = catalog.components()[component].chart
    path = chart.removeprefix("oci://") if chart else f"{spec.delivery.registry}/charts/{component}"
    return f"oci://{site_image(spec, path)}"


def component_image(spec: SiteSpec, component: str, repository: str) -> tuple[str, str, str | None]:
    """Registry with path, tag and digest of one of a component's images, as the site pulls it.

    `repository` is the image's host and path without a tag, as the catalogue has it. The digest is None where
    the inventory gives none: then the site's registry decides what the tag is.
    Raises KeyError for an image that the catalogue does not list.
    """
    for image in catalog.components()[component].images:
        name, _, tag = image.rpartition(":")
        if name == repository:
            pin = spec.components.get(component)
            return site_image(spec, name), tag, pin.images.get(image) if pin else None
    raise KeyError(f"{component} has no image {repository} (fleet/catalog/components.yaml)")
