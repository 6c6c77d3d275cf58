"""What is measured and kept: the collector, the store of metrics, its alerts and a dashboard."""

import hashlib
from collections.abc import Iterator
from textwrap import indent
from typing import Any

from markupsafe import Markup

from fleet.model.services import Redaction, Telemetry, VictoriaMetrics
from fleet.model.site import SiteSpec
from fleet.render.controllers import split_image
from fleet.render.placement import footprint, on_pool, pinned_image, service_certificates, services_pool
from fleet.render.releases import release
from fleet.render.section import BEFORE_PODS, GUARDED, Section, api_server_networks, taints_of
from fleet.render.templating import render_template

ENDPOINT = "https://collector.observability.svc.cluster.local:4318"
"""Where everything at a site sends its telemetry: OTLP over HTTP, with the certificate of `collector-tls`."""

PROMPTS = (
    # The GenAI conventions, OpenInference and OpenLLMetry (names from memory, to be checked)
    "^gen_ai[.](prompt|completion)([.].*)?$",
    "^gen_ai[.](input|output)[.]messages$",
    "^gen_ai[.]system_instructions$",
    "^gen_ai[.]event[.]content$",
    "^(input|output)[.]value$",
    "^llm[.](input|output)_messages[.].*$",
    "^llm[.]prompts([.].*)?$",
    "^traceloop[.]entity[.](input|output)$",
)
"""Attributes that hold what users wrote and models answered (requirement K5)."""
TOOL_ARGUMENTS = (
    "^gen_ai[.]tool[.]call[.](arguments|result)$",
    "^tool[.]parameters$",
    "^mcp[.](request|response)[.](arguments|params|result)([.].*)?$",
)
"""Attributes that hold what tools were called with, and what they answered."""
URLS = ("url.full", "http.url", "http.target", "url.original")
"""Attributes that may hold a query string (requirement B19)."""


