"""Rules about runtimes, and about how a deployment is sized and made safe.

Graz serves phi-4-mini in fp16 by vLLM from two VMs with one L4; Turin and Narvik int4 on a Standard_D8s_v3.
"""

from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, Edits, rule_tests

POOL = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"
CPU_POOL = "inference: {vmSize: Standard_D8s_v3, count: 1}"
GPUS = "        gpus: 1\n        replicas: 2\n"
RUNTIME = "        runtime: vllm\n"
DIGEST = "3c7e0f4a9d1b5e6f8a2c4d6e8f0a1b3c5d7e9f1a2b4c6d8e0f2a3b5c7d9e1f3a"
PACKAGE = """packages:
  {name}:
    model: phi-4-mini
    precision: {precision}
    artifact: registry.factory.example/models/phi-4-mini@sha256:{digest}
    sizeGib: {size}
    source: microsoft/Phi-4-mini-instruct
    licence: MIT
    quality: https://reports.factory.example/phi-4-mini
    {more}
"""
ONNX = PACKAGE.format(
    name="phi-cpu",
    precision="int4",
    digest=DIGEST,
    size=2.6,
    more="executionProvider: cpu\n    onnxRuntime: 1.22.0",
)
TWO = (
    PACKAGE.format(name="phi-16", precision="fp16", digest=DIGEST, size=7.2, more="")
    + PACKAGE.format(name="phi-8", precision="int8", digest=DIGEST, size=4.1, more="").partition("\n")[2]
)
SECOND = """  write:
    runtime: vllm
    model: phi-4-mini
    precision: int4
    image: registry.factory.example/inference/vllm-gateway:0.9.2@sha256:4dc26c52fe5ac20681b1e35d01b40935675d425145a7a1d00e360729ce7b02a2
    accelerator: gpu
    gpus: 1
    nodePool: inference
    slo: {p95Ms: 4000, concurrentSessions: 4}
"""


def turin(text: str, more: str = "") -> Edits:
    """What Turin says about its deployment, and about itself."""
    return {TURIN: [("", f"inference: {{chat: {{{text}}}}}\n{more}")]}


def graz(text: str, more: str = "") -> Edits:
    """What Graz says about its deployment, and about itself."""
    return {GRAZ: [("", f"inference: {{chat: {{{text}}}}}\n{more}")]}


def both(chat: str, write: str = "") -> Edits:
    """Graz with a second deployment on its second GPU."""
    return {
        GRAZ: [
            (
                "",
                f"inference:\n  chat: {{replicas: 1, contextTokens: 4096, {chat}}}\n{SECOND}"
                + (f"    {write}\n" if write else ""),
            )
        ]
    }


def size(vm: str, count: int, edits: Edits, pool: str = POOL) -> Edits:
    """The same with another pool."""
    return {
        **edits,
        FLEET: [
            (
                pool,
                pool.replace(pool.split("vmSize: ")[1].split(",")[0], vm).replace(
                    "count: 2", f"count: {count}"
                ),
            ),
            *edits.get(FLEET, ()),
        ],
    }


def heads(number: int, gpus: int, more: str = "") -> Edits:
    """A model with so many key and value heads on a VM with two GPUs."""
    card = f"models:\n  small: {{weightsGib: 7.2, layers: 32, kvHeads: {number}, headDim: 64, contextTokens: 8192, source: ours}}\n"
    edits = graz(f"model: small, gpus: {gpus}, replicas: 1, contextTokens: 4096{more}", "gpu: {perNode: 4}\n")
    return size("Standard_NC16_L4_2", 2, {**edits, FLEET: [("profiles:\n", card + "profiles:\n")]})


def canary(package: str, replicas: int, served: str = "phi-16", pool: str = "Standard_NC16_L4_1") -> Edits:
    """Graz with a package and a canary of another."""
    edits = graz(
        f"package: {served}, replicas: {replicas}, contextTokens: 4096, canary: {{package: {package}}}"
    )
    return size(pool, 2, {**edits, FLEET: [("profiles:\n", TWO + "profiles:\n")]})


def fallback(chat: str, write: str = "none", privacy: str = "restricted") -> Edits:
    """Two deployments and where they fall back to."""
    return both(f"fallback: {{{chat}}}", f"fallback: {{to: {write}}}\n    privacy: {privacy}")


WINDOWS = (CPU_POOL, CPU_POOL.replace("}", ", os: windows}"))

