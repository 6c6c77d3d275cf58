"""Rules about what is measured, what is kept of it, and where it goes."""

import re
import warnings
from collections.abc import Iterator
from functools import cache

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.model.services import Redaction

LANGFUSE_DAYS_MIN = 3
"""`services.langfuse.retentionDays` takes no less."""


def _said(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.agents and site.spec.telemetry is None:
        yield Finding(
            ("agents",),
            "the site runs agents, and nobody has said what is kept of their telemetry, and for how long",
            "add 'telemetry: {retentionDays: 30, samplePercent: 10}'",
        )


def _raw(redaction: Redaction) -> Iterator[tuple[str, str]]:
    """What is recorded as it is: the key and its name."""
    if redaction.prompts == "raw":
        yield "prompts", "prompts"
    if redaction.tool_arguments == "raw":
        yield "toolArguments", "arguments of tools"


def _restricted(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    if telemetry is None:
        return
    restricted = [name for name, agent in site.spec.agents.items() if agent.privacy == "restricted"]
    for key, what in _raw(telemetry.redaction) if restricted else ():
        yield Finding(
            ("telemetry", "redaction", key),
            f"{what} are recorded as they are, and those of {', '.join(restricted)} are restricted",
            f"'{key}: hash'",
        )


def _azure_without_link(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    if telemetry is not None and telemetry.azure_monitor and site.spec.connectivity.mode == "disconnected":
        yield Finding(
            ("telemetry", "azureMonitor"),
            "a disconnected site can't send telemetry to Azure Monitor",
            "'azureMonitor: false'; 'services: {metrics: …}' keeps it on the site",
        )


def _azure_and_boundary(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    if telemetry is None or not telemetry.azure_monitor or site.spec.governance.boundary != "hard":
        return
    raw = [what for _key, what in _raw(telemetry.redaction)]
    if raw:
        yield Finding(
            ("telemetry", "azureMonitor"),
            f"{' and '.join(raw)} would leave the site for Azure Monitor, and its boundary is hard",
            "'redaction: {prompts: hash, toolArguments: hash}', or 'azureMonitor: false'",
        )


def _buffer(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    if telemetry is None or not telemetry.azure_monitor or telemetry.buffer_hours:
        return
    if site.spec.connectivity.mode == "constrained":
        yield Finding(
            ("telemetry", "bufferHours"),
            "telemetry goes to Azure Monitor over a link that is not always there, and is not kept meanwhile",
            "'bufferHours: 24' and a 'bufferGib' that holds them",
        )


def _buffer_size(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    if telemetry is not None and telemetry.buffer_hours and not telemetry.buffer_gib:
        yield Finding(
            ("telemetry", "bufferHours"),
            f"the collector is to keep {telemetry.buffer_hours} hours in a buffer of 0 GiB",
            "'bufferGib: 10', or as much as those hours take",
        )


# What only the collector's engine knows (RE2), as something that Python knows too.
_FROM_RE2 = (
    (re.compile(r"\\[pP](?:\{\^?\w+\}|\w)|\[:\^?[a-z]+:\]|\\z|\(\?[imsU-]+\)"), "x"),
    (re.compile(r"\(\?(?:P?<\w+>|[imsU-]+:)"), "("),
)
# An escaped character and a set are left out of the search below, which is for what RE2 does not know:
# references to groups, look-around, atomic groups and possessive quantifiers.
_PLAIN = re.compile(r"\\[^1-9]|\[\^?\]?[^]]*\]")
_NOT_IN_RE2 = re.compile(r"\\[1-9]|\(\?(?:[=!>]|<[=!]|P=)|[*+?}]\+")


@cache
def _wrong_pattern(pattern: str) -> str | None:
    """Why the collector would refuse a pattern; None when it would not, as far as Python can tell."""
    if r"\Q" in pattern:  # quotes what follows, which only RE2 does
        return None
    if _NOT_IN_RE2.search(_PLAIN.sub("x", pattern)):
        return "the collector's engine (RE2) knows no look-around, reference, atomic or possessive group"
    for theirs, ours in _FROM_RE2:
        pattern = theirs.sub(ours, pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of sets in sets
            re.compile(pattern)
    except re.error as error:
        return str(error)
    return None


def _patterns(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    for number, pattern in enumerate(telemetry.redaction.patterns if telemetry else ()):
        wrong = _wrong_pattern(pattern)
        if wrong is not None:
            yield Finding(
                ("telemetry", "redaction", "patterns", number),
                f"this pattern hides nothing: {wrong}",
                "a regular expression such as '[0-9]{3}-[0-9]{2}-[0-9]{4}'",
            )


def _alert_limit(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    # Only a limit that was said: the default is requirement L2's, for any site.
    if telemetry is None or "p95_ms" not in telemetry.alerts.model_fields_set:
        return
    limit = telemetry.alerts.p95_ms
    for name, deployment in site.spec.inference.items():
        if deployment.modality == "chat" and deployment.slo.p95_ms > limit:
            yield Finding(
                ("telemetry", "alerts", "p95Ms"),
                f"somebody is told above {limit} ms; {name} keeps its promise up to {deployment.slo.p95_ms}",
                f"at least 'p95Ms: {deployment.slo.p95_ms}'",
            )


def _receiver(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry = site.spec.telemetry
    if telemetry is None or site.spec.environment != "prod":
        return
    if "alerts" in telemetry.model_fields_set and telemetry.alerts.receiver is None:
        yield Finding(
            ("telemetry", "alerts"), "there are limits for alerts, and nobody is told", "add 'receiver: …'"
        )


def _kept_as_said(site: Site, _: Inventory) -> Iterator[Finding]:
    telemetry, langfuse = site.spec.telemetry, site.spec.services.langfuse
    if telemetry is None or langfuse is None or langfuse.retention_days <= telemetry.retention_days:
        return
    days, least = telemetry.retention_days, LANGFUSE_DAYS_MIN
    yield Finding(
        ("services", "langfuse", "retentionDays"),
        f"Langfuse keeps traces for {langfuse.retention_days} days; telemetry is kept for {days}",
        f"'retentionDays: {days}'"
        if days >= least
        else f"'retentionDays: {least}' here, the least it takes, and for telemetry; or no Langfuse",
    )


RULES = (
    Rule(
        code="OBS001",
        summary="a site that runs agents says what it keeps of their telemetry",
        source="requirements D19, K6",
        severity="warning",
        check_site=_said,
    ),
    Rule(
        code="OBS002",
        summary="restricted prompts and arguments are not recorded as they are",
        source="requirements K5, G21",
        check_site=_restricted,
    ),
    Rule(
        code="OBS003",
        summary="a disconnected site sends no telemetry to Azure",
        source="requirement K15",
        check_site=_azure_without_link,
    ),
    Rule(
        code="OBS004",
        summary="no prompt leaves a hard boundary as telemetry",
        source="requirements K5, P2",
        check_site=_azure_and_boundary,
    ),
    Rule(
        code="OBS005",
        summary="telemetry that leaves a constrained site is kept while the link is down",
        source="requirement K17",
        severity="warning",
        check_site=_buffer,
    ),
    Rule(
        code="OBS006",
        summary="a buffer for telemetry has room",
        source="requirement K17",
        check_site=_buffer_size,
    ),
    Rule(
        code="OBS007",
        summary="patterns to redact are such as the collector takes",
        source="requirements B19, P16; OpenTelemetry's redaction processor (Go's regular expressions: RE2)",
        check_site=_patterns,
    ),
    Rule(
        code="OBS008",
        summary="an alert's limit is not below what was promised",
        source="requirements K10, O1",
        severity="warning",
        check_site=_alert_limit,
    ),
    Rule(
        code="OBS009",
        summary="alerts of production reach somebody",
        source="requirement K10",
        severity="warning",
        check_site=_receiver,
    ),
    Rule(
        code="OBS010",
        summary="Langfuse keeps traces no longer than the site keeps telemetry",
        source="requirements D19, K6",
        severity="warning",
        check_site=_kept_as_said,
    ),
)
