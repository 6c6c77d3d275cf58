"""Rules about retrieval. Graz gets documents, PostgreSQL, and a deployment beside chat that makes vectors."""

from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

IMAGE = "registry.factory.example/inference/vllm-gateway:0.9.2@sha256:4dc26c52fe5ac20681b1e35d01b40935675d425145a7a1d00e360729ce7b02a2"
BACKUP = "backup: {everyHours: 24, keepDays: 14, target: 'nfs://backup.factory.example/graz'}"
POSTGRES = f"postgres: {{storageGib: 20, replicas: 2, pgvector: true, {BACKUP}}}"
RUNBOOK = ("certificate-renewal, capacity]", "certificate-renewal, capacity, restore]")
"""What a fleet with backups has, too (OPS004)."""
EMBED = (
    "{runtime: vllm, model: phi-4-mini, modality: embedding, accelerator: gpu, gpus: 1, contextTokens: 600, "
    f"maxOutputTokens: 1, nodePool: inference, image: '{IMAGE}', slo: {{p95Ms: 500, concurrentSessions: 4}}}}"
)


def docs(text: str, services: str = POSTGRES, embedding: str = "embed") -> Edits:
    """Graz, with documents and services, and one of its two GPU nodes for vectors."""
    retrieval = f"retrieval: {{docs: {{embedding: {embedding}, {text}}}}}\n"
    inference = f"inference: {{chat: {{replicas: 1, slo: {{concurrentSessions: 8}}}}, embed: {EMBED}}}\n"
    text = f"{retrieval}services: {{{services}}}\n{inference}"
    return {GRAZ: [("", text)], FLEET: [RUNBOOK] if "backup" in services else []}


CASES = {
    "RAG001": Cases(
        fires=[Case(docs("topK: 3", embedding="embd"), "sites/graz.yaml:1 'docs' asks the deployment 'embd' for vectors, which the site does not have", help="did you mean 'embed'")],
        near=[docs("topK: 3", embedding="embed")],
    ),
    "RAG002": Cases(
        fires=[Case(docs("topK: 3", embedding="chat"), "sites/graz.yaml:1 'docs' asks 'chat' for vectors; it serves chat")],
        near=[docs("topK: 3", embedding="embed")],
    ),
    "RAG003": Cases(
        fires=[Case(docs("chunkTokens: 200, overlapTokens: 200"), "sites/graz.yaml:1 chunks of 200 tokens overlap by 200")],
        near=[docs("chunkTokens: 200, overlapTokens: 199")],
    ),
    "RAG004": Cases(
        fires=[Case(docs("store: pgvector", "redis: {storageGib: 20, replicas: 3}"), "sites/graz.yaml:1 'docs' keeps its vectors in pgvector; the site runs no PostgreSQL"),
               Case(docs("store: pgvector", POSTGRES.replace("pgvector: true, ", "")), "sites/graz.yaml:1 'docs' keeps its vectors in pgvector; the site runs PostgreSQL without pgvector"),
               Case(docs("store: redis"), "sites/graz.yaml:1 'docs' keeps its vectors in Redis, which the site does not run")],
        near=[docs("store: pgvector"), docs("store: redis", "redis: {storageGib: 20, replicas: 3}"), docs("store: sqlite", "redis: {storageGib: 20, replicas: 3}")],
    ),
    "RAG005": Cases(
        fires=[Case(docs("chunkTokens: 601"), "sites/graz.yaml:1 a chunk of 601 tokens is longer than the 600 that 'embed' reads", help="at most 'chunkTokens: 600'")],
        near=[docs("chunkTokens: 600")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
