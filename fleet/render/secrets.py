"""How secrets get into the cluster: names only, here as everywhere; no value is part of a tree."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.model.secrets import ClusterSecretRef
from fleet.model.services import Store, VaultAccess
from fleet.model.site import SiteSpec
from fleet.render.certificates import AUTHORITY
from fleet.render.section import Section
from fleet.render.templating import render_template

SERVICE_ACCOUNT = "fleet-secrets"
"""In each namespace with secrets: who the vault's identity is federated with (facts 2.5)."""


class Entry(NamedTuple):
    """A key of a Kubernetes Secret, and the vault's secret that it comes from."""

    key: str
    source: str


class Wanted(NamedTuple):
    """A Kubernetes Secret that workloads of the site need."""

    namespace: str
    name: str
    entries: tuple[Entry, ...]


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `secrets`, with `key-vault` and a vault, on sites that Azure's extension reaches.

    `sops-age` is a setting of every part (templates/clusters/site/parts.yaml.j2). With `kubernetes`, and
    without a vault, whoever runs the site puts the secrets there.
    """
    store = spec.platform.secret_store
    if store.kind != "key-vault" or store.vault is None or spec.connectivity.mode == "disconnected":
        return
    by_namespace: dict[str, list[Wanted]] = {}
    for secret in wanted(spec):
        by_namespace.setdefault(secret.namespace, []).append(secret)
    files = {
        f"{namespace}.yaml": _namespace(spec, store.vault, namespace, secrets)
        for namespace, secrets in by_namespace.items()
    }
    if files:
        yield Section("secrets", "platform/secrets", files, ("platform", "controllers"))


def wanted(spec: SiteSpec) -> tuple[Wanted, ...]:
    """The Secrets that the site's workloads name, with their keys; in the order of namespaces and names."""
    keys: dict[tuple[str, str], dict[str, None]] = {}
    for namespace, ref in _references(spec):
        keys.setdefault((namespace, ref.kubernetes.name), {})[ref.kubernetes.key] = None
    if spec.platform.certificates.issuer == "private-ca":
        keys["cert-manager", AUTHORITY] = dict.fromkeys(("ca.crt", "tls.crt", "tls.key"))
    return tuple(
        Wanted(namespace, name, tuple(Entry(key, vault_name(name, key)) for key in sorted(found)))
        for (namespace, name), found in sorted(keys.items())
    )


def vault_name(name: str, key: str) -> str:
    """The vault's secret for a key of a Secret: `agent-secrets` and `FOUNDRY_API_KEY` make
    `agent-secrets-FOUNDRY-API-KEY`, as Key Vault takes letters, digits and dashes only."""
    return re.sub(r"[^0-9a-zA-Z]+", "-", f"{name}-{key}")


def _references(spec: SiteSpec) -> Iterator[tuple[str, ClusterSecretRef]]:
    for agent in spec.agents.values():
        yield "agents", agent.api_key
    for name in sorted(type(spec.services).model_fields):
        store = getattr(spec.services, name)
        if isinstance(store, Store) and store.auth is not None:
            yield "platform", store.auth


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
