"""Served models."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.model.base import DnsLabel, Many, Model, ObjectName, PoolName, Shared

PrivacyClass = Literal["public", "internal", "restricted"]
"""`restricted` never leaves the site, also not when local inference fails (requirements G21, M10)."""


class Slo(Model):
    """What the users of a deployment were promised (requirement O1)."""

    p95_ms: Annotated[int, Field(gt=0)]
    """95th percentile of the time to a full answer of the representative prompt."""
    concurrent_sessions: Annotated[int, Field(gt=0)]
    """On the whole deployment."""
    queue_delay_ms: Annotated[int, Field(ge=0)] = 0
    """Acceptable wait at peak."""
    recovery_sessions: Annotated[int, Field(gt=0)] | None = None
    """Sessions that come back at once after an outage (requirements O2, M12)."""


class Gateway(Shared):
    """The stable name in front of a runtime whose own port changes (requirements G4, G30)."""

    access: Literal["direct", "proxy", "mesh"] = "proxy"
    """How agents reach it (requirement B3); `mesh` only where one is run."""
    max_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Requests in flight; more are queued (requirements G24, M4)."""
    queue_length: Annotated[int, Field(ge=0, le=10_000)] = 128
    """Requests that wait; more are answered 429 with Retry-After (requirement G24)."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """A caller's limit (requirement M3)."""


class Warmup(Shared):
    """What happens before a replica is called ready (requirements G22, I6)."""

    prompts: Annotated[int, Field(ge=0, le=100)] = 1
    """Prompts that it must answer first."""
    timeout_seconds: Annotated[int, Field(ge=30, le=7200)] = 600
    """For loading the weights: 30 to 60 s from a cache, minutes for a first download (requirement G22)."""


class Canary(Shared):
    """A second version beside the first, to compare them (requirements G31, N2)."""

    package: ObjectName
    percent: Annotated[int, Field(ge=1, le=50)] = 5
    """Share of requests."""
    hours: Annotated[int, Field(ge=1, le=720)] = 24


class Fallback(Shared):
    """What happens when local inference is not there (requirements M1, M10)."""

    to: Literal["none", "deployment", "workflow", "human"] = "none"
    deployment: ObjectName | None = None
    """Another deployment of the same site."""


class InferenceDeployment(Shared):
    """A served model."""

    runtime: Literal["foundry-local", "foundry-local-azure-local", "vllm"]
    runtime_version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){1,2}$")] | None = None
    """Pinned, and raised on a cadence of its own (requirements G1, N3)."""
    model: str
    """A name of the model catalogue."""
    package: ObjectName | None = None
    """Which of the fleet's model packages is served; none while the image holds the model."""
    precision: Literal["fp32", "fp16", "int8", "int4"] = "fp16"
    accelerator: Literal["cpu", "gpu", "npu"]
    execution_provider: Literal["cpu", "cuda", "directml", "openvino", "qnn", "vitisai"] | None = None
    """ONNX Runtime's, for Foundry Local (requirement G15)."""
    modality: Literal["chat", "speech", "embedding"] = "chat"
    """Foundry Local serves chat and speech only (requirement G10)."""
    tool_calling: Literal["native", "text", "none"] = "none"
    """`text`: calls arrive as text and the client parses them (requirements G11, G12)."""
    reasoning: bool = False
    """Writes `<think>` first: not for routing (requirement G20)."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    gpus: Annotated[int, Field(ge=0, le=8)] = 0
    """GPUs, or shares of one, a replica; zero on CPU."""
    gpu_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """A share of one GPU, with `gpu.sharing: fraction` and `gpus: 1` (gpu-facts 1.7)."""
    mig_profile: str | None = None
    """Such as `1g.24gb`, with `gpu.sharing: mig` and the strategy `mixed`."""
    tensor_parallel: Annotated[int, Field(ge=1, le=8)] | None = None
    """GPUs that hold one copy together; as many as `gpus` when not said (requirement H10)."""
    queue: ObjectName | None = None
    """The KAI queue that its pods wait in."""
    preemptible: bool = False
    """May be stopped for more urgent work; what serves users may not (gpu-facts 1.8)."""
    node_pool: PoolName
    context_tokens: Annotated[int, Field(ge=256, le=1_048_576)] = 4096
    """Prompt and answer together, a session."""
    max_output_tokens: Annotated[int, Field(ge=1, le=131_072)] = 1024
    """Of one answer; at most the context."""
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    """Memory limit of a replica; half of a VM, or of a GPU's share of one, when not said."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=0.98)] = 0.9
    """Share of a GPU's memory that vLLM takes (gpu-facts 6)."""
    pinned_gib: Annotated[float, Field(ge=0)] = 0
    """GPU memory held for checkpoints and in-flight state, beside weights and cache (requirement M13)."""
    privacy: PrivacyClass = "restricted"
    """Of the prompts that it is given."""
    trust_domain: DnsLabel = "default"
    """Workloads of different domains do not share a GPU (requirement B26)."""
    image: str
    """Image by digest."""
    gateway: Gateway = Gateway.model_construct()
    warmup: Warmup = Warmup.model_construct()
    canary: Canary | None = None
    fallback: Fallback = Fallback.model_construct()
    slo: Slo


class Route(Shared):
    """Which deployment answers a kind of request."""

    kind: Literal["simple", "complex", "code", "embedding", "speech"]
    deployment: ObjectName
    timeout_seconds: Annotated[int, Field(ge=1, le=600)]
    """By kind: 10 s is enough for an echo, 60 s for reasoning (requirement G25)."""


class Router(Shared):
    """Local routing between deployments: privacy first, then a small model, then rules (requirement G21)."""

    model: ObjectName
    """The deployment that decides; not a reasoning model (requirement G20)."""
    confidence: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Below it the complex route is taken (requirement G21)."""
    routes: Annotated[Many[Route], Field(min_length=1)]
