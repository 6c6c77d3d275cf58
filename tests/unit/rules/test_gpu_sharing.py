"""Rules about sharing GPUs. Graz has two VMs with one GPU each; an RTX Pro 6000 has four MIG slices."""

from tests.unit.rules.cases import FLEET, Case, Cases, Edits, rule_tests

GPU = "gpu: {model: L4, perNode: 2, sharing: none}"
POOL = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
REGISTRY = (
    "registry: {storageGib: 500}",
    "registry: {storageGib: 500, upstreams: [{host: nvcr.io}, {host: registry.k8s.io}, {host: ghcr.io}]}",
)
CHAT = "        gpus: 1\n        replicas: 2\n        contextTokens: 8192\n"
FITS = "        precision: int4\n"
SECOND = """      write:
        runtime: vllm
        model: phi-4-mini
        precision: int4
        image: registry.factory.example/inference/vllm-gateway:0.9.2@sha256:4dc26c52fe5ac20681b1e35d01b40935675d425145a7a1d00e360729ce7b02a2
        accelerator: gpu
        gpus: 1
        nodePool: inference
        contextTokens: 2048
        slo: {{p95Ms: 4000, concurrentSessions: 1}}
        {more}
"""


def mig(text: str, chat: str = "", sharing: str = "mig", size: str = "Standard_NC16_RTX6000Pro_1") -> Edits:
    """Graz with two RTX Pro 6000 in its pool, cut in this way, and more about its deployment."""
    cut = f", mig: {text}" if text else ""
    return {FLEET: [
        ("component: gpu-l4", "component: gpu-rtx6000pro"),
        (GPU, f"gpu: {{model: RTX6000Pro, perNode: 2, sharing: {sharing}, operator: {{version: v26.7.0, devicePlugin: true}}}}"),
        (POOL, f"inference: {{vmSize: {size}, count: 2, gpu: true{cut}}}"),
        (CHAT, CHAT + chat),
        REGISTRY,
    ]}  # fmt: skip


def single(profiles: str) -> Edits:
    """Equal slices."""
    return mig(f"{{strategy: single, profiles: {{{profiles}}}}}")


def mixed(
    profiles: str, profile: str | None, replicas: int = 2, size: str = "Standard_NC16_RTX6000Pro_1"
) -> Edits:
    """A resource a profile, and the one that the deployment names."""
    edits = mig(
        f"{{strategy: mixed, profiles: {{{profiles}}}}}",
        f"        migProfile: {profile}\n" if profile else "",
        size=size,
    )
    more = (
        "        replicas: 2\n        contextTokens: 8192\n",
        f"        replicas: {replicas}\n        contextTokens: 8192\n",
    )
    return {FLEET: [*edits[FLEET], more]}


def shared(gpu: str, chat: str = "", gpus: int = 1, more: str = "", replicas: int = 2) -> Edits:
    """Graz with L4 that are shared in some way, and a model small enough for half of one."""
    text = f"        gpus: {gpus}\n        replicas: {replicas}\n        contextTokens: 2048\n"
    edits = [
        (GPU, f"gpu: {{model: L4, perNode: 2, {gpu}}}"),
        ("        precision: fp16\n", FITS),
        (CHAT, text + "".join(f"        {line}\n" for line in chat.split("; ") if line)),
        REGISTRY,
    ]
    if more:
        edits.append(
            ("    registry: {storageGib: 500,", SECOND.format(more=more) + "    registry: {storageGib: 500,")
        )
    return {FLEET: edits}


KAI = "kai: {gpuSharing: %s, queues: {chat: {gpuQuota: 2, cpuQuota: -1, memoryQuotaMb: -1}}}"
SLICED = "sharing: time-slicing, timeSlices: 2, operator: {devicePlugin: true}"
HALF = "gpuMemoryUtilization: 0.5"
FRACTION = "sharing: fraction, " + KAI % "true"
HALVES = "queue: chat; gpuFraction: 0.5; " + HALF

