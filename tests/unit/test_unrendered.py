"""What a site says and nothing acts on is listed; no field of the model is left unclassified."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from fleet.cli import exits
from fleet.cli.main import main
from fleet.cli.render_command import SHOWN, say_what_is_left_out
from fleet.model.secrets import ClusterSecretRef, HostSecretRef
from fleet.model.site import SiteSpec
from fleet.render.tree import render_site
from fleet.render.unrendered import UNRENDERED, unrendered
from tests.factory import factory_files, load, places
from tests.unit.rules.cases import GRAZ, Edits

ACTED_ON = (
    # in the rendered tree
    "name", "ring", "environment", "topology", "connectivity.mode",
    "kubernetes.nodePools.*.taints", "kubernetes.nodePools.*.vmSize",
    "delivery.registry", "delivery.repository", "delivery.intervalMinutes", "registry.host", "components",
    "inference.*.model", "inference.*.precision", "inference.*.contextTokens", "inference.*.replicas",
    "inference.*.gpus", "inference.*.nodePool", "inference.*.image", "inference.*.slo.concurrentSessions",
    "inference.*.runtime", "inference.*.accelerator", "inference.*.memoryGib",
    "inference.*.runtimeVersion", "inference.*.executionProvider", "inference.*.modality", "inference.*.toolCalling",
    "inference.*.gpuFraction", "inference.*.migProfile", "inference.*.tensorParallel", "inference.*.queue",
    "inference.*.preemptible", "inference.*.maxOutputTokens", "inference.*.gpuMemoryUtilization",
    "inference.*.gateway.maxConcurrency", "inference.*.gateway.queueLength", "inference.*.gateway.requestsPerMinute",
    "inference.*.package", "inference.*.canary.package", "inference.*.canary.percent", "packages.*.artifact",
    "packages.*.sizeGib", "packages.*.precision", "modelCache",
    "inference.*.warmup", "inference.*.fallback", "inference.*.slo.p95Ms", "inference.*.privacy", "router",
    "gpu.sharing", "gpu.timeSlices", "gpu.operator", "gpu.kai", "kubernetes.nodePools.*.mig",
    "kubernetes.nodePools.*.gpu",
    "agents.*.image", "agents.*.framework", "agents.*.replicas", "agents.*.nodePool", "agents.*.inference",
    "agents.*.tools", "agents.*.apiKey", "agents.*.policies", "agents.*.resources", "agents.*.callers",
    "agents.*.autoscale", "agents.*.toolbox", "agents.*.checkpoints", "agents.*.memoryStore", "agents.*.prompts",
    "agents.*.longRunning", "services.temporal.taskQueues",
    "platform.serviceAuth", "platform.ingress", "platform.secretStore", "platform.policies",
    "platform.certificates.issuer", "platform.certificates.acmeServer", "platform.certificates.validDays",
    "platform.certificates.renewDaysBefore", "kubernetes.nodePools.*.sandboxRuntimes", "toolboxes", "sandboxes",
    "tools.*.image", "tools.*.replicas", "tools.*.nodePool", "tools.*.allowedDestinations", "tools.*.schemaVersion",
    "tools.*.kind", "tools.*.mcpSpec", "tools.*.authentication", "tools.*.authorization", "tools.*.validation",
    "tools.*.audit", "tools.*.limits", "tools.*.breaker", "tools.*.fallback", "tools.*.sandbox",
    "services.redis.storageGib", "services.redis.storageClass", "services.redis.nodePool", "services.redis.tls",
    "services.redis.replicas", "services.redis.auth", "services.redis.persistence", "services.redis.maxMemoryMib",
    "services.postgres.storageGib", "services.postgres.storageClass", "services.postgres.nodePool",
    "services.postgres.tls", "services.postgres.replicas", "services.postgres.auth", "services.postgres.version",
    "services.postgres.pgvector", "services.postgres.maxConnections", "services.postgres.pooler",
    "services.postgres.backup.everyHours", "services.postgres.backup.keepDays", "services.postgres.backup.target",
    "services.blobStore.storageGib", "services.blobStore.storageClass", "services.blobStore.nodePool",
    "services.blobStore.tls", "services.blobStore.auth", "services.blobStore.bucket",
    "services.clickhouse.storageGib", "services.clickhouse.storageClass", "services.clickhouse.nodePool",
    "services.clickhouse.tls", "services.clickhouse.auth", "services.bus.storageGib", "services.bus.storageClass",
    "services.bus.nodePool", "services.bus.tls", "services.bus.replicas", "services.bus.auth", "services.bus.kind",
    "services.metrics.storageGib", "services.metrics.storageClass", "services.metrics.nodePool",
    "services.metrics.tls", "services.metrics.retentionDays", "services.temporal.namespace",
    "services.temporal.historyShards", "services.temporal.retentionDays", "services.langfuse.webReplicas",
    "services.langfuse.workerReplicas", "telemetry.retentionDays", "telemetry.samplePercent", "telemetry.redaction",
    "telemetry.bufferHours", "telemetry.bufferGib", "telemetry.azureMonitor", "telemetry.alerts.errorPercent",
    "telemetry.alerts.p95Ms", "telemetry.alerts.tokenGrowthPercent", "telemetry.alerts.gpuFreeMib",
    "telemetry.correlationHeader",
    # in Azure, by the Pulumi program
    "azure.tenant", "azure.subscription", "azure.resourceGroup", "azure.region", "azure.hciResourceProviderObjectId",
    "azure.roleAssignments", "azure.monitoring", "azure.extensions", "azureLocal.managementCluster",
    "kubernetes.network.loadBalancer",
    "azure.tags", "azureLocal.clusterName", "azureLocal.namingPrefix", "azureLocal.domainFqdn", "azureLocal.ouPath",
    "azureLocal.identityProvider", "azureLocal.pattern", "azureLocal.nodes.*.name", "azureLocal.nodes.*.ip",
    "azureLocal.nodes.*.zone", "azureLocal.management", "azureLocal.infraPool", "azureLocal.intents",
    "azureLocal.storageNetworks", "azureLocal.switchless", "azureLocal.euLocation", "azureLocal.security",
    "azureLocal.witness", "azureLocal.customLocation", "azureLocal.keyVault", "azureLocal.secrets",
    "connectivity.arcGatewayId", "registry.caFile", "registry.image", "kubernetes.kubeconfig",
    "kubernetes.name", "kubernetes.version", "kubernetes.controlPlane", "kubernetes.podCidr", "kubernetes.adminGroups",
    "kubernetes.sshPublicKey", "kubernetes.systemPool", "kubernetes.network.cidr", "kubernetes.network.gateway",
    "kubernetes.network.dns", "kubernetes.network.vlan", "kubernetes.network.pool",
    "kubernetes.nodePools.*.count", "kubernetes.nodePools.*.os", "kubernetes.nodePools.*.autoscale",
    "kubernetes.nodePools.*.maxPods", "kubernetes.nodePools.*.labels",
)  # fmt: skip
FACTS = (
    # what is so, or was promised: rules and reports read it, and there is nothing to bring about
    "profile", "labels", "routingDomain",
    "connectivity.linkMbps", "connectivity.private", "connectivity.proxy",
    "azureLocal.nodes.*.cores", "azureLocal.nodes.*.memoryGib", "azureLocal.nodes.*.dataDisks",
    "azureLocal.nodes.*.confidential",
    "kubernetes.nodePools.*.purpose", "kubernetes.nodePools.*.isolation",
    "gpu.model", "gpu.perNode", "gpu.watts", "registry.storageGib",
    "packages.*.model", "packages.*.executionProvider", "packages.*.template", "packages.*.source",
    "packages.*.licence", "packages.*.remoteCode", "packages.*.onnxRuntime", "packages.*.quality",
    "packages.*.evaluatedOn",
    "inference.*.reasoning", "inference.*.pinnedGib", "inference.*.trustDomain",
    "inference.*.slo.queueDelayMs", "inference.*.slo.recoverySessions",
    "agents.*.kind", "agents.*.outcome", "agents.*.promptTokens", "agents.*.privacy",
    "agents.*.trustDomain", "tools.*.runsCode",
    "capacity", "operations",
    "governance.boundary", "governance.dataRegions", "governance.preview", "governance.suitability",
    "governance.licences",
    "services.redis.streams", "services.redis.encryptionAtRest",
    "services.postgres.encryptionAtRest", "services.blobStore.encryptionAtRest",
    "services.clickhouse.encryptionAtRest", "services.bus.encryptionAtRest", "services.metrics.encryptionAtRest",
    "services.blobStore.replicas", "services.clickhouse.replicas", "services.metrics.replicas",
)  # fmt: skip
CLASSES = {"acted on": ACTED_ON, "fact": FACTS, "unrendered": UNRENDERED}


def model_of(annotation: Any) -> tuple[str, type[BaseModel] | None]:
    """The model that a field holds, and `.*` where it holds many by name or number."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return model_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        found = [model_of(arg) for arg in get_args(annotation) if arg is not type(None)]
        return next((f for f in found if f[1] is not None), ("", None))
    if origin is not None and isinstance(origin, type) and issubclass(origin, (Mapping, Sequence)):
        args = [arg for arg in get_args(annotation) if arg is not Ellipsis]
        return ".*", model_of(args[-1])[1]
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return "", annotation if is_model and annotation not in (ClusterSecretRef, HostSecretRef) else None


