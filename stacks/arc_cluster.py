"""`ArcCluster`: AKS on Azure Local (facts 1.6 and 1.9)."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_azure_native as azure_native

from fleet.model.kubernetes import NodePool
from fleet.model.site import SiteSpec

from . import names
from .arm import arm_resource, extended_location, hours

NODE_POOL_LABEL = "fleet/node-pool"
"""The node label that the rendered workloads select their pool by (templates/)."""

_HOURS = 2  # Terraform's limit for each of these operations: facts 1.9

# Azure fills these in by itself; a refresh must not turn them into changes (facts 1.9). The pod network is
# the inventory's too, and no cluster's can be changed: the engine shows an edit as ignored.
_CONNECTED_CLUSTER_DRIFT = [
    "properties.azureHybridBenefit",
    "properties.distribution",
    "properties.infrastructure",
    "properties.privateLinkState",
    "properties.provisioningState",
    "identity",
]
_PROVISIONED_CLUSTER_DRIFT = [
    "properties.autoScalerProfile",
    "properties.networkProfile.podCidr",
    "properties.provisioningStateTransitionTime",
    "properties.provisioningStateUpdatedTime",
]


@dataclass(frozen=True)
class ArcClusterArgs:
    """What the cluster is made from. `deployment` is done when the custom location exists."""

    spec: SiteSpec
    deployment: pulumi.Resource


class ArcCluster(pulumi.ComponentResource):
    """Logical network, connected cluster, provisioned cluster and the node pools besides the system pool.

    The cluster has the proxy of its hosts: Azure Local gives it none of its own (facts 1.6).

    `kubernetesVersions/default` at the custom location says for which versions the node image is there (facts
    1.9). The deployment makes it by itself since 2411 (azure-stack-docs, AKS troubleshooting), so it is not
    declared: azure-native refuses to create what exists, and a destroyed stack would take it from the site's
    other clusters. Nor can a resource wait for a list in an answer: right after the deployment the cluster
    may fail until the image is there, and the same run again goes on from there.

    Network and cluster are protected and outlive the stack: the volumes of the site's services live on
    them. Node pools are not, because removing one is how a site shrinks.
    """

    ready: pulumi.Resource
    """The last resource: after it the cluster has all its nodes."""

    def __init__(self, name: str, args: ArcClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fleet:azure:ArcCluster", name, None, opts)
        spec = args.spec
        network = self._declare(
            "logical-network", names.logical_network_id(spec), logical_network_body(spec), args.deployment
        )
        connected = self._declare(
            "connected-cluster",
            names.connected_cluster_id(spec),
            connected_cluster_body(spec),
            network,
            _CONNECTED_CLUSTER_DRIFT,
        )
        self.ready = self._declare(
            "provisioned-cluster",
            names.provisioned_cluster_id(spec),
            provisioned_cluster_body(spec),
            connected,
            _PROVISIONED_CLUSTER_DRIFT,
        )
        # Azure runs one long operation a cluster at a time (facts 1.9), hence the chain.
        for pool in agent_pools(spec):
            self.ready = arm_resource(
                f"node-pool-{pool}",
                f"{names.provisioned_cluster_id(spec)}/agentPools/{pool}",
                agent_pool_body(spec, pool),
                pulumi.ResourceOptions(parent=self, depends_on=[self.ready], custom_timeouts=hours(_HOURS)),
            )
        self.register_outputs({"connectedClusterId": names.connected_cluster_id(spec)})

    def _declare(
        self,
        name: str,
        resource_id: str,
        body: dict[str, Any],
        after: pulumi.Resource,
        ignore_changes: list[str] | None = None,
    ) -> azure_native.resources.Resource:
        opts = pulumi.ResourceOptions(
            parent=self,
            depends_on=[after],
            custom_timeouts=hours(_HOURS),
            ignore_changes=ignore_changes,
            protect=True,
            retain_on_delete=True,
        )
        return arm_resource(name, resource_id, body, opts)


def agent_pools(spec: SiteSpec) -> list[str]:
    """The pools besides `kubernetes.systemPool`, which is made with the cluster; sorted by name.

    They are resources of their own, which is how one can be added and removed later.
    """
    return sorted(set(spec.kubernetes.node_pools) - {spec.kubernetes.system_pool})


def logical_network_body(spec: SiteSpec) -> dict[str, Any]:
    """The static network of the cluster's nodes, with one address prefix (facts 1.6)."""
    network = spec.kubernetes.network
    pool = {
        "name": "nodes",
        "start": str(network.pool.start),
        "end": str(network.pool.end),
        "ipPoolType": "vm",
    }
    route = {
        "name": "default",
        "properties": {"addressPrefix": "0.0.0.0/0", "nextHopIpAddress": str(network.gateway)},
    }
    subnet = {
        "addressPrefix": str(network.cidr),
        "ipAllocationMethod": "Static",
        "vlan": network.vlan,
        "ipPools": [pool],
        "routeTable": {"properties": {"routes": [route]}},
    }
    return {
        "location": spec.azure.region,
        "extendedLocation": extended_location(names.custom_location_id(spec)),
        "properties": {
            "vmSwitchName": virtual_switch(spec),
            "dhcpOptions": {"dnsServers": [str(address) for address in network.dns]},
            "subnets": [{"name": "nodes", "properties": subnet}],
        },
        "tags": names.tags(spec),
    }


