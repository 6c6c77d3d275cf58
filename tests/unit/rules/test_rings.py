"""Rules about rings."""

from tests.unit.rules.cases import FLEET, NARVIK, TURIN, Case, Cases, rule_tests

LATE = ("  - name: broad\n", "  - name: broad\n  - name: late\n")

CASES = {
    "RNG001": Cases(
        fires=[Case({FLEET: [LATE]}, "fleet.yaml:{name: late} no site is in the ring 'late'"),
               Case({TURIN: [("ring: canary", "ring: broad")]}, "fleet.yaml:{name: canary} no site is in the ring 'canary'")],
        near=[{FLEET: [LATE], NARVIK: [("ring: broad", "ring: late")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
