"""Policies about all resources of a stack together. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from .declared import UNKNOWN, Declared, at
from .policy import StackPolicy, carried_by_stack

PROTECTED: Final = frozenset(
    {
        "microsoft.azurestackhci/clusters",
        "microsoft.azurestackhci/clusters/deploymentsettings",
        "microsoft.azurestackhci/logicalnetworks",
        "microsoft.hybridcontainerservice/provisionedclusterinstances",
        "microsoft.keyvault/vaults",
        "microsoft.kubernetes/connectedclusters",
        "microsoft.kubernetesconfiguration/fluxconfigurations",
        "microsoft.storage/storageaccounts",
    }
)
"""What no run may delete unasked: nodes that belong to a cluster can only be freed by installing them again,
and the volumes of a site's services live on its cluster (facts 1.2)."""

_NEEDS_AZURE: Final = {
    "microsoft.kubernetesconfiguration/extensions": "an Arc extension is installed from Azure",
    "microsoft.kubernetesconfiguration/fluxconfigurations": "Azure can't reach in with a configuration",
    "microsoft.insights/diagnosticsettings": "logs would go to Azure",
}


def _protected(resources: Sequence[Declared]) -> Iterator[tuple[Declared, str]]:
    for resource in resources:
        if resource.arm_type in PROTECTED and not resource.protect:
            yield resource, "it is not protected"


def _disconnected(resources: Sequence[Declared]) -> Iterator[tuple[Declared, str]]:
    if not _is_disconnected(resources):
        return
    for resource in resources:
        if why := _NEEDS_AZURE.get(resource.arm_type):
            yield resource, why


def _witness(resources: Sequence[Declared]) -> Iterator[tuple[Declared, str]]:
    if _is_disconnected(resources):
        for resource in resources:
            if resource.arm_type == "microsoft.storage/storageaccounts":
                yield resource, "a storage account in Azure is out of the site's reach"


def _is_disconnected(resources: Sequence[Declared]) -> bool:
    """Whether the site has disconnected operations: the region is `autonomous` there alone (facts 1.10)."""
    return any(resource.inputs.get("location") == "autonomous" for resource in resources)


def _given_twice(resources: Sequence[Declared]) -> Iterator[tuple[Declared, str]]:
    first: dict[tuple[str, ...], Declared] = {}
    for resource in resources:
        if resource.arm_type != "microsoft.authorization/roleassignments":
            continue
        properties = resource.properties
        values = (
            at(resource.inputs, "scope"),
            at(properties, "principalId"),
            at(properties, "roleDefinitionId"),
        )
        if UNKNOWN in values:
            continue
        before = first.setdefault(tuple(str(value).lower() for value in values), resource)
        if before is not resource:
            yield resource, f"the same role is given by {before.name}"


POLICIES: Final = (
    StackPolicy(
        name="protected",
        summary="what can't be made again is protected",
        source="facts 1.2",
        help="the resource option protect: true; pulumi state unprotect takes it away where that is meant",
        check=_protected,
    ),
    StackPolicy(
        name="disconnected-needs-no-azure",
        summary="a disconnected site declares nothing that Azure would have to do",
        source="facts 1.10",
        help="leave it out: the site's workloads come in a bundle",
        check=_disconnected,
    ),
    carried_by_stack("ARC005", "cloud-witness", _witness, "take azureLocal.witness out: a share on site"),
    carried_by_stack("SEC006", "role-twice", _given_twice, "take one out: Azure refuses the second"),
)
"""In the order in which they are shown."""
