"""The Azure that a site belongs to, and its Azure Local cluster."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from fleet.model.base import Cidr, DnsLabel, Guid, IPv4, Labels, Many, Model, Shared
from fleet.model.secrets import HostSecretRef


class RoleAssignment(Shared):
    """A role for people or services, beside those that the deployment itself asks for."""

    role: Guid
    """Id of the role's definition: names are changed by Microsoft, ids are not (requirement B16)."""
    principal: Guid
    """Object id of a group, a service principal or a managed identity."""
    scope: Literal["resource-group", "cluster", "key-vault"]
    """A role is given at a resource of the site, never at the subscription (requirement B16); `cluster` is
    the Azure Local cluster."""


ArmId = Annotated[
    str,
    Field(
        pattern=r"^/subscriptions/[^/\s]+/resource[gG]roups/[^/\s]+/providers/[^/\s]+/[^/\s]+/[^/\s]+(/[^/\s]+/[^/\s]+)*$"
    ),
]
"""Id of a resource in Azure, with its subscription and resource group."""


class Monitoring(Shared):
    """Where the site reports to in Azure Monitor: resources that the organisation keeps for all its sites.

    `telemetry.azureMonitor` switches the cluster's part on; the Key Vault's audit log needs only `audit`.
    """

    audit: ArmId | None = None
    """Log Analytics workspace for the Key Vault's audit events (facts 1.2 row 6)."""
    logs: ArmId | None = None
    """Log Analytics workspace for what the cluster's containers print (facts 2.5, Containers)."""
    logs_rule: ArmId | None = None
    """Data collection rule for these logs; the cluster is associated with it."""
    metrics: ArmId | None = None
    """Azure Monitor workspace for Prometheus metrics (facts 2.5, Containers.Metrics)."""
    metrics_rule: ArmId | None = None
    """Data collection rule for these metrics; the cluster is associated with it."""
    grafana: ArmId | None = None
    """Azure Managed Grafana that shows the metrics."""


class ArcExtension(Shared):
    """An Arc extension as this fleet has tested it, where that is not as the catalogue has it."""

    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){1,3}([-+][0-9A-Za-z.-]+)?$")] | None = None
    """Exact version; the catalogue's when not said. Extensions never upgrade by themselves (facts 3.1)."""
    release_train: Annotated[str, Field(pattern=r"^[A-Za-z][-A-Za-z]*$")] | None = None
    """Such as `stable` or `preview`; the catalogue's when not said."""


class LoadBalancerExtension(ArcExtension):
    """MetalLB (facts 1.9); installed where `kubernetes.network.loadBalancer` has addresses."""

    runtime_object_id: Guid | None = None
    """Object id, in this tenant, of the service principal of app 087fca6e-4606-4d41-b3f6-5ebdf75b8b4c
    (Kubernetes Runtime; azure-management-docs, deploy-load-balancer-cli). Without it there is no MetalLB."""


class FoundryLocalExtension(ArcExtension):
    """Foundry Local on Azure Local (facts 3.1); installed where a deployment has that runtime."""

    entra_client_id: Guid | None = None
    """App registration that callers get tokens for; without it they use API keys (facts 3.3)."""
    prerequisites: Many[Literal["gateway-api", "inference-extension", "istio"]] = ()
    """Those of facts 3.1 that the cluster has; newer versions are installed once all three are there."""


class ArcExtensions(Shared):
    """Arc extensions of the AKS cluster; what switches each on is elsewhere in the site."""

    cert_manager: ArcExtension = ArcExtension.model_construct()
    flux: ArcExtension = ArcExtension.model_construct()
    secret_store: ArcExtension = ArcExtension.model_construct()
    """With `platform.secretStore.kind: key-vault`."""
    policy: ArcExtension = ArcExtension.model_construct()
    """With `platform.policies.admission: azure-policy`."""
    monitor_logs: ArcExtension = ArcExtension.model_construct()
    """With `telemetry.azureMonitor` and `azure.monitoring.logs`."""
    monitor_metrics: ArcExtension = ArcExtension.model_construct()
    """With `telemetry.azureMonitor` and `azure.monitoring.metrics`."""
    load_balancer: LoadBalancerExtension = LoadBalancerExtension.model_construct()
    foundry_local: FoundryLocalExtension = FoundryLocalExtension.model_construct()


class Azure(Model):
    """Which Azure the site belongs to."""

    tenant: Guid
    subscription: Guid
    resource_group: Annotated[str, Field(pattern=r"^[-_A-Za-z0-9.()]{0,89}[-_A-Za-z0-9()]$")]
    region: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    """Such as `westeurope`; `autonomous` with disconnected operations (facts 1.10)."""
    hci_resource_provider_object_id: Guid
    """Object id, in this tenant, of the service principal of app 1412d89f-b8a8-4111-b4fd-e82905cbd85d
    (Microsoft.AzureStackHCI Resource Provider, facts 1.1)."""
    tags: Labels
    """Of every resource of the site, for chargeback (requirements A24, O11)."""
    role_assignments: Many[RoleAssignment] = ()
    monitoring: Monitoring = Monitoring.model_construct()
    extensions: ArcExtensions = ArcExtensions.model_construct()


