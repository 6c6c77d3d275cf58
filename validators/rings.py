"""Rules about rings."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule

ORDER = ("dev", "test", "prod")
"""How a change goes through environments (requirement N4)."""


def _every_ring_used(fleet: FleetFacts) -> Iterator[Finding]:
    for number, ring in enumerate(fleet.rings):
        if ring.name not in fleet.used_rings:
            yield Finding(
                ("rings", number, "name"),
                f"no site is in the ring {ring.name!r}",
                "put a site in it or remove it: an empty ring proves nothing to the rings after it",
            )


def _ring_and_environment(site: Site, _: Inventory) -> Iterator[Fact]:
    yield (site.spec.ring, site.spec.environment)


def _sizes(fleet: FleetFacts) -> Counter[str]:
    return Counter(ring for _, (ring, _environment) in fleet.rows)


def _canary(fleet: FleetFacts) -> Iterator[Finding]:
    if len(fleet.rings) < 2 or not fleet.complete:
        return
    sizes = _sizes(fleet)
    first, second = fleet.rings[0].name, fleet.rings[1].name
    if sizes[second] and sizes[first] > sizes[second]:
        yield Finding(
            ("rings", 0, "name"),
            f"the first ring has {sizes[first]} sites, more than the {sizes[second]} of the next",
            "let a few sites go first, and move the others to a later ring",
        )


def _soaks_grow(fleet: FleetFacts) -> Iterator[Finding]:
    # The last ring has nothing after it that its soak would hold back.
    for number, (before, ring) in enumerate(pairwise(fleet.rings[:-1]), 1):
        if ring.soak_minutes < before.soak_minutes:
            yield Finding(
                ("rings", number, "soakMinutes"),
                f"{ring.name!r} soaks for {ring.soak_minutes} minutes, "
                f"less than the {before.soak_minutes} of {before.name!r} before it",
                f"'soakMinutes: {before.soak_minutes}' or more: later rings hold more sites",
            )


def _some(fleet: FleetFacts) -> Iterator[Finding]:
    for number, ring in enumerate(fleet.rings):
        for key, share in (("maxConcurrent", ring.max_concurrent), ("maxUnavailable", ring.max_unavailable)):
            if share == "0%":
                yield Finding(
                    ("rings", number, key),
                    f"no site of {ring.name!r} may ever change",
                    "'1%' or more, or '1'",
                )


def sites_of(share: str, size: int) -> int:
    """How many of `size` sites a share is, `3` or `25%`: rounded down, at least one (rollout facts B6)."""
    return max(1, size * int(share[:-1]) // 100) if share.endswith("%") else int(share)


def _within_unavailable(fleet: FleetFacts) -> Iterator[Finding]:
    sizes = _sizes(fleet)
    for number, ring in enumerate(fleet.rings):
        size = sizes[ring.name]
        if ring.max_concurrent is None or ring.max_unavailable is None or not size:
            continue
        concurrent, unavailable = sites_of(ring.max_concurrent, size), sites_of(ring.max_unavailable, size)
        if concurrent > unavailable:
            yield Finding(
                ("rings", number, "maxConcurrent"),
                f"{concurrent} sites may change at once, and {unavailable} may be unavailable",
                f"'maxConcurrent: \"{unavailable}\"', or a higher 'maxUnavailable'",
            )


def _stops(fleet: FleetFacts) -> Iterator[Finding]:
    if not fleet.complete:
        return
    sizes = _sizes(fleet)
    for number, ring in enumerate(fleet.rings):
        if 0 < sizes[ring.name] <= ring.max_failures:
            yield Finding(
                ("rings", number, "maxFailures"),
                f"all {sizes[ring.name]} sites of {ring.name!r} may fail without stopping the rollout",
                f"'maxFailures: {sizes[ring.name] - 1}' at most; 0 stops at the first",
            )


def _one_environment(fleet: FleetFacts) -> Iterator[Finding]:
    inside: dict[str, set[str]] = {}
    for _, (ring, environment) in fleet.rows:
        inside.setdefault(ring, set()).add(environment)
    for number, ring in enumerate(fleet.rings):
        found = [environment for environment in ORDER if environment in inside.get(ring.name, ())]
        if len(found) > 1:
            yield Finding(
                ("rings", number, "name"),
                f"the ring {ring.name!r} has sites of {' and '.join(found)}",
                "a ring for each, so that production changes only after the others",
            )


def _environments_in_order(fleet: FleetFacts) -> Iterator[Finding]:
    place = {ring.name: number for number, ring in enumerate(fleet.rings)}
    first: dict[str, tuple[int, str]] = {}  # where each environment begins, and with which site
    for site, (ring, environment) in fleet.rows:
        here = (place[ring], site)
        first[environment] = min(first.get(environment, here), here)
    for site, (ring, environment) in fleet.rows:
        for later in ORDER[ORDER.index(environment) + 1 :]:
            if later in first and first[later][0] < place[ring]:
                number, other = first[later]
                yield Finding(
                    ("ring",),
                    f"{site}, a site of {environment}, changes after {fleet.rings[number].name!r}, "
                    f"which has sites of {later}",
                    "an earlier ring: what fails there should not have reached the next environment",
                    site=site,
                    others=(other,),
                )
                break


RULES = (
    Rule(
        code="RNG001",
        summary="every ring has a site",
        source="reference/rollout.md B6: every target site in exactly one wave",
        across=Across(_every_ring_used),
    ),
    Rule(
        code="RNG002",
        summary="the first ring is no larger than the next",
        source="reference/rollout.md B6: canary = real production, small, then grow",
        severity="warning",
        across=Across(_canary, _ring_and_environment),
    ),
    Rule(
        code="RNG003",
        summary="later rings soak as long as those before them",
        source="reference/rollout.md B6: soak longer in later waves",
        severity="warning",
        across=Across(_soaks_grow),
    ),
    Rule(
        code="RNG004",
        summary="at least one site of a ring may change",
        source="reference/rollout.md B6: maxConcurrency at least 1",
        across=Across(_some),
    ),
    Rule(
        code="RNG005",
        summary="no more sites of a ring change at once than may be unavailable",
        source="reference/rollout.md B6: maxUnavailable counts already-unhealthy sites as well",
        severity="warning",
        across=Across(_within_unavailable, _ring_and_environment),
    ),
    Rule(
        code="RNG006",
        summary="a rollout stops before every site of a ring has failed",
        source="reference/rollout.md B6: never report Completed with 0% success",
        severity="warning",
        across=Across(_stops, _ring_and_environment),
    ),
    Rule(
        code="RNG007",
        summary="a ring has sites of one environment",
        source="requirements A23, N4",
        severity="warning",
        across=Across(_one_environment, _ring_and_environment),
    ),
    Rule(
        code="RNG008",
        summary="a change reaches dev before test, and test before production",
        source="requirements A23, N4",
        severity="warning",
        across=Across(_environments_in_order, _ring_and_environment),
    ),
)
