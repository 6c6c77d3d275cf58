"""`fleet plan`."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from fleet.adapters.inventory_files import read_inventory
from fleet.adapters.rules import rules_for
from fleet.app.compare import Pair, Revisions, compare_site, differs
from fleet.app.validate import validate
from fleet.cli import exits
from fleet.cli.console import out, print_json, say
from fleet.cli.inventory_commands import choose, find_site, valid_inventory
from fleet.cli.plan_markdown import Heading, errors_markdown, plan_markdown
from fleet.cli.plan_out import check_out, write_plan
from fleet.cli.plan_summary import MANY, Summary, summarise, summary_json, summary_view
from fleet.cli.plan_workers import INLINE, each, plan_fleet
from fleet.cli.wiring import Parts, Workspace
from fleet.diagnostics.diagnostic import FleetError, has_errors
from fleet.diagnostics.text import visible
from fleet.inventory.inventory import Inventory, Site
from fleet.plan.comparison import SiteComparison
from fleet.plan.site_plan import SitePlan

OPS = ("create", "update", "replace", "delete", "retain")


def run_plan(
    folder: Path,
    workspace: Path,
    names: list[str],
    jobs: int,
    output: str,
    detailed: bool,
    base: Path | None = None,
    out_file: Path | None = None,
    *,
    cached: bool = True,
    state: str | None = None,
) -> int:
    """Exit code of `fleet plan`. With `base`, sites are compared with what that inventory declares; with
    `state`, with what the backend at that URL has of them (`fleet.cli.plan_state`).

    `out_file` is where the plan is kept for `fleet rollout start --plan`; `-` is standard output, instead of
    what else would be there. `cached` allows answers that an earlier run worked out from the same input.
    Raises `FleetError`.
    """
    choose(output, "table", "json", "markdown")
    if state is not None:
        from fleet.cli.plan_state import refuse_with  # brings the engine: not for every plan

        refuse_with(base, out_file)
    if out_file is not None:
        check_out(out_file, output, base)
    try:
        inventory = valid_inventory(folder)
    except FleetError as error:
        if output == "markdown" and error.code == "INV100":
            print_errors(folder)
        raise
    in_order = [site for ring in inventory.rings for site in inventory.sites_of(ring.name)]
    sites = [find_site(inventory, name) for name in names] or in_order
    if base is not None:
        return _compare(folder, base, inventory, sites, jobs, output, detailed, everything=not names)
    parts = Parts(Workspace(workspace), folder, "local")
    specs = [site.spec for site in sites]
    real = None
    if state is not None:
        from fleet.cli.plan_state import plan_against

        real = plan_against(state, parts, specs, jobs)
    # A few sites are planned in less time than a person notices, and leave no file behind.
    planned = [] if real else list(plan_fleet(parts, specs, jobs, cached=cached and len(specs) > INLINE))
    plans = real.plans if real else [one.plan for one in planned]
    stacks = set(real.stacks if real else parts.workspace.stacks())
    orphans = [] if names else sorted(stacks - {site.name for site in inventory.sites})
    if out_file is not None:
        write_plan(out_file, inventory, planned, complete=not names)
    if out_file == Path("-"):
        return _exit_code(plans, detailed)
    summary = summarise([_recorded(plan) for plan in plans], specs) if len(plans) > MANY else None
    if output == "json":
        document: dict[str, Any] = {"version": 1, "sites": [plan_json(plan) for plan in plans]}
        if summary is not None:
            document["summary"] = summary_json(summary)
        if real is not None:
            document["state"] = real.document()
        print_json(document)
    elif output == "markdown":
        different = [_recorded(plan) for plan in plans if plan.changed or plan.error]
        notes = real.markdown_notes if real else ()
        heading = Heading(recorded=len(stacks), removed=tuple(orphans), notes=notes)
        _echo(plan_markdown(different, len(plans), heading, summary=summary))
    else:
        out().print(plan_table(plans) if summary is None else summary_view(summary))
        for plan in plans if names else ():
            out().print(changes_table(plan))
        for plan in plans:
            say_what_is_odd(plan)
        for orphan in orphans:
            where = f"in {real.backend}" if real else "here"
            name = visible(orphan)
            say(f"{name} is recorded {where} and not in the inventory: fleet destroy {name}", "warning")
        if real is not None:
            real.say_notes()
        failed = sum(plan.error is not None for plan in plans)
        changed = sum(plan.changed for plan in plans if plan.error is None)
        say(f"{changed} of {len(plans)} sites would change; nothing was touched")
        if remembered := sum(one.remembered for one in planned):
            say(f"{remembered} plans are of an earlier run with the same input", "dim")
        if failed:
            say(f"{failed} sites could not be planned", "error")
        elif out_file is not None:
            say(f"fleet rollout start --plan {out_file} rolls out this, and refuses when something changed")
    return _exit_code(plans, detailed)


def _recorded(plan: SitePlan) -> SiteComparison:
    return SiteComparison("changed", plan)


def _exit_code(plans: Sequence[SitePlan], detailed: bool) -> int:
    if any(plan.error for plan in plans):
        return exits.SITES_FAILED
    return exits.CHANGES if detailed and any(plan.changed for plan in plans) else exits.OK


def _echo(text: str) -> None:
    """Markdown as bytes: it is UTF-8 whatever the terminal is, and nothing may wrap or colour it."""
    typer.echo(text.encode(), nl=False)


def print_errors(folder: Path) -> None:
    """Print the inventory's errors as Markdown: they are the answer for whoever reads no log."""
    inventory, shape = read_inventory(folder)
    _echo(errors_markdown(validate(inventory, shape, rules_for(folder))))


