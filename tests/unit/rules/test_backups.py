"""Rules about copies of the stores. Graz gets PostgreSQL; its nodes are 10.30.2.16 to 10.30.2.60."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

RUNBOOK = ("certificate-renewal, capacity]", "certificate-renewal, capacity, restore]")
"""What a fleet with backups has, too (OPS004)."""


def postgres(backup: str | None, more: str = "") -> Edits:
    """Graz, with PostgreSQL and its backup, and other services."""
    said = f", backup: {{{backup}}}" if backup is not None else ""
    text = f"services: {{postgres: {{storageGib: 20, replicas: 2{said}}}{more}}}\n"
    return {GRAZ: [("", text)], FLEET: [RUNBOOK] if said else []}


def target(text: str) -> Edits:
    """Graz, with a place for the copies."""
    return postgres(f"everyHours: 24, keepDays: 14, target: '{text}'")


def kept(hours: int, days: int) -> Edits:
    """Graz, with a time between copies and a time that they are kept."""
    return postgres(f"everyHours: {hours}, keepDays: {days}, target: 'nfs://backup.factory.example/graz'")


CASES = {
    "SVC005": Cases(
        fires=[Case(postgres(None), "sites/graz.yaml:1 postgres is in production and has no backup"),
               Case(postgres(None, ", clickhouse: {storageGib: 20}"),
                    ("sites/graz.yaml:1 postgres is in production and has no backup", "sites/graz.yaml:1 clickhouse is in production and has no backup"))],
        near=[target("nfs://backup.factory.example/graz"), {**postgres(None), FLEET: [("environment: prod", "environment: dev")]}],
    ),
    "SVC006": Cases(
        fires=[Case(target("s3://minio.platform.svc/backups"), "sites/graz.yaml:1 the copies of postgres go to minio.platform.svc, which is lost with the cluster"),
               Case(target("s3://minio.platform.svc.cluster.local:9000/backups"), "sites/graz.yaml:1 the copies of postgres go to minio.platform.svc.cluster.local, which"),
               Case(target("nfs://10.30.2.16/backups"), "sites/graz.yaml:1 the copies of postgres go to 10.30.2.16"),
               Case(target("nfs://10.30.2.90/backups"), "sites/graz.yaml:1 the copies of postgres go to 10.30.2.90"),
               Case(target("nfs://10.244.1.9/backups"), "sites/graz.yaml:1 the copies of postgres go to 10.244.1.9"),
               Case(target("smb://10.96.1.9/backups"), "sites/graz.yaml:1 the copies of postgres go to 10.96.1.9", also=("CMP002",))],
        near=[target("nfs://[nas.factory.example/x"), target("s3://minio.platform.svc.factory.example/backups"), target("nfs://10.30.2.61/backups"), target("nfs://10.30.2.91/backups"),
              target("nfs://10.243.255.255/backups"), target("azblob://fleetbackups/graz"), target("s3:///backups")],
    ),
    "SVC007": Cases(
        fires=[Case(kept(25, 1), "sites/graz.yaml:1 copies of postgres are kept for 1 days and made every 25 hours", help="at least 'keepDays: 2'"),
               Case(kept(168, 6), "sites/graz.yaml:1 copies of postgres are kept for 6 days and made every 168 hours", help="at least 'keepDays: 7'")],
        near=[kept(24, 1), kept(168, 7)],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
