"""The objects of `InCluster` as plain values: what Flux needs on a site without Arc. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from fleet.model.site import SiteSpec
from fleet.render.tree import render_site

from .arc_platform import CONFIGURATION_NAME, FluxContent, pull_url

Object = Mapping[str, Any]
FLUX_NAMESPACE: Final = "flux-system"
CA_SECRET: Final = "registry-ca"  # noqa: S105 - the name of an object


def tree_objects(spec: SiteSpec) -> tuple[Object, ...]:
    """Every object of the site's rendered tree: what Flux applies there, and so what Flux owns."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(
        found
        for text in render_site(spec).files.values()
        for found in yaml.load_all(text, Loader=loader)
        if found is not None
    )


def namespaces_of(tree: Sequence[Object]) -> Iterator[Object]:
    """The site's namespaces as the tree has them: names, pod security levels, labels and annotations."""
    return (found for found in tree if found["kind"] == "Namespace")


def flux_source(spec: SiteSpec, content: FluxContent) -> Object:
    """Flux's source: the site's artifact in the site's registry, by digest, under the tree's name for it."""
    source: dict[str, Any] = {
        "interval": f"{spec.delivery.interval_minutes}m",
        "timeout": "10m",
        "url": pull_url(spec, content),
        "ref": {"digest": content.digest},
    }
    if content.ca_certificate is not None:
        source["certSecretRef"] = {"name": CA_SECRET}
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": CONFIGURATION_NAME, "namespace": FLUX_NAMESPACE},
        "spec": source,
    }


def flux_entry(spec: SiteSpec) -> Object:
    """Flux's one kustomization, the same that Azure makes of a Flux configuration, down to its name."""
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": f"{CONFIGURATION_NAME}-site", "namespace": FLUX_NAMESPACE},
        "spec": {
            "interval": f"{spec.delivery.interval_minutes}m",
            "retryInterval": "1m",
            "timeout": "10m",
            "path": f"./clusters/{spec.name}",
            "prune": True,
            "wait": True,
            "sourceRef": {"kind": "OCIRepository", "name": CONFIGURATION_NAME},
        },
    }
