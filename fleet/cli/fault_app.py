"""`fleet sandbox fault`: the options of its commands. What they do is in fault_commands."""

from pathlib import Path
from typing import Annotated

import typer

fault_app = typer.Typer(
    help="Make the running sandbox's Azure go wrong (docs/sandbox.md).", no_args_is_help=True
)

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="FLEET_WORKSPACE", help="Where state, journal and reports are kept."),
]
_WORKSPACE = Path(".fleet")


@fault_app.command("add")
def fault_add(
    workspace: WorkspaceOption = _WORKSPACE,
    kind: Annotated[
        str, typer.Option(help="http, throttle, drop, lost, operation or slow.", show_default=True)
    ] = "http",
    path: Annotated[
        str | None, typer.Option(help="Regular expression, searched in the request's path.")
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Resource type: Microsoft.KeyVault/vaults.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="GET, PUT, …; may be given more than once.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How often it strikes; default: always.")] = None,
    probability: Annotated[float | None, typer.Option(help="Of a matching request, 0 to 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the probability's random numbers.")] = None,
    status: Annotated[int | None, typer.Option(help="HTTP status of kind http.")] = None,
    code: Annotated[str | None, typer.Option(help="ARM's code: QuotaExceeded.")] = None,
    message: Annotated[str | None, typer.Option(help="ARM's message.")] = None,
    retry_after: Annotated[int | None, typer.Option(help="Seconds, of kinds http and throttle.")] = None,
    after: Annotated[
        float | None,
        typer.Option(help="Seconds of real life until an operation fails or, if slow, ends."),
    ] = None,
) -> None:
    """Order one fault; prints its id."""
    from fleet.cli.fault_commands import run_add

    order = {
        "kind": kind, "path": path, "type": type_, "methods": method or None, "count": count,
        "probability": probability, "seed": seed, "status": status, "code": code, "message": message,
        "retryAfter": retry_after, "after": after,
    }  # fmt: skip
    raise typer.Exit(run_add(workspace, {name: value for name, value in order.items() if value is not None}))


@fault_app.command("run")
def fault_run(
    file: Annotated[Path, typer.Argument(help="A YAML file with a list of faults.")],
    workspace: WorkspaceOption = _WORKSPACE,
) -> None:
    """Order all faults of a file, or none of them if one is wrong."""
    from fleet.cli.fault_commands import run_script

    raise typer.Exit(run_script(workspace, file))


@fault_app.command("list")
def fault_list(
    workspace: WorkspaceOption = _WORKSPACE,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
) -> None:
    """Show the faults on order, and how often each has struck."""
    from fleet.cli.fault_commands import run_list

    raise typer.Exit(run_list(workspace, output))


@fault_app.command("clear")
def fault_clear(
    fault_id: Annotated[str | None, typer.Argument(help="One fault; default: all of them.")] = None,
    workspace: WorkspaceOption = _WORKSPACE,
) -> None:
    """Cancel one fault, or all."""
    from fleet.cli.fault_commands import run_clear

    raise typer.Exit(run_clear(workspace, fault_id))
