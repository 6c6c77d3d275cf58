"""Rules about how documents are cut, embedded and stored."""

from collections.abc import Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean


def _embedding_known(site: Site, _: Inventory) -> Iterator[Finding]:
    known = site.spec.inference
    for name, retrieval in site.spec.retrieval.items():
        if retrieval.embedding not in known:
            yield Finding(
                ("retrieval", name, "embedding"),
                f"{name!r} asks the deployment {retrieval.embedding!r} for vectors, "
                "which the site does not have",
                did_you_mean(retrieval.embedding, known) or "add it under 'inference:'",
            )


def _embeds(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, retrieval in site.spec.retrieval.items():
        deployment = site.spec.inference.get(retrieval.embedding)
        if deployment is not None and deployment.modality != "embedding":
            yield Finding(
                ("retrieval", name, "embedding"),
                f"{name!r} asks {retrieval.embedding!r} for vectors; it serves {deployment.modality}",
                "a deployment with 'modality: embedding', on vLLM",
            )


def _overlap(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, retrieval in site.spec.retrieval.items():
        if retrieval.overlap_tokens >= retrieval.chunk_tokens:
            yield Finding(
                ("retrieval", name, "overlapTokens"),
                f"chunks of {retrieval.chunk_tokens} tokens overlap by {retrieval.overlap_tokens}, "
                "so that cutting never gets on",
                "a fifth of 'chunkTokens' or less",
            )


def _store(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    vectors = services.postgres is not None and services.postgres.pgvector
    for name, retrieval in site.spec.retrieval.items():
        if retrieval.store == "pgvector" and not vectors:
            lacks = "runs no PostgreSQL" if services.postgres is None else "runs PostgreSQL without pgvector"
            yield Finding(
                ("retrieval", name, "store"),
                f"{name!r} keeps its vectors in pgvector; the site {lacks}",
                "'services: {postgres: {pgvector: true}}'",
            )
        elif retrieval.store == "redis" and services.redis is None:
            yield Finding(
                ("retrieval", name, "store"),
                f"{name!r} keeps its vectors in Redis, which the site does not run",
                "add 'services: {redis: …}'",
            )


def _chunk_fits(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, retrieval in site.spec.retrieval.items():
        deployment = site.spec.inference.get(retrieval.embedding)
        if deployment is not None and retrieval.chunk_tokens > deployment.context_tokens:
            yield Finding(
                ("retrieval", name, "chunkTokens"),
                f"a chunk of {retrieval.chunk_tokens} tokens is longer than the "
                f"{deployment.context_tokens} that {retrieval.embedding!r} reads",
                f"at most 'chunkTokens: {deployment.context_tokens}'",
            )


RULES = (
    Rule(
        code="RAG001",
        summary="retrieval asks a deployment of its site for vectors",
        source="requirements D3, E10",
        check_site=_embedding_known,
    ),
    Rule(
        code="RAG002",
        summary="retrieval asks for vectors where they are made",
        source="requirements D3, G10",
        check_site=_embeds,
    ),
    Rule(
        code="RAG003",
        summary="chunks overlap by less than their length",
        source="requirements D24, D25",
        check_site=_overlap,
    ),
    Rule(
        code="RAG004",
        summary="retrieval keeps its vectors in a store of its site",
        source="requirements D2, D3",
        check_site=_store,
    ),
    Rule(
        code="RAG005",
        summary="the embedding model reads a whole chunk",
        source="requirement D24",
        check_site=_chunk_fits,
    ),
)
