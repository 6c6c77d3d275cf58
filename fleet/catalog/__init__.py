"""Facts about Azure Local, GPUs and models: YAML with sources, read once and typed.

"facts" in a `source` is the project's sourced fact sheet on Azure Local, "gpu-facts" the one on GPUs
(docs/sources.md says where each of their numbers was read).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from typing import Any

import yaml

from fleet.model.fleet import ModelCard


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A card: memory in GiB as vLLM may use it, and the MIG profiles it can be cut into."""

    name: str
    memory_gib: float
    mig: tuple[str, ...]
    mig_slices: int = 0
    """Compute slices that its MIG instances share; 0 where it can't be cut."""


@dataclass(frozen=True, slots=True)
class VmSize:
    """A VM size of AKS on Azure Local: vCPUs, memory in GiB, GPUs of one model."""

    name: str
    vcpus: int
    memory_gib: int
    gpu: str | None
    gpus: int
    control_plane: bool


@dataclass(frozen=True, slots=True)
class Scheduling:
    """KAI Scheduler and NVIDIA's GPU operator (kai.yaml); minors of KAI as text, of Kubernetes as numbers."""

    retracted: frozenset[str]
    topology_levels: int
    kubernetes: Mapping[str, tuple[tuple[int, int], tuple[int, int]]]
    operator_versions: tuple[str, ...]
    kai_hosts: tuple[str, ...]
    operator_hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an inference runtime serves; the least versions are () where none is known."""

    modalities: tuple[str, ...]
    onnx: bool
    """Serves packages that were built for an execution provider of ONNX Runtime."""
    least_for_packages: tuple[int, ...]
    hang_on_streams: tuple[tuple[int, int], ...]
    """Minors that hang on a streamed answer."""
    least_kubernetes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExecutionProvider:
    """What one of ONNX Runtime's execution providers runs on."""

    accelerators: tuple[str, ...]
    os: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """What runtimes serve, and shares for estimates (serving.yaml)."""

    runtimes: Mapping[str, Runtime]
    providers: Mapping[str, ExecutionProvider]
    node_memory: float
    """Share of a VM's memory that its pods get."""
    goodput: float
    """Share of a link's rate that a transfer gets."""
    package_least: float
    """A package is at least this share of weights times precision, and"""
    package_most: float
    """at most this multiple."""


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """What agents, tools and services are checked against (platform.yaml)."""

    system_prompt_tokens: int
    mcp_revisions: tuple[str, ...]
    """Of the MCP specification, the oldest first."""
    plaintext_ports: Mapping[int, str]
    """Protocols without encryption by their port."""
    public_acme: tuple[str, ...]
    """Domains of public certificate authorities."""
    postgres_reserved: int
    """Connections that PostgreSQL keeps for its administrators."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that Azure Local's own validator checks (facts 1.6, 1.7)."""

    infra_pool_min: int
    infra_pool_max: int
    service_cidr: IPv4Network


@dataclass(frozen=True, slots=True)
class ReservedNames:
    """Words that Azure takes in no name of a resource with an endpoint; all in lower case."""

    whole: frozenset[str]
    start: tuple[str, ...]
    anywhere: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TagLimits:
    """What Azure takes as tags: how many, how long (characters), and without which characters and starts."""

    most: int
    name_max: int
    value_max: int
    refused: frozenset[str]
    reserved_prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AzureLocalFacts:
    """What azure-local.yaml says of machines, names, networks and nodes; memory in GiB."""

    memory_gib_min: int
    data_disks_min: int
    threads_per_core: int
    low_capacity_machines_max: int
    low_capacity_cores_max: int
    low_capacity_memory_gib_max: int
    low_capacity_data_disks_min: int
    rack_aware_zones: int
    rack_aware_machines_per_zone_max: int
    storage_subnets: tuple[IPv4Network, ...]
    """Network ATC's own, the first storage network's first."""
    public_resolvers: frozenset[IPv4Address]
    reserved_names: ReservedNames
    tags: TagLimits
    pools_max: int
    nodes_max: int
    """Control planes and workers of one AKS cluster."""
    max_pods_default: int
    ssh_rsa_bits_min: int
    node_label_domains: frozenset[str]
    node_labels: frozenset[str]
    """Labels in Kubernetes' own domains that a node may have; any in `node_label_domains` too."""


