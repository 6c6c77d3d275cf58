"""`fleet rollout`, `status`, `report`, `sandbox` and `demo`: the options of their commands."""

from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import (
    HERE,
    WORKSPACE,
    EngineOption,
    InventoryOption,
    OutputOption,
    WorkspaceOption,
    YesOption,
)

rollout_app = typer.Typer(help="Change the fleet ring by ring, gated and resumable.", no_args_is_help=True)
sandbox_app = typer.Typer(help="A stand-in for Azure on this machine.", no_args_is_help=True)


@rollout_app.command("start")
def rollout_start(
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
    yes: YesOption = False,
    max_concurrency: Annotated[
        str, typer.Option(help="Sites at once in a ring: a number or a percentage.")
    ] = "2",
    max_failures: Annotated[int, typer.Option(min=0, help="Failed sites that do not stop the rollout.")] = 0,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Roll out what fleet plan --out kept, if nothing changed since."),
    ] = None,
) -> None:
    """Start a rollout: one canary first, then ring after ring, each behind a health gate."""
    from fleet.cli.rollout_commands import run_start

    raise typer.Exit(run_start(inventory, workspace, engine, yes, max_concurrency, max_failures, plan))


@rollout_app.command("resume")
def rollout_resume(
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
) -> None:
    """Go on with a rollout that was stopped, paused or killed."""
    from fleet.cli.rollout_commands import run_resume

    raise typer.Exit(run_resume(inventory, workspace, engine))


@rollout_app.command("pause")
def rollout_pause(workspace: WorkspaceOption = WORKSPACE, reason: str = "") -> None:
    """Ask a running rollout to finish what is in flight and wait for `resume`."""
    from fleet.cli.rollout_commands import run_intent

    raise typer.Exit(run_intent(workspace, "pause", reason))


@rollout_app.command("abort")
def rollout_abort(workspace: WorkspaceOption = WORKSPACE, reason: str = "") -> None:
    """Ask a running rollout to finish what is in flight and end."""
    from fleet.cli.rollout_commands import run_intent

    raise typer.Exit(run_intent(workspace, "abort", reason))


def status(
    inventory: InventoryOption = HERE, workspace: WorkspaceOption = WORKSPACE, output: OutputOption = "table"
) -> None:
    """Show where each site of the last rollout stands."""
    from fleet.cli.rollout_commands import run_status

    raise typer.Exit(run_status(inventory, workspace, output))


def report(
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    out: Annotated[
        Path | None, typer.Option("--out", help="The HTML file; default: in the workspace.")
    ] = None,
) -> None:
    """Write the last rollout as one self-contained HTML page."""
    from fleet.cli.report_command import run_report

    raise typer.Exit(run_report(inventory, workspace, out))


@sandbox_app.command("start")
def sandbox_start(
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    record: Annotated[
        Path | None, typer.Option("--record", help="Write each request and answer here, as JSON lines.")
    ] = None,
    clock_factor: Annotated[
        float, typer.Option(min=0, help="Length of Azure's long operations: 1 as in life, 0 at once.")
    ] = 0.00002,
    strict: Annotated[
        bool, typer.Option("--strict", help="With Azure's request limits, quotas, provider registration.")
    ] = False,
) -> None:
    """Run the stand-in for Azure Resource Manager until Ctrl-C; other commands find it by themselves."""
    from fleet.cli.sandbox_commands import run_sandbox

    raise typer.Exit(run_sandbox(inventory, workspace, record, clock_factor, strict=strict))


def demo(
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", help="Folder that holds fleet.yaml.")
    ] = Path("examples/factory"),
    workspace: Annotated[Path, typer.Option("--workspace", help="Emptied first.")] = Path(".fleet/demo"),
) -> None:
    """Take a fleet through validate, plan, rollout and status against the sandbox."""
    from fleet.cli.demo_command import run_demo

    raise typer.Exit(run_demo(inventory, workspace))
