"""The rules: one module a topic, each rule a small function."""

from . import (
    addresses,
    agents,
    arc,
    azure_local,
    connectivity,
    fleet_wide,
    gpu,
    images,
    inference,
    kubernetes,
    network,
    rings,
    secrets,
)

RULES = (
    *addresses.RULES,
    *agents.RULES,
    *arc.RULES,
    *azure_local.RULES,
    *connectivity.RULES,
    *fleet_wide.RULES,
    *gpu.RULES,
    *images.RULES,
    *inference.RULES,
    *kubernetes.RULES,
    *network.RULES,
    *rings.RULES,
    *secrets.RULES,
)
