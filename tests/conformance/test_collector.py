"""The collector itself takes every configuration that is rendered, and does what the inventory says.

`otelcol` is built from OpenTelemetry's Go modules with the components that configurations name (collector/main.go).
Azure Monitor's exporter is on no module proxy: where a configuration has it, an OTLP exporter stands in.
"""

import contextlib
import itertools
import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.model.services import Services, Telemetry
from fleet.model.site import SiteSpec
from fleet.render.telemetry import collector_config
from fleet.sandbox.tls import ensure_server_tls
from tests.conformance.binaries import binary
from tests.conformance.cluster import wait_until
from tests.conformance.running import free_ports
from tests.factory import factory_inventory

STORES = {"metrics": {"storageGib": 5, "retentionDays": 3}, "langfuse": {"retentionDays": 3}}
SECRET = "my number is 078-05-1120"
SECOND = "and a second line"


def spec_with(services: Mapping[str, Any] | None = None, **telemetry: Any) -> tuple[SiteSpec, Telemetry]:
    site = factory_inventory().site("turin")
    assert site is not None
    told = Telemetry.model_validate({"retentionDays": 30, "samplePercent": 0.001, **telemetry})
    stores = Services.model_validate(services or {})
    return site.spec.model_copy(update={"services": stores, "telemetry": told}), told


def runnable(config: str, folder: Path) -> dict[str, Any]:
    """The configuration with its files below `folder`, and a stand-in for Azure Monitor's exporter."""
    value: dict[str, Any] = yaml.safe_load(
        config.replace("/tls/", f"{folder}/tls/").replace("/var/lib/otelcol", str(folder / "data"))
    )
    azure = value["exporters"].pop("azuremonitor", None)
    if azure is not None:
        value["exporters"]["otlphttp/azure"] = {"endpoint": "https://azure.example", **azure}
        text = json.dumps(value["service"]["pipelines"]).replace("azuremonitor", "otlphttp/azure")
        value["service"]["pipelines"] = json.loads(text)
    return value


