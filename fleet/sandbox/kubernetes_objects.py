"""Kubernetes objects as Pulumi's kubernetes provider sees them: types, ids, replacements. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleet.engine.local.diff import matches, parse_path
from fleet.engine.local.values import SealedSecret, Secret

FIELD_MANAGER_KEY: Final = "__fieldManager"
INITIAL_API_VERSION_KEY: Final = "__initialApiVersion"
_OURS: Final = frozenset({FIELD_MANAGER_KEY, INITIAL_API_VERSION_KEY, "__inputs"})
_IDENTITY: Final = ("name", "namespace", "uid", "creationTimestamp")
_SERVERS_OWN: Final = frozenset(
    {"managedFields", "resourceVersion", "generation", "selfLink", "uid"}
    | {"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}
)

# Read 2026-11-21 from pulumi-kubernetes, provider/pkg/provider/diff.go, commit 00302be; kinds that no
# stack of ours declares, such as bare pods, are left out.
_SELECTOR: Final = ("spec.selector",)
_FORCE_NEW: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("", "ConfigMap"): ("data", "binaryData"),
    ("", "PersistentVolumeClaim"): ("spec",),
    ("", "Secret"): ("type", "data", "stringData"),
    ("", "Service"): ("spec.clusterIP",),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}


@dataclass(frozen=True)
class Kind:
    """A type of the package: `kubernetes:apps/v1:Deployment` is group `apps`, version `v1`."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """As an object says it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def is_helm_release(self) -> bool:
        """`helm.v3.Release`, which is no object of a cluster."""
        return (self.group, self.kind) == ("helm.sh", "Release")


def kind_of(token: str) -> Kind | None:
    """The kind that a type token names; None for lists, patches, YAML files and charts."""
    package, _, rest = token.partition(":")
    api, _, kind = rest.rpartition(":")
    group, _, version = api.rpartition("/")
    if package != "kubernetes" or not group or not version or not kind or group in ("yaml", "kustomize"):
        return None
    if group == "helm.sh":
        return Kind(group, version, kind) if kind == "Release" else None
    if kind.endswith(("Patch", "List")):
        return None
    return Kind("" if group == "core" else group, version, kind)


def object_id(metadata: Mapping[str, Any]) -> str:
    """`namespace/name`, or `name` without a namespace, as Pulumi writes it."""
    namespace, name = metadata.get("namespace"), metadata.get("name")
    return f"{namespace}/{name}" if namespace else str(name)


def parse_id(object_id_: str) -> tuple[str | None, str]:
    """Namespace and name of an id."""
    namespace, _, name = object_id_.rpartition("/")
    return namespace or None, name


def field_manager(urn: str) -> str:
    """The field manager of a resource: Pulumi's form, and the same for the same URN.

    Pulumi draws the last part by chance and keeps it in the state. Here it is a digest, so that an object
    whose create was cut short is known to be ours.
    """
    return "pulumi-kubernetes-" + hashlib.sha256(urn.encode()).hexdigest()[:8]


def body_of(inputs: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The object to apply: the inputs, with apiVersion and kind also where the program left them out."""
    plain = {key: value for key, value in inputs.items() if key not in _OURS}
    return {"apiVersion": kind.api_version, "kind": kind.kind} | plain


def outputs_of(
    live: Mapping[str, Any], inputs: Mapping[str, Any], manager: str, kind: Kind
) -> dict[str, Any]:
    """What the state keeps of an object: what the program says, as the server has it, and who the object is.

    Not what controllers add (status, annotations, a claim's volume): it changes by itself, and every refresh
    would show it as drift. Pulumi's provider keeps all of it. A Secret's data are secrets.
    """
    outputs = dict(_said(inputs, live))
    outputs["metadata"] = outputs.get("metadata", {}) | {
        key: live["metadata"][key] for key in _IDENTITY if key in live.get("metadata", {})
    }
    outputs |= {FIELD_MANAGER_KEY: manager, INITIAL_API_VERSION_KEY: kind.api_version}
    if (kind.group, kind.kind) == ("", "Secret"):
        outputs |= {key: Secret(outputs[key]) for key in ("data", "stringData") if key in outputs}
    return outputs


def _said(inputs: Any, live: Any) -> Any:
    """Of the cluster's value what the inputs speak of."""
    if isinstance(inputs, Secret):
        return _said(inputs.plain, live)
    if isinstance(inputs, Mapping) and isinstance(live, Mapping):
        return {key: _said(value, live[key]) for key, value in inputs.items() if key in live}
    if isinstance(inputs, list) and isinstance(live, list) and len(inputs) == len(live):
        return [_said(item, there) for item, there in zip(inputs, live, strict=True)]
    return live


def inputs_of(live: Mapping[str, Any]) -> dict[str, Any]:
    """What a program would have to say to get this object: everything but what the server adds by itself."""
    inputs = {key: value for key, value in live.items() if key not in ("status", *_OURS)}
    inputs["metadata"] = {k: v for k, v in live.get("metadata", {}).items() if k not in _SERVERS_OWN}
    return inputs


def manages(live: Mapping[str, Any], manager: str) -> bool:
    """Whether a field manager has applied this object."""
    entries = live.get("metadata", {}).get("managedFields", ())
    return any(e.get("manager") == manager and e.get("operation") == "Apply" for e in entries)


def forces_replacement(kind: Kind, path: str, *, mutable: frozenset[str] = frozenset()) -> bool:
    """Whether a change at `path` can't be made in place. `mutable` are the kinds whose data may change."""
    patterns = ["metadata.name", "metadata.namespace", "kind"]
    if kind.kind not in mutable:
        patterns += _FORCE_NEW.get((kind.group, kind.kind), ())
    return any(matches(parse_path(pattern), parse_path(path)) for pattern in patterns)


def drifted(inputs: Any, before: Any, now: Any) -> Any:
    """Inputs with what changed in the cluster between `before` and `now`, where the program says something.

    What the server adds (defaults, status) is no drift. Lists of the same length are compared item by item,
    since the server adds defaults inside of them. Without `before` the cluster's value counts.
    What is secret in the state is not looked at.
    """
    if now is None or any(isinstance(value, Secret | SealedSecret) for value in (inputs, before)):
        return inputs
    if isinstance(inputs, dict) and isinstance(now, dict):
        old = before if isinstance(before, dict) else {}
        result = {}
        for key, value in inputs.items():
            if key in now:
                result[key] = drifted(value, old.get(key), now[key])
            elif key not in old:  # the server never shows it, such as a Secret's stringData
                result[key] = value
        return result
    if isinstance(inputs, list) and isinstance(now, list) and len(inputs) == len(now):
        olds = before if isinstance(before, list) and len(before) == len(now) else [None] * len(now)
        return [drifted(*item) for item in zip(inputs, olds, now, strict=True)]
    return inputs if before == now else now
