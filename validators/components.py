"""Rules about third parties' software that a site switches on."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.model.site import SiteSpec
from fleet.render.components import used


def _pinned(site: Site, _: Inventory) -> Iterator[Finding]:
    for use in used(site.spec):
        if use.component not in site.spec.components:
            yield Finding(
                use.path,
                f"this runs {use.component}, and 'components' does not say which: its digest is missing",
                f"add '{use.component}: {{digest: sha256:…}}' under 'components:'",
            )


def _of_one(spec: SiteSpec) -> Iterator[tuple[str, int]]:
    """Stores that are rendered with one replica, by their key; and how many are asked for."""
    services = spec.services
    for key, store in (
        ("blobStore", services.blob_store),
        ("clickhouse", services.clickhouse),
        ("metrics", services.metrics),
    ):
        if store is not None:
            yield key, store.replicas


def _can_be_run(site: Site, _: Inventory) -> Iterator[Finding]:
    for key, replicas in _of_one(site.spec):
        if replicas > 1:
            yield Finding(
                ("services", key, "replicas"),
                f"{key} is run with one replica here, and {replicas} are asked for",
                "'replicas: 1', with a 'backup'",
            )
    bus = site.spec.services.bus
    if bus is not None and bus.kind != "nats":
        yield Finding(
            ("services", "bus", "kind"),
            f"{bus.kind} is not among the software that fleet installs",
            "'kind: nats'; or run it yourself, and leave 'bus' out",
        )
    postgres = site.spec.services.postgres
    if postgres is not None and postgres.backup is not None and postgres.backup.target.startswith("smb:"):
        yield Finding(
            ("services", "postgres", "backup", "target"),
            "copies of PostgreSQL are not made to shares over SMB: Kubernetes mounts none by itself",
            "'target: nfs://…', 's3://…' or 'azblob://…'",
        )


RULES = (
    Rule(
        code="CMP001",
        summary="what a site switches on has a digest under 'components'",
        source="requirements I1, I11",
        check_site=_pinned,
    ),
    Rule(
        code="CMP002",
        summary="services are such as fleet installs",
        source="templates/platform/services; fleet/catalog/components.yaml",
        check_site=_can_be_run,
    ),
)
