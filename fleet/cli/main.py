"""The `fleet` command: wiring, views and exit codes. Each command imports what it needs when it runs."""

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from fleet.cli import exits
from fleet.cli.author_app import ci_app, fmt, import_app, init, schema, site_app
from fleet.cli.fault_app import fault_app
from fleet.cli.inventory_app import diff, explain, plan, render, show, validate
from fleet.cli.rollout_app import demo, report, rollout_app, sandbox_app, status
from fleet.cli.site_app import adopt, destroy, refresh, up

app = typer.Typer(
    name="fleet",
    help="One inventory for AI agents and local inference on Azure Local sites: validate, plan, roll out.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(site_app, name="site")
app.add_typer(import_app, name="import")
app.add_typer(ci_app, name="ci")
app.add_typer(rollout_app, name="rollout")
app.add_typer(sandbox_app, name="sandbox")
sandbox_app.add_typer(fault_app, name="fault")
COMMANDS: tuple[Callable[..., None], ...] = (
    init, schema, fmt, validate, explain, show, render, diff, plan,
    up, destroy, refresh, adopt, status, report, demo,
)  # fmt: skip
"""In the order in which `fleet --help` lists them."""
for command in COMMANDS:
    app.command()(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (docs/cli.md)."""
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(args=argv, standalone_mode=False)
        return int(code or exits.OK)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - the console may be half built
        return exits.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except Exception as error:
        from fleet.cli.failures import report_failure

        return report_failure(error)


if __name__ == "__main__":
    raise SystemExit(main())
