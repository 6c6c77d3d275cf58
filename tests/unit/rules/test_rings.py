"""Rules about rings."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, Edits, rule_tests

LATE = ("  - name: broad\n", "  - name: broad\n  - name: late\n")
CANARY_SOAK = ("  - name: canary\n    soakMinutes: 0", "  - name: canary\n    soakMinutes: 60")
GRAZ_FIRST = {GRAZ: [("ring: broad", "ring: canary")]}
NARVIK_LATE = {NARVIK: [("ring: broad", "ring: late")]}
LATE_TEST = ("FLT012", "RNG008")


def soaks(canary: int, broad: int) -> Edits:
    """Three rings; the last has no soak."""
    return {FLEET: [("canary\n    soakMinutes: 0", f"canary\n    soakMinutes: {canary}"),
                    ("broad\n    soakMinutes: 0", f"broad\n    soakMinutes: {broad}\n  - name: late")], **NARVIK_LATE}  # fmt: skip


def broad(*texts: str) -> Edits:
    """The ring of Graz and Narvik with more fields."""
    fields = "".join(f"    {text}\n" for text in texts)
    return {FLEET: [("broad\n    soakMinutes: 0\n", f"broad\n    soakMinutes: 0\n{fields}")]}


def environment(site: str, name: str) -> Edits:
    return {site: [("labels:", f"environment: {name}\nlabels:")]}


CASES = {
    "RNG001": Cases(
        fires=[Case({FLEET: [LATE]}, "fleet.yaml:{name: late} no site is in the ring 'late'"),
               Case({TURIN: [("ring: canary", "ring: broad")]}, "fleet.yaml:{name: canary} no site is in the ring 'canary'")],
        near=[{FLEET: [LATE], NARVIK: [("ring: broad", "ring: late")]}],
    ),
    "RNG002": Cases(
        fires=[Case(GRAZ_FIRST, "fleet.yaml:{name: canary} the first ring has 2 sites, more than the 1 of the next")],
        near=[{**NARVIK_LATE, FLEET: [LATE]},
              {**GRAZ_FIRST, TURIN: [("ring: canary", "ring: broad")]}],
    ),
    "RNG003": Cases(
        fires=[Case(soaks(60, 59), "fleet.yaml:{soakMinutes: 59} 'broad' soaks for 59 minutes, less than the 60 of 'canary'")],
        near=[soaks(60, 60), {FLEET: [CANARY_SOAK]}],
    ),
    "RNG004": Cases(
        fires=[Case(broad('maxConcurrent: "0%"'), "fleet.yaml:{maxConcurrent} no site of 'broad' may ever change"),
               Case(broad('maxUnavailable: "0%"'), "fleet.yaml:{maxUnavailable} no site of 'broad' may ever change")],
        near=[broad('maxConcurrent: "1%"', 'maxUnavailable: "1%"'), broad('maxConcurrent: "1"')],
    ),
    "RNG005": Cases(
        fires=[Case(broad('maxConcurrent: "2"', 'maxUnavailable: "1"'), "fleet.yaml:{maxConcurrent} 2 sites may change at once, and 1 may be",
                    help="'maxConcurrent: \"1\"'"),
               Case(broad('maxConcurrent: "100%"', 'maxUnavailable: "99%"'), "fleet.yaml:{maxConcurrent} 2 sites may change at once, and 1 may be")],
        near=[broad('maxConcurrent: "2"', 'maxUnavailable: "2"'), broad('maxConcurrent: "50%"', 'maxUnavailable: "1"'),
              broad('maxConcurrent: "99%"', 'maxUnavailable: "1%"'), broad('maxConcurrent: "2"')],
    ),
    "RNG006": Cases(
        fires=[Case(broad("maxFailures: 2"), "fleet.yaml:{maxFailures} all 2 sites of 'broad' may fail", help="'maxFailures: 1' at most")],
        near=[broad("maxFailures: 1")],
    ),
    "RNG007": Cases(
        fires=[Case(environment(NARVIK, "test"), "fleet.yaml:{name: broad} the ring 'broad' has sites of test and prod", also=LATE_TEST),
               Case(environment(NARVIK, "dev"), "fleet.yaml:{name: broad} the ring 'broad' has sites of dev and prod", also=LATE_TEST)],
        near=[environment(TURIN, "test"), {FLEET: [LATE], NARVIK: [("ring: broad", "ring: late"), ("labels:", "environment: prod\nlabels:")]}],
    ),
    "RNG008": Cases(
        fires=[Case({**environment(NARVIK, "dev"), **environment(GRAZ, "dev")},
                    ("sites/graz.yaml:{ring:} graz, a site of dev, changes after 'canary', which has sites of prod",
                     "sites/narvik.yaml:{ring:} narvik, a site of dev, changes after 'canary', which has sites of prod"), also=("FLT012",))],
        near=[environment(TURIN, "dev"), environment(TURIN, "test")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