CASES = {
    "GPU005": Cases(
        fires=[
            Case(single("1g.10gb: 4"), "fleet.yaml:{1g.10gb} a RTX6000Pro has no MIG profile '1g.10gb'", help="one of 1g.24gb, 2g.48gb, 4g.96gb", also=("INF001",)),
            Case(mixed("2g.48gb: 1, 2g.24gb: 1", "2g.48gb"), "fleet.yaml:{2g.24gb} a RTX6000Pro has no MIG profile '2g.24gb'"),
        ],
        near=[single("4g.96gb: 1"), single("2g.48gb: 2"), mig("{profiles: {1g.10gb: 4}}", sharing="none")],
    ),
    "GPU006": Cases(
        fires=[
            Case(single("1g.24gb: 5"), "fleet.yaml:{1g.24gb} the MIG profiles take 5 slices; a RTX6000Pro has 4", also=("INF001",)),
            Case(mixed("2g.48gb: 2, 1g.24gb: 1", "2g.48gb"), "fleet.yaml:{1g.24gb} the MIG profiles take 5 slices; a RTX6000Pro has 4"),
            Case(single("4g.96gb: 2"), "fleet.yaml:{4g.96gb} the MIG profiles take 8 slices"),
        ],
        near=[single("1g.24gb: 4"), mixed("2g.48gb: 1, 1g.24gb: 2", "2g.48gb"), single("4g.96gb: 1")],
    ),
    "GPU007": Cases(
        fires=[Case(single("2g.48gb: 1, 1g.24gb: 2"), "fleet.yaml:{strategy: single} the strategy 'single' takes one profile; 'inference' has")],
        near=[mixed("2g.48gb: 1, 1g.24gb: 2", "2g.48gb"), single("2g.48gb: 1")],
    ),
    "GPU008": Cases(
        fires=[
            Case(mig(""), "fleet.yaml:{sharing: mig} no GPU pool says how its cards are cut"),
            Case(mig("{profiles: {2g.48gb: 2}}", sharing="none"),
                 "fleet.yaml:{2g.48gb} the node pool 'inference' is cut into MIG instances at a site with 'sharing: none'", also=("GPU017",)),
        ],
        near=[single("2g.48gb: 2"), mig("", sharing="none"), {FLEET: [(GPU, "gpu: {model: L4, perNode: 2, sharing: mig}")]}],
    ),
    "GPU009": Cases(
        fires=[
            Case(mixed("2g.48gb: 2", "1g.24gb"), "fleet.yaml:{migProfile} chat asks for 1g.24gb; the node pool 'inference' offers 2g.48gb only", also=("INF001",)),
            Case(mixed("2g.48gb: 2", None), "fleet.yaml:{gpu-cluster: > chat:} chat names no MIG profile; the node pool 'inference' offers 2g.48gb only"),
            Case(mig("{profiles: {2g.48gb: 2}}", "        migProfile: 2g.48gb\n"),
                 "fleet.yaml:{migProfile} chat asks for 2g.48gb; the node pool 'inference' offers its slices as whole GPUs"),
            Case({FLEET: [(CHAT, CHAT + "        migProfile: 2g.48gb\n")]},
                 "fleet.yaml:{migProfile} chat asks for 2g.48gb; the node pool 'inference' is not cut into MIG instances"),
        ],
        near=[mixed("2g.48gb: 2", "2g.48gb"), single("2g.48gb: 2")],
    ),
    "GPU010": Cases(
        fires=[
            Case(mixed("2g.48gb: 1", "2g.48gb", 3), "fleet.yaml:{replicas: 3} 3 instances of 2g.48gb are asked of the node pool 'inference', which has 2"),
            Case(mixed("2g.48gb: 2", "2g.48gb", 5), "fleet.yaml:{replicas: 5} 5 instances of 2g.48gb are asked of the node pool 'inference', which has 4"),
        ],
        near=[mixed("2g.48gb: 1", "2g.48gb", 2), mixed("2g.48gb: 2", "2g.48gb", 4), single("2g.48gb: 2")],
    ),
    "GPU011": Cases(
        fires=[
            Case(shared("sharing: time-slicing, operator: {devicePlugin: true}"), "fleet.yaml:{sharing: time-slicing} into how many time slices"),
            Case(shared("sharing: none, timeSlices: 2"), "fleet.yaml:{timeSlices} a GPU with 'sharing: none' has no time slices"),
        ],
        near=[shared(SLICED, HALF), shared("sharing: none")],
    ),
    "GPU012": Cases(
        fires=[Case(shared(f"{SLICED}, {KAI % 'false'}", f"queue: chat; {HALF}"), "fleet.yaml:{sharing: time-slicing} KAI counts every time slice as a whole GPU")],
        near=[shared(SLICED, HALF), shared(FRACTION, HALVES)],
    ),
    "GPU013": Cases(
        fires=[
            Case(shared(SLICED, HALF, gpus=2), "fleet.yaml:{gpus: 2} chat takes 2 GPUs a replica; a model can't be spread over more than one time slice",
                 also=("INF001",)),
            Case(shared(FRACTION, HALVES, gpus=2), "fleet.yaml:{gpus: 2} chat takes 2 GPUs a replica; a model can't be spread over more than one fraction of a GPU",
                 also=("INF001",)),
            Case({FLEET: [*mig("{profiles: {2g.48gb: 2}}")[FLEET], ("        gpus: 1\n        replicas: 2\n", "        gpus: 2\n        replicas: 2\n")]},
                 "fleet.yaml:{gpus: 2} chat takes 2 GPUs a replica; a model can't be spread over more than one MIG instance", also=("INF001",)),
        ],
        near=[shared(SLICED, HALF), shared(FRACTION, HALVES), shared(FRACTION, "queue: chat", gpus=2), single("2g.48gb: 2")],
    ),
    "GPU014": Cases(
        fires=[
            Case(shared("sharing: none", "gpuFraction: 0.5"), "fleet.yaml:{gpuFraction} chat takes 0.5 of a GPU at a site with 'sharing: none'"),
            Case(shared(SLICED, "gpuFraction: 0.5; " + HALF), "fleet.yaml:{gpuFraction} chat takes 0.5 of a GPU at a site with 'sharing: time-slicing'", also=("INF001",)),
            Case({FLEET: [("      accelerator: cpu\n", "      accelerator: cpu\n      gpuFraction: 0.5\n")]},
                 ("fleet.yaml:{gpuFraction} chat runs on cpu and takes no GPU", "fleet.yaml:{gpuFraction} chat takes 0.5 of a GPU"), also=("INF001",)),
        ],
        near=[shared(FRACTION, HALVES), shared("sharing: none")],
    ),
    "GPU015": Cases(
        fires=[
            Case(shared("sharing: fraction", f"gpuFraction: 0.5; {HALF}"), "fleet.yaml:{sharing: fraction} fractions of a GPU are KAI's, and the site has no KAI"),
            Case(shared(f"sharing: fraction, {KAI % 'false'}", HALVES), "fleet.yaml:{gpuSharing} KAI refuses every fraction of a GPU"),
        ],
        near=[shared(FRACTION, HALVES), shared("sharing: none")],
    ),
    "GPU016": Cases(
        fires=[
            Case(shared(FRACTION, "queue: chat; gpuFraction: 0.5; gpuMemoryUtilization: 0.51"),
                 "fleet.yaml:{gpuMemoryUtilization} chat takes 51% of a GPU's memory; its share is 50%", help="at most 'gpuMemoryUtilization: 0.5'"),
            Case(shared(FRACTION, "queue: chat; gpuFraction: 0.5"), "fleet.yaml:{gpu: true > chat:} chat takes 90% of a GPU's memory; its share is 50%"),
            Case(shared(SLICED.replace("2", "3"), "gpuMemoryUtilization: 0.34"), "fleet.yaml:{gpuMemoryUtilization} chat takes 34% of a GPU's memory; its share is 33%",
                 help="at most 'gpuMemoryUtilization: 0.33'"),
            *(Case(shared(FRACTION, f"queue: chat; gpuFraction: {fraction}"), "fleet.yaml:{gpu: true > chat:} chat takes 90% of a GPU's memory; its share is", help=fix, also=("INF001",))
              for fraction, fix in ((0.29, "at most 'gpuMemoryUtilization: 0.29'"), (0.005, "a larger 'gpuFraction'"))),
        ],
        near=[shared(FRACTION, HALVES), shared(SLICED.replace("2", "3"), "gpuMemoryUtilization: 0.33"), shared("sharing: none", "gpuMemoryUtilization: 0.51")],
    ),
    "GPU017": Cases(
        fires=[
            Case(shared("sharing: none, operator: {driver: true}"), "fleet.yaml:{driver: true} the GPU operator's driver does not load on AKS Arc"),
            Case(shared("sharing: none, operator: {devicePlugin: true}"), "fleet.yaml:{devicePlugin} AKS Arc runs a device plugin already"),
        ],
        near=[shared("sharing: none, operator: {driver: false}"), shared(SLICED, HALF), single("2g.48gb: 2")],
    ),
    "GPU018": Cases(
        fires=[
            Case(shared("sharing: time-slicing, timeSlices: 2", HALF), "fleet.yaml:{sharing: time-slicing} 'sharing: time-slicing' is done by the GPU operator's device plugin"),
            Case(shared(SLICED.replace("true", "false"), HALF), "fleet.yaml:{devicePlugin} time slices are configured in the GPU operator's device plugin, which is off"),
            Case({FLEET: [(old, new.replace(", devicePlugin: true", "")) for old, new in single("2g.48gb: 2")[FLEET]]},
                 "fleet.yaml:{version: v26.7.0} the MIG strategy is configured in the GPU operator's device plugin, which is off"),
            Case({FLEET: [(old, new.replace(", operator: {version: v26.7.0, devicePlugin: true}", "")) for old, new in single("2g.48gb: 2")[FLEET]]},
                 "fleet.yaml:{sharing: mig} 'sharing: mig' is done by the GPU operator's MIG manager and device plugin"),
        ],
        near=[shared(SLICED, HALF), single("2g.48gb: 2")],
    ),
    "GPU019": Cases(
        fires=[Case(shared("sharing: none, operator: {version: v26.7.1}"), "fleet.yaml:{v26.7.1} v26.7.1 is no version of the GPU operator", help="did you mean 'v26.7.0'")],
        near=[shared("sharing: none, operator: {version: v26.3.3}"), shared("sharing: none, operator: {version: v25.10.1}")],
    ),
    "GPU020": Cases(
        fires=[
            Case(shared(SLICED, HALF, more=f"{HALF}\n        trustDomain: partners", replicas=1),
                 "fleet.yaml:{trustDomain} write of the trust domain 'partners' may share a GPU with chat of 'default'"),
            Case(shared(FRACTION, HALVES, more="queue: chat\n        gpuFraction: 0.3\n        gpuMemoryUtilization: 0.3\n        trustDomain: partners", replicas=1),
                 "fleet.yaml:{trustDomain} write of the trust domain 'partners'"),
        ],
        near=[
            shared(SLICED, HALF, more=f"{HALF}\n        trustDomain: default", replicas=1),
            shared("sharing: none", more="trustDomain: partners", replicas=1),
            shared(FRACTION, HALVES, more="queue: chat\n        trustDomain: partners", replicas=1),  # a card of its own
        ],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
