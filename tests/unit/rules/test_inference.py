"""Rules about served models. Graz serves phi-4-mini in fp16 from two VMs with one L4, the others int4 on CPU.

By gpu-facts 6.1 its weights take 7.29 GiB in fp16 and 1.93 GiB in int4, a token's cache 128 KiB, and an L4
leaves 20.16 GiB. The numbers of tokens below are the last that fit and the first that do not.
"""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

POOL = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
GPUS = "        gpus: 1\n        replicas: 2\n"
TOKENS = "        contextTokens: 8192\n        slo"
CPU_TOKENS = "      contextTokens: 4096\n"
CPU_POOL = "inference: {vmSize: Standard_D8s_v3, count: 1}"
SLO = "slo: {p95Ms: 20000, concurrentSessions: 2, queueDelayMs: 5000}"
GPU_IMAGE = "registry.factory.example/inference/vllm-gateway:0.9.2@sha256:4dc26c52fe5ac20681b1e35d01b40935675d425145a7a1d00e360729ce7b02a2"
SECOND = f"""      write:
        runtime: vllm
        model: phi-4-mini
        image: {GPU_IMAGE}
        accelerator: gpu
        gpus: 1
        nodePool: inference
        slo: {{p95Ms: 4000, concurrentSessions: 1}}
"""
CPU_SECOND = SECOND.replace("vllm\n", "foundry-local\n").replace(
    "accelerator: gpu\n        gpus: 1", "accelerator: cpu"
)


def tokens(number: int, more: str = "") -> tuple[str, str]:
    """Another length of contexts on GPU."""
    return (TOKENS, f"        contextTokens: {number}\n{more}        slo")


def gpus(number: int, replicas: int) -> tuple[str, str]:
    """Other GPUs a replica, and replicas."""
    return (GPUS, f"        gpus: {number}\n        replicas: {replicas}\n")


def pool(size: str, count: int) -> tuple[str, str]:
    """Another pool of GPU VMs."""
    return (POOL, f"inference: {{vmSize: {size}, count: {count}, gpu: true}}")


def turin(text: str) -> Edits:
    """What Turin says about its inference."""
    return {TURIN: [("", f"inference: {{chat: {{{text}}}}}\n")]}


def turin_cpu(precision: str, context: int, size: str = "Standard_D8s_v3") -> Edits:
    """Turin's precision and contexts, for two sessions, on a VM of this size."""
    edits = [("", f"inference: {{chat: {{precision: {precision}, contextTokens: {context}}}}}\n")]
    return {TURIN: edits, FLEET: [(CPU_POOL, CPU_POOL.replace("Standard_D8s_v3", size))]}


def graz(chat: str, gpu: str = "", more: Edits | None = None) -> Edits:
    """What Graz says about its inference, and about its GPUs, with all images mirrored that this needs."""
    text = f"inference: {{chat: {{{chat}}}}}\n" + (f"gpu: {{{gpu}}}\n" if gpu else "")
    hosts = "{host: nvcr.io}, {host: registry.k8s.io}, {host: ghcr.io}"
    return {GRAZ: [("", text), ("registry: {", f"registry: {{upstreams: [{hosts}], ")], **(more or {})}


SLICED = "sharing: time-slicing, timeSlices: 2, operator: {devicePlugin: true}"
HALF = "precision: int4, gpuMemoryUtilization: 0.5"
FRACTION = "sharing: fraction, kai: {gpuSharing: true, queues: {chat: {gpuQuota: 2, cpuQuota: -1, memoryQuotaMb: -1}}}"
MIG: Edits = {
    FLEET: [
        ("component: gpu-l4", "component: gpu-rtx6000pro"),
        (
            POOL,
            "inference: {vmSize: Standard_NC16_RTX6000Pro_1, count: 2, gpu: true, mig: {profiles: {2g.48gb: 2}}}",
        ),
    ]
}
CUT = "model: RTX6000Pro, sharing: mig, operator: {version: v26.7.0, devicePlugin: true}"
WIDE = ("perNode: 2", "perNode: 4")
"""So many GPUs that a VM with two leaves two for upgrades (GPU003)."""
PACKAGE = """packages:
  phi:
    model: phi-4-mini
    precision: fp16
    artifact: registry.factory.example/models/phi-4-mini@sha256:3c7e0f4a9d1b5e6f8a2c4d6e8f0a1b3c5d7e9f1a2b4c6d8e0f2a3b5c7d9e1f3a
    sizeGib: 9
    source: microsoft/Phi-4-mini-instruct
    licence: MIT
    quality: https://reports.factory.example/phi
"""


