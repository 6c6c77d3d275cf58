"""Rules about services. Graz gets some; its largest nodes have 64 GiB, of which pods get 56."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

BACKUP = "backup: {everyHours: 24, keepDays: 14, target: 'nfs://backup.factory.example/graz'}"
POSTGRES = f"postgres: {{storageGib: 20, replicas: 2, {BACKUP}}}"
RUNBOOK = ("certificate-renewal, capacity]", "certificate-renewal, capacity, restore]")
"""What a fleet with backups has, too (OPS004)."""
CLICKHOUSE = f"clickhouse: {{storageGib: 20, {BACKUP}}}"
REDIS = "redis: {storageGib: 20, replicas: 3}"
ACCEPTED = (
    '{component: gpu-l4, by: platform-team, date: "2026-09-01"}',
    '{component: gpu-l4, by: platform-team, date: "2026-09-01"}\n      - {component: mcp-registry, by: platform-team, date: "2026-09-01"}',
)
"""The MCP registry is a preview (GOV001)."""
BLOB = "blobStore: {storageGib: 20}"


def services(*given: str, agent: str = "") -> Edits:
    """Graz, with services, and more said about its agent."""
    more = f"agents: {{maf-agent-api: {{{agent}}}}}\n" if agent else ""
    text = f"services: {{{', '.join(given)}}}\n{more}"
    fleet = [edit for word, edit in (("backup", RUNBOOK), ("mcpRegistry", ACCEPTED)) if word in text]
    return {GRAZ: [("", text)], FLEET: fleet}


def redis(text: str, *given: str, agent: str = "") -> Edits:
    """Graz, with more said about Redis, with other services, and more said about its agent."""
    return services(f"redis: {{storageGib: 20, replicas: 3, {text}}}", *given, agent=agent)


def postgres(text: str, agent: str = "checkpoints: postgres") -> Edits:
    """Graz, with more said about PostgreSQL, in which its agent keeps its checkpoints."""
    return services(POSTGRES[:-1] + f", {text}}}", agent=agent)


CASES = {
    "SVC001": Cases(
        fires=[Case(services("langfuse: {retentionDays: 30}"), "sites/graz.yaml:1 Langfuse needs postgres, clickhouse, redis, blobStore, which the site does not run"),
               Case(services("langfuse: {retentionDays: 30}", POSTGRES, CLICKHOUSE, REDIS), "sites/graz.yaml:1 Langfuse needs blobStore, which", help="add blobStore under")],
        near=[services("langfuse: {retentionDays: 30}", POSTGRES, CLICKHOUSE, REDIS, BLOB), services(POSTGRES)],
    ),
    "SVC002": Cases(
        fires=[Case(services("temporal: {}"), "sites/graz.yaml:1 Temporal keeps its state in PostgreSQL, which the site does not run"),
               Case(services("mcpRegistry: {}", REDIS), "sites/graz.yaml:1 the MCP registry keeps its state in PostgreSQL")],
        near=[services("temporal: {}", "mcpRegistry: {}", POSTGRES), services(REDIS)],
    ),
    "SVC003": Cases(
        fires=[Case(services("celery: {}"), "sites/graz.yaml:1 Celery's broker is Redis, which the site does not run"),
               Case(services("celery: {broker: rabbitmq}", REDIS), "sites/graz.yaml:1 Celery's broker is RabbitMQ, which the site does not run"),
               Case(services("celery: {broker: rabbitmq}", "bus: {kind: nats, storageGib: 20, replicas: 3}"), "sites/graz.yaml:1 Celery's broker is RabbitMQ")],
        near=[services("celery: {}", REDIS), services("celery: {broker: rabbitmq}", "bus: {kind: rabbitmq, storageGib: 20, replicas: 3}")],
    ),
    "SVC004": Cases(
        fires=[Case(services("bus: {kind: kafka, storageGib: 20, replicas: 2}"), "sites/graz.yaml:1 2 replicas of kafka survive no more failures than 1", help="'replicas: 3'", also=("CMP002",)),
               Case(services("bus: {kind: nats, storageGib: 20, replicas: 4}"), "sites/graz.yaml:1 4 replicas of nats survive no more failures than 3")],
        near=[services("bus: {kind: kafka, storageGib: 20, replicas: 3}"), services("bus: {kind: kafka, storageGib: 20, replicas: 1}")],
    ),
    "SVC008": Cases(
        fires=[Case(redis("nodePool: agent"), "sites/graz.yaml:1 redis runs in the node pool 'agent', which the site does not have", help="did you mean 'agents'")],
        near=[redis("nodePool: agents")],
    ),
    "SVC009": Cases(
        fires=[Case(redis("nodePool: agents, maxMemoryMib: 28673"), "sites/graz.yaml:1 Redis may take 28673 MiB; a node has 28672 for pods"),
               Case(redis("maxMemoryMib: 57345"), "sites/graz.yaml:1 Redis may take 57345 MiB; a node has 57344 for pods")],
        near=[redis("nodePool: agents, maxMemoryMib: 28672"), redis("maxMemoryMib: 57344"), redis("nodePool: inference, maxMemoryMib: 28673")],
    ),
    "SVC010": Cases(
        fires=[Case(redis("tls: false"), "sites/graz.yaml:1 redis talks to its clients without encryption"),
               Case(services("blobStore: {storageGib: 20, tls: false}"), "sites/graz.yaml:1 blobStore talks to its clients without encryption")],
        near=[redis("tls: true")],
    ),
    "SVC011": Cases(
        fires=[Case(redis("encryptionAtRest: false"), "sites/graz.yaml:1 the volumes of redis are not encrypted"),
               Case(services("metrics: {storageGib: 20, retentionDays: 30, encryptionAtRest: false}"), "sites/graz.yaml:1 the volumes of metrics are not encrypted")],
        near=[redis("encryptionAtRest: true")],
    ),
    "SVC012": Cases(
        fires=[Case(redis("persistence: none", agent="checkpoints: redis"), "sites/graz.yaml:1 Redis keeps nothing over a restart, and holds the checkpoints of 'maf-agent-api'"),
               Case(redis("persistence: none, streams: true", agent="memoryStore: redis"), "sites/graz.yaml:1 Redis keeps nothing over a restart, and holds the memory of 'maf-agent-api', events"),
               Case(redis("persistence: none", "celery: {}"), "sites/graz.yaml:1 Redis keeps nothing over a restart, and holds Celery's tasks"),
               Case(redis("persistence: none", "langfuse: {retentionDays: 30}", POSTGRES, CLICKHOUSE, BLOB), "sites/graz.yaml:1 Redis keeps nothing over a restart, and holds traces")],
        near=[redis("persistence: none"), redis("persistence: rdb", agent="checkpoints: redis"), redis("persistence: aof, streams: true"),
              redis("persistence: none", "celery: {broker: rabbitmq}", "bus: {kind: rabbitmq, storageGib: 20, replicas: 3}")],
    ),
    "SVC013": Cases(
        fires=[Case(postgres("pooler: false, maxConnections: 34"), "sites/graz.yaml:1 agents may want 32 connections at once; PostgreSQL gives 31 to others")],
        near=[postgres("pooler: false, maxConnections: 35"), postgres("pooler: true, maxConnections: 34"), postgres("pooler: false, maxConnections: 34", agent="checkpoints: none")],
    ),
    "SVC014": Cases(
        fires=[Case(services("redis: {storageGib: 20}"), "sites/graz.yaml:1 redis has one replica in production"),
               Case(services(POSTGRES.replace("replicas: 2", "replicas: 1")), "sites/graz.yaml:1 postgres has one replica in production")],
        near=[services("redis: {storageGib: 20, replicas: 2}"), services(BLOB), {NARVIK: [("", "services: {redis: {storageGib: 20}}\n")]},
              {**services("redis: {storageGib: 20}"), FLEET: [("environment: prod", "environment: test")]}],
    ),
    "SVC015": Cases(
        fires=[Case(services("mcpRegistry: {scan: false}", POSTGRES), "sites/graz.yaml:1 the MCP registry lists servers that nobody has scanned")],
        near=[services("mcpRegistry: {scan: true}", POSTGRES),
              {**services("mcpRegistry: {scan: false}", POSTGRES), FLEET: [("environment: prod", "environment: dev")]}],
    ),
    "SVC016": Cases(
        fires=[Case(postgres("auth: {kubernetes: {name: db, key: PGPASSWORD}}"), "sites/graz.yaml:1 PostgreSQL's password is under 'PGPASSWORD'; its operator reads",
                    help="'key: password'")],
        near=[postgres("auth: {kubernetes: {name: db, key: password}}"), redis("auth: {kubernetes: {name: cache, key: PGPASSWORD}}")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
