"""What a tool's proxy is told, and what it can reach."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from fleet.model.agents import Tool
from fleet.model.site import SiteSpec
from fleet.render.section import api_server_networks
from fleet.render.tools import proxy_config, sections, tools_of
from tests.factory import ROOT
from tests.unit.rules.cases import FLEET, Edits
from tests.unit.test_unrendered import spec_of

Object = Mapping[str, Any]


def site(tools: Mapping[str, Any] | None = None, edits: Edits | None = None) -> SiteSpec:
    """graz with other tools: fields of `work-orders`, and tools beside it."""
    spec = spec_of("graz", edits)
    made = dict(spec.tools)
    base = spec.tools["work-orders"].model_dump(by_alias=True)
    for name, fields in (tools or {}).items():
        made[name] = Tool.model_validate(base | fields, strict=False)
    return spec.model_copy(update={"tools": made})


def objects(spec: SiteSpec, name: str = "work-orders") -> Sequence[Object]:
    (section,) = sections(spec)
    return list(yaml.safe_load_all(section.files[f"{name}.yaml"]))


def one(found: Sequence[Object], kind: str, name: str = "") -> Object:
    (item,) = [o for o in found if o["kind"] == kind and o["metadata"]["name"].endswith(name)]
    return item


def pod(found: Sequence[Object]) -> Object:
    spec: Object = one(found, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_the_proxy_is_told_what_the_inventory_says() -> None:
    fields = {
        "kind": "openapi", "mcpSpec": None, "schemaVersion": 3, "validation": "none", "audit": "writes",
        "authorization": {"agents": ["maf-agent-api"], "operations": ["list", "close"], "write": True, "approval": True},
        "limits": {"timeoutSeconds": 7, "requestsPerMinute": 9, "maxFileKib": 64, "maxDepth": 3},
        "breaker": {"failures": 2, "openSeconds": 11},
    }  # fmt: skip
    config = yaml.safe_load(one(objects(site({"work-orders": fields})), "ConfigMap")["data"]["proxy.yaml"])
    assert config == {
        "tool": "work-orders", "kind": "openapi", "schemaVersion": 3,
        "listen": {"port": 8443, "certificate": "/tls/tls.crt", "key": "/tls/tls.key"},
        "authentication": {"kind": "token", "audience": "tools"},
        "authorization": {
            "callers": ["agents/maf-agent-api"], "agents": ["maf-agent-api"], "operations": ["list", "close"],
            "write": True, "approval": True,
        },
        "validation": "none",
        "audit": {"calls": "writes", "correlationHeader": "x-correlation-id", "arguments": "hash"},
        "limits": {"timeoutSeconds": 7, "requestsPerMinute": 9, "maxFileKib": 64, "maxDepth": 3},
        "breaker": {"failures": 2, "openSeconds": 11},
        "allowedDestinations": [{"cidr": "10.30.8.20/32", "port": 443}, {"cidr": "10.30.8.21/32", "port": 1433}],
    }  # fmt: skip


def test_a_changed_setting_restarts_the_proxy() -> None:
    digests = {
        one(objects(spec), "Deployment")["spec"]["template"]["metadata"]["annotations"]["fleet/config-digest"]
        for spec in (site(), site({"work-orders": {"audit": "writes"}}))
    }
    assert len(digests) == 2


def test_nobody_may_call_a_tool_that_no_agent_uses() -> None:
    spec = site({"idle": {}})
    assert proxy_config(spec, "idle")["authorization"]["callers"] == []
    assert proxy_config(spec, "idle")["authorization"]["operations"] == ["*"]


def test_an_agent_that_the_tool_does_not_let_is_no_caller() -> None:
    spec = site({"work-orders": {"authorization": {"agents": ["other"]}}})
    assert proxy_config(spec, "work-orders")["authorization"]["callers"] == []


def test_a_toolbox_gives_its_tools_once() -> None:
    edits: Edits = {
        FLEET: [
            ("      tools: [work-orders]\n", "      tools: [work-orders]\n      toolbox: desk\n"),
            ("  telemetry:\n", "  toolboxes: {desk: {tools: [reports, work-orders], version: 2}}\n  telemetry:\n"),
            ("    work-orders:\n      image:", "    reports: {image: 'registry.factory.example/tools/r:1@sha256:" + "2" * 64 + "', replicas: 2, allowedDestinations: []}\n    work-orders:\n      image:"),
        ],
    }  # fmt: skip
    spec = spec_of("graz", edits)
    assert tools_of(spec, spec.agents["maf-agent-api"]) == ("work-orders", "reports")
    assert proxy_config(spec, "reports")["authorization"]["callers"] == ["agents/maf-agent-api"]


def test_a_site_without_telemetry_logs_no_arguments_and_sends_nothing() -> None:
    spec = site().model_copy(update={"telemetry": None})
    assert proxy_config(spec, "work-orders")["audit"]["arguments"] == "off"
    env = {e["name"]: e["value"] for e in pod(objects(spec))["containers"][0]["env"]}
    assert env["OTEL_SDK_DISABLED"] == "true"
    assert not [name for name in env if name.startswith("OTEL_EXPORTER")]


@pytest.mark.parametrize(
    ("kind", "told", "asks"),
    [
        ("token", {"audience": "tools"}, True),
        ("mtls", {"clientCa": "/etc/fleet-ca/ca-bundle.crt"}, False),
        ("workload-identity", {"tenant": "5e0c2f1a-0000-4000-8000-000000000001"}, False),
        ("none", {}, False),
    ],
)
def test_only_a_proxy_that_checks_tokens_may_ask_the_api_server(kind: str, told: Object, asks: bool) -> None:
    spec = site({"work-orders": {"authentication": kind}})
    found = objects(spec)
    assert proxy_config(spec, "work-orders")["authentication"] == {"kind": kind, **told}
    mounts = {m["mountPath"] for m in pod(found)["containers"][0]["volumeMounts"]}
    assert ("/var/run/secrets/kubernetes.io/serviceaccount" in mounts) is asks
    assert any(o["kind"] == "ClusterRoleBinding" for o in found) is asks
    assert any(o["metadata"]["name"] == "work-orders-allow-proxy" for o in found) is asks


def test_a_fallback_is_asked_with_the_proxys_own_identity() -> None:
    spec = site({"work-orders": {"fallback": "archive"}, "archive": {}})
    config = proxy_config(spec, "work-orders")
    assert config["fallback"] == "https://archive.tools.svc.cluster.local/mcp"
    assert proxy_config(spec, "archive")["authorization"]["callers"] == ["tools/work-orders"]
    identity = next(v for v in pod(objects(spec))["volumes"] if v["name"] == "identity")
    assert identity["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "tools"
    ingress = one(objects(spec, "archive"), "NetworkPolicy", "archive-allow")["spec"]["ingress"][0]
    assert {"podSelector": {"matchLabels": {"app": "work-orders"}}} in ingress["from"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": 8443}]


def test_https_is_all_that_is_spoken() -> None:
    found = objects(site())
    container = pod(found)["containers"][0]
    assert [p["name"] for p in container["ports"]] == ["https"]
    assert {container[p]["httpGet"]["scheme"] for p in ("readinessProbe", "livenessProbe")} == {"HTTPS"}
    assert one(found, "Service")["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": "https"}]
    assert {"name": "tls", "secret": {"secretName": "work-orders-tls"}} in pod(found)["volumes"]


def test_the_api_server_is_in_the_clusters_own_pool_and_nothing_else_is() -> None:
    assert api_server_networks(site()) == [
        "10.30.2.16/28", "10.30.2.32/28", "10.30.2.48/29", "10.30.2.56/30", "10.30.2.60/32",
    ]  # fmt: skip


def test_a_site_without_tools_has_no_section() -> None:
    assert list(sections(site().model_copy(update={"tools": {}}))) == []


def test_the_contract_names_every_key_and_no_other() -> None:
    page = (ROOT / "docs" / "tool-proxy-contract.md").read_text("utf-8").partition("\n## ")[0]
    named = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    spec = site({"work-orders": {"fallback": "archive", "mcpSpec": "2025-11-25"}, "archive": {}})
    told = proxy_config(spec, "work-orders") | {"sandbox": {}}
    split = ("authorization", "audit", "limits")
    keys = {key for key in told if key not in split}
    keys |= {f"{key}.{below}" for key in split for below in told[key]}
    assert named == keys
