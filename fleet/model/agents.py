"""Agents, their tools, and the sandboxes for code that they write."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.model.base import (
    Cidr,
    Digest,
    DnsLabel,
    Many,
    ObjectName,
    PoolName,
    Shared,
)
from fleet.model.inference import PrivacyClass
from fleet.model.secrets import ClusterSecretRef


class Breaker(Shared):
    """Stops calling what keeps failing (requirements G24, M4)."""

    failures: Annotated[int, Field(ge=1, le=100)] = 5
    """Failures in a row that open it."""
    open_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """How long it stays open before one call is tried."""


class AgentPolicies(Shared):
    """How an agent treats a slow or failing dependency (requirement G24)."""

    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    max_retries: Annotated[int, Field(ge=0, le=5)] = 2
    max_concurrency: Annotated[int, Field(ge=1)] = 16
    deadline_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """When the caller gives up: every try must end before it (requirement M14)."""
    breaker: Breaker = Breaker.model_construct()
    max_turns: Annotated[int, Field(ge=1, le=100)] = 10
    """Rounds of model and tools for one request (requirement J6)."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """A user's limit (requirements M3, B11)."""
    reconnect_jitter_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """Spread of first calls after a site comes back (requirements M7, O2)."""


class Resources(Shared):
    """What a pod asks for and may take (requirement J1)."""

    cpu_millis: Annotated[int, Field(ge=10)] = 250
    memory_mib: Annotated[int, Field(ge=32)] = 512
    cpu_limit_millis: Annotated[int, Field(ge=10)] = 2000
    memory_limit_mib: Annotated[int, Field(ge=32)] = 2048


class AgentAutoscale(Shared):
    """Bounds of an agent's replicas (requirement J18)."""

    min_replicas: Annotated[int, Field(ge=0, le=100)] = 1
    """Never zero for what serves tasks: they would be lost (requirement M11)."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]


class Agent(Shared):
    """An agent service."""

    image: str
    """Image by digest."""
    framework: Literal["maf", "langgraph", "semantic-kernel", "crewai", "custom"] = "maf"
    """Requirement J5; how it is rendered differs for `maf` and `langgraph` only."""
    kind: Literal["agent", "workflow"] = "agent"
    """A deterministic chain of steps is a workflow, not an agent (requirement J3)."""
    outcome: str | None = None
    """What it is for, in the business' words: what "done" means (requirement J4)."""
    replicas: Annotated[int, Field(ge=1)] = 2
    autoscale: AgentAutoscale | None = None
    node_pool: PoolName = "agents"
    inference: ObjectName
    """The inference deployment that it talks to."""
    tools: Many[ObjectName] = ()
    toolbox: ObjectName | None = None
    """A named set of tools, promoted apart from the agent (requirements C20, E5)."""
    api_key: ClusterSecretRef
    """Key of the inference endpoint; its clients ask for one even where none is checked."""
    policies: AgentPolicies = AgentPolicies.model_construct()
    resources: Resources = Resources.model_construct()
    checkpoints: Literal["none", "redis", "postgres"] = "none"
    """Where conversations are kept between steps (requirement D8)."""
    long_running: bool = False
    """Works for longer than a request, or waits for a person: needs a durable engine (requirement D6)."""
    memory_store: Literal["none", "redis", "postgres"] = "none"
    """Agents keep nothing themselves (requirement D21)."""
    prompts: Digest | None = None
    """Digest of its prompts and instructions: part of an agent's version (requirements C6, C22)."""
    prompt_tokens: Annotated[int, Field(ge=0, le=1_048_576)] = 0
    """Size of the system prompt; above 2,000 it should be split (requirement J19)."""
    privacy: PrivacyClass = "restricted"
    trust_domain: DnsLabel = "default"
    callers: Many[DnsLabel] = ()
    """Namespaces whose pods may call it; none from outside."""


class Destination(Shared):
    """A place that a tool may talk to."""

    cidr: Cidr
    port: Annotated[int, Field(ge=1, le=65535)]


