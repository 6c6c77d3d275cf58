"""Rules about the places that tools and sandboxes may reach."""

import pytest

from tests.factory import check
from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

DESTINATION = "{cidr: 10.30.8.21/32, port: 1433}"
POOL = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
ACCEPTED = (
    '{component: gpu-l4, by: platform-team, date: "2026-09-01"}',
    '{component: gpu-l4, by: platform-team, date: "2026-09-01"}\n      - {component: agent-sandbox, by: platform-team, date: "2026-09-01"}',
)
"""Agent Sandbox is a preview (GOV001)."""
IMAGE = "registry.factory.example/sandboxes/python:3.12@sha256:3425bb9b4d5b5fd70f399ef3ee1e2b4a44bb6668129bfb8c52547aafd61382ed"


def tool(cidr: str, port: int = 443) -> Edits:
    """Graz, with another destination of its tool."""
    return {GRAZ: [(DESTINATION, f"{{cidr: {cidr}, port: {port}}}")]}


def sandbox(cidr: str, port: int = 443) -> Edits:
    """Graz, with a sandbox on a pool of its own, and a place that it may reach."""
    text = f"sandboxes: {{python: {{isolation: gvisor, image: '{IMAGE}', nodePool: sandboxes, slots: 4, egress: [{{cidr: {cidr}, port: {port}}}]}}}}\n"
    pool = f"{POOL}\n        sandboxes: {{vmSize: Standard_D4s_v3, count: 2, sandboxRuntimes: [gvisor]}}"
    return {GRAZ: [("", text)], FLEET: [(POOL, pool), ACCEPTED]}


CASES = {
    "SBX005": Cases(
        fires=[Case(sandbox("10.0.0.0/8"), "sites/graz.yaml:1 code in the sandbox 'python' may reach all of 10.0.0.0/8")],
        near=[sandbox("11.0.0.0/9")],
    ),
    "TOL012": Cases(
        fires=[Case(tool("10.244.3.7/32"), "sites/graz.yaml:{10.244.3.7} the tool 'work-orders' may reach 10.244.3.7/32 in the pod network 10.244.0.0/16"),
               Case(tool("10.244.0.0/16"), "sites/graz.yaml:{10.244.0.0} the tool 'work-orders' may reach 10.244.0.0/16 in the pod network"),
               Case(tool("10.96.0.10/32"), "sites/graz.yaml:{10.96.0.10} the tool 'work-orders' may reach 10.96.0.10/32 in the service network 10.96.0.0/12"),
               Case(sandbox("10.244.3.7/32"), "sites/graz.yaml:1 the sandbox 'python' may reach 10.244.3.7/32 in the pod network")],
        near=[tool("10.245.0.0/32"), tool("10.112.0.0/32"), sandbox("10.243.255.255/32")],
    ),
    "TOL013": Cases(
        fires=[Case(tool("10.30.8.21/32", 80), "sites/graz.yaml:{port: 80} the tool 'work-orders' talks to 10.30.8.21/32 on port 80, which is HTTP without encryption"),
               Case(sandbox("10.30.8.21/32", 21), "sites/graz.yaml:1 the sandbox 'python' talks to 10.30.8.21/32 on port 21, which is FTP")],
        near=[tool("10.30.8.21/32", 8080), tool("10.30.8.21/32", 22), sandbox("10.30.8.21/32", 990)],
    ),
    "TOL014": Cases(
        fires=[Case(tool("127.0.0.1/32"), "sites/graz.yaml:{127.0.0.1} the tool 'work-orders' may reach 127.0.0.1/32, which is the pod itself"),
               Case(tool("169.254.169.254/32"), "sites/graz.yaml:{169.254.169.254} the tool 'work-orders' may reach 169.254.169.254/32, which is link-local"),
               Case(sandbox("239.1.2.3/32"), "sites/graz.yaml:1 the sandbox 'python' may reach 239.1.2.3/32, which is multicast")],
        near=[tool("128.0.0.1/32"), tool("169.253.255.255/32"), sandbox("223.1.2.3/32")],
    ),
    "TOL015": Cases(
        fires=[Case(tool("10.30.1.12/32", 5986), "sites/graz.yaml:{10.30.1.12/32} the tool 'work-orders' may reach 10.30.1.12/32, in which the machine graz-n2 is"),
               Case(tool("10.30.1.0/24"), "sites/graz.yaml:{cidr: 10.30.1.0/24, port} the tool 'work-orders' may reach 10.30.1.0/24, in which the Azure Local services are"),
               Case(tool("10.30.2.16/32", 6443), "sites/graz.yaml:{10.30.2.16/32} the tool 'work-orders' may reach 10.30.2.16/32, in which the Kubernetes API server is"),
               Case(tool("10.30.1.110/32"), "sites/graz.yaml:{10.30.1.110/32} the tool 'work-orders' may reach 10.30.1.110/32, in which the Azure Local services are"),
               Case(sandbox("10.30.0.0/23"), "sites/graz.yaml:1 the sandbox 'python' may reach 10.30.0.0/23, in which the Azure Local services are")],
        near=[tool("10.30.1.14/32"), tool("10.30.1.111/32"), tool("10.30.1.99/32"), tool("10.30.2.17/32"), sandbox("10.30.0.0/24")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


@pytest.mark.parametrize("code", ["SBX005", "TOL002"])
def test_a_wide_network_is_told_once(code: str) -> None:
    edits = sandbox("0.0.0.0/0") if code == "SBX005" else tool("0.0.0.0/0")
    assert {d.code for d in check(edits)} == {code}
