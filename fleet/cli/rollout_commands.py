"""`fleet rollout …` and `fleet status`."""

import getpass
import os
import signal
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

from rich.table import Table
from rich.text import Text

from fleet.adapters.clock import SystemClock
from fleet.adapters.sqlite_journal import SqliteJournal
from fleet.app.rollout import (
    NotResumableError,
    RolloutError,
    RolloutRunner,
    RunResult,
    StalePlanError,
    prepare_worker,
    rollout_view,
)
from fleet.app.site import site_content
from fleet.cli import exits
from fleet.cli.cluster_access import say_clusters
from fleet.cli.console import confirm, err, out, print_json, say
from fleet.cli.failures import report_sites
from fleet.cli.inventory_commands import choose, valid_inventory
from fleet.cli.plan_out import read_plan, refuse_other_steps, refuse_stale
from fleet.cli.wiring import Parts, PlanFolderHealth, PlanFolderSteps, Workspace, save_specs, saved_inventory
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory
from fleet.plan.site_plan import site_steps
from fleet.ports.rollout import JournalMissingError
from fleet.rollout.events import (
    Event,
    IntentKind,
    ProbeFinished,
    RunState,
    SiteStuck,
    StepFinished,
    StepStarted,
    Verdict,
)
from fleet.rollout.spec import RingSpec, RolloutSpec
from fleet.rollout.view import RunView

STATE_STYLES = {
    "healthy": "green", "skipped": "dim", "failed": "bold red", "stuck": "yellow", "running": "cyan",
    "applied": "cyan", "pending": "dim", "completed": "green", "done": "green", "stopped": "bold red",
}  # fmt: skip


def rollout_spec(
    inventory: Inventory,
    max_concurrency: str,
    max_failures: int,
    probe_seconds: float,
    only: Collection[str] | None = None,
) -> RolloutSpec:
    """The rollout of the whole fleet, or of the sites in `only`, in the order of its rings.

    Raises `SpecError` for a concurrency that is neither a number nor a percentage.
    """
    return RolloutSpec(
        rings=tuple(
            RingSpec(
                ring.name,
                tuple(
                    site_steps(site.spec, site_content(site.spec).artifact)
                    for site in inventory.sites_of(ring.name)
                    if only is None or site.name in only
                ),
                soak_seconds=ring.soak_minutes * 60,
            )
            for ring in inventory.rings
            if only is None or any(site.name in only for site in inventory.sites_of(ring.name))
        ),
        max_concurrency=int(max_concurrency) if max_concurrency.isdecimal() else max_concurrency,
        max_failures=max_failures,
        probe_interval_seconds=probe_seconds,
    )


HOW_INSTEAD = {
    "maxConcurrent": "take it out, and say: fleet rollout start --max-concurrency",
    "maxUnavailable": "take it out, and say: fleet rollout start --max-concurrency",
    "maxFailures": "take it out, and say: fleet rollout start --max-failures",
    "approval": "take it out, and stop before the ring by hand: fleet rollout pause",
    "maintenance": "take it out, and start the rollout while the sites may be changed",
}
"""What the inventory can say of a rollout that rollouts do not keep to yet, and what does it today."""


def refuse_what_is_not_kept(inventory: Inventory) -> None:
    """Raises `FleetError` (ROL016) where a ring or a site sets limits that a rollout would pass over."""
    for ring in inventory.rings:
        for field, is_set in (
            ("maxConcurrent", ring.max_concurrent is not None),
            ("maxUnavailable", ring.max_unavailable is not None),
            ("maxFailures", ring.max_failures > 0),
            ("approval", ring.approval is not None),
        ):
            if is_set:
                raise _not_kept(f"the ring {ring.name!r} sets {field!r}", field)
    for site in inventory.sites:
        if site.spec.maintenance is not None:
            raise _not_kept(f"the site {site.name!r} sets 'maintenance'", "maintenance")


def _not_kept(what: str, field: str) -> FleetError:
    return FleetError("ROL016", f"{what}, which rollouts do not keep to yet", HOW_INSTEAD[field], exits.USAGE)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """The first Ctrl-C finishes what is in flight, the second stops at once."""
    stop = threading.Event()

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("finishing what is in flight; press Ctrl-C again to stop at once", "warning")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