class ToolAuthorization(Shared):
    """Who may use a tool, and for what (requirements B8, E15)."""

    agents: Many[ObjectName] = ()
    """Agents that may call it; empty means those that name it."""
    operations: Many[str] = ()
    """Names of its operations that may be called; empty means all."""
    write: bool = False
    """It changes something: reading and writing are given apart (requirement E9)."""
    approval: bool = False
    """A person confirms each call."""


class ToolLimits(Shared):
    """What one call may use (requirements E8, E14)."""

    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    requests_per_minute: Annotated[int, Field(ge=1)] = 120
    max_file_kib: Annotated[int, Field(ge=1)] = 256
    """Requirement E8."""
    max_depth: Annotated[int, Field(ge=1, le=100)] = 20
    """Of folders that it walks (requirement E8)."""


class Tool(Shared):
    """A tool, behind its proxy."""

    image: str
    """Image of the proxy, by digest."""
    replicas: Annotated[int, Field(ge=1)] = 2
    node_pool: PoolName = "agents"
    kind: Literal["mcp", "openapi", "a2a"] = "mcp"
    """Requirements E13, E5."""
    mcp_spec: Annotated[str, Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$")] | None = None
    """Revision of the MCP specification (requirement E2)."""
    schema_version: Annotated[int, Field(ge=1)] = 1
    """Raised when callers must change (requirement C19)."""
    authentication: Literal["mtls", "token", "workload-identity", "none"] = "token"
    """How callers prove who they are (requirements B8, B9)."""
    authorization: ToolAuthorization = ToolAuthorization.model_construct()
    validation: Literal["schema", "none"] = "schema"
    """Arguments are checked against the tool's schema (requirements B8, E11)."""
    audit: Literal["all", "writes", "none"] = "all"
    """Calls that are written to the audit log, with the correlation id (requirements B8, E3)."""
    limits: ToolLimits = ToolLimits.model_construct()
    breaker: Breaker = Breaker.model_construct()
    allowed_destinations: Many[Destination] = ()
    fallback: ObjectName | None = None
    """The tool that is asked when this one fails (requirement E12)."""
    runs_code: Literal["none", "trusted", "untrusted"] = "none"
    """`untrusted`: code that a model wrote; it needs a sandbox (requirement F2)."""
    sandbox: ObjectName | None = None
    """The sandbox in which it runs that code."""


class Toolbox(Shared):
    """A named, versioned set of tools behind one address (requirement E5)."""

    tools: Annotated[Many[ObjectName], Field(min_length=1)]
    version: Annotated[int, Field(ge=1)] = 1


class Sandbox(Shared):
    """Where code runs that nobody has read (requirements F1 to F8)."""

    isolation: Literal["gvisor", "kata", "container"]
    """`container` is no boundary for untrusted code (requirement F1)."""
    image: str
    """Image by digest."""
    node_pool: PoolName
    slots: Annotated[int, Field(ge=1, le=10_000)]
    """Sandboxes at once; a dimension of capacity (requirements F8, O3)."""
    warm: Annotated[int, Field(ge=0, le=1000)] = 0
    """Sandboxes kept ready (requirement F3)."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    resources: Resources = Resources.model_construct()
    egress: Many[Destination] = ()
    """None by default (requirement F6)."""


class Retrieval(Shared):
    """How documents become what an agent finds (requirements D3, D24, D25)."""

    store: Literal["pgvector", "redis", "sqlite"] = "pgvector"
    embedding: ObjectName
    """The inference deployment that makes vectors."""
    chunk_tokens: Annotated[int, Field(ge=50, le=8192)] = 512
    overlap_tokens: Annotated[int, Field(ge=0, le=4096)] = 100
    """512 and 100: requirement D24."""
    top_k: Annotated[int, Field(ge=1, le=100)] = 3
    lexical_weight: Annotated[float, Field(ge=0, le=1)] = 0.45
    """Beside the semantic one; the rest of 1 (requirement D25)."""
