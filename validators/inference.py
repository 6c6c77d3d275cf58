"""Rules about served models."""

from collections.abc import Iterator
from math import ceil

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.fleet import ModelCard
from fleet.model.site import InferenceDeployment

GIB = 1024**3
# gpu-facts 6.1: KAITO's constants, and the share of memory that vLLM is left with.
WEIGHT_EXPANSION, BASE_OVERHEAD_GIB, OVERHEAD_SHARE, USABLE_SHARE = 1.02, 2.3, 0.05, 0.84
BYTES_OF_16_BIT = {"fp16": 1.0, "int8": 0.5 * 1.06, "int4": 0.25 * 1.06}
KV_BYTES = 2  # the cache stays in 16 bits whatever the weights are


def needed_gib(model: ModelCard, deployment: InferenceDeployment) -> float:
    """GPU memory in GiB that one replica needs on each of its GPUs (gpu-facts 6.1)."""
    gpus = max(deployment.gpus, 1)
    weights = model.weights_gib * BYTES_OF_16_BIT[deployment.precision] * WEIGHT_EXPANSION
    sessions = ceil(deployment.slo.concurrent_sessions / deployment.replicas)
    kv_per_token = 2 * model.layers * model.kv_heads * model.head_dim * KV_BYTES
    kv = kv_per_token * deployment.context_tokens * sessions / GIB
    return (weights + kv) / gpus + BASE_OVERHEAD_GIB + OVERHEAD_SHARE * weights / gpus


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
        if deployment.accelerator == "cpu":
            continue
        size = catalog.vm_sizes().get(pool.vm_size)
        card = catalog.gpu_models().get(spec.gpu.model) if spec.gpu else None
        if deployment.gpus == 0:
            yield Finding((*path, "accelerator"), f"{name} runs on GPUs but takes none", "add 'gpus: 1'")
        elif not pool.gpu:
            yield Finding(
                (*path, "nodePool"),
                f"the node pool {deployment.node_pool!r} has no GPU for {name}",
                "name a GPU pool",
            )
        elif card is None or size is None or size.gpus == 0:
            continue  # GPU001 has said what is wrong with the pool
        elif deployment.gpus > size.gpus:
            yield Finding(
                (*path, "gpus"),
                f"{name} takes {deployment.gpus} GPUs a replica; a {pool.vm_size} has {size.gpus}",
                f"at most 'gpus: {size.gpus}'",
            )
        else:
            yield from _memory(name, deployment, model, card)


def _memory(
    name: str, deployment: InferenceDeployment, model: ModelCard, card: catalog.GpuModel
) -> Iterator[Finding]:
    usable = card.memory_gib * USABLE_SHARE
    need = needed_gib(model, deployment)
    if need > usable:
        yield Finding(
            ("inference", name, "model"),
            f"{deployment.model} in {deployment.precision} does not fit: "
            f"{need:.1f} GiB a GPU of {usable:.1f} usable on {card.name}",
            _what_fits(deployment, model, usable),
        )


def _what_fits(deployment: InferenceDeployment, model: ModelCard, usable: float) -> str:
    """The smallest change that makes it fit, as something to type."""
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
        code="INF001",
        summary="a model fits the node pool and the GPU that it is served from",
        source="gpu-facts 6.1 (KAITO's estimator), facts 1.9",
        check_site=_fits,
    ),
)