class Progress:
    """Prints a rollout as it goes: a heading for each ring, a line for what ends."""

    def __init__(self, spec: RolloutSpec) -> None:
        self._ring_of = {site.site: ring.name for ring in spec.rings for site in ring.sites}
        self._width = max((len(site) for site in self._ring_of), default=0)
        self._ring = ""

    def show(self, event: Event) -> None:
        """Print what an event means to an operator."""
        if isinstance(event, StepStarted):
            ring = self._ring_of[event.site]
            if ring != self._ring:
                self._ring = ring
                say(f"ring {ring}", "bold")
            if err().is_terminal:
                self._line(event.site, event.step, "…", "dim")
        elif isinstance(event, StepFinished):
            self._line(event.site, event.step, event.message, "" if event.ok else "error")
        elif isinstance(event, ProbeFinished):
            style = {Verdict.HEALTHY: "ok", Verdict.UNHEALTHY: "error"}.get(event.verdict, "warning")
            why = "" if event.verdict is Verdict.HEALTHY else f": {'; '.join(event.reasons)}"
            self._line(event.site, "health", f"{event.verdict}{why}", style)
        elif isinstance(event, SiteStuck):
            self._line(event.site, event.step, "takes long", "warning")

    def _line(self, site: str, step: str, text: str, style: str) -> None:
        say(f"  {site:{self._width}}  {step:9} {one_line(text, 400)}", style)


def open_journal(workspace: Workspace, *, create: bool) -> SqliteJournal:
    """The workspace's journal. Raises `FleetError` (ROL010) when there was no rollout yet."""
    try:
        return SqliteJournal(workspace.journal, create=create)
    except JournalMissingError:
        raise FleetError(
            "ROL010", f"there was no rollout in {workspace.root} yet", "fleet rollout start", exits.USAGE
        ) from None


def drive(parts: Parts, folder: Path, *, start: RolloutSpec | None, workers: int) -> RunResult:
    """Start a rollout, or resume the last one, and drive it until it ends."""
    with (
        open_journal(parts.workspace, create=start is not None) as journal,
        ProcessPoolExecutor(workers, get_context("spawn"), prepare_worker) as pool,
        stopping() as stop,
    ):
        spec = start or journal.spec(journal.runs()[-1].run_id)
        runner = RolloutRunner(
            journal,
            PlanFolderSteps(parts, folder),
            PlanFolderHealth(parts, folder),
            SystemClock(),
            pool,
            on_event=Progress(spec).show,
            stop_requested=stop,
            in_flight_limit=workers,
        )
        try:
            if start is None:
                return runner.resume()
            return runner.start(start, still_applied=lambda site: parts.workspace.still_applied(start, site))
        except StalePlanError as error:
            raise FleetError("ROL008", str(error), "", exits.STALE) from error
        except NotResumableError as error:
            raise FleetError(
                "ROL011", str(error), "fleet rollout start begins a new one", exits.USAGE
            ) from error
        except RolloutError as error:
            raise FleetError(
                "ROL012", str(error), "fleet rollout resume, or fleet rollout abort", exits.GATE
            ) from error


def finish(result: RunResult) -> int:
    """Say how a rollout ended, and its exit code."""
    if result.state is RunState.COMPLETED:
        say(f"rollout {result.run_id} completed" + (f": {result.reason}" if result.reason else ""), "ok")
        return exits.SITES_FAILED if result.failed else exits.OK
    say(f"rollout {result.run_id} {result.state}: {one_line(result.reason, 400)}", "error")
    if result.state is RunState.STOPPED:
        say("  = help: mend the cause, then: fleet rollout resume", "help")
        return exits.SITES_FAILED if result.failed else exits.GATE
    return exits.GATE if result.state is RunState.ABORTED else exits.WAITING


def explain_failures(parts: Parts, result: RunResult) -> None:
    """Say of each site that failed what to do about it."""
    if result.failed:
        report_sites(parts.folder, read_view(parts.workspace), result.failed)


def workers_of(sites: int) -> int:
    """Worker processes for so many sites: they wait for Azure more than they compute."""
    return max(1, min(sites, 2 * (os.cpu_count() or 1)))


def run_start(
    folder: Path,
    workspace: Path,
    engine: str,
    yes: bool,
    max_concurrency: str,
    max_failures: int,
    plan_file: Path | None = None,
) -> int:
    """Exit code of `fleet rollout start`.

    With `plan_file` (from `fleet plan --out`) it rolls out that plan's sites and refuses, before anything is
    touched, when something that the plan was made from is no longer the same.
    """
    plan = None if plan_file is None else read_plan(plan_file)
    inventory = valid_inventory(folder)
    refuse_what_is_not_kept(inventory)
    parts = Parts(Workspace(workspace), folder.resolve(), engine)
    parts.require_rollout_target()
    probe_seconds = 1.0 if engine == "local" else 30.0
    only = None if plan is None else frozenset(site.site for site in plan.sites)
    if plan is not None:
        refuse_stale(plan, parts, inventory)
    spec = rollout_spec(inventory, max_concurrency, max_failures, probe_seconds, only)
    if plan is not None:
        refuse_other_steps(plan, spec)
    specs = [site.spec for site in inventory.sites if site.name in spec.by_site]
    say_clusters(parts.applier(), specs, engine)
    if not confirm(f"roll out to {len(spec.by_site)} sites in {len(spec.rings)} rings?", yes=yes):
        return exits.USAGE
    if plan is not None and not yes:  # whoever was asked may have taken their time
        refuse_stale(plan, parts, inventory)
    parts.workspace.prepare()
    plan_folder = parts.workspace.plan_folder(spec.digest)
    save_specs(plan_folder, specs, parts.folder)
    result = drive(parts, plan_folder, start=spec, workers=workers_of(len(specs)))
    explain_failures(parts, result)
    return finish(result)


