"""Each Secret and ConfigMap that something at a site reads is rendered, made by somebody, synced, or to be brought."""

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fleet.cli import exits
from fleet.cli.main import main
from fleet.model.site import SiteSpec
from fleet.model.supply import ModelPackage
from fleet.render.certificates import TRUSTING
from fleet.render.secrets import BASIC_AUTH, MADE, Made, brought, vault_name, wanted
from fleet.render.tree import render_site
from tests.factory import factory_files
from tests.unit.rendered_sites import DIGEST, Object, site

DOCS = Path(__file__).resolve().parents[2] / "docs"
VAULT = "secretStore: {vault: {name: kv-agents, clientId: 11111111-2222-4333-8444-555555555555}}"
SERVICES = """
services:
  redis: {storageGib: 5, replicas: 3%s}
  postgres: {storageGib: 20, replicas: 2, backup: {everyHours: 24, keepDays: 14, target: '%s'}%s}
  blobStore: {storageGib: 9%s}
  clickhouse: {storageGib: 9%s}
  temporal: {namespace: orders}
  langfuse: {retentionDays: 30}
  bus: {kind: nats, storageGib: 9, replicas: 3%s}
  metrics: {storageGib: 9, retentionDays: 30}
  mcpRegistry: {}
agents: {maf-agent-api: {checkpoints: postgres, memoryStore: redis, longRunning: true}}
telemetry: {azureMonitor: true, bufferHours: 24, bufferGib: 5}
"""


def auth(name: str, key: str = "secret") -> str:
    return f", auth: {{kubernetes: {{name: {name}, key: {key}}}}}"


NONE = ("", "nfs://nas.factory.example/fleet", "", "", "", "")
NAMED = (auth("cache"), "s3://backup.factory.example/fleet/graz", auth("db", "password"), auth("blobs"), auth("rows"), auth("events"))  # fmt: skip
AZURE = ("", "azblob://store.blob.core.windows.net/fleet/graz", "", "", "", "")

VARIANTS = {
    "turin": ("turin", "{}"),
    "graz": ("graz", "{}"),
    "narvik": ("narvik", "{}"),
    "everything": ("graz", SERVICES % NONE),
    "everything, names of its own": ("graz", SERVICES % NAMED),
    "everything, without a line": ("narvik", (SERVICES % NONE).replace("azureMonitor: true", "azureMonitor: false")),
    "everything, one machine": ("turin", SERVICES % AZURE),
    "mTLS, its own authority": ("graz", "platform: {serviceAuth: mtls, certificates: {issuer: self-signed}}"),
    "ACME": ("graz", "platform: {certificates: {issuer: acme, acmeServer: 'https://acme.factory.example/directory'}}"),
    "other ingress": ("graz", "platform: {ingress: {kind: kong}, policies: {admission: gatekeeper}}"),
    "Foundry Local": ("graz", "inference: {chat: {runtime: foundry-local-azure-local}}"),
    "sandboxes": ("graz", f"sandboxes: {{python: {{isolation: container, image: 'registry.factory.example/sandbox:1@{DIGEST}', slots: 2, nodePool: agents}}}}"),
    "a package": ("graz", "inference: {chat: {package: phi}}"),
    "a vault": ("graz", f"platform: {{{VAULT}}}{SERVICES % NONE}"),
}  # fmt: skip

IN_MAPPINGS = {
    "secretKeyRef": "Secret", "secretRef": "Secret", "secret": "Secret", "passwordSecret": "Secret",
    "privateKeySecretRef": "Secret", "accessKeyId": "Secret", "secretAccessKey": "Secret", "connectionString": "Secret",
    "configMapKeyRef": "ConfigMap", "configMapRef": "ConfigMap", "configMap": "ConfigMap",
}  # fmt: skip
"""Keys whose value is a mapping with `name` or `secretName`."""
AS_TEXT = {
    "secretName": "Secret", "existingSecret": "Secret", "usersExistingSecret": "Secret", "existingConfigSecret": "Secret",
    "serverTLSSecret": "Secret", "serverCASecret": "Secret", "configMap": "ConfigMap",
}  # fmt: skip
"""Keys whose value is the name."""
MAKES = {"Certificate", "SecretSync"}


PACKAGE = ModelPackage.model_validate(
    {
        "model": "phi-4-mini",
        "precision": "fp16",
        "artifact": f"registry.factory.example/models/phi@{DIGEST}",
        "sizeGib": 7.5,
        "source": "s",
        "licence": "MIT",
    }
)


def spec_of(variant: str) -> SiteSpec:
    return site(*VARIANTS[variant]).model_copy(update={"packages": {"phi": PACKAGE}})


class Reference(NamedTuple):
    kind: str
    namespace: str
    name: str


