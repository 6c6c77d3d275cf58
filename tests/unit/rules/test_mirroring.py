"""Rules about how images and models reach a site. Graz is behind 50 Mbit/s; its model takes 7.15 GiB.

At 80 % of 1 Mbit/s that is 21.3 hours: 76,770 seconds.
"""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

REGISTRY = "registry: {storageGib: 500}"
GPU = "gpu: {model: L4, perNode: 2, sharing: none}"
HOSTS = "{host: nvcr.io}, {host: registry.k8s.io}"
IMAGE = "image: registry.factory.example/inference/vllm-gateway:0.9.2@"


def registry(text: str, *more: tuple[str, str]) -> Edits:
    """Another registry at Graz, and more edits of the fleet."""
    return {FLEET: [(REGISTRY, f"registry: {{storageGib: 500, {text}}}"), *more]}


def operator(hosts: str) -> Edits:
    """Graz with a GPU operator."""
    return registry(f"upstreams: [{hosts}]", (GPU, "gpu: {model: L4, perNode: 2, operator: {metrics: true}}"))


def link(mbps: int, minutes: int, days: str = "sun", more: str = "", chat: str = "") -> Edits:
    """Graz behind a link that is open for models in one window."""
    window = f'windows: [{{days: [{days}], start: "02:00", minutes: {minutes}}}]'
    maintenance = (
        'maintenance: {timeZone: Europe/Vienna, windows: [{days: [sun], start: "02:00", minutes: 240}]}\n'
    )
    text = f"connectivity: {{linkMbps: {mbps}, {window}{more}}}\n{maintenance}"
    return {GRAZ: [("", text + (f"inference: {{chat: {{{chat}}}}}\n" if chat else ""))]}


CASES = {
    "MIR001": Cases(
        fires=[
            Case(operator("{host: nvcr.io}"), "fleet.yaml:{operator: {metrics} the GPU operator comes from registry.k8s.io, which the site's registry does not mirror",
                 help="add '{host: registry.k8s.io}' to 'registry.upstreams'"),
            Case(registry("scan: true", (IMAGE, IMAGE.replace("registry.factory.example", "ghcr.io"))),
                 "fleet.yaml:{ghcr.io/inference} 'chat' comes from ghcr.io, which the site's registry does not mirror"),
            Case(registry(f"upstreams: [{HOSTS}]", (GPU, "gpu: {model: L4, perNode: 2, kai: {queues: {chat: {gpuQuota: 2, cpuQuota: -1, memoryQuotaMb: -1}}}}"),
                          ("        gpus: 1\n", "        gpus: 1\n        queue: chat\n")),
                 "fleet.yaml:{kai:} KAI comes from ghcr.io"),
        ],
        near=[
            operator(HOSTS),
            registry("upstreams: [{host: ghcr.io}]", (IMAGE, IMAGE.replace("registry.factory.example", "ghcr.io"))),
            {GRAZ: [("", "connectivity: {mode: connected}\n")], **operator("{host: nvcr.io}")},
        ],
    ),
    "MIR002": Cases(
        fires=[Case({NARVIK: [("registry: {", "registry: {upstreams: [{host: nvcr.io}, {host: ghcr.io, pullThrough: true}], ")]},
                    "sites/narvik.yaml:{pullThrough} a disconnected site can't fetch from ghcr.io when an image is first asked for")],
        near=[
            {NARVIK: [("registry: {", "registry: {upstreams: [{host: ghcr.io, pullThrough: false}], ")]},
            {NARVIK: [("registry: {", "registry: {upstreams: [{host: ghcr.io}], ")], **registry("upstreams: [{host: ghcr.io, pullThrough: true}]")},
        ],
    ),
    "MIR003": Cases(
        fires=[
            Case(link(1, 319), "fleet.yaml:{gpu: true > chat:} the model of chat takes 4.0 weeks to arrive: 7.2 GiB over 80% of 1 Mbit/s take 21.3 h, and the link is open 5.3 h a week"),
            Case(link(1000, 319, more=", rateLimitMbps: 1"), "fleet.yaml:{gpu: true > chat:} the model of chat takes 4.0 weeks to arrive"),
        ],
        near=[link(1, 320), link(1000, 319)],
    ),
    "MIR004": Cases(
        fires=[
            Case(link(1, 639, "sat, sun"), "fleet.yaml:{gpu: true > chat:} the model of chat takes 1.0 weeks to arrive: 7.2 GiB over 80% of 1 Mbit/s take 21.3 h"),
            Case(link(1, 320), "fleet.yaml:{gpu: true > chat:} the model of chat takes 4.0 weeks to arrive"),
        ],
        near=[link(1, 640, "sat, sun"), link(2, 640), link(1, 319)],
    ),
    "MIR005": Cases(
        fires=[Case(registry("anonymousPull: true"), "fleet.yaml:{anonymousPull} whoever reaches the registry of a production site may pull from it")],
        near=[registry("anonymousPull: false"), registry("anonymousPull: true", ("environment: prod", "environment: dev"))],
    ),
    "MIR006": Cases(
        fires=[Case(registry("scan: false"), "fleet.yaml:{scan: false} images reach a production site without a scan for vulnerabilities")],
        near=[registry("scan: true"), registry("scan: false", ("environment: prod", "environment: dev"))],
    ),
    "MIR007": Cases(
        fires=[
            Case(registry("keepVersions: 1"), "fleet.yaml:{keepVersions: 1} with one version of each image there is none to go back to"),
            Case({FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 200, keepVersions: 1}")]},
                 "fleet.yaml:{keepVersions: 1} with one version of each model there is none to go back to"),
        ],
        near=[registry("keepVersions: 2"), registry("keepVersions: 1", ("environment: prod", "environment: dev"))],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
