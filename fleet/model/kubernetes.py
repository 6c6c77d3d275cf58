"""The AKS cluster, its node pools, its GPUs and the queues in front of them."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.model.azure_local import IpRange
from fleet.model.base import (
    Cidr,
    DnsLabel,
    Guid,
    IPv4,
    Labels,
    Many,
    Model,
    Named,
    ObjectName,
    PoolName,
    Pools,
    Shared,
)
from fleet.model.secrets import HostSecretRef


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


class Taint(Model):
    """Keeps pods that do not tolerate it off a pool's nodes."""

    key: Annotated[
        str, Field(pattern=r"^([-.a-z0-9]{1,253}/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$")
    ]
    value: Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$")] = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Autoscale(Model):
    """Bounds between which the cluster autoscaler keeps a pool."""

    min_count: Annotated[int, Field(ge=0, le=64)]
    max_count: Annotated[int, Field(ge=1, le=64)]


class MigSlices(Model):
    """How each GPU of a pool's nodes is cut (requirement H3)."""

    strategy: Literal["single", "mixed"] = "single"
    """`single`: equal slices that look like whole GPUs; `mixed`: a resource a profile (gpu-facts 2.3)."""
    profiles: Annotated[dict[str, Annotated[int, Field(ge=1, le=7)]], Field(min_length=1)]
    """How many instances of each profile (`1g.24gb`) a card is cut into."""


class NodePool(Shared):
    """A pool of worker VMs."""

    vm_size: str
    count: Annotated[int, Field(ge=1, le=64)]
    """At most 64 nodes a pool (facts 1.9)."""
    os: Literal["linux", "windows"] = "linux"
    """Requirement A2."""
    gpu: bool = False
    """The pool's VM size carries a GPU."""
    mig: MigSlices | None = None
    """Only with `gpu.sharing: mig`."""
    purpose: Literal["system", "agents", "tools", "inference", "services", "sandboxes"] | None = None
    """What it is reserved for, so that one kind of work can't starve another (requirement A11)."""
    isolation: Literal["shared", "strict"] = "shared"
    """`strict`: workloads of one trust domain only (requirements B25, B26)."""
    sandbox_runtimes: Many[Literal["gvisor", "kata"]] = ()
    """Runtimes that are installed on its nodes; Kata needs nested virtualization (requirement F4)."""
    autoscale: Autoscale | None = None
    max_pods: Annotated[int, Field(ge=10, le=250)] = 110
    """Pods a node (facts 1.9, agentPoolProfiles.maxPods)."""
    labels: Labels
    taints: Many[Taint] = ()


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
    kubeconfig: HostSecretRef | None = None
    """Content of a kubeconfig of this site's cluster, with a certificate or a token in it: one a site, never
    shared. With it `fleet up` declares what the program owns inside of the cluster (docs/pulumi.md); before
    the cluster is there the secret may be missing, and then that part waits."""


class GpuOperator(Shared):
    """NVIDIA's GPU operator (requirement H1)."""

    version: Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+\.[0-9]+$")] = "v26.7.0"
    """gpu-facts 2.1."""
    driver: bool = False
    """Off on AKS Arc, whose nodes have a driver already (facts 1.9, an inference)."""
    device_plugin: bool = False
    """Off on AKS Arc, which deploys its own (facts 1.9, an inference)."""
    metrics: bool = True
    """DCGM exporter (requirement H8)."""


class Queue(Shared):
    """A KAI queue. Only leaves schedule work (gpu-facts 1.4)."""

    parent: ObjectName | None = None
    """The queue above; none at the top."""
    gpu_quota: Annotated[float, Field(ge=-1)] = 0
    """Guaranteed GPUs; -1 is without limit. With MIG `mixed`, g-slices count, not cards (gpu-facts 1.11)."""
    gpu_limit: Annotated[float, Field(ge=-1)] = -1
    """Most GPUs; -1 is without limit and 0 allows none beyond the quota (gpu-facts 1.4)."""
    cpu_quota: Annotated[int, Field(ge=-1)] = -1
    """Guaranteed millicores; with 0 nothing that must not be preempted starts (gpu-facts 1.8)."""
    cpu_limit: Annotated[int, Field(ge=-1)] = -1
    memory_quota_mb: Annotated[int, Field(ge=-1)] = -1
    """Megabytes (10^6)."""
    memory_limit_mb: Annotated[int, Field(ge=-1)] = -1
    over_quota_weight: Annotated[int, Field(ge=0, le=1000)] = 1
    priority: Annotated[int, Field(ge=0, le=1000)] = 100
    """Who gets what is left over first (gpu-facts 1.4)."""
    preempt_min_runtime: Annotated[str, Field(pattern=r"^[0-9]+(s|m|h)$")] | None = None
    reclaim_min_runtime: Annotated[str, Field(pattern=r"^[0-9]+(s|m|h)$")] | None = None


class Kai(Shared):
    """KAI Scheduler (requirement H2)."""

    version: Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+\.[0-9]+$")] = "v0.16.8"
    """Even minors are supported for a year (gpu-facts 1.1)."""
    gpu_sharing: bool = False
    """Fractions of a GPU are allowed; off by default in KAI itself (gpu-facts 1.7)."""
    queues: Named[Queue]
    topology_levels: Many[str] = ()
    """Node labels from the outermost to `kubernetes.io/hostname` (gpu-facts 1.6)."""


class Gpu(Shared):
    """The site's GPUs: one model in every machine (facts 1.9)."""

    model: str
    per_node: Annotated[int, Field(ge=1, le=8)]
    sharing: Literal["none", "mig", "time-slicing", "fraction"] = "none"
    time_slices: Annotated[int, Field(ge=2, le=48)] | None = None
    """Replicas a GPU with `sharing: time-slicing`; without memory isolation (gpu-facts 2.3)."""
    operator: GpuOperator | None = None
    """None where nothing but Azure Local's own driver and device plugin run."""
    kai: Kai | None = None
    """None where Kubernetes' own scheduler places GPU pods."""
    watts: Annotated[int, Field(ge=1, le=2000)] | None = None
    """Power of one card, for the capacity report (requirements H13, O8)."""
