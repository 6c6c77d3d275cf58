"""What the agents of a site stand on: stores, workflow, telemetry, the platform itself."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.model.base import Cidr, DnsLabel, Guid, HostName, Many, PoolName, Shared
from fleet.model.secrets import ClusterSecretRef


class Backup(Shared):
    """Copies of a store (requirements D1, D2, M16)."""

    every_hours: Annotated[int, Field(ge=1, le=168)]
    keep_days: Annotated[int, Field(ge=1, le=3650)]
    target: Annotated[str, Field(pattern=r"^(s3|nfs|smb|azblob)://[^@\s]+$")]
    """Where they go: not the cluster itself. Credentials don't belong in it."""
    restore_test_days: Annotated[int, Field(ge=1, le=730)] = 90
    """How often a restore is rehearsed (requirement M16)."""


class Store(Shared):
    """A service that keeps state."""

    replicas: Annotated[int, Field(ge=1, le=9)] = 1
    storage_gib: Annotated[int, Field(gt=0)]
    storage_class: DnsLabel | None = None
    node_pool: PoolName | None = None
    backup: Backup | None = None
    encryption_at_rest: bool = True
    """Of its volumes (requirement D20); BitLocker of Azure Local's data volumes counts."""
    tls: bool = True
    """Between it and its clients (requirement B11)."""
    auth: ClusterSecretRef | None = None
    """Its password: a Secret in `platform`, and in `agents` for agents that use it; `NAME-app` with the key
    `password` when not said (docs/secrets.md)."""


class Redis(Store):
    """Redis or Valkey: sessions, cache, rate limits (requirement D1)."""

    flavour: Literal["valkey", "redis"] = "valkey"
    persistence: Literal["none", "rdb", "aof"] = "aof"
    max_memory_mib: Annotated[int, Field(ge=64)] = 1024
    streams: bool = False
    """Events between agents (requirement D1)."""


class Postgres(Store):
    """PostgreSQL: durable state, audit, vectors (requirement D2)."""

    version: Annotated[int, Field(ge=14, le=18)] = 17
    pgvector: bool = False
    max_connections: Annotated[int, Field(ge=20, le=5000)] = 200
    pooler: bool = True
    """A connection pool in front (requirement D1)."""


class BlobStore(Store):
    """An S3-compatible store (requirement D13)."""

    bucket: DnsLabel = "fleet"


class ClickHouse(Store):
    """Langfuse's analytics store (requirement D9)."""


class Temporal(Shared):
    """Durable workflows (requirement D5)."""

    namespace: DnsLabel = "agents"
    history_shards: Annotated[int, Field(ge=1, le=16_384)] = 512
    """Can't be changed after the first start."""
    retention_days: Annotated[int, Field(ge=1, le=365)] = 7
    task_queues: Many[DnsLabel] = ()


class Celery(Shared):
    """Simple background work: what a worker holds is lost when it dies (requirement D6)."""

    broker: Literal["redis", "rabbitmq"] = "redis"
    workers: Annotated[int, Field(ge=1, le=1000)] = 2


class MessageBus(Store):
    """Events with replay (requirement D7)."""

    kind: Literal["nats", "kafka", "rabbitmq"]
    retention_hours: Annotated[int, Field(ge=1, le=8760)] = 24


class Langfuse(Shared):
    """Traces and cost of model calls, kept on the site (requirement D9)."""

    web_replicas: Annotated[int, Field(ge=1, le=10)] = 1
    worker_replicas: Annotated[int, Field(ge=1, le=20)] = 1
    retention_days: Annotated[int, Field(ge=3, le=3650)]
    """Langfuse takes 3 days or more."""


class VictoriaMetrics(Store):
    """Metrics of the site (requirement D11)."""

    retention_days: Annotated[int, Field(ge=1, le=3650)]


class McpRegistry(Shared):
    """A private registry of MCP servers (requirement E1)."""

    storage_gib: Annotated[int, Field(gt=0)] = 5
    health_check_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    scan: bool = True
    """Servers are scanned before they are listed (requirements E1, I8)."""


class Services(Shared):
    """Which services a site runs; each is switched on by being there."""

    redis: Redis | None = None
    postgres: Postgres | None = None
    blob_store: BlobStore | None = None
    clickhouse: ClickHouse | None = None
    temporal: Temporal | None = None
    celery: Celery | None = None
    bus: MessageBus | None = None
    langfuse: Langfuse | None = None
    metrics: VictoriaMetrics | None = None
    mcp_registry: McpRegistry | None = None


class Redaction(Shared):
    """What telemetry never carries (requirements K5, B19, P16)."""

    prompts: Literal["off", "hash", "raw"] = "hash"
    """`raw` keeps what users wrote: metadata and hashes are the rule (requirement K5)."""
    tool_arguments: Literal["off", "hash", "raw"] = "hash"
    query_strings: bool = True
    """Tokens in URLs are cut out of access logs (requirement B19)."""
    patterns: Many[str] = ()
    """Regular expressions whose matches are replaced, such as those of personal numbers."""


