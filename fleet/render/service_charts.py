"""The values of the charts that a site's services come as.

Each was put through `helm template` with its pinned chart once, but SeaweedFS', which could not be had.
"""

from collections.abc import Mapping
from typing import Any

from fleet.model.services import BlobStore, ClickHouse, Langfuse, MessageBus, Redis, Store, Temporal
from fleet.model.site import SiteSpec
from fleet.render.controllers import image, split_image
from fleet.render.placement import footprint, on_pool
from fleet.render.releases import component_image, release
from fleet.render.section import memory_quantity
from fleet.render.templating import yaml_block

TRUST = {"name": "trust", "configMap": {"name": "fleet-ca"}}
"""The volume with the site's certificate authority (fleet/render/certificates.py)."""
CA_FILE = "/trust/ca-bundle.crt"
DOMAIN = "platform.svc.cluster.local"


def service_labels(service: str) -> Mapping[str, str]:
    """The label by which policies find a service's pods, whoever's chart makes them."""
    return {"fleet/service": service}


def password_of(store: Store, name: str) -> tuple[str, str]:
    """Secret and key of a store's password, in each namespace that uses it: what `auth` says, else
    `NAME-app` and `password`."""
    if store.auth is None:
        return f"{name}-app", "password"
    return store.auth.kubernetes.name, store.auth.kubernetes.key


def blob_store_keys(store: BlobStore) -> str:
    """The Secret with SeaweedFS' own accounts and keys, in `platform`; the chart reads its key
    `seaweedfs_s3_config` (from memory, to be checked)."""
    return "seaweedfs-s3" if store.auth is None else store.auth.kubernetes.name


def clickhouse_ports(store: ClickHouse) -> tuple[int, int]:
    """HTTP and native, with TLS or without."""
    return (8443, 9440) if store.tls else (8123, 9000)


def _storage_class(store: Store, key: str) -> dict[str, str]:
    return {key: store.storage_class} if store.storage_class is not None else {}


