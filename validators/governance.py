"""Rules about what an organisation allows, and whether a site keeps within its boundary."""

from collections.abc import Iterator, Mapping

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule
from fleet.inventory.source import Path
from fleet.model.site import SiteSpec

from .agents import EVERYWHERE
from .services import stores


def previews(spec: SiteSpec) -> Mapping[str, Path]:
    """The preview components that a site uses, by the names of `governance.preview`, and where."""
    known = catalog.operating()
    used: dict[str, Path] = {}
    for name, deployment in spec.inference.items():
        component = known.preview_runtimes.get(deployment.runtime)
        if component is not None:
            used.setdefault(component, ("inference", name, "runtime"))
    if spec.gpu is not None and spec.gpu.model in known.preview_gpus:
        used[known.preview_gpus[spec.gpu.model]] = ("gpu", "model")
    if spec.azure_local.pattern == "low-capacity":
        used[known.preview_low_capacity] = ("azureLocal", "pattern")
    if spec.sandboxes:
        used[known.preview_sandboxes] = ("sandboxes",)
    if spec.services.mcp_registry is not None:
        used[known.preview_mcp_registry] = ("services", "mcpRegistry")
    return used


def _accepted(site: Site, _: Inventory) -> Iterator[Finding]:
    accepted = {preview.component for preview in site.spec.governance.preview}
    for component, path in previews(site.spec).items():
        if component not in accepted:
            yield Finding(
                path,
                f"{component} is a preview, and nobody has accepted it for this site",
                f"under 'governance.preview': {{component: {component}, by: …, date: …}}",
            )


def _preview_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    for component in previews(site.spec):
        yield ("used", component)
    for number, preview in enumerate(site.spec.governance.preview):
        yield ("accepted", preview.component, "governance", "preview", number, "component")


def _unused_acceptance(fleet: FleetFacts) -> Iterator[Finding]:
    if not fleet.complete:
        return
    used = {fact[1] for _, fact in fleet.rows if fact[0] == "used"}
    told: set[str] = set()
    for site, (kind, component, *path) in fleet.rows:
        if kind == "accepted" and component not in used and component not in told:
            told.add(component)
            yield Finding(
                tuple(path),
                f"{component} is accepted, and no site uses it",
                "take it out: what is accepted in advance is not looked at when it comes",
                site=site,
            )


def _review(site: Site, _: Inventory) -> Iterator[Finding]:
    for number, preview in enumerate(site.spec.governance.preview):
        if preview.review is not None and preview.review <= preview.date:  # ISO dates sort as text
            yield Finding(
                ("governance", "preview", number, "review"),
                f"the review of {preview.component} is on {preview.review}, "
                f"not after it was accepted on {preview.date}",
                "a later 'review'",
            )


def _enough_reasons(site: Site, _: Inventory) -> Iterator[Finding]:
    suitability, least = site.spec.governance.suitability, catalog.operating().suitability_reasons_min
    if suitability is not None and len(set(suitability.reasons)) < least:
        yield Finding(
            ("governance", "suitability", "reasons"),
            f"{len(set(suitability.reasons))} of the five reasons to run on premises hold, not most of them",
            "ask whether this site is the place for it, or name the other reasons",
        )


def _elastic_peaks(site: Site, _: Inventory) -> Iterator[Finding]:
    suitability = site.spec.governance.suitability
    if suitability is not None and suitability.elastic_peaks:
        yield Finding(
            ("governance", "suitability", "elasticPeaks"),
            "peaks that nobody can foresee meet a site whose hardware does not grow",
            "serve them where capacity is rented; or say how high they are under 'capacity'",
        )


def _stability(site: Site, _: Inventory) -> Iterator[Finding]:
    suitability = site.spec.governance.suitability
    if suitability is None or not suitability.api_stability:
        return
    runtimes = catalog.operating().preview_runtimes
    for name, deployment in site.spec.inference.items():
        if deployment.runtime in runtimes:
            yield Finding(
                ("inference", name, "runtime"),
                f"a contract promises a stable API, and {deployment.runtime} is a preview",
                "'runtime: vllm', or 'apiStability: false'",
            )


def _hard(site: Site) -> bool:
    return site.spec.governance.boundary == "hard"


def _backups(site: Site, _: Inventory) -> Iterator[Finding]:
    if not _hard(site):
        return
    for key, store in stores(site.spec.services):
        if key == "metrics":  # they hold no prompts
            continue
        if store.backup is not None and store.backup.target.startswith("azblob:"):
            yield Finding(
                ("services", key, "backup", "target"),
                f"the boundary is hard, and the copies of {key}, which holds what was said, go to Azure",
                "a target on premises: s3://, nfs:// or smb://; or 'boundary: hybrid'",
            )


def _public_destinations(site: Site, _: Inventory) -> Iterator[Finding]:
    if not _hard(site):
        return
    for kind, things in (
        (
            "tools",
            {name: ("allowedDestinations", t.allowed_destinations) for name, t in site.spec.tools.items()},
        ),
        ("sandboxes", {name: ("egress", s.egress) for name, s in site.spec.sandboxes.items()}),
    ):
        for name, (key, destinations) in things.items():
            for number, destination in enumerate(destinations):
                cidr = destination.cidr
                if cidr.prefixlen <= EVERYWHERE or cidr.is_multicast:
                    continue  # TOL002, SBX005 and TOL014 say what is wrong with these
                if cidr.is_global:
                    yield Finding(
                        (kind, name, key, number, "cidr"),
                        f"the boundary is hard, and {name!r} may talk to {cidr} on the Internet",
                        "a destination of the site, or 'boundary: hybrid'",
                    )


def _guardrails(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.governance.guardrails != "none":
        return
    for name, tool in site.spec.tools.items():
        if tool.runs_code == "untrusted":
            yield Finding(
                ("tools", name, "runsCode"),
                f"{name!r} runs code that a model wrote, and nothing looks at what the model was told",
                "'governance: {guardrails: enforce}', or 'report' to begin with",
            )


RULES = (
    Rule(
        code="GOV001",
        summary="somebody has accepted each preview component that a site uses",
        source="requirements A19, P11; facts 1.8, 1.9, 3, 4",
        check_site=_accepted,
    ),
    Rule(
        code="GOV002",
        summary="a preview component that was accepted is used",
        source="requirement P11",
        severity="warning",
        across=Across(_unused_acceptance, _preview_facts),
    ),
    Rule(
        code="GOV003",
        summary="a preview is reviewed after it was accepted",
        source="requirement P11",
        check_site=_review,
    ),
    Rule(
        code="GOV004",
        summary="most of the reasons to run on premises hold",
        source="requirement A18",
        severity="warning",
        check_site=_enough_reasons,
    ),
    Rule(
        code="GOV005",
        summary="a site's peaks can be foreseen",
        source="requirement A19",
        severity="warning",
        check_site=_elastic_peaks,
    ),
    Rule(
        code="GOV006",
        summary="no preview serves where a stable API was promised",
        source="requirement A19",
        severity="warning",
        check_site=_stability,
    ),
    Rule(
        code="GOV007",
        summary="behind a hard boundary copies of stores stay on premises",
        source="requirements P2, M10",
        check_site=_backups,
    ),
    Rule(
        code="GOV008",
        summary="behind a hard boundary tools and sandboxes talk to no address on the Internet",
        source="requirements P2, E10",
        severity="warning",
        check_site=_public_destinations,
    ),
    Rule(
        code="GOV009",
        summary="guardrails are on where a model's code is run",
        source="requirements P4, F7",
        severity="warning",
        check_site=_guardrails,
    ),
)
