"""`fleet import azure`: drafts of sites from what Azure holds, and differences for those that are there."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleet.adapters.azure_listing import read_azure
from fleet.app.azure_import.drafts import UNTOLD, AzureImport, Compared, Drafted, import_azure
from fleet.app.azure_import.reading import shown
from fleet.app.site_draft import problem
from fleet.cli import exits
from fleet.cli.author_commands import Files, usable, verdict, write
from fleet.cli.console import out, print_json, say
from fleet.cli.inventory_commands import choose
from fleet.cli.wiring import Parts, Workspace, arm_client
from fleet.diagnostics.diagnostic import FleetError
from fleet.ports.azure import AzureReader

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GROUP = re.compile(r"[-\w.()]{0,89}[-\w()]")


def run_import_azure(
    folder: Path,
    workspace: Path,
    engine: str,
    subscription: str,
    groups: Sequence[str],
    output: str,
    *,
    dry_run: bool,
    detailed: bool,
) -> int:
    """Exit code of `fleet import azure`."""
    choose(output, "table", "json")
    if not _GUID.fullmatch(subscription):
        raise FleetError(
            "IMP005", f"{subscription!r} is no subscription id", "az account list -o table", exits.USAGE
        )
    for group in groups:
        if not _GROUP.fullmatch(group):
            raise FleetError("IMP005", f"{group!r} is no name of a resource group", "", exits.USAGE)
    files, inventory = usable(folder)
    reader = _reader(Parts(Workspace(workspace), folder, engine), subscription)
    azure = read_azure(reader, subscription.lower(), groups)
    places = files.by_name()
    result = import_azure(azure, inventory, {name: files.sites[path] for name, path in places.items()})
    texts = {files.place_of(draft.site): draft.text for draft in result.created}
    taken = next((path for path in texts if path.exists()), None)
    if taken is not None:
        message = f"{taken} is there already, but gives no site {taken.stem!r}"
        raise problem(message, "mend or rename it", "NEW003")
    if not dry_run:
        write(texts)
    if output == "json":
        print_json(document(result, files, dry_run=dry_run))
    else:
        _report(result, files, dry_run=dry_run)
    code = verdict(files.checked(texts), len(files.sites) + len(texts)) if texts else exits.OK
    if result.skipped:
        return exits.SITES_FAILED
    if code == exits.OK and detailed and result.differs:
        return exits.CHANGES
    return code


def _reader(parts: Parts, subscription: str) -> AzureReader:
    """The sandbox's ARM with the engine `local`, else Azure's, with the sign-in of the Azure CLI."""
    if parts.engine == "local":
        parts.require_target()
        connection = parts.workspace.connection()
        assert connection is not None
        return arm_client(connection)
    if parts.engine != "pulumi":
        raise FleetError("ENV008", f"there is no engine {parts.engine!r}", "local or pulumi", exits.USAGE)
    from fleet.adapters.arm_client import ArmClient
    from fleet.adapters.azure_cli import ENDPOINT, AzureCliToken

    say(
        "reading Azure with the sign-in of the Azure CLI; this way is not tested against Azure yet", "warning"
    )
    return ArmClient(ENDPOINT, AzureCliToken(subscription))


def document(result: AzureImport, files: Files, *, dry_run: bool) -> dict[str, Any]:
    """The result as JSON-able values, version 1."""
    return {
        "version": 1,
        "dryRun": dry_run,
        "created": [
            {**asdict(draft), "file": files.place_of(draft.site).as_posix()} for draft in result.created
        ],
        "compared": [asdict(site) for site in result.compared],
        "skipped": [{"id": name, "why": why} for name, why in result.skipped],
        "absent": result.absent,
        "unplaced": [{"id": name, "what": what} for name, what in result.unplaced],
        "noField": [
            {"type": kind, "path": path, "resources": count}
            for (kind, path), count in sorted(result.fieldless.items())
        ],
        "otherTypes": dict(sorted(result.other_types.items())),
        "notTold": [{"field": name, "why": why} for name, why in UNTOLD.items()],
        "notes": result.notes,
    }


def _report(result: AzureImport, files: Files, *, dry_run: bool) -> None:
    for draft in result.created:
        _draft(draft, files.place_of(draft.site), dry_run=dry_run)
    for site in result.compared:
        _comparison(site)
    for name in result.absent:
        say(f"{name}: Azure has no such cluster", "warning")
    for resource, why in result.skipped:
        say(f"{shown(resource)}: not imported: {why}", "error")
    if result.unplaced or result.other_types or result.fieldless:
        say("In Azure, and not in an inventory:", "bold")
    for resource, what in result.unplaced:
        say(f"  {shown(resource)}: {what}")
    for kind, count in sorted(result.other_types.items()):
        say(f"  {count} of the type {shown(kind)}")
    for (kind, path), count in sorted(result.fieldless.items()):
        say(f"  {shown(kind)}: no field for {shown(path)}, which {count} of them have")
    say("Not told by Azure:", "bold")
    for name, why in UNTOLD.items():
        say(f"  {name}: {why}")
    for note in result.notes:
        say(note, "warning")
    same = sum(not site.differences for site in result.compared)
    counts = (
        f"{len(result.created)} new, {same} the same, {len(result.compared) - same} different, "
        f"{len(result.absent)} not in Azure, {len(result.skipped)} not imported"
    )
    say(counts + (" (dry run: nothing was written)" if dry_run else ""))


def _draft(draft: Drafted, path: Path, *, dry_run: bool) -> None:
    fits = f"profile {draft.profile}" if draft.profile else "no profile"
    say(f"{path} {'would be ' if dry_run else ''}written: {fits}, ring {draft.ring}", "ok")
    if dry_run:
        out().print(draft.text, end="", markup=False)
    for line in draft.missing:
        say(f"  to be given: {line}", "error")
    for line in draft.checks:
        say(f"  check that {line}", "warning")
    for line in draft.notes:
        say(f"  {line}")


def _comparison(site: Compared) -> None:
    say(f"{site.site}: {len(site.differences) or 'no'} differences", "warning" if site.differences else "ok")
    for found in site.differences:
        place = f" ({found.span.path}:{found.span.line})" if found.span else ""
        out().print(
            f"{site.site}: {found.path}: {shown(found.inventory)}{place}, in Azure {shown(found.azure)}",
            markup=False,
        )
    for line in site.notes:
        say(f"  {line}")
