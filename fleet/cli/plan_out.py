"""`fleet plan --out` and `fleet rollout start --plan`: writing a plan, and whether one still holds."""

import os
from collections.abc import Sequence
from pathlib import Path

from fleet.adapters.oci_layout import write_atomically
from fleet.adapters.toolkit_digest import toolkit_digest
from fleet.cli import exits
from fleet.cli.console import say
from fleet.cli.plan_workers import PlannedNow, site_inputs
from fleet.cli.wiring import Parts
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory
from fleet.plan.plan_file import (
    PlanAlteredError,
    PlanFile,
    PlanFileError,
    plan_file_text,
    planned_site,
    read_plan_file,
    stale,
)
from fleet.rollout.spec import RolloutSpec

STDOUT = Path("-")
MAX_BYTES = 256 << 20
"""A plan of 10,000 sites is a few MB; what is larger than this is something else."""
MAX_REASONS = 20


def check_out(path: Path, output: str, base: Path | None) -> None:
    """Refuse before the work what would fail after it. Raises `FleetError` (ENV021, ENV002)."""
    if base is not None:
        raise FleetError(
            "ENV021",
            "--out keeps a plan against recorded state, and --base compares two inventories",
            "leave out one of them",
            exits.USAGE,
        )
    if path == STDOUT:
        if output != "table":
            raise FleetError(
                "ENV002", f"--out - and -o {output} both want standard output", "--out FILE", exits.USAGE
            )
        return
    folder = path.parent
    if path.exists() and not path.is_file():
        why = "it is not a file" if not path.is_dir() else "it is a folder"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = f"no file can be made in {folder}"
    else:
        return
    raise FleetError(
        "ENV021", f"{path} can't be written: {why}", "nothing was planned; --out FILE", exits.USAGE
    )


def write_plan(path: Path, inventory: Inventory, planned: Sequence[PlannedNow], *, complete: bool) -> None:
    """Write a plan of these sites, whole or not at all. Raises `FleetError` (ENV021)."""
    sites = tuple(planned_site(one.plan, one.inputs) for one in planned)
    text = plan_file_text(PlanFile(toolkit_digest(), complete, rings_of(inventory), sites))
    if path == STDOUT:
        import typer

        typer.echo(text.encode(), nl=False)
        return
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise FleetError(
            "ENV021", f"{path} can't be written: {error.strerror}", "the plan was not kept", exits.USAGE
        ) from None


def rings_of(inventory: Inventory) -> tuple[tuple[str, float], ...]:
    """Each ring's name and soak time in seconds, in the order of the rollout."""
    return tuple((ring.name, ring.soak_minutes * 60.0) for ring in inventory.rings)


def read_plan(path: Path) -> PlanFile:
    """The plan in a file, whole and of sites that could all be planned.

    Raises `FleetError`: ENV021 (can't be read), ROL017 (not a plan of this version), ROL018 (altered),
    ROL019 (it has sites that could not be planned).
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{path} can't be read: {error.strerror}"
        raise FleetError("ENV021", message, "fleet plan --out FILE makes one", exits.USAGE) from None
    try:
        if len(data) > MAX_BYTES:
            raise PlanFileError("it is larger than any plan")
        plan = read_plan_file(data)
    except PlanAlteredError as error:
        raise FleetError(
            "ROL018",
            f"{path} is not as it was written: {error}",
            "a plan is not edited: change the inventory, and plan again with fleet plan --out",
            exits.INTEGRITY,
        ) from None
    except PlanFileError as error:
        message = f"{path} can't be used: {error}"
        raise FleetError("ROL017", message, "make one with: fleet plan --out FILE", exits.USAGE) from None
    if plan.failed:
        first = plan.failed[0]
        raise FleetError(
            "ROL019",
            f"{len(plan.failed)} of the plan's sites could not be planned; {first.site}: {first.error}",
            "mend the cause and plan again, or plan the other sites by name: fleet plan SITE … --out FILE",
            exits.SITES_FAILED,
        )
    if not plan.sites:
        raise FleetError(
            "ROL017", f"{path} has no sites", "make one with: fleet plan --out FILE", exits.USAGE
        )
    return plan


def refuse_stale(plan: PlanFile, parts: Parts, inventory: Inventory) -> None:
    """Raises `FleetError` (ROL008, exit 8) when something changed since; prints each site and its reason."""
    specs = {site.name: site.spec for site in inventory.sites}
    now = {one.site: site_inputs(parts, specs[one.site]) for one in plan.sites if one.site in specs}
    found = stale(plan, toolkit_digest(), rings_of(inventory), now, list(specs))
    if not found:
        return
    for item in found[:MAX_REASONS]:
        say(f"{item.site or 'the plan'}: {item.reason}", "error")
    if len(found) > MAX_REASONS:
        say(f"… and {len(found) - MAX_REASONS:,} more", "error")
    sites = len({item.site for item in found if item.site is not None})
    what = f"{sites:,} of its sites changed" if sites else found[0].reason
    raise _stale(f"the plan is stale: {what}")


def refuse_other_steps(plan: PlanFile, spec: RolloutSpec) -> None:
    """Raises `FleetError` (ROL008) when the rollout would do something else than was planned."""
    planned = {site.site: site.steps for site in plan.sites}
    other = [name for name, steps in spec.by_site.items() if planned.get(name) != steps.digest]
    if other or planned.keys() != spec.by_site.keys():
        raise _stale(f"the rollout would not do what was planned at {', '.join(other[:6]) or 'every site'}")


def _stale(message: str) -> FleetError:
    return FleetError(
        "ROL008", message, "look at it again: fleet plan --out FILE; nothing was touched", exits.STALE
    )
