"""Rules about how a deployment is sized and made safe: limits, parallelism, canary, fallback, gateway."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean

from .inference import BYTES_OF_16_BIT, WEIGHT_EXPANSION, kv_gib
from .shares import cards, cards_taken, cut, deployments_on_gpus, most_nodes, shares_a_card

_STRICTNESS = {"public": 0, "internal": 1, "restricted": 2}


def _answer_in_context(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.modality == "chat" and deployment.max_output_tokens >= deployment.context_tokens:
            yield Finding(
                ("inference", name, "maxOutputTokens"),
                f"an answer of {deployment.max_output_tokens} tokens leaves no room for a prompt "
                f"in a context of {deployment.context_tokens}",
                f"below 'maxOutputTokens: {deployment.context_tokens}', or a longer context",
            )


def _memory_fits_node(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, sizes = site.spec, catalog.vm_sizes()
    wanted: dict[str, float] = {}
    for name, deployment in spec.inference.items():
        pool = spec.kubernetes.node_pools.get(deployment.node_pool)
        size = sizes.get(pool.vm_size) if pool else None
        if deployment.memory_gib is None or pool is None or size is None:
            continue
        path = ("inference", name, "memoryGib")
        usable = size.memory_gib * catalog.serving().node_memory
        if deployment.memory_gib > usable:
            yield Finding(
                path,
                f"{name} takes {deployment.memory_gib:g} GiB; a {size.name} has {usable:g} for pods",
                f"at most 'memoryGib: {usable:g}', or a larger VM size",
            )
            continue
        # Of replicas that fit singly: as many a node as go into it.
        wanted[deployment.node_pool] = wanted.get(deployment.node_pool, 0) + (
            deployment.memory_gib * deployment.replicas
        )
        there = usable * most_nodes(pool)
        if wanted[deployment.node_pool] > there:
            yield Finding(
                path,
                f"{wanted[deployment.node_pool]:g} GiB are asked of the node pool {deployment.node_pool!r}, "
                f"which has {there:g} for pods",
                "fewer replicas, or a larger pool",
            )


def _nodes_for_replicas(site: Site, _: Inventory) -> Iterator[Finding]:
    pools = site.spec.kubernetes.node_pools
    replicas: dict[str, int] = {}
    for name, deployment in site.spec.inference.items():
        pool = pools.get(deployment.node_pool)
        if pool is None or deployment.accelerator == "gpu" or deployment.memory_gib is not None:
            continue
        nodes = most_nodes(pool)
        total = replicas[deployment.node_pool] = replicas.get(deployment.node_pool, 0) + deployment.replicas
        if total > nodes:
            yield Finding(
                ("inference", name, "replicas"),
                f"{total} replicas on CPU are in the node pool {deployment.node_pool!r}, which has "
                f"{nodes} {'nodes' if nodes > 1 else 'node'}: each takes half of one",
                f"a pool of {total} nodes, fewer replicas, or 'memoryGib' for each",
            )


def _memory_holds_model(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        model = inventory.models.get(deployment.model)
        if deployment.memory_gib is None or deployment.accelerator != "cpu" or model is None:
            continue
        need = model.weights_gib * BYTES_OF_16_BIT[deployment.precision] * WEIGHT_EXPANSION
        need += kv_gib(model, deployment)
        if need > deployment.memory_gib:
            yield Finding(
                ("inference", name, "memoryGib"),
                f"{deployment.model} in {deployment.precision} takes {need:.1f} GiB with its sessions; "
                f"the limit is {deployment.memory_gib:g}",
                f"at least 'memoryGib: {need + 0.05:.1f}', or fewer sessions",
            )


def _parallel(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        parallel = deployment.tensor_parallel
        if parallel is not None and (deployment.gpus == 0 or deployment.gpus % parallel):
            yield Finding(
                ("inference", name, "tensorParallel"),
                f"copies over {parallel} GPUs can't be made of the {deployment.gpus} that a replica has",
                f"'tensorParallel: {max(deployment.gpus, 1)}', or other 'gpus'",
            )


def _heads(site: Site, inventory: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        parallel = deployment.tensor_parallel or deployment.gpus
        model = inventory.models.get(deployment.model)
        if parallel < 2 or model is None or deployment.runtime == "foundry-local":
            continue
        if model.kv_heads % parallel and parallel % model.kv_heads:
            key = "gpus" if deployment.tensor_parallel is None else "tensorParallel"
            yield Finding(
                ("inference", name, key),
                f"the {model.kv_heads} key and value heads of {deployment.model} can't be spread "
                f"over {parallel} GPUs",
                f"'{key}: {max(n for n in range(1, parallel) if model.kv_heads % n == 0)}'",
            )


def _canary_differs(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.canary is not None and deployment.canary.package == deployment.package:
            yield Finding(
                ("inference", name, "canary", "package"),
                f"the canary of {name} is the package {deployment.package!r} that it serves already",
                "name the package that is tried",
            )


def _room_for_canary(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    used: dict[str, list[float]] = {}
    for _name, deployment, _pool in deployments_on_gpus(spec):
        asked = [deployment.gpu_fraction or deployment.gpus] * deployment.replicas
        used.setdefault(deployment.node_pool, []).extend(asked)
    for name, deployment, pool in deployments_on_gpus(spec):
        slices = cut(spec, pool)
        if deployment.canary is None or (slices is not None and slices.strategy == "mixed"):
            continue
        there, more = cards(pool) * shares_a_card(spec, pool), deployment.gpu_fraction or deployment.gpus
        taken = cards_taken(used[deployment.node_pool])
        # INF003 speaks when even the replicas have none.
        if taken <= there < cards_taken([*used[deployment.node_pool], more]):
            yield Finding(
                ("inference", name, "canary"),
                f"the canary of {name} takes {more:g} more GPUs; the node pool {deployment.node_pool!r} "
                f"has {there - taken:g} left of {there}",
                "one replica less, or a larger pool",
            )


def _fallback_exists(site: Site, _: Inventory) -> Iterator[Finding]:
    deployments = site.spec.inference
    for name, deployment in deployments.items():
        to, other = deployment.fallback.to, deployment.fallback.deployment
        path = ("inference", name, "fallback")
        if to == "deployment" and other is None:
            yield Finding(
                (*path, "to"), f"{name} falls back to no deployment in particular", "add 'deployment: …'"
            )
        elif to != "deployment" and other is not None:
            yield Finding(
                (*path, "deployment"),
                f"{name} names the deployment {other!r} and falls back to {to!r}",
                "'to: deployment', or leave 'deployment' out",
            )
        elif other is not None and other not in deployments:
            yield Finding(
                (*path, "deployment"),
                f"{name} falls back to {other!r}, which the site does not have",
                did_you_mean(other, deployments) or "add it under 'inference:'",
            )


def _fallback_ends(site: Site, _: Inventory) -> Iterator[Finding]:
    deployments = site.spec.inference
    for name, deployment in deployments.items():
        seen, at = {name}, deployment.fallback.deployment
        while at is not None and at in deployments and at not in seen:
            seen.add(at)
            at = deployments[at].fallback.deployment
        if at == name:
            yield Finding(
                ("inference", name, "fallback", "deployment"),
                f"{name} falls back to itself"
                + (f" through {', '.join(sorted(seen - {name}))}" if seen - {name} else ""),
                "end with 'to: workflow', 'to: human' or 'to: none'",
            )


def _fallback_privacy(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        other = site.spec.inference.get(deployment.fallback.deployment or "")
        if other is not None and _STRICTNESS[other.privacy] < _STRICTNESS[deployment.privacy]:
            yield Finding(
                ("inference", name, "fallback", "deployment"),
                f"{deployment.fallback.deployment!r} may be given {other.privacy} prompts only; "
                f"those of {name} are {deployment.privacy}",
                f"a deployment with 'privacy: {deployment.privacy}'",
            )


def _warm(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.environment != "prod":
        return
    for name, deployment in site.spec.inference.items():
        if deployment.warmup.prompts == 0:
            yield Finding(
                ("inference", name, "warmup", "prompts"),
                f"a replica of {name} is called ready before it has answered anything",
                "'prompts: 1'",
            )


def _mesh(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.platform.mesh != "none":
        return
    for name, deployment in site.spec.inference.items():
        if deployment.gateway.access == "mesh":
            yield Finding(
                ("inference", name, "gateway", "access"),
                f"{name} is reached through a mesh, and the site runs none",
                "'access: proxy', or 'platform: {mesh: …}'",
            )


def _gateway_admits(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        gateway, promised = deployment.gateway, deployment.slo.concurrent_sessions
        admitted = gateway.max_concurrency + gateway.queue_length
        if promised > admitted:
            yield Finding(
                ("inference", name, "gateway"),
                f"{name} is promised {promised} sessions; its gateway refuses more than {admitted}",
                f"'maxConcurrency' and 'queueLength' of {promised} together at least",
            )


RULES = (
    Rule(
        code="INF013",
        summary="an answer leaves room for its prompt",
        source="requirement G32; contextTokens are prompt and answer together",
        check_site=_answer_in_context,
    ),
    Rule(
        code="INF014",
        summary="memory limits fit the node pool",
        source="facts 3.4 (28 of a D8s_v3's 32 GiB), gpu-facts 2.5 (14 of a D4s_v3's 16)",
        check_site=_memory_fits_node,
    ),
    Rule(
        code="INF034",
        summary="each replica on CPU has a node of its own",
        source="templates/platform/inference: half a VM a replica (seen with Kubernetes' scheduler)",
        check_site=_nodes_for_replicas,
    ),
    Rule(
        code="INF015",
        summary="a memory limit holds the model",
        source="gpu-facts 6.1",
        check_site=_memory_holds_model,
    ),
    Rule(
        code="INF016",
        summary="a replica's GPUs are whole copies of the model",
        source="requirement H10",
        check_site=_parallel,
    ),
    Rule(
        code="INF017",
        summary="a model's heads can be spread over its GPUs",
        source="vLLM's attention layers: KV heads and tensor parallel size divide one another",
        check_site=_heads,
    ),
    Rule(
        code="INF018",
        summary="a canary is another package",
        source="requirements G31, N2",
        check_site=_canary_differs,
    ),
    Rule(
        code="INF019",
        summary="the node pool has GPUs for the canary",
        source="requirement N2 (beside the first), facts 1.9",
        check_site=_room_for_canary,
    ),
    Rule(
        code="INF020",
        summary="a fallback is a deployment of the site",
        source="requirement M1",
        check_site=_fallback_exists,
    ),
    Rule(
        code="INF021",
        summary="fallbacks lead to an end",
        source="requirement M1",
        check_site=_fallback_ends,
    ),
    Rule(
        code="INF022",
        summary="a fallback may be given the prompts that it gets",
        source="requirement G21 (fallback obeys the privacy class)",
        check_site=_fallback_privacy,
    ),
    Rule(
        code="INF023",
        summary="replicas answer a prompt before they are ready in production",
        source="requirement G22",
        severity="warning",
        check_site=_warm,
    ),
    Rule(
        code="INF024",
        summary="a deployment is reached through a mesh only where one is run",
        source="requirement B3",
        check_site=_mesh,
    ),
    Rule(
        code="INF025",
        summary="a gateway admits the sessions that were promised",
        source="requirements G24, O1",
        check_site=_gateway_admits,
    ),
)
