"""PostgreSQL by CloudNativePG: the operator, its Cluster, a pooler, and backups."""

from typing import Any
from urllib.parse import urlsplit

from fleet.catalog import limits
from fleet.model.services import Backup, Postgres
from fleet.model.site import SiteSpec
from fleet.render.controllers import image
from fleet.render.placement import footprint, on_pool, pinned_image
from fleet.render.releases import release
from fleet.render.section import api_server_networks
from fleet.render.service_charts import password_of
from fleet.render.templating import render_template

OPERATOR_NAMESPACE = "cnpg-system"


def operator(spec: SiteSpec) -> str:
    """The operator's release, which brings the kinds that `cluster` uses."""
    values = {
        "image": image(spec, "cloudnative-pg", "ghcr.io/cloudnative-pg/cloudnative-pg"),
        "resources": footprint(spec, ("20m", "128Mi"), ("100m", "256Mi")),
        **on_pool(spec),
    }
    return release(spec, "cloudnative-pg", OPERATOR_NAMESPACE, values)


def databases(spec: SiteSpec) -> list[tuple[str, str]]:
    """Databases beside the agents' `app`, each with its owner; a role's password is in `postgres-ROLE`."""
    services = spec.services
    found = [("temporal", "temporal"), ("temporal_visibility", "temporal")] if services.temporal else []
    found += [("langfuse", "langfuse")] if services.langfuse else []
    return found + ([("mcp", "mcp")] if services.mcp_registry else [])


def cluster(spec: SiteSpec, store: Postgres) -> str:
    """The objects of CloudNativePG, API `postgresql.cnpg.io/v1` of version 1.30.

    Backups go to `s3://HOST/BUCKET/PATH` and `azblob://HOST/CONTAINER/PATH` with the write-ahead log, by the
    operator, with keys from the Secret `postgres-backup`; to `nfs://HOST/PATH` as dumps, by a CronJob.
    """
    target = urlsplit(store.backup.target) if store.backup else None
    kind = target.scheme if target else ""
    return render_template(
        "services/postgres.yaml.j2",
        site=spec.name,
        store=store,
        password_secret=password_of(store, "postgres")[0],
        image=_operand(spec, store),
        affinity={**on_pool(spec, store.node_pool), "podAntiAffinityType": "preferred"},
        resources=footprint(spec, ("100m", "512Mi"), ("500m", "2Gi")),
        roles=sorted({owner for _, owner in databases(spec)}),
        databases=databases(spec),
        schedule=cron(store.backup) if store.backup else None,
        archive=_archive(store.backup) if store.backup and kind in ("s3", "azblob") else None,
        archive_port=(target.port if target else None) or 443,
        dump={"server": target.hostname, "path": target.path} if target and kind == "nfs" else None,
        pooler_image=pinned_image(spec, "cloudnative-pg", "ghcr.io/cloudnative-pg/pgbouncer"),
        pooler_placement=on_pool(spec, store.node_pool),
        pooler_resources=footprint(spec, ("20m", "64Mi"), ("100m", "128Mi")),
        api_servers=api_server_networks(spec),
        inside=[str(spec.kubernetes.pod_cidr), str(limits().service_cidr)],
    )


def _operand(spec: SiteSpec, store: Postgres) -> str:
    """The image of the asked-for major version; its "standard" flavour has pgvector (from memory)."""
    tag = f"{store.version}-standard-bookworm"
    return pinned_image(spec, "cloudnative-pg", "ghcr.io/cloudnative-pg/postgresql", tag)


def _archive(backup: Backup) -> dict[str, Any]:
    """Where base backups and the write-ahead log go, in the operator's words."""
    target = urlsplit(backup.target)
    compressed = {"wal": {"compression": "gzip"}, "data": {"compression": "gzip"}}
    if target.scheme == "azblob":
        key = {"connectionString": {"name": "postgres-backup", "key": "connection-string"}}
        return {
            "destinationPath": f"https://{target.netloc}{target.path}",
            "azureCredentials": key,
            **compressed,
        }
    keys = {
        "accessKeyId": {"name": "postgres-backup", "key": "access-key-id"},
        "secretAccessKey": {"name": "postgres-backup", "key": "secret-access-key"},
    }
    return {
        "destinationPath": f"s3:/{target.path}",
        "endpointURL": f"https://{target.netloc}",
        "s3Credentials": keys,
        **compressed,
    }


def cron(backup: Backup) -> str:
    """When to copy, at least as often as `everyHours` says: by the day, or by hours that divide it."""
    if backup.every_hours >= 24:
        days = backup.every_hours // 24
        return "0 2 * * *" if days == 1 else f"0 2 */{days} * *"
    hours = max(hours for hours in (1, 2, 3, 4, 6, 8, 12) if hours <= backup.every_hours)
    return f"0 */{hours} * * *"