class Alerts(Shared):
    """Limits that somebody is told about (requirement K10)."""

    error_percent: Annotated[float, Field(gt=0, le=100)] = 5
    p95_ms: Annotated[int, Field(gt=0)] = 4000
    """Requirement L2."""
    token_growth_percent: Annotated[int, Field(ge=1, le=1000)] = 20
    """Requirements K10, L2."""
    gpu_free_mib: Annotated[int, Field(ge=0)] = 1024
    """Below it a GPU is under pressure (requirement G33)."""
    receiver: str | None = None
    """Who is told: a name of the alert manager."""


class Telemetry(Shared):
    """What is measured and kept. Retention, sampling and redaction come before the first record (D19)."""

    retention_days: Annotated[int, Field(ge=1, le=3650)]
    """No default: nothing is kept for ever by accident (requirement D19)."""
    sample_percent: Annotated[float, Field(gt=0, le=100)]
    """Of traces without an error; those with one are always kept."""
    redaction: Redaction = Redaction.model_construct()
    correlation_header: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = "x-correlation-id"
    """Through request, tool, inference and answer (requirement K1)."""
    buffer_hours: Annotated[int, Field(ge=0, le=720)] = 0
    """What the collector keeps while the link is down (requirement K17)."""
    buffer_gib: Annotated[int, Field(ge=0, le=10_000)] = 0
    azure_monitor: bool = False
    """Also sent to Azure Monitor; only where the site has a link (requirement K15)."""
    audit_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """How long the audit log is kept, which nobody can change (requirements B10, P3)."""
    alerts: Alerts = Alerts.model_construct()


class Ingress(Shared):
    """The one entry to a site's agents (requirements B24, D14)."""

    kind: Literal["traefik", "nginx", "kong"] = "traefik"
    host: HostName
    read_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 300
    """Answers are streamed: no buffering, long reads (requirement D23)."""
    requests_per_minute: Annotated[int, Field(ge=1)] = 600
    """A client's limit (requirements B11, M3)."""
    allowed_cidrs: Many[Cidr] = ()
    """Networks that may reach it; empty means the site's own."""


class Certificates(Shared):
    """Where TLS certificates come from (requirements A15, B4, B5)."""

    issuer: Literal["private-ca", "acme", "self-signed"] = "private-ca"
    ca_file: str | None = None
    """PEM bundle next to the inventory: what the site's clients trust."""
    acme_server: Annotated[str, Field(pattern=r"^https://[^\s@]+$")] | None = None
    valid_days: Annotated[int, Field(ge=1, le=825)] = 90
    renew_days_before: Annotated[int, Field(ge=1, le=300)] = 30


class VaultAccess(Shared):
    """The Key Vault with the secrets of a site's workloads, and who reads it (requirement B15)."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z](-?[a-zA-Z0-9]){2,23}$")]
    """Better not `azureLocal.keyVault`, which holds the keys of the machines."""
    client_id: Guid
    """Of the managed identity that may read it, federated with the service account `fleet-secrets` of each
    namespace that has secrets (facts 2.5)."""


class SecretStore(Shared):
    """How secrets reach the cluster (requirements A15, B15)."""

    kind: Literal["key-vault", "sops-age", "kubernetes"] = "key-vault"
    """`key-vault`: Azure's secret store extension, which needs a link at times; `sops-age`: encrypted in the
    artifact; `kubernetes`: put there by somebody else."""
    rotation_hours: Annotated[int, Field(ge=1, le=8760)] = 24
    """How often what Key Vault holds is looked at again."""
    vault: VaultAccess | None = None
    """Which vault, with `kind: key-vault`; without it somebody else puts the secrets into the cluster."""


class Policies(Shared):
    """What a cluster refuses or reports by itself (requirements D15, P5, P15).

    That pods reach nothing unless allowed (B6), and that agents and tools are restricted (A17), is no choice.
    """

    admission: Literal["gatekeeper", "kyverno", "azure-policy", "none"] = "none"
    runtime_detection: Literal["falco", "none"] = "none"


class Platform(Shared):
    """The five things that every cluster has before the first agent (requirement A15)."""

    ingress: Ingress | None = None
    certificates: Certificates = Certificates.model_construct()
    secret_store: SecretStore = SecretStore.model_construct()
    policies: Policies = Policies.model_construct()
    mesh: Literal["none", "istio", "linkerd"] = "none"
    """Only where one is run already (requirement B3)."""
    service_auth: Literal["mtls", "token"] = "token"
    """Between agents and tools (requirement B9)."""
