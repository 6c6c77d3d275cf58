"""Rules about who looks after a site, and when it may be changed."""

import pytest

from fleet.model.schedule import Window
from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests
from validators.operations import longest_minutes

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


def window(*windows: str) -> Edits:
    return graz(f"maintenance: {{timeZone: Europe/Vienna, windows: [{', '.join(windows)}]}}")


def staffing(text: str, services: str = "") -> Edits:
    return {FLEET: [("rings:\n", f"staffing: {{{text}}}\nrings:\n")], **(graz(services) if services else {})}


NO_TOOLS = ("tools:\n  work-orders:\n    allowedDestinations:\n      - {cidr: 10.20.8.20/32, port: 443}\n",
            "tools: {work-orders: null}\nagents: {maf-agent-api: {tools: []}}\n")  # fmt: skip
SHORT = "{days: [sun], start: '02:00', minutes: 189}"
LONG = "{days: [sun], start: '02:00', minutes: 190}"

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
        fires=[Case(phase("foundation"), "sites/turin.yaml:{phase} the phase is foundation, and the site has inference already"),
               Case(phase("inference"), "sites/turin.yaml:{phase} the phase is inference, and the site has tools already")],
        near=[phase("tools"), phase("inference", NO_TOOLS)],
    ),
    "OPS006": Cases(
        fires=[Case(window(SHORT), "sites/graz.yaml:{maintenance} no maintenance window is longer than 189 minutes"),
               Case(window(SHORT, "{days: [mon], start: '03:00', minutes: 100}"), "sites/graz.yaml:{maintenance} no maintenance window is longer than 189")],
        near=[window(LONG), window(SHORT, "{days: [sun], start: '05:00', minutes: 100}")],
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


@pytest.mark.parametrize(
    ("windows", "minutes"),
    [
        ([("sun", "02:00", 60)], 60),
        ([("sun", "02:00", 60), ("sun", "02:30", 60)], 90),
        ([("sun", "02:00", 60), ("sun", "03:00", 60)], 120),
        ([("sun", "02:00", 60), ("sun", "03:01", 60)], 60),
        ([("sun", "23:00", 120), ("mon", "01:00", 30)], 150),  # over the end of the week
        ([("mon", "00:00", 60), ("tue", "00:00", 30)], 60),
        ([("mon", "00:00", 10_080)], 10_080),
        ([("mon", "12:00", 10_080), ("tue", "12:00", 10_080)], 10_080),
        ([("mon", "02:00", 300), ("mon", "03:00", 10)], 300),
    ],
)
def test_the_longest_time_that_windows_are_open(windows: list[tuple[str, str, int]], minutes: int) -> None:
    given = tuple(
        Window.model_validate({"days": [day], "start": start, "minutes": long})
        for day, start, long in windows
    )
    assert longest_minutes(given) == minutes
