"""The body of `deploymentSettings/default`: what Azure Local is told about a cluster. Pure."""

from ipaddress import IPv4Network
from typing import Any, Literal

from fleet.model.azure_local import Intent, StorageNetwork
from fleet.model.site import SiteSpec

from . import names

Phase = Literal["validate", "deploy"]
"""`validate` stops after Azure Local's own validation; `deploy` goes on to the end."""

LOCAL_ADMIN = "LocalAdminCredential"
LCM_USER = "AzureStackLCMUserCredential"
WITNESS_KEY = "WitnessStorageKey"

_MODES = {"validate": "Validate", "deploy": "Deploy"}


def uses_witness(spec: SiteSpec) -> bool:
    """Whether the cluster gets a cloud witness. One in Azure is out of reach of a disconnected site."""
    return spec.azure_local.witness is not None and spec.connectivity.mode != "disconnected"


def secret_names(spec: SiteSpec) -> tuple[str, ...]:
    """The `eceSecretName`s that the deployment reads from Key Vault (facts 1.5)."""
    return (LOCAL_ADMIN, LCM_USER, WITNESS_KEY) if uses_witness(spec) else (LOCAL_ADMIN, LCM_USER)


def deployment_settings_body(spec: SiteSpec, phase: Phase) -> dict[str, Any]:
    """The request body for a site and a phase (facts 1.4). Holds names of secrets, never values.

    The low-capacity hardware class is nothing to ask for: Azure finds it out (`hardwareClass` is read-only).
    """
    return {
        "properties": {
            "arcNodeResourceIds": [names.machine_id(spec, node) for node in spec.azure_local.nodes],
            "deploymentMode": _MODES[phase],
            "operationType": "ClusterProvisioning",
            "deploymentConfiguration": {
                "version": "10.0.0.0",
                "scaleUnits": [{"deploymentData": _deployment_data(spec)}],
            },
        }
    }


def _deployment_data(spec: SiteSpec) -> dict[str, Any]:
    local = spec.azure_local
    telemetry = spec.connectivity.mode != "disconnected"
    data: dict[str, Any] = {
        "identityProvider": local.identity_provider,
        "securitySettings": local.security.model_dump(by_alias=True),
        "observability": {
            "streamingDataClient": telemetry,
            "euLocation": local.eu_location,
            "episodicDataUpload": telemetry,
        },
        "cluster": _cluster(spec),
        "storage": {"configurationMode": "Express"},
        "namingPrefix": local.naming_prefix,
        "domainFqdn": local.domain_fqdn,
        "infrastructureNetwork": [
            {
                "subnetMask": str(local.management.cidr.netmask),
                "gateway": str(local.management.gateway),
                "ipPools": [
                    {
                        "startingAddress": str(local.infra_pool.start),
                        "endingAddress": str(local.infra_pool.end),
                    }
                ],
                "dnsServers": [str(address) for address in local.management.dns],
                "useDhcp": False,
            }
        ],
        "physicalNodes": [{"name": node.name, "ipv4Address": str(node.ip)} for node in local.nodes],
        "hostNetwork": {
            "intents": [_intent(intent) for intent in local.intents],
            "storageConnectivitySwitchless": local.switchless,
            "storageNetworks": [_storage_network(network) for network in local.storage_networks],
            # Addresses of our own are for three nodes without a switch only (facts 1.4).
            "enableStorageAutoIp": not any(network.addresses for network in local.storage_networks),
        },
        "optionalServices": {"customLocation": local.custom_location},
        "secrets": [_secret(spec, ece_name) for ece_name in secret_names(spec)],
    }
    if local.management_cluster:
        data["isManagementCluster"] = True
    if local.pattern == "rack-aware":
        data["localAvailabilityZones"] = _zones(spec)
    if local.identity_provider == "ActiveDirectory":
        data["adouPath"] = local.ou_path
    return data


def _cluster(spec: SiteSpec) -> dict[str, Any]:
    pattern = "RackAware" if spec.azure_local.pattern == "rack-aware" else "Standard"
    cluster: dict[str, Any] = {"name": spec.azure_local.cluster_name, "clusterPattern": pattern}
    if spec.azure_local.witness is not None and uses_witness(spec):
        cluster["witnessType"] = "Cloud"
        cluster["cloudAccountName"] = spec.azure_local.witness.storage_account
        cluster["azureServiceEndpoint"] = names.cloud(spec)["storage"]
    return cluster


def _zones(spec: SiteSpec) -> list[dict[str, Any]]:
    zones: dict[str, list[str]] = {}
    for node in spec.azure_local.nodes:
        if node.zone is not None:
            zones.setdefault(node.zone, []).append(node.name)
    return [{"localAvailabilityZoneName": zone, "nodes": names} for zone, names in sorted(zones.items())]


def _intent(intent: Intent) -> dict[str, Any]:
    # The overrides are for the hardware maker's guidance only; without it Network ATC's defaults are right.
    return {
        "name": intent.name,
        "trafficType": list(intent.traffic),
        "adapter": list(intent.adapters),
        "overrideVirtualSwitchConfiguration": False,
        "overrideQosPolicy": False,
        "overrideAdapterProperty": False,
    }


def _storage_network(network: StorageNetwork) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": network.name,
        "networkAdapterName": network.adapter,
        "vlanId": str(network.vlan),
    }
    if network.addresses:
        body["storageAdapterIPInfo"] = [
            {
                "physicalNode": address.node,
                "ipv4Address": str(address.ip),
                "subnetMask": str(IPv4Network((0, address.prefix)).netmask),
            }
            for address in network.addresses
        ]
    return body


def _secret(spec: SiteSpec, ece_name: str) -> dict[str, str]:
    name = names.secret_name(spec, ece_name)
    return {
        "secretName": name,
        "eceSecretName": ece_name,
        "secretLocation": f"{names.key_vault_uri(spec)}secrets/{name}",
    }
