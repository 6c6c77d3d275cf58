"""Rules about telemetry. Sites keep it for 30 days; graz has a link at times, narvik has none."""

import pytest

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, Edits, rule_tests
from validators.telemetry import _wrong_pattern

TELEMETRY = "  telemetry:\n    retentionDays: 30\n    samplePercent: 10\n    redaction: {prompts: hash, toolArguments: hash}\n"
INTERNAL = "agents: {maf-agent-api: {privacy: internal}}\n"
BACKUP = "backup: {everyHours: 24, keepDays: 14, target: 'nfs://backup.factory.example/graz'}"

RUNBOOK = ("certificate-renewal, capacity]", "certificate-renewal, capacity, restore]")
"""What a fleet with backups has, too (OPS004)."""


def said(text: str, more: str = "", site: str = GRAZ) -> Edits:
    """A site with more said about its telemetry, and about other things."""
    return {site: [("", f"telemetry: {{{text}}}\n{more}")]}


def langfuse(days: int) -> Edits:
    """Graz, with Langfuse and all that it needs."""
    return {GRAZ: [("", f"services: {{langfuse: {{retentionDays: {days}}}, redis: {{storageGib: 9, replicas: 3}}, postgres: {{storageGib: 9, replicas: 2, {BACKUP}}}, "
                        f"clickhouse: {{storageGib: 9, {BACKUP}}}, blobStore: {{storageGib: 9}}}}\n")], FLEET: [RUNBOOK]}  # fmt: skip


CASES = {
    "OBS001": Cases(
        fires=[Case({FLEET: [(TELEMETRY, ""), ("  agents:\n    maf-agent-api:\n      image", "  agents:  # all\n    maf-agent-api:\n      image"),
                             ("    agents:\n      maf-agent-api: {replicas: 1}", "    agents:  # pilot\n      maf-agent-api: {replicas: 1}")]},
                    ("fleet.yaml:{# all} the site runs agents, and nobody has said what is kept of their telemetry", "fleet.yaml:{# pilot} the site runs agents"))],
        near=[{FLEET: [(TELEMETRY, TELEMETRY.replace("30", "1"))]}],
    ),
    "OBS002": Cases(
        fires=[Case(said("redaction: {prompts: raw}"), "sites/graz.yaml:1 prompts are recorded as they are, and those of maf-agent-api are restricted", help="'prompts: hash'"),
               Case(said("redaction: {toolArguments: raw}"), "sites/graz.yaml:1 arguments of tools are recorded as they are", help="'toolArguments: hash'")],
        near=[said("redaction: {prompts: off}".replace("off", "'off'")), said("redaction: {prompts: raw, toolArguments: raw}", INTERNAL)],
    ),
    "OBS003": Cases(
        fires=[Case(said("azureMonitor: true", site=NARVIK), "sites/narvik.yaml:1 a disconnected site can't send telemetry to Azure Monitor")],
        near=[said("azureMonitor: false", site=NARVIK), said("azureMonitor: true", site=TURIN)],
    ),
    "OBS004": Cases(
        fires=[Case(said("azureMonitor: true, redaction: {prompts: raw}", INTERNAL, TURIN), "sites/turin.yaml:1 prompts would leave the site for Azure Monitor, and its boundary is hard"),
               Case(said("azureMonitor: true, redaction: {prompts: raw, toolArguments: raw}", site=TURIN), "sites/turin.yaml:1 prompts and arguments of tools would leave", also=("OBS002",))],
        near=[said("azureMonitor: true", INTERNAL, TURIN), said("azureMonitor: false, redaction: {prompts: raw}", INTERNAL, TURIN),
              said("azureMonitor: true, redaction: {prompts: raw}", INTERNAL + "governance: {boundary: hybrid}\n", TURIN)],
    ),
    "OBS005": Cases(
        fires=[Case(said("azureMonitor: true"), "sites/graz.yaml:1 telemetry goes to Azure Monitor over a link that is not always there")],
        near=[said("azureMonitor: true, bufferHours: 1, bufferGib: 1"), said("azureMonitor: false"), said("azureMonitor: true", site=TURIN)],
    ),
    "OBS006": Cases(
        fires=[Case(said("bufferHours: 24"), "sites/graz.yaml:1 the collector is to keep 24 hours in a buffer of 0 GiB")],
        near=[said("bufferHours: 24, bufferGib: 1"), said("bufferHours: 0")],
    ),
    "OBS007": Cases(
        fires=[Case(said(r"redaction: {patterns: ['\d{10}', '(\d{4}']}"), "sites/graz.yaml:1 this pattern hides nothing: missing )"),
               Case(said(r"redaction: {patterns: ['(?<!\d)\d{10}']}"), "sites/graz.yaml:1 this pattern hides nothing: the collector's engine (RE2) knows no look-around")],
        near=[said(r"redaction: {patterns: ['\d{10}', '(\d{4})']}"), said(r"redaction: {patterns: ['\b[[:digit:]]{10}\b']}")],
    ),
    "OBS008": Cases(
        fires=[Case(said("alerts: {receiver: team, p95Ms: 3999}"), "sites/graz.yaml:1 somebody is told above 3999 ms; chat keeps its promise up to 4000", help="at least 'p95Ms: 4000'")],
        near=[said("alerts: {receiver: team, p95Ms: 4000}"), said("alerts: {receiver: team, errorPercent: 5}", site=TURIN)],
    ),
    "OBS009": Cases(
        fires=[Case(said("alerts: {errorPercent: 2}"), "sites/graz.yaml:1 there are limits for alerts, and nobody is told")],
        near=[said("alerts: {errorPercent: 2, receiver: team}"), said("alerts: {errorPercent: 2}", "environment: test\n")],
    ),
    "OBS010": Cases(
        fires=[Case(langfuse(31), "sites/graz.yaml:1 Langfuse keeps traces for 31 days; telemetry is kept for 30", help="'retentionDays: 30'"),
               # Langfuse takes 3 days or more
               *(Case({**langfuse(3), GRAZ: [*langfuse(3)[GRAZ], ("", f"telemetry: {{retentionDays: {days}}}\n")]},
                      f"sites/graz.yaml:2 Langfuse keeps traces for 3 days; telemetry is kept for {days}",
                      help="'retentionDays: 3' here, the least it takes, and for telemetry") for days in (1, 2))],
        near=[langfuse(30), {**langfuse(3), GRAZ: [*langfuse(3)[GRAZ], ("", "telemetry: {retentionDays: 3}\n")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


@pytest.mark.parametrize(
    "pattern",
    [r"[0-9]{3}-\d+", r"\bAT\d{18}\b", r"[[:digit:]]+", r"\pL+", r"\p{Greek}", r"x(?i)abc", r"(?P<n>a)b", r"(?<n>a)b",
     r"[*+]", r"[]+*]", r"\(\?=", r"\\1", r"\*\+", r"\Q(\E", r"(?U:a+)", r"[[a]"],
)  # fmt: skip
def test_patterns_that_the_collector_takes(pattern: str) -> None:
    assert _wrong_pattern(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [r"(a", r"a)", r"[a", r"*a", r"\d{2,1}", r"(?=a)", r"(?!a)", r"(?<=a)b", r"(?<!a)b", r"(a)\1", r"(?P<n>a)(?P=n)",
     r"a++", r"x{2}+", r"(?>a)"],
)  # fmt: skip
def test_patterns_that_the_collector_refuses(pattern: str) -> None:
    assert _wrong_pattern(pattern)
