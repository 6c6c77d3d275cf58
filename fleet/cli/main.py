"""The `fleet` command: wiring, views and exit codes. Each command imports what it needs when it runs."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.cli import exits
from fleet.cli.fault_app import fault_app

app = typer.Typer(
    name="fleet",
    help="One inventory for AI agents and local inference on Azure Local sites: validate, plan, roll out.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
rollout_app = typer.Typer(help="Change the fleet ring by ring, gated and resumable.", no_args_is_help=True)
sandbox_app = typer.Typer(help="A stand-in for Azure on this machine.", no_args_is_help=True)
site_app = typer.Typer(help="Sites of the inventory.", no_args_is_help=True)
import_app = typer.Typer(help="Sites from what is written elsewhere.", no_args_is_help=True)
ci_app = typer.Typer(help="Pipelines that check a fleet's repository.", no_args_is_help=True)
app.add_typer(site_app, name="site")
app.add_typer(import_app, name="import")
app.add_typer(ci_app, name="ci")
app.add_typer(rollout_app, name="rollout")
app.add_typer(sandbox_app, name="sandbox")
sandbox_app.add_typer(fault_app, name="fault")

InventoryOption = Annotated[
    Path, typer.Option("--inventory", "-i", envvar="FLEET_INVENTORY", help="Folder that holds fleet.yaml.")
]
WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="FLEET_WORKSPACE", help="Where state, journal and reports are kept."),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine", envvar="FLEET_ENGINE", help="pulumi: the Pulumi CLI, for Azure. local: the sandbox."
    ),
]
OutputOption = Annotated[str, typer.Option("--output", "-o", help="table or json.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Sites at once; default: one for each processor.")
]
HERE, WORKSPACE = Path(), Path(".fleet")
PROCESSORS = os.cpu_count() or 1


@app.command()
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

    In a terminal it asks for what no option gives. What it makes up it marks in the files and lists.
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


@app.command()
def schema(
    kind: Annotated[str | None, typer.Argument(help="fleet or site.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for both, as files.")] = None,
) -> None:
    """Print the JSON Schema of fleet.yaml or of a site's file, for editors (docs/editors.md)."""
    from fleet.cli.author_commands import run_schema

    raise typer.Exit(run_schema(kind, out))


@app.command()
def fmt(
    inventory: InventoryOption = HERE,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 3 if there is need.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Change nothing; show what would.")] = False,
) -> None:
    """Put the keys of every file in order, two spaces an indent; comments and quotes stay."""
    from fleet.cli.author_commands import run_fmt

    raise typer.Exit(run_fmt(inventory, check=check, diff=diff))


@app.command()
def validate(
    inventory: InventoryOption = HERE,
    output: Annotated[
        str, typer.Option("--output", "-o", help="text, json, sarif, junit, github, azure or gitlab.")
    ] = "text",
    changed_since: Annotated[
        str | None,
        typer.Option("--changed-since", metavar="REV", help="Only what differs from a git revision."),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Check only what changed since the last run.")
    ] = True,
    policies: Annotated[
        Path | None,
        typer.Option("--policies", help="Folder of Rego policies; policies/ beside fleet.yaml otherwise."),
    ] = None,
) -> None:
    """Find every mistake that can be found before a site is touched.

    github and azure are the log commands by which GitHub Actions and Azure Pipelines put remarks on the
    lines of a change; without -o the output is text there too. In a file of the inventory,
    `# fleet: ignore[NET003] reason` sets a finding of its line, or of the line below it, aside.

    With --changed-since main it tells what a pull request touches and what that can affect: sites whose file
    differs, sites that inherit something which differs, others that collide with one of those, all that is
    wrong in fleet.yaml, and every site when a policy differs.
    """
    from fleet.cli.inventory_commands import run_validate

    raise typer.Exit(run_validate(inventory, output, workspace if cache else None, changed_since, policies))


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="Such as NET003; without one, all are listed.")] = None,
    inventory: InventoryOption = HERE,
) -> None:
    """Say what a code means: why, a wrong example, a right one, and where its rule comes from."""
    from fleet.cli.inventory_commands import run_explain

    raise typer.Exit(run_explain(code, inventory))


@app.command()
def show(
    site: Annotated[str | None, typer.Argument(help="A site; without one, all are listed.")] = None,
    inventory: InventoryOption = HERE,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Say where each value was written.")
    ] = False,
    output: OutputOption = "yaml",
) -> None:
    """Show a site as resolved from defaults, profile, ring and its own file."""
    from fleet.cli.inventory_commands import run_show

    raise typer.Exit(run_show(inventory, site, provenance, output))


