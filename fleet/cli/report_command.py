"""`fleet report`: from the journal to the page."""

import importlib.metadata
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fleet.adapters.inventory_files import read_inventory
from fleet.adapters.oci_layout import write_atomically
from fleet.adapters.rules import rules_for
from fleet.app.validate import validate
from fleet.cli import exits
from fleet.cli.console import out as stdout
from fleet.cli.console import say
from fleet.cli.rollout_commands import read_view, soak_seconds
from fleet.cli.wiring import Workspace, saved_spec
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import FileChanges, PlannedChange
from fleet.rollout.view import RunView, SiteView
from fleet.web.report import (
    FailureReport,
    Finding,
    ModelReport,
    Report,
    ResourceCounts,
    RingReport,
    RunReport,
    SiteReport,
    StepReport,
    ValidationReport,
)
from fleet.web.report_page import render_report


def run_report(folder: Path, workspace: Path, out: Path | None) -> int:
    """Exit code of `fleet report`."""
    where = Workspace(workspace)
    view = read_view(where)
    inventory, shape = read_inventory(folder)
    diagnostics = validate(inventory, shape, rules_for(folder))
    plan_folder, soak = where.plan_folder(view.plan_digest), soak_seconds(where, view)
    report = Report(
        fleet=inventory.name if inventory else folder.resolve().name,
        generated_at=time.time(),
        tool_version=importlib.metadata.version("fleet-toolkit"),
        plan_digest=view.plan_digest,
        run=RunReport(view.run_id, view.track, view.state, view.reason, view.started or 0.0, view.finished),
        # The only engine that this version rolls out with is the local one, which reaches the sandbox alone.
        stand_in=True,
        rings=tuple(
            RingReport(ring.name, number, soak[ring.name], ring.state, tuple(s.site for s in ring.sites))
            for number, ring in enumerate(view.rings, 1)
        ),
        sites=tuple(site_report(site, saved_spec(plan_folder, site.site)) for site in view.sites),
        validation=ValidationReport(
            sum(d.severity == "error" for d in diagnostics),
            sum(d.severity == "warning" for d in diagnostics),
            tuple(
                Finding(d.code, d.message, f"{d.span.path}:{d.span.line}", d.severity)
                for d in diagnostics[:100]
            ),
        ),
        notes=fleet_notes(view),
    )
    target = out or workspace / "report.html"
    write_atomically(target, render_report(report).encode())
    say("report written", "ok")
    stdout().print(str(target), markup=False)
    return exits.OK


def fleet_notes(view: RunView) -> tuple[str, ...]:
    """What nobody should take for done."""
    notes = [
        "Workloads did not run: the sandbox checks that the manifests' artifact is there and whole, "
        "but has no Kubernetes cluster yet."
    ]
    if view.interrupted:
        notes.append("The process that drove this rollout is gone; `fleet rollout resume` goes on with it.")
    return tuple(notes)


def site_report(site: SiteView, spec: SiteSpec) -> SiteReport:
    """A site of the page, from the journal and the spec that was rolled out."""
    details = [step.detail for step in site.steps]
    manifests = next((str(d["digest"]) for d in details if "digest" in d), "")
    return SiteReport(
        name=site.site,
        ring=site.ring,
        canary=site.canary,
        topology=spec.topology,
        connectivity=spec.connectivity.mode,
        nodes=len(spec.azure_local.nodes),
        gpu=f"{spec.gpu.per_node} × {spec.gpu.model} a node" if spec.gpu else "",
        models=tuple(
            ModelReport(d.model, d.runtime, d.accelerator, d.replicas) for d in spec.inference.values()
        ),
        agents=tuple(spec.agents),
        state=site.state,
        spec_digest=spec.digest,
        manifests_digest=manifests,
        counts=resource_counts(details),
        changes=merged_changes(details),
        files=next((_files(d["files"]) for d in details if "files" in d), FileChanges()),
        steps=tuple(StepReport(s.kind, s.state, s.attempt, s.seconds, s.message) for s in site.steps),
        verdict=site.health,
        reasons=site.health_reasons,
        failure=_failure(site),
        notes=tuple(_notes(details)),
    )


def merged_changes(details: Iterable[Mapping[str, Any]]) -> tuple[PlannedChange, ...]:
    """What several steps did to each resource, as one change: created and then updated is created."""
    merged: dict[tuple[str, str], PlannedChange] = {}
    for detail in details:
        for row in detail.get("changes", ()):
            change = PlannedChange(row["op"], row["type"], row["name"], tuple(row["paths"]))
            merged.setdefault((change.type, change.name), change)
    return tuple(merged.values())


def resource_counts(details: Iterable[Mapping[str, Any]]) -> ResourceCounts:
    """How many resources saw each operation, counted once each."""
    details = list(details)
    changes = merged_changes(details)
    count = {op: sum(c.op == op for c in changes) for op in ("create", "update", "delete", "replace")}
    last: Mapping[str, int] = next((d["counts"] for d in reversed(details) if "counts" in d), {})
    seen = sum(n for op, n in last.items() if op not in ("read", "delete", "retain"))
    return ResourceCounts(**count, same=max(0, seen - count["create"] - count["update"] - count["replace"]))


def _files(value: Mapping[str, Any]) -> FileChanges:
    return FileChanges(*(tuple(value[key]) for key in ("added", "changed", "removed")))


def _failure(site: SiteView) -> FailureReport | None:
    if not site.failure_message:
        return None
    next_step = "Mend the cause, then run `fleet rollout resume`: what was done at this site is kept."
    return FailureReport(site.failure_code or "unhealthy", site.failure_message, next_step)


def _notes(details: Iterable[Mapping[str, Any]]) -> list[str]:
    notes: dict[str, None] = {}
    for detail in details:
        left_out = detail.get("outputs", {}).get("leftOut", ())
        notes |= {
            f"{item['what']}: {item['why']}": None
            for item in left_out
            if item["why"] != "the phase is validate"
        }
    return list(notes)