def compare_one(before: Parts, after: Parts, pair: Pair) -> SiteComparison:
    """One site's comparison; for a process pool."""
    return compare_site(Revisions(before.applier(), after.applier()), pair)


def _compare(
    folder: Path,
    base: Path,
    inventory: Inventory,
    sites: Sequence[Site],
    jobs: int,
    output: str,
    detailed: bool,
    *,
    everything: bool,
) -> int:
    earlier, shape = read_inventory(base)
    known = {site.name: site.spec for site in earlier.sites} if earlier else {}
    notes = []
    if earlier is None or has_errors(shape):
        notes.append("the earlier revision has errors; a site that can't be read there counts as new")
    with TemporaryDirectory(prefix="fleet-plan-") as empty:  # no state: each revision declares all it has
        before, after = (Parts(Workspace(Path(empty)), where, "local") for where in (base, folder))
        revisions = Revisions(before.applier(), after.applier())
        pairs = [(known.get(site.name), site.spec) for site in sites]
        different = [pair for pair in pairs if differs(revisions, pair)]
        compared = list(each(partial(compare_one, before, after), different, jobs))
    removed = sorted(known.keys() - {site.name for site in inventory.sites}) if everything else []
    summary = _compared_summary(compared, sites) if len(compared) > MANY else None
    plans = [comparison.plan for comparison in compared]
    if output == "json":
        document = {
            "version": 1,
            "base": str(base),
            "notes": notes,
            "sites": [comparison_json(comparison) for comparison in compared],
            "removed": removed,
        } | ({} if summary is None else {"summary": summary_json(summary)})
        print_json(document)
    elif output == "markdown":
        heading = Heading(base.as_posix(), removed=tuple(removed), notes=tuple(notes))
        _echo(plan_markdown(compared, len(sites), heading, summary=summary))
    else:
        out().print(plan_table(plans) if summary is None else summary_view(summary))
        for plan in plans if not everything else ():
            out().print(changes_table(plan))
        for plan in plans:
            say_what_is_odd(plan)
        for name in removed:
            say(f"{name} is no longer in the inventory; a rollout does not delete it", "warning")
        for note in notes:
            say(note, "warning")
        say(f"{len(compared)} of {len(sites)} sites differ from {base}; nothing was touched")
    code = _exit_code(plans, detailed)
    return exits.CHANGES if detailed and code == exits.OK and compared else code


def _compared_summary(compared: Sequence[SiteComparison], sites: Sequence[Site]) -> Summary:
    """Of all sites: those that do not differ count when it is asked what most of a ring do."""
    different = {comparison.plan.site: comparison for comparison in compared}
    alike = (SitePlan(site.name, site.spec.ring, site.spec.digest, "") for site in sites)
    every = [different.get(plan.site) or SiteComparison("same", plan) for plan in alike]
    return summarise(every, [site.spec for site in sites])


def comparison_json(comparison: SiteComparison) -> dict[str, Any]:
    """A comparison as JSON-able values: the plan's, its standing, and the resolved fields that differ."""
    fields = [asdict(field) for field in comparison.fields]
    return plan_json(comparison.plan) | {"standing": comparison.standing, "fields": fields}


def say_what_is_odd(plan: SitePlan) -> None:
    """What a plan's table does not show: failures, operations cut short, differences that stay."""
    if plan.error:
        say(f"{plan.site}: {plan.error}", "error")
    for name in plan.pending:
        say(f"{plan.site}: {name}: an earlier run was cut short here; the next one settles it", "warning")
    for path in plan.ignored:
        say(f"{plan.site}: {path} differs and stays: it can't be changed once it is deployed", "warning")


def plan_json(plan: SitePlan) -> dict[str, Any]:
    """A plan as JSON-able values."""
    return asdict(plan) | {"changed": plan.changed}


def plan_table(plans: Sequence[SitePlan]) -> Table:
    """A line a site: what would happen to its resources and its manifests."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("site")
    table.add_column("ring")
    for op in OPS:
        table.add_column(op, justify="right")
    table.add_column("same", justify="right", style="dim")
    table.add_column("manifests")
    table.add_column("spec", style="dim")
    for plan in plans:
        counts = [plan.count(op) for op in OPS]
        table.add_row(
            plan.site,
            plan.ring,
            *(
                Text(str(n) if n else "·", style=_style(op) if n else "dim")
                for op, n in zip(OPS, counts, strict=True)
            ),
            str(plan.unchanged),
            files_text(plan),
            plan.spec_digest.removeprefix("sha256:")[:12],
        )
    return table


def changes_table(plan: SitePlan) -> Table:
    """A line a resource that would change, then a line a file."""
    table = Table(box=None, pad_edge=False, show_header=False, title=plan.site, title_justify="left")
    for change in plan.changes:
        kind = change.type.removeprefix("azure-native:")
        what = "" if change.op == "create" else ", ".join(change.paths[:6])  # a new resource is new in all
        table.add_row(Text(change.op, style=_style(change.op)), kind, change.name, what)
    files = plan.files
    for op, paths in (("add", files.added), ("change", files.changed), ("remove", files.removed)):
        for path in paths:
            table.add_row(Text(op, style="dim"), "manifest", path, "")
    return table


def _style(op: str) -> str:
    return {"create": "green", "update": "yellow"}.get(op, "red")


def files_text(plan: SitePlan) -> str:
    """`+12 ~1 -0` files of the site's tree."""
    files = plan.files
    if not files:
        return "same"
    counts = (("+", files.added), ("~", files.changed), ("-", files.removed))
    return " ".join(f"{sign}{len(paths)}" for sign, paths in counts if paths)