@app.command()
def render(
    site: Annotated[str | None, typer.Argument(help="A site.")] = None,
    inventory: InventoryOption = HERE,
    every: Annotated[bool, typer.Option("--all", help="Every site, each in a folder of its own.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the tree; only what changed is written again.")
    ] = None,
    oci: Annotated[
        Path | None, typer.Option("--oci", help="Folder for the tree as an OCI image layout.")
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="PATH[:LINE]",
            help="Say which template, field and line of the inventory a line of this file comes from.",
        ),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    jobs: JobsOption = PROCESSORS,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Write only the sites of which something changed.")
    ] = True,
) -> None:
    """Write the GitOps tree of a site: clusters/, platform/, workloads/ (docs/render.md).

    With --explain nothing is written: `--explain workloads/agents/chat.yaml:12`, with or without the folder
    that the tree was written to.
    """
    if explain is not None:
        from fleet.cli.render_explain import run_explain_render

        raise typer.Exit(run_explain_render(inventory, site, explain))
    from fleet.cli.render_command import run_render

    raise typer.Exit(run_render(inventory, site, every, out, oci, workspace if cache else None, jobs))


@app.command("diff")
def diff_trees(
    sites: Annotated[list[str] | None, typer.Argument(help="Sites; all when none is named.")] = None,
    inventory: InventoryOption = HERE,
    base: Annotated[
        Path | None, typer.Option("--base", help="Compare with the trees of this inventory's folder.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="REV", help="Compare with those of a git revision.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="REV", help="With --since: the later revision, not the files here."),
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", metavar="KUBECONFIG", help="Ask a site's cluster what applying changes."),
    ] = None,
    jobs: JobsOption = PROCESSORS,
    output: OutputOption = "table",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 10 when there are differences.")
    ] = False,
) -> None:
    """Show how rendered trees differ; the same change at many sites is shown once.

    Between two folders, two git revisions, or one site's tree and what its cluster has (docs/render.md).
    """
    from fleet.cli.diff_command import Compared, run_diff

    compared = Compared(inventory, tuple(sites or ()), base, since, until, cluster, jobs)
    raise typer.Exit(run_diff(compared, output, detailed=detailed_exitcode))


@app.command()
def plan(
    sites: Annotated[list[str] | None, typer.Argument(help="Sites; all when none is named.")] = None,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    jobs: JobsOption = PROCESSORS,
    output: Annotated[str, typer.Option("--output", "-o", help="table, json or markdown.")] = "table",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 10 when there are changes.")
    ] = False,
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Compare with this earlier revision's folder, not with recorded state."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the plan for fleet rollout start --plan; - prints it.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Plan only the sites of which something changed.")
    ] = True,
    state: Annotated[
        str | None,
        typer.Option("--state", help="Compare with a Pulumi backend: file://, s3://, azblob:// or cli."),
    ] = None,
) -> None:
    """Show what would change at every site, without touching any.

    It compares with what this workspace has recorded. Where nothing is recorded, as in a pull request,
    --base compares what two revisions of the inventory declare. --state compares with what Pulumi keeps of
    the sites in production (docs/plan.md).
    """
    from fleet.cli.plan_command import run_plan

    code = run_plan(
        inventory, workspace, sites or [], jobs, output, detailed_exitcode, base, out,
        cached=cache, state=state,
    )  # fmt: skip
    raise typer.Exit(code)


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


@app.command()
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


@app.command()
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


@app.command()
def refresh(
    site: str,
    inventory: InventoryOption = HERE,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "pulumi",
) -> None:
    """Bring the recorded state of one site to what exists."""
    from fleet.cli.site_commands import run_refresh

    raise typer.Exit(run_refresh(inventory, workspace, engine, site))


@app.command()
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


@app.command()
def status(
    inventory: InventoryOption = HERE, workspace: WorkspaceOption = WORKSPACE, output: OutputOption = "table"
) -> None:
    """Show where each site of the last rollout stands."""
    from fleet.cli.rollout_commands import run_status

    raise typer.Exit(run_status(inventory, workspace, output))


@app.command()
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


@app.command()
def demo(
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", help="Folder that holds fleet.yaml.")
    ] = Path("examples/factory"),
    workspace: Annotated[Path, typer.Option("--workspace", help="Emptied first.")] = Path(".fleet/demo"),
) -> None:
    """Take a fleet through validate, plan, rollout and status against the sandbox."""
    from fleet.cli.demo_command import run_demo

    raise typer.Exit(run_demo(inventory, workspace))


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
