"""What a topic module gives to a site's tree: folders of files, each applied as one by Flux."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import summarize_address_range

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
BEFORE_PODS = ("platform", "certificates", "secrets", "policies", "constraints")
"""Sections that are ready before a pod of ours starts: what it mounts, and the rules that it must pass."""


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


def api_server_networks(spec: SiteSpec) -> Sequence[str]:
    """Networks that hold the API server: the pool of the cluster's addresses, which holds the control plane's
    nodes and their virtual address (facts 1.6). Policies see those, not the Service's (Calico, facts 1.9)."""
    pool = spec.kubernetes.network.pool
    return [str(network) for network in summarize_address_range(pool.start, pool.end)]


def cpu_quantity(millis: int) -> str:
    """Processors as Kubernetes writes them itself: whole ones without a unit."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def memory_quantity(mib: int) -> str:
    """Memory as Kubernetes writes it itself, in MiB or whole GiB."""
    return f"{mib}Mi" if mib % 1024 else f"{mib // 1024}Gi"
