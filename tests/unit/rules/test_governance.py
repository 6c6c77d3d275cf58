"""Rules about what an organisation allows, and whether a site keeps within its boundary."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

LOCAL = '      - {component: foundry-local, by: platform-team, date: "2026-09-01"}\n'
L4 = '      - {component: gpu-l4, by: platform-team, date: "2026-09-01"}\n'
DATE = 'component: gpu-l4, by: platform-team, date: "2026-09-01"'


def also_accepted(component: str) -> tuple[str, str]:
    return (L4, L4 + L4.replace("gpu-l4", component))


def graz(text: str) -> Edits:
    """Graz with one more line of text."""
    return {GRAZ: [("labels:", f"{text}\nlabels:")]}


def suitability(text: str) -> Edits:
    return {FLEET: [("    boundary: hard\n", f"    boundary: hard\n    suitability: {{{text}}}\n")]}


def backup(store: str, target: str) -> Edits:
    return graz(f"services: {{{store}, backup: {{everyHours: 24, keepDays: 30, target: {target}}}}}}}")


def destination(cidr: str, boundary: str = "hard") -> Edits:
    return {
        FLEET: [("boundary: hard", f"boundary: {boundary}")],
        TURIN: [("cidr: 10.20.8.20/32", f"cidr: {cidr}")],
    } if boundary != "hard" else {TURIN: [("cidr: 10.20.8.20/32", f"cidr: {cidr}")]}  # fmt: skip


def code(kind: str, guardrails: str) -> Edits:
    return {
        TURIN: [("    allowedDestinations:", f"    runsCode: {kind}\n    allowedDestinations:"),
                ("labels:", f"governance: {{guardrails: {guardrails}}}\nlabels:")]
    }  # fmt: skip


THREE = "reasons: [data-on-site, prompts-stay-local, latency]"
RESTORE = ("OPS004",)

CASES = {
    "GOV001": Cases(
        fires=[
            Case({FLEET: [(L4, "")]}, "fleet.yaml:{gpu: {model: L4} gpu-l4 is a preview, and nobody has accepted it"),
            Case({FLEET: [(LOCAL, "")]},
                 "fleet.yaml:{runtime: foundry-local} foundry-local is a preview"),
            *(Case({GRAZ: [("labels:", f"gpu: {{model: {model}, perNode: 2}}\nlabels:")]},
                   f"sites/graz.yaml:{{gpu: {{}} {component} is a preview, and nobody", also=also)
              for model, component, also in (
                  ("L40", "gpu-l40", ("GPU001", "GOV002")), ("L40S", "gpu-l40s", ("GPU001", "GOV002")),
                  ("RTX6000Pro", "gpu-rtx6000pro", ("GPU001", "GOV002")))),
            Case({GRAZ: [("  clusterName:", "  pattern: low-capacity\n  clusterName:")]},
                 "sites/graz.yaml:{pattern} low-capacity is a preview", also=()),
        ],
        near=[
            {FLEET: [also_accepted("gpu-l40")], GRAZ: [("labels:", "gpu: {model: L40, perNode: 2}\nlabels:")]},
            {GRAZ: [("labels:", "gpu: {model: T4, perNode: 2}\nlabels:")]},
            {FLEET: [also_accepted("low-capacity")], GRAZ: [("  clusterName:", "  pattern: low-capacity\n  clusterName:")]},
        ],
    ),
    "GOV002": Cases(
        fires=[Case({FLEET: [also_accepted("mcp-registry")]}, "fleet.yaml:{component: mcp-registry} mcp-registry is accepted, and no site uses it")],
        near=[{FLEET: [also_accepted("mcp-registry")], **graz("services: {mcpRegistry: {}}")},
              {FLEET: [also_accepted("gpu-l4")]}],
    ),
    "GOV003": Cases(
        fires=[Case({FLEET: [(DATE, DATE + f', review: "{day}"')]}, f"fleet.yaml:{{, review}} the review of gpu-l4 is on {day}, not after")
               for day in ("2026-09-01", "2025-12-31")],
        near=[{FLEET: [(DATE, DATE + ', review: "2026-09-02"')]}],
    ),
    "GOV004": Cases(
        fires=[Case(suitability("reasons: [latency, weak-link]"), "fleet.yaml:{suitability} 2 of the five reasons"),
               Case(suitability("reasons: [latency, weak-link, latency]"), "fleet.yaml:{suitability} 2 of the five reasons")],
        near=[suitability(THREE)],
    ),
    "GOV005": Cases(
        fires=[Case(suitability(f"{THREE}, elasticPeaks: true"), "fleet.yaml:{elasticPeaks} peaks that nobody can foresee")],
        near=[suitability(f"{THREE}, elasticPeaks: false")],
    ),
    "GOV006": Cases(
        fires=[Case(suitability(f"{THREE}, apiStability: true"),
                    "fleet.yaml:{runtime: foundry-local} a contract promises a stable API, and foundry-local is a preview")],
        near=[suitability(f"{THREE}, apiStability: false"), {**graz(f"governance: {{suitability: {{{THREE}, apiStability: true}}}}")}],
    ),
    "GOV007": Cases(
        fires=[Case(backup(store, "azblob://copies/graz"), f"sites/graz.yaml:{{azblob}} the boundary is hard, and the copies of {key}",
                    also=also)
               for key, store, also in (
                   ("redis", "redis: {storageGib: 5, replicas: 2", RESTORE), ("postgres", "postgres: {storageGib: 5, replicas: 2", RESTORE),
                   ("blobStore", "blobStore: {storageGib: 5", RESTORE), ("clickhouse", "clickhouse: {storageGib: 5", RESTORE),
                   ("bus", "bus: {kind: nats, replicas: 3, storageGib: 5", RESTORE))],
        near=[backup("redis: {storageGib: 5, replicas: 2", "s3://copies/graz"),
              backup("metrics: {storageGib: 5, retentionDays: 30", "azblob://copies/graz"),
              {**backup("redis: {storageGib: 5, replicas: 2", "azblob://copies/graz"), FLEET: [("boundary: hard", "boundary: hybrid")]}],
    ),
    "GOV008": Cases(
        fires=[Case(destination("20.1.2.3/32"), "sites/turin.yaml:{cidr: 20.1.2.3/32} the boundary is hard, and 'work-orders' may talk to 20.1.2.3/32")],
        near=[destination("10.20.8.21/32"), destination("100.64.1.2/32"), destination("20.1.2.3/32", "hybrid")],
    ),
    "GOV009": Cases(
        fires=[Case(code("untrusted", "none"), "sites/turin.yaml:{runsCode} 'work-orders' runs code that a model wrote", also=("TOL016",))],
        near=[code("untrusted", "report"), code("trusted", "none"), code("none", "none")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
