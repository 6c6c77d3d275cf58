"""The chart that the program itself installs, Flux's, pinned by version and by digest. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleet import catalog
from fleet.model.site import SiteSpec
from fleet.render.section import site_image

FLUX: Final = "flux2"
_FLUX_CONTROLLERS: Final = {
    # The image's last name, and where the chart's values have it: fluxcd-community/helm-charts,
    # charts/flux2/values.yaml at 01dd60d, read 2026-11-21.
    "source-controller": "sourceController",
    "kustomize-controller": "kustomizeController",
    "helm-controller": "helmController",
    "flux-cli": "cli",
}
_FLUX_UNUSED: Final = ("imageAutomationController", "imageReflectionController", "notificationController")


@dataclass(frozen=True)
class Release:
    """A Helm release. `chart` is `oci://…@sha256:…`, which Helm takes since 3.18 (helm/helm#13588)."""

    name: str
    namespace: str
    chart: str
    version: str
    values: Mapping[str, Any]


def flux_release(spec: SiteSpec) -> Release | str:
    """Flux's release on a site without Arc, or why there is none: a pin that is missing.

    The chart's version and digest, and its images' digests, stand in the inventory's `components`.
    """
    pin, known = spec.components.get(FLUX), catalog.components().get(FLUX)
    if pin is None:
        return f"the inventory's components have no {FLUX}, so that no chart is pinned"
    version = pin.version or (known.version if known else None)
    if version is None:
        return f"the inventory's components.{FLUX} says no version, and the catalogue has none"
    chart = known.chart if known else None
    path = chart.removeprefix("oci://") if chart else f"{spec.delivery.registry}/charts/{FLUX}"
    values = _flux_values(spec)
    if isinstance(values, str):
        return values
    return Release(FLUX, "flux-system", f"oci://{site_image(spec, path)}@{pin.digest}", version, values)


def _flux_values(spec: SiteSpec) -> Mapping[str, Any] | str:
    values: dict[str, Any] = {"installCRDs": True, **{name: {"create": False} for name in _FLUX_UNUSED}}
    for image, digest in spec.components[FLUX].images.items():
        name, _, tag = image.rpartition(":")
        if key := _FLUX_CONTROLLERS.get(name.rpartition("/")[2]):
            # The chart writes `image:tag` (from memory), so that the digest travels with the tag.
            values[key] = {"image": site_image(spec, name), "tag": f"{tag}@{digest}"}
    missing = [name for name, key in _FLUX_CONTROLLERS.items() if key not in values]
    return f"components.{FLUX}.images has no digest of {', '.join(missing)}" if missing else values
