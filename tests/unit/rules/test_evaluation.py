"""Rules about what proves that an update works."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

DIGEST = "registry.factory.example/sets/golden@sha256:" + "0123456789abcdef" * 4
GOLDEN = f"golden: {{artifact: '{DIGEST}', rows: 50, reviewedOn: '2026-09-01'}}"
RED_TEAM = f"redTeam: {{artifact: '{DIGEST}', rows: 10, reviewedOn: '2026-09-01'}}"


def evaluation(text: str = "", golden: str = GOLDEN, environment: str = "prod", where: str = GRAZ) -> Edits:
    """An evaluation of Graz, which is in the last ring, or of Turin, which is in the first."""
    if "maxP95Ms" not in text and where == GRAZ:  # what its deployment promises
        text = (
            text.replace("gates: {", "gates: {maxP95Ms: 4000, ")
            if "gates" in text
            else f"gates: {{maxP95Ms: 4000}}, {text}"
        )
    elif where == TURIN:
        text = f"gates: {{maxP95Ms: 20000}}, {text}"
    more = f", {text}".rstrip(", ") if text else ""
    return {where: [("labels:", f"environment: {environment}\nevaluation: {{{golden}{more}}}\nlabels:")]}


def gate(text: str, environment: str = "prod") -> Edits:
    return evaluation(f"gates: {{{text}}}", environment=environment)


def embeds(text: str) -> Edits:
    """Graz, which serves embeddings: nothing of its gate for latency follows from a promise to those who chat."""
    edits = gate(text)
    return {GRAZ: [*edits[GRAZ], ("", "inference: {chat: {modality: embedding}}\n")]}


def writes(text: str, edits: Edits) -> Edits:
    """Graz's tool with one more field."""
    return {GRAZ: [*edits[GRAZ], ("    allowedDestinations:", f"    {text}\n    allowedDestinations:")]}


CASES = {
    "EVA001": Cases(
        fires=[Case(gate(f"{key}: {loose}"), f"sites/graz.yaml:{{evaluation}} {key} is {loose}, looser than production's {limit}", also=also)
               for key, loose, limit, also in (
                   ("maxHallucination", "0.031", "0.03", ()), ("minTaskCompletion", "0.949", "0.95", ()),
                   ("minGrounded", "0.979", "0.98", ()), ("maxPolicyViolations", "1", "0", ()))]
              + [Case(embeds("maxP95Ms: 3001"), "sites/graz.yaml:{evaluation} maxP95Ms is 3001, looser than production's 3000")],
        near=[gate("maxHallucination: 0.03"), gate("minTaskCompletion: 0.95"), gate("minGrounded: 0.98"), gate("maxPolicyViolations: 0"),
              embeds("maxP95Ms: 3000"), gate("maxP95Ms: 4000"), {**gate("minGrounded: 0.9", "test")}],
    ),
    "EVA002": Cases(
        fires=[Case(evaluation(golden=GOLDEN.replace(DIGEST, "registry.factory.example/sets/golden:1")),
                    "sites/graz.yaml:{evaluation} the dataset 'registry.factory.example/sets/golden:1' is not pinned"),
               Case(evaluation(RED_TEAM.replace(DIGEST, DIGEST[:-1])), "sites/graz.yaml:{evaluation} the dataset")],
        near=[evaluation(), evaluation(RED_TEAM)],
    ),
    "EVA003": Cases(
        fires=[Case(evaluation(golden=GOLDEN.replace("50", "49")), "sites/graz.yaml:{evaluation} 49 golden conversations", help="50 or more")],
        near=[evaluation(golden=GOLDEN.replace("50", "51")), evaluation()],
    ),
    "EVA004": Cases(
        fires=[Case(writes("authorization: {write: true}", evaluation()), "sites/graz.yaml:{evaluation} the tool 'work-orders' changes things"),
               Case(writes("runsCode: trusted", evaluation()), "sites/graz.yaml:{evaluation} the tool 'work-orders' runs code")],
        near=[writes("authorization: {write: true}", evaluation(RED_TEAM)), writes("authorization: {write: false}", evaluation()),
              {GRAZ: [("    allowedDestinations:", "    authorization: {write: true}\n    allowedDestinations:")]}],
    ),
    "EVA005": Cases(
        fires=[Case(evaluation(where=TURIN), "sites/turin.yaml:{evaluation} the ring 'canary' proves updates to the rings after it without load"),
               Case(evaluation("loadTest: false", where=TURIN), "sites/turin.yaml:{evaluation} the ring 'canary' proves")],
        near=[evaluation("loadTest: true", where=TURIN), evaluation("loadTest: false")],
    ),
    "EVA006": Cases(
        fires=[Case(gate("maxP95Ms: 4001", "test"), "sites/graz.yaml:{evaluation} an update may take 4001 ms; 'chat' promises 4000 ms",
                    also=("FLT012", "RNG007", "RNG008")),
               # production's figure, which counts where none is said, is stricter than what was promised
               Case({GRAZ: [("labels:", f"evaluation: {{{GOLDEN}}}\nlabels:")]},
                    "sites/graz.yaml:{evaluation} an update may take 3000 ms where nothing else is said; the site's deployments promise 4000 ms",
                    help="'maxP95Ms: 4000'")],
        near=[gate("maxP95Ms: 3000"), embeds("maxP95Ms: 9000"), gate("maxP95Ms: 4000", "test"), {FLEET: [("p95Ms: 4000", "p95Ms: 5000")], **gate("maxP95Ms: 5000", "test")}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
