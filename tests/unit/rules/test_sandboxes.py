"""Rules about code that nobody has read. Graz gets a sandbox, on a node pool of its own with gVisor."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

POOL = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
TOOL = "  work-orders:\n"
ACCEPTED = (
    '{component: gpu-l4, by: platform-team, date: "2026-09-01"}',
    '{component: gpu-l4, by: platform-team, date: "2026-09-01"}\n      - {component: agent-sandbox, by: platform-team, date: "2026-09-01"}',
)
"""Agent Sandbox is a preview (GOV001)."""
IMAGE = "registry.factory.example/sandboxes/python:3.12@sha256:3425bb9b4d5b5fd70f399ef3ee1e2b4a44bb6668129bfb8c52547aafd61382ed"


def sandbox(text: str = "isolation: gvisor", pool: str = "sandboxes", runtimes: str = "gvisor") -> Edits:
    """Graz, with a sandbox."""
    line = f"sandboxes: {{python: {{image: '{IMAGE}', nodePool: {pool}, slots: 4, {text}}}}}\n"
    added = f"{POOL}\n        sandboxes: {{vmSize: Standard_D4s_v3, count: 2, sandboxRuntimes: [{runtimes}]}}"
    return {GRAZ: [("", line)], FLEET: [(POOL, added), ACCEPTED]}


def tool(text: str, isolation: str = "gvisor") -> Edits:
    """Graz, with a sandbox, and more said about its tool."""
    edits = sandbox(f"isolation: {isolation}")
    return {**edits, GRAZ: [*edits[GRAZ], (TOOL, f"{TOOL}    {text}\n")]}


CASES = {
    "SBX001": Cases(
        fires=[Case(sandbox(pool="sandbox"), "sites/graz.yaml:1 the sandbox 'python' runs in the node pool 'sandbox', which the site does not have", help="did you mean 'sandboxes'")],
        near=[sandbox()],
    ),
    "SBX002": Cases(
        fires=[Case(sandbox(runtimes=""), "sites/graz.yaml:1 the sandbox 'python' needs gvisor, which the nodes of 'sandboxes' do not have", help="'sandboxRuntimes: [gvisor]'"),
               Case(sandbox("isolation: kata"), "sites/graz.yaml:1 the sandbox 'python' needs kata", also=("SBX006",))],
        near=[sandbox(runtimes="gvisor, kata"), sandbox("isolation: container", runtimes="")],
    ),
    "SBX003": Cases(
        fires=[Case(sandbox("isolation: gvisor, warm: 5"), "sites/graz.yaml:1 5 sandboxes of 'python' are kept ready; there may be 4", help="at most 'warm: 4'")],
        near=[sandbox("isolation: gvisor, warm: 4")],
    ),
    "SBX004": Cases(
        fires=[Case(sandbox("isolation: container", pool="agents"), "sites/graz.yaml:1 the sandbox 'python' runs on the nodes of the tool 'work-orders'"),
               Case(sandbox("isolation: container", pool="inference"), "sites/graz.yaml:1 the sandbox 'python' runs on the nodes of the inference 'chat'")],
        near=[sandbox("isolation: container", pool="sandboxes"),
              {TURIN: [("", f"sandboxes: {{python: {{image: '{IMAGE}', nodePool: agents, slots: 4, isolation: container}}}}\n")]}],
    ),
    "SBX006": Cases(
        fires=[Case(sandbox("isolation: kata", runtimes="kata"), "sites/graz.yaml:1 the sandbox 'python' needs virtual machines inside the nodes' virtual machines")],
        near=[sandbox("isolation: gvisor")],
    ),
    "TOL016": Cases(
        fires=[Case(tool("runsCode: untrusted"), "sites/graz.yaml:{runsCode} the tool 'work-orders' runs code that a model wrote, in no sandbox", also=("GOV009",)),
               Case(tool("runsCode: untrusted\n    sandbox: python", "container"),
                    "sites/graz.yaml:{sandbox: python} the tool 'work-orders' runs code that a model wrote in 'python', a plain container", also=("GOV009",))],
        near=[tool("runsCode: trusted"), tool("runsCode: untrusted\n    sandbox: python"), tool("runsCode: trusted\n    sandbox: python", "container")],
    ),
    "TOL017": Cases(
        fires=[Case(tool("runsCode: untrusted\n    sandbox: pythn"), "sites/graz.yaml:{sandbox: pythn} the tool 'work-orders' runs code in the sandbox 'pythn', which the site does not have",
                    help="did you mean 'python'", also=("GOV009",))],
        near=[tool("runsCode: untrusted\n    sandbox: python")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
