"""Policies about Kubernetes objects, one at a time. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet_validators.images import PINNED

from .azure_policies import oci_source
from .declared import UNKNOWN, Declared, at, items
from .policy import ResourcePolicy, carried

_POD_SPECS: Final = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"),
        ("spec", "template", "spec"),
    ),
}
"""Where an object of a kind keeps what its pods are."""

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_LEVELS: Final = ("restricted", "baseline")
_VERSION: Final = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?")
_HARMLESS: Final = frozenset({"NET_BIND_SERVICE"})
"""What pod security's level `restricted` lets a container add."""

_NAMESPACES: Final = {"exceptNamespaces": {"type": "array", "items": {"type": "string"}, "default": []}}


def _pod(resource: Declared) -> Any:
    return at(resource.inputs, *_POD_SPECS[resource.kind]) if resource.kind in _POD_SPECS else None


def _containers(pod: Any) -> Iterator[tuple[str, Any]]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(items(at(pod, group))):
            yield f"{group}[{number}]", container


def _images(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    for where, container in _containers(_pod(resource)):
        image = at(container, "image")
        if image is not UNKNOWN and not PINNED.fullmatch(str(image)):
            yield f"{where}: the image {image!r} is not named with its registry and a digest"


def _privileges(resource: Declared, settings: Mapping[str, Any]) -> Iterator[str]:
    pod = _pod(resource)
    if _namespace(resource) in items(settings.get("exceptNamespaces")):
        return
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if at(pod, key) is True:
            yield f"{key} is true"
    for volume in items(at(pod, "volumes")):
        if at(volume, "hostPath") not in (None, UNKNOWN):
            yield f"the volume {at(volume, 'name')} is a path of the node"
    for where, container in _containers(pod):
        context = at(container, "securityContext")
        for key in ("privileged", "allowPrivilegeEscalation"):
            if at(context, key) is True:
                yield f"{where}: {key} is true"
        capabilities = items(at(context, "capabilities", "add"))
        added = sorted({str(name) for name in capabilities if name is not UNKNOWN} - _HARMLESS)
        if added:
            yield f"{where}: it adds the capabilities {', '.join(added)}"


def _namespace(resource: Declared) -> Any:
    return at(resource.inputs, "metadata", "namespace")


def _pod_security(resource: Declared, settings: Mapping[str, Any]) -> Iterator[str]:
    if resource.kind != "Namespace":
        return
    name = at(resource.inputs, "metadata", "name")
    level = at(resource.inputs, "metadata", "labels", _ENFORCE)
    if level is UNKNOWN or level in _LEVELS or name in items(settings.get("exceptNamespaces")):
        return
    yield (
        f"the namespace {name} enforces the level {level}" if level else f"the namespace {name} has no level"
    )


def _helm(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    if not resource.type.startswith("kubernetes:helm.sh/"):
        return
    inputs = resource.inputs
    version = at(inputs, "version")
    if version is not UNKNOWN and not _VERSION.fullmatch(str(version)):
        yield "the chart's version is not pinned"
    chart, repository = at(inputs, "chart"), at(inputs, "repositoryOpts", "repo")
    for what, source in (("chart", chart), ("repository", repository)):
        if isinstance(source, str) and source.startswith("http://"):
            yield f"the {what} is fetched without TLS"


def _oci_repository(resource: Declared, _: Mapping[str, Any]) -> Iterator[str]:
    if resource.kind == "OCIRepository" and "source.toolkit.fluxcd.io" in resource.type:
        yield from oci_source(at(resource.inputs, "spec"), ("ref",))


POLICIES: Final = (
    carried("IMG001", "image-pinned", _images, "host/name@sha256:… with the digest that you tested"),
    ResourcePolicy(
        name="pod-unprivileged",
        summary="a pod has no rights on its node",
        source="Kubernetes pod security standards: baseline, and restricted's allowPrivilegeEscalation",
        help="take the right away, or name the namespace in this policy's setting `exceptNamespaces`",
        check=_privileges,
        settings=_NAMESPACES,
    ),
    ResourcePolicy(
        name="namespace-pod-security",
        summary="a namespace enforces a level of pod security",
        source="Kubernetes pod security admission, label pod-security.kubernetes.io/enforce",
        help="the label with `restricted` or `baseline`, or name the namespace in `exceptNamespaces`",
        check=_pod_security,
        settings=_NAMESPACES,
    ),
    ResourcePolicy(
        name="helm-chart-pinned",
        summary="a Helm release has one version of its chart, fetched over TLS",
        source="requirement C9",
        help="a version such as 1.2.3, and a repository of https:// or oci://",
        check=_helm,
    ),
    ResourcePolicy(
        name="flux-oci-repository-pinned",
        summary="Flux pulls what is pinned, over an encrypted connection",
        source="facts 2.4; requirement C9",
        help="spec.ref.digest, and no spec.insecure",
        check=_oci_repository,
    ),
)
"""In the order in which they are shown."""
