"""ARM ids and deterministic names. Pure: a plan knows every id before anything exists."""

import uuid
from dataclasses import dataclass

from fleet import catalog
from fleet.model.azure_local import Node
from fleet.model.site import SiteSpec

_ROLE_ASSIGNMENTS = uuid.UUID("1f0a1c0e-6a3c-5e7b-9a55-7b8f5b3f2d10")
"""Namespace of our role assignment names. Changing it would replace every assignment."""

CLUSTER = "Microsoft.AzureStackHCI/clusters"
COLLECTION_RULE = "Microsoft.Insights/dataCollectionRuleAssociations"
CONNECTED_CLUSTER = "Microsoft.Kubernetes/connectedClusters"
CUSTOM_LOCATION = "Microsoft.ExtendedLocation/customLocations"
DIAGNOSTIC_SETTING = "Microsoft.Insights/diagnosticSettings"
EDGE_DEVICE = "Microsoft.AzureStackHCI/edgeDevices"
EXTENSION = "Microsoft.KubernetesConfiguration/extensions"
FLUX_CONFIGURATION = "Microsoft.KubernetesConfiguration/fluxConfigurations"
KEY_VAULT = "Microsoft.KeyVault/vaults"
LOAD_BALANCER = "Microsoft.KubernetesRuntime/loadBalancers"
LOGICAL_NETWORK = "Microsoft.AzureStackHCI/logicalNetworks"
MACHINE = "Microsoft.HybridCompute/machines"
PROVISIONED_CLUSTER = "Microsoft.HybridContainerService/provisionedClusterInstances"


@dataclass(frozen=True)
class ArmId:
    """A resource id taken apart the way ARM's generic resource API wants it.

    For an extension resource, `namespace` is that of the resource it extends, and `parent` leads from
    there to the extension's own namespace: `machines/n1/providers/Microsoft.AzureStackHCI`.
    """

    subscription: str
    resource_group: str
    namespace: str
    parent: str
    type: str
    name: str
    full_type: str
    """`Namespace/type[/child]` of the resource itself, by which API versions are listed."""


def parse_arm_id(resource_id: str) -> ArmId:
    """Take apart the id of a resource in a resource group. Raises ValueError for any other text."""
    segments = resource_id.split("/")
    fixed = [segments[i].lower() if len(segments) > i else "" for i in (1, 3, 5)]
    if len(segments) < 9 or len(segments) % 2 == 0 or "" in segments[1:]:
        raise ValueError(f"{resource_id!r} is not the id of a resource in a resource group")
    if fixed != ["subscriptions", "resourcegroups", "providers"]:
        raise ValueError(f"{resource_id!r} is not the id of a resource in a resource group")
    last_block = resource_id.rsplit("/providers/", 1)[1].split("/")
    return ArmId(
        subscription=segments[2],
        resource_group=segments[4],
        namespace=segments[6],
        parent="/".join(segments[7:-2]),
        type=segments[-2],
        name=segments[-1],
        full_type="/".join((last_block[0], *last_block[1::2])),
    )


def resource_group_id(spec: SiteSpec) -> str:
    """The resource group that holds the site's Azure resources."""
    return f"/subscriptions/{spec.azure.subscription}/resourceGroups/{spec.azure.resource_group}"


def in_group(spec: SiteSpec, resource_type: str, name: str) -> str:
    """A resource that lives directly in the site's resource group."""
    return f"{resource_group_id(spec)}/providers/{resource_type}/{name}"


def extension_of(resource_id: str, resource_type: str, name: str) -> str:
    """An extension resource of another resource."""
    return f"{resource_id}/providers/{resource_type}/{name}"


def machine_id(spec: SiteSpec, node: Node) -> str:
    """The node's Arc machine, which its registration made."""
    return in_group(spec, MACHINE, node.name)


def cluster_id(spec: SiteSpec) -> str:
    """The Azure Local cluster."""
    return in_group(spec, CLUSTER, spec.azure_local.cluster_name)


def deployment_settings_id(spec: SiteSpec) -> str:
    """The deployment of the cluster; there is one, named `default` (facts 1.4)."""
    return f"{cluster_id(spec)}/deploymentSettings/default"


def custom_location_id(spec: SiteSpec) -> str:
    """The custom location that the deployment creates by itself (facts 1.2, step 11)."""
    return in_group(spec, CUSTOM_LOCATION, spec.azure_local.custom_location)


def key_vault_id(spec: SiteSpec) -> str:
    """The site's Key Vault."""
    return in_group(spec, KEY_VAULT, spec.azure_local.key_vault)


def logical_network_id(spec: SiteSpec) -> str:
    """The logical network of the AKS cluster."""
    return in_group(spec, LOGICAL_NETWORK, f"{spec.kubernetes.name}-network")


def connected_cluster_id(spec: SiteSpec) -> str:
    """The AKS cluster as Arc sees it."""
    return in_group(spec, CONNECTED_CLUSTER, spec.kubernetes.name)


def provisioned_cluster_id(spec: SiteSpec) -> str:
    """The AKS cluster as Azure Local provisions it: an extension named `default` (facts 1.9)."""
    return extension_of(connected_cluster_id(spec), PROVISIONED_CLUSTER, "default")


def key_vault_uri(spec: SiteSpec) -> str:
    """The vault's endpoint, with a trailing slash, in the cloud that the site belongs to."""
    return f"https://{spec.azure_local.key_vault}.{cloud(spec)['keyVault']}/"


def cloud(spec: SiteSpec) -> dict[str, str]:
    """Host suffixes of the site's cloud: `keyVault` and `storage` (catalog, `clouds`)."""
    name = "disconnected" if spec.connectivity.mode == "disconnected" else "public"
    suffixes: dict[str, str] = catalog.azure()["clouds"][name]
    return suffixes


def secret_name(spec: SiteSpec, ece_name: str) -> str:
    """`{cluster}-{eceSecretName}`, the quickstart's and Terraform's form (facts 1.5)."""
    return f"{spec.azure_local.cluster_name}-{ece_name}"


def role_definition_id(spec: SiteSpec, role: str) -> str:
    """The id of a role, a name of the catalogue or its definition's GUID: names of roles change (B16)."""
    guid = catalog.azure()["roles"].get(role, role)
    subscription = f"/subscriptions/{spec.azure.subscription}"
    return f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{guid}"


def role_assignment_name(scope: str, principal_id: str, role_definition: str) -> str:
    """The GUID of an assignment: a re-run finds the one it made, a new principal gets a new one.

    uuid5 of scope, principal and role, because an assignment's principal can't be updated and a second
    assignment of the same three is refused as already existing (facts 1.1).
    """
    key = "\n".join(part.lower() for part in (scope, principal_id, role_definition))
    return str(uuid.uuid5(_ROLE_ASSIGNMENTS, key))


def tags(spec: SiteSpec) -> dict[str, str]:
    """What every taggable resource of the site carries: the inventory's, and whose it is."""
    return {
        **spec.azure.tags,
        "environment": spec.environment,
        "managed-by": "fleet",
        "ring": spec.ring,
        "site": spec.name,
    }
