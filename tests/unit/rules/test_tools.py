"""Rules about who may call a tool, and what happens when it fails. Graz has the tool work-orders; orders is new."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

TOOL = "  work-orders:\n"
IMAGE = "registry.factory.example/tools/work-orders-proxy:2.3.1@sha256:3425bb9b4d5b5fd70f399ef3ee1e2b4a44bb6668129bfb8c52547aafd61382ed"


def tool(text: str, more: str = "") -> Edits:
    """Graz, with more said about its tool, and about other things."""
    return {GRAZ: [("", more), (TOOL, f"{TOOL}    {text}\n")]}


def two(text: str, other: str, more: str = "") -> Edits:
    """Graz, with more said about its tool, and a second one."""
    second = f"  orders: {{image: '{IMAGE}', allowedDestinations: [{{cidr: 10.30.8.30/32, port: 443}}], {other}}}\n"
    return {GRAZ: [("", more), (TOOL, f"{second}{TOOL}    {text}\n")]}


CASES = {
    "TOL003": Cases(
        fires=[Case(tool("authentication: none"), "sites/graz.yaml:{authentication} the tool 'work-orders' asks its callers in production for no proof")],
        near=[tool("authentication: token"), tool("authentication: none", "environment: test\n")],
    ),
    "TOL004": Cases(
        fires=[Case(tool("authentication: mtls"), "sites/graz.yaml:{authentication} the tool 'work-orders' asks for client certificates, and nothing gives agents any")],
        near=[tool("authentication: workload-identity"),
              {GRAZ: [*tool("authentication: mtls")[GRAZ], ("platform: {", "platform: {serviceAuth: mtls, ")]},
              {GRAZ: [*tool("authentication: mtls")[GRAZ], ("platform: {", "platform: {mesh: linkerd, ")]}],
    ),
    "TOL005": Cases(
        fires=[Case(tool("audit: none"), "sites/graz.yaml:{audit} the tool 'work-orders' is used in production, and no call of it is written down"),
               Case({FLEET: [("environment: prod", "environment: test")], GRAZ: [(TOOL, f"{TOOL}    audit: none\n    authorization: {{write: true}}\n")]},
                    "sites/graz.yaml:{audit} the tool 'work-orders' changes something, and no call of it is written down")],
        near=[tool("audit: writes"), tool("audit: none", "environment: test\n")],
    ),
    "TOL006": Cases(
        fires=[Case(tool("authorization: {agents: [maf-agent-api, maf-agent-apj]}"),
                    "sites/graz.yaml:{authorization} the tool 'work-orders' lets the agent 'maf-agent-apj' call it, which the site does not have", help="did you mean 'maf-agent-api'")],
        near=[tool("authorization: {agents: [maf-agent-api]}")],
    ),
    "TOL007": Cases(
        fires=[Case(tool("authorization: {agents: [other]}"),
                    "fleet.yaml:{tools: [work-orders]} the agent 'maf-agent-api' uses the tool 'work-orders', which lets only other", also=("TOL006",)),
               Case(two("authorization: {agents: []}", "authorization: {agents: [other]}",
                        "agents: {maf-agent-api: {toolbox: all}}\ntoolboxes: {all: {tools: [work-orders, orders]}}\n"),
                    "sites/graz.yaml:1 the agent 'maf-agent-api' uses the tool 'orders', which lets only other", also=("TOL006",))],
        near=[tool("authorization: {agents: [maf-agent-api, other]}"), tool("authorization: {agents: []}"),
              {GRAZ: [*tool("authorization: {agents: [other]}")[GRAZ], ("", "agents: {maf-agent-api: {tools: []}}\n")]}],
    ),
    "TOL008": Cases(
        fires=[Case(tool("validation: none"), "sites/graz.yaml:{validation} the tool 'work-orders' takes whatever arguments a model writes")],
        near=[tool("validation: schema"), tool("validation: none", "environment: dev\n")],
    ),
    "TOL009": Cases(
        fires=[Case(two("fallback: order", "replicas: 2"), "sites/graz.yaml:{fallback} the tool 'work-orders' falls back to 'order', which the site does not have",
                    help="did you mean 'orders'")],
        near=[two("fallback: orders", "replicas: 2")],
    ),
    "TOL010": Cases(
        fires=[Case(tool("fallback: work-orders"), "sites/graz.yaml:{fallback} fallbacks go in a circle: work-orders to work-orders"),
               Case(two("fallback: orders", "fallback: work-orders"),
                    ("sites/graz.yaml:{  orders:} fallbacks go in a circle: orders to work-orders to orders",
                     "sites/graz.yaml:{    fallback} fallbacks go in a circle: work-orders to orders to work-orders")),
               Case(two("fallback: orders", "fallback: orders"), "sites/graz.yaml:{  orders:} fallbacks go in a circle: orders to orders")],
        near=[two("fallback: orders", "replicas: 2"), two("fallback: orders", "fallback: nothing")],
    ),
    "TOL011": Cases(
        fires=[Case(two("fallback: orders", "authorization: {write: true}"),
                    "sites/graz.yaml:{fallback} the tool 'work-orders' only reads; when it fails, 'orders' is asked, which may write")],
        near=[two("fallback: orders", "authorization: {write: false}"),
              {GRAZ: [*two("fallback: orders", "authorization: {write: true}")[GRAZ], (f"{TOOL}    fallback", f"{TOOL}    authorization: {{write: true}}\n    fallback")]}],
    ),
    "TOL018": Cases(
        fires=[Case(tool('mcpSpec: "2025-11-26"'), "sites/graz.yaml:{mcpSpec} 2025-11-26 is no revision of the MCP specification", help="known: 2024-11-05")],
        near=[tool('mcpSpec: "2025-11-25"'), tool('mcpSpec: "2024-11-05"')],
    ),
    "TOL019": Cases(
        fires=[Case({GRAZ: [("", "toolboxes: {all: {tools: [work-orders, work-order]}}\n")]},
                    "sites/graz.yaml:1 the toolbox 'all' holds the tool 'work-order', which the site does not have", help="did you mean 'work-orders'")],
        near=[{GRAZ: [("", "toolboxes: {all: {tools: [work-orders]}}\n")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
