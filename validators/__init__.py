"""The rules: one module a topic, each rule a small function, its page in `rules/CODE.md`."""

from . import agents, connectivity, gpu, images, inference, network, rings, secrets

RULES = (
    *agents.RULES,
    *connectivity.RULES,
    *gpu.RULES,
    *images.RULES,
    *inference.RULES,
    *network.RULES,
    *rings.RULES,
    *secrets.RULES,
)