def leaves(kind: type[BaseModel], at: str = "") -> Iterator[str]:
    """The path of each field that holds no model."""
    for name, field in kind.model_fields.items():
        path = f"{at}{field.alias or name}"
        many, below = model_of(field.annotation)
        if below is None:
            yield path
        else:
            yield from leaves(below, f"{path}{many}.")


LEAVES = tuple(leaves(SiteSpec))


def covers(pattern: str, path: str) -> bool:
    return path == pattern or path.startswith(pattern + ".")


@pytest.mark.parametrize("path", LEAVES)
def test_every_field_is_acted_on_or_a_fact_or_listed_as_unrendered(path: str) -> None:
    classes = [(name, p) for name, patterns in CLASSES.items() for p in patterns if covers(p, path)]
    assert len(classes) == 1, f"{path} is in {classes}: put it in one of ACTED_ON, FACTS, UNRENDERED"


def test_every_classified_path_is_a_field() -> None:
    gone = [
        p for patterns in CLASSES.values() for p in patterns if not any(covers(p, leaf) for leaf in LEAVES)
    ]
    assert gone == []


def spec_of(name: str, edits: Edits | None = None) -> SiteSpec:
    inventory, found = load(factory_files(edits))
    assert inventory is not None, places(found)
    site = inventory.site(name)
    assert site is not None
    return site.spec


