"""Sites in which the same would change, as one group: what a reviewer of a thousand sites can read.

Two sites have the same change when operations, types, properties and files are equal once the names that
belong to one site alone (its own, its nodes') are taken out of them.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.model.site import SiteSpec
from fleet.plan.comparison import SiteComparison
from fleet.plan.site_plan import SitePlan

Words = Mapping[str, str]
"""A site's own words, each with what stands for it."""

Line = tuple[str, str, str, tuple[str, ...]]
"""One change: operation, type of resource (or `manifest`), name without the site's own words, properties."""

MAJORITY = 0.5
"""More than this share of a ring has to have the same change for others to differ from it."""


def own_words(spec: SiteSpec) -> dict[str, str]:
    """The names that the resources of a site are called by and no other site's are."""
    local = spec.azure_local
    words = {node.name: "NODE" for node in local.nodes}
    words |= {local.cluster_name: "CLUSTER", local.key_vault: "VAULT", spec.kubernetes.name: "AKS"}
    return words | {spec.name: "SITE"}


@dataclass(frozen=True)
class ChangeGroup:
    """Sites with the same change, in the order that they were given; `first` is one of them."""

    first: SiteComparison
    plans: tuple[SitePlan, ...]
    lines: Mapping[Line, int]
    """What changes, and how often at one site (twice for a site of two nodes)."""

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the sites."""
        return tuple(plan.site for plan in self.plans)

    @cached_property
    def rings(self) -> Mapping[str, int]:
        """How many of the sites each ring has."""
        return Counter(plan.ring for plan in self.plans)


@dataclass(frozen=True)
class Deviation:
    """Sites of a ring whose change is not that of most of the ring, and in what: `more` than it, `less`."""

    ring: str
    sites: tuple[str, ...]
    of: int
    """How many sites of the ring have the majority's change."""
    more: Mapping[Line, int]
    less: Mapping[Line, int]


def grouped(
    comparisons: Iterable[SiteComparison], words: Mapping[str, Words] | None = None
) -> list[ChangeGroup]:
    """The groups, the largest first, then in the order of their first sites.

    `words` are each site's `own_words`; a site without is known by its name alone.
    """
    found: dict[object, tuple[SiteComparison, list[SitePlan], Counter[Line]]] = {}
    for comparison in comparisons:
        plan = comparison.plan
        own = (words or {}).get(plan.site) or {plan.site: "SITE"}
        lines = Counter(change_lines(plan, own))
        fields = tuple((f.path, _json(f.before), _json(f.after)) for f in comparison.fields)
        general = _Generaliser(own)
        key = (
            comparison.standing, frozenset(lines.items()), fields,
            tuple(map(general, plan.pending)), tuple(map(general, plan.ignored)),
        )  # fmt: skip
        found.setdefault(key, (comparison, [], lines))[1].append(plan)
    groups = [ChangeGroup(first, tuple(plans), lines) for first, plans, lines in found.values()]
    return sorted(groups, key=lambda group: -len(group.plans))


def change_lines(plan: SitePlan, words: Words) -> Iterator[Line]:
    """What would change at a site, without the site's own words; a new resource is new in all it has."""
    general = _Generaliser(words)
    for change in plan.changes:
        paths = () if change.op == "create" else change.paths
        yield change.op, general(change.type), general(change.name), tuple(map(general, paths))
    files = plan.files
    for op, names in (("add", files.added), ("change", files.changed), ("remove", files.removed)):
        for name in names:
            yield op, "manifest", general(name), ()


def deviations(groups: Sequence[ChangeGroup], ring_sizes: Mapping[str, int]) -> list[Deviation]:
    """Sites that do not change as most of their ring does. `ring_sizes`: sites planned, by ring.

    A ring whose majority is unchanged has no group for it: a site that changes there deviates from nothing
    changing. Where no change is shared by more than half of a ring, none of its sites deviates.
    """
    found = []
    for ring, size in ring_sizes.items():
        here = [(group, group.rings[ring]) for group in groups if group.rings.get(ring)]
        still = size - sum(count for _, count in here)
        most = max((count for _, count in here), default=0)
        if max(most, still) <= size * MAJORITY:
            continue
        usual: Counter[Line] = Counter()
        if most > still:
            usual = Counter(next(group.lines for group, count in here if count == most))
        for group, count in here:
            if most > still and count == most:
                continue
            sites = tuple(plan.site for plan in group.plans if plan.ring == ring)
            own = Counter(group.lines)
            found.append(Deviation(ring, sites, max(most, still), own - usual, usual - own))
    return found


def without_majority(groups: Sequence[ChangeGroup], ring_sizes: Mapping[str, int]) -> list[str]:
    """Rings that have no majority to differ from."""
    rings = []
    for ring, size in ring_sizes.items():
        counts = [group.rings.get(ring, 0) for group in groups]
        if size and max([*counts, size - sum(counts)]) <= size * MAJORITY:
            rings.append(ring)
    return rings


def kinds(groups: Iterable[ChangeGroup]) -> dict[tuple[str, str], tuple[int, int]]:
    """Each kind of change (operation, type): how many resources it meets, and at how many sites."""
    resources: dict[tuple[str, str], int] = defaultdict(int)
    sites: dict[tuple[str, str], int] = defaultdict(int)
    for group in groups:
        here: Counter[tuple[str, str]] = Counter()
        for (op, kind, _, _), times in group.lines.items():
            here[op, kind] += times
        for key, times in here.items():
            resources[key] += times * len(group.plans)
            sites[key] += len(group.plans)
    return {key: (resources[key], sites[key]) for key in sorted(resources)}


class _Generaliser:
    """Replaces whole words only, the longest first: a node named `a` is not found in `aks`."""

    def __init__(self, words: Words) -> None:
        self._words = words
        some = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)
        self._pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{some})(?![A-Za-z0-9])") if some else None

    def __call__(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._words[match[0]], text)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
