"""`fleet plan`."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from fleet.app.rollout import prepare_worker
from fleet.cli import exits
from fleet.cli.console import out, say
from fleet.cli.inventory_commands import choose, find_site, valid_inventory
from fleet.cli.wiring import Parts, Workspace, plan_site
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import SitePlan

INLINE = 4
"""Up to so many sites are planned in this process: starting workers would take longer."""
OPS = ("create", "update", "replace", "delete", "retain")


def plan_sites(parts: Parts, specs: Sequence[SiteSpec], jobs: int) -> Iterator[SitePlan]:
    """The plans, in the order of the sites, as they are ready."""
    if jobs == 1 or len(specs) <= INLINE:
        yield from map(partial(plan_site, parts), specs)
        return
    with ProcessPoolExecutor(min(jobs, len(specs)), get_context("spawn"), prepare_worker) as pool:
        yield from pool.map(
            partial(plan_site, parts), specs, chunksize=max(1, min(16, len(specs) // (jobs * 4)))
        )


def run_plan(folder: Path, workspace: Path, names: list[str], jobs: int, output: str, detailed: bool) -> int:
    """Exit code of `fleet plan`."""
    choose(output, "table", "json")
    inventory = valid_inventory(folder)
    in_order = [site for ring in inventory.rings for site in inventory.sites_of(ring.name)]
    sites = [find_site(inventory, name) for name in names] or in_order
    parts = Parts(Workspace(workspace), folder, "local")
    plans = list(plan_sites(parts, [site.spec for site in sites], jobs))
    if output == "json":
        out().print_json(json.dumps({"version": 1, "sites": [plan_json(plan) for plan in plans]}))
    else:
        out().print(plan_table(plans))
        for plan in plans if names else ():
            out().print(changes_table(plan))
        for plan in plans:
            say_what_is_odd(plan)
        if not names:
            orphans = sorted(set(parts.workspace.stacks()) - {site.name for site in inventory.sites})
            for orphan in orphans:
                say(f"{orphan} is recorded here and not in the inventory: fleet destroy {orphan}", "warning")
        changed = sum(plan.changed for plan in plans)
        say(f"{changed} of {len(plans)} sites would change; nothing was touched")
    if any(plan.error for plan in plans):
        return exits.SITES_FAILED
    return exits.CHANGES if detailed and any(plan.changed for plan in plans) else exits.OK


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