CASES = {
    "INF034": Cases(
        fires=[
            Case(turin("replicas: 2"), "sites/turin.yaml:1 2 replicas on CPU are in the node pool 'inference', which has 1 node"),
            Case({FLEET: [(CPU_POOL, "inference: {vmSize: Standard_D8s_v3, count: 2}")], **turin("replicas: 3")},
                 "sites/turin.yaml:1 3 replicas on CPU are in the node pool 'inference', which has 2 nodes"),
        ],
        near=[
            {FLEET: [(CPU_POOL, "inference: {vmSize: Standard_D8s_v3, count: 2}")], **turin("replicas: 2")},
            {FLEET: [(CPU_POOL, "inference: {vmSize: Standard_D8s_v3, count: 1, autoscale: {minCount: 1, maxCount: 2}}")], **turin("replicas: 2")},
            turin("replicas: 2, memoryGib: 13"),
        ],
    ),
    "INF007": Cases(
        fires=[
            Case(turin("modality: embedding"), "sites/turin.yaml:1 foundry-local does not serve embedding", help="'accelerator: gpu' with 'runtime: vllm', or one of chat, speech"),
            Case(graz("runtime: foundry-local-azure-local, modality: embedding", "governance: {preview: [{component: foundry-local-azure-local, by: platform-team, date: '2026-09-01'}, {component: gpu-l4, by: platform-team, date: '2026-09-01'}]}\n"),
                 "sites/graz.yaml:1 foundry-local-azure-local does not serve embedding", help="'runtime: vllm', or one of chat, speech"),
        ],
        near=[turin("modality: speech"), graz("modality: embedding")],
    ),
    "INF008": Cases(
        fires=[
            Case(turin("executionProvider: cuda"), "sites/turin.yaml:1 the execution provider cuda does not run on cpu", help="one of cpu, openvino"),
            Case(graz("executionProvider: cuda"), "sites/graz.yaml:1 vllm has no execution provider"),
            Case(graz("executionProvider: openvino, runtime: foundry-local"), "sites/graz.yaml:1 the execution provider openvino does not run on gpu", help="one of cuda"),
        ],
        near=[turin("executionProvider: openvino"), graz("executionProvider: cuda, runtime: foundry-local"),
              turin("accelerator: npu, executionProvider: cuda")],  # what to type instead says INF010
    ),
    "INF009": Cases(
        fires=[Case(graz("executionProvider: directml, runtime: foundry-local"), "sites/graz.yaml:1 the execution provider directml is for windows; the node pool 'inference' runs linux")],
        near=[graz("executionProvider: cuda, runtime: foundry-local"), {**turin("executionProvider: cpu"), FLEET: [WINDOWS]}],
    ),
    "INF010": Cases(
        fires=[Case(turin("accelerator: npu"), "sites/turin.yaml:1 AKS on Azure Local has no VM size with an NPU")],
        near=[turin("accelerator: cpu")],
    ),
    "INF011": Cases(
        fires=[Case({**turin("runtime: foundry-local-azure-local", "governance: {preview: [{component: foundry-local-azure-local, by: platform-team, date: '2026-09-01'}]}\n"), FLEET: [("version: 1.30.4", "version: 1.28.12")]},
                    "sites/turin.yaml:1 foundry-local-azure-local needs Kubernetes 1.29; the cluster has 1.28.12")],
        near=[{**turin("runtime: foundry-local-azure-local"), FLEET: [("version: 1.30.4", "version: 1.29.0")]}, {**turin("runtime: foundry-local"), FLEET: [("version: 1.30.4", "version: 1.28.12")]}],
    ),
    "INF012": Cases(
        fires=[
            Case(turin("runtimeVersion: 0.5.1"), "sites/turin.yaml:1 foundry-local 0.5.1 hangs on streamed answers"),
            Case({**turin("runtimeVersion: 0.8.116, package: phi-cpu"), FLEET: [("profiles:\n", ONNX + "profiles:\n")]},
                 "sites/turin.yaml:1 foundry-local 0.8.116 serves no model packages of one's own", help="'runtimeVersion: 0.8.117'"),
        ],
        near=[
            {**turin("runtimeVersion: 0.8.117, package: phi-cpu"), FLEET: [("profiles:\n", ONNX + "profiles:\n")]},
            turin("runtimeVersion: 0.8.116"), turin("runtimeVersion: 0.6.0"), graz("runtimeVersion: 0.5.1"),
        ],
    ),
    "INF013": Cases(
        fires=[
            Case(graz("maxOutputTokens: 8192"), "sites/graz.yaml:1 an answer of 8192 tokens leaves no room for a prompt in a context of 8192"),
            Case(graz("contextTokens: 1024"), "sites/graz.yaml:1 an answer of 1024 tokens leaves no room"),
        ],
        near=[graz("maxOutputTokens: 8191"), graz("contextTokens: 1025"), graz("contextTokens: 512, modality: embedding")],
    ),
    "INF014": Cases(
        fires=[
            Case(turin("memoryGib: 28.5"), "sites/turin.yaml:1 chat takes 28.5 GiB; a Standard_D8s_v3 has 28 for pods", help="at most 'memoryGib: 28'"),
            Case(turin("memoryGib: 14.5, replicas: 2"), "sites/turin.yaml:1 29 GiB are asked of the node pool 'inference', which has 28 for pods"),
        ],
        near=[turin("memoryGib: 28"), turin("memoryGib: 14, replicas: 2"),
              {FLEET: [(CPU_POOL, CPU_POOL.replace("}", ", autoscale: {minCount: 1, maxCount: 2}}"))], **turin("memoryGib: 14.5, replicas: 2")}],
    ),
    "INF015": Cases(  # weights of 1.93 GiB and 2 sessions of 0.5
        fires=[Case(turin("memoryGib: 2.9"), "sites/turin.yaml:1 phi-4-mini in int4 takes 2.9 GiB with its sessions; the limit is 2.9", help="at least 'memoryGib: 3.0'")],
        near=[turin("memoryGib: 3"), graz("memoryGib: 2.9")],
    ),
    "INF016": Cases(
        fires=[
            Case(graz("tensorParallel: 2"), "sites/graz.yaml:1 copies over 2 GPUs can't be made of the 1 that a replica has", help="'tensorParallel: 1'"),
            Case(turin("tensorParallel: 2"), "sites/turin.yaml:1 copies over 2 GPUs can't be made of the 0 that a replica has"),
        ],
        near=[graz("tensorParallel: 1"), heads(8, 2, ", tensorParallel: 2"), heads(8, 2, ", tensorParallel: 1")],
    ),
    "INF017": Cases(
        fires=[
            Case(heads(5, 2), "sites/graz.yaml:1 the 5 key and value heads of small can't be spread over 2 GPUs", help="'gpus: 1'"),
            Case(heads(5, 2, ", tensorParallel: 2"), "sites/graz.yaml:1 the 5 key and value heads of small can't be spread over 2 GPUs", help="'tensorParallel: 1'"),
        ],
        near=[heads(4, 2), heads(5, 2, ", tensorParallel: 1"), heads(1, 2)],
    ),
    "INF018": Cases(
        fires=[Case(canary("phi-16", 1), "sites/graz.yaml:1 the canary of chat is the package 'phi-16' that it serves already", also=("MOD014",))],
        near=[canary("phi-8", 1)],
    ),
    "INF019": Cases(
        fires=[Case(canary("phi-8", 2), "sites/graz.yaml:1 the canary of chat takes 1 more GPUs; the node pool 'inference' has 0 left of 2")],
        near=[{**canary("phi-8", 2), FLEET: [(POOL, POOL.replace("}", ", autoscale: {minCount: 2, maxCount: 3}}")), *canary("phi-8", 2)[FLEET][1:]]},
              canary("phi-8", 1), canary("phi-8", 2, pool="Standard_NC16_L4_2"), canary("phi-8", 3)],
    ),
    "INF020": Cases(
        fires=[
            Case(fallback("to: deployment, deployment: wrote"), "sites/graz.yaml:2 chat falls back to 'wrote', which the site does not have", help="did you mean 'write'"),
            Case(fallback("to: deployment"), "sites/graz.yaml:2 chat falls back to no deployment in particular"),
            Case(fallback("to: human, deployment: write"), "sites/graz.yaml:2 chat names the deployment 'write' and falls back to 'human'"),
        ],
        near=[fallback("to: deployment, deployment: write"), fallback("to: human")],
    ),
    "INF021": Cases(
        fires=[
            Case(fallback("to: deployment, deployment: chat"), "sites/graz.yaml:2 chat falls back to itself"),
            Case(fallback("to: deployment, deployment: write", "deployment, deployment: chat"),
                 ("sites/graz.yaml:2 chat falls back to itself through write", "sites/graz.yaml:{to: deployment, deployment: chat} write falls back to itself through chat")),
        ],
        near=[fallback("to: deployment, deployment: write"), fallback("to: deployment, deployment: write", "human")],
    ),
    "INF022": Cases(
        fires=[
            Case(fallback("to: deployment, deployment: write", privacy="internal"), "sites/graz.yaml:2 'write' may be given internal prompts only; those of chat are restricted"),
            Case(both("privacy: internal, fallback: {to: deployment, deployment: write}", "privacy: public"), "sites/graz.yaml:2 'write' may be given public prompts only", also=("AGT018",)),
        ],
        near=[fallback("to: deployment, deployment: write"), both("privacy: internal, fallback: {to: deployment, deployment: write}", "privacy: restricted"), fallback("to: none", privacy="public")],
    ),
    "INF023": Cases(
        fires=[Case(graz("warmup: {prompts: 0}"), "sites/graz.yaml:1 a replica of chat is called ready before it has answered anything")],
        near=[graz("warmup: {prompts: 1}"), graz("warmup: {prompts: 0}", "environment: test\n")],
    ),
    "INF024": Cases(
        fires=[Case(graz("gateway: {access: mesh}"), "sites/graz.yaml:1 chat is reached through a mesh, and the site runs none")],
        near=[graz("gateway: {access: direct}"), {GRAZ: [*graz("gateway: {access: mesh}")[GRAZ], ("platform: {", "platform: {mesh: istio, ")]}],
    ),
    "INF025": Cases(
        fires=[Case(graz("gateway: {maxConcurrency: 8, queueLength: 7}"), "sites/graz.yaml:1 chat is promised 16 sessions; its gateway refuses more than 15", also=("AGT007",))],
        near=[graz("gateway: {maxConcurrency: 8, queueLength: 8}"), graz("gateway: {maxConcurrency: 16, queueLength: 0}")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
