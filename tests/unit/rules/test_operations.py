"""Rules about who looks after a site."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

GLASS = """    breakGlass:
      group: 9d4b1e77-0000-4000-8000-0000000000cc
      runbook: https://runbooks.factory.example/break-glass
"""
ON_CALL = "    onCall: {contact: platform-oncall@factory.example, hours: extended}\n"
OWNER = "    owner: platform-team\n"
RUNBOOKS = "runbooks: [break-glass, rollback, model-swap, runtime-upgrade, disconnected-sync, certificate-renewal, capacity]"
NO_GLASS = (GLASS, "    breakGlass: null\n")
DEV = ("environment: prod", "environment: dev")
EARLY = (OWNER, OWNER + "    phase: tools\n")
BACKUP = "backup: {everyHours: 24, keepDays: 30, target: s3://copies/graz}"


def graz(text: str) -> Edits:
    return {GRAZ: [("labels:", f"{text}\nlabels:")]}


def phase(name: str, *more: tuple[str, str]) -> Edits:
    return {TURIN: [("labels:", f"operations: {{phase: {name}}}\nlabels:"), *more]}


def staffing(text: str, services: str = "") -> Edits:
    return {FLEET: [("rings:\n", f"staffing: {{{text}}}\nrings:\n")], **(graz(services) if services else {})}


NO_TOOLS = ("tools:\n  work-orders:\n    allowedDestinations:\n      - {cidr: 10.20.8.20/32, port: 443}\n",
            "tools: {work-orders: null}\nagents: {maf-agent-api: {tools: []}}\n")  # fmt: skip

CASES = {
    "OPS001": Cases(
        fires=[Case({FLEET: [NO_GLASS]}, "fleet.yaml:{operations:} nobody may change the cluster by hand")],
        near=[{FLEET: [NO_GLASS, DEV]}, {FLEET: [NO_GLASS, EARLY]}],
    ),
    "OPS002": Cases(
        fires=[Case({FLEET: [(ON_CALL, "")]}, "fleet.yaml:{operations:} nobody is told when the site fails")],
        near=[{FLEET: [(ON_CALL, ""), DEV]}, {FLEET: [(ON_CALL, ""), EARLY]}],
    ),
    "OPS003": Cases(
        fires=[Case({FLEET: [(OWNER, "")]}, "fleet.yaml:{operations:} no team answers for the site")],
        near=[{FLEET: [(OWNER, ""), DEV]}, {FLEET: [(OWNER, "    phase: tools\n")]}],
    ),
    "OPS004": Cases(
        fires=[Case({FLEET: [(RUNBOOKS, "runbooks: [runtime-upgrade, disconnected-sync]")]}, "fleet.yaml:{runbooks:} breakGlass is set, and there is no runbook 'break-glass'"),
               Case({FLEET: [(RUNBOOKS, "runbooks: [break-glass, disconnected-sync]")]}, "fleet.yaml:{runbooks:} models are served, and there is no runbook 'runtime-upgrade'"),
               Case({FLEET: [(RUNBOOKS, "runbooks: [break-glass, runtime-upgrade]")]}, "fleet.yaml:{runbooks:} the site is disconnected, and there is no runbook 'disconnected-sync'"),
               Case(graz(f"services: {{redis: {{storageGib: 5, replicas: 2, {BACKUP}}}}}"),
                    "fleet.yaml:{runbooks:} stores are backed up, and there is no runbook 'restore'")],
        near=[{FLEET: [(RUNBOOKS, "runbooks: [runtime-upgrade, disconnected-sync]"), NO_GLASS]}, {FLEET: [(RUNBOOKS, "runbooks: [break-glass]"), EARLY]},
              {FLEET: [(RUNBOOKS, "runbooks: []"), DEV]},
              {FLEET: [(RUNBOOKS, RUNBOOKS[:-1] + ", restore]")], **graz(f"services: {{redis: {{storageGib: 5, replicas: 2, {BACKUP}}}}}")},
              graz("services: {redis: {storageGib: 5, replicas: 2}}")],
    ),
    "OPS005": Cases(
        fires=[Case(phase("foundation"), "sites/turin.yaml:{phase} the phase is foundation, and the site has inference and tools already", help="'phase: tools'"),
               Case(phase("foundation", NO_TOOLS), "sites/turin.yaml:{phase} the phase is foundation, and the site has inference already", help="'phase: inference'"),
               Case(phase("inference"), "sites/turin.yaml:{phase} the phase is inference, and the site has tools already")],
        near=[phase("tools"), phase("inference", NO_TOOLS)],
    ),
    "OPS007": Cases(
        fires=[Case(staffing("platformFte: 0.4, onCallFte: 1"), "fleet.yaml:{staffing} 0.4 full-time equivalents look after gpu, security, which take 0.5 at least"),
               Case(staffing("platformFte: 0.99, onCallFte: 1", "services: {redis: {storageGib: 5, replicas: 2}}"),
                    "fleet.yaml:{staffing} 0.99 full-time equivalents look after gpu, security, state, which take 1 at least")],
        near=[staffing("platformFte: 0.5, onCallFte: 1"), staffing("platformFte: 1, onCallFte: 1", "services: {redis: {storageGib: 5, replicas: 2}}")],
    ),
    "OPS008": Cases(
        fires=[Case(staffing("platformFte: 5, onCallFte: 0.2"), "fleet.yaml:{staffing} sites have an on-call, and 0.2 full-time"),
               Case(staffing("platformFte: 5"), "fleet.yaml:{staffing} sites have an on-call, and 0 full-time")],
        near=[staffing("platformFte: 5, onCallFte: 0.25"), {FLEET: [(ON_CALL, ""), ("rings:\n", "staffing: {platformFte: 5}\nrings:\n")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
