"""What an agent finds in its environment, and who owns the number of its replicas."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from fleet.model.agents import Agent, Tool, Toolbox
from fleet.model.services import McpRegistry, MessageBus, Postgres, Redis, Telemetry, Temporal
from fleet.model.site import SiteSpec
from fleet.render.agents import grace_seconds, sections
from fleet.render.tree import render_site
from tests.conformance.network_policies import Place, allowed
from tests.factory import ROOT
from tests.unit.test_unrendered import spec_of

Object = Mapping[str, Any]
NAME = "maf-agent-api"


def site(agent: Mapping[str, Any] | None = None, **update: Any) -> SiteSpec:
    """graz with other fields of its agent, and other groups of the site."""
    spec = spec_of("graz")
    made = Agent.model_validate(spec.agents[NAME].model_dump(by_alias=True) | dict(agent or {}), strict=False)
    return spec.model_copy(update={"agents": {NAME: made}, **update})


def objects(spec: SiteSpec) -> Sequence[Object]:
    (section,) = sections(spec)
    return list(yaml.safe_load_all(section.files[f"{NAME}.yaml"]))


def one(found: Sequence[Object], kind: str, name: str = NAME) -> Object:
    (item,) = [o for o in found if o["kind"] == kind and o["metadata"]["name"] == name]
    return item


def config(spec: SiteSpec) -> Mapping[str, str]:
    data: Mapping[str, str] = one(objects(spec), "ConfigMap", f"{NAME}-config")["data"]
    return data


def pod(spec: SiteSpec) -> Object:
    template: Object = one(objects(spec), "Deployment")["spec"]["template"]
    return template


def services(spec: SiteSpec, **stores: Any) -> Any:
    return spec.services.model_copy(update=stores)


def test_agents_trust_the_sites_authority() -> None:
    told = config(site())
    assert told["SSL_CERT_FILE"] == told["REQUESTS_CA_BUNDLE"] == "/etc/fleet-ca/ca-bundle.crt"
    spec = pod(site())["spec"]
    assert {"name": "trust", "configMap": {"name": "fleet-ca"}} in spec["volumes"]
    assert {"name": "trust", "mountPath": "/etc/fleet-ca", "readOnly": True} in spec["containers"][0][
        "volumeMounts"
    ]


def test_langgraph_gets_the_names_that_its_client_reads() -> None:
    told = config(site({"framework": "langgraph"}))
    assert told["OPENAI_API_BASE"] == told["OPENAI_BASE_URL"] == told["FOUNDRY_BASE_URL"]
    assert told["LANGCHAIN_OPENAI_STREAM_CHUNK_TIMEOUT_S"] == "30"
    assert told["LANGSMITH_TRACING"] == "false"
    assert "ENABLE_SENSITIVE_DATA" not in told


@pytest.mark.parametrize(
    ("prompts", "said", "mode"),
    [("off", "false", "NO_CONTENT"), ("hash", "false", "NO_CONTENT"), ("raw", "true", "SPAN_AND_EVENT")],
)
def test_what_prompts_hold_is_recorded_only_where_the_site_says_so(
    prompts: str, said: str, mode: str
) -> None:
    telemetry = Telemetry.model_validate(
        {"retentionDays": 30, "samplePercent": 10, "redaction": {"prompts": prompts}}, strict=False
    )
    told = config(site(telemetry=telemetry))
    assert (told["ENABLE_SENSITIVE_DATA"], told["TRACELOOP_TRACE_CONTENT"]) == (said, said)
    assert told["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] == mode


def test_traces_say_which_site_and_version_they_come_from() -> None:
    told = config(site())
    attributes = dict(pair.split("=") for pair in told["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    assert attributes == {
        "service.namespace": "agents", "service.version": "1.0.0", "deployment.environment.name": "prod",
        "fleet.site": "graz", "fleet.ring": "broad",
    }  # fmt: skip
    assert told["OTEL_SERVICE_NAME"] == NAME
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"].startswith("https://collector.observability.svc.")
    assert told["OTEL_EXPORTER_OTLP_CERTIFICATE"] == "/etc/fleet-ca/ca-bundle.crt"


def test_without_a_tag_the_digest_is_the_version() -> None:
    image = "registry.factory.example:5000/agents/a@sha256:" + "ab" * 32
    assert (
        "service.version=sha256:abababababab," in config(site({"image": image}))["OTEL_RESOURCE_ATTRIBUTES"]
    )


def test_without_telemetry_nothing_is_sent() -> None:
    told = config(site(telemetry=None))
    assert told["OTEL_SDK_DISABLED"] == "true"
    assert not [key for key in told if key.startswith("OTEL_EXPORTER")]


def test_an_autoscaler_alone_owns_the_replicas() -> None:
    spec = site({"autoscale": {"minReplicas": 2, "maxReplicas": 6}})
    assert "replicas" not in one(objects(spec), "Deployment")["spec"]
    scaler = one(objects(spec), "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_without_an_autoscaler_the_inventory_does() -> None:
    assert one(objects(site({"replicas": 5})), "Deployment")["spec"]["replicas"] == 5
    assert not [o for o in objects(site()) if o["kind"] == "HorizontalPodAutoscaler"]


def test_no_agent_is_scaled_to_nothing() -> None:
    spec = site({"autoscale": {"minReplicas": 0, "maxReplicas": 3}})  # AGT009 says so too
    assert one(objects(spec), "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 1


@pytest.mark.parametrize(
    ("policies", "seconds"),
    [
        ({"timeoutSeconds": 5, "maxRetries": 0}, 30),
        ({"timeoutSeconds": 40, "maxRetries": 2}, 120),
        ({"timeoutSeconds": 40, "maxRetries": 2, "deadlineSeconds": 300}, 300),
    ],
)
def test_what_was_begun_is_finished(policies: Mapping[str, int], seconds: int) -> None:
    spec = site({"policies": policies})
    assert grace_seconds(spec.agents[NAME]) == seconds
    assert pod(spec)["spec"]["terminationGracePeriodSeconds"] == seconds


def test_a_token_for_its_tools_and_none_for_the_api_server() -> None:
    spec = site()
    told = config(spec)
    assert told["TOOL_WORK_ORDERS_URL"] == "https://work-orders.tools.svc.cluster.local/mcp"
    assert told["TOOL_WORK_ORDERS_TOKEN_FILE"] == "/var/run/secrets/fleet/tool-token"
    identity = next(v for v in pod(spec)["spec"]["volumes"] if v["name"] == "identity")
    assert identity["projected"]["sources"] == [
        {"serviceAccountToken": {"audience": "tools", "expirationSeconds": 3600, "path": "tool-token"}}
    ]
    assert pod(spec)["spec"]["automountServiceAccountToken"] is False


def tools(**fields: Any) -> Mapping[str, Tool]:
    base = spec_of("graz").tools["work-orders"].model_dump(by_alias=True)
    return {"work-orders": Tool.model_validate(base | fields, strict=False)}


def test_tools_that_want_certificates_get_no_token() -> None:
    spec = site(tools=tools(authentication="mtls"))
    spec = spec.model_copy(update={"platform": spec.platform.model_copy(update={"service_auth": "mtls"})})
    told = config(spec)
    assert "TOOL_WORK_ORDERS_TOKEN_FILE" not in told
    assert told["CLIENT_CERTIFICATE_FILE"] == "/tls/tls.crt"
    volumes = {v["name"]: v for v in pod(spec)["spec"]["volumes"]}
    assert "identity" not in volumes
    assert volumes["tls"]["secret"]["secretName"] == f"{NAME}-tls"


def test_tools_of_entra_id_get_a_token_that_it_takes() -> None:
    spec = site(tools=tools(authentication="workload-identity"))
    assert config(spec)["TOOL_WORK_ORDERS_TOKEN_FILE"] == "/var/run/secrets/fleet/entra-token"
    assert pod(spec)["metadata"]["labels"]["azure.workload.identity/use"] == "true"


def test_a_toolboxs_tools_can_be_reached_and_its_version_is_the_agents() -> None:
    both = {**tools(), "archive": tools()["work-orders"]}
    box = Toolbox.model_validate({"tools": ["archive"], "version": 4}, strict=False)
    spec = site({"toolbox": "desk"}, tools=both, toolboxes={"desk": box})
    template = pod(spec)
    assert template["metadata"]["labels"]["fleet/tool-archive"] == "yes"
    assert template["metadata"]["annotations"]["fleet/toolbox"] == "desk-4"
    policy = one(objects(spec), "NetworkPolicy", f"{NAME}-allow")["spec"]["egress"]
    assert [rule["to"][0]["podSelector"]["matchLabels"]["app"] for rule in policy] == [
        "chat", "work-orders", "archive",
    ]  # fmt: skip


def test_other_prompts_are_another_version() -> None:
    digest = "sha256:" + "9" * 64
    assert pod(site({"prompts": digest}))["metadata"]["annotations"]["fleet/prompts"] == digest
    assert "fleet/prompts" not in pod(site())["metadata"]["annotations"]


def test_stores_are_reached_by_the_names_that_their_clients_read() -> None:
    auth = {"kubernetes": {"name": "redis-auth", "key": "password"}}
    spec = site({"checkpoints": "redis", "memoryStore": "postgres"})
    redis = Redis.model_validate({"storageGib": 5, "auth": auth}, strict=False)
    postgres = Postgres.model_validate({"storageGib": 5}, strict=False)
    spec = spec.model_copy(update={"services": services(spec, redis=redis, postgres=postgres)})
    env = {e["name"]: e for e in pod(spec)["spec"]["containers"][0]["env"]}
    assert env["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "redis-auth", "key": "password"}
    assert env["REDIS_URL"]["value"].startswith("rediss://")
    assert "$(REDIS_PASSWORD)@" in env["REDIS_URL"]["value"]
    assert list(env).index("REDIS_PASSWORD") < list(env).index("REDIS_URL")
    assert env["PGSSLMODE"]["value"] == "verify-full"
    assert env["PGPASSWORD"]["valueFrom"]["secretKeyRef"]["key"] == "password"
    labels = pod(spec)["metadata"]["labels"]
    assert labels["fleet/store-redis"] == labels["fleet/store-postgres"] == "yes"
    told = config(spec)
    assert (told["AGENT_CHECKPOINTS"], told["AGENT_MEMORY_STORE"]) == ("redis", "postgres")
    ports = [
        p["port"]
        for rule in one(objects(spec), "NetworkPolicy", f"{NAME}-allow")["spec"]["egress"]
        for p in rule["ports"]
    ]
    assert ports == [8443, 8443, 5432, 6379]


def test_the_bus_holds_up_no_agent_that_does_not_use_it() -> None:
    bus = MessageBus.model_validate({"kind": "nats", "storageGib": 5}, strict=False)
    spec = site()
    env = {
        e["name"]: e
        for e in pod(spec.model_copy(update={"services": services(spec, bus=bus)}))["spec"]["containers"][0][
            "env"
        ]
    }
    assert env["NATS_URL"]["value"] == "tls://nats.platform.svc.cluster.local:4222"
    assert env["NATS_PASSWORD"]["valueFrom"]["secretKeyRef"]["optional"] is True


@pytest.mark.parametrize("long", [True, False])
def test_a_long_running_agent_gets_temporal(long: bool) -> None:
    temporal = Temporal.model_validate({"namespace": "desk"}, strict=False)
    spec = site({"longRunning": long})
    spec = spec.model_copy(update={"services": services(spec, temporal=temporal)})
    env = {e["name"]: e.get("value") for e in pod(spec)["spec"]["containers"][0]["env"]}
    assert ("TEMPORAL_ADDRESS" in env) is long
    assert env.get("TEMPORAL_NAMESPACE") == ("desk" if long else None)
    assert "TEMPORAL_TASK_QUEUES" not in env


def test_a_store_that_the_site_does_not_run_is_left_out() -> None:
    names = [e["name"] for e in pod(site({"checkpoints": "postgres"}))["spec"]["containers"][0]["env"]]
    assert names == ["FOUNDRY_API_KEY", "OPENAI_API_KEY"]  # AGT013 says the rest


def test_an_agent_without_callers_is_called_by_the_ingress_alone() -> None:
    policy = one(objects(site()), "NetworkPolicy", f"{NAME}-allow")["spec"]["ingress"]
    assert [peer["podSelector"]["matchLabels"] for peer in policy[0]["from"]] == [{"fleet/role": "ingress"}]
    alone = site()
    alone = alone.model_copy(update={"platform": alone.platform.model_copy(update={"ingress": None})})
    assert one(objects(alone), "NetworkPolicy", f"{NAME}-allow")["spec"]["ingress"] == []


def test_an_agent_pushes_out_no_service_that_names_no_class() -> None:
    (section,) = sections(site())
    priority = yaml.safe_load(section.files["priority_class.yaml"])
    assert pod(site())["spec"]["priorityClassName"] == priority["metadata"]["name"]
    assert priority["value"] == 0


def test_a_site_without_agents_has_no_section() -> None:
    assert list(sections(site().model_copy(update={"agents": {}}))) == []


def test_both_ends_let_an_agent_reach_the_services_that_it_uses_and_no_others() -> None:
    spec = site({"checkpoints": "redis", "longRunning": True})
    stores: Mapping[str, Any] = {
        "redis": Redis.model_validate({"storageGib": 5}, strict=False),
        "postgres": Postgres.model_validate({"storageGib": 5}, strict=False),
        "bus": MessageBus.model_validate({"kind": "nats", "storageGib": 5}, strict=False),
        "temporal": Temporal(),
    }
    spec = spec.model_copy(update={"services": services(spec, **stores)})
    found = [o for text in render_site(spec).files.values() for o in yaml.safe_load_all(text) if o]
    policies = [o for o in found if o["kind"] == "NetworkPolicy"]
    agent = Place("agent", "10.244.1.1", "agents", pod(spec)["metadata"]["labels"])
    for service, port, reached in (
        ("valkey", 6379, True), ("temporal", 7233, True), ("nats", 4222, True), ("postgres", 5432, False),
        ("valkey", 5432, False),
    ):  # fmt: skip
        place = Place(service, "10.244.1.2", "platform", {"fleet/service": service})
        assert allowed(policies, agent, place, port) is reached, service
    collector = Place("collector", "10.244.1.3", "observability", {"app": "collector"})
    assert allowed(policies, agent, collector, 4318)


def test_the_contract_names_every_variable_and_no_other() -> None:
    page = (ROOT / "docs" / "agent-contract.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[A-Z][^|]*) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}
    stores: Mapping[str, Any] = {
        "redis": Redis.model_validate({"storageGib": 5}, strict=False),
        "postgres": Postgres.model_validate({"storageGib": 5}, strict=False),
        "bus": MessageBus.model_validate({"kind": "nats", "storageGib": 5}, strict=False),
        "temporal": Temporal.model_validate({"taskQueues": ["desk"]}, strict=False),
        "mcp_registry": McpRegistry(),
    }
    told: set[str] = set()
    policies = {"deadlineSeconds": 90, "requestsPerMinute": 60}
    for framework in ("maf", "langgraph"):
        fields = {
            "framework": framework,
            "checkpoints": "redis",
            "memoryStore": "postgres",
            "longRunning": True,
        }
        spec = site({**fields, "policies": policies})
        platform = spec.platform.model_copy(update={"service_auth": "mtls"})
        spec = spec.model_copy(update={"platform": platform, "services": services(spec, **stores)})
        for each in (spec, spec.model_copy(update={"telemetry": None})):
            told |= config(each).keys() | {e["name"] for e in pod(each)["spec"]["containers"][0]["env"]}
    assert {name.replace("WORK_ORDERS", "NAME") for name in told} == named


def test_every_host_that_an_agent_calls_by_tls_has_a_certificate_of_that_name() -> None:
    stores: Mapping[str, Any] = {
        "redis": Redis.model_validate({"storageGib": 5}, strict=False),
        "postgres": Postgres.model_validate({"storageGib": 5}, strict=False),
        "bus": MessageBus.model_validate({"kind": "nats", "storageGib": 5}, strict=False),
    }
    spec = site({"checkpoints": "redis", "memoryStore": "postgres"})
    spec = spec.model_copy(update={"services": services(spec, **stores)})
    found = [o for text in render_site(spec).files.values() for o in yaml.safe_load_all(text) if o]
    certified = {name for o in found if o["kind"] == "Certificate" for name in o["spec"]["dnsNames"]}
    env = {e["name"]: e.get("value", "") for e in pod(spec)["spec"]["containers"][0]["env"]}
    told = [*config(spec).values(), *env.values()]
    hosts = {urlsplit(v).hostname for v in told if urlsplit(v).scheme in ("https", "rediss", "tls")}
    assert hosts | {env["PGHOST"]} <= certified
    assert len(hosts) == 5
