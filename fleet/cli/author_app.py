"""`fleet init`, `site`, `import`, `schema`, `fmt` and `ci`: the options of what writes an inventory."""

from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import HERE, WORKSPACE, EngineOption, InventoryOption, OutputOption, WorkspaceOption

site_app = typer.Typer(help="Sites of the inventory.", no_args_is_help=True)
import_app = typer.Typer(help="Sites from what is written elsewhere.", no_args_is_help=True)
ci_app = typer.Typer(help="Pipelines that check a fleet's repository.", no_args_is_help=True)


def init(
    folder: Annotated[
        Path, typer.Argument(help="A folder without a fleet; made when it is not there.")
    ] = HERE,
    name: Annotated[str | None, typer.Option(help="Name of the fleet.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Entra tenant id.")] = None,
    subscription: Annotated[str | None, typer.Option(help="Subscription id.")] = None,
    region: Annotated[str | None, typer.Option(help="Such as westeurope.")] = None,
    domain: Annotated[str | None, typer.Option(help="DNS domain of the machines.")] = None,
    site: Annotated[str | None, typer.Option(help="Name of the pilot site.")] = None,
    profile: Annotated[str | None, typer.Option(help="Name of its profile.")] = None,
    management: Annotated[str | None, typer.Option(help="Its management network, a CIDR.")] = None,
    kubernetes: Annotated[str | None, typer.Option(help="Its Kubernetes network, a CIDR.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask: defaults and placeholders.")] = False,
) -> None:
    """Write a first fleet: one pilot site that validates, with placeholders marked.

    In a terminal it asks for what no option gives. What it makes up it marks in the files.
    """
    from fleet.cli.author_commands import run_init

    given = {
        "name": name, "tenant": tenant, "subscription": subscription, "region": region, "domain": domain,
        "site": site, "profile": profile, "management": management, "kubernetes": kubernetes,
    }  # fmt: skip
    raise typer.Exit(run_init(folder, given, yes=yes))


@site_app.command("add")
def site_add(
    name: str,
    ring: Annotated[str, typer.Option("--ring", help="A ring of fleet.yaml.")],
    management: Annotated[str, typer.Option(help="Network of the machines, a CIDR.")],
    kubernetes: Annotated[str, typer.Option(help="Network of the AKS cluster, a CIDR.")],
    profile: Annotated[str | None, typer.Option(help="A profile of fleet.yaml.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="NAME=IP of a machine; repeat it.")] = None,
    dns: Annotated[list[str] | None, typer.Option(help="A DNS server; repeat it.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; repeat it.")] = None,
    inventory: InventoryOption = HERE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the file, write nothing.")] = False,
) -> None:
    """Write the file of a new site, its addresses planned from its networks, and say what is missing."""
    from fleet.cli.author_commands import run_site_add

    code = run_site_add(
        inventory, name, ring, profile, management, kubernetes, node or [], dns or [], label or [],
        dry_run=dry_run,
    )  # fmt: skip
    raise typer.Exit(code)


@import_app.command("csv")
def import_csv(
    file: Annotated[Path, typer.Argument(help="A spreadsheet saved as CSV: a row a site.")],
    inventory: InventoryOption = HERE,
    update: Annotated[bool, typer.Option("--update", help="Change the sites that are there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be, write nothing.")] = False,
) -> None:
    """Write site files from a spreadsheet; all rows or none. docs/import-csv.md lists the columns."""
    from fleet.cli.author_commands import run_import_csv

    raise typer.Exit(run_import_csv(inventory, file, update=update, dry_run=dry_run))


@import_app.command("azure")
def import_azure(
    subscription: Annotated[str, typer.Option("--subscription", help="Id of the subscription to read.")],
    group: Annotated[
        list[str] | None, typer.Option("--resource-group", "-g", help="Only this group; repeat it.")
    ] = None,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
    output: OutputOption = "table",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files, write nothing.")] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 10 when Azure and inventory differ.")
    ] = False,
) -> None:
    """Write a site file for each Azure Local cluster of a subscription; compare those that have one.

    It only reads Azure. docs/import-azure.md says what Azure can't tell.
    """
    from fleet.cli.import_commands import run_import_azure

    code = run_import_azure(
        inventory, workspace, engine, subscription, group or [], output,
        dry_run=dry_run, detailed=detailed_exitcode,
    )  # fmt: skip
    raise typer.Exit(code)


def schema(
    kind: Annotated[str | None, typer.Argument(help="fleet or site.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for both, as files.")] = None,
) -> None:
    """Print the JSON Schema of fleet.yaml or of a site's file, for editors (docs/editors.md)."""
    from fleet.cli.author_commands import run_schema

    raise typer.Exit(run_schema(kind, out))


def fmt(
    inventory: InventoryOption = HERE,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 3 if there is need.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Change nothing; show what would.")] = False,
) -> None:
    """Put the keys of every file in order, two spaces an indent; comments and quotes stay."""
    from fleet.cli.author_commands import run_fmt

    raise typer.Exit(run_fmt(inventory, check=check, diff=diff))


@ci_app.command("init")
def ci_init(
    system: Annotated[str, typer.Option("--system", help="github, azure-devops or gitlab.")] = "github",
    folder: Annotated[Path, typer.Option("--dir", help="Root of the repository.")] = HERE,
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", help="Folder that holds fleet.yaml, below --dir.")
    ] = HERE,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Where fleet comes from: git+https://…@COMMIT, or a wheel below --dir."),
    ] = None,
    branch: Annotated[str, typer.Option("--branch", help="The branch that changes are merged to.")] = "main",
    force: Annotated[bool, typer.Option("--force", help="Replace a pipeline that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the file, write nothing.")] = False,
) -> None:
    """Write a pipeline that validates and plans every pull request, without secrets (docs/ci.md)."""
    from fleet.cli.ci_commands import run_ci_init

    raise typer.Exit(run_ci_init(system, folder, inventory, source, branch, force=force, dry_run=dry_run))
