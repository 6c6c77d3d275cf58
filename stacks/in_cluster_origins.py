"""Which field of the inventory each resource of `InCluster` comes from. Pure."""

from fleet.model.site import SiteSpec

from .in_cluster_objects import CA_SECRET, namespaces_of, tree_objects
from .in_cluster_registry import store_objects, stores_of
from .in_cluster_releases import FLUX

_ANY_IMAGE = "registry.example/distribution@sha256:0"  # which one makes no difference to the names


def in_cluster_origins(spec: SiteSpec) -> dict[str, str]:
    """The field behind each resource and component that may be declared in the site's cluster, by name."""
    found = {
        "in-cluster": "kubernetes",
        "kubernetes": "kubernetes.name",
        "flux-source": "delivery",
        "flux-entry": "delivery",
        f"release-{FLUX}": "components",
        **{f"namespace-{item['metadata']['name']}": "platform" for item in namespaces_of(tree_objects(spec))},
    }
    if spec.registry is not None and spec.registry.ca_file is not None:
        found[CA_SECRET] = "registry.caFile"
    for store in stores_of(spec, _ANY_IMAGE):
        field = "registry" if store.name == "registry" else "modelCache"
        found |= {f"{store.name}-{item['kind'].lower()}": field for item in store_objects(store)}
    return found
