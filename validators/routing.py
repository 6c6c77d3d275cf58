"""Rules about who answers: the local router, tools, and what may stand on one node pool."""

from collections.abc import Iterator
from math import ceil

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.inventory.source import Path

_MODALITY = {"embedding": "embedding", "speech": "speech"}
"""What a kind of request needs; any other needs chat."""


def _named(site: Site) -> Iterator[tuple[Path, str, str]]:
    """The deployments that the router names: where, the name, and what it must serve."""
    router = site.spec.router
    if router is None:
        return
    yield ("router", "model"), router.model, "chat"
    for number, route in enumerate(router.routes):
        yield ("router", "routes", number, "deployment"), route.deployment, _MODALITY.get(route.kind, "chat")


def _known(site: Site, _: Inventory) -> Iterator[Finding]:
    for path, name, _modality in _named(site):
        if name not in site.spec.inference:
            yield Finding(
                path,
                f"the router names the deployment {name!r}, which the site does not have",
                did_you_mean(name, site.spec.inference) or "add it under 'inference:'",
            )


def _modality(site: Site, _: Inventory) -> Iterator[Finding]:
    for path, name, modality in _named(site):
        deployment = site.spec.inference.get(name)
        if deployment is not None and deployment.modality != modality:
            yield Finding(
                path,
                f"the router asks {name!r} for {modality}; it serves {deployment.modality}",
                f"a deployment with 'modality: {modality}'",
            )


def _not_reasoning(site: Site, inventory: Inventory) -> Iterator[Finding]:
    router = site.spec.router
    deployment = site.spec.inference.get(router.model) if router else None
    card = inventory.models.get(deployment.model) if deployment else None
    if deployment is not None and (deployment.reasoning or (card is not None and card.reasoning)):
        yield Finding(
            ("router", "model"),
            f"{deployment.model} thinks aloud before it answers, which breaks the router's JSON",
            "a deployment whose model does not reason",
        )


def _kinds(site: Site, _: Inventory) -> Iterator[Finding]:
    router = site.spec.router
    if router is None:
        return
    kinds = [route.kind for route in router.routes]
    for number, kind in enumerate(kinds):
        if kind in kinds[:number]:
            yield Finding(
                ("router", "routes", number, "kind"),
                f"requests of the kind {kind!r} have two routes",
                "leave one out",
            )
    if "complex" not in kinds:
        yield Finding(
            ("router", "routes"),
            "there is no route for complex requests, which is where the router sends what it is not sure of",
            "add '{kind: complex, deployment: …, timeoutSeconds: 60}'",
        )


def _timeouts(site: Site, _: Inventory) -> Iterator[Finding]:
    router = site.spec.router
    for number, route in enumerate(router.routes if router else ()):
        deployment = site.spec.inference.get(route.deployment)
        if deployment is None:
            continue
        promised = (deployment.slo.p95_ms + deployment.slo.queue_delay_ms) / 1000
        if promised > route.timeout_seconds:
            yield Finding(
                ("router", "routes", number, "timeoutSeconds"),
                f"the route for {route.kind} gives up after {route.timeout_seconds} s; "
                f"{route.deployment!r} may take {promised:g} s by its own promise",
                f"at least 'timeoutSeconds: {ceil(promised)}'",
            )


def _tools_are_called(site: Site, inventory: Inventory) -> Iterator[Finding]:
    """Only what is said: a deployment or a model card with `toolCalling: none`."""
    for name, agent in site.spec.agents.items():
        deployment = site.spec.inference.get(agent.inference)
        if deployment is None or not (agent.tools or agent.toolbox) or deployment.tool_calling != "none":
            continue
        card = inventory.models.get(deployment.model)
        said = "tool_calling" in deployment.model_fields_set
        if said or (card is not None and card.tool_calling == "none"):
            yield Finding(
                ("agents", name, "inference"),
                f"{name!r} has tools, and {agent.inference!r} can't call any",
                "a deployment with 'toolCalling: native' or 'toolCalling: text'",
            )


def _native(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.tool_calling == "none":
            continue
        path = ("inference", name, "toolCalling")
        card = inventory.models.get(deployment.model)
        can = card.tool_calling if card is not None else None
        if can == "none" or (can == "text" and deployment.tool_calling == "native"):
            what = "does not call tools" if can == "none" else "writes its tool calls as text"
            yield Finding(path, f"{deployment.model} {what}", f"'toolCalling: {can}', or another model")
        elif (
            deployment.tool_calling == "native"
            and deployment.runtime == "foundry-local"
            and deployment.package is not None
        ):
            yield Finding(
                path,
                "Foundry Local hands on the tool calls of a model package as text",
                "'toolCalling: text', and a client that parses them",
            )


def _one_domain_a_strict_pool(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    strict = [name for name, pool in spec.kubernetes.node_pools.items() if pool.isolation == "strict"]
    for pool in strict:
        domains = {d.trust_domain for d in spec.inference.values() if d.node_pool == pool}
        domains |= {a.trust_domain for a in spec.agents.values() if a.node_pool == pool}
        if len(domains) > 1:
            yield Finding(
                ("kubernetes", "nodePools", pool, "isolation"),
                f"workloads of the trust domains {', '.join(sorted(domains))} run in the strict "
                f"node pool {pool!r}",
                "a node pool for each of them",
            )


RULES = (
    Rule(
        code="INF026",
        summary="the router names deployments of its site",
        source="requirement G21",
        check_site=_known,
    ),
    Rule(
        code="INF027",
        summary="the router asks a deployment for what it serves",
        source="requirements G10, G21",
        check_site=_modality,
    ),
    Rule(
        code="INF028",
        summary="the router's model does not reason",
        source="requirement G20",
        check_site=_not_reasoning,
    ),
    Rule(
        code="INF029",
        summary="the router has one route for each kind of request, and one for complex ones",
        source="requirement G21 (below the confidence the complex route is taken)",
        check_site=_kinds,
    ),
    Rule(
        code="INF030",
        summary="a route waits as long as its deployment may take",
        source="requirements G25, O1",
        check_site=_timeouts,
    ),
    Rule(
        code="INF031",
        summary="an agent with tools talks to a model that can call them",
        source="requirement G12",
        check_site=_tools_are_called,
    ),
    Rule(
        code="INF032",
        summary="tool calls arrive as the deployment says",
        source="requirements G11, G12",
        check_site=_native,
    ),
    Rule(
        code="INF033",
        summary="a strict node pool has workloads of one trust domain",
        source="requirements B25, B26",
        check_site=_one_domain_a_strict_pool,
    ),
)
