"""`fleet up`, `fleet destroy` and `fleet refresh`: one site at a time."""

from dataclasses import replace
from pathlib import Path

from fleet.app.site import PROJECT
from fleet.cli import exits
from fleet.cli.console import confirm, out, say
from fleet.cli.inventory_commands import find_site, valid_inventory
from fleet.cli.plan_command import changes_table, files_text
from fleet.cli.wiring import Parts, Workspace, plan_site
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import SitePlan
from fleet.ports.engine import EngineEvent, RunOptions, StackRef, StackResult, StackRun
from fleet.render.artifact import artifact_url

STEPS = ("publish", "validate", "deploy")


def show_event(event: EngineEvent) -> None:
    """One line for what an engine did."""
    name = event.urn.rsplit("::", 1)[-1]
    if event.kind == "failed":
        say(f"  failed   {name}: {event.message}", "error")
    elif event.kind == "finished" and event.op not in ("same", "read", None):
        say(f"  {event.op:8} {name}")
    elif event.kind in ("skipped", "recovered") or (
        event.kind == "diagnostic" and event.severity in ("warning", "error")
    ):
        say(f"  {event.kind:8} {name} {event.message}", "warning")


def show_changes(plan: SitePlan) -> None:
    """What a plan would do, a resource a line."""
    out().print(changes_table(plan))
    counts = f"{len(plan.changes)} resources would change, {plan.unchanged} stay"
    say(f"{plan.site}: {counts}; manifests {files_text(plan)}")


def run_up(folder: Path, workspace: Path, engine: str, name: str, *, yes: bool, dry_run: bool) -> int:
    """Exit code of `fleet up`."""
    inventory = valid_inventory(folder)
    spec = find_site(inventory, name).spec
    parts = Parts(Workspace(workspace), folder, engine)
    offline = Parts(parts.workspace, folder, "local")
    if not dry_run:
        parts.require_target()
    plan = plan_site(parts if engine == "pulumi" and not dry_run else offline, spec)
    show_changes(plan)
    if plan.error:
        say(plan.error, "error")
        return exits.SITES_FAILED
    if dry_run:
        return exits.OK
    if not plan.changed:
        say(f"{name} is as the inventory says", "ok")
        return exits.OK
    if not confirm(f"change {name}?", yes=yes):
        return exits.USAGE
    parts.workspace.prepare()
    applier = replace(parts.applier(), on_event=show_event)
    for step in STEPS:
        say(f"{step} …", "bold")
        outcome = applier.run_step(spec, step)
        if not outcome.ok:
            say(f"error[{outcome.code}]: {outcome.message}", "error")
            say("  = help: what was done is kept; mend the cause and run the same command again", "help")
            return exits.SITES_FAILED
        say(f"  {outcome.message}", "ok")
    if engine != "local":
        url = artifact_url(spec)
        say("push the manifests, or Flux has nothing to pull:", "warning")
        say(f"  skopeo copy oci:{parts.workspace.outbox.folder(url)} docker://{url.removeprefix('oci://')}")
    return exits.OK


def _run(spec: SiteSpec, *, unprotect: bool = False) -> StackRun:
    return StackRun(StackRef(PROJECT, spec.name), _nothing, options=RunOptions(unprotect=unprotect))


def _nothing() -> None:
    """Destroy and refresh run no program."""


def _finish(name: str, result: StackResult, done: str) -> int:
    if result.error:
        say(
            f"error[{result.error.code}]: {result.error.urn.rsplit('::', 1)[-1]}: {result.error.message}",
            "error",
        )
        return exits.SITES_FAILED
    counts = ", ".join(f"{count} {op}" for op, count in sorted(result.counts.items()))
    say(f"{name}: {done} ({counts or 'nothing to do'})", "ok")
    return exits.OK


def run_destroy(folder: Path, workspace: Path, engine: str, name: str, *, yes: bool, unprotect: bool) -> int:
    """Exit code of `fleet destroy`."""
    spec = find_site(valid_inventory(folder), name).spec
    parts = Parts(Workspace(workspace), folder, engine)
    parts.require_target()
    if not confirm(f"delete what fleet made at {name}?", yes=yes):
        return exits.USAGE
    return _finish(
        name, parts.applier().engine.destroy(_run(spec, unprotect=unprotect), show_event), "deleted"
    )


def run_refresh(folder: Path, workspace: Path, engine: str, name: str) -> int:
    """Exit code of `fleet refresh`."""
    spec = find_site(valid_inventory(folder), name).spec
    parts = Parts(Workspace(workspace), folder, engine)
    parts.require_target()
    return _finish(name, parts.applier().engine.refresh(_run(spec), show_event), "refreshed")
