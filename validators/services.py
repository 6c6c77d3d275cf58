"""Rules about which services a site's agents and its own services stand on, and how those are run."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.services import Services, Store
from fleet.model.site import SiteSpec


def stores(services: Services) -> Iterator[tuple[str, Store]]:
    """The services that keep state, by their key in YAML."""
    for key, store in (
        ("redis", services.redis),
        ("postgres", services.postgres),
        ("blobStore", services.blob_store),
        ("clickhouse", services.clickhouse),
        ("bus", services.bus),
        ("metrics", services.metrics),
    ):
        if store is not None:
            yield key, store


def _langfuse(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    if services.langfuse is None:
        return
    there = {key for key, _store in stores(services)}
    missing = [key for key in ("postgres", "clickhouse", "redis", "blobStore") if key not in there]
    if missing:
        yield Finding(
            ("services", "langfuse"),
            f"Langfuse needs {', '.join(missing)}, which the site does not run",
            f"add {', '.join(missing)} under 'services:'",
        )


def _postgres(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    if services.postgres is not None:
        return
    for key, what, there in (
        ("temporal", "Temporal", services.temporal),
        ("mcpRegistry", "the MCP registry", services.mcp_registry),
    ):
        if there is not None:
            yield Finding(
                ("services", key),
                f"{what} keeps its state in PostgreSQL, which the site does not run",
                "add 'postgres: {storageGib: …}' under 'services:'",
            )


def _broker(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    if services.celery is None:
        return
    broker = services.celery.broker
    rabbit = services.bus is not None and services.bus.kind == "rabbitmq"
    if (broker == "redis" and services.redis is None) or (broker == "rabbitmq" and not rabbit):
        what, key = ("Redis", "redis: …") if broker == "redis" else ("RabbitMQ", "bus: {kind: rabbitmq, …}")
        yield Finding(
            ("services", "celery", "broker"),
            f"Celery's broker is {what}, which the site does not run",
            f"add '{key}' under 'services:'",
        )


def _quorum(site: Site, _: Inventory) -> Iterator[Finding]:
    bus = site.spec.services.bus
    if bus is not None and bus.replicas % 2 == 0:
        yield Finding(
            ("services", "bus", "replicas"),
            f"{bus.replicas} replicas of {bus.kind} survive no more failures than {bus.replicas - 1}: "
            "they need a majority",
            f"'replicas: {bus.replicas + 1}' or 'replicas: {bus.replicas - 1}'",
        )


def _pools(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    for key, store in stores(site.spec.services):
        if store.node_pool is not None and store.node_pool not in pools:
            yield Finding(
                ("services", key, "nodePool"),
                f"{key} runs in the node pool {store.node_pool!r}, which the site does not have",
                did_you_mean(store.node_pool, pools),
            )


def _usable_mib(spec: SiteSpec, pool: str | None) -> int | None:
    """Memory for pods of one node: of that pool, or of the largest node of any; None when not known."""
    pools = spec.kubernetes.node_pools
    names = [pool] if pool is not None else list(pools)
    sizes = [catalog.vm_sizes().get(pools[name].vm_size) for name in names if name in pools]
    known = [size.memory_gib for size in sizes if size is not None]
    return int(max(known) * 1024 * catalog.serving().node_memory) if known else None


def _redis_memory(site: Site, _: Inventory) -> Iterator[Finding]:
    redis = site.spec.services.redis
    usable = _usable_mib(site.spec, redis.node_pool) if redis is not None else None
    if redis is not None and usable is not None and redis.max_memory_mib > usable:
        yield Finding(
            ("services", "redis", "maxMemoryMib"),
            f"Redis may take {redis.max_memory_mib} MiB; a node has {usable} for pods",
            f"below 'maxMemoryMib: {usable}', or a larger node",
        )


def _tls(site: Site, _: Inventory) -> Iterator[Finding]:
    for key, store in stores(site.spec.services):
        if not store.tls:
            yield Finding(
                ("services", key, "tls"), f"{key} talks to its clients without encryption", "'tls: true'"
            )


def _encrypted(site: Site, _: Inventory) -> Iterator[Finding]:
    for key, store in stores(site.spec.services):
        if not store.encryption_at_rest:
            yield Finding(
                ("services", key, "encryptionAtRest"),
                f"the volumes of {key} are not encrypted",
                "'encryptionAtRest: true'; BitLocker of the data volumes counts",
            )


def _persists(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    redis = services.redis
    if redis is None or redis.persistence != "none":
        return
    kept = [
        f"the {what} of {name!r}"
        for name, agent in site.spec.agents.items()
        for what, store in (("checkpoints", agent.checkpoints), ("memory", agent.memory_store))
        if store == "redis"
    ]
    kept += ["events between agents"] if redis.streams else []
    kept += ["Celery's tasks"] if services.celery is not None and services.celery.broker == "redis" else []
    kept += ["traces on their way into Langfuse"] if services.langfuse is not None else []
    if kept:
        yield Finding(
            ("services", "redis", "persistence"),
            f"Redis keeps nothing over a restart, and holds {', '.join(kept)}",
            "'persistence: aof'",
        )


def _connections(site: Site, _: Inventory) -> Iterator[Finding]:
    postgres = site.spec.services.postgres
    if postgres is None or postgres.pooler:
        return
    asked = sum(
        agent.policies.max_concurrency * agent.replicas
        for agent in site.spec.agents.values()
        if "postgres" in (agent.checkpoints, agent.memory_store)
    )
    free = postgres.max_connections - catalog.platform().postgres_reserved
    if asked > free:
        yield Finding(
            ("services", "postgres", "maxConnections"),
            f"agents may want {asked} connections at once; PostgreSQL gives {free} to others than "
            "its administrators",
            "'pooler: true', or a lower 'maxConcurrency' of the agents",
        )


def _replicas(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.environment != "prod" or spec.topology != "datacenter-cluster":
        return
    for key, store in stores(spec.services):
        if key in ("redis", "postgres") and store.replicas < 2:
            yield Finding(
                ("services", key, "replicas"), f"{key} has one replica in production", "'replicas: 2' or more"
            )


def _postgres_key(site: Site, _: Inventory) -> Iterator[Finding]:
    postgres = site.spec.services.postgres
    if postgres is not None and postgres.auth is not None and postgres.auth.kubernetes.key != "password":
        yield Finding(
            ("services", "postgres", "auth", "kubernetes", "key"),
            f"PostgreSQL's password is under {postgres.auth.kubernetes.key!r}; its operator reads "
            "`username` and `password`",
            "'key: password'",
        )


def _scan(site: Site, _: Inventory) -> Iterator[Finding]:
    registry = site.spec.services.mcp_registry
    if registry is not None and not registry.scan and site.spec.environment == "prod":
        yield Finding(
            ("services", "mcpRegistry", "scan"),
            "the MCP registry lists servers that nobody has scanned",
            "'scan: true'",
        )


RULES = (
    Rule(
        code="SVC001",
        summary="Langfuse has the four stores that it needs",
        source="requirement D9",
        check_site=_langfuse,
    ),
    Rule(
        code="SVC002",
        summary="Temporal and the MCP registry have PostgreSQL",
        source="requirements D2, D5, E1; gpu-facts 4.3",
        check_site=_postgres,
    ),
    Rule(
        code="SVC003",
        summary="Celery's broker is a service of the site",
        source="requirement D6",
        check_site=_broker,
    ),
    Rule(
        code="SVC004",
        summary="a message bus has an odd number of replicas",
        source="RabbitMQ, clustering guide; NATS, JetStream clustering (a quorum is ½ of the size + 1)",
        severity="warning",
        check_site=_quorum,
    ),
    Rule(
        code="SVC008",
        summary="services run in node pools of their site",
        source="requirement A11",
        check_site=_pools,
    ),
    Rule(
        code="SVC009",
        summary="Redis fits a node's memory",
        source="requirement D1; facts 3.4 (memory that pods get)",
        check_site=_redis_memory,
    ),
    Rule(
        code="SVC010",
        summary="stores talk with encryption",
        source="requirement B11",
        check_site=_tls,
    ),
    Rule(
        code="SVC011",
        summary="stores are encrypted at rest",
        source="requirements B11, D20",
        check_site=_encrypted,
    ),
    Rule(
        code="SVC012",
        summary="what Redis holds beside a cache survives its restart",
        source="requirements D1, D6, D8, D9",
        severity="warning",
        check_site=_persists,
    ),
    Rule(
        code="SVC013",
        summary="PostgreSQL has connections for the agents that use it, or a pooler",
        source="requirement D1; PostgreSQL documentation, 19.3 (superuser_reserved_connections)",
        severity="warning",
        check_site=_connections,
    ),
    Rule(
        code="SVC014",
        summary="Redis and PostgreSQL have a second replica in a production cluster",
        source="requirements D1, D2, D18",
        severity="warning",
        check_site=_replicas,
    ),
    Rule(
        code="SVC015",
        summary="the MCP registry of production scans what it lists",
        source="requirements E1, I8",
        severity="warning",
        check_site=_scan,
    ),
    Rule(
        code="SVC016",
        summary="PostgreSQL's password is under the key that its operator reads",
        source="CloudNativePG documentation, bootstrap (initdb.secret)",
        check_site=_postgres_key,
    ),
)
