"""Which Secrets a site's pods read and who makes them; how those of a vault get into the cluster.

Names only, here as everywhere: no value is part of a tree. docs/secrets.md says the same for people.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.model.services import VaultAccess
from fleet.model.site import SiteSpec
from fleet.render import foundry
from fleet.render.certificates import AUTHORITY, PUBLIC_ISSUER, TRUSTING
from fleet.render.model_cache import weights_of
from fleet.render.postgres import databases
from fleet.render.section import Section
from fleet.render.service_charts import blob_store_keys, password_of
from fleet.render.stores import accesses
from fleet.render.telemetry import collector_secrets
from fleet.render.templating import render_template

OPAQUE = "Opaque"
SERVICE_ACCOUNT = "fleet-secrets"
"""In each namespace with secrets: who the vault's identity is federated with (facts 2.5)."""
BASIC_AUTH = "kubernetes.io/basic-auth"
"""The type of a Secret with `username` and `password`: CloudNativePG's documentation wants it of roles'
passwords (declarative role management; the type from memory)."""
PULL = "kubernetes.io/dockerconfigjson"


class Made(NamedTuple):
    """A Secret or ConfigMap that pods read, that is in no tree, and that something in the cluster makes."""

    kind: str
    namespace: str
    """`*` stands for any."""
    name: str
    """`*` stands for any text, as in a shell."""
    maker: str


MADE: tuple[Made, ...] = (
    Made("ConfigMap", "*", "kube-root-ca.crt", "Kubernetes"),
    *(Made("ConfigMap", namespace, AUTHORITY, "trust-manager") for namespace in TRUSTING),
    Made("Secret", "*", "*-tls", "cert-manager"),
    Made("Secret", "cert-manager", f"{PUBLIC_ISSUER}-account", "cert-manager"),
    Made("Secret", "platform", "postgres-superuser", "CloudNativePG"),
    Made("Secret", "platform", "*-model-api-keys", "Foundry Local's operator"),
    Made("ConfigMap", "platform", "foundry-local-ca-bundle", "Foundry Local's extension"),
)
"""Facts 3.3 for Foundry Local; `postgres-superuser` with `enableSuperuserAccess` (CloudNativePG's
documentation). What is neither rendered nor here nor `wanted` would be missing at a site: a test looks."""


class Entry(NamedTuple):
    """A key of a Kubernetes Secret, and the vault's secret that it comes from."""

    key: str
    source: str


