"""What applying a site's tree would change in its cluster, asked of the cluster's own API server.

Each object is applied server-side as a dry run, as Flux's kustomize-controller would do it, and what that
gives is compared with what is there. Defaults, admission and conversion are then the server's. Nothing is
changed; what is in the cluster and not in the tree is not looked at (Flux prunes it).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from fleet.sandbox.kubernetes_client import KIND_NOT_SERVED, KubernetesClient, KubernetesError
from fleet.sandbox.kubernetes_objects import Kind

MANAGER: Final = "kustomize-controller"
"""The field manager of Flux's kustomize-controller (its main.go: controllerName). As another one, fields
that are gone from the tree would not show."""
_SERVERS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
_FLUX = "kustomize.toolkit.fluxcd.io/"
"""Prefix of the labels and checksums that Flux adds to what it applies."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""What kubectl keeps of an object, a Secret's values too."""


def objects_of(files: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a tree and their files; not the lists of files that are for kustomize alone."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path, text in files.items():
        for value in yaml.load_all(text, Loader=loader):
            if isinstance(value, dict) and not value["apiVersion"].startswith("kustomize.config.k8s.io/"):
                yield path, value


def compared(
    client: KubernetesClient, files: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Texts of what the cluster has and of what it would have, by file and object; and what it refuses.

    An object whose namespace or kind is not there yet is new, and its text is that of the tree: the server
    could not check it. Raises `KubernetesError` when the server gives no answer, or trusts us in nothing.
    """
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    refused: list[str] = []
    for path, value in objects_of(files):
        kind = _kind(value)
        metadata = value["metadata"]
        namespace = metadata.get("namespace")
        name = f"{path}#{value['kind']}/{metadata['name']}"
        try:
            live = client.find(kind, namespace, metadata["name"])
            then = client.apply(kind, namespace, value, MANAGER, force=True, dry_run=True)
        except KubernetesError as error:
            if error.status in (0, 401, 403):
                raise
            if error.reason == KIND_NOT_SERVED or (error.status == 404 and "namespaces" in str(error)):
                after[name] = _text(value)
            else:
                refused.append(f"{name}: {error}")
            continue
        if live is not None:
            before[name] = _text(live)
        after[name] = _text(then)
    return before, after, refused


def _kind(value: Mapping[str, Any]) -> Kind:
    group, _, version = str(value["apiVersion"]).rpartition("/")
    return Kind(group, version, value["kind"])


def _text(value: Mapping[str, Any]) -> str:
    """Without what the server and Flux add; a Secret's values never leave here."""
    own = {key: part for key, part in value.items() if key != "status"}
    metadata = {key: part for key, part in own["metadata"].items() if key not in _SERVERS}
    for name in ("labels", "annotations"):
        kept = {
            key: part
            for key, part in (metadata.get(name) or {}).items()
            if not key.startswith(_FLUX) and key != _LAST_APPLIED
        }
        metadata.pop(name, None)
        if kept:
            metadata[name] = kept
    own["metadata"] = metadata
    if own["kind"] == "Secret":
        own |= {name: sorted(own[name]) for name in ("data", "stringData") if own.get(name)}
    return yaml.safe_dump(own, sort_keys=True, allow_unicode=True, width=2**30)
