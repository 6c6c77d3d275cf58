"""Each rule: a case that fires, with code, line and message, and a near miss that does not."""

import pytest

from fleet.inventory.rule import installed_rules
from tests.factory import Edits, check, places

GRAZ, NARVIK, TURIN, FLEET = "sites/graz.yaml", "sites/narvik.yaml", "sites/turin.yaml", "fleet.yaml"

FIRES: list[tuple[Edits, str]] = [
    ({GRAZ: [("registry: {host: registry.graz.factory.example}\n", "")], FLEET: [("    registry: {storageGib: 500}\n", "")]},
     "CON001 fleet.yaml:82 a constrained site needs a registry of its own"),
    ({FLEET: [("    modelCache: {storageGib: 100}\n", "")]},
     "CON001 fleet.yaml:105 a disconnected site needs a modelCache of its own"),
    ({GRAZ: [("    cidr: 10.30.2.0/24", "    cidr: 10.30.0.0/16")]},
     "NET001 sites/graz.yaml:17 10.30.1.0/24 overlaps the Kubernetes network, 10.30.0.0/16"),
    ({FLEET: [("podCidr: 10.244.0.0/16", "podCidr: 10.100.0.0/16")]},
     "NET001 fleet.yaml:37 10.100.0.0/16 overlaps the Kubernetes services, 10.96.0.0/12"),
    ({GRAZ: [("end: 10.30.1.110}", "end: 10.30.1.104}")]},
     "NET002 sites/graz.yaml:18 the infrastructure pool has 5 addresses; Azure Local takes 6 to 255"),
    ({GRAZ: [("start: 10.30.1.100, end: 10.30.1.110", "start: 10.30.1.110, end: 10.30.1.100")]},
     "NET002 sites/graz.yaml:18 the infrastructure pool ends at 10.30.1.100, before its start 10.30.1.110"),
    ({GRAZ: [("end: 10.30.1.110}", "end: 10.30.2.20}")]},
     "NET002 sites/graz.yaml:18 the infrastructure pool's end 10.30.2.20 is outside the management network 10.30.1.0/24"),
    ({GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100")]},
     "NET003 sites/graz.yaml:15 graz-n2's address 10.30.1.100 is inside the infrastructure pool 10.30.1.100-10.30.1.110"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_D8s_v3")]},
     "GPU001 fleet.yaml:88 Standard_D8s_v3 carries no GPU; the site's GPU is L4"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_NC16_L40_1")]},
     "GPU001 fleet.yaml:88 Standard_NC16_L40_1 carries L40; the site's GPU is L4"),
    ({FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_NC16_L4_3")]},
     "GPU001 fleet.yaml:88 there is no VM size 'Standard_NC16_L4_3'"),
    ({FLEET: [("    gpu: {model: L4, perNode: 2, sharing: none}\n", "")]},
     "GPU001 fleet.yaml:87 the node pool 'inference' asks for a GPU at a site that has none"),
    ({FLEET: [("model: L4,", "model: H100,")]},
     "GPU001 fleet.yaml:83 AKS on Azure Local has no VM size with the GPU 'H100'"),
    ({FLEET: [("        contextTokens: 8192\n        slo", "        model: phi-4\n        contextTokens: 8192\n        slo")]},
     "INF001 fleet.yaml:97 phi-4 in fp16 does not fit: 44.0 GiB a GPU of 20.2 usable on L4"),
    ({FLEET: [("      model: phi-4-mini", "      model: phi-5")]},
     "INF001 fleet.yaml:44 there is no model 'phi-5'"),
    ({FLEET: [("        gpus: 1\n", "        gpus: 2\n")]},
     "INF001 fleet.yaml:95 chat takes 2 GPUs a replica; a Standard_NC16_L4_1 has 1"),
    ({FLEET: [("nodePool: inference", "nodePool: inferences")]},
     "INF001 fleet.yaml:47 there is no node pool 'inferences'"),
    ({FLEET: [("maf-agent-api:1.0.0@sha256:", "maf-agent-api:1.0.0@sha256:0")]}, "IMG001 fleet.yaml:53 the image"),
    ({TURIN: [("tools:\n  work-orders:\n", "tools:\n  work-orders:\n    image: work-orders:latest\n")]},
     "IMG001 sites/turin.yaml:33 the image 'work-orders:latest' is not pinned"),
    ({GRAZ: [("line: assembly", "line: sk-" + "a1B2" * 8)]}, "SEC001 sites/graz.yaml:6 labels.line holds an API key"),
    ({FLEET: [("domainFqdn: factory.example", "domainFqdn: https://me:pw123@factory.example")]},
     "SEC001 fleet.yaml:23 defaults.azureLocal.domainFqdn holds a password in a URL"),
    ({FLEET: [("      inference: chat\n", "      inference: chats\n")]},
     "AGT001 fleet.yaml:56 the agent 'maf-agent-api' uses the inference 'chats', which the site does not have"),
    ({FLEET: [("tools: [work-orders]", "tools: [work-order]")]},
     "AGT002 fleet.yaml:57 the agent 'maf-agent-api' uses the tool 'work-order', which the site does not have"),
    ({FLEET: [("      framework: maf\n", "      framework: maf\n      nodePool: agent\n")]},
     "AGT003 fleet.yaml:55 'maf-agent-api' runs in the node pool 'agent', which the site does not have"),
    ({NARVIK: [("    allowedDestinations:\n      - {cidr: 10.40.8.20/32, port: 443}\n", "    replicas: 1\n")]},
     "TOL001 sites/narvik.yaml:"),
    ({FLEET: [("  - name: broad\n", "  - name: broad\n  - name: late\n")]}, "RNG001 fleet.yaml:12 no site is in the ring 'late'"),
]  # fmt: skip

NEAR_MISSES: list[Edits] = [
    # connected needs neither registry nor cache
    {FLEET: [("connectivity: {mode: constrained, linkMbps: 50}", "connectivity: {mode: connected}"), ("    modelCache: {storageGib: 200}\n", "")]},
    # the last network before the services, and the first after them
    {FLEET: [("podCidr: 10.244.0.0/16", "podCidr: 10.95.0.0/16")]},
    {FLEET: [("podCidr: 10.244.0.0/16", "podCidr: 10.112.0.0/16")]},
    # AKS may share the management network
    {GRAZ: [("    cidr: 10.30.2.0/24", "    cidr: 10.30.1.0/24")]},
    # exactly six, and exactly 255 addresses
    {GRAZ: [("end: 10.30.1.110}", "end: 10.30.1.105}")]},
    {GRAZ: [("start: 10.30.1.100, end: 10.30.1.110", "start: 10.30.1.1, end: 10.30.1.255"), ("10.30.1.11}", "10.30.1.0}"), ("10.30.1.12}", "10.30.1.0}"), ("10.30.1.13}", "10.30.1.0}")]},
    # a node right beside the pool
    {GRAZ: [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.99")]},
    {FLEET: [("vmSize: Standard_NC16_L4_1", "vmSize: Standard_NC32_L4_2")]},
    # 9 sessions of 8,192 tokens a replica: 18.9 GiB of the 20.2 that an L4 leaves
    {FLEET: [("concurrentSessions: 16", "concurrentSessions: 17")]},
    {TURIN: [("tools:\n  work-orders:\n", "tools:\n  work-orders:\n    image: r.example/t:1@sha256:" + "0" * 64 + "\n")]},
    {GRAZ: [("line: assembly", "line: sk-short")]},
    {FLEET: [("tools: [work-orders]", "tools: []")]},
]  # fmt: skip


@pytest.mark.parametrize(("edits", "expected"), FIRES, ids=[f"{e[:6]}-{n}" for n, (_, e) in enumerate(FIRES)])
def test_fires(edits: Edits, expected: str) -> None:
    found = places(check(edits))
    assert any(text.startswith(expected) for text in found), found


@pytest.mark.parametrize("edits", NEAR_MISSES, ids=range(len(NEAR_MISSES)))
def test_near_misses_stay_silent(edits: Edits) -> None:
    assert places(check(edits)) == []


def test_every_rule_fires_somewhere_above() -> None:
    assert {rule.code for rule in installed_rules()} == {expected[:6] for _, expected in FIRES}


def test_every_finding_says_what_to_type() -> None:
    for edits, _ in FIRES:
        assert all(d.help for d in check(edits) if not d.code.startswith("INV")), edits


def test_no_diagnostic_shows_the_secret_that_it_found() -> None:
    secret = "sk-" + "a1B2" * 8
    assert secret not in repr(check({GRAZ: [("line: assembly", f"line: {secret}")]}))
