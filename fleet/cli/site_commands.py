"""`fleet up`, `fleet destroy` and `fleet refresh`: one site at a time."""

from dataclasses import replace
from pathlib import Path

from fleet.app.site import PROJECT, site_content
from fleet.cli import exits
from fleet.cli.cluster_access import cluster_of_run
from fleet.cli.console import confirm, out, say
from fleet.cli.failures import report_resources, report_step
from fleet.cli.inventory_commands import find_site, valid_inventory
from fleet.cli.plan_command import changes_table, files_text, say_what_is_odd
from fleet.cli.wiring import Parts, Workspace
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.shape import did_you_mean
from fleet.plan.site_plan import SitePlan
from fleet.ports.engine import EngineEvent, RunOptions, StackRef, StackResult, StackRun

STEPS = ("publish", "validate", "deploy")
_WIDTH = 160
"""Characters of a failure as it happens; when the step has ended, all of it is shown and what to do."""


def show_event(event: EngineEvent) -> None:
    """One line for what an engine did."""
    name = event.urn.rsplit("::", 1)[-1]
    if event.kind == "failed":
        first_line, _, _ = event.message.partition("\n")
        say(f"  failed   {name}: {first_line[:_WIDTH]}", "error")
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
    site = find_site(inventory, name)
    spec = site.spec
    parts = Parts(Workspace(workspace), folder, engine)
    if not dry_run or engine != "local":  # the local engine plans without a sandbox too
        parts.require_target()
    if not dry_run:
        parts.workspace.prepare()
    if engine == "local":
        parts.applier().engine.resources(StackRef(PROJECT, name))  # refuses a state that is not whole
    applier = parts.applier()
    cluster = cluster_of_run(applier, spec, engine, dry_run=dry_run)
    plan = applier.plan(spec, cluster)
    show_changes(plan)
    say_what_is_odd(plan)
    if plan.error:
        return exits.SITES_FAILED
    if dry_run:
        return exits.OK
    if not plan.changed:
        say(f"{name} is as the inventory says", "ok")
        return exits.OK
    if not confirm(f"change {name}?", yes=yes):
        return exits.USAGE
    parts.workspace.marks.take_away(name)
    applier = replace(applier, on_event=show_event)
    content = site_content(spec)
    for step in STEPS:
        say(f"{step} …", "bold")
        outcome = applier.run_step(spec, step, content)
        if not outcome.ok:
            return report_step(site, outcome.code, outcome.message, outcome.detail)
        say(f"  {outcome.message}", "ok")
    if engine != "local":
        say("push the manifests, or Flux has nothing to pull:", "warning")
        layout = parts.workspace.outbox.folder(content.url)
        say(f"  skopeo copy oci:{layout} docker://{content.url.removeprefix('oci://')}")
    return exits.OK


def _nothing() -> None:
    """Destroy and refresh run no program."""


def _recorded(parts: Parts, name: str, *, unprotect: bool = False) -> StackRun:
    """The run of a site that has a state: also one that the inventory does not hold any more.

    Raises `FleetError` (ENV012) when nothing is recorded of it.
    """
    stack = StackRef(PROJECT, name)
    if not parts.applier().engine.resources(stack):
        known = did_you_mean(name, parts.workspace.stacks()) or ""
        raise FleetError("ENV012", f"nothing is recorded of a site {name!r} here", known, exits.USAGE)
    parts.workspace.marks.take_away(name)
    return StackRun(stack, _nothing, options=RunOptions(unprotect=unprotect))


def _finish(name: str, result: StackResult, done: str) -> int:
    if result.error:
        failures = ((f.urn.rsplit("::", 1)[-1], f.code, f.message) for f in result.failures)
        return report_resources(None, failures)
    counts = ", ".join(f"{count} {op}" for op, count in sorted(result.counts.items()))
    say(f"{name}: {done} ({counts or 'nothing to do'})", "ok")
    return exits.OK


def run_destroy(folder: Path, workspace: Path, engine: str, name: str, *, yes: bool, unprotect: bool) -> int:
    """Exit code of `fleet destroy`. It goes by what is recorded, not by the inventory."""
    parts = Parts(Workspace(workspace), folder, engine)
    parts.require_target()
    resources = parts.applier().engine.resources(StackRef(PROJECT, name))
    for resource in resources:
        say(f"  {resource.type.removeprefix('azure-native:')}  {resource.name}")
    question = f"delete these {len(resources)} recorded resources of {name}, but for those kept on delete?"
    if resources and not confirm(question, yes=yes):
        return exits.USAGE
    run = _recorded(parts, name, unprotect=unprotect)
    return _finish(name, parts.applier().engine.destroy(run, show_event), "done")


def run_refresh(folder: Path, workspace: Path, engine: str, name: str) -> int:
    """Exit code of `fleet refresh`. It goes by what is recorded, not by the inventory."""
    parts = Parts(Workspace(workspace), folder, engine)
    parts.require_target()
    run = _recorded(parts, name)
    result = parts.applier().engine.refresh(run, show_event)
    if result.error:
        return _finish(name, result, "refreshed")
    found = f"{len(result.changes)} looked at, {result.counts.get('refresh', 0)} differ"
    if gone := result.counts.get("delete", 0):
        found += f", {gone} gone"
    say(f"{name}: {found}", "ok")
    return exits.OK
