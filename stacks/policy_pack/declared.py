"""A declared resource as the policies see it, whichever of Pulumi's classes declared it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_TYPED: Final = {
    "authorization:RoleAssignment": "microsoft.authorization/roleassignments",
    "azurestackhci:Cluster": "microsoft.azurestackhci/clusters",
    "azurestackhci:DeploymentSetting": "microsoft.azurestackhci/clusters/deploymentsettings",
    "azurestackhci:LogicalNetwork": "microsoft.azurestackhci/logicalnetworks",
    "keyvault:Secret": "microsoft.keyvault/vaults/secrets",
    "keyvault:Vault": "microsoft.keyvault/vaults",
    "kubernetes:ConnectedCluster": "microsoft.kubernetes/connectedclusters",
    "kubernetesconfiguration:Extension": "microsoft.kubernetesconfiguration/extensions",
    "kubernetesconfiguration:FluxConfiguration": "microsoft.kubernetesconfiguration/fluxconfigurations",
    "storage:BlobContainer": "microsoft.storage/storageaccounts/blobservices/containers",
    "storage:StorageAccount": "microsoft.storage/storageaccounts",
}
"""azure-native's classes for what the policies look at, and the ARM types behind them, in lower case."""

_GENERIC: Final = "resources:Resource"


class Unknown:
    """Stands for a value that is known only after an effect. A policy says nothing of it yet: Pulumi asks
    again during the update, when it is known.
    """

    def __repr__(self) -> str:
        return "[unknown]"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Declared:
    """One resource of a program.

    `type` is Pulumi's, such as `azure-native:keyvault:Vault`; `inputs` are plain values, secrets in them
    taken out of their wrapping, with `UNKNOWN` where a value is not known yet.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool = False
    urn: str = ""

    @property
    def arm_type(self) -> str:
        """`namespace/type[/child]` in lower case; empty for what is no Azure resource, or not looked at."""
        package, _, rest = self.type.partition(":")
        if package != "azure-native":
            return ""
        module, _, kind = rest.partition(":")
        token = f"{module.partition('/')[0]}:{kind}"  # without the API version of a versioned class
        if token != _GENERIC:
            return _TYPED.get(token, "")
        parts = (self.inputs.get(k) for k in _PATH_INPUTS)
        namespace, parent, type_, name = (part if isinstance(part, str) else "" for part in parts)
        path = "/".join(part for part in (namespace, parent, type_, name) if part)
        segments = path.rsplit("/providers/", 1)[-1].split("/")
        return "/".join((segments[0], *segments[1::2])).lower()

    @property
    def properties(self) -> Any:
        """ARM's `properties`, a mapping or `UNKNOWN`: azure-native's classes lay them flat for most types."""
        found = self.inputs.get("properties")
        return self.inputs if found is None else found

    @property
    def kind(self) -> str:
        """Of a Kubernetes object, such as `Deployment`; empty for anything else."""
        return self.type.rsplit(":", 1)[-1] if self.type.startswith("kubernetes:") else ""


_PATH_INPUTS: Final = (
    "resourceProviderNamespace", "parentResourcePath", "resourceType", "resourceName",
)  # fmt: skip


def at(value: Any, *path: str) -> Any:
    """The value at a path of keys; None where there is none, `UNKNOWN` where that is not known yet."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def items(value: Any) -> list[Any]:
    """The items of a list, of one that is not known yet or not there none."""
    return list(value) if isinstance(value, (list, tuple)) else []


def says(value: Any, wanted: object) -> bool:
    """Whether a value is the one wanted, or not known yet."""
    return value is UNKNOWN or value == wanted