class Node(Model):
    """A physical machine, already registered with Azure Arc."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$")]
    """At most 15 characters: it is a NetBIOS name too."""
    ip: IPv4
    zone: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9]{0,31}$")] | None = None
    """Availability zone of a rack-aware cluster (facts 1.8)."""
    rack: DnsLabel | None = None
    """For placement and for the scheduler's topology (requirements A12, H12)."""
    cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Physical cores, when known: the VMs' sizes are checked against them."""
    memory_gib: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """At least 32 GiB of ECC memory (facts 1.8)."""
    data_disks: Annotated[int, Field(ge=0, le=64)] | None = None
    """Drives for data, beside the boot drive."""
    confidential: bool = False
    """IOMMU isolation of GPUs or confidential computing is on and tested (requirement B25)."""


class IpRange(Model):
    """Addresses from `start` to `end`, both included."""

    start: IPv4
    end: IPv4

    @cached_property
    def size(self) -> int:
        """How many addresses; zero or less when the ends are swapped."""
        return int(self.end) - int(self.start) + 1


class ManagementNetwork(Model):
    """The network of the nodes and of the cluster's infrastructure."""

    cidr: Cidr
    gateway: IPv4
    dns: Annotated[Many[IPv4], Field(min_length=1)]


class Intent(Shared):
    """A Network ATC intent: which traffic uses which adapters."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,32}$")]
    traffic: Annotated[Many[Literal["Management", "Compute", "Storage"]], Field(min_length=1)]
    adapters: Annotated[Many[str], Field(min_length=1)]


class StorageAddress(Shared):
    """A node's address on a storage adapter."""

    node: str
    ip: IPv4
    prefix: Annotated[int, Field(ge=8, le=30)] = 24
    """Length of its link's subnet; links of one adapter may lie in different ones."""


class StorageNetwork(Shared):
    """A network for storage traffic between the nodes."""

    name: str
    adapter: str
    vlan: Annotated[int, Field(ge=1, le=4094)]
    addresses: Many[StorageAddress] = ()
    """Only without a switch between three nodes, where Azure Local can't choose them (facts 1.4)."""


class Witness(Model):
    """The cluster's tie-breaker. Two nodes and rack-aware clusters need one (facts 1.2 row 5)."""

    storage_account: Annotated[str, Field(pattern=r"^[a-z0-9]{3,24}$")]


class BootstrapSecrets(Shared):
    """The accounts that Azure Local's deployment asks for (facts 1.5)."""

    local_admin: HostSecretRef
    """Value `user:password` of each node's local administrator."""
    lcm_user: HostSecretRef
    """Value `user:password` of the account that manages the life cycle."""


class SecuritySettings(Shared):
    """Azure Local's own hardening; all on unless said otherwise (facts 1.4, securitySettings)."""

    hvci_protection: bool = True
    drtm_protection: bool = True
    drift_control_enforced: bool = True
    credential_guard_enforced: bool = True
    smb_signing_enforced: bool = True
    smb_cluster_encryption: bool = False
    """Off, as in Microsoft's templates: it costs storage throughput (facts 1.4)."""
    side_channel_mitigation_enforced: bool = True
    bitlocker_boot_volume: bool = True
    bitlocker_data_volumes: bool = True
    wdac_enforced: bool = True


class AzureLocal(Model):
    """The Azure Local cluster."""

    cluster_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$")]
    """At most 15 characters, and no node's name (facts 1.7)."""
    naming_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9-]{1,8}$")]
    domain_fqdn: str
    ou_path: str = ""
    """Organisational unit, when `identityProvider` is `ActiveDirectory`."""
    identity_provider: Literal["ActiveDirectory", "LocalIdentity"] = "ActiveDirectory"
    pattern: Literal["standard", "rack-aware", "low-capacity"] = "standard"
    """`rack-aware`: two zones of equal size; `low-capacity`: the small hardware class (facts 1.8)."""
    management_cluster: bool = False
    """Three nodes that carry the control plane of disconnected operations and nothing else (facts 1.10)."""
    nodes: Annotated[Many[Node], Field(min_length=1, max_length=16)]
    """1 to 16 machines, hyperconverged (facts 1.8)."""
    management: ManagementNetwork
    infra_pool: IpRange
    """For the resource bridge and the cluster's own services: 6 to 255 addresses (facts 1.7)."""
    intents: Annotated[Many[Intent], Field(min_length=1)]
    storage_networks: Many[StorageNetwork] = ()
    switchless: bool = False
    eu_location: bool = False
    """Diagnostics are sent and processed within the European Union (facts 1.4, observability)."""
    security: SecuritySettings = SecuritySettings.model_construct()
    witness: Witness | None = None
    custom_location: DnsLabel
    """Created by the deployment itself (facts 1.2 row 11), so this only names it."""
    key_vault: Annotated[str, Field(pattern=r"^[a-zA-Z](-?[a-zA-Z0-9]){2,23}$")]
    secrets: BootstrapSecrets
