"""`fleet validate`, `explain`, `show`, `render`, `diff` and `plan`: the options of what only looks."""

from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.options import (
    HERE,
    PROCESSORS,
    WORKSPACE,
    InventoryOption,
    JobsOption,
    OutputOption,
    WorkspaceOption,
)


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


def explain(
    code: Annotated[str | None, typer.Argument(help="Such as NET003; without one, all are listed.")] = None,
    inventory: InventoryOption = HERE,
) -> None:
    """Say what a code means: why, a wrong example, a right one, and where its rule comes from."""
    from fleet.cli.inventory_commands import run_explain

    raise typer.Exit(run_explain(code, inventory))


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


def diff(
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
