"""Controllers of the platform that come as Helm charts: each in a namespace, all before what they act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.model.site import SiteSpec
from fleet.render.releases import component_image, release
from fleet.render.section import NAMESPACES, Section, taints_of
from fleet.render.templating import render_template


@dataclass(frozen=True)
class Controller:
    """A component of the catalogue, where it runs, and the values of its chart.

    `pod_security` is the level of its namespace, where that is its own; `after` names controllers that must
    be there first.
    """

    component: str
    namespace: str
    values: Mapping[str, Any]
    pod_security: str = "baseline"
    after: tuple[str, ...] = ()


def section(spec: SiteSpec, found: Sequence[Controller]) -> Section | None:
    """The section `controllers`, or None where the site needs none.

    Raises `FleetError` (TPL003) when the inventory has no digest of a chart.
    """
    if not found:
        return None
    shared = {name for name, _ in NAMESPACES}
    own = {c.namespace: c.pod_security for c in found if c.namespace not in shared}
    files = {
        f"{c.component}.yaml": release(spec, c.component, c.namespace, c.values, depends_on=c.after)
        for c in found
    }
    if own:
        namespaces = [{"name": name, "pod_security": level} for name, level in sorted(own.items())]
        files["namespaces.yaml"] = render_template(
            "platform/namespaces.yaml.j2", site=spec, namespaces=namespaces
        )
    return Section("controllers", "platform/controllers", files, ("platform",), "15m")


def replicas_of(spec: SiteSpec) -> int:
    """How many pods a controller gets: one where there is one machine, else two, so that a node can go."""
    return 1 if len(spec.azure_local.nodes) == 1 else 2


def placement(spec: SiteSpec) -> dict[str, Any]:
    """Node selector and tolerations of the pool that the cluster was made with, which has no GPU."""
    pool = spec.kubernetes.system_pool
    taints = [
        {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
        for taint in taints_of(spec, pool)
    ]
    return {"nodeSelector": {"fleet/node-pool": pool}, **({"tolerations": taints} if taints else {})}


def image(spec: SiteSpec, component: str, repository: str) -> dict[str, str]:
    """`repository` and `tag` as most charts take them; the tag carries the digest if the inventory has it."""
    name, tag, digest = component_image(spec, component, repository)
    return {"repository": name, "tag": f"{tag}@{digest}" if digest else tag}


def split_image(spec: SiteSpec, component: str, repository: str) -> dict[str, str]:
    """The same, for charts that ask for the registry apart."""
    found = image(spec, component, repository)
    host, _, path = found["repository"].partition("/")
    return {"registry": host, "repository": path, "tag": found["tag"]}
