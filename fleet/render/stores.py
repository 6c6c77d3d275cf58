"""What an agent is told about the site's services, by the environment that their clients read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleet.model.agents import Agent
from fleet.model.services import MessageBus, Postgres, Redis, Temporal
from fleet.model.site import SiteSpec
from fleet.render.environment import CA_BUNDLE
from fleet.render.service_charts import DOMAIN, password_of


@dataclass(frozen=True)
class Password:
    """A password in the environment: `variable`, from `key` of `secret` in the namespace `agents`."""

    variable: str
    secret: str
    key: str
    required: bool = True
    """Whether the agent can't start without it."""


@dataclass(frozen=True)
class Access:
    """How an agent gets to a service.

    `service` is its name in the label `fleet/service`, which its pods have; `variables` may name a password's
    variable as `$(…)`, which the kubelet fills in; `label` is one of the agent's own, by which it is let in.
    """

    service: str
    port: int
    variables: Mapping[str, str]
    password: Password | None = None
    label: str | None = None


def accesses(spec: SiteSpec, agent: Agent) -> Iterator[Access]:
    """Of an agent: stores that it names, Temporal where it is long-running, the bus and the registry of MCP
    servers where the site has them. What the site does not run is left out (AGT013, AGT014 say so)."""
    services = spec.services
    stores = {agent.checkpoints, agent.memory_store}
    if "postgres" in stores and services.postgres is not None:
        yield _postgres(services.postgres)
    if "redis" in stores and services.redis is not None:
        yield _redis(services.redis)
    if agent.long_running and services.temporal is not None:
        yield _temporal(services.temporal)
    if services.bus is not None and services.bus.kind == "nats":
        yield _nats(services.bus)
    if services.mcp_registry is not None:
        variables = {"MCP_REGISTRY_URL": f"http://mcp-registry.{DOMAIN}"}
        yield Access("mcp-registry", 8080, variables)


def _redis(store: Redis) -> Access:
    """`REDIS_URL`: redisvl 0.28.0, on which langgraph-checkpoint-redis stands, reads it. A password in it
    must be fit for a URL."""
    scheme = "rediss" if store.tls else "redis"
    url = f"{scheme}://default:$(REDIS_PASSWORD)@valkey.{DOMAIN}:6379/0"
    password = Password("REDIS_PASSWORD", *password_of(store, "redis"))
    return Access("valkey", 6379, {"REDIS_URL": url}, password, "fleet/store-redis")


def _postgres(store: Postgres) -> Access:
    """`PG*`: read by libpq, and so by langgraph-checkpoint-postgres (PostgreSQL, libpq-envars)."""
    host = "postgres-pooler" if store.pooler else "postgres-rw"
    variables = {
        "PGHOST": f"{host}.{DOMAIN}",
        "PGPORT": "5432",
        "PGDATABASE": "app",
        "PGUSER": "app",
        "PGSSLMODE": "verify-full" if store.tls else "prefer",
        "PGSSLROOTCERT": CA_BUNDLE,
    }
    # The key is CloudNativePG's, whatever `auth` says (SVC016).
    password = Password("PGPASSWORD", password_of(store, "postgres")[0], "password")
    return Access("postgres", 5432, variables, password, "fleet/store-postgres")


def _temporal(temporal: Temporal) -> Access:
    """docs.temporal.io, references/client-environment-configuration. The frontend speaks no TLS here."""
    variables = {
        "TEMPORAL_ADDRESS": f"temporal-frontend.{DOMAIN}:7233",
        "TEMPORAL_NAMESPACE": temporal.namespace,
        "TEMPORAL_TLS": "false",
        "TEMPORAL_TASK_QUEUES": ",".join(temporal.task_queues),
    }
    return Access("temporal", 7233, {key: value for key, value in variables.items() if value})


def _nats(bus: MessageBus) -> Access:
    """No client of NATS reads these by itself: the agent's own code does, where it uses the bus at all."""
    scheme = "tls" if bus.tls else "nats"
    secret, key = password_of(bus, "nats")
    variables = {"NATS_URL": f"{scheme}://nats.{DOMAIN}:4222", "NATS_USER": "app"}
    return Access("nats", 4222, variables, Password("NATS_PASSWORD", secret, key, required=False))
