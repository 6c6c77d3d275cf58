"""Rules about copies of the stores."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.model.site import SiteSpec

from .services import stores
from .urls import host_of

_IN_CLUSTER = (".svc", ".svc.cluster.local", ".cluster.local")
"""How names of Kubernetes services end."""


def _backed_up(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.environment != "prod":
        return
    for key, store in stores(site.spec.services):
        if key in ("postgres", "clickhouse") and store.backup is None:
            yield Finding(
                ("services", key),
                f"{key} is in production and has no backup",
                "add 'backup: {everyHours: 24, keepDays: 14, target: …}'",
            )


def _inside(spec: SiteSpec, host: str) -> bool:
    """Whether a backup's host is part of the cluster whose stores it copies."""
    if host.endswith(_IN_CLUSTER):
        return True
    try:
        address = IPv4Address(host)
    except ValueError:
        return False
    network = spec.kubernetes.network
    ranges = [network.pool, *([network.load_balancer] if network.load_balancer else [])]
    return (
        address in spec.kubernetes.pod_cidr
        or address in catalog.limits().service_cidr
        or any(given.start <= address <= given.end for given in ranges)
    )


def _outside(site: Site, _: Inventory) -> Iterator[Finding]:
    for key, store in stores(site.spec.services):
        if store.backup is None:
            continue
        host = host_of(store.backup.target)
        if host is not None and _inside(site.spec, host):
            yield Finding(
                ("services", key, "backup", "target"),
                f"the copies of {key} go to {host}, which is lost with the cluster",
                "a place outside the cluster, such as nfs://backup.example/fleet",
            )


def _no_gap(site: Site, _: Inventory) -> Iterator[Finding]:
    for key, store in stores(site.spec.services):
        backup = store.backup
        if backup is not None and backup.keep_days * 24 < backup.every_hours:
            yield Finding(
                ("services", key, "backup", "keepDays"),
                f"copies of {key} are kept for {backup.keep_days} days and made every {backup.every_hours} "
                "hours, so that at times there is none",
                f"at least 'keepDays: {-(-backup.every_hours // 24)}'",
            )


RULES = (
    Rule(
        code="SVC005",
        summary="PostgreSQL and ClickHouse are backed up in production",
        source="requirements D2, D18, M16",
        severity="warning",
        check_site=_backed_up,
    ),
    Rule(
        code="SVC006",
        summary="a backup is not kept in the cluster that it is of",
        source="requirement M16",
        check_site=_outside,
    ),
    Rule(
        code="SVC007",
        summary="a copy is kept until the next one is made",
        source="requirement M16",
        check_site=_no_gap,
    ),
)
