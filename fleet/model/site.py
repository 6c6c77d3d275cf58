"""`SiteSpec`: everything one site needs, complete and frozen.

A number with a limit carries its source: "facts" is the sourced fact sheet of this project, whose
sections are cited in docs/inventory.md.
"""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fleet.model.base import (
    Cidr,
    DnsLabel,
    Guid,
    HostName,
    IPv4,
    Labels,
    Many,
    Model,
    Named,
    ObjectName,
    PoolName,
    Pools,
)

Topology = Literal["pilot-node", "datacenter-cluster", "distributed"]
ConnectivityMode = Literal["connected", "constrained", "disconnected"]


class HostSecretRef(Model):
    """Where the machine that runs `fleet up` finds a secret; the inventory never holds it (rule SEC001)."""

    env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    """An environment variable."""
    file: str | None = None
    """A file that only its owner may read."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret reference has exactly one of env and file")
        return self


class SecretKey(Model):
    """A key of a Kubernetes Secret."""

    name: DnsLabel
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$")]


class ClusterSecretRef(Model):
    """A secret that is already in the site's cluster, in the namespace of the workload."""

    kubernetes: SecretKey


class Proxy(Model):
    """The site's outbound proxy. AKS inherits it, and it can't be changed later (facts 1.6)."""

    url: Annotated[str, Field(pattern=r"^https?://[^/@\s]+$")]
    """`http://host:port`; credentials don't belong in it."""
    bypass: Many[str] = ()
    """Hosts and `192.168.1.*` patterns; no CIDR, no `<local>`, no `.svc` (facts 2.1)."""


class Connectivity(Model):
    """How the site reaches the outside."""

    mode: ConnectivityMode
    link_mbps: Annotated[int, Field(gt=0)] | None = None
    """Usable outbound bandwidth, in megabits a second."""
    proxy: Proxy | None = None
    arc_gateway_id: str | None = None
    """ARM id of the Arc gateway; it can only be chosen at the first deployment (facts 2.3)."""


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


class Node(Model):
    """A physical machine, already registered with Azure Arc."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$")]
    """At most 15 characters: it is a NetBIOS name too."""
    ip: IPv4


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


class Intent(Model):
    """A Network ATC intent: which traffic uses which adapters."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,32}$")]
    traffic: Annotated[Many[Literal["Management", "Compute", "Storage"]], Field(min_length=1)]
    adapters: Annotated[Many[str], Field(min_length=1)]


class StorageNetwork(Model):
    """A network for storage traffic between the nodes."""

    name: str
    adapter: str
    vlan: Annotated[int, Field(ge=1, le=4094)]


class Witness(Model):
    """The cluster's tie-breaker. Two nodes and rack-aware clusters need one (facts 1.2 row 5)."""

    storage_account: Annotated[str, Field(pattern=r"^[a-z0-9]{3,24}$")]


class BootstrapSecrets(Model):
    """The accounts that Azure Local's deployment asks for (facts 1.5)."""

    local_admin: HostSecretRef
    """Value `user:password` of each node's local administrator."""
    lcm_user: HostSecretRef
    """Value `user:password` of the account that manages the life cycle."""


class AzureLocal(Model):
    """The Azure Local cluster."""

    cluster_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$")]
    """At most 15 characters, and no node's name (facts 1.7)."""
    naming_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9-]{1,8}$")]
    domain_fqdn: str
    ou_path: str = ""
    """Organisational unit, when `identityProvider` is `ActiveDirectory`."""
    identity_provider: Literal["ActiveDirectory", "LocalIdentity"] = "ActiveDirectory"
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
    witness: Witness | None = None
    custom_location: DnsLabel
    """Created by the deployment itself (facts 1.2 row 11), so this only names it."""
    key_vault: Annotated[str, Field(pattern=r"^[a-zA-Z](-?[a-zA-Z0-9]){2,23}$")]
    secrets: BootstrapSecrets


class ControlPlane(Model):
    """The control plane of the AKS cluster."""

    count: Literal[1, 3, 5]
    """1, 3 or 5 (facts 1.9)."""
    vm_size: str = "Standard_A4_v2"
    vip: IPv4
    """Address of the API server; inside the pool (facts 1.6)."""


class KubernetesNetwork(Model):
    """The logical network of the AKS cluster: static, one address prefix (facts 1.6)."""

    cidr: Cidr
    gateway: IPv4
    dns: Annotated[Many[IPv4], Field(min_length=1)]
    vlan: Annotated[int, Field(ge=0, le=4094)] = 0
    pool: IpRange
    """One address a node VM, one for rolling upgrades, one for the control plane (facts 1.6)."""
    load_balancer: IpRange | None = None
    """In the same subnet, outside the pool (facts 1.6)."""


class NodePool(Model):
    """A pool of worker VMs."""

    vm_size: str
    count: Annotated[int, Field(ge=1, le=64)]
    """At most 64 nodes a pool (facts 1.9)."""
    gpu: bool = False
    """The pool's VM size carries a GPU."""


