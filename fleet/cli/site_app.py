"""`fleet up`, `destroy`, `refresh` and `adopt`: the options of what is done to one site."""

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


def up(
    site: str,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
) -> None:
    """Bring one site to what the inventory says."""
    from fleet.cli.site_commands import run_up

    raise typer.Exit(run_up(inventory, workspace, engine, site, yes=yes, dry_run=dry_run))


def destroy(
    site: str,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
    yes: YesOption = False,
    unprotect: Annotated[
        bool, typer.Option("--unprotect", help="Also what is protected: clusters and vaults.")
    ] = False,
) -> None:
    """Delete what `up` made at one site."""
    from fleet.cli.site_commands import run_destroy

    raise typer.Exit(run_destroy(inventory, workspace, engine, site, yes=yes, unprotect=unprotect))


def refresh(
    site: str,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
) -> None:
    """Bring the recorded state of one site to what exists."""
    from fleet.cli.site_commands import run_refresh

    raise typer.Exit(run_refresh(inventory, workspace, engine, site))


def adopt(
    site: str,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
    output: OutputOption = "table",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take the site over; without it, it is only shown.")
    ] = False,
    accept_differences: Annotated[
        bool, typer.Option("--accept-differences", help="Also what the next run would change.")
    ] = False,
) -> None:
    """Take over a site that exists in Azure, and prove it by an empty plan. Azure is never changed.

    It shows what would be taken over as it is, what differs from the inventory, what is not there and what is
    nobody's; exit 10 where a plan would not be empty. docs/adopt.md.
    """
    from fleet.cli.adopt_command import run_adopt

    code = run_adopt(inventory, workspace, engine, site, output, yes=yes, accept=accept_differences)
    raise typer.Exit(code)
