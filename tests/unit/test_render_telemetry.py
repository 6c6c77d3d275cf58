"""The collector, the store of metrics and what they are told: by the inventory, and nothing else.

What the collector makes of its configuration: tests/conformance/test_collector.py.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.services import Services, Telemetry
from fleet.model.site import SiteSpec
from fleet.render import telemetry
from tests.factory import factory_inventory

METRICS = {"metrics": {"storageGib": 20, "retentionDays": 14, "storageClass": "fast"}}


def spec_of(name: str, services: Mapping[str, Any] | None = None, **told: Any) -> SiteSpec:
    site = factory_inventory().site(name)
    assert site is not None
    update = {
        "services": Services.model_validate(services or {}),
        "telemetry": Telemetry.model_validate({"retentionDays": 30, "samplePercent": 10, **told}),
    }
    return site.spec.model_copy(update=update)


def objects(spec: SiteSpec) -> dict[str, Any]:
    """By kind and name; the section has each once."""
    texts = [text for section in telemetry.sections(spec) for text in section.files.values()]
    found = [value for text in texts for value in yaml.safe_load_all(text)]
    named = {f"{value['kind']}/{value['metadata']['name']}": value for value in found}
    assert len(named) == len(found)
    return named


def config(spec: SiteSpec) -> Any:
    return yaml.safe_load(objects(spec)["ConfigMap/collector-config"]["data"]["config.yaml"])


def test_without_telemetry_and_metrics_there_is_nothing() -> None:
    bare = spec_of("turin").model_copy(update={"telemetry": None})
    assert list(telemetry.sections(bare)) == []


def test_the_collectors_image_is_the_components_digest_from_the_sites_registry() -> None:
    spec = spec_of("graz")
    container = objects(spec)["Deployment/collector"]["spec"]["template"]["spec"]["containers"][0]
    assert spec.registry is not None
    digest = spec.components["otel-collector"].digest
    assert container["image"] == f"{spec.registry.host}/otel/opentelemetry-collector-contrib:0.155.0@{digest}"


def test_a_small_site_gets_a_small_collector() -> None:
    requests = {
        name: objects(spec_of(name))["Deployment/collector"]["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        for name in ("turin", "graz")
    }  # fmt: skip
    assert requests == {"turin": {"cpu": "50m", "memory": "256Mi"}, "graz": {"cpu": "250m", "memory": "1Gi"}}


def test_errors_are_kept_and_of_the_rest_the_share_that_was_said() -> None:
    policies = config(spec_of("turin", samplePercent=2.5))["processors"]["tail_sampling"]["policies"]
    assert policies[0]["status_code"] == {"status_codes": ["ERROR"]}
    assert policies[1]["probabilistic"] == {"sampling_percentage": 2.5}


@pytest.mark.parametrize(
    ("prompts", "arguments", "hashed", "dropped"),
    [
        ("hash", "hash", 11, 0),
        ("hash", "off", 8, 2),
        ("off", "hash", 3, 2),
        ("off", "off", 0, 4),
        ("raw", "raw", 0, 0),
    ],
)
def test_redaction_is_as_said(prompts: str, arguments: str, hashed: int, dropped: int) -> None:
    found = config(spec_of("turin", redaction={"prompts": prompts, "toolArguments": arguments}))
    keys = found["processors"].get("redaction/hash", {}).get("blocked_key_patterns", [])
    statements = found["processors"]["transform/redact"]["trace_statements"]
    assert len(keys) == hashed
    assert len([s for s in statements if s.startswith("delete_matching_keys")]) == dropped
    for pipeline in ("traces/kept", "logs"):
        processors = found["service"]["pipelines"][pipeline]["processors"]
        assert ("redaction/hash" in processors) == bool(hashed)


def test_redaction_comes_before_a_trace_is_kept() -> None:
    processors = config(spec_of("turin", redaction={"patterns": ["a"]}))["service"]["pipelines"][
        "traces/kept"
    ]["processors"]
    assert processors == ["memory_limiter", "transform/redact", "redaction/hash", "redaction/patterns", "tail_sampling"]  # fmt: skip


def test_a_users_pattern_is_no_variable_of_the_collector() -> None:
    found = config(spec_of("turin", redaction={"patterns": ["^a$", "${env:HOME}: 'x' # y"]}))
    assert found["processors"]["redaction/patterns"]["blocked_values"] == ["^a$$", "$${env:HOME}: 'x' # y"]


def test_with_nothing_to_redact_nothing_is_in_the_way() -> None:
    redaction = {"prompts": "raw", "toolArguments": "raw", "queryStrings": False}
    found = config(spec_of("turin", redaction=redaction))
    assert set(found["processors"]) == {"memory_limiter", "tail_sampling"}


def test_a_thin_link_has_a_queue_on_disk_for_as_long_as_was_said() -> None:
    spec = spec_of("graz", METRICS, bufferHours=72, bufferGib=10, azureMonitor=True)
    found, named = config(spec), objects(spec)
    for exporter in ("otlphttp/metrics", "azuremonitor"):
        assert found["exporters"][exporter]["sending_queue"]["storage"] == "file_storage/buffer"
    assert found["exporters"]["otlphttp/metrics"]["retry_on_failure"] == {"max_elapsed_time": "72h"}
    assert "file_storage/buffer" in found["service"]["extensions"]
    claim = named["PersistentVolumeClaim/collector"]["spec"]["resources"]["requests"]["storage"]
    assert claim == "10Gi"
    # all queues together fit on the volume
    queues = (
        sum(len(p["exporters"]) for p in found["service"]["pipelines"].values()) - 1
    )  # without spanmetrics
    assert queues * found["exporters"]["otlphttp/metrics"]["sending_queue"]["queue_size"] < 10 * 2**30


def test_without_a_buffer_nothing_is_claimed_and_nothing_is_on_disk() -> None:
    spec = spec_of("turin", METRICS)
    assert "PersistentVolumeClaim/collector" not in objects(spec)
    assert "storage" not in config(spec)["exporters"]["otlphttp/metrics"]["sending_queue"]


def test_what_has_no_store_is_kept_in_files_for_the_days_that_were_said() -> None:
    found = config(spec_of("turin", METRICS, retentionDays=9))
    assert sorted(name for name in found["exporters"] if name.startswith("file/")) == [
        "file/logs",
        "file/traces",
    ]
    assert found["exporters"]["file/traces"]["rotation"]["max_days"] == 9


def test_no_secret_is_in_the_configuration() -> None:
    spec = spec_of("graz", {**METRICS, "langfuse": {"retentionDays": 30}}, azureMonitor=True)
    env = objects(spec)["Deployment/collector"]["spec"]["template"]["spec"]["containers"][0]["env"]
    taken = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in env if "valueFrom" in e}
    assert set(taken) == {"LANGFUSE_AUTH", "APPLICATIONINSIGHTS_CONNECTION_STRING"}
    assert config(spec)["exporters"]["otlphttp/langfuse"]["headers"] == {"Authorization": "Basic ${env:LANGFUSE_AUTH}"}  # fmt: skip


def test_a_changed_configuration_restarts_the_collector() -> None:
    def digest(spec: SiteSpec) -> str:
        metadata = objects(spec)["Deployment/collector"]["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["fleet/config-digest"])

    assert digest(spec_of("turin")) == digest(spec_of("turin"))
    assert digest(spec_of("turin")) != digest(spec_of("turin", samplePercent=11))


def test_the_store_of_metrics_has_the_inventorys_values() -> None:
    server = objects(spec_of("graz", METRICS))["HelmRelease/victoria-metrics"]["spec"]["values"]["server"]
    assert server["retentionPeriod"] == "14d"
    assert server["persistentVolume"] == {"enabled": True, "size": "20Gi", "storageClassName": "fast"}
    assert server["http"][0]["tls"] is True
    assert [job["job_name"] for job in server["scrape"]["config"]["scrape_configs"]] == ["collector", "gpu"]


def test_alerts_have_the_inventorys_limits() -> None:
    alerts = {"errorPercent": 7, "p95Ms": 5100, "tokenGrowthPercent": 25, "gpuFreeMib": 512}
    found = objects(spec_of("graz", METRICS, alerts=alerts))["ConfigMap/metrics-alerts"]["data"][
        "alert-rules.yaml"
    ]
    rules = {rule["alert"]: rule["expr"] for rule in yaml.safe_load(found)["groups"][0]["rules"]}
    assert rules["ErrorRate"].endswith("> 7.0")
    assert rules["SlowAnswers"].endswith("> 5100")
    assert "> 1.25 *" in rules["TokenGrowth"]
    assert rules["GpuMemoryLow"].endswith("< 512")
    assert (
        "GpuMemoryLow"
        not in objects(spec_of("turin", METRICS))["ConfigMap/metrics-alerts"]["data"]["alert-rules.yaml"]
    )


@pytest.mark.parametrize(("site", "rows"), [("graz", 5), ("turin", 4)])
def test_the_dashboard_is_json_and_shows_gpus_where_there_are_some(site: str, rows: int) -> None:
    text = objects(spec_of(site, METRICS))["ConfigMap/metrics-dashboards"]["data"]["fleet.json"]
    assert len(json.loads(text)["rows"]) == rows


@pytest.mark.parametrize("services", [{}, METRICS])
def test_a_component_without_a_digest_is_refused(services: Mapping[str, Any]) -> None:
    """CMP001 says it at the inventory's line."""
    bare = spec_of("graz", services).model_copy(update={"components": {}})
    with pytest.raises(FleetError, match="otel-collector is switched on") as caught:
        objects(bare)
    assert caught.value.code == "TPL003"
