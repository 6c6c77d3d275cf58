"""The site's registry and model cache in its own cluster: CNCF distribution, a volume, an address. Pure.

Certificate and users come from Secrets by name, which somebody else puts there (`registry-tls` of type
kubernetes.io/tls, `registry-users` with `htpasswd`): until then its pod waits. The image has to be on the
nodes before, since the registry can't serve its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.model.site import SiteSpec

_PORT = 5000  # distribution's own default; nothing outside of the pod depends on it
_USER = 65532  # nobody's: distribution needs none of the image's own users


@dataclass(frozen=True)
class Store:
    """One OCI registry. `host` is the name that its certificate is for; None for one that only pods use."""

    name: str
    storage_gib: int
    image: str
    host: str | None
    load_balancer: bool
    storage_class: str | None = None
    """Of its volume; None for the cluster's default."""


def stores_of(spec: SiteSpec, image: str | None) -> Iterator[Store]:
    """What the site runs in its cluster: nothing without an image. Models are OCI artifacts, in a store of
    their own, so that a large model can't push out the images that the site needs to start."""
    if image is None:
        return
    balanced = spec.kubernetes.network.load_balancer is not None
    if spec.registry is not None:
        yield Store(
            "registry",
            spec.registry.storage_gib,
            image,
            spec.registry.host,
            balanced,
        )
    if spec.model_cache is not None:
        cache = spec.model_cache
        yield Store("model-cache", cache.storage_gib, image, None, False, cache.storage_class)


def store_objects(store: Store) -> Iterator[Mapping[str, Any]]:
    """Namespace, volume, deployment and service, in the order in which they need each other."""
    name, labels = store.name, {"app": store.name}
    metadata = {"name": name, "namespace": name, "labels": labels}
    yield {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{store.storage_gib}Gi"}},
            **({"storageClassName": store.storage_class} if store.storage_class else {}),
        },
    }
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": _deployment(store)}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "LoadBalancer" if store.load_balancer else "ClusterIP",
            "selector": labels,
            "ports": [{"name": "https", "port": 443, "targetPort": "https"}],
        },
    }


def _deployment(store: Store) -> Mapping[str, Any]:
    name, labels = store.name, {"app": store.name}
    # The names are distribution's: REGISTRY_ and the path in its configuration file.
    settings = {
        "REGISTRY_HTTP_ADDR": f":{_PORT}",
        "REGISTRY_HTTP_TLS_CERTIFICATE": "/tls/tls.crt",
        "REGISTRY_HTTP_TLS_KEY": "/tls/tls.key",
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/data",
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": name,
        "REGISTRY_AUTH_HTPASSWD_PATH": "/users/htpasswd",
    }
    if store.host is not None:
        settings["REGISTRY_HTTP_HOST"] = f"https://{store.host}"
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": name}},
        {"name": "tls", "secret": {"secretName": f"{name}-tls"}},
        {"name": "users", "secret": {"secretName": f"{name}-users"}},
    ]
    mounts = [
        {"name": "data", "mountPath": "/data"},
        {"name": "tls", "mountPath": "/tls", "readOnly": True},
        {"name": "users", "mountPath": "/users", "readOnly": True},
    ]
    probe = {"tcpSocket": {"port": "https"}}
    container = {
        "name": name,
        "image": store.image,
        "env": [{"name": key, "value": value} for key, value in settings.items()],
        "ports": [{"name": "https", "containerPort": _PORT}],
        "readinessProbe": probe,
        "livenessProbe": {**probe, "periodSeconds": 30},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # its volume is one node's at a time
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": _USER,
                    "fsGroup": _USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": volumes,
            },
        },
    }