class Kubernetes(Model):
    """The AKS cluster on Azure Local."""

    name: DnsLabel
    version: Annotated[str, Field(pattern=r"^1\.[0-9]{2}\.[0-9]{1,2}$")]
    control_plane: ControlPlane
    network: KubernetesNetwork
    pod_cidr: Cidr
    admin_groups: Annotated[Many[Guid], Field(min_length=1)]
    """Entra groups whose members administer the cluster."""
    ssh_public_key: Annotated[str, Field(pattern=r"^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp[0-9]+) \S+( .*)?$")]
    system_pool: PoolName
    """The pool that the cluster is created with, without a GPU. Which it is can't be changed later."""
    node_pools: Annotated[Pools[NodePool], Field(min_length=1)]


class Gpu(Model):
    """The site's GPUs: one model in every machine (facts 1.9)."""

    model: str
    per_node: Annotated[int, Field(ge=1, le=8)]
    sharing: Literal["none", "mig", "time-slicing", "fraction"] = "none"


class Delivery(Model):
    """Where the site's manifests are published, as an OCI artifact pinned by digest."""

    registry: HostName
    """For sites without a registry of their own."""
    repository: Annotated[str, Field(pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$")] = "fleet"


class Registry(Model):
    """The site's own registry."""

    host: HostName
    storage_gib: Annotated[int, Field(gt=0)]
    ca_file: str | None = None
    """PEM bundle next to the inventory, when a private CA signed the registry's certificate."""


class ModelCache(Model):
    """The site's store of model files."""

    storage_gib: Annotated[int, Field(gt=0)]


class Slo(Model):
    """What the users of a deployment were promised (requirement O1)."""

    p95_ms: Annotated[int, Field(gt=0)]
    """95th percentile of the time to a full answer of the representative prompt."""
    concurrent_sessions: Annotated[int, Field(gt=0)]
    """On the whole deployment."""
    queue_delay_ms: Annotated[int, Field(ge=0)] = 0
    """Acceptable wait at peak."""


class InferenceDeployment(Model):
    """A served model."""

    runtime: Literal["foundry-local", "foundry-local-azure-local", "vllm"]
    model: str
    """A name of the model catalogue."""
    precision: Literal["fp16", "int8", "int4"] = "fp16"
    accelerator: Literal["cpu", "gpu"]
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    gpus: Annotated[int, Field(ge=0, le=8)] = 0
    """GPUs a replica; zero on CPU."""
    node_pool: PoolName
    context_tokens: Annotated[int, Field(ge=256, le=1_048_576)] = 4096
    """Prompt and answer together, a session."""
    image: str
    """Image by digest."""
    slo: Slo


class AgentPolicies(Model):
    """How an agent treats a slow or failing dependency (requirement G24)."""

    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    max_retries: Annotated[int, Field(ge=0, le=5)] = 2
    max_concurrency: Annotated[int, Field(ge=1)] = 16


class Agent(Model):
    """An agent service."""

    image: str
    """Image by digest."""
    framework: Literal["maf", "langgraph"] = "maf"
    replicas: Annotated[int, Field(ge=1)] = 2
    node_pool: PoolName = "agents"
    inference: ObjectName
    """The inference deployment that it talks to."""
    tools: Many[ObjectName] = ()
    api_key: ClusterSecretRef
    """Key of the inference endpoint; its clients ask for one even where none is checked."""
    policies: AgentPolicies = AgentPolicies.model_construct()


class Destination(Model):
    """A place that a tool may talk to."""

    cidr: Cidr
    port: Annotated[int, Field(ge=1, le=65535)]


class Tool(Model):
    """A tool, behind its proxy."""

    image: str
    """Image of the proxy, by digest."""
    replicas: Annotated[int, Field(ge=1)] = 2
    node_pool: PoolName = "agents"
    allowed_destinations: Many[Destination] = ()


class SiteSpec(Model):
    """One site after defaults, profile, ring and its own file were laid over each other."""

    name: DnsLabel
    ring: DnsLabel
    profile: DnsLabel | None = None
    labels: Labels
    environment: Literal["dev", "test", "prod"] = "prod"
    topology: Topology
    routing_domain: DnsLabel = "default"
    """Sites with the same name here can reach each other's networks, so those must differ (NET010)."""
    connectivity: Connectivity
    azure: Azure
    azure_local: AzureLocal
    kubernetes: Kubernetes
    gpu: Gpu | None = None
    delivery: Delivery
    registry: Registry | None = None
    model_cache: ModelCache | None = None
    inference: Named[InferenceDeployment]
    agents: Named[Agent]
    tools: Named[Tool]

    @cached_property
    def digest(self) -> str:
        """`sha256:…` over the canonical JSON of all fields: equal specs, equal digests, everywhere."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
