"""From an exception to one clear message and an exit code."""

import os
import tempfile
import traceback

import typer

from fleet.cli import exits
from fleet.cli.console import say
from fleet.diagnostics.diagnostic import FleetError


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
