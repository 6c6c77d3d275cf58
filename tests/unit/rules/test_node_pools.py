"""Rules about node pools. Graz, in production, has the pools agents and inference (GPUs) of two VMs each."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

AGENTS = "agents: {vmSize: Standard_D8s_v3, count: 2}"
INFERENCE = "inference: {vmSize: Standard_NC16_L4_1, count: 2, gpu: true}"


def agents(more: str, count: int = 2) -> tuple[str, str]:
    """The pool of Graz's agents with more said of it."""
    return (AGENTS, f"agents: {{vmSize: Standard_D8s_v3, count: {count}, {more}}}")


def inference(more: str) -> tuple[str, str]:
    """The pool of Graz's inference with more said of it."""
    return (INFERENCE, INFERENCE.replace("}", f", {more}}}"))


def scale(least: int, most: int, count: int = 2) -> Edits:
    """An autoscaler for Graz's agents."""
    return {FLEET: [agents(f"autoscale: {{minCount: {least}, maxCount: {most}}}", count)]}


def labels(text: str) -> Edits:
    """Labels of the pool of Graz's agents."""
    return {FLEET: [agents(f"labels: {{{text}}}")]}


def taints(*texts: str) -> Edits:
    """Taints of the pool of Graz's agents."""
    return {FLEET: [agents("taints: [" + ", ".join(f"{{{text}}}" for text in texts) + "]")]}


