"""Rules about who looks after a site."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule
from fleet.model.services import Services
from fleet.model.site import SiteSpec

from .services import stores

_PHASES = ("foundation", "inference", "tools", "production")
"""Of `operations.phase`, in their order (requirements Q1 to Q5)."""


def _serves(spec: SiteSpec) -> bool:
    """Whether people depend on the site: before its last phase, or without agents, nobody does."""
    return spec.environment == "prod" and spec.operations.phase == "production" and bool(spec.agents)


def _break_glass(site: Site, _: Inventory) -> Iterator[Finding]:
    if _serves(site.spec) and site.spec.operations.break_glass is None:
        yield Finding(
            ("operations",),
            "nobody may change the cluster by hand in an emergency, so whoever must will do it unseen",
            "add 'operations: {breakGlass: {group: …, runbook: …}}'",
        )


def _on_call(site: Site, _: Inventory) -> Iterator[Finding]:
    if _serves(site.spec) and site.spec.operations.on_call is None:
        yield Finding(
            ("operations",),
            "nobody is told when the site fails",
            "add 'operations: {onCall: {contact: …}}'",
        )


def _owner(site: Site, _: Inventory) -> Iterator[Finding]:
    if _serves(site.spec) and site.spec.operations.owner is None:
        yield Finding(("operations",), "no team answers for the site", "add 'operations: {owner: TEAM}'")


def _stores(services: Services) -> bool:
    return any(store.backup is not None for key, store in stores(services) if key != "metrics")


NEEDED: Mapping[str, tuple[str, Callable[[SiteSpec], bool]]] = {
    "break-glass": ("breakGlass is set", lambda spec: spec.operations.break_glass is not None),
    "runtime-upgrade": ("models are served", lambda spec: bool(spec.inference)),
    "model-swap": (
        "a model package is served",
        lambda spec: any(d.package is not None for d in spec.inference.values()),
    ),
    "disconnected-sync": (
        "the site is disconnected",
        lambda spec: spec.connectivity.mode == "disconnected",
    ),
    "restore": ("stores are backed up", lambda spec: _stores(spec.services)),
}
"""Runbooks by what calls for them (requirement Q6, which names all but `restore`: requirement M16)."""


def _runbooks(site: Site, _: Inventory) -> Iterator[Finding]:
    if not _serves(site.spec):
        return
    written = site.spec.operations.runbooks
    for runbook, (why, needed) in NEEDED.items():
        if runbook not in written and needed(site.spec):
            yield Finding(
                ("operations", "runbooks"),
                f"{why}, and there is no runbook {runbook!r}",
                f"write it, and add {runbook!r} to 'operations.runbooks'",
            )


def _phase(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, phase = site.spec, site.spec.operations.phase
    there = (("inference", spec.inference), ("tools", spec.tools))
    later = [name for name, things in there if things and _PHASES.index(phase) < _PHASES.index(name)]
    if later:
        yield Finding(
            ("operations", "phase"),
            f"the phase is {phase}, and the site has {' and '.join(later)} already",
            f"'phase: {later[-1]}'",
        )


def layers(spec: SiteSpec) -> Iterator[str]:
    """The layers of requirement O4's table that a site has, which somebody looks after."""
    yield "security"
    services = spec.services
    if services.mcp_registry is not None:
        yield "mcp-registry"
    if services.redis is not None or services.postgres is not None:
        yield "state"
    if services.temporal is not None or services.celery is not None:
        yield "workflow"
    if spec.sandboxes:
        yield "sandbox"
    if services.langfuse is not None:
        yield "metering"
    if spec.gpu is not None:
        yield "gpu"


def _layer_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    yield from ((layer,) for layer in layers(site.spec))
    if site.spec.operations.on_call is not None:
        yield ("on-call",)


def _staffing(fleet: FleetFacts) -> Any:
    return fleet.raw.get("staffing")


def _staff(fleet: FleetFacts) -> Iterator[Finding]:
    staffing, figures = _staffing(fleet), catalog.operating().staffing
    there = staffing.get("platformFte") if isinstance(staffing, dict) else None
    if not isinstance(there, (int, float)):
        return
    used = sorted({fact[0] for _, fact in fleet.rows} & figures.keys())
    needed = sum(figures[layer] for layer in used)
    if there < needed:
        yield Finding(
            ("staffing", "platformFte"),
            f"{there:g} full-time equivalents look after {', '.join(used)}, which take {needed:g} at least",
            "more people, or fewer layers of the fleet's own",
        )


def _on_call_staff(fleet: FleetFacts) -> Iterator[Finding]:
    staffing, least = _staffing(fleet), catalog.operating().on_call_fte_min
    if not isinstance(staffing, dict) or not any(fact[0] == "on-call" for _, fact in fleet.rows):
        return
    there = staffing.get("onCallFte", 0)
    if isinstance(there, (int, float)) and there < least:
        yield Finding(
            ("staffing", "onCallFte") if "onCallFte" in staffing else ("staffing",),
            f"sites have an on-call, and {there:g} full-time equivalents are there for it",
            f"'onCallFte: {least:g}' or more",
        )


RULES = (
    Rule(
        code="OPS001",
        summary="a production site has a way to change it by hand in an emergency",
        source="requirements C3, N15",
        severity="warning",
        check_site=_break_glass,
    ),
    Rule(
        code="OPS002",
        summary="somebody is told when a production site fails",
        source="requirement Q8",
        severity="warning",
        check_site=_on_call,
    ),
    Rule(
        code="OPS003",
        summary="a team answers for a production site",
        source="requirements A24, A26",
        severity="warning",
        check_site=_owner,
    ),
    Rule(
        code="OPS004",
        summary="a production site has the runbooks that it calls for",
        source="requirements Q6, M16",
        severity="warning",
        check_site=_runbooks,
    ),
    Rule(
        code="OPS005",
        summary="a site has nothing of a later phase",
        source="requirements Q1 to Q5",
        severity="warning",
        check_site=_phase,
    ),
    Rule(
        code="OPS007",
        summary="there are people for every layer that the fleet runs",
        source="requirement O4: full-time equivalents by layer",
        severity="warning",
        across=Across(_staff, _layer_facts),
    ),
    Rule(
        code="OPS008",
        summary="there are people for the on-call that sites promise",
        source="requirement Q8",
        severity="warning",
        across=Across(_on_call_staff, _layer_facts),
    ),
)