_HARDENED = {
    "podSecurityContext": {
        "enabled": True,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "securityContext": {
        "enabled": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
"""What VictoriaMetrics' charts leave out."""


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `observability`, after the services that it writes to."""
    files: dict[str, str] = {}
    if spec.telemetry is not None:
        files["collector.yaml"] = _collector(spec, spec.telemetry)
    if spec.services.metrics is not None:
        files["metrics.yaml"] = _metrics(spec)
        files["victoria-metrics.yaml"] = _victoria_metrics(spec, spec.services.metrics)
        if spec.telemetry is not None:
            files["vmalert.yaml"] = _vmalert(spec)
    if files:
        served = {name: () for name in ("collector", "metrics") if f"{name}.yaml" in files}
        files["certificates.yaml"] = service_certificates(spec, "observability", served)
        yield Section("observability", "observability", files, (*BEFORE_PODS, "services"), "10m")


def _literal(text: str) -> str:
    """Text of a user inside of the collector's configuration, where `$` starts a variable."""
    return text.replace("$", "$$")


def _statements(redaction: Redaction) -> tuple[list[str], list[str]]:
    """OTTL for spans and for log records: what is dropped, and bodies that are only known by a hash."""
    spans, logs = [], []
    for mode, keys in _modes(redaction):
        if mode == "off":
            pattern = _literal("|".join(keys))
            spans += [f'delete_matching_keys({at}.attributes, "{pattern}")' for at in ("span", "spanevent")]
            logs.append(f'delete_matching_keys(log.attributes, "{pattern}")')
    if redaction.prompts != "raw":
        # The conventions' events have the words in their body: gen_ai.user.message, gen_ai.choice, …
        new = "SHA256(log.body.string)" if redaction.prompts == "hash" else '""'
        logs.append(
            f'set(log.body, {new}) where IsString(log.body) and IsMatch(log.event_name, "^gen_ai[.]")'
        )
        logs.append(
            'set(log.body, "") where not IsString(log.body) and IsMatch(log.event_name, "^gen_ai[.]")'
        )
    if redaction.query_strings:
        for at, found in (("span", spans), ("log", logs)):
            found += [f'replace_pattern({at}.attributes["{key}"], "[?].*", "")' for key in URLS]
            found.append(f'delete_key({at}.attributes, "url.query")')
    return spans, logs


def _modes(redaction: Redaction) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ((redaction.prompts, PROMPTS), (redaction.tool_arguments, TOOL_ARGUMENTS))


def _stores(spec: SiteSpec, telemetry: Telemetry) -> dict[str, list[str]]:
    """The exporters of each signal: the site's stores and Azure, or a file where there is none."""
    azure = ["azuremonitor"] if telemetry.azure_monitor else []
    stores = {
        "traces": ["otlphttp/langfuse"] if spec.services.langfuse else [],
        "logs": [],
        "metrics": ["otlphttp/metrics"] if spec.services.metrics else [],
    }
    return {signal: found + azure or [f"file/{signal}"] for signal, found in stores.items()}


def _queue(telemetry: Telemetry, queues: int, azure: bool = False) -> dict[str, Any]:
    """A sending queue: on disk, of its share of the buffer, where there is a buffer."""
    if not telemetry.buffer_hours:
        return {"enabled": True}
    if azure:  # counts batches, and has no size in bytes (its README)
        return {"enabled": True, "storage": "file_storage/buffer", "queue_size": 100_000}
    share = telemetry.buffer_gib * 2**30 * 9 // 10 // max(queues, 1)
    return {"enabled": True, "storage": "file_storage/buffer", "sizer": "bytes", "queue_size": share}


def _sizes(spec: SiteSpec) -> dict[str, Any]:
    """The collector's requests and what it holds; starting values of this project, not measured ones."""
    if spec.topology == "pilot-node":
        return {"cpu": "50m", "memory": "256Mi", "go_memory": "200MiB", "traces": 2_000}
    return {"cpu": "250m", "memory": "1Gi", "go_memory": "800MiB", "traces": 20_000}


def collector_config(spec: SiteSpec, telemetry: Telemetry) -> str:
    """The collector's configuration as YAML."""
    redaction = telemetry.redaction
    span_statements, log_statements = _statements(redaction)
    hashed = [_literal(key) for mode, keys in _modes(redaction) if mode == "hash" for key in keys]
    patterns = [_literal(pattern) for pattern in redaction.patterns]
    stores = _stores(spec, telemetry)
    local = [signal for signal, found in stores.items() if found == [f"file/{signal}"]]
    remote = sum(len(found) for found in stores.values()) - len(local)
    share = 1 if remote and telemetry.buffer_hours else 9  # tenths of the volume, beside the queues
    room = telemetry.buffer_gib * 1024 * share // 10 if telemetry.buffer_gib else 1536
    return render_template(
        "observability/collector-config.yaml.j2",
        telemetry=telemetry,
        footprint=_sizes(spec),
        span_statements=span_statements,
        log_statements=log_statements,
        hashed=hashed,
        patterns=patterns,
        redactors=[
            name
            for name, there in (
                ("transform/redact", span_statements or log_statements),
                ("redaction/hash", hashed),
                ("redaction/patterns", patterns),
            )
            if there
        ],
        stores=stores,
        local=local,
        files=max(room // 64 // max(len(local), 1), 1),
        metrics=spec.services.metrics,
        langfuse=spec.services.langfuse is not None,
        retry=f"{telemetry.buffer_hours}h" if telemetry.buffer_hours else "5m",
        queue=_queue(telemetry, remote),
        azure_queue=_queue(telemetry, remote, azure=True),
        extensions=["health_check", *(["file_storage/buffer"] if telemetry.buffer_hours else [])],
    )


def collector_secrets(spec: SiteSpec) -> list[tuple[str, str, str]]:
    """Variable, Secret in `observability` and its key, of each secret that the collector's exporters need."""
    found = []
    if spec.telemetry is not None and spec.services.langfuse is not None:
        found.append(("LANGFUSE_AUTH", "langfuse-otlp", "basic-auth"))
    if spec.telemetry is not None and spec.telemetry.azure_monitor:
        found.append(("APPLICATIONINSIGHTS_CONNECTION_STRING", "azure-monitor", "connection-string"))
    return found


def _collector(spec: SiteSpec, telemetry: Telemetry) -> str:
    config, pool = collector_config(spec, telemetry), services_pool(spec)
    return render_template(
        "observability/collector.yaml.j2",
        config=Markup(indent(config, "    ").rstrip("\n")),  # noqa: S704 - YAML that a template made
        config_digest=hashlib.sha256(config.encode()).hexdigest()[:16],
        image=pinned_image(spec, "otel-collector", "docker.io/otel/opentelemetry-collector-contrib"),
        buffer_gib=telemetry.buffer_gib,
        footprint=_sizes(spec),
        secrets=collector_secrets(spec),
        pool=pool,
        taints=taints_of(spec, pool),
        senders=GUARDED,
        metrics=spec.services.metrics is not None,
    )


def _metrics(spec: SiteSpec) -> str:
    rules = None
    if spec.telemetry is not None:
        text = render_template(
            "observability/alert-rules.yaml.j2", alerts=spec.telemetry.alerts, gpu=spec.gpu is not None
        )
        rules = Markup(indent(text, "    ").rstrip("\n"))  # noqa: S704 - YAML that a template made
    dashboard = render_template("observability/dashboard.json.j2", gpu=spec.gpu is not None)
    return render_template(
        "observability/metrics.yaml.j2",
        dashboard=Markup(indent(dashboard, "    ").rstrip("\n")),  # noqa: S704 - JSON that a template made
        rules=rules,
        api_servers=api_server_networks(spec),
    )


def _victoria_metrics(spec: SiteSpec, metrics: VictoriaMetrics) -> str:
    """One server that receives, scrapes, keeps and answers (charts/victoria-metrics-single/values.yaml)."""
    volumes, mounts = [], []
    for name, path, source in (
        ("dashboards", "/dashboards", {"configMap": {"name": "metrics-dashboards"}}),
        ("tls", "/tls", {"secret": {"secretName": "metrics-tls"}}),
    ):
        if name != "tls" or metrics.tls:
            volumes.append({"name": name, **source})
            mounts.append({"name": name, "mountPath": path, "readOnly": True})
    listener: dict[str, Any] = {"name": "http", "value": ":8428", "primary": True}
    if metrics.tls:
        listener |= {"tls": True, "tlsCertFile": "/tls/tls.crt", "tlsKeyFile": "/tls/tls.key"}
    storage: dict[str, Any] = {"enabled": True, "size": f"{metrics.storage_gib}Gi"}
    if metrics.storage_class is not None:
        storage["storageClassName"] = metrics.storage_class
    server: dict[str, Any] = {
        "fullnameOverride": "metrics",
        "image": split_image(spec, "victoria-metrics", "docker.io/victoriametrics/victoria-metrics"),
        "retentionPeriod": f"{metrics.retention_days}d",
        "http": [listener],
        **_HARDENED,
        "podLabels": {"fleet/service": "metrics"},
        "persistentVolume": storage,
        "resources": footprint(spec, ("50m", "256Mi"), ("250m", "1Gi")),
        **on_pool(spec, metrics.node_pool),
        "extraVolumes": volumes,
        "extraVolumeMounts": mounts,
        "extraArgs": {
            "opentelemetry.usePrometheusNaming": True,
            "vmui.customDashboardsPath": "/dashboards",
        },
        "scrape": {"enabled": True, "config": _scraped(spec)},
    }
    return release(spec, "victoria-metrics", "observability", {"server": server})


def _scraped(spec: SiteSpec) -> dict[str, Any]:
    """What the store asks for itself: the collector's own figures, and the GPUs'."""
    jobs: list[dict[str, Any]] = []
    if spec.telemetry is not None:
        jobs.append(_pods("collector", "observability", "app", "collector", "8888"))
    if spec.gpu is not None:
        jobs.append(_pods("gpu", None, "app", "nvidia-dcgm-exporter", "9400"))
    return {"global": {"scrape_interval": "30s"}, "scrape_configs": jobs}


def _pods(job: str, namespace: str | None, label: str, value: str, port: str) -> dict[str, Any]:
    """A job for one port of the pods with a label."""
    discovery: dict[str, Any] = {"role": "pod"}
    if namespace is not None:
        discovery["namespaces"] = {"names": [namespace]}
    keep = {"action": "keep", "source_labels": [f"__meta_kubernetes_pod_label_{label}"], "regex": value}
    ports = {
        "action": "keep",
        "source_labels": ["__meta_kubernetes_pod_container_port_number"],
        "regex": port,
    }
    return {"job_name": job, "kubernetes_sd_configs": [discovery], "relabel_configs": [keep, ports]}


def _vmalert(spec: SiteSpec) -> str:
    """Alerts as series in the store; nobody is told from here yet (`telemetry.alerts.receiver`)."""
    metrics = spec.services.metrics
    assert metrics is not None
    url = f"http{'s' if metrics.tls else ''}://metrics.observability.svc.cluster.local:8428"
    arguments: dict[str, Any] = {"notifier.blackhole": True}
    server: dict[str, Any] = {
        "fullnameOverride": "vmalert",
        "image": split_image(spec, "vmalert", "docker.io/victoriametrics/vmalert"),
        "datasource": {"url": url},
        "remoteWrite": {"url": url},
        "remoteRead": {"url": url},
        "configMap": "metrics-alerts",
        **_HARDENED,
        "podLabels": {"fleet/service": "vmalert"},
        "resources": footprint(spec, ("20m", "64Mi"), ("100m", "128Mi")),
        **on_pool(spec, metrics.node_pool),
    }
    if metrics.tls:
        arguments |= {f"{at}.tlsCAFile": "/tls/ca.crt" for at in ("datasource", "remoteWrite", "remoteRead")}
        server["extraVolumes"] = [{"name": "tls", "secret": {"secretName": "metrics-tls"}}]
        server["extraVolumeMounts"] = [{"name": "tls", "mountPath": "/tls", "readOnly": True}]
    server["extraArgs"] = arguments
    return release(spec, "vmalert", "observability", {"server": server}, depends_on=("victoria-metrics",))
