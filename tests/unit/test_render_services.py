"""The site's services as the inventory has them: wired to each other by names and Secrets, reached by few."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
import yaml

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.services import Backup, Services
from fleet.model.site import SiteSpec
from fleet.render import services
from fleet.render.placement import pinned_image, services_pool
from fleet.render.postgres import cron
from tests.factory import factory_inventory

ALL: Mapping[str, Any] = {
    "redis": {"storageGib": 5, "replicas": 3},
    "postgres": {"storageGib": 20, "replicas": 2},
    "blobStore": {"storageGib": 9, "bucket": "traces"},
    "clickhouse": {"storageGib": 9},
    "temporal": {"namespace": "orders", "retentionDays": 3, "historyShards": 128},
    "langfuse": {"retentionDays": 30, "webReplicas": 2},
    "bus": {"kind": "nats", "storageGib": 9, "replicas": 3},
    "mcpRegistry": {},
}


def spec_of(name: str = "graz", **wanted: Any) -> SiteSpec:
    site = factory_inventory().site(name)
    assert site is not None
    return site.spec.model_copy(update={"services": Services.model_validate(wanted)})


def objects(spec: SiteSpec) -> dict[str, Any]:
    texts = [text for section in services.sections(spec) for text in section.files.values()]
    found = [value for text in texts for value in yaml.safe_load_all(text) if value]
    named = {f"{value['kind']}/{value['metadata']['name']}": value for value in found}
    assert len(named) == len(found)
    return named


def values(spec: SiteSpec, release: str) -> Any:
    return objects(spec)[f"HelmRelease/{release}"]["spec"]["values"]


def backup(target: str, hours: int = 24) -> dict[str, Any]:
    return {"everyHours": hours, "keepDays": 14, "target": target}


def test_without_services_there_is_nothing() -> None:
    assert list(services.sections(spec_of())) == []


def test_the_operator_comes_before_what_needs_its_kinds() -> None:
    operators, rest = services.sections(spec_of(**ALL))
    assert (operators.name, rest.name) == ("operators", "services")
    assert "operators" in rest.after
    assert "postgresql.cnpg.io" not in "".join(operators.files.values())


def test_no_service_names_a_secrets_value() -> None:
    """Every password comes from a Secret: no text beside `password` and the like but a reference to one."""

    def check(value: Any, at: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                if key.lower() in ("password", "secret", "token"):
                    assert isinstance(item, Mapping) or item == "<< $NATS_PASSWORD >>", f"{at}.{key}"
                check(item, f"{at}.{key}")
        elif isinstance(value, list):
            for item in value:
                check(item, at)

    for name, item in objects(spec_of(**ALL)).items():
        if item["kind"] == "HelmRelease":
            check(item["spec"]["values"], name)


def test_postgres_is_a_cluster_with_its_databases_and_a_pooler() -> None:
    found = objects(spec_of(**{**ALL, "postgres": {"storageGib": 20, "replicas": 2, "pgvector": True, "version": 16, "maxConnections": 300}}))  # fmt: skip
    cluster = found["Cluster/postgres"]["spec"]
    assert cluster["instances"] == 2
    assert ":16-standard-bookworm" in cluster["imageName"]
    assert cluster["postgresql"]["parameters"] == {"max_connections": "300"}
    assert cluster["bootstrap"]["initdb"]["postInitApplicationSQL"] == [
        "CREATE EXTENSION IF NOT EXISTS vector"
    ]
    assert [role["name"] for role in cluster["managed"]["roles"]] == ["langfuse", "mcp", "temporal"]
    owners = {d["spec"]["name"]: d["spec"]["owner"] for k, d in found.items() if k.startswith("Database/")}
    assert owners == {"temporal": "temporal", "temporal_visibility": "temporal", "langfuse": "langfuse", "mcp": "mcp"}  # fmt: skip
    assert found["Pooler/postgres-pooler"]["spec"]["pgbouncer"]["poolMode"] == "session"
    names = found["Certificate/postgres-tls"]["spec"]["dnsNames"]
    assert {"postgres-rw.platform.svc.cluster.local", "postgres-pooler.platform.svc.cluster.local"} <= set(
        names
    )


def test_alone_postgres_has_the_agents_database_only() -> None:
    found = objects(spec_of(postgres={"storageGib": 20, "pooler": False}))
    assert not [
        name for name in found if name.startswith(("Database/", "Pooler/", "CronJob/", "ScheduledBackup/"))
    ]
    assert "managed" not in found["Cluster/postgres"]["spec"]


@pytest.mark.parametrize(
    ("target", "archive"),
    [
        ("s3://backup.factory.example/fleet/graz", {"destinationPath": "s3://fleet/graz", "endpointURL": "https://backup.factory.example"}),
        ("azblob://store.blob.core.windows.net/fleet/graz", {"destinationPath": "https://store.blob.core.windows.net/fleet/graz"}),
    ],
)  # fmt: skip
def test_an_archive_goes_where_the_inventory_says(target: str, archive: Mapping[str, str]) -> None:
    found = objects(spec_of(postgres={"storageGib": 20, "backup": backup(target)}))
    kept = found["Cluster/postgres"]["spec"]["backup"]
    assert kept["retentionPolicy"] == "14d"
    assert archive.items() <= kept["barmanObjectStore"].items()
    assert found["ScheduledBackup/postgres"]["spec"]["schedule"] == "0 0 2 * * *"
    assert "CronJob/postgres-dump" not in found


def test_a_share_gets_dumps() -> None:
    found = objects(
        spec_of(postgres={"storageGib": 20, "backup": backup("nfs://nas.factory.example/fleet/graz", 6)})
    )
    job = found["CronJob/postgres-dump"]["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    assert job["schedule"] == "0 */6 * * *"
    assert pod["volumes"][0]["nfs"] == {"server": "nas.factory.example", "path": "/fleet/graz"}
    assert "-mtime +14 " in pod["containers"][0]["args"][0]
    assert found["Cluster/postgres"]["spec"]["enableSuperuserAccess"] is True
    assert "backup" not in found["Cluster/postgres"]["spec"]


@pytest.mark.parametrize(
    ("hours", "schedule"),
    [(1, "0 */1 * * *"), (5, "0 */4 * * *"), (12, "0 */12 * * *"), (23, "0 */12 * * *"), (24, "0 2 * * *"), (47, "0 2 * * *"), (48, "0 2 */2 * *"), (168, "0 2 */7 * *")],
)  # fmt: skip
def test_copies_are_made_at_least_as_often_as_said(hours: int, schedule: str) -> None:
    assert cron(Backup.model_validate(backup("nfs://a/b", hours))) == schedule


@pytest.mark.parametrize(
    ("persistence", "line", "policy"),
    [("aof", "appendonly yes", "noeviction"), ("rdb", "save 3600", "noeviction"), ("none", 'save ""', "allkeys-lru")],
)  # fmt: skip
def test_valkey_keeps_what_was_said(persistence: str, line: str, policy: str) -> None:
    config = values(spec_of(redis={"storageGib": 5, "persistence": persistence, "maxMemoryMib": 256}), "valkey")["valkeyConfig"]  # fmt: skip
    assert line in config
    assert f"maxmemory-policy {policy}" in config
    assert "maxmemory 256mb" in config


def test_valkey_alone_and_with_replicas() -> None:
    alone = values(spec_of(redis={"storageGib": 5, "storageClass": "fast", "tls": False}), "valkey")
    assert alone["dataStorage"]["className"] == "fast"
    assert {"replica", "tls", "podDisruptionBudget"}.isdisjoint(alone)
    three = values(spec_of(redis={"storageGib": 5, "replicas": 3}), "valkey")
    assert three["replica"]["replicas"] == 2
    assert three["podDisruptionBudget"]["enabled"] is True
    assert three["tls"]["existingSecret"] == "valkey-tls"


def test_langfuse_is_wired_to_the_sites_four_stores() -> None:
    auth = {"kubernetes": {"name": "cache", "key": "secret"}}
    found = values(spec_of(**{**ALL, "redis": {"storageGib": 5, "auth": auth}}), "langfuse")
    assert {
        part: found[part]["deploy"] for part in ("postgresql", "redis", "clickhouse", "s3")
    } == dict.fromkeys(("postgresql", "redis", "clickhouse", "s3"), False)
    assert found["redis"]["auth"] == {"username": "default", "existingSecret": "cache", "existingSecretPasswordKey": "secret"}  # fmt: skip
    assert found["clickhouse"]["host"] == "https://clickhouse.platform.svc.cluster.local"
    assert found["s3"]["bucket"] == "traces"
    assert found["langfuse"]["web"]["pdb"] == {"create": True}
    assert found["langfuse"]["worker"]["pdb"] == {"create": False}
    assert found["langfuse"]["features"]["telemetryEnabled"] is False


def test_temporal_has_its_shards_and_namespace() -> None:
    config = values(spec_of(**ALL), "temporal")["server"]["config"]
    assert config["persistence"]["numHistoryShards"] == 128
    assert config["namespaces"]["namespace"] == [{"name": "orders", "retention": "3d"}]
    assert config["persistence"]["datastores"]["default"]["sql"]["tls"]["enableHostVerification"] is True


def test_services_go_to_their_pool_with_its_taints() -> None:
    spec = spec_of(redis={"storageGib": 5, "nodePool": "inference"}, postgres={"storageGib": 5})
    assert values(spec, "valkey")["nodeSelector"] == {"fleet/node-pool": "inference"}
    affinity = objects(spec)["Cluster/postgres"]["spec"]["affinity"]
    assert affinity["nodeSelector"] == {"fleet/node-pool": spec.kubernetes.system_pool}
    pool = spec.kubernetes.node_pools["inference"].model_copy(update={"purpose": "services"})
    kubernetes = spec.kubernetes.model_copy(
        update={"node_pools": {**spec.kubernetes.node_pools, "inference": pool}}
    )
    assert services_pool(spec.model_copy(update={"kubernetes": kubernetes})) == "inference"


def test_a_pilot_asks_for_less() -> None:
    small, usual = (
        objects(spec_of(name, postgres={"storageGib": 5}))["Cluster/postgres"]["spec"]["resources"][
            "requests"
        ]
        for name in ("turin", "graz")
    )
    assert (small["memory"], usual["memory"]) == ("512Mi", "2Gi")


def test_only_who_names_a_service_reaches_it() -> None:
    reached = {
        access.name: [labels for _, labels in access.callers] for access in services.accesses(spec_of(**ALL))
    }
    assert reached["clickhouse"] == reached["seaweedfs"] == [{"fleet/service": "langfuse"}]
    assert reached["valkey"] == [{"fleet/store-redis": "yes"}, {"fleet/service": "langfuse"}]
    alone = {
        a.name: a.callers
        for a in services.accesses(spec_of(redis={"storageGib": 5}, clickhouse={"storageGib": 5}))
    }
    assert alone["clickhouse"] == ()
    policy = objects(spec_of(clickhouse={"storageGib": 5}))["NetworkPolicy/clickhouse-allow"]["spec"]
    assert policy["ingress"] == [
        {"from": [{"podSelector": {"matchLabels": {"fleet/service": "clickhouse"}}}]}
    ]


def test_every_caller_in_the_guarded_namespace_has_its_own_end_too() -> None:
    found = objects(spec_of(**ALL))
    for access in services.accesses(spec_of(**ALL)):
        platform = [labels for namespace, labels in access.callers if namespace == "platform"]
        ends = [
            v["spec"]["podSelector"]["matchLabels"]
            for k, v in found.items()
            if k.startswith(f"NetworkPolicy/{access.name}-callers-")
        ]
        assert ends == platform, access.name


def test_what_is_not_installed_is_left_out() -> None:
    """CMP002 says so at the inventory's line."""
    assert list(services.sections(spec_of(bus={"kind": "kafka", "storageGib": 5}))) == []


def test_a_service_without_a_digest_is_refused() -> None:
    bare = spec_of(redis={"storageGib": 5}).model_copy(update={"components": {}})
    with pytest.raises(FleetError, match="valkey is switched on") as caught:
        objects(bare)
    assert caught.value.code == "TPL003"


def test_an_image_that_the_catalogue_does_not_list_is_no_image() -> None:
    with pytest.raises(KeyError, match="no image"):
        pinned_image(spec_of(), "cloudnative-pg", "ghcr.io/cloudnative-pg/postgresql", "9-minimal")


def test_the_same_inventory_gives_the_same_bytes() -> None:
    texts = [[dict(section.files) for section in services.sections(spec_of(**ALL))] for _ in range(2)]
    assert all(a == b for a, b in pairwise(texts))
