"""Rules about who answers: Graz's one deployment `chat` promises an answer in 4.5 s."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

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
AGENTS_NODE = SECOND.replace(
    "accelerator: gpu\n    gpus: 1\n    nodePool: inference", "accelerator: cpu\n    nodePool: agents"
).replace("vllm", "foundry-local", 1)
COMPLEX = "kind: complex, deployment: chat, timeoutSeconds: 5"
SMALL = "models:\n  small: {{weightsGib: 7.2, layers: 32, kvHeads: 8, headDim: 128, contextTokens: 8192, source: ours, {more}}}\n"


def graz(text: str) -> Edits:
    """More about Graz's deployment."""
    return {GRAZ: [("", f"inference: {{chat: {{{text}}}}}\n")]}


def router(*routes: str, model: str = "chat", chat: str = "", second: str | None = None) -> Edits:
    """A router with these routes, and deployments behind it."""
    lines = "".join(f"    - {{{route}}}\n" for route in routes)
    inference = f"inference:\n  chat: {{replicas: 1, contextTokens: 4096{', ' + chat if chat else ''}}}\n"
    if second is not None:
        inference += SECOND + (f"    {second}\n" if second else "")
    return {GRAZ: [("", f"{inference}router:\n  model: {model}\n  routes:\n{lines}")]}


def card(more: str, chat: str) -> Edits:
    """A model of the fleet's own."""
    return {
        FLEET: [("profiles:\n", SMALL.format(more=more) + "profiles:\n")],
        **graz(f"model: small, {chat}"),
    }


def strict(isolation: str, more: str) -> Edits:
    """Two deployments on nodes of this isolation."""
    return {
        FLEET: [("count: 2, gpu: true}", f"count: 2, gpu: true, isolation: {isolation}}}")],
        GRAZ: [("", f"inference:\n  chat: {{replicas: 1, contextTokens: 4096}}\n{SECOND}    {more}\n")],
    }


CASES = {
    "INF026": Cases(
        fires=[
            Case(router(COMPLEX, model="chats"), "sites/graz.yaml:{model: chats} the router names the deployment 'chats', which the site does not have", help="did you mean 'chat'"),
            Case(router(COMPLEX, "kind: code, deployment: coder, timeoutSeconds: 45"), "sites/graz.yaml:{kind: code} the router names the deployment 'coder'"),
        ],
        near=[router(COMPLEX), router(COMPLEX, "kind: code, deployment: write, timeoutSeconds: 45", second="")],
    ),
    "INF027": Cases(
        fires=[
            Case(router(COMPLEX, "kind: embedding, deployment: chat, timeoutSeconds: 10"), "sites/graz.yaml:{kind: embedding} the router asks 'chat' for embedding; it serves chat"),
            Case(router(COMPLEX, "kind: speech, deployment: chat, timeoutSeconds: 10"), "sites/graz.yaml:{kind: speech} the router asks 'chat' for speech"),
            Case(router(COMPLEX, model="write", second="modality: speech"), "sites/graz.yaml:{model: write} the router asks 'write' for chat; it serves speech"),
        ],
        near=[
            router(COMPLEX, "kind: embedding, deployment: write, timeoutSeconds: 10", second="modality: embedding"),
            router(COMPLEX, "kind: speech, deployment: write, timeoutSeconds: 10", second="modality: speech"),
        ],
    ),
    "INF028": Cases(
        fires=[
            Case(router(COMPLEX, chat="reasoning: true"), "sites/graz.yaml:{model: chat} phi-4-mini thinks aloud before it answers"),
            Case({FLEET: [("profiles:\n", SMALL.format(more="reasoning: true") + "profiles:\n")], **router(COMPLEX, chat="model: small")},
                 "sites/graz.yaml:{  model: chat} small thinks aloud"),
        ],
        near=[router(COMPLEX, chat="reasoning: false"), router(COMPLEX, model="write", chat="reasoning: true", second="")],
    ),
    "INF029": Cases(
        fires=[
            Case(router("kind: simple, deployment: chat, timeoutSeconds: 10"), "sites/graz.yaml:{routes:} there is no route for complex requests"),
            Case(router(COMPLEX, COMPLEX.replace("5", "6")), "sites/graz.yaml:{timeoutSeconds: 6} requests of the kind 'complex' have two routes"),
        ],
        near=[router(COMPLEX), router(COMPLEX, "kind: simple, deployment: chat, timeoutSeconds: 10")],
    ),
    "INF030": Cases(
        fires=[Case(router(COMPLEX.replace("5", "4")), "sites/graz.yaml:{timeoutSeconds: 4} the route for complex gives up after 4 s; 'chat' may take 4.5 s by its own promise",
                    help="at least 'timeoutSeconds: 5'")],
        near=[router(COMPLEX)],
    ),
    "INF031": Cases(
        fires=[
            Case(graz("toolCalling: none"), "fleet.yaml:{inference: chat} 'maf-agent-api' has tools, and 'chat' can't call any"),
            Case(card("toolCalling: none", "toolCalling: null"), "fleet.yaml:{inference: chat} 'maf-agent-api' has tools, and 'chat' can't call any"),
        ],
        near=[graz("toolCalling: text"), graz("replicas: 2"), {FLEET: [("      tools: [work-orders]\n", "")], **graz("toolCalling: none")}, card("toolCalling: text", "toolCalling: null")],
    ),
    "INF032": Cases(
        fires=[
            Case(card("toolCalling: text", "toolCalling: native"), "sites/graz.yaml:1 small writes its tool calls as text", help="'toolCalling: text'"),
            Case(card("toolCalling: none", "toolCalling: text"), "sites/graz.yaml:1 small does not call tools", help="'toolCalling: none'"),
            Case(graz("toolCalling: native, runtime: foundry-local, package: phi-gpu"), "sites/graz.yaml:1 Foundry Local hands on the tool calls of a model package as text",
                 also=("MOD001",)),
        ],
        near=[
            card("toolCalling: text", "toolCalling: text"), card("toolCalling: native", "toolCalling: native"), graz("toolCalling: native"),
            graz("toolCalling: native, runtime: foundry-local"), graz("toolCalling: text, runtime: foundry-local, package: phi-gpu"),
        ],
    ),
    "INF033": Cases(
        fires=[
            Case(strict("strict", "trustDomain: partners"), "fleet.yaml:{isolation: strict} workloads of the trust domains default, partners run in the strict node pool 'inference'"),
            Case({FLEET: [("agents: {vmSize: Standard_D8s_v3, count: 2}", "agents: {vmSize: Standard_D8s_v3, count: 2, isolation: strict}")],
                  GRAZ: [("", f"inference:\n  chat: {{replicas: 1, contextTokens: 4096}}\n{AGENTS_NODE}    trustDomain: partners\n")]},
                 "fleet.yaml:{isolation: strict} workloads of the trust domains default, partners run in the strict node pool 'agents'"),
        ],
        near=[strict("strict", "trustDomain: default"), strict("shared", "trustDomain: partners")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