def run_resume(folder: Path, workspace: Path, engine: str) -> int:
    """Exit code of `fleet rollout resume`. It goes on with the specs that the rollout was started with."""
    parts = Parts(Workspace(workspace), folder.resolve(), engine)
    parts.require_rollout_target()
    with open_journal(parts.workspace, create=False) as journal:
        runs = journal.runs()
    if not runs:
        raise FleetError(
            "ROL010", f"there was no rollout in {workspace} yet", "fleet rollout start", exits.USAGE
        )
    plan_folder = parts.workspace.plan_folder(runs[-1].plan_digest)
    if not (plan_folder / "inventory").is_file():
        raise FleetError(
            "ROL013",
            f"the specs of rollout {runs[-1].run_id} are gone from {plan_folder}",
            "",
            exits.INTEGRITY,
        )
    parts = Parts(parts.workspace, saved_inventory(plan_folder), engine)
    sites = sum(1 for _ in plan_folder.glob("*.json"))
    result = drive(parts, plan_folder, start=None, workers=workers_of(sites))
    explain_failures(parts, result)
    return finish(result)


def run_intent(workspace: Path, kind: str, reason: str) -> int:
    """Exit code of `fleet rollout pause` and `abort`."""
    with open_journal(Workspace(workspace), create=False) as journal:
        runs = journal.runs()
        if not runs or runs[-1].state in (RunState.COMPLETED, RunState.ABORTED):
            raise FleetError("ROL014", "no rollout is under way", "fleet status", exits.USAGE)
        journal.request(runs[-1].run_id, IntentKind(kind), getpass.getuser(), reason)
        driven = journal.driver() is not None
    say(
        f"asked rollout {runs[-1].run_id} to {kind}"
        + ("" if driven else "; it takes effect on `fleet rollout resume`")
    )
    return exits.OK


def read_view(workspace: Workspace) -> RunView:
    """The last rollout. Raises `FleetError` (ROL010) when there was none."""
    with open_journal(workspace, create=False) as journal:
        try:
            return rollout_view(journal)
        except NotResumableError:
            raise FleetError(
                "ROL010", f"there was no rollout in {workspace.root} yet", "fleet rollout start", exits.USAGE
            ) from None


def soak_seconds(workspace: Workspace, view: RunView) -> dict[str, float]:
    """How long each ring had to stay healthy, by its name."""
    with open_journal(workspace, create=False) as journal:
        return {ring.name: ring.soak_seconds for ring in journal.spec(view.run_id).rings}


def run_status(folder: Path, workspace: Path, output: str) -> int:
    """Exit code of `fleet status`."""
    choose(output, "table", "json")
    view = read_view(Workspace(workspace))
    if output == "json":
        print_json({"version": 1, **asdict(view)})
        return exits.OK
    out().print(status_table(view))
    line = f"rollout {view.run_id}: {'interrupted' if view.interrupted else view.state}"
    say(f"{line} ({one_line(view.reason)})" if view.reason else line, STATE_STYLES.get(str(view.state), ""))
    if view.interrupted:
        say("  = help: its driver is gone; go on with: fleet rollout resume", "help")
    return exits.OK


def status_table(view: RunView) -> Table:
    """A line a site: where it stands, and why."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("ring", "site", "state", "steps", "seconds", "health"):
        table.add_column(title, justify="right" if title == "seconds" else "left")
    for ring in view.rings:
        for site in ring.sites:
            done = sum(step.state == "done" for step in site.steps)
            seconds = sum(step.seconds or 0 for step in site.steps)
            table.add_row(
                ring.name,
                site.site + (" (canary)" if site.canary else ""),
                Text(str(site.state), style=STATE_STYLES.get(str(site.state), "")),
                f"{done}/{len(site.steps)}",
                f"{seconds:.1f}" if seconds else "-",
                _health(site.failure_message, site.health, site.health_reasons),
            )
    return table


def one_line(text: str, limit: int = 160) -> str:
    """The first line of a message, cut."""
    first = text.strip().partition("\n")[0]
    return first if len(first) <= limit else first[: limit - 1] + "…"


def _health(failure: str, health: Any, reasons: tuple[str, ...]) -> str:
    if failure:
        return one_line(failure)
    if health is None:
        return "-"
    return str(health) if health is Verdict.HEALTHY else f"{health}: {'; '.join(reasons)}"