@dataclass(frozen=True, slots=True)
class ComponentFacts:
    """A third party's software (components.yaml)."""

    chart: str | None
    """`oci://…` without a tag; None where its makers publish it in another way: then it is packed into the
    fleet's own registry as `charts/NAME`."""
    version: str
    images: tuple[str, ...]
    """References with tags, as the chart's defaults have them."""
    source: str


@dataclass(frozen=True, slots=True)
class Operating:
    """How a fleet is secured, run and evaluated (operating.yaml)."""

    privileged_roles: Mapping[str, str]
    """Names by role definition id."""
    break_glass_hours_max: int
    preview_runtimes: Mapping[str, str]
    """The component that `governance.preview` names, by runtime; and by GPU model."""
    preview_gpus: Mapping[str, str]
    preview_low_capacity: str
    preview_sandboxes: str
    preview_mcp_registry: str
    suitability_reasons_min: int
    arc_gateways_max: int
    """In one subscription."""
    arc_gateway_resources_max: int
    staffing: Mapping[str, float]
    """Least full-time equivalents by layer."""
    on_call_fte_min: float
    golden_rows_min: int
    gates: Mapping[str, float]
    """Of production, by the keys of `evaluation.gates`."""


def _read(name: str) -> dict[str, Any]:
    text = (resources.files(__name__) / name).read_text(encoding="utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    assert isinstance(data, dict)
    return data


@cache
def built_in_models() -> Mapping[str, ModelCard]:
    """The models that every fleet knows, by name."""
    cards = _read("models.yaml")["models"]
    return MappingProxyType({name: ModelCard.model_validate(card) for name, card in sorted(cards.items())})


@cache
def gpu_models() -> Mapping[str, GpuModel]:
    """GPU models by name."""
    rows = _read("gpus.yaml")["gpus"]
    return MappingProxyType(
        {
            name: GpuModel(name, float(row["memoryGib"]), tuple(row.get("mig", ())), row.get("migSlices", 0))
            for name, row in sorted(rows.items())
        }
    )


@cache
def vm_sizes() -> Mapping[str, VmSize]:
    """VM sizes of AKS on Azure Local by name."""
    rows = _read("vm-sizes.yaml")["sizes"]
    return MappingProxyType(
        {
            name: VmSize(
                name,
                row["vcpus"],
                row["memoryGib"],
                row.get("gpu"),
                row.get("gpus", 0),
                row.get("controlPlane", False),
            )
            for name, row in sorted(rows.items())
        }
    )


def _minor(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


@cache
def scheduling() -> Scheduling:
    """Versions and registries of KAI Scheduler and the GPU operator."""
    data = _read("kai.yaml")
    kai, operator = data["kai"], data["gpuOperator"]
    return Scheduling(
        frozenset(kai["retracted"]),
        kai["topologyLevels"],
        MappingProxyType({name: (_minor(a), _minor(b)) for name, (a, b) in kai["kubernetes"].items()}),
        tuple(operator["versions"]),
        tuple(kai["imageHosts"]),
        tuple(operator["imageHosts"]),
    )


@cache
def serving() -> Serving:
    """What runtimes and execution providers can do."""
    data = _read("serving.yaml")
    shares = data["shares"]
    return Serving(
        MappingProxyType(
            {
                name: Runtime(
                    tuple(row["modalities"]),
                    row["onnx"],
                    tuple(row.get("leastForPackages", ())),
                    tuple(_minor(minor) for minor in row.get("hangOnStreams", ())),
                    tuple(row.get("leastKubernetes", ())),
                )
                for name, row in data["runtimes"].items()
            }
        ),
        MappingProxyType(
            {
                name: ExecutionProvider(tuple(row["accelerators"]), tuple(row["os"]))
                for name, row in data["executionProviders"].items()
            }
        ),
        shares["nodeMemory"],
        shares["goodput"],
        shares["packageLeast"],
        shares["packageMost"],
    )


@cache
def platform() -> PlatformFacts:
    """What agents, tools and services are checked against."""
    data = _read("platform.yaml")
    return PlatformFacts(
        data["agents"]["systemPromptTokens"],
        tuple(data["mcpRevisions"]),
        MappingProxyType(dict(data["plaintextPorts"])),
        tuple(data["publicAcme"]),
        data["postgres"]["reservedConnections"],
    )


@cache
def components() -> Mapping[str, ComponentFacts]:
    """Third parties' software by name."""
    rows = _read("components.yaml")["components"]
    return MappingProxyType(
        {
            name: ComponentFacts(row.get("chart"), row["version"], tuple(row["images"]), row["source"])
            for name, row in sorted(rows.items())
        }
    )


@cache
def azure() -> Mapping[str, Any]:
    """Azure API versions, role definition ids and resource providers (azure.yaml)."""
    return MappingProxyType(_read("azure.yaml"))


@cache
def limits() -> Limits:
    """The limits of Azure Local and AKS Arc."""
    row = _read("azure.yaml")["limits"]
    return Limits(row["infraPoolMin"], row["infraPoolMax"], IPv4Network(row["serviceCidr"]))


@cache
def azure_local() -> AzureLocalFacts:
    """What Azure Local asks of machines, names and networks."""
    data = _read("azure-local.yaml")
    small, racks, kubernetes = data["lowCapacity"], data["rackAware"], data["kubernetes"]
    words, tags = data["reservedNames"], data["tags"]
    return AzureLocalFacts(
        memory_gib_min=data["machines"]["memoryGibMin"],
        data_disks_min=data["machines"]["dataDisksMin"],
        threads_per_core=data["machines"]["threadsPerCore"],
        low_capacity_machines_max=small["machinesMax"],
        low_capacity_cores_max=small["coresMax"],
        low_capacity_memory_gib_max=small["memoryGibMax"],
        low_capacity_data_disks_min=small["dataDisksMin"],
        rack_aware_zones=racks["zones"],
        rack_aware_machines_per_zone_max=racks["machinesPerZoneMax"],
        storage_subnets=tuple(IPv4Network(data["storageSubnet"]).subnets(new_prefix=24))[1:],
        public_resolvers=frozenset(map(IPv4Address, data["publicResolvers"])),
        reserved_names=ReservedNames(
            whole=frozenset(words["whole"]), start=tuple(words["start"]), anywhere=tuple(words["anywhere"])
        ),
        tags=TagLimits(
            most=tags["max"],
            name_max=tags["nameMax"],
            value_max=tags["valueMax"],
            refused=frozenset(tags["refused"]),
            reserved_prefixes=tuple(tags["reservedPrefixes"]),
        ),
        pools_max=kubernetes["poolsMax"],
        nodes_max=kubernetes["nodesMax"],
        max_pods_default=kubernetes["maxPodsDefault"],
        ssh_rsa_bits_min=kubernetes["sshRsaBitsMin"],
        node_label_domains=frozenset(kubernetes["nodeLabelDomains"]),
        node_labels=frozenset(kubernetes["nodeLabels"]),
    )


@cache
def time_zones() -> frozenset[str]:
    """Names of IANA's time zone database (time-zones.yaml)."""
    return frozenset(_read("time-zones.yaml")["zones"])


@cache
def operating() -> Operating:
    """Figures for security, operations and evaluation."""
    data = _read("operating.yaml")
    previews, evaluation = data["previews"], data["evaluation"]
    return Operating(
        privileged_roles=MappingProxyType(data["privilegedRoles"]),
        break_glass_hours_max=data["breakGlassHoursMax"],
        preview_runtimes=MappingProxyType(previews["runtimes"]),
        preview_gpus=MappingProxyType(previews["gpus"]),
        preview_low_capacity=previews["lowCapacity"],
        preview_sandboxes=previews["sandboxes"],
        preview_mcp_registry=previews["mcpRegistry"],
        suitability_reasons_min=data["suitabilityReasonsMin"],
        arc_gateways_max=data["arcGateway"]["perSubscription"],
        arc_gateway_resources_max=data["arcGateway"]["resources"],
        staffing=MappingProxyType(data["staffing"]),
        on_call_fte_min=data["onCallFteMin"],
        golden_rows_min=evaluation["goldenRowsMin"],
        gates=MappingProxyType(evaluation["production"]),
    )
