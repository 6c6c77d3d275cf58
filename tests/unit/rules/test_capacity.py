"""Rules about what a site's users will ask of it. Graz promises 16 sessions behind a gateway that admits 192."""

from tests.unit.rules.cases import GRAZ, Case, Cases, Edits, rule_tests

DIGEST = "3c7e0f4a9d1b5e6f8a2c4d6e8f0a1b3c5d7e9f1a2b4c6d8e0f2a3b5c7d9e1f3a"


def graz(text: str) -> Edits:
    """What Graz says beside its profile."""
    return {GRAZ: [("", text + "\n")]}


def slo(back: int, gateway: str = "") -> Edits:
    """Sessions that come back after an outage."""
    return graz(f"inference: {{chat: {{slo: {{recoverySessions: {back}}}{gateway}}}}}")


def sandbox(slots: int, peak: int, tool: str = "runsCode: untrusted, sandbox: python") -> Edits:
    """A sandbox of so many slots, for so many sessions."""
    text = f"""capacity: {{users: 50, peakSessions: {peak}}}
governance:
  guardrails: enforce
  preview:
    - {{component: gpu-l4, by: platform-team, date: "2026-09-01"}}
    - {{component: agent-sandbox, by: platform-team, date: "2026-09-01"}}
sandboxes:
  python:
    isolation: gvisor
    image: registry.factory.example/sandboxes/python:1.0.0@sha256:{DIGEST}
    nodePool: sandboxes
    slots: {slots}
"""
    pool = "  nodePools: {sandboxes: {vmSize: Standard_D8s_v3, count: 2, purpose: sandboxes, sandboxRuntimes: [gvisor]}}\n"
    return {
        GRAZ: [
            ("", text),
            ("kubernetes:\n", "kubernetes:\n" + pool),
            ("  work-orders:\n", f"  work-orders:\n    {tool.replace(', ', chr(10) + '    ')}\n"),
        ]
    }


CASES = {
    "CAP001": Cases(
        fires=[
            Case(graz("capacity: {users: 90, peakSessions: 14}"), "sites/graz.yaml:1 a peak of 14 sessions with 20 % of headroom; the deployments promise 16"),
            Case(graz("capacity: {users: 90, peakSessions: 17, headroomPercent: 0}"), "sites/graz.yaml:1 a peak of 17 sessions"),
        ],
        near=[graz("capacity: {users: 90, peakSessions: 13}"), graz("capacity: {users: 90, peakSessions: 16, headroomPercent: 0}")],
    ),
    "CAP002": Cases(
        fires=[Case(slo(15), "sites/graz.yaml:1 15 sessions come back after an outage; 16 were there", help="at least 'recoverySessions: 16'")],
        near=[slo(16)],
    ),
    "CAP003": Cases(
        fires=[Case(slo(193), "sites/graz.yaml:1 193 sessions come back to chat at once; its gateway refuses more than 192", help="'gateway: {queueLength: 129}'")],
        near=[slo(192), slo(193, ", gateway: {queueLength: 129}")],
    ),
    "CAP004": Cases(
        fires=[Case(sandbox(9, 10), "sites/graz.yaml:{slots: 9} 'python' has 9 slots for 10 sessions at the peak", help="'slots: 10'")],
        near=[sandbox(10, 10), sandbox(9, 10, tool="runsCode: none")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
