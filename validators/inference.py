"""Rules about served models."""

from collections.abc import Iterator
from math import ceil

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.agents import AgentPolicies
from fleet.model.fleet import ModelCard
from fleet.model.inference import InferenceDeployment
from fleet.model.kubernetes import NodePool
from fleet.model.site import SiteSpec

from .known_packages import packages
from .shares import CARD_SHARE, cards, cards_taken, cut, deployments_on_gpus, shares_a_card, usable_gib

GIB = 1024**3
# gpu-facts 6.1: KAITO's constants, and the share of memory that vLLM is left with.
WEIGHT_EXPANSION, BASE_OVERHEAD_GIB, OVERHEAD_SHARE, USABLE_SHARE = 1.02, 2.3, 0.05, 0.84
LONGEST_TRY = 600  # the model's bound of policies.timeoutSeconds
BYTES_OF_16_BIT = {"fp32": 2.0, "fp16": 1.0, "int8": 0.5 * 1.06, "int4": 0.25 * 1.06}
KV_BYTES = 2  # the cache stays in 16 bits whatever the weights are


def kv_gib(model: ModelCard, deployment: InferenceDeployment) -> float:
    """Memory in GiB that the sessions of one copy take when their contexts are full (gpu-facts 6.1)."""
    copies = deployment.replicas * max(deployment.gpus // _gpus_a_copy(deployment), 1)
    sessions = ceil(deployment.slo.concurrent_sessions / copies)
    per_token = 2 * model.layers * model.kv_heads * model.head_dim * KV_BYTES
    return per_token * deployment.context_tokens * sessions / GIB


def _gpus_a_copy(deployment: InferenceDeployment) -> int:
    """GPUs that hold one copy of the model together; a replica with more of them holds several copies."""
    return deployment.tensor_parallel or max(deployment.gpus, 1)


def needed_gib(model: ModelCard, deployment: InferenceDeployment) -> float:
    """GPU memory in GiB that one replica needs on each of its GPUs (gpu-facts 6.1)."""
    gpus = _gpus_a_copy(deployment)
    weights = model.weights_gib * BYTES_OF_16_BIT[deployment.precision] * WEIGHT_EXPANSION
    overhead = BASE_OVERHEAD_GIB + OVERHEAD_SHARE * weights / gpus + deployment.pinned_gib
    return (weights + kv_gib(model, deployment)) / gpus + overhead


def _fits(site: Site, inventory: Inventory) -> Iterator[Finding]:
    spec = site.spec
    for name, deployment in spec.inference.items():
        path = ("inference", name)
        model = inventory.models.get(deployment.model)
        if model is None:
            yield Finding(
                (*path, "model"),
                f"there is no model {deployment.model!r}",
                did_you_mean(deployment.model, inventory.models),
            )
            continue
        if deployment.context_tokens > model.context_tokens:
            yield Finding(
                (*path, "contextTokens"),
                f"{deployment.model} was made for {model.context_tokens} tokens, "
                f"not {deployment.context_tokens}",
                f"at most 'contextTokens: {model.context_tokens}'",
            )
        pool = spec.kubernetes.node_pools.get(deployment.node_pool)
        if pool is None:
            yield Finding(
                (*path, "nodePool"),
                f"there is no node pool {deployment.node_pool!r}",
                did_you_mean(deployment.node_pool, spec.kubernetes.node_pools),
            )
            continue
        if deployment.accelerator != "gpu":
            continue
        size = catalog.vm_sizes().get(pool.vm_size)
        if deployment.gpus == 0:
            yield Finding((*path, "accelerator"), f"{name} runs on GPUs but takes none", "add 'gpus: 1'")
        elif not pool.gpu:
            yield Finding(
                (*path, "nodePool"),
                f"the node pool {deployment.node_pool!r} has no GPU for {name}",
                "name a GPU pool",
            )
        elif (memory := usable_gib(spec, pool, deployment)) is None or size is None or size.gpus == 0:
            continue  # GPU001 or GPU009 has said what is wrong with the pool
        elif deployment.gpus > size.gpus:
            yield Finding(
                (*path, "gpus"),
                f"{name} takes {deployment.gpus} GPUs a replica; a {pool.vm_size} has {size.gpus}",
                f"at most 'gpus: {size.gpus}'",
            )
        else:
            usable = _usable(spec, pool, deployment, memory)
            yield from _memory(name, deployment, model, usable, _part(spec, pool, deployment))


def _runtime(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, deployment in site.spec.inference.items():
        if deployment.runtime == "vllm" and deployment.accelerator == "cpu":
            yield Finding(
                ("inference", name, "runtime"),
                "vLLM is served from GPUs only here",
                "'runtime: foundry-local'",
            )
        if deployment.accelerator == "cpu" and deployment.gpus:
            yield Finding(
                ("inference", name, "gpus"),
                f"{name} runs on CPU and takes {deployment.gpus} GPUs",
                "'gpus: 0'",
            )


def _usable(spec: SiteSpec, pool: NodePool, deployment: InferenceDeployment, memory: float) -> float:
    """GiB that a replica's model and cache get of `memory`, its part of a card.

    vLLM's own share is of the whole card, also where fractions or time slices share it, and of the instance
    where MIG does.
    """
    part = 1.0 if cut(spec, pool) else (deployment.gpu_fraction or 1) / shares_a_card(spec, pool)
    return min(memory * USABLE_SHARE, memory / part * deployment.gpu_memory_utilization)


def _part(spec: SiteSpec, pool: NodePool, deployment: InferenceDeployment) -> str:
    """In words, what a replica has: the card, or its part of one."""
    slices, card = cut(spec, pool), spec.gpu.model if spec.gpu else ""
    if slices is not None:
        return f"{deployment.mig_profile or next(iter(slices.profiles))} of {card}"
    part = (deployment.gpu_fraction or 1) / shares_a_card(spec, pool)
    return card if part == 1 else f"{part:.0%} of {card}"


def _pool_has_gpus(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    wanted: dict[str, list[float]] = {}
    for name, deployment, pool in deployments_on_gpus(spec):
        there = cards(pool) * shares_a_card(spec, pool)
        asked = wanted.setdefault(deployment.node_pool, [])
        asked += [deployment.gpu_fraction or deployment.gpus] * deployment.replicas
        taken = cards_taken(asked)
        if not 0 < there < taken:
            continue
        parts = any(ask < 1 for ask in asked)
        yield Finding(
            ("inference", name, "replicas"),
            f"{taken} GPUs are asked of the node pool {deployment.node_pool!r}, which has {there}"
            + (f": fractions of a card are {CARD_SHARE:g} of it together at most" if parts else ""),
            "smaller fractions, fewer replicas, or a larger pool"
            if parts
            else "fewer replicas, or a larger pool",
        )


def _node_memory(site: Site, inventory: Inventory) -> Iterator[Finding]:
    """On CPU the weights stand in the node's memory; a replica is given half of it (fleet/render)."""
    spec, sizes = site.spec, catalog.vm_sizes()
    for name, deployment in spec.inference.items():
        model = inventory.models.get(deployment.model)
        pool = spec.kubernetes.node_pools.get(deployment.node_pool)
        size = sizes.get(pool.vm_size) if pool else None
        if deployment.accelerator != "cpu" or model is None or size is None:
            continue
        if deployment.memory_gib is not None:
            continue  # its limit is that and not half of the node: INF014 and INF015
        need = model.weights_gib * BYTES_OF_16_BIT[deployment.precision] * WEIGHT_EXPANSION + kv_gib(
            model, deployment
        )
        if need > size.memory_gib / 2:
            yield Finding(
                ("inference", name, "model"),
                f"{deployment.model} in {deployment.precision} takes {need:.1f} GiB; "
                f"half of a {size.name} is {size.memory_gib / 2:.0f}",
                "a smaller precision, fewer sessions, or a larger VM size",
            )


def _cache(site: Site, inventory: Inventory) -> Iterator[Finding]:
    """The versions before stay until the new one has proven itself (requirement I6)."""
    spec = site.spec
    if spec.model_cache is None:
        return
    sizes = {
        (d.package, d.model, d.precision): model_gib(d, inventory)
        for d in spec.inference.values()
        if d.model in inventory.models
    }
    versions = spec.model_cache.keep_versions
    need = versions * sum(sizes.values())
    if need > spec.model_cache.storage_gib:
        yield Finding(
            ("modelCache", "storageGib"),
            f"the site's models take {need:.0f} GiB in {versions} versions each; "
            f"the cache has {spec.model_cache.storage_gib}",
            f"at least 'storageGib: {ceil(need)}'",
        )


def model_gib(deployment: InferenceDeployment, inventory: Inventory) -> float:
    """Size of a deployment's model on disk in GiB: the package's where one is named; 0 when not known."""
    package = packages(inventory).get(deployment.package) if deployment.package else None
    if package is not None:
        return package.size_gib
    model = inventory.models.get(deployment.model)
    return model.weights_gib * BYTES_OF_16_BIT[deployment.precision] if model else 0


def _slo_and_timeout(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    for name, agent in spec.agents.items():
        deployment = spec.inference.get(agent.inference)
        if deployment is None:
            continue
        promised = (deployment.slo.p95_ms + deployment.slo.queue_delay_ms) / 1000
        if promised > agent.policies.timeout_seconds:
            yield Finding(
                ("agents", name, "policies", "timeoutSeconds"),
                f"{name!r} gives up after {agent.policies.timeout_seconds} s; "
                f"{agent.inference!r} may take {promised:.0f} s by its own promise",
                _patience(agent.policies, ceil(promised)),
            )


def _patience(policies: AgentPolicies, seconds: int) -> str:
    """What to type so that a try may take so many seconds and the last one still ends in time (AGT006)."""
    if seconds > LONGEST_TRY:
        return f"a promise of {LONGEST_TRY} s at most: 'p95Ms' and 'queueDelayMs' of the deployment"
    deadline, tries = policies.deadline_seconds, 1 + policies.max_retries
    if deadline is None or seconds * tries <= deadline:
        return f"at least 'timeoutSeconds: {seconds}'"
    longer = f"'deadlineSeconds: {seconds * tries}'"
    if seconds <= deadline:
        longer += f" or 'maxRetries: {deadline // seconds - 1}'"
    return f"at least 'timeoutSeconds: {seconds}', with {longer}"


def _memory(
    name: str, deployment: InferenceDeployment, model: ModelCard, usable: float, part: str
) -> Iterator[Finding]:
    need = needed_gib(model, deployment)
    if need > usable:
        yield Finding(
            ("inference", name, "model"),
            f"{deployment.model} in {deployment.precision} does not fit: "
            f"{need:.1f} GiB a GPU of {usable:.1f} usable on {part}",
            _what_fits(deployment, model, usable),
        )


def _what_fits(deployment: InferenceDeployment, model: ModelCard, usable: float) -> str:
    """The smallest change that makes it fit, as something to type."""
    spread = deployment.model_copy(update={"tensor_parallel": None})
    if model.kv_heads % max(deployment.gpus, 1) == 0 and needed_gib(model, spread) <= usable:
        return f"'tensorParallel: {deployment.gpus}' fits: one copy over all GPUs of a replica"
    for precision in ("int8", "int4"):
        smaller = BYTES_OF_16_BIT[precision] < BYTES_OF_16_BIT[deployment.precision]
        if smaller and needed_gib(model, deployment.model_copy(update={"precision": precision})) <= usable:
            return f"'precision: {precision}' fits"
    context = deployment.context_tokens // 2
    while context >= 1024:
        if needed_gib(model, deployment.model_copy(update={"context_tokens": context})) <= usable:
            return f"'contextTokens: {context}' fits, or fewer concurrent sessions"
        context //= 2
    return "choose a smaller model or a larger GPU"


RULES = (
    Rule(
        code="INF002",
        summary="the runtime and the accelerator go together",
        source="facts 3.2 (vllm: gpu only)",
        check_site=_runtime,
    ),
    Rule(
        code="INF003",
        summary="a node pool has the GPUs that its deployments take",
        source="facts 1.9",
        check_site=_pool_has_gpus,
    ),
    Rule(
        code="INF004",
        summary="a model served on CPU fits the memory of its node",
        source="gpu-facts 6.1, facts 3.4",
        check_site=_node_memory,
    ),
    Rule(
        code="INF005",
        summary="the model cache holds every version that is kept",
        source="requirement I6, gpu-facts 7.6",
        check_site=_cache,
    ),
    Rule(
        code="INF006",
        summary="an agent waits as long as its inference may take",
        source="requirements G24, M14, O1",
        check_site=_slo_and_timeout,
    ),
    Rule(
        code="INF001",
        summary="a model fits the node pool and the GPU that it is served from",
        source="gpu-facts 6.1 (KAITO's estimator), facts 1.9",
        check_site=_fits,
    ),
)
