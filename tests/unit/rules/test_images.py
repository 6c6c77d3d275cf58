"""Rules about container images."""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

DIGEST = "@sha256:" + "0" * 64
PREVIEW = (
    "      - {component: gpu-l4,",
    '      - {component: agent-sandbox, by: platform-team, date: "2026-09-01"}\n      - {component: gpu-l4,',
)


def tool_image(image: str) -> Edits:
    """Another image for the tool at Turin."""
    return {TURIN: [("  work-orders:\n", f"  work-orders:\n    image: '{image}'\n")]}


def inference_image(image: str) -> Edits:
    """Another image for the served model at Graz."""
    return {GRAZ: [("", f"inference: {{chat: {{image: '{image}'}}}}\n")]}


def agent_image(image: str) -> Edits:
    """Another image for the agent at Turin."""
    return {TURIN: [("", f"agents: {{maf-agent-api: {{image: '{image}'}}}}\n")]}


CASES = {
    "IMG001": Cases(
        fires=[
            Case(inference_image("r.example/vllm:1"), "sites/graz.yaml:1 the image 'r.example/vllm:1' is not pinned", also=("MIR001",)),
            Case(agent_image("r.example/agent:1"), "sites/turin.yaml:1 the image 'r.example/agent:1' is not pinned"),
            Case({GRAZ: [("", "sandboxes: {python: {image: r.example/py:1, nodePool: agents, slots: 4, isolation: container}}\n")], FLEET: [PREVIEW]},
                 "sites/graz.yaml:1 the image 'r.example/py:1' is not pinned", also=("MIR001", "SBX004")),
            Case({FLEET: [("maf-agent-api:1.0.0@sha256:", "maf-agent-api:1.0.0@sha256:0")]},
                 "fleet.yaml:{sha256:0b949} the image 'registry.factory.example/agents/maf-agent-api:1.0.0@sha256:0b9"),
            *(Case(tool_image(image), "sites/turin.yaml:{image:} " + f"the image '{image}' is not pinned")
              for image in ("work-orders:latest", "r.example/t", f"library/redis{DIGEST}", f"redis{DIGEST}", f"r.example{DIGEST}",
                            f"r.example/t:1{DIGEST}"[:-1], f"r.example/t:1{DIGEST}0", "r.example/t@sha256:" + "A" * 64,
                            "r.example/t@sha512:" + "0" * 64, f"r.example/T{DIGEST}", f"r.example/t:{DIGEST}", f"r.example//t{DIGEST}",
                            f"r.example/t:-1{DIGEST}", f"https://r.example/t{DIGEST}", f" r.example/t{DIGEST}",
                            f"r.example/t:{'a' * 129}{DIGEST}", f"r.example:/t{DIGEST}", f"R.example/t{DIGEST}")),
        ],
        near=[
            inference_image(f"r.example/vllm:1{DIGEST}"),
            agent_image(f"r.example/agent:1{DIGEST}"),
            *(tool_image(image + DIGEST)
              for image in ("r.example/t:1", "r.example/t", "localhost/t", "localhost:5000/t", "registry:5000/t", "r.example:443/a/b/c:V1.0_x-y",
                            "10.1.2.3/t", f"r.example/t:{'a' * 128}", "r-1.example/a_b.c-d")),
        ],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