def references(found: Object) -> Iterator[tuple[Reference, str | None]]:
    """What an object reads, and which key of it where it says that."""
    if found["kind"] in MAKES:
        return
    spec = found.get("spec") or {}
    default = {"Kustomization": "flux-system", "ClusterIssuer": "cert-manager", "Bundle": "cert-manager"}
    namespace = found["metadata"].get("namespace") or default.get(found["kind"], "")
    if found["kind"] == "HelmRelease":
        namespace = spec["targetNamespace"]
    for kind, name, key in _walk(
        {k: v for k, v in spec.items() if (found["kind"], k) != ("Bundle", "target")}
    ):
        yield Reference(kind, namespace, name), key


def _walk(value: Any) -> Iterator[tuple[str, str, str | None]]:
    if isinstance(value, list):
        for below in value:
            yield from _walk(below)
    elif isinstance(value, str) and "secretName:" in value:  # YAML in a chart's value
        yield from _walk(yaml.safe_load(value))
    elif isinstance(value, Mapping):
        for key, below in value.items():
            if key in AS_TEXT and isinstance(below, str):
                yield AS_TEXT[key], below, None
            elif key in IN_MAPPINGS and isinstance(below, Mapping) and "name" in below:
                yield IN_MAPPINGS[key], below["name"], below.get("key")
            yield from _walk(below)


def objects(spec: SiteSpec) -> list[Object]:
    return [
        found
        for path, text in render_site(spec).files.items()
        if not path.endswith("/kustomization.yaml")
        for found in yaml.safe_load_all(text)
        if found
    ]


def matches(made: Made, reference: Reference) -> bool:
    pairs = zip(reference, made[:3], strict=True)
    return all(fnmatch.fnmatchcase(said, pattern) for said, pattern in pairs)