def valkey(spec: SiteSpec, redis: Redis) -> str:
    """One Valkey, or a primary with replicas (valkey/values.yaml of the chart)."""
    secret, key = password_of(redis, "redis")
    saved = {"aof": ["appendonly yes"], "rdb": ["save 3600 1 300 100 60 10000"], "none": ['save ""']}
    # What must not be lost is never thrown out to make room; Langfuse asks for it (its chart's values.yaml).
    policy = "allkeys-lru" if redis.persistence == "none" else "noeviction"
    config = [f"maxmemory {redis.max_memory_mib}mb", f"maxmemory-policy {policy}", *saved[redis.persistence]]
    memory = memory_quantity(redis.max_memory_mib * 3 // 2)  # a rewrite copies what changes meanwhile
    values: dict[str, Any] = {
        "image": split_image(spec, "valkey", "docker.io/valkey/valkey"),
        "podLabels": service_labels("valkey"),
        "resources": {"requests": {"cpu": "50m", "memory": memory}, "limits": {"memory": memory}},
        **on_pool(spec, redis.node_pool),
        "valkeyConfig": "\n".join(config) + "\n",
        "auth": {
            "enabled": True,
            "usersExistingSecret": secret,
            "aclUsers": {"default": {"permissions": "~* &* +@all", "passwordKey": key}},
        },
        "readinessProbe": {"enabled": True},
    }
    size = f"{redis.storage_gib}Gi"
    if redis.replicas > 1:
        values["replica"] = {
            "enabled": True,
            "replicas": redis.replicas - 1,
            "persistence": {"size": size, **_storage_class(redis, "storageClass")},
        }
        values["podDisruptionBudget"] = {"enabled": True, "maxUnavailable": 1}
    else:
        stored = {
            "enabled": True,
            "requestedSize": size,
            "keepPvc": True,
            **_storage_class(redis, "className"),
        }
        values["dataStorage"] = stored
        values["deploymentStrategy"] = "Recreate"
    if redis.tls:
        files = {"serverPublicKey": "tls.crt", "serverKey": "tls.key", "caPublicKey": "ca.crt"}
        values["tls"] = {"enabled": True, "existingSecret": "valkey-tls", **files}
    return release(spec, "valkey", "platform", values)


def seaweedfs(spec: SiteSpec, store: BlobStore) -> str:
    """SeaweedFS in one pod (all-in-one), with an S3 gateway; its keys are in the Secret `seaweedfs-s3`."""
    server: dict[str, Any] = {
        "enabled": True,
        "image": split_image(spec, "seaweedfs", "docker.io/chrislusf/seaweedfs"),
        "s3": {
            "enabled": True,
            "port": 8333,
            "enableAuth": True,
            "existingConfigSecret": blob_store_keys(store),
            "createBuckets": [{"name": store.bucket}],
        },
        "data": {
            "type": "persistentVolumeClaim",
            "size": f"{store.storage_gib}Gi",
            **_storage_class(store, "storageClass"),
        },
        "resources": footprint(spec, ("50m", "256Mi"), ("250m", "1Gi")),
        **{key: _yaml(value) for key, value in on_pool(spec, store.node_pool).items() if value},
    }
    if store.tls:
        server["extraArgs"] = ["-s3.cert.file=/tls/tls.crt", "-s3.key.file=/tls/tls.key"]
        server["extraVolumes"] = _yaml(
            [{"name": "tls", "secret": {"secretName": "seaweedfs-all-in-one-tls"}}]
        )
        server["extraVolumeMounts"] = _yaml([{"name": "tls", "mountPath": "/tls", "readOnly": True}])
    values = {
        **{part: {"enabled": False} for part in ("master", "volume", "filer", "s3")},
        "allInOne": server,
    }
    return release(spec, "seaweedfs", "platform", values)


def _yaml(value: Any) -> str:
    """YAML as text, where a chart puts its values through `tpl`."""
    return yaml_block(value, 0)


def temporal(spec: SiteSpec, settings: Temporal) -> str:
    """Temporal's four services over PostgreSQL (charts/temporal/values/values.postgresql.yaml)."""
    host = f"postgres-rw.{DOMAIN}"
    stores = {
        name: {
            "sql": {
                "pluginName": "postgres12",
                "databaseName": database,
                "connectAddr": f"{host}:5432",
                "connectProtocol": "tcp",
                "user": "temporal",
                "existingSecret": "postgres-temporal",
                "secretKey": "password",
                "createDatabase": False,  # the operator makes it
                "maxConns": 20,
                "tls": {
                    "enabled": True,
                    "enableHostVerification": True,
                    "serverName": host,
                    "caFile": CA_FILE,
                },
            }
        }
        for name, database in (("default", "temporal"), ("visibility", "temporal_visibility"))
    }
    namespace = {"name": settings.namespace, "retention": f"{settings.retention_days}d"}
    server = {
        "image": image(spec, "temporal", "docker.io/temporalio/server"),
        "podLabels": service_labels("temporal"),
        "resources": footprint(spec, ("50m", "128Mi"), ("250m", "512Mi")),
        **on_pool(spec),
        "additionalVolumes": [TRUST],
        "additionalVolumeMounts": [{"name": "trust", "mountPath": "/trust", "readOnly": True}],
        "config": {
            "logLevel": "info",
            "persistence": {"numHistoryShards": settings.history_shards, "datastores": stores},
            # Helm's hooks run before Flux calls the release ready.
            "namespaces": {"create": True, "namespace": [namespace]},
        },
    }
    tools = {
        "enabled": False,
        "image": image(spec, "temporal", "docker.io/temporalio/admin-tools"),
        "additionalVolumes": [TRUST],
        "additionalVolumeMounts": [{"name": "trust", "mountPath": "/trust", "readOnly": True}],
    }
    values = {
        "server": server,
        "admintools": tools,
        "web": {"enabled": False},
        "schema": {"podLabels": service_labels("temporal")},
    }
    return release(spec, "temporal", "platform", values)


def langfuse(spec: SiteSpec, settings: Langfuse) -> str:
    """Langfuse with the site's own four stores (charts/langfuse/values.yaml; SVC001).

    Its own keys are in the Secret `langfuse`: salt, encryption-key, nextauth-secret.
    """
    services = spec.services
    environment = [{"name": "NODE_EXTRA_CA_CERTS", "value": CA_FILE}]
    app: dict[str, Any] = {
        "salt": _key("langfuse", "salt"),
        "encryptionKey": _key("langfuse", "encryption-key"),
        "nextauth": {"secret": _key("langfuse", "nextauth-secret")},
        "features": {"telemetryEnabled": False, "signUpDisabled": True},
        "serviceAccount": {"automountServiceAccountToken": False},
        "pod": {"labels": service_labels("langfuse")},
        **on_pool(spec),
        "additionalEnv": environment,
        "extraVolumes": [TRUST],
        "extraVolumeMounts": [{"name": "trust", "mountPath": "/trust", "readOnly": True}],
    }
    for part, path, replicas in (
        ("web", "langfuse", settings.web_replicas),
        ("worker", "langfuse-worker", settings.worker_replicas),
    ):
        app[part] = {
            "image": image(spec, "langfuse", f"docker.langfuse.com/langfuse/{path}"),
            "replicas": replicas,
            "pdb": {"create": replicas > 1},
            "resources": footprint(spec, ("100m", "512Mi"), ("500m", "2Gi")),
        }
    values: dict[str, Any] = {"langfuse": app}
    if services.postgres is not None:
        # sslcert is Prisma's name for the authority's file (from memory, to be checked).
        values["postgresql"] = {
            "deploy": False,
            "host": f"postgres-rw.{DOMAIN}",
            "args": f"sslmode=require&sslaccept=strict&sslcert={CA_FILE}",
            "auth": {
                "username": "langfuse",
                "database": "langfuse",
                "existingSecret": "postgres-langfuse",
                "secretKeys": {"userPasswordKey": "password"},
            },
        }
    if services.redis is not None:
        secret, key = password_of(services.redis, "redis")
        values["redis"] = {
            "deploy": False,
            "host": f"valkey.{DOMAIN}",
            "tls": {"enabled": services.redis.tls, "caPath": CA_FILE if services.redis.tls else ""},
            "auth": {"username": "default", "existingSecret": secret, "existingSecretPasswordKey": key},
        }
    if services.clickhouse is not None:
        http, native = clickhouse_ports(services.clickhouse)
        secret, key = password_of(services.clickhouse, "clickhouse")
        values["clickhouse"] = {
            "deploy": False,
            "host": f"http{'s' if services.clickhouse.tls else ''}://clickhouse.{DOMAIN}",
            "httpPort": http,
            "nativePort": native,
            "auth": {"username": "langfuse", "existingSecret": secret, "existingSecretKey": key},
            "migration": {"ssl": services.clickhouse.tls},
            "cluster": {"enabled": False},
        }
    if services.blob_store is not None:
        scheme = "https" if services.blob_store.tls else "http"
        values["s3"] = {
            "deploy": False,
            "bucket": services.blob_store.bucket,
            "region": "us-east-1",  # SeaweedFS has none, and clients want one
            "endpoint": f"{scheme}://seaweedfs-all-in-one.{DOMAIN}:8333",
            "forcePathStyle": True,
            "accessKeyId": _key("langfuse-s3", "access-key-id"),
            "secretAccessKey": _key("langfuse-s3", "secret-access-key"),
        }
    return release(spec, "langfuse", "platform", values)


def nats(spec: SiteSpec, bus: MessageBus) -> str:
    """NATS with JetStream (helm/charts/nats/values.yaml); its accounts' password is in `auth`'s Secret.

    How long events are kept (`retentionHours`) is a stream's own setting; who uses a stream makes it.
    """
    secret, key = password_of(bus, "nats")
    place = on_pool(spec, bus.node_pool)
    volume: dict[str, Any] = {"size": f"{bus.storage_gib}Gi", **_storage_class(bus, "storageClassName")}
    tls: dict[str, Any] = {"enabled": bus.tls, **({"secretName": "nats-tls"} if bus.tls else {})}
    name, tag, digest = component_image(spec, "nats", "docker.io/library/nats")
    reloader, reloader_tag, reloader_digest = component_image(
        spec, "nats", "docker.io/natsio/nats-server-config-reloader"
    )
    values: dict[str, Any] = {
        "config": {
            "cluster": {"enabled": bus.replicas > 1, "replicas": bus.replicas, "tls": tls},
            "jetstream": {"enabled": True, "fileStore": {"pvc": volume}},
            "nats": {"tls": tls},
            "merge": {"authorization": {"user": "app", "password": "<< $NATS_PASSWORD >>"}},
        },
        "container": {
            "image": {"fullImageName": f"{name}:{tag}@{digest}" if digest else f"{name}:{tag}"},
            "env": {"NATS_PASSWORD": {"valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}},
            "merge": {"resources": footprint(spec, ("50m", "128Mi"), ("250m", "512Mi"))},
        },
        "reloader": {
            "image": {
                "fullImageName": f"{reloader}:{reloader_tag}@{reloader_digest}"
                if reloader_digest
                else f"{reloader}:{reloader_tag}"
            }
        },
        "podTemplate": {"merge": {"metadata": {"labels": service_labels("nats")}, "spec": place}},
        "podDisruptionBudget": {"enabled": bus.replicas > 1},
        "natsBox": {"enabled": False},
    }
    return release(spec, "nats", "platform", values)


def _key(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}
