"""Rules about what an agent may take. The agent tries 3 times for 30 s, with 16 requests at once in 2 replicas."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

POLICIES = "maxRetries: 2, maxConcurrency: 16}"


def policies(text: str) -> Edits:
    """Graz, with more said about how its agent calls."""
    return {GRAZ: [("", f"agents: {{maf-agent-api: {{policies: {{{text}}}}}}}\n")]}


def agent(text: str, more: str = "") -> Edits:
    """Graz, with more said about its agent, and about other things."""
    return {GRAZ: [("", f"agents: {{maf-agent-api: {{{text}}}}}\n{more}")]}


def gateway(replicas: str, text: str) -> Edits:
    """Graz, with other replicas of the agent and another gateway."""
    return agent(replicas, f"inference: {{chat: {{gateway: {{{text}}}}}}}\n")


CASES = {
    "AGT006": Cases(
        fires=[Case(policies("deadlineSeconds: 89"), "sites/graz.yaml:1 'maf-agent-api' may try 3 times for 30 s; its caller gives up after 89 s",
                    help="'timeoutSeconds: 29'")],
        near=[policies("deadlineSeconds: 90"), policies("deadlineSeconds: 60, maxRetries: 1")],
    ),
    "AGT007": Cases(
        fires=[Case(gateway("replicas: 2", "maxConcurrency: 16, queueLength: 15"),
                    "sites/graz.yaml:2 the agents of chat may have 32 requests under way; its gateway refuses more than 31"),
               Case(gateway("autoscale: {minReplicas: 2, maxReplicas: 3}", "maxConcurrency: 16, queueLength: 31"),
                    "sites/graz.yaml:2 the agents of chat may have 48 requests under way; its gateway refuses more than 47")],
        near=[gateway("replicas: 2", "maxConcurrency: 16, queueLength: 16"),
              gateway("autoscale: {minReplicas: 2, maxReplicas: 3}", "maxConcurrency: 16, queueLength: 32")],
    ),
    "AGT008": Cases(
        fires=[Case(agent("autoscale: {minReplicas: 4, maxReplicas: 3}"), "sites/graz.yaml:1 'maf-agent-api' has 4 replicas at least and 3 at most")],
        near=[agent("autoscale: {minReplicas: 3, maxReplicas: 3}")],
    ),
    "AGT020": Cases(
        fires=[Case(agent("autoscale: {minReplicas: 3, maxReplicas: 5}"), "fleet.yaml:{framework: maf > replicas: 2} 'maf-agent-api' starts with 2 replicas; its autoscaler keeps 3 to 5", help="'replicas: 3'"),
               Case(agent("replicas: 1, autoscale: {minReplicas: 2, maxReplicas: 3}"), "sites/graz.yaml:1 'maf-agent-api' starts with 1 replica; its autoscaler keeps 2 to 3",
                    help="'replicas: 2'"),
               Case(agent("replicas: 4, autoscale: {minReplicas: 2, maxReplicas: 3}"), "sites/graz.yaml:1 'maf-agent-api' starts with 4 replicas; its autoscaler keeps 2 to 3",
                    help="'replicas: 3'")],
        near=[agent("autoscale: {minReplicas: 2, maxReplicas: 2}"), agent("replicas: 3, autoscale: {minReplicas: 2, maxReplicas: 3}"),
              agent("autoscale: {minReplicas: 4, maxReplicas: 3}")],  # AGT008 says it
    ),
    "AGT009": Cases(
        fires=[Case(agent("autoscale: {minReplicas: 0, maxReplicas: 3}"), "sites/graz.yaml:1 'maf-agent-api' may be scaled to no replica", help="'minReplicas: 2'"),
               Case(agent("replicas: 1, autoscale: {minReplicas: 0, maxReplicas: 1}"), "sites/graz.yaml:1 'maf-agent-api' may be scaled to no replica",
                    help="'minReplicas: 2, maxReplicas: 2'"),
               Case(agent("autoscale: {minReplicas: 0, maxReplicas: 3}", "topology: pilot-node\n"), "sites/graz.yaml:1 'maf-agent-api' may be scaled to no replica",
                    help="'minReplicas: 1'", also=("AZL008",))],
        near=[agent("autoscale: {minReplicas: 1, maxReplicas: 3}")],
    ),
    "AGT010": Cases(
        fires=[Case(agent("resources: {memoryMib: 2049}"), "sites/graz.yaml:1 'maf-agent-api' asks for 2049 MiB, and may take 2048", help="'memoryLimitMib: 2049'"),
               Case(agent("resources: {cpuMillis: 2001}"), "sites/graz.yaml:1 'maf-agent-api' asks for 2001 millicores, and may take 2000", help="'cpuLimitMillis: 2001'")],
        near=[agent("resources: {memoryMib: 2048}"), agent("resources: {cpuMillis: 2000}")],
    ),
    "AGT011": Cases(
        fires=[Case(agent("replicas: 2, resources: {cpuMillis: 8001, cpuLimitMillis: 9000}"),
                    "sites/graz.yaml:1 agents and sandboxes ask for 16002 millicores of the node pool 'agents', which has 16000 for pods"),
               Case({TURIN: [("", "agents: {maf-agent-api: {resources: {memoryMib: 14337, memoryLimitMib: 14337}}}\n")]},
                    "fleet.yaml:{maf-agent-api: {replicas: 1}} agents and sandboxes ask for 14337 MiB of the node pool 'agents', which has 14336"),
               Case(agent("autoscale: {minReplicas: 9, maxReplicas: 9}, resources: {cpuMillis: 2000}"),
                    "fleet.yaml:{framework: maf > replicas: 2} agents and sandboxes ask for 18000 millicores", also=("AGT020",))],
        near=[agent("replicas: 2, resources: {cpuMillis: 8000, cpuLimitMillis: 9000}"),
              {TURIN: [("", "agents: {maf-agent-api: {resources: {memoryMib: 14336, memoryLimitMib: 14336}}}\n")]},
              agent("autoscale: {minReplicas: 8, maxReplicas: 9}, resources: {cpuMillis: 2000}"),
              {GRAZ: [("", "agents: {maf-agent-api: {replicas: 3, resources: {cpuMillis: 8000, cpuLimitMillis: 9000}}}\n")],
               FLEET: [("agents: {vmSize: Standard_D8s_v3, count: 2}", "agents: {vmSize: Standard_D8s_v3, count: 2, autoscale: {minCount: 2, maxCount: 3}}")]}],
    ),
    "AGT012": Cases(
        fires=[Case({FLEET: [(POLICIES, "maxRetries: 0, maxConcurrency: 16, deadlineSeconds: 30}")]},
                    "fleet.yaml:{tools: [work-orders]} a call of 'work-orders' may take 30 s; the caller of 'maf-agent-api' gives up after 30 s")],
        near=[{FLEET: [(POLICIES, "maxRetries: 0, maxConcurrency: 16, deadlineSeconds: 31}")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