GPU_TAINT = inference("taints: [{key: gpu, value: 'yes'}]")
WINDOWS = "win: {vmSize: Standard_D4s_v3, count: 2, os: windows}\n        "
STORE = ("platform: {ingress:", "services: {redis: {storageGib: 10, nodePool: agents}}\nplatform: {ingress:")
CPU = "inference: {vmSize: Standard_D8s_v3, count: 1}"
SANDBOX = "registry.factory.example/sandboxes/python:3.12@sha256:3425bb9b4d5b5fd70f399ef3ee1e2b4a44bb6668129bfb8c52547aafd61382ed"
PREVIEW = (
    "      - {component: gpu-l4,",
    '      - {component: agent-sandbox, by: platform-team, date: "2026-09-01"}\n      - {component: gpu-l4,',
)
CASES = {
    "K8S006": Cases(
        fires=[Case(scale(3, 2), "fleet.yaml:{autoscale} the pool agents has 3 nodes at least and 2 at most")],
        near=[scale(2, 2), scale(1, 2)],
    ),
    "K8S007": Cases(
        fires=[Case(scale(2, 4, count=5), "fleet.yaml:{autoscale} the pool agents starts with 5 nodes; its autoscaler keeps 2 to 4", help="'count: 4'"),
               Case(scale(3, 4), "fleet.yaml:{autoscale} the pool agents starts with 2 nodes; its autoscaler keeps 3 to 4", help="'count: 3'")],
        near=[scale(2, 4, count=4), scale(2, 4), scale(3, 2)],
    ),
    "K8S008": Cases(
        fires=[Case(scale(0, 4), "fleet.yaml:{autoscale} the autoscaler may take every node of the system pool agents", help="'minCount: 2'"),
               Case(scale(0, 1, count=1), "fleet.yaml:{autoscale} the autoscaler may take every node", help="'minCount: 2, maxCount: 2' and 'count: 2'"),
               Case({FLEET: [*scale(0, 4)[FLEET], ("environment: prod", "environment: test")]}, "fleet.yaml:{autoscale} the autoscaler may take every node",
                    help="'minCount: 1'")],
        near=[scale(1, 4), {FLEET: [agents("autoscale: {minCount: 2, maxCount: 4}"), inference("autoscale: {minCount: 0, maxCount: 2}")]}],
    ),
    "K8S009": Cases(
        fires=[
            Case({FLEET: [agents("taints: [{key: agents}]"), GPU_TAINT]},
                 "fleet.yaml:{key: agents} every Linux pool has taints", help="leave the pool agents without taints"),
            Case({FLEET: [agents("taints: [{key: agents, effect: NoExecute}]"), GPU_TAINT]}, "fleet.yaml:{key: agents} every Linux pool has taints"),
        ],
        near=[taints("key: agents"),
              {FLEET: [agents("taints: [{key: agents, effect: PreferNoSchedule}]"), GPU_TAINT]},
              {FLEET: [agents("taints: [{key: CriticalAddonsOnly, value: 'true'}]"), GPU_TAINT]}],
    ),
    "K8S010": Cases(
        fires=[Case({FLEET: [inference("os: windows")]}, "fleet.yaml:{os: windows} the pool inference has GPUs; they are for Linux nodes only", also=("K8S012",))],
        near=[{FLEET: [inference("os: linux")]},
              {FLEET: [(INFERENCE, "inference: {vmSize: Standard_D8s_v3, count: 2, os: windows}")]}],
    ),
    "K8S011": Cases(
        fires=[Case({FLEET: [agents("os: windows")]}, "fleet.yaml:{os: windows} the system pool agents runs Windows", also=("K8S012",))],
        near=[{FLEET: [agents("os: linux")]},
              {FLEET: [agents("os: windows"), ("systemPool: agents", "systemPool: inference")]}],
    ),
    "K8S012": Cases(
        fires=[Case({FLEET: [(AGENTS, WINDOWS + AGENTS)], GRAZ: [("tools:\n  work-orders:\n", "tools:\n  work-orders:\n    nodePool: win\n")]},
                    "sites/graz.yaml:{nodePool} work-orders is a Linux container; its pool win runs Windows"),
               Case({FLEET: [(AGENTS, WINDOWS + AGENTS)], GRAZ: [("", "agents: {maf-agent-api: {nodePool: win}}\n")]},
                    "sites/graz.yaml:{nodePool} maf-agent-api is a Linux container; its pool win runs Windows"),
               Case({FLEET: [(CPU, CPU.replace("}", ", os: windows}"))]}, "fleet.yaml:{accelerator: cpu > nodePool: inference} chat is a Linux container; its pool inference runs Windows"),
               Case({FLEET: [(AGENTS, WINDOWS + AGENTS)], GRAZ: [(STORE[0], STORE[1].replace("nodePool: agents", "nodePool: win"))]},
                    "sites/graz.yaml:{redis} redis is a Linux container; its pool win runs Windows", also=("SVC014",)),
               Case({FLEET: [(AGENTS, WINDOWS + AGENTS), PREVIEW], GRAZ: [("", f"sandboxes: {{python: {{image: '{SANDBOX}', nodePool: win, slots: 4, isolation: container}}}}\n")]},
                    "sites/graz.yaml:1 python is a Linux container; its pool win runs Windows"),
               Case({FLEET: [(AGENTS, WINDOWS.replace("os: windows", "os: windows, sandboxRuntimes: [gvisor]") + AGENTS)]},
                    "fleet.yaml:{sandboxRuntimes} gvisor run on Linux nodes; the pool win runs Windows")],
        near=[{FLEET: [(AGENTS, WINDOWS.replace("os: windows", "sandboxRuntimes: [gvisor]") + AGENTS)]},
              {FLEET: [(AGENTS, WINDOWS.replace("windows", "linux") + AGENTS)], GRAZ: [("", "agents: {maf-agent-api: {nodePool: win}}\n")]},
              {FLEET: [(AGENTS, WINDOWS + AGENTS)]}],
    ),
    "K8S013": Cases(
        fires=[
            Case({FLEET: [inference("purpose: agents")]},
                 "fleet.yaml:{nodePool: inference} inference.chat runs on the pool inference, which is reserved for agents"),
            Case({FLEET: [inference("purpose: inference")], GRAZ: [(STORE[0], STORE[1].replace("nodePool: agents", "nodePool: inference"))]},
                 "sites/graz.yaml:{redis} services.redis runs on the pool inference, which is reserved for inference", also=("SVC014",)),
            Case({FLEET: [agents("purpose: system")]},
                 ("fleet.yaml:{p95Ms: 20000 > maf-agent-api:} agents.maf-agent-api runs on the pool agents, which is reserved for system",
                  "sites/graz.yaml:{work-orders:} tools.work-orders runs on the pool agents, which is reserved for system")),
        ],
        near=[{FLEET: [inference("purpose: inference")]},
              {FLEET: [agents("purpose: agents")]},  # its tools, too
              {FLEET: [inference("purpose: inference")], GRAZ: [STORE]},
              {FLEET: [agents("purpose: agents"), ("  work-orders:\n      image", "  work-orders:\n      nodePool: inference\n      image")]}],
    ),
    "K8S014": Cases(
        fires=[
            Case(labels("fleet/line: a"), "fleet.yaml:{fleet/line} the label fleet/line of the pool agents is in a domain that fleet writes itself"),
            *(Case(labels(f"{key}: a"), f"fleet.yaml:{{{key}}} the label {key} of the pool agents is in a domain that nodes may not write in")
              for key in ("node-role.kubernetes.io/worker", "kubernetes.io/line", "topology.kubernetes.io/rack", "k8s.io/a")),
        ],
        near=[labels("factory.example/line: a"), labels("node.kubernetes.io/line: a"), labels("a.node.kubernetes.io/line: a"),
              labels("topology.kubernetes.io/zone: a"), labels("notkubernetes.io/a: a"), labels("fleet: a"), labels("a.fleet/b: a")],
    ),
    "K8S015": Cases(
        fires=[
            *(Case(labels(f"'{key}': a"), f"fleet.yaml:{{labels: {{'}} '{key}' is no key of a Kubernetes label")
              for key in ("-line", "a b", "line/", "/line", "Factory.Example/line", "n" * 64, "a/b/c")),
            *(Case(labels(f"line: '{value}'"), f"fleet.yaml:{{labels: {{line: '}} '{value}', the value of the label line, is not one")
              for value in ("a b", "a_", "n" * 64)),
        ],
        near=[labels(f"{'n' * 63}: {'v' * 63}"), labels("line: ''"), labels("factory.example/my_line.1: A-b_c.d")],
    ),
    "K8S016": Cases(
        fires=[Case(taints("key: a, value: x", "key: a, value: y"), "fleet.yaml:{taints} the pool agents has two taints a with the effect NoSchedule")],
        near=[taints("key: a, value: x", "key: a, value: x, effect: NoExecute"), taints("key: a", "key: b")],
    ),
    "K8S017": Cases(
        fires=[
            Case({FLEET: [(AGENTS, AGENTS.replace("count: 2", "count: 1"))]},
                 "fleet.yaml:{gpu-cluster: > agents:} the pool agents of a production cluster may have 1 node"),
            Case(scale(1, 4), "fleet.yaml:{autoscale} the pool agents of a production cluster may have 1 node: its agents", help="'minCount: 2'"),
            Case(scale(1, 1, count=1), "fleet.yaml:{autoscale} the pool agents of a production cluster may have 1 node: its agents",
                 help="'minCount: 2, maxCount: 2' and 'count: 2'"),
            Case({NARVIK: [("", "topology: datacenter-cluster\n")]},
                 "fleet.yaml:{offshore: > agents:} the pool agents of a production cluster may have 1 node", help="'count: 2'", also=("K8S003",)),
        ],
        near=[scale(2, 4),
              scale(2, 2),
              scale(0, 4),  # the system pool: K8S008 says it
              {FLEET: [(AGENTS, AGENTS.replace("count: 2", "count: 1")), ("environment: prod", "environment: test")]},
              {FLEET: [(AGENTS, "spare: {vmSize: Standard_D8s_v3, count: 1}\n        " + AGENTS.replace("2}", "3}"))]},
              {NARVIK: [("", "topology: distributed\n")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