def rendered_or_certified(found: list[Object]) -> set[Reference]:
    there = {
        Reference(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
        for each in found
        if each["kind"] in ("ConfigMap", "Secret")
    }
    return there | {
        Reference("Secret", each["metadata"]["namespace"], each["spec"]["secretName"])
        for each in found
        if each["kind"] == "Certificate"
    }


# Certificates are looked for themselves: their rule in the table would let a forgotten one pass.
OTHERS = [made for made in MADE if made.name != "*-tls"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_that_is_read_comes_from_somewhere(variant: str) -> None:
    spec = spec_of(variant)
    found = objects(spec)
    outside = {("Secret", each.namespace, each.name): {e.key for e in each.entries} for each in wanted(spec)}
    there = rendered_or_certified(found)
    read: dict[Reference, set[str]] = {}
    for each in found:
        for reference, key in references(each):
            read.setdefault(reference, set()).update([key] if key else [])
    missing = [
        r for r in read if r not in there and r not in outside and not any(matches(m, r) for m in OTHERS)
    ]
    assert missing == [], "render it, or say in fleet/render/secrets.py who makes it"
    assert set(outside) <= set(read), "nothing reads it"
    wrong = {place: keys - outside[place] for place, keys in read.items() if place in outside}
    assert not any(wrong.values()), "a key that nobody brings"
    assert not there & outside.keys(), "made and brought"


def test_the_table_has_no_row_that_nothing_reads() -> None:
    read = {r for variant in VARIANTS for each in objects(spec_of(variant)) for r, _ in references(each)}
    assert [made for made in MADE if not any(matches(made, r) for r in read)] == []


def test_a_reference_that_nobody_serves_would_be_seen() -> None:
    pod = {"kind": "Deployment", "metadata": {"name": "a", "namespace": "tools"}, "spec": {"template": {"spec": {
        "volumes": [{"secret": {"secretName": "nobody"}}, {"configMap": {"name": "no-one"}}],
        "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}]}]}}}}  # fmt: skip
    assert dict(references(pod)) == {
        Reference("Secret", "tools", "nobody"): None,
        Reference("ConfigMap", "tools", "no-one"): None,
        Reference("Secret", "tools", "keys"): "k",
    }
    assert not any(matches(made, r) for made in MADE for r, _ in references(pod))


def test_a_stores_password_is_where_the_store_is_and_where_agents_are() -> None:
    found = {(each.namespace, each.name): each for each in wanted(site("graz", SERVICES % NAMED))}
    for name, key in (("cache", "secret"), ("db", "password")):
        sources = {e.source for e in found["agents", name].entries}
        assert sources == {vault_name(name, key)}
        assert sources <= {e.source for e in found["platform", name].entries}
    assert found["platform", "db"].type == BASIC_AUTH
    assert {e.key for e in found["platform", "db"].entries} == {"username", "password"}
    assert ("platform", "rows") in found
    assert ("agents", "rows") not in found, "agents have no business with it"


def test_postgres_takes_the_same_password_as_agents_without_a_name_for_it_too() -> None:
    found = objects(site("graz", SERVICES % NONE))
    (cluster,) = (each for each in found if each["kind"] == "Cluster")
    assert cluster["spec"]["bootstrap"]["initdb"]["secret"] == {"name": "postgres-app"}
    (agent,) = (
        each for each in found if each["metadata"]["name"] == "maf-agent-api" and each["kind"] == "Deployment"
    )
    (read,) = (
        e for e in agent["spec"]["template"]["spec"]["containers"][0]["env"] if e["name"] == "PGPASSWORD"
    )
    assert read["valueFrom"]["secretKeyRef"] == {"name": "postgres-app", "key": "password"}


def test_a_secret_of_two_stores_has_the_keys_of_both_and_the_operators_type() -> None:
    shared = (
        auth("all"),
        "nfs://nas.factory.example/fleet",
        auth("all", "password"),
        "",
        auth("all", "rows"),
        "",
    )
    (found,) = (each for each in wanted(site("graz", SERVICES % shared)) if (each.namespace, each.name) == ("platform", "all"))  # fmt: skip
    assert [e.key for e in found.entries] == ["password", "rows", "secret", "username"]
    assert found.type == BASIC_AUTH


def test_a_vaults_site_brings_nothing_and_syncs_all_of_it() -> None:
    spec = site(*VARIANTS["a vault"])
    assert brought(spec) == ()
    syncs = {
        (o["metadata"]["namespace"], o["metadata"]["name"]): o
        for o in objects(spec)
        if o["kind"] == "SecretSync"
    }
    assert set(syncs) == {(each.namespace, each.name) for each in wanted(spec)}
    assert syncs["platform", "postgres-app"]["spec"]["secretObject"]["type"] == BASIC_AUTH
    assert syncs["observability", "langfuse-otlp"]["spec"]["secretObject"]["type"] == "Opaque"


def test_a_site_without_a_line_brings_its_key_and_its_secrets() -> None:
    assert brought(site("narvik")) == (
        "agents/agent-secrets",
        "cert-manager/fleet-ca",
        "flux-system/sops-age",
    )


def test_who_signs_for_itself_brings_no_authority() -> None:
    assert brought(site(*VARIANTS["mTLS, its own authority"])) == ("agents/agent-secrets",)


def test_a_password_that_nothing_checks_is_not_asked_for() -> None:
    over = f"services: {{metrics: {{storageGib: 9, retentionDays: 30{auth('gauges')}}}}}"
    assert "gauges" not in {each.name for each in wanted(site("graz", over))}


PARTS_WITH_PODS = ("inference", "services", "observability", "sandboxes", "tools", "agents")


@pytest.mark.parametrize("admission", ["kyverno", "gatekeeper"])
def test_pods_start_after_what_they_mount_and_must_pass(admission: str) -> None:
    over = VARIANTS["a vault"][1].replace(
        "platform: {", f"platform: {{policies: {{admission: {admission}}}, ", 1
    ) + "\n" + VARIANTS["sandboxes"][1]  # fmt: skip
    parts = {
        o["metadata"]["name"]: o["spec"] for o in objects(site("graz", over)) if o["kind"] == "Kustomization"
    }
    rules = {"policies"} | ({"constraints"} if admission == "gatekeeper" else set())
    for part in PARTS_WITH_PODS:
        before = {each["name"] for each in parts[part]["dependsOn"]}
        assert {"platform", "certificates", "secrets"} | rules <= before, part


def test_render_says_on_stderr_what_to_bring(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for path, text in factory_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    line = "secrets that the site must bring: agents/agent-secrets, cert-manager/fleet-ca"
    assert main(["render", "graz", "-i", str(tmp_path)]) == exits.OK
    shown = capsys.readouterr()
    assert f"{line} (docs/secrets.md)" in " ".join(shown.err.split())
    assert "must bring" not in shown.out
    out = ["--all", "--out", str(tmp_path / "trees"), "-i", str(tmp_path)]
    for _ in ("written", "unchanged"):
        assert main(["render", *out]) == exits.OK
        said = " ".join(capsys.readouterr().err.split())
        assert f"{line}, flux-system/sops-age (docs/secrets.md)" in said


def test_the_page_names_every_secret_and_every_maker() -> None:
    page = (DOCS / "secrets.md").read_text()
    names = {f"`{each.namespace}/{each.name}`" for key in VARIANTS if "own" not in key for each in wanted(spec_of(key))}  # fmt: skip
    assert sorted(name for name in names if name not in page) == []
    assert [made for made in MADE if made.maker not in page or f"`{made.name}`" not in page] == []
    assert set(TRUSTING) == {made.namespace for made in MADE if made.maker == "trust-manager"}