class Wanted(NamedTuple):
    """A Kubernetes Secret that workloads of the site need and that nothing in the cluster makes."""

    namespace: str
    name: str
    entries: tuple[Entry, ...]
    type: str = OPAQUE


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `secrets`, with `key-vault` and a vault, on sites that Azure's extension reaches.

    `sops-age` is a setting of every part (templates/clusters/site/parts.yaml.j2). With `kubernetes`, and
    without a vault, whoever runs the site puts the secrets there.
    """
    vault = _vault(spec)
    if vault is None:
        return
    by_namespace: dict[str, list[Wanted]] = {}
    for secret in wanted(spec):
        by_namespace.setdefault(secret.namespace, []).append(secret)
    files = {
        f"{namespace}.yaml": _namespace(spec, vault, namespace, secrets)
        for namespace, secrets in by_namespace.items()
    }
    if files:
        yield Section("secrets", "platform/secrets", files, ("platform", "controllers"))


def brought(spec: SiteSpec) -> tuple[str, ...]:
    """`NAMESPACE/NAME` of each Secret that whoever runs the site puts there: all that are `wanted`, unless
    they are synced from a vault."""
    return () if _vault(spec) else tuple(f"{each.namespace}/{each.name}" for each in wanted(spec))


def _vault(spec: SiteSpec) -> VaultAccess | None:
    """The vault that Azure's extension syncs the site's secrets from."""
    store = spec.platform.secret_store
    reached = store.kind == "key-vault" and spec.connectivity.mode != "disconnected"
    return store.vault if reached else None


def wanted(spec: SiteSpec) -> tuple[Wanted, ...]:
    """The Secrets that must come from outside, with their keys; in the order of namespaces and names.

    What workloads of two namespaces read is there twice, from the same secrets of the vault. Raises
    `FleetError` (TPL011) for a package that the fleet does not have.
    """
    keys: dict[tuple[str, str], dict[str, None]] = {}
    types: dict[tuple[str, str], str] = {}
    for namespace, name, entries, kind in _needs(spec):
        keys.setdefault((namespace, name), {}).update(dict.fromkeys(entries))
        if kind != OPAQUE or (namespace, name) not in types:  # where one name serves two, the stricter type
            types[namespace, name] = kind
    return tuple(
        Wanted(
            *place, tuple(Entry(key, vault_name(place[1], key)) for key in sorted(keys[place])), types[place]
        )
        for place in sorted(keys)
    )


def vault_name(name: str, key: str) -> str:
    """The vault's secret for a key of a Secret: `agent-secrets` and `FOUNDRY_API_KEY` make
    `agent-secrets-FOUNDRY-API-KEY`, as Key Vault takes letters, digits and dashes only."""
    return re.sub(r"[^0-9a-zA-Z]+", "-", f"{name}-{key}")


_Need = tuple[str, str, tuple[str, ...], str]
"""Namespace, name, keys and type of a Secret."""


def _needs(spec: SiteSpec) -> Iterator[_Need]:
    for agent in spec.agents.values():
        yield "agents", agent.api_key.kubernetes.name, (agent.api_key.kubernetes.key,), OPAQUE
        for access in accesses(spec, agent):
            if access.password is not None:
                yield "agents", access.password.secret, (access.password.key,), OPAQUE
    if spec.platform.certificates.issuer == "private-ca":
        yield "cert-manager", AUTHORITY, ("ca.crt", "tls.crt", "tls.key"), OPAQUE
    if spec.platform.secret_store.kind == "sops-age":
        yield "flux-system", "sops-age", ("age.agekey",), OPAQUE
    for _, secret, key in collector_secrets(spec):
        yield "observability", secret, (key,), OPAQUE
    if _fetches(spec):
        yield "platform", "model-cache-pull", (".dockerconfigjson",), PULL
    yield from _of_stores(spec)


def _of_stores(spec: SiteSpec) -> Iterator[_Need]:
    services = spec.services
    if services.postgres is not None:
        owners = {owner for _, owner in databases(spec)}
        for name in (password_of(services.postgres, "postgres")[0], *(f"postgres-{each}" for each in owners)):
            yield "platform", name, ("password", "username"), BASIC_AUTH
        target = services.postgres.backup.target if services.postgres.backup else ""
        if target.startswith("azblob:"):
            yield "platform", "postgres-backup", ("connection-string",), OPAQUE
        elif target.startswith("s3:"):
            yield "platform", "postgres-backup", ("access-key-id", "secret-access-key"), OPAQUE
    nats = services.bus if services.bus is not None and services.bus.kind == "nats" else None
    for prefix, store in (("redis", services.redis), ("clickhouse", services.clickhouse), ("nats", nats)):
        if store is not None:
            name, key = password_of(store, prefix)
            yield "platform", name, (key,), OPAQUE
    if services.blob_store is not None:
        yield "platform", blob_store_keys(services.blob_store), ("seaweedfs_s3_config",), OPAQUE
    if services.langfuse is not None:
        yield "platform", "langfuse", ("encryption-key", "nextauth-secret", "salt"), OPAQUE
        if services.blob_store is not None:
            yield "platform", "langfuse-s3", ("access-key-id", "secret-access-key"), OPAQUE
    if services.mcp_registry is not None:
        yield "platform", "mcp-registry", ("jwt-private-key",), OPAQUE


def _fetches(spec: SiteSpec) -> bool:
    """Whether a pod fetches its model from the cache, which asks who it is."""
    return any(
        weights_of(spec, name, each, package).fetch is not None
        for name, each in spec.inference.items()
        if each.runtime != foundry.RUNTIME
        for package in (each.package, each.canary.package if each.canary else None)
        if package is not None
    )


def _namespace(spec: SiteSpec, vault: VaultAccess, namespace: str, secrets: list[Wanted]) -> str:
    return render_template(
        "platform/secrets.yaml.j2",
        namespace=namespace,
        account=SERVICE_ACCOUNT,
        vault=vault,
        tenant=spec.azure.tenant,
        objects=_objects(secrets),
        secrets=secrets,
    )


def _objects(secrets: list[Wanted]) -> Mapping[str, Any]:
    """What a SecretProviderClass asks the vault for: text in text in text, as the extension reads it."""
    names = dict.fromkeys(entry.source for secret in secrets for entry in secret.entries)
    return {"array": [f"objectName: {name}\nobjectType: secret\n" for name in names]}