def cache(gib: int, more: str = "") -> Edits:
    """A cache of this size, and a package of 9 GiB that Graz serves."""
    return graz("package: phi", more={
        FLEET: [("profiles:\n", PACKAGE + "profiles:\n"), ("modelCache: {storageGib: 200}", f"modelCache: {{storageGib: {gib}{more}}}")],
    })  # fmt: skip


CASES = {
    "INF001": Cases(
        fires=[
            Case({FLEET: [("      model: phi-4-mini", "      model: phi-5")]}, "fleet.yaml:{phi-5} there is no model 'phi-5'", help="did you mean"),
            Case({FLEET: [("      nodePool: inference\n", "      nodePool: inferences\n")]}, "fleet.yaml:{inferences} there is no node pool 'inferences'",
                 help="did you mean 'inference'"),
            # phi-4 was made for 16,384 tokens; a model's own number is the last that is right
            Case(turin("model: phi-4, contextTokens: 16385"), "sites/turin.yaml:1 phi-4 was made for 16384 tokens, not 16385",
                 help="at most 'contextTokens: 16384'"),
            Case({FLEET: [(GPUS, "        gpus: 0\n        replicas: 2\n")]}, "fleet.yaml:{accelerator: gpu} chat runs on GPUs but takes none"),
            Case({FLEET: [(GPUS, GPUS + "        nodePool: agents\n")]}, "fleet.yaml:{nodePool: agents} the node pool 'agents' has no GPU for chat"),
            Case({FLEET: [gpus(2, 1)]}, "fleet.yaml:{gpus: 2} chat takes 2 GPUs a replica; a Standard_NC16_L4_1 has 1", help="at most 'gpus: 1'"),
            Case({FLEET: [gpus(3, 1), pool("Standard_NC16_L4_2", 2), WIDE]}, "fleet.yaml:{gpus: 3} chat takes 3 GPUs a replica; a Standard_NC16_L4_2 has 2",
                 also=("INF017",)),
            # a copy on each GPU
            Case({FLEET: [gpus(2, 1), pool("Standard_NC16_L4_2", 1), tokens(2048, "        model: phi-4\n        tensorParallel: 1\n"), ("        precision: fp16\n", "        precision: int8\n"), WIDE]},
                 "fleet.yaml:{gpu-cluster: > model: phi-4} phi-4 in int8 does not fit: 20.9 GiB a GPU of 20.2", help="'tensorParallel: 2' fits"),
            # the memory of one GPU: weights, sessions of a replica, overhead
            Case({FLEET: [("concurrentSessions: 16", "concurrentSessions: 21")]},
                 "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit: 21.0 GiB a GPU of 20.2 usable on L4", help="'precision: int8' fits"),
            Case({FLEET: [tokens(10448)]}, "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit: 20.2 GiB"),
            Case({FLEET: [gpus(2, 2), pool("Standard_NC16_L4_2", 2), tokens(28737), WIDE]}, "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit"),
            Case({FLEET: [("        precision: fp16\n", "        precision: int8\n"), tokens(14180)]}, "fleet.yaml:{model: phi-4-mini} phi-4-mini in int8 does not fit",
                 help="'precision: int4' fits"),
            Case({FLEET: [("        precision: fp16\n", "        precision: int4\n"), tokens(16300)]}, "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 does not fit",
                 help="'contextTokens: 8150' fits, or fewer concurrent sessions"),
            Case({FLEET: [("        precision: fp16\n", "        precision: int4\n"), tokens(40000)]}, "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 does not fit",
                 help="'contextTokens: 10000' fits"),
            # contexts of less than 1,024 tokens are no advice
            Case({FLEET: [("        precision: fp16\n", "        precision: int4\n"), ("concurrentSessions: 16", "concurrentSessions: 192"), tokens(2048)]},
                 "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 does not fit", help="'contextTokens: 1024' fits"),
            Case({FLEET: [("        precision: fp16\n", "        precision: int4\n"), ("concurrentSessions: 16", "concurrentSessions: 192"), tokens(2046)]},
                 "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 does not fit", help="choose a smaller model or a larger GPU"),
            Case({FLEET: [tokens(8192, "        model: phi-4\n")]}, "fleet.yaml:{gpu-cluster: > model: phi-4} phi-4 in fp16 does not fit: 44.0 GiB a GPU of 20.2 usable on L4",
                 help="choose a smaller model or a larger GPU"),
            # what is pinned, what vLLM may take, and the part of a card that a replica has
            Case(graz("pinnedGib: 2.3"), "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit: 20.3 GiB a GPU of 20.2"),
            Case(graz("gpuMemoryUtilization: 0.74"), "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit: 18.0 GiB a GPU of 17.8"),
            Case(graz(f"{HALF}, contextTokens: 5900", SLICED), "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 does not fit: 10.1 GiB a GPU of 10.1 usable on 50% of L4"),
            Case(graz(f"{HALF}, contextTokens: 5900, queue: chat, gpuFraction: 0.5", FRACTION),
                 "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 does not fit: 10.1 GiB a GPU of 10.1 usable on 50% of L4"),
            Case(graz("pinnedGib: 2.3", CUT, MIG), "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit: 20.3 GiB a GPU of 20.2 usable on 2g.48gb of RTX6000Pro"),
            # a quarter of the 48 GiB of Microsoft's table, whatever the profile's name says
            Case(graz("contextTokens: 2048", CUT, {FLEET: [(old, new.replace("2g.48gb: 2", "1g.24gb: 4")) for old, new in MIG[FLEET]]}),
                 "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 does not fit: 12.0 GiB a GPU of 10.1 usable on 1g.24gb of RTX6000Pro"),
        ],
        near=[
            graz("pinnedGib: 2.1"), graz("gpuMemoryUtilization: 0.75"), graz(f"{HALF}, contextTokens: 5880", SLICED),
            graz(f"{HALF}, contextTokens: 5880, queue: chat, gpuFraction: 0.5", FRACTION), graz("pinnedGib: 2.1", CUT, MIG),
            turin("model: phi-4, contextTokens: 16384"),
            {FLEET: [gpus(2, 2), pool("Standard_NC16_L4_2", 2)]},
            # eight sessions a GPU, as of two replicas with one GPU each
            {FLEET: [gpus(2, 1), pool("Standard_NC16_L4_2", 1), tokens(10446, "        tensorParallel: 1\n")]},
            {FLEET: [("concurrentSessions: 16", "concurrentSessions: 20")]},
            {FLEET: [tokens(10446)]},
            {FLEET: [gpus(2, 2), pool("Standard_NC16_L4_2", 2), tokens(28735)]},
            {FLEET: [(GPUS, "        gpus: 0\n        replicas: 2\n"), ("accelerator: gpu", "accelerator: cpu")]},  # INF002 knows of vLLM on CPU
        ],
    ),
    "INF002": Cases(
        fires=[Case({FLEET: [("runtime: foundry-local\n", "runtime: vllm\n")]}, "fleet.yaml:{defaults: > runtime: vllm} vLLM is served from GPUs only here",
                    also=("GOV002",), help="'runtime: foundry-local'"),
               Case(turin("gpus: 1"), "sites/turin.yaml:1 chat runs on CPU and takes 1 GPUs", help="'gpus: 0'")],
        near=[{FLEET: [("runtime: foundry-local\n", "runtime: foundry-local-azure-local\n")]},
              {FLEET: [("runtime: vllm\n", "runtime: foundry-local\n")]},
              turin("gpus: 0")],
    ),
    "INF003": Cases(
        fires=[
            Case({FLEET: [gpus(1, 3)]}, "fleet.yaml:{replicas: 3} 3 GPUs are asked of the node pool 'inference', which has 2"),
            Case({FLEET: [gpus(2, 3), pool("Standard_NC16_L4_2", 2), WIDE]}, "fleet.yaml:{replicas: 3} 6 GPUs are asked of the node pool 'inference', which has 4"),
            Case({FLEET: [("    registry: {storageGib: 500}\n", SECOND.replace("gpus: 1", "gpus: 1\n        replicas: 1") + "    registry: {storageGib: 500}\n")]},
                 "fleet.yaml:{write: > replicas: 1} 3 GPUs are asked of the node pool 'inference', which has 2"),
            # shares of a card: two slices each, halves, four instances
            Case(graz(f"{HALF}, contextTokens: 4096, replicas: 5", SLICED), "sites/graz.yaml:1 5 GPUs are asked of the node pool 'inference', which has 4"),
            Case(graz("replicas: 5", CUT, MIG), "sites/graz.yaml:1 5 GPUs are asked of the node pool 'inference', which has 4"),
            # a fraction is of one card, and together they are 0.96 of it
            *(Case(graz(f"precision: int4, gpuMemoryUtilization: 0.48, contextTokens: 4096, replicas: {replicas}, queue: chat, preemptible: true, gpuFraction: {fraction}", FRACTION),
                   "sites/graz.yaml:1 3 GPUs are asked of the node pool 'inference', which has 2: fractions of a card are 0.96 of it together at most")
              for replicas, fraction in ((3, 0.6), (3, 0.5), (5, 0.48))),
            Case({FLEET: [gpus(1, 4), (POOL, POOL.replace("}", ", autoscale: {minCount: 2, maxCount: 3}}"))]},
                 "fleet.yaml:{replicas: 4} 4 GPUs are asked of the node pool 'inference', which has 3"),
            # what runs on CPU beside it asks for none
            Case({FLEET: [gpus(1, 3), ("    registry: {storageGib: 500}\n", CPU_SECOND + "    registry: {storageGib: 500}\n")]},
                 "fleet.yaml:{replicas: 3} 3 GPUs are asked of the node pool 'inference', which has 2"),
        ],
        near=[
            graz(f"{HALF}, replicas: 4", SLICED), graz(f"{HALF}, replicas: 4, queue: chat, gpuFraction: 0.48", FRACTION), graz("replicas: 4", CUT, MIG),
            graz(f"{HALF}, replicas: 6, queue: chat, gpuFraction: 0.32", FRACTION), graz(f"{HALF}, replicas: 2, queue: chat, gpuFraction: 0.6", FRACTION),
            {FLEET: [gpus(1, 3), (POOL, POOL.replace("}", ", autoscale: {minCount: 2, maxCount: 3}}"))]},
            {FLEET: [gpus(1, 3), pool("Standard_NC16_L4_1", 3)]},
            {FLEET: [gpus(2, 2), pool("Standard_NC16_L4_2", 2)]},
            {FLEET: [("    registry: {storageGib: 500}\n", SECOND + "    registry: {storageGib: 500}\n"), pool("Standard_NC16_L4_1", 3)]},
            {FLEET: [gpus(1, 3), pool("Standard_D8s_v3", 2)]},  # that the pool has no GPUs at all says GPU001
        ],
    ),
    "INF004": Cases(
        fires=[
            Case(turin_cpu("int4", 57625), "fleet.yaml:{model: phi-4-mini} phi-4-mini in int4 takes 16.0 GiB; half of a Standard_D8s_v3 is 16"),
            Case(turin_cpu("fp16", 35672), "fleet.yaml:{model: phi-4-mini} phi-4-mini in fp16 takes 16.0 GiB; half of a Standard_D8s_v3 is 16"),
            Case(turin_cpu("int8", 49720), "fleet.yaml:{model: phi-4-mini} phi-4-mini in int8 takes 16.0 GiB; half of a Standard_D8s_v3 is 16"),
        ],
        near=[turin_cpu("int4", 57610), turin_cpu("fp16", 35660), turin_cpu("int8", 49700), turin_cpu("int4", 57625, "Standard_D16s_v3"),
              # a limit of one's own is looked at by INF014 and INF015
              {**turin_cpu("int4", 57625), TURIN: [(o, n.replace("{chat: {", "{chat: {memoryGib: 17, ")) for o, n in turin_cpu("int4", 57625)[TURIN]]},
              # on GPU the node's memory is not asked
              {FLEET: [tokens(35672)]}],
    ),
    "INF005": Cases(
        fires=[Case({FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 14}")]},
                    "fleet.yaml:{storageGib: 14} the site's models take 14 GiB in 2 versions each; the cache has 14", help="at least 'storageGib: 15'"),
               Case({FLEET: [("modelCache: {storageGib: 100}", "modelCache: {storageGib: 3}")]},
                    "fleet.yaml:{storageGib: 3}} the site's models take 4 GiB in 2 versions each; the cache has 3", help="at least 'storageGib: 4'"),
               Case({FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 68}"), ("    registry: {storageGib: 500}\n", SECOND.replace("phi-4-mini", "phi-4") + "    registry: {storageGib: 500}\n")]},
                    "fleet.yaml:{storageGib: 68} the site's models take 69 GiB", also=("INF001", "INF003")),
               # a package counts as it was measured, in each version that is kept
               Case(cache(17), "fleet.yaml:{storageGib: 17} the site's models take 18 GiB in 2 versions each"),
               Case(cache(26, ", keepVersions: 3"), "fleet.yaml:{storageGib: 26} the site's models take 27 GiB in 3 versions each")],
        near=[{FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 15}")]},
              cache(18), cache(27, ", keepVersions: 3"),
              {FLEET: [("modelCache: {storageGib: 100}", "modelCache: {storageGib: 4}")]},
              {FLEET: [("    modelCache: {storageGib: 100}\n", "")]},
              # two deployments of one model, one copy of it
              {FLEET: [("modelCache: {storageGib: 200}", "modelCache: {storageGib: 15}"), ("    registry: {storageGib: 500}\n", SECOND + "    registry: {storageGib: 500}\n")]}],
    ),
    "INF006": Cases(
        fires=[Case({FLEET: [("timeoutSeconds: 30", "timeoutSeconds: 24")]},
                    "fleet.yaml:{timeoutSeconds: 24} 'maf-agent-api' gives up after 24 s; 'chat' may take 25 s by its own promise", help="at least 'timeoutSeconds: 25'"),
               Case({FLEET: [(SLO, SLO.replace("5000", "10001"))]}, "fleet.yaml:{timeoutSeconds: 30} 'maf-agent-api' gives up after 30 s", help="at least 'timeoutSeconds: 31'"),
               # with two more tries, and a caller who gives up
               *(Case({FLEET: [("timeoutSeconds: 30", f"timeoutSeconds: 24, deadlineSeconds: {deadline}")]}, "fleet.yaml:{timeoutSeconds: 24} 'maf-agent-api' gives up after 24 s", help=fix)
                 for deadline, fix in ((75, "at least 'timeoutSeconds: 25'"), (74, "at least 'timeoutSeconds: 25', with 'deadlineSeconds: 75' or 'maxRetries: 1'"))),
               Case({FLEET: [(SLO, SLO.replace("20000", "600000"))]}, "fleet.yaml:{timeoutSeconds: 30} 'maf-agent-api' gives up after 30 s", help="a promise of 600 s at most"),
               Case({FLEET: [(SLO, SLO.replace("20000", "25001"))]}, "fleet.yaml:{timeoutSeconds: 30} 'maf-agent-api' gives up after 30 s")],
        near=[{FLEET: [("timeoutSeconds: 30", "timeoutSeconds: 25")]},
              {FLEET: [(SLO, SLO.replace("5000", "10000"))]},
              {FLEET: [(SLO, SLO.replace("20000", "25000"))]},
              {FLEET: [("timeoutSeconds: 30", "timeoutSeconds: 24"), ("      inference: chat\n", "      inference: talk\n")]}],  # AGT001
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
