"""What a topic module gives to a site's tree: folders of files, each applied as one by Flux."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.model.kubernetes import Taint
from fleet.model.site import SiteSpec

NAMESPACES = (
    # Requirement A16, A17: these five, and no privileges where code of others runs.
    ("platform", "baseline"),
    ("agents", "restricted"),
    ("tools", "restricted"),
    ("observability", "baseline"),
    ("flux-system", "baseline"),
)
GUARDED = ("platform", "agents", "tools")
"""Namespaces in which nothing may talk that no policy allows."""


@dataclass(frozen=True)
class Section:
    """A folder of the tree: one Flux Kustomization.

    `files` are texts by their names in the folder; its `kustomization.yaml` is written for them. `after`
    names the sections that must be ready first; one that the site does not have is left out. `timeout` is how
    long Flux waits for all of it to be ready (requirement C2).
    """

    name: str
    path: str
    files: Mapping[str, str]
    after: tuple[str, ...] = ()
    timeout: str = "5m"


def site_image(spec: SiteSpec, image: str) -> str:
    """The image as the site pulls it: from its own registry where it has one, by the same digest."""
    if spec.registry is None:
        return image
    _, _, path = image.partition("/")
    return f"{spec.registry.host}/{path}"


def taints_of(spec: SiteSpec, pool: str) -> tuple[Taint, ...]:
    """What pods of a pool must tolerate; nothing for a pool that the site does not have."""
    there = spec.kubernetes.node_pools.get(pool)
    return there.taints if there else ()


def cpu_quantity(millis: int) -> str:
    """Processors as Kubernetes writes them itself: whole ones without a unit."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def memory_quantity(mib: int) -> str:
    """Memory as Kubernetes writes it itself, in MiB or whole GiB."""
    return f"{mib}Mi" if mib % 1024 else f"{mib // 1024}Gi"
