"""Rules about agents and their tools. The agent maf-agent-api uses the inference chat and the tool work-orders."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, rule_tests

AGENT = "      framework: maf\n      replicas: 2\n"
TOOL = "tools/work-orders-proxy:2.3.1@sha256:3425bb9b4d5b5fd70f399ef3ee1e2b4a44bb6668129bfb8c52547aafd61382ed\n      replicas: 2\n"
DESTINATION = "{cidr: 10.30.8.21/32, port: 1433}"
NARVIKS = "    allowedDestinations:\n      - {cidr: 10.40.8.20/32, port: 443}\n"


def agent(text: str) -> tuple[str, str]:
    """The agent with other replicas or more said about it."""
    return (AGENT, f"      framework: maf\n{text}")


def tool(text: str) -> tuple[str, str]:
    """The tool with other replicas or more said about it."""
    return (TOOL, TOOL.replace("      replicas: 2\n", text))


def scaled(least: int, most: int, replicas: int = 2) -> tuple[str, str]:
    """An autoscaler for Graz's agent."""
    bounds = f"autoscale: {{minReplicas: {least}, maxReplicas: {most}}}"
    return ("", f"agents: {{maf-agent-api: {{replicas: {replicas}, {bounds}}}}}\n")


CASES = {
    "AGT001": Cases(
        fires=[Case({FLEET: [("      inference: chat\n", "      inference: chats\n")]},
                    "fleet.yaml:{inference: chats} the agent 'maf-agent-api' uses the inference 'chats', which the site does not have",
                    help="did you mean 'chat'"),
               Case({FLEET: [("      inference: chat\n", "      inference: zzz\n")]},
                    "fleet.yaml:{inference: zzz} the agent 'maf-agent-api' uses the inference 'zzz'")],
        near=[{FLEET: [("      inference: chat\n", "      inference: talk\n"), ("    chat:\n      toolCalling: text", "    talk:\n      toolCalling: text"),
                       ("      chat:\n        toolCalling: native", "      talk:\n        toolCalling: native")]}],
    ),
    "AGT002": Cases(
        fires=[Case({FLEET: [("tools: [work-orders]", "tools: [work-order, work-orders, zzz]")]},
                    ("fleet.yaml:{tools: [work-order,} the agent 'maf-agent-api' uses the tool 'work-order', which the site does not have",
                     "fleet.yaml:{tools: [work-order,} the agent 'maf-agent-api' uses the tool 'zzz'"),
                    help="did you mean 'work-orders'")],
        near=[{FLEET: [("tools: [work-orders]", "tools: []")]},
              {FLEET: [("tools: [work-orders]", "tools: [work-orders, work-orders]")]}],
    ),
    "AGT003": Cases(
        fires=[Case({FLEET: [agent("      replicas: 2\n      nodePool: agent\n")]},
                    "fleet.yaml:{nodePool: agent} 'maf-agent-api' runs in the node pool 'agent', which the site does not have",
                    help="did you mean 'agents'"),
               Case({FLEET: [tool("      replicas: 2\n      nodePool: tools\n")]},
                    "fleet.yaml:{nodePool: tools} 'work-orders' runs in the node pool 'tools', which the site does not have")],
        near=[{FLEET: [agent("      replicas: 2\n      nodePool: agents\n")]},
              {FLEET: [tool("      replicas: 2\n      nodePool: inference\n")]}],
    ),
    "AGT004": Cases(
        fires=[Case({FLEET: [agent("      replicas: 1\n")]}, "fleet.yaml:{framework: maf > replicas: 1} 'maf-agent-api' has one replica in production"),
               Case({FLEET: [tool("      replicas: 1\n")]}, "fleet.yaml:{work-orders-proxy > replicas: 1} 'work-orders' has one replica in production"),
               Case({NARVIK: [("", "topology: datacenter-cluster\n"), ("  work-orders:\n", "  work-orders:\n    replicas: 1\n")]},
                    "sites/narvik.yaml:{replicas: 1} 'work-orders' has one replica in production", also=("K8S003", "K8S017")),
               Case({GRAZ: [scaled(1, 5)]}, "sites/graz.yaml:1 'maf-agent-api' may be scaled to one replica in production", help="'minReplicas: 2'"),
               Case({GRAZ: [scaled(1, 1, 1)]}, "sites/graz.yaml:1 'maf-agent-api' may be scaled to one replica in production", help="'minReplicas: 2, maxReplicas: 2'")],
        near=[{FLEET: [agent("      replicas: 3\n")]},
              {GRAZ: [scaled(2, 5)]},
              {GRAZ: [scaled(3, 5, 1)]},  # AGT020 says it
              {GRAZ: [scaled(0, 5)]},  # AGT009 says it
              {FLEET: [tool("      replicas: 3\n")]},
              {FLEET: [agent("      replicas: 1\n"), tool("      replicas: 1\n"), ("environment: prod", "environment: test")]},
              {TURIN: [("  work-orders:\n", "  work-orders:\n    replicas: 1\n")]}],  # a pilot node is one machine
    ),
    "AGT005": Cases(
        fires=[Case({FLEET: [("maxRetries: 2", "maxRetries: 3")]}, "fleet.yaml:{maxRetries} 'maf-agent-api' asks 4 times before it gives up")],
        near=[{FLEET: [("maxRetries: 2", "maxRetries: 1")]},
              {GRAZ: [("", "agents: {maf-agent-api: {policies: {maxRetries: 2}}}\n")], FLEET: [("maxRetries: 2", "maxRetries: 0")]}],
    ),
    "TOL001": Cases(
        fires=[Case({NARVIK: [("tools:\n  work-orders:\n" + NARVIKS, "")]},
                    "fleet.yaml:{maxConcurrency: 16 > work-orders:} the tool 'work-orders' has no allowed destinations, so it can reach nothing")],
        near=[{NARVIK: [(NARVIKS, "    allowedDestinations: []\n")]},  # said to be none
              {NARVIK: [(NARVIKS, "    sandbox: python\n")]},
              {NARVIK: [(NARVIKS, NARVIKS + "      - {cidr: 10.40.8.21/32, port: 443}\n")]}],
    ),
    "TOL002": Cases(
        fires=[Case({GRAZ: [(DESTINATION, "{cidr: 0.0.0.0/0, port: 1433}")]},
                    "sites/graz.yaml:{0.0.0.0/0} the tool 'work-orders' may reach all of 0.0.0.0/0"),
               Case({GRAZ: [(DESTINATION, "{cidr: 10.0.0.0/8, port: 1433}")]},
                    "sites/graz.yaml:{10.0.0.0/8} the tool 'work-orders' may reach all of 10.0.0.0/8")],
        near=[{GRAZ: [(DESTINATION, "{cidr: 10.0.0.0/9, port: 1433}")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
