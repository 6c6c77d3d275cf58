"""Rules about cutting GPUs into MIG instances."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.inventory.source import Path
from fleet.model.kubernetes import MigSlices, NodePool

from .shares import cards, cut, deployments_on_gpus, profile_size


def _cut_pools(site: Site) -> Iterator[tuple[str, NodePool, MigSlices, Path]]:
    if site.spec.gpu is None or site.spec.gpu.sharing != "mig":
        return
    for name, pool in site.spec.kubernetes.node_pools.items():
        slices = cut(site.spec, pool)
        if slices is not None:
            yield name, pool, slices, ("kubernetes", "nodePools", name, "mig")


def _able(site: Site) -> catalog.GpuModel | None:
    """The site's card, where it can be cut; GPU001 and GPU004 have spoken about any other."""
    card = catalog.gpu_models().get(site.spec.gpu.model) if site.spec.gpu else None
    return card if card is not None and card.mig else None


def _known_profiles(site: Site, _: Inventory) -> Iterator[Finding]:
    for _name, _pool, slices, path in _cut_pools(site):
        card = _able(site)
        for profile in slices.profiles:
            if card is not None and profile not in card.mig:
                yield Finding(
                    (*path, "profiles", profile),
                    f"a {card.name} has no MIG profile {profile!r}",
                    f"one of {', '.join(card.mig)}",
                )


def _profiles_fit(site: Site, _: Inventory) -> Iterator[Finding]:
    for _name, _pool, slices, path in _cut_pools(site):
        card = _able(site)
        if card is None or any(p not in card.mig for p in slices.profiles):
            continue
        sizes = [(profile_size(profile), number) for profile, number in slices.profiles.items()]
        used = sum(size[0] * number for size, number in sizes if size)
        if used > card.mig_slices:
            yield Finding(
                (*path, "profiles"),
                f"the MIG profiles take {used} slices; a {card.name} has {card.mig_slices}",
                "fewer instances: the number before 'g' is what one takes",
            )


def _single_is_equal(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, _pool, slices, path in _cut_pools(site):
        if slices.strategy == "single" and len(slices.profiles) > 1:
            yield Finding(
                (*path, "strategy"),
                f"the strategy 'single' takes one profile; {name!r} has {', '.join(slices.profiles)}",
                "'strategy: mixed', or one profile",
            )


def _sharing_says_so(site: Site, _: Inventory) -> Iterator[Finding]:
    gpu, pools = site.spec.gpu, site.spec.kubernetes.node_pools
    sharing = gpu.sharing if gpu is not None else "none"
    if sharing != "mig":
        for name, pool in pools.items():
            if pool.mig is not None:
                yield Finding(
                    ("kubernetes", "nodePools", name, "mig"),
                    f"the node pool {name!r} is cut into MIG instances at a site with 'sharing: {sharing}'",
                    "'gpu: {sharing: mig}', or leave 'mig' out",
                )
    elif _able(site) is not None and not any(pool.mig and pool.gpu for pool in pools.values()):
        yield Finding(
            ("gpu", "sharing"),
            "no GPU pool says how its cards are cut",
            "add 'mig: {profiles: {…: …}}' to a GPU pool, or 'sharing: none'",
        )


def _names_a_slice(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    for name, deployment in spec.inference.items():
        pool = spec.kubernetes.node_pools.get(deployment.node_pool)
        if pool is None:
            continue
        slices = cut(spec, pool)
        path = ("inference", name, "migProfile")
        if slices is None or slices.strategy == "single":
            if deployment.mig_profile is not None:
                why = "offers its slices as whole GPUs" if slices else "is not cut into MIG instances"
                yield Finding(
                    path,
                    f"{name} asks for {deployment.mig_profile}; the node pool {deployment.node_pool!r} {why}",
                    "leave 'migProfile' out, or 'strategy: mixed'",
                )
        elif deployment.accelerator == "gpu" and deployment.mig_profile not in slices.profiles:
            asked = f"asks for {deployment.mig_profile}" if deployment.mig_profile else "names no MIG profile"
            yield Finding(
                path,
                f"{name} {asked}; the node pool {deployment.node_pool!r} offers "
                f"{', '.join(slices.profiles)} only",
                did_you_mean(deployment.mig_profile or "", slices.profiles),
            )


def _enough_slices(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.gpu is None or site.spec.gpu.sharing != "mig":
        return
    wanted: dict[tuple[str, str], int] = {}
    for name, deployment, pool in deployments_on_gpus(site.spec):
        slices, profile = cut(site.spec, pool), deployment.mig_profile
        if slices is None or slices.strategy != "mixed" or profile not in slices.profiles:
            continue
        key = (deployment.node_pool, profile)
        wanted[key] = wanted.get(key, 0) + deployment.replicas
        there = cards(pool) * slices.profiles[profile]
        if 0 < there < wanted[key]:
            yield Finding(
                ("inference", name, "replicas"),
                f"{wanted[key]} instances of {profile} are asked of the node pool "
                f"{deployment.node_pool!r}, which has {there}",
                "fewer replicas, more instances a card, or a larger pool",
            )


RULES = (
    Rule(
        code="GPU005",
        summary="a MIG profile is one of the card's",
        source="gpu-facts 2.6, requirement H3",
        check_site=_known_profiles,
    ),
    Rule(
        code="GPU006",
        summary="the MIG instances of a card fit its slices",
        source="gpu-facts 2.6",
        check_site=_profiles_fit,
    ),
    Rule(
        code="GPU007",
        summary="the MIG strategy single has one profile",
        source="gpu-facts 1.11, 2.3",
        check_site=_single_is_equal,
    ),
    Rule(
        code="GPU008",
        summary="node pools say how cards are cut where the site shares by MIG, and only there",
        source="requirement H3",
        check_site=_sharing_says_so,
    ),
    Rule(
        code="GPU009",
        summary="a deployment asks for the MIG instances that its node pool offers",
        source="gpu-facts 1.11 (mixed: only nvidia.com/mig-*, single: only whole GPUs)",
        check_site=_names_a_slice,
    ),
    Rule(
        code="GPU010",
        summary="a node pool has the MIG instances that its deployments take",
        source="gpu-facts 2.6, requirement H3",
        check_site=_enough_slices,
    ),
)
