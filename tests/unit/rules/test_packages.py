"""Rules about model packages. Graz serves phi-4-mini in fp16 by vLLM; its weights take 7.15 GiB."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

ARTIFACT = "registry.factory.example/models/phi-4-mini@sha256:3c7e0f4a9d1b5e6f8a2c4d6e8f0a1b3c5d7e9f1a2b4c6d8e0f2a3b5c7d9e1f3a"
USED = "package: phi"
ONNX = "executionProvider: cuda\n    onnxRuntime: 1.22.0"
GOLDEN = f'evaluation: {{golden: {{artifact: "{ARTIFACT}", rows: 200, reviewedOn: "2026-09-01"}}, gates: {{maxP95Ms: 4000}}}}\n'


def package(
    chat: str = USED,
    site: str = GRAZ,
    own: str = "",
    *,
    model: str = "phi-4-mini",
    precision: str = "fp16",
    size: float = 7.2,
    artifact: str = ARTIFACT,
    licence: str = "MIT",
    quality: str = "quality: https://reports.factory.example/phi",
    more: str = "",
) -> Edits:
    """The package `phi`, what a site says about its deployment, and about itself."""
    lines = (
        "packages:",
        "  phi:",
        f"    model: {model}",
        f"    precision: {precision}",
        f"    artifact: {artifact}",
        f"    sizeGib: {size}",
        "    source: microsoft/Phi-4-mini-instruct",
        f"    licence: {licence}",
        f"    {quality}",
        f"    {more}",
    )
    return {FLEET: [("profiles:\n", "\n".join(lines) + "\nprofiles:\n")], site: [("", f"inference: {{chat: {{{chat}}}}}\n{own}")]}  # fmt: skip


CASES = {
    "MOD001": Cases(
        fires=[
            Case(package("package: phy"), "sites/graz.yaml:1 the fleet has no model package 'phy'", help="did you mean 'phi'", also=("MOD014",)),
            Case(package(f"{USED}, replicas: 1, contextTokens: 4096, canary: {{package: other}}"), "sites/graz.yaml:1 the fleet has no model package 'other'"),
        ],
        near=[package()],
    ),
    "MOD002": Cases(
        fires=[Case(package(f"{USED}, model: phi-3.5-mini, contextTokens: 2048"), "sites/graz.yaml:1 the package 'phi' holds phi-4-mini; the deployment serves phi-3.5-mini")],
        near=[package(f"{USED}, model: phi-4-mini")],
    ),
    "MOD003": Cases(
        fires=[Case(package(f"{USED}, precision: int8"), "sites/graz.yaml:1 the package 'phi' is fp16; memory is planned for int8", help="'precision: fp16'")],
        near=[package(f"{USED}, precision: fp16"), package("precision: int8, replicas: 1, contextTokens: 4096, canary: {package: phi}")],
    ),
    "MOD004": Cases(
        fires=[
            Case(package(more=ONNX), "sites/graz.yaml:1 the package 'phi' is ONNX for cuda, which vllm does not load"),
            Case(package(f"{USED}, runtime: foundry-local"), "sites/graz.yaml:1 the package 'phi' is not ONNX, and foundry-local loads nothing else", also=("INF032",)),
            Case(package(f"{USED}, runtime: foundry-local, executionProvider: cuda", more=ONNX.replace("cuda", "directml")),
                 "sites/graz.yaml:1 the package 'phi' was built for directml, not for cuda", also=("INF032",)),
            Case(package(site=TURIN, precision="int4", size=2.6, more=ONNX), "sites/turin.yaml:1 the package 'phi' was built for cuda, which is not for cpu"),
        ],
        near=[
            package(),
            package(f"{USED}, runtime: foundry-local, executionProvider: cuda", more=ONNX),
            package(f"{USED}, runtime: foundry-local", more=ONNX),
            package(site=TURIN, precision="int4", size=2.6, more=ONNX.replace("cuda", "cpu")),
        ],
    ),
    "MOD005": Cases(
        fires=[
            Case(package(more="template: whisper"), "sites/graz.yaml:1 the package 'phi' has the template whisper; chat needs chat"),
            Case(package(f"{USED}, modality: speech"), "sites/graz.yaml:1 the package 'phi' has the template chat; speech needs whisper"),
        ],
        near=[package(more="template: chat"), package(f"{USED}, modality: speech", more="template: whisper"), package(f"{USED}, modality: embedding", more="template: embedding")],
    ),
    "MOD006": Cases(
        fires=[
            Case(package(artifact="registry.factory.example/models/phi:1"), "fleet.yaml:{models/phi:1} the artifact 'registry.factory.example/models/phi:1' is not pinned"),
            Case(package(artifact=ARTIFACT.partition(":")[0] + ":3c7e"), "fleet.yaml:{artifact:} the artifact 'registry.factory.example/models/phi-4-mini@sha256:"),
        ],
        near=[package(), package(artifact=ARTIFACT.replace("@", ":1.0@"))],
    ),
    "MOD007": Cases(
        fires=[Case(package("replicas: 2", model="phi-5"), "fleet.yaml:{model: phi-5} there is no model 'phi-5'", also=("MOD014",))],
        near=[package(), package("replicas: 2", model="phi-4", size=27.3)],
    ),
    "MOD008": Cases(  # 0.8 to 3.5 times 7.15 GiB; in int4 of 1.89
        fires=[
            Case(package(size=5.71), "fleet.yaml:{sizeGib} 5.71 GiB is unlikely for phi-4-mini in fp16, whose weights take 7.2"),
            Case(package(size=25.1), "fleet.yaml:{sizeGib} 25.1 GiB is unlikely for phi-4-mini in fp16"),
            Case(package(f"{USED}, precision: int4", precision="int4", size=7.2), "fleet.yaml:{sizeGib} 7.2 GiB is unlikely for phi-4-mini in int4, whose weights take 1.9"),
        ],
        near=[package(size=5.73), package(size=25), package(f"{USED}, precision: int4", precision="int4", size=4.8)],
    ),
    "MOD009": Cases(
        fires=[
            Case(package(own="governance: {licences: [Apache-2.0]}\n"), "sites/graz.yaml:1 the package 'phi' is under MIT, which the site does not allow"),
            Case(package(own="governance: {licences: [MIT]}\n", licence="MIT AND Apache-2.0"), "sites/graz.yaml:1 the package 'phi' is under MIT AND Apache-2.0"),
        ],
        near=[
            package(own="governance: {licences: [Apache-2.0, MIT]}\n"),
            package(own="governance: {licences: [MIT]}\n", licence="Apache-2.0 OR MIT"),
            package(own="governance: {licences: [MIT, Apache-2.0]}\n", licence="MIT AND Apache-2.0"),
            package(own="governance: {licences: []}\n", licence="our own"),
        ],
    ),
    "MOD010": Cases(
        fires=[Case(package(more="remoteCode: true"), "sites/graz.yaml:1 the package 'phi' was not converted, so its model's own code would run at the site")],
        near=[package(more="remoteCode: false"), package(f"{USED}, runtime: foundry-local", more=f"{ONNX}\n    remoteCode: true")],
    ),
    "MOD011": Cases(
        fires=[Case(package(quality=""), "sites/graz.yaml:1 the package 'phi' serves production, and no result of its evaluation is named")],
        near=[package(), package(quality="", own="environment: test\n")],
    ),
    "MOD012": Cases(
        fires=[Case(package(own=GOLDEN, more='evaluatedOn: "2026-08-31"'), "sites/graz.yaml:1 the package 'phi' was evaluated on 2026-08-31; the golden set is of 2026-09-01")],
        near=[package(own=GOLDEN, more='evaluatedOn: "2026-09-01"'), package(more='evaluatedOn: "2026-08-31"')],
    ),
    "MOD013": Cases(
        fires=[Case(package(f"{USED}, runtime: foundry-local", more="executionProvider: cuda"), "fleet.yaml:{phi:} with which ONNX Runtime the package 'phi' was built is not said", also=("INF032",))],
        near=[package(f"{USED}, runtime: foundry-local", more=ONNX)],
    ),
    "MOD014": Cases(
        fires=[Case(package("replicas: 2"), "fleet.yaml:{  phi:} no site serves the package 'phi'")],
        near=[package(), package("replicas: 1, contextTokens: 4096, canary: {package: phi}")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
