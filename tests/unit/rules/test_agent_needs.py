"""Rules about what an agent needs beside it. It talks to the inference chat, which reads 8192 tokens in graz."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

REDIS = "services: {redis: {storageGib: 20, replicas: 3}}\n"
POSTGRES = "services: {postgres: {storageGib: 20, replicas: 2, backup: {everyHours: 24, keepDays: 14, target: 'nfs://backup.factory.example/graz'}%s}}\n"
RUNBOOK = ("certificate-renewal, capacity]", "certificate-renewal, capacity, restore]")
"""What a fleet with backups has, too (OPS004)."""


def agent(text: str, more: str = "") -> Edits:
    """Graz, with more said about its agent, and about other things."""
    text = f"agents: {{maf-agent-api: {{{text}}}}}\n{more}"
    return {GRAZ: [("", text)], FLEET: [RUNBOOK] if "backup" in text else []}


def chat(text: str) -> str:
    return f"inference: {{chat: {{{text}}}}}\n"


CASES = {
    "AGT013": Cases(
        fires=[Case(agent("checkpoints: redis"), "sites/graz.yaml:1 'maf-agent-api' keeps its checkpoints in redis, which the site does not run",
                    help="add 'services: {redis: …}'"),
               Case(agent("memoryStore: postgres", REDIS), "sites/graz.yaml:1 'maf-agent-api' keeps its memory in postgres, which"),
               Case(agent("checkpoints: redis, memoryStore: redis", POSTGRES % ""),
                    ("sites/graz.yaml:1 'maf-agent-api' keeps its checkpoints", "sites/graz.yaml:1 'maf-agent-api' keeps its memory"))],
        near=[agent("checkpoints: none"), agent("checkpoints: redis, memoryStore: redis", REDIS), agent("memoryStore: postgres", POSTGRES % "")],
    ),
    "AGT014": Cases(
        fires=[Case(agent("longRunning: true"), "sites/graz.yaml:1 'maf-agent-api' works for longer than a request and needs a durable engine; the site has none"),
               Case(agent("longRunning: true", "services: {redis: {storageGib: 20, replicas: 3}, celery: {}}\n"),
                    "sites/graz.yaml:1 'maf-agent-api' works for longer than a request and needs a durable engine; the site has only Celery")],
        near=[agent("longRunning: false"), agent("longRunning: true", (POSTGRES % "").replace("}}\n", "}, temporal: {}}\n"))],
    ),
    "AGT015": Cases(
        fires=[Case(agent("toolbox: orders", "toolboxes: {order: {tools: [work-orders]}}\n"), "sites/graz.yaml:1 the agent 'maf-agent-api' uses the toolbox 'orders', which the site does not have",
                    help="did you mean 'order'")],
        near=[agent("toolbox: order", "toolboxes: {order: {tools: [work-orders]}}\n")],
    ),
    "AGT016": Cases(
        fires=[Case(agent("promptTokens: 2001"), "sites/graz.yaml:1 the system prompt of 'maf-agent-api' has 2001 tokens; above 2000")],
        near=[agent("promptTokens: 2000")],
    ),
    "AGT017": Cases(
        fires=[Case(agent("promptTokens: 1500", chat("maxOutputTokens: 6692")),
                    "sites/graz.yaml:1 the system prompt of 'maf-agent-api' and an answer take 8192 tokens; 'chat' has 8192")],
        near=[agent("promptTokens: 1500", chat("maxOutputTokens: 6691")), agent("promptTokens: 0", chat("maxOutputTokens: 8191"))],
    ),
    "AGT018": Cases(
        fires=[Case({GRAZ: [("", chat("privacy: internal"))]}, "fleet.yaml:{inference: chat} 'maf-agent-api' has restricted prompts; 'chat' is for internal ones",
                    help="'privacy: restricted' on the deployment"),
               Case(agent("inference: chat, privacy: internal", chat("privacy: public")), "sites/graz.yaml:1 'maf-agent-api' has internal prompts; 'chat' is for public ones")],
        near=[agent("privacy: internal", chat("privacy: internal")), agent("privacy: public", chat("privacy: internal"))],
    ),
    "AGT019": Cases(
        fires=[Case(agent("inference: chat, trustDomain: finance"), "sites/graz.yaml:1 'maf-agent-api' is of the trust domain 'finance'; 'chat' is of 'default'",
                    help="a deployment with 'trustDomain: finance'")],
        near=[agent("trustDomain: finance", chat("trustDomain: finance"))],
    ),
    "AGT021": Cases(
        fires=[Case(agent("framework: langgraph, checkpoints: redis", REDIS), "sites/graz.yaml:1 'maf-agent-api' keeps LangGraph's checkpoints in redis",
                    help="'checkpoints: postgres'"),
               Case(agent("framework: langgraph, checkpoints: postgres, memoryStore: redis", (POSTGRES % "").replace("{postgres:", "{redis: {storageGib: 20, replicas: 3}, postgres:")),
                    "sites/graz.yaml:1 'maf-agent-api' keeps LangGraph's memory in redis", help="'memoryStore: postgres'")],
        near=[agent("framework: langgraph, checkpoints: postgres, memoryStore: postgres", POSTGRES % ""), agent("framework: maf, checkpoints: redis, memoryStore: redis", REDIS)],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
