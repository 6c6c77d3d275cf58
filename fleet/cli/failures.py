"""From an exception, or a step that failed, to one clear message and an exit code."""

import os
import re
import tempfile
import traceback
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from fleet.cli import exits
from fleet.cli.console import err, say, styled
from fleet.diagnostics.diagnostic import FleetError

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from fleet.inventory.inventory import Site
    from fleet.inventory.source import Path
    from fleet.model.site import SiteSpec
    from fleet.rollout.view import RunView

AGAIN = "what was done is kept; mend the cause and run the same command again"
SHOWN = 10
"""How many sites, and reasons at a site, are explained: further ones are mostly their consequences."""


def report_failure(error: Exception) -> int:
    """Print what went wrong, as a person needs it, and return the exit code.

    Anything unexpected is a bug of ours: its traceback goes to a file that a bug report can carry.
    """
    if isinstance(error, typer.Abort):
        return exits.INTERRUPTED
    show = getattr(error, "show", None)  # a usage error: typer keeps its class to itself
    if show is not None and hasattr(error, "exit_code"):
        show()
        return int(error.exit_code)
    if isinstance(error, FleetError):
        say(f"error[{error.code}]: {error.message}", "error")
        if error.help:
            say(f"  = help: {error.help}", "help")
        return error.exit_code
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        say(f"error: {what}{error.strerror or error}", "error")
        say("  = help: nothing recorded is lost; mend it and run the same command again", "help")
        return exits.UNEXPECTED
    code = _known(error)
    if code is not None:
        say(f"error: {error}", "error")
        return code
    if os.environ.get("FLEET_DEBUG"):
        traceback.print_exception(error)
    with tempfile.NamedTemporaryFile(
        "w", prefix="fleet-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    say(f"error: this is a bug in fleet ({type(error).__name__})", "error")
    say(f"  = help: please report it, with {file.name}")
    return exits.UNEXPECTED


def _known(error: Exception) -> int | None:
    from fleet.ports import rollout
    from fleet.rollout.spec import SpecError

    for kind, code in (
        (rollout.DriverLockedError, exits.LOCKED),
        (rollout.JournalIntegrityError, exits.INTEGRITY),
        (rollout.JournalUnreadableError, exits.INTEGRITY),
        (rollout.JournalError, exits.UNEXPECTED),
        (SpecError, exits.USAGE),
    ):
        if isinstance(error, kind):
            return code
    return None


def report_step(site: "Site | None", code: str, message: str, detail: Mapping[str, Any]) -> int:
    """Print why a site's step failed, and return the exit code.

    `code`, `message` and `detail` are a step's outcome (`fleet.app.site`): of a run, `detail` has every
    resource that failed. `site` is where the inventory's line is looked up.
    """
    failures = detail.get("failures")
    if failures:
        return report_resources(site, ((f["resource"], f["code"], f["message"]) for f in failures))
    help_text = str(detail.get("help") or "")
    say(f"error[{code}]: {message.removesuffix(f'; {help_text}')}", "error")
    say(f"  = help: {help_text or AGAIN}", "help")
    own = detail.get("exitCode", exits.UNEXPECTED)
    return exits.SITES_FAILED if own == exits.UNEXPECTED else int(own)


def report_resources(site: "Site | None", failures: Iterable[tuple[str, str, str]]) -> int:
    """Print why resources of a site failed: (name in the stack, code, message) each; the exit code.

    What failed for the same known reason is explained once. The exit code is `MISSING` where the sign-in is
    to blame, since nothing is wrong with the site then.
    """
    from fleet.adapters.arm_advice import Advice, advice_about
    from fleet.app.site import CONSEQUENCE
    from fleet.diagnostics.text import visible

    found = list(failures)
    blocks: dict[tuple[str, str], list[tuple[str, str, Advice | None]]] = {}
    for resource, code, message in found:
        if code != CONSEQUENCE or all(other[1] == CONSEQUENCE for other in found):
            advice = advice_about(code, message, resource)
            what = advice.what if advice else message.strip()
            blocks.setdefault((code, what), []).append((resource, message.strip(), advice))
    for (code, what), alike in list(blocks.items())[:SHOWN]:
        resource, message, advice = alike[0]
        _say_failure(site, resource, code, what, advice.do if advice else AGAIN)
        if advice and advice.registration and site is not None:
            _say_registration(site.spec)
        if advice:
            say(f"  = in full: {visible(message)}", "dim")
        if names := ", ".join(name for name, *_ in alike[1:]):
            say(f"  = so did: {names}", "dim")
    if others := len(found) - sum(map(len, list(blocks.values())[:SHOWN])):
        say(f"  {others} more failed, some for want of these; the same command again shows what is left")
    advised = [advice for alike in blocks.values() for *_, advice in alike if advice]
    return exits.MISSING if any(advice.credential for advice in advised) else exits.SITES_FAILED


def report_sites(folder: "FilePath", view: "RunView", failed: Collection[str]) -> None:
    """Print why sites of a rollout failed, each as `report_step` does. `folder` is the inventory's."""
    from fleet.adapters.inventory_files import read_inventory

    try:
        inventory, _ = read_inventory(folder)
    except FleetError:  # it went away meanwhile; what failed is told all the same
        inventory = None
    sites = [site for ring in view.rings for site in ring.sites if site.site in failed]
    for site in sites[:SHOWN]:
        say(f"{site.site} failed", "bold")
        detail = next((step.detail for step in reversed(site.steps) if step.state == "failed"), {})
        found = inventory.site(site.site) if inventory is not None else None
        report_step(found, site.failure_code, site.failure_message, detail)
    if len(sites) > SHOWN:
        say(f"and {len(sites) - SHOWN} more sites failed: fleet status")
    say(
        "  = help: a change of the inventory counts for a new rollout only; to end this one and start it:",
        "help",
    )
    say("          fleet rollout abort; fleet rollout resume; fleet rollout start", "help")


def _say_failure(site: "Site | None", resource: str, code: str, what: str, help_text: str) -> None:
    from fleet.diagnostics.text import diagnostic_pieces, visible

    headline = f"{resource}: {what}" if resource else what
    path = inventory_path(site.spec, resource) if site is not None else None
    if site is not None and path is not None:
        diagnostic = site.diagnostic(code, "error", headline, path, help_text)
        err().print(styled(diagnostic_pieces(diagnostic)), end="")
    else:
        say(f"error[{code}]: {visible(headline)}", "error")
        say(f"  = help: {help_text}", "help")


def _say_registration(spec: "SiteSpec") -> None:
    from fleet_stacks.resource_providers import registration_commands

    for command in registration_commands(spec):
        say(f"          {command}")


def inventory_path(spec: "SiteSpec", resource: str) -> "Path | None":
    """The path of the inventory's value that a resource of the stack comes from, None where there is none."""
    from fleet_stacks.origins import inventory_path as origin

    text = origin(spec, resource)
    if text is None:
        return None
    steps = re.findall(r"([^.\[\]]+)|\[(\d+)\]", text)
    return tuple(int(index) if index else name for name, index in steps)
