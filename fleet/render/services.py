"""What agents stand on: stores, workflows, a message bus, traces; each where the inventory switches it on."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fleet.model.services import ClickHouse, Store
from fleet.model.site import SiteSpec
from fleet.render import postgres, service_charts
from fleet.render.placement import footprint, pinned_image, service_certificates, services_pool
from fleet.render.section import BEFORE_PODS, Section, taints_of
from fleet.render.service_charts import service_labels
from fleet.render.templating import render_template

Labels = Mapping[str, str]


class Access(NamedTuple):
    """Who may reach a service: callers by namespace and labels, on these ports."""

    name: str
    pods: Labels
    ports: tuple[int, ...]
    callers: tuple[tuple[str, Labels], ...]


SEAWEEDFS: Labels = {"app.kubernetes.io/instance": "seaweedfs"}
"""The chart's own label: the pod that makes the buckets has no other."""


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The sections `operators` and, after them, `services`."""
    services = spec.services
    if services.postgres is not None:
        namespace = {"name": postgres.OPERATOR_NAMESPACE, "pod_security": "restricted"}
        files = {
            "cloudnative-pg.yaml": postgres.operator(spec),
            "namespaces.yaml": render_template(
                "platform/namespaces.yaml.j2", site=spec, namespaces=[namespace]
            ),
        }
        yield Section("operators", "platform/operators", files, ("platform",), "15m")
    files = dict(_files(spec))
    if not files:
        return
    files["network.yaml"] = render_template(
        "services/network.yaml.j2", services=[access._asdict() for access in accesses(spec)]
    )
    served = _served(spec)
    if served:
        files["certificates.yaml"] = service_certificates(spec, "platform", served)
    after = (*BEFORE_PODS, "controllers", "operators")
    yield Section("services", "platform/services", files, after, "15m")


def _files(spec: SiteSpec) -> Iterator[tuple[str, str]]:
    services = spec.services
    if services.postgres is not None:
        yield "postgres.yaml", postgres.cluster(spec, services.postgres)
    if services.redis is not None:
        yield "valkey.yaml", service_charts.valkey(spec, services.redis)
    if services.blob_store is not None:
        yield "seaweedfs.yaml", service_charts.seaweedfs(spec, services.blob_store)
    if services.clickhouse is not None:
        yield "clickhouse.yaml", _clickhouse(spec, services.clickhouse)
    if services.temporal is not None and services.postgres is not None:
        yield "temporal.yaml", service_charts.temporal(spec, services.temporal)
    if services.langfuse is not None:
        yield "langfuse.yaml", service_charts.langfuse(spec, services.langfuse)
    if services.bus is not None and services.bus.kind == "nats":
        yield "nats.yaml", service_charts.nats(spec, services.bus)
    if services.mcp_registry is not None:
        yield "mcp-registry.yaml", _mcp_registry(spec)


def _served(spec: SiteSpec) -> dict[str, tuple[str, ...]]:
    """Services that speak TLS themselves, by their names, with other hosts that they answer for."""
    services = spec.services
    bus = services.bus if services.bus and services.bus.kind == "nats" else None
    found: dict[str, tuple[Store | None, tuple[str, ...]]] = {
        "clickhouse": (services.clickhouse, ()),
        "nats": (bus, ("*.nats-headless",)),
        "seaweedfs-all-in-one": (services.blob_store, ()),
        "valkey": (services.redis, ("*.valkey-headless",)),
    }
    served = {name: hosts for name, (store, hosts) in found.items() if store is not None and store.tls}
    if services.postgres is not None:  # by the operator, always
        served["postgres"] = ("postgres-rw", "postgres-ro", "postgres-r", "postgres-pooler")
    return served


def accesses(spec: SiteSpec) -> Iterator[Access]:
    """Who may reach which service of the site: those that name it, and nobody else."""
    services = spec.services
    langfuse = (("platform", service_labels("langfuse")),) if services.langfuse is not None else ()
    temporal = (("platform", service_labels("temporal")),) if services.temporal is not None else ()
    if services.postgres is not None:
        registry = (
            (("platform", service_labels("mcp-registry")),) if services.mcp_registry is not None else ()
        )
        backup = services.postgres.backup
        dumps = backup is not None and backup.target.startswith("nfs:")
        dump: tuple[tuple[str, Labels], ...] = (("platform", {"app": "postgres-dump"}),) if dumps else ()
        agents: tuple[tuple[str, Labels], ...] = (("agents", {"fleet/store-postgres": "yes"}),)
        yield Access(
            "postgres", service_labels("postgres"), (5432,), agents + langfuse + temporal + registry + dump
        )
    if services.redis is not None:
        callers = (("agents", {"fleet/store-redis": "yes"}), *langfuse)
        yield Access("valkey", service_labels("valkey"), (6379,), callers)
    if services.blob_store is not None:
        yield Access("seaweedfs", SEAWEEDFS, (8333,), langfuse)
    if services.clickhouse is not None:
        yield Access(
            "clickhouse",
            service_labels("clickhouse"),
            service_charts.clickhouse_ports(services.clickhouse),
            langfuse,
        )
    if services.temporal is not None:
        yield Access("temporal", service_labels("temporal"), (7233,), (("agents", {"fleet/role": "agent"}),))
    if services.langfuse is not None:
        yield Access(
            "langfuse", service_labels("langfuse"), (3000,), (("observability", service_labels("collector")),)
        )
    if services.bus is not None and services.bus.kind == "nats":
        yield Access("nats", service_labels("nats"), (4222,), (("agents", {"fleet/role": "agent"}),))
    if services.mcp_registry is not None:
        yield Access(
            "mcp-registry", service_labels("mcp-registry"), (8080,), (("agents", {"fleet/role": "agent"}),)
        )


def _clickhouse(spec: SiteSpec, store: ClickHouse) -> str:
    pool = services_pool(spec, store.node_pool)
    return render_template(
        "services/clickhouse.yaml.j2",
        store=store,
        image=pinned_image(spec, "clickhouse", "docker.io/clickhouse/clickhouse-server"),
        secret=service_charts.password_of(store, "clickhouse"),
        ports=service_charts.clickhouse_ports(store),
        scheme="HTTPS" if store.tls else "HTTP",
        resources=footprint(spec, ("100m", "1Gi"), ("1", "4Gi")),
        pool=pool,
        taints=taints_of(spec, pool),
    )


def _mcp_registry(spec: SiteSpec) -> str:
    pool = services_pool(spec)
    return render_template(
        "services/mcp-registry.yaml.j2",
        image=pinned_image(spec, "mcp-registry", "ghcr.io/modelcontextprotocol/registry"),
        resources=footprint(spec, ("50m", "64Mi"), ("100m", "256Mi")),
        pool=pool,
        taints=taints_of(spec, pool),
    )
