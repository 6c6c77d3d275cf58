"""Rules about KAI Scheduler itself: its version, and how it sees the nodes."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.model.kubernetes import Kai

from .queues import kai_of

HOSTNAME = "kubernetes.io/hostname"


def _minor(kai: Kai) -> str:
    return kai.version.rpartition(".")[0]


def _retracted(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is not None and _minor(kai) in catalog.scheduling().retracted:
        yield Finding(
            ("gpu", "kai", "version"),
            f"{kai.version} of KAI was retracted",
            "'version: v0.16.8', which is supported until June 2027",
        )


def _long_support(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    if kai is None or site.spec.environment != "prod" or _minor(kai) in catalog.scheduling().retracted:
        return
    if int(kai.version.split(".")[1]) % 2:
        yield Finding(
            ("gpu", "kai", "version"),
            f"{kai.version} of KAI is supported only until the next minor",
            "an even minor, such as v0.16.8, is supported for a year",
        )


def _kubernetes(site: Site, _: Inventory) -> Iterator[Finding]:
    kai = kai_of(site)
    facts = catalog.scheduling()
    if kai is None or _minor(kai) in facts.retracted:
        return
    validated = facts.kubernetes.get(_minor(kai))
    if validated is None:
        yield Finding(
            ("gpu", "kai", "version"),
            f"with which Kubernetes KAI {_minor(kai)} was validated is not known here",
            f"a version of {', '.join(facts.kubernetes)}",
        )
        return
    major, minor, _patch = map(int, site.spec.kubernetes.version.split("."))
    least, newest = validated
    if not least <= (major, minor) <= newest:
        yield Finding(
            ("gpu", "kai", "version"),
            f"KAI {kai.version} was validated with Kubernetes {least[0]}.{least[1]} "
            f"to {newest[0]}.{newest[1]}; the cluster has {site.spec.kubernetes.version}",
            "another version of KAI, or of Kubernetes",
        )


def _topology(site: Site, _: Inventory) -> Iterator[Finding]:
    kai, most = kai_of(site), catalog.scheduling().topology_levels
    levels = kai.topology_levels if kai else ()
    path = ("gpu", "kai", "topologyLevels")
    if len(levels) > most:
        yield Finding(path, f"{len(levels)} topology levels; KAI takes {most}", "leave some out")
    for number, level in enumerate(levels):
        if level in levels[:number]:
            yield Finding((*path, number), f"the topology level {level!r} is listed twice", "leave one out")
        elif level == HOSTNAME and number != len(levels) - 1:
            yield Finding((*path, number), f"{HOSTNAME} is above {levels[number + 1]!r}", "it comes last")


RULES = (
    Rule(
        code="KAI001",
        summary="the version of KAI was not retracted",
        source="gpu-facts 1.1",
        check_site=_retracted,
    ),
    Rule(
        code="KAI002",
        summary="production runs a version of KAI that is supported for a year",
        source="gpu-facts 1.1 (SUPPORT.md: even minors)",
        severity="warning",
        check_site=_long_support,
    ),
    Rule(
        code="KAI003",
        summary="the version of KAI was validated with the cluster's Kubernetes",
        source="gpu-facts 1.1 (SUPPORT.md)",
        severity="warning",
        check_site=_kubernetes,
    ),
    Rule(
        code="KAI013",
        summary="topology levels are told apart, with the node last",
        source="gpu-facts 1.6",
        check_site=_topology,
    ),
)
