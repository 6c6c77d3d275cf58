"""Where a served model's files come from when they are a package of their own and not part of the image.

From Kubernetes 1.35 on the kubelet itself mounts the package as an image volume (gpu-facts 5.2: on by default
since then; containerd mounts packages in the form of an image only). Before, an init container of the
gateway's image fetches it from the site's model cache in the cluster, by digest: no pod here reaches a
registry outside, because a NetworkPolicy can't name a host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.inference import InferenceDeployment
from fleet.model.site import SiteSpec
from fleet.model.supply import ModelPackage
from fleet.render.environment import TRUST
from fleet.render.section import site_image

CACHE_NAMESPACE: Final = "model-cache"
CACHE_PORT: Final = 5000
_CACHE_HOST: Final = "model-cache.model-cache.svc.cluster.local"  # stacks/in_cluster_registry.py makes it
_IMAGE_VOLUMES: Final = (1, 35)


@dataclass(frozen=True)
class Weights:
    """The volume `models` of a pod, and what brings the package into it.

    `fetch` is the environment of the init container that fetches it, None where the kubelet does; `claim` is
    the PersistentVolumeClaim that the volume names, None for one of the pod's own.
    """

    package: str
    volume: Mapping[str, Any]
    fetch: Mapping[str, str] | None = None
    claim: Mapping[str, Any] | None = None


def package_of(spec: SiteSpec, name: str, package: str) -> ModelPackage:
    """The package `package` that the deployment `name` serves. Raises `FleetError` TPL011 for one that the
    fleet does not have (MOD001 says it at the inventory's line)."""
    if package not in spec.packages:
        message = f"{spec.name}: {name} serves the package {package!r}, which the fleet does not have"
        raise FleetError("TPL011", message, f"packages: {{{package}: …}} at the top of fleet.yaml")
    return spec.packages[package]


def weights_of(spec: SiteSpec, name: str, deployment: InferenceDeployment, package: str) -> Weights:
    """How the pods of a deployment get the package that is called `package`.

    A volume holds `modelCache.keepVersions` versions, two at least: the last that was good stays (requirement
    I6, gpu-facts 7.6). One replica keeps them over restarts on a claim; several have a copy each on their
    node's disk, as a claim of AKS on Azure Local is one node's at a time. The claim's name holds its size and
    its class: neither can be changed to just any other, so another size is another claim. Raises `FleetError`
    TPL011 where neither way is open, and for a package that the fleet does not have.
    """
    packed = package_of(spec, name, package)
    major, minor, _patch = map(int, spec.kubernetes.version.split("."))
    if (major, minor) >= _IMAGE_VOLUMES:
        image = {"reference": site_image(spec, packed.artifact), "pullPolicy": "IfNotPresent"}
        return Weights(package, {"name": "models", "image": image})
    if spec.model_cache is None:
        raise FleetError(
            "TPL011",
            f"{spec.name}: nothing brings the package {package!r} to {name}: the site has no model cache, "
            f"and Kubernetes {spec.kubernetes.version} mounts no packages (1.35 does)",
            "modelCache: {storageGib: …}",
        )
    gib = ceil(max(spec.model_cache.keep_versions, 2) * packed.size_gib)
    fetch = {
        "MODEL_ARTIFACT": f"{_CACHE_HOST}/{packed.artifact.partition('/')[2]}",
        "MODEL_KEEP_VERSIONS": str(spec.model_cache.keep_versions),
        "MODEL_PACKAGE": package,
        **TRUST,
    }
    if deployment.replicas > 1:
        return Weights(package, {"name": "models", "emptyDir": {"sizeLimit": f"{gib}Gi"}}, fetch)
    storage_class = spec.model_cache.storage_class
    claim_name = f"{name}-models-{gib}gi" + (f"-{storage_class}" if storage_class else "")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim_name, "namespace": "platform"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{gib}Gi"}},
            **({"storageClassName": storage_class} if storage_class else {}),
        },
    }
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": claim_name}}
    return Weights(package, volume, fetch, claim)