def judged(value: Mapping[str, Any], folder: Path) -> str:
    """What the program says against it; nothing where it is right."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(value))
    (folder / "data").mkdir(exist_ok=True)
    command: list[str | Path] = [binary("otelcol"), "validate", f"--config={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stderr if done.returncode else ""


MODES = ("off", "hash", "raw")
CASES = [
    {
        "redaction": {
            "prompts": prompts,
            "toolArguments": arguments,
            "queryStrings": urls,
            "patterns": patterns,
        }
    }
    for prompts, arguments, (urls, patterns) in itertools.product(
        MODES, MODES, [(True, []), (False, [r"^[0-9]{3}-\d{2}$", "$HOME", "${env:PATH}"])]
    )
]
MORE = {"azureMonitor": True, "bufferHours": 72, "bufferGib": 10}


@pytest.mark.parametrize(
    "telemetry", CASES, ids=lambda case: "-".join(map(str, list(case["redaction"].values())[:3]))
)
def test_the_collector_takes_every_way_to_redact(tmp_path: Path, telemetry: Mapping[str, Any]) -> None:
    assert judged(runnable(collector_config(*spec_with(**telemetry)), tmp_path), tmp_path) == ""


@pytest.mark.parametrize("services", [{}, STORES], ids=["files", "stores"])
@pytest.mark.parametrize(
    "telemetry", [{}, MORE, {"bufferHours": 1, "bufferGib": 1}], ids=["plain", "azure", "buffer"]
)
def test_the_collector_takes_every_choice_of_stores(
    tmp_path: Path, services: Mapping[str, Any], telemetry: Mapping[str, Any]
) -> None:
    assert judged(runnable(collector_config(*spec_with(services, **telemetry)), tmp_path), tmp_path) == ""


@pytest.mark.parametrize(
    ("at", "wrong", "said"),
    [
        (("processors", "transform/redact", "trace_statements"), ["delete_nonsense(span.attributes)"], "delete_nonsense"),
        (("exporters", "file/traces", "rotate"), {}, "rotate"),
        (("service", "pipelines", "traces/kept", "exporters"), ["file/none"], "file/none"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_refused(tmp_path: Path, at: tuple[str, ...], wrong: Any, said: str) -> None:
    """The proof that the tests above can fail."""
    value = runnable(collector_config(*spec_with()), tmp_path)
    place = value
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = wrong
    assert said in judged(value, tmp_path)


class Running:
    """A collector on loopback, with the certificate that it serves."""

    def __init__(self, folder: Path, port: int, context: ssl.SSLContext) -> None:
        self.folder, self.port, self.context = folder, port, context

    def send(self, path: str, body: Mapping[str, Any]) -> None:
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
            assert answer.status == 200

    def kept(self, signal: str) -> str:
        file = self.folder / "data" / "records" / f"{signal}.jsonl"
        return file.read_text() if file.exists() else ""


@contextlib.contextmanager
def collector(folder: Path, **telemetry: Any) -> Iterator[Running]:
    """The rendered configuration, running; a trace is decided on after a second and not after thirty."""
    tls = ensure_server_tls(folder / "server")
    (folder / "tls").mkdir()
    (folder / "tls" / "tls.crt").write_bytes(Path(tls.cert_file).read_bytes())
    (folder / "tls" / "tls.key").write_bytes(Path(tls.key_file).read_bytes())
    value = runnable(collector_config(*spec_with(**telemetry)), folder)
    http, grpc, health = free_ports(3)
    protocols = value["receivers"]["otlp"]["protocols"]
    protocols["http"]["endpoint"], protocols["grpc"]["endpoint"] = f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"
    value["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{health}"
    value["processors"]["tail_sampling"]["decision_wait"] = "1s"
    (folder / "config.yaml").write_text(yaml.safe_dump(value))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary("otelcol"), f"--config={folder / 'config.yaml'}"], stdout=log, stderr=log
        )
    try:

        def up() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                return bool(urllib.request.urlopen(f"http://127.0.0.1:{health}/", timeout=5).status == 200)
            return False

        wait_until(up, "the collector answers")
        yield Running(folder, http, ssl.create_default_context(cafile=str(tls.ca_file)))
    finally:
        process.terminate()
        process.wait(timeout=30)


def attributes(**values: str) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in values.items()]


def span(trace: int, *, failed: bool, **values: str) -> dict[str, Any]:
    return {
        "traceId": f"{trace:032x}", "spanId": f"{trace:016x}", "name": f"chat {trace}", "kind": 2,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
        "status": {"code": 2 if failed else 1}, "attributes": attributes(**values),
        "events": [{"timeUnixNano": "1700000000000000000", "name": "gen_ai.content", "attributes": attributes(gen_ai__event__content=SECRET)}],
    }  # fmt: skip


def spans(*found: Mapping[str, Any]) -> dict[str, Any]:
    resource = {"attributes": attributes(service__name="maf-agent-api")}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(found)}]}]}


def log_record(body: str) -> dict[str, Any]:
    record = {
        "timeUnixNano": "1700000000000000000",
        "eventName": "gen_ai.user.message",
        "body": {"stringValue": body},
    }
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


TOLD = {
    "gen_ai__input__messages": f"{SECRET}\n{SECOND}",
    "gen_ai__prompt__0__content": SECRET,
    "gen_ai__tool__call__arguments": "order 4711",
    "url__full": "https://agents.example/ask?token=abc",
    "gen_ai__request__model": "phi-4-mini",
    "customer": "card 4111-1111",
}


def test_prompts_are_hashed_urls_cut_and_failed_traces_kept(tmp_path: Path) -> None:
    redaction = {"prompts": "hash", "toolArguments": "off", "patterns": ["[0-9]{4}-[0-9]{4}"]}
    with collector(tmp_path, redaction=redaction) as running:
        running.send(
            "/v1/traces",
            spans(*(span(n, failed=False, **TOLD) for n in range(1, 101)), span(999, failed=True, **TOLD)),
        )
        running.send("/v1/logs", log_record(SECRET))
        wait_until(lambda: "chat 999" in running.kept("traces"), "the failed trace is kept")
        wait_until(lambda: running.kept("logs") != "", "the log record is kept")
        traces, logs = running.kept("traces"), running.kept("logs")
    for text in (SECRET, SECOND, "078-05", "4711", "token=abc", "4111"):
        assert text not in traces + logs, text
    (kept,) = [json.loads(line) for line in traces.splitlines() if "chat 999" in line]
    found = next(
        s
        for r in kept["resourceSpans"]
        for sc in r["scopeSpans"]
        for s in sc["spans"]
        if s["name"] == "chat 999"
    )
    values = {a["key"]: a["value"]["stringValue"] for a in found["attributes"]}
    assert len(values["gen_ai.prompt.0.content"]) == 64
    assert values["gen_ai.request.model"] == "phi-4-mini"
    assert values["url.full"] == "https://agents.example/ask"
    assert "gen_ai.tool.call.arguments" not in values
    assert values["customer"] == "card ****"
    # 0.001 % of 100 good ones: none, in all but one of a thousand runs; the failed one always.
    assert traces.count('"name":"chat ') <= 2


def test_what_is_raw_is_kept_as_it_is(tmp_path: Path) -> None:
    """The proof that the test above can fail, and that the inventory decides."""
    with collector(
        tmp_path, redaction={"prompts": "raw", "toolArguments": "raw", "queryStrings": False}
    ) as running:
        running.send("/v1/traces", spans(span(999, failed=True, **TOLD)))
        wait_until(lambda: "chat 999" in running.kept("traces"), "the failed trace is kept")
        for text in (SECRET, "order 4711", "token=abc"):
            assert text in running.kept("traces")


def test_a_sender_that_does_not_trust_the_certificate_sends_nothing(tmp_path: Path) -> None:
    with collector(tmp_path) as running:
        running.context = ssl.create_default_context()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            running.send("/v1/traces", spans(span(1, failed=True)))
