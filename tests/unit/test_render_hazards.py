"""What goes wrong at a site though every object is valid: things that undo, stop or delete each other."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render.policies import refusals, registries
from fleet.render.tree import RenderedTree, render_site
from fleet_stacks.in_cluster_objects import CA_SECRET
from tests.unit.rendered_sites import DIGEST, Object, site

PRUNE = "kustomize.toolkit.fluxcd.io/prune"
ACME = "{platform: {certificates: {issuer: acme, acmeServer: 'https://ca.example/directory'}}}"
SERVICES = """
services:
  redis: {storageGib: 5}
  postgres: {storageGib: 20, replicas: 2%s}
  blobStore: {storageGib: 9}
  clickhouse: {storageGib: 9}
  temporal: {}
  langfuse: {retentionDays: 30}
  bus: {kind: nats, storageGib: 9}
  metrics: {storageGib: 9, retentionDays: 30}
  mcpRegistry: {}
telemetry: {bufferHours: 24, bufferGib: 5}
platform: {policies: {admission: kyverno}}
agents: {maf-agent-api: {checkpoints: postgres, memoryStore: redis, longRunning: true}}
"""


def objects(tree: RenderedTree) -> list[Object]:
    """All of a tree, but for the lists of files."""
    return [
        found
        for path, text in tree.files.items()
        if not path.endswith("/kustomization.yaml")
        for found in yaml.safe_load_all(text)
    ]


def one(spec: SiteSpec, kind: str, name: str) -> Any:
    """The object of that kind and name, of which a site has one."""
    (only,) = (o for o in objects(render_site(spec)) if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return only


def with_named(spec: SiteSpec, group: str, name: str) -> SiteSpec:
    """The site with another of its `group` (agents, inference, …), equal to the first, called `name`."""
    have = getattr(spec, group)
    return spec.model_copy(update={group: {**have, name: next(iter(have.values()))}})


def test_what_answers_an_acme_server_may_be_made_in_the_agents_namespace() -> None:
    spec = site("graz", ACME)
    solver = one(spec, "ClusterIssuer", "fleet-acme")["spec"]["acme"]["solvers"][0]["http01"]["ingress"]
    quotas = [o for o in objects(render_site(spec)) if o["kind"] == "ResourceQuota"]
    (quota,) = (o for o in quotas if o["metadata"]["namespace"] == "agents")
    assert quota["spec"]["hard"]["services.nodeports"] == "0"
    assert solver["serviceType"] == "ClusterIP"


@pytest.mark.parametrize("rule", ["image-digests", "image-registries"])
def test_its_pod_comes_from_where_azure_has_it(rule: str) -> None:
    def expression(spec: SiteSpec) -> str:
        return next(each.expression for each in refusals(spec) if each.name == rule)

    assert "acme.cert-manager.io/http01-solver" in expression(site("graz", ACME))
    assert "acme" not in expression(site("graz"))


def test_switched_off_kyverno_leaves_no_webhook_behind_that_nobody_answers() -> None:
    values = one(site("graz", SERVICES % ""), "HelmRelease", "kyverno")["spec"]["values"]
    assert values["webhooksCleanup"]["enabled"]


@pytest.mark.parametrize(("kind", "name"), [("Cluster", "postgres"), ("PersistentVolumeClaim", "collector")])
def test_flux_deletes_no_data_with_what_is_switched_off(kind: str, name: str) -> None:
    found = one(site("graz", SERVICES % ""), kind, name)
    assert found["metadata"]["annotations"] == {PRUNE: "disabled"}


def test_the_store_of_metrics_can_ask_the_api_server_what_to_scrape() -> None:
    policy = one(site("graz", SERVICES % ""), "NetworkPolicy", "metrics-discovery")
    assert policy["metadata"]["namespace"] == "observability"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"fleet/service": "metrics"}
    assert policy["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 6443}]


@pytest.mark.parametrize(
    ("place", "port"), [("minio.factory.example:9000", 9000), ("s3.factory.example", 443)]
)
def test_an_archive_is_reached_on_its_own_port(place: str, port: int) -> None:
    backup = f", backup: {{everyHours: 24, keepDays: 7, target: 's3://{place}/fleet'}}"
    policy = one(site("graz", SERVICES % backup), "NetworkPolicy", "postgres-operator")
    assert policy["spec"]["egress"][-1]["ports"] == [{"protocol": "TCP", "port": port}]


@pytest.mark.parametrize(
    ("group", "name", "both"),
    [
        ("inference", "clickhouse", "clickhouse-tls"),
        ("inference", "ingress", "NetworkPolicy ingress-allow"),
        ("inference", "mcp-registry", "Deployment mcp-registry"),
    ],
)
def test_two_things_that_would_be_one_object_are_refused(group: str, name: str, both: str) -> None:
    spec = with_named(site("graz", SERVICES % ""), group, name)
    with pytest.raises(FleetError) as caught:
        render_site(spec)
    assert caught.value.code == "TPL002"
    assert both in caught.value.message


def test_a_model_called_priority_is_served_too() -> None:
    spec = with_named(site("graz", "{inference: {chat: {preemptible: true}}}"), "inference", "priority")
    assert one(spec, "Deployment", "priority")
    assert one(spec, "PriorityClass", "fleet-preemptible")


# Text that somebody wrote


def shape(value: Any) -> Any:
    """A value without its texts and numbers: what it holds, by keys."""
    if isinstance(value, Mapping):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


def written(text: str) -> SiteSpec:
    """A site with the text wherever the inventory takes any."""
    values = BASE.model_dump(mode="json", by_alias=True)
    values["inference"]["chat"]["model"] = text
    values["telemetry"]["redaction"]["patterns"] = [text]
    values["labels"] = {"line": text}
    values["gpu"]["model"] = text
    return SiteSpec.model_validate(values, strict=False)


BASE = site("graz", SERVICES % "")
OTHER_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(max_examples=15, deadline=None)
@example("x\"}\n---\nkind: Pod\n# {{ 7 * 7 }} '").via("leaves its place")
@example("a\u2028b\x85c\ufeff").via("breaks that YAML knows and Python's lines don't")
@example("*/ &a !b %c").via("YAML's own signs")
@given(OTHER_TEXT)
def test_text_adds_nothing_to_what_is_rendered(text: str) -> None:
    found = objects(render_site(written(text)))
    assert shape(found) == shape(objects(render_site(written("plain"))))
    (agent,) = (o for o in found if o["metadata"]["name"] == "maf-agent-api-config")
    assert agent["data"]["FOUNDRY_MODEL"] == text


def test_sandboxes_make_room_and_agents_push_out_nothing_else() -> None:
    image = f"registry.factory.example/sandbox:1@{DIGEST}"
    found = objects(render_site(site("graz", f"{{sandboxes: {{python: {{isolation: container, image: '{image}', slots: 2, nodePool: agents}}}}}}")))  # fmt: skip
    ranks = {o["metadata"]["name"]: o["value"] for o in found if o["kind"] == "PriorityClass"}
    assert ranks == {"fleet-agents": 0, "fleet-tools": 0, "fleet-sandboxes": -5}
    (template,) = (o["spec"]["podTemplate"]["spec"] for o in found if o["kind"] == "SandboxTemplate")
    assert template["priorityClassName"] == "fleet-sandboxes"


def test_foundry_locals_own_pods_are_not_refused_for_where_they_come_from() -> None:
    assert "mcr.microsoft.com" in registries(
        site("graz", "{inference: {chat: {runtime: foundry-local-azure-local}}}")
    )
    assert "mcr.microsoft.com" not in registries(site("graz"))


def test_charts_come_from_a_registry_of_a_private_ca_as_the_tree_does() -> None:
    def source(name: str) -> Any:
        return one(site(name, "{registry: {caFile: ca.pem}}"), "OCIRepository", "traefik")["spec"]

    without_line = source("narvik")
    assert without_line["certSecretRef"] == {"name": CA_SECRET}
    assert "certSecretRef" not in source("graz")