def test_what_a_site_waits_for_is_in_the_order_of_the_list() -> None:
    text = "evaluation: {golden: {artifact: a, rows: 50, reviewedOn: '2026-09-01'}}\nservices: {celery: {}}\nlabels:"
    found = unrendered(spec_of("graz", {GRAZ: [("labels:", text)]}))
    assert {"evaluation", "services.celery"} <= set(found)
    assert list(found) == sorted(found, key=lambda path: position(path))


def position(path: str) -> int:
    """Where the path's pattern is in the list."""
    steps = path.split(".")
    same = [
        number
        for number, pattern in enumerate(UNRENDERED)
        if len(pattern.split(".")) == len(steps)
        and all(p in ("*", s) for p, s in zip(pattern.split("."), steps, strict=True))
    ]
    assert len(same) == 1, path
    return same[0]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("inference: {chat: {gateway: {access: mesh}}}", "inference.chat.gateway.access"),
        ("services: {celery: {}}", "services.celery"),
        ("governance: {guardrails: enforce}", "governance.guardrails"),
        ("maintenance: {timeZone: Europe/Vienna, windows: [{days: [sun], start: '02:00', minutes: 240}]}", "maintenance"),
        ("evaluation: {golden: {artifact: a, rows: 50, reviewedOn: '2026-09-01'}}", "evaluation"),
    ],
)  # fmt: skip
def test_what_is_listed_changes_no_byte_of_the_tree(text: str, path: str) -> None:
    before, after = spec_of("graz"), spec_of("graz", {GRAZ: [("labels:", f"{text}\nlabels:")]})
    assert set(unrendered(after)) - set(unrendered(before)) == {path}
    assert render_site(after).files == render_site(before).files


def test_a_default_that_is_written_down_is_not_listed() -> None:
    before = spec_of("graz", {GRAZ: [("labels:", "governance: {guardrails: none}\nlabels:")]})
    assert "governance.guardrails" not in unrendered(before)


def test_items_of_lists_are_named_by_their_number() -> None:
    spec = spec_of("graz", {GRAZ: [("{name: graz-n2,", "{name: graz-n2, rack: r2,")]})
    assert "azureLocal.nodes.1.rack" in unrendered(spec)


def test_render_says_on_stderr_what_it_leaves_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    edits = {GRAZ: [("labels:", "governance: {guardrails: enforce}\nlabels:")]}
    for path, text in factory_files(edits).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert main(["render", "graz", "-i", str(tmp_path)]) == exits.OK
    shown = capsys.readouterr()
    left_out = unrendered(spec_of("graz", edits))
    assert "governance.guardrails" in left_out
    assert f"not rendered yet: {', '.join(left_out)} (docs" in " ".join(shown.err.split())
    assert "not rendered yet" not in shown.out


def test_nothing_to_say_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    say_what_is_left_out([])
    assert capsys.readouterr().err == ""


def test_of_a_long_list_the_start_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    fields = ", ".join(f"{{name: graz-n{n}, ip: 10.30.1.1{n}, rack: r1}}" for n in range(1, 17))
    nodes = "    - {name: graz-n1, ip: 10.30.1.11}\n    - {name: graz-n2, ip: 10.30.1.12}\n    - {name: graz-n3, ip: 10.30.1.13}\n"
    spec = spec_of("graz", {GRAZ: [(f"  nodes:\n{nodes}", f"  nodes: [{fields}]\n")]})
    say_what_is_left_out([*unrendered(spec), *unrendered(spec)])
    shown = " ".join(capsys.readouterr().err.split())
    more = len(unrendered(spec)) - SHOWN
    assert more > 0
    assert f"and {more} more (docs/inventory/left-out.md)" in shown
    assert shown.count("azureLocal.nodes.0.rack") == 1