def virtual_switch(spec: SiteSpec) -> str:
    """The hosts' switch that VMs attach to: Network ATC names it after its intent (facts 1.6).

    That is the management intent's, unless management and compute are apart: then VMs use compute's.
    """
    intents = spec.azure_local.intents
    compute = next((intent for intent in intents if "Compute" in intent.traffic), None)
    management = next((intent for intent in intents if "Management" in intent.traffic), None)
    intent = compute or management or intents[0]
    return f"ConvergedSwitch({intent.name.lower()})"


def connected_cluster_body(spec: SiteSpec) -> dict[str, Any]:
    """The cluster as Arc sees it (facts 1.9).

    Azure RBAC, workload identity and automatic agent upgrades need Azure at the other end of a line,
    so a disconnected site gets none of them; a constrained one chooses itself when agents change.
    """
    mode = spec.connectivity.mode
    properties: dict[str, Any] = {
        "agentPublicKeyCertificate": "",  # required, and empty for a cluster that Azure provisions
        "aadProfile": {
            "enableAzureRBAC": mode != "disconnected",
            "adminGroupObjectIDs": list(spec.kubernetes.admin_groups),
            "tenantID": spec.azure.tenant,
        },
        "arcAgentProfile": {"agentAutoUpgrade": "Enabled" if mode == "connected" else "Disabled"},
    }
    if mode != "disconnected":
        properties["oidcIssuerProfile"] = {"enabled": True}
        properties["securityProfile"] = {"workloadIdentity": {"enabled": True}}
    if spec.connectivity.arc_gateway_id is not None and mode != "disconnected":
        # Which gateway is the nodes' registration's to say; 2026-05-01 only has the switch.
        properties["gateway"] = {"enabled": True}
    return {
        "location": spec.azure.region,
        "kind": "ProvisionedCluster",
        "identity": {"type": "SystemAssigned"},
        "properties": properties,
        "tags": names.tags(spec),
    }


def provisioned_cluster_body(spec: SiteSpec) -> dict[str, Any]:
    """The cluster as Azure Local provisions it (facts 1.9)."""
    kubernetes = spec.kubernetes
    pool = kubernetes.system_pool
    return {
        "extendedLocation": extended_location(names.custom_location_id(spec)),
        "properties": {
            "kubernetesVersion": kubernetes.version,
            "controlPlane": {
                "count": kubernetes.control_plane.count,
                "vmSize": kubernetes.control_plane.vm_size,
                "controlPlaneEndpoint": {"hostIP": str(kubernetes.control_plane.vip)},
            },
            "agentPoolProfiles": [{"name": pool, **_pool_profile(pool, kubernetes.node_pools[pool])}],
            "cloudProviderProfile": {
                "infraNetworkProfile": {"vnetSubnetIds": [names.logical_network_id(spec)]}
            },
            "linuxProfile": {"ssh": {"publicKeys": [{"keyData": kubernetes.ssh_public_key}]}},
            "networkProfile": {
                "podCidr": str(kubernetes.pod_cidr),
                "networkPolicy": "calico",
                "loadBalancerProfile": {"count": 0},
            },
            "storageProfile": {"smbCsiDriver": {"enabled": True}, "nfsCsiDriver": {"enabled": True}},
            "licenseProfile": {"azureHybridBenefit": "False"},
        },
    }


def agent_pool_body(spec: SiteSpec, pool: str) -> dict[str, Any]:
    """A node pool besides the system pool.

    A VM size with a GPU brings it; no other field does in 2024-01-01.
    """
    return {
        "extendedLocation": extended_location(names.custom_location_id(spec)),
        "properties": _pool_profile(pool, spec.kubernetes.node_pools[pool]),
        "tags": names.tags(spec),
    }


def _pool_profile(name: str, pool: NodePool) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "count": pool.count,
        "vmSize": pool.vm_size,
        "osType": "Linux" if pool.os == "linux" else "Windows",
        "osSKU": "CBLMariner" if pool.os == "linux" else "Windows2022",
        "enableAutoScaling": pool.autoscale is not None,
        "maxPods": pool.max_pods,
        "nodeLabels": {**pool.labels, NODE_POOL_LABEL: name},
        "nodeTaints": [f"{taint.key}={taint.value}:{taint.effect}" for taint in pool.taints],
    }
    if pool.autoscale is not None:
        profile |= {"minCount": pool.autoscale.min_count, "maxCount": pool.autoscale.max_count}
    return profile
