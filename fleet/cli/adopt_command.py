"""`fleet adopt`: a site in Azure is shown beside the inventory, taken over, and proven by its plan."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fleet.adapters.oci_layout import write_atomically
from fleet.app.adopt import Adopted, Program, SiteAdopter
from fleet.app.azure_import.reading import shown
from fleet.app.site import PROJECT
from fleet.cli import exits
from fleet.cli.console import out, print_json, say
from fleet.cli.inventory_commands import choose, find_site, valid_inventory
from fleet.cli.plan_command import changes_table, files_text, say_what_is_odd
from fleet.cli.wiring import Parts, Workspace, arm_client, passphrase
from fleet.diagnostics.diagnostic import FleetError
from fleet.diagnostics.text import visible
from fleet.model.site import SiteSpec
from fleet.plan.adoption import Adoptee, Adoption, Standing
from fleet.plan.site_plan import SitePlan
from fleet.ports.adoption import OtherName
from fleet.ports.engine import StackRef

if TYPE_CHECKING:
    from fleet.adapters.arm_client import ArmClient
    from fleet.engine.local.store import StateStore

WORDS: dict[Standing, tuple[str, str]] = {
    "replace": ("would be replaced", "bold red"),
    "differs": ("differs", "yellow"),
    "create": ("not in Azure", "green"),
    "same": ("as it is", ""),
    "owned": ("owned already", "dim"),
}
_REFUSED = "ADP005"
_SHOWN = 70
"""Characters of a value that a line shows."""


def run_adopt(
    folder: Path, workspace: Path, engine: str, name: str, output: str, *, yes: bool, accept: bool
) -> int:
    """Exit code of `fleet adopt`."""
    choose(output, "table", "json")
    inventory = valid_inventory(folder)
    spec = find_site(inventory, name).spec
    parts = Parts(Workspace(workspace), folder, engine)
    with _store(parts, spec, own=yes) as (store, unlock):
        client = _client(parts, spec)
        from fleet.engine.adoption import LocalAdopter

        adopter = SiteAdopter(
            parts.applier(),
            LocalAdopter(store, lambda: client, unlock),
            client,
            keep_names,
            partial(_remember, parts.folder),
        )
        result = adopter.adopt(spec, own=yes, accept_differences=accept)
        taken = result.done and bool(result.adoption.taken)
        file = _written(parts, spec, store) if taken and engine != "local" else None
    if result.done:
        parts.workspace.marks.take_away(name)
    plan = parts.applier().plan(spec) if result.done and engine == "local" else None
    if output == "json":
        print_json(document(result, plan))
    else:
        show(result.adoption, result.other_names)
    return _verdict(result, plan, file)


def document(result: Adopted, plan: SitePlan | None) -> dict[str, Any]:
    """The result as JSON-able values, version 1."""
    return {
        "version": 1,
        "site": result.adoption.site,
        "owned": result.done,
        "refused": result.refused,
        "resources": [asdict(resource) for resource in result.adoption.resources],
        "otherNames": [asdict(other) for other in result.other_names],
        "nobodys": result.adoption.nobodys,
        "plan": None if plan is None else asdict(plan),
    }


def show(adoption: Adoption, names: tuple[OtherName, ...]) -> None:
    """A line a resource, with a line below it for each property that Azure has otherwise."""
    table = Table(box=None, pad_edge=False, show_header=False, title=adoption.site, title_justify="left")
    for standing in WORDS:
        for resource in adoption.of(standing):
            word, style = WORDS[standing]
            kind = resource.type.removeprefix("azure-native:")
            table.add_row(
                Text(word, style=style), kind, resource.name, Text(_last_part(resource.id), style="dim")
            )
            for line in _below(resource):
                table.add_row("", "", Text(f"  {visible(line)}"), "")
    out().print(table)
    for other in names:
        say(f"{other.resource}: the right is there as {other.name}, and keeps that name", "dim")
    if untold := [f"{resource.name}: {path}" for resource in adoption.taken for path in resource.untold]:
        say("can't be compared, Azure never tells it; taken as the inventory has it:", "warning")
        for line in untold:
            say(f"  {line}")
    for resource_id in adoption.nobodys:
        say(f"in the resource group and not of this site: {visible(resource_id)}", "warning")
    counts = ", ".join(f"{len(adoption.of(s))} {word}" for s, (word, _) in WORDS.items() if adoption.of(s))
    say(f"{adoption.site}: {counts}", "bold")


def _below(resource: Adoptee) -> Iterator[str]:
    for found in resource.differences:
        stays = "  (stays: no run changes it)" if found.stays else ""
        yield f"{found.path}: {_value(found.azure)} -> {_value(found.inventory)}{stays}"
    if resource.note:
        yield resource.note


def _value(value: Any) -> str:
    text = "nothing" if value is None else shown(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _last_part(resource_id: str) -> str:
    return visible(resource_id.rpartition("/providers/")[2])


def _verdict(result: Adopted, plan: SitePlan | None, file: Path | None) -> int:
    adoption = result.adoption
    if result.refused is not None:
        say(f"error[{_REFUSED}]: nothing was taken over: {result.refused}", "error")
        return exits.CHANGES
    if not result.done:
        say("nothing was changed; --yes takes the site over, and changes nothing in Azure either")
        return exits.OK if adoption.clean else exits.CHANGES
    if file is not None:
        stack = f"{adoption.site} in the project {PROJECT}"
        say(f"the state of the stack {stack} is written, its secrets encrypted: {file}", "ok")
        say(f"  pulumi stack init {adoption.site}; pulumi stack import --stack {adoption.site} --file {file}")
        say(f"  then delete the file; fleet up {adoption.site} --dry-run proves it")
        return exits.OK if adoption.clean else exits.CHANGES
    say(
        f"{len(adoption.taken)} resources were taken over"
        if adoption.taken
        else "nothing was left to take over",
        "ok",
    )
    return exits.OK if plan is None else _proof(plan)


def _proof(plan: SitePlan) -> int:
    say_what_is_odd(plan)
    if plan.error:
        return exits.SITES_FAILED
    if plan.files:
        say(f"manifests {files_text(plan)}, beside what is recorded as published; fleet up publishes them")
    if not plan.changes:
        say(f"proof: the plan of {plan.site} is empty, {plan.unchanged} resources stay as they are", "ok")
        return exits.OK
    out().print(changes_table(replace(plan, files=type(plan.files)())))
    say(f"the plan of {plan.site} has {len(plan.changes)} changes left: fleet up {plan.site}", "warning")
    return exits.CHANGES


def keep_names(program: Program, names: tuple[OtherName, ...]) -> Program:
    """The site's program with the names that its role assignments have in Azure."""
    from fleet_stacks.adoption import AdoptedRole
    from fleet_stacks.program import SiteProgram

    assert isinstance(program, SiteProgram)
    found = {role.resource: role for role in program.adopted}
    found |= {other.resource: AdoptedRole(other.resource, other.name, other.principal) for other in names}
    kept: Program = replace(program, adopted=tuple(found[name] for name in sorted(found)))
    return kept


def _remember(folder: Path, spec: SiteSpec, names: tuple[OtherName, ...]) -> None:
    from fleet_stacks.adoption import AdoptedRole, adopted_file, adopted_text, read_adopted

    if not names:
        return
    roles = {role.resource: role for role in read_adopted(folder, spec.name)}
    roles |= {other.resource: AdoptedRole(other.resource, other.name, other.principal) for other in names}
    path = adopted_file(folder, spec.name)
    write_atomically(path, adopted_text(spec.name, tuple(roles.values())).encode())
    say(f"{path} keeps the names of role assignments ({len(roles)}); commit it with the inventory", "ok")


def _client(parts: Parts, spec: SiteSpec) -> "ArmClient":
    """The sandbox's ARM with the engine `local`, else Azure's, with the sign-in of the Azure CLI."""
    if parts.engine == "local":
        parts.require_target()
        connection = parts.workspace.connection()
        assert connection is not None
        return arm_client(connection)
    if spec.connectivity.mode == "disconnected":
        message = f"{spec.name} has an Azure Resource Manager of its own, which can't be named yet"
        raise FleetError("ADP006", message, "", exits.MISSING)
    from fleet.adapters.arm_client import ArmClient
    from fleet.adapters.azure_cli import ENDPOINT, AzureCliToken

    say(
        "reading Azure with the sign-in of the Azure CLI; this way is not tested against Azure yet", "warning"
    )
    return ArmClient(ENDPOINT, AzureCliToken(spec.azure.subscription))


@contextmanager
def _store(parts: Parts, spec: SiteSpec, *, own: bool) -> Iterator[tuple["StateStore", Callable[[], str]]]:
    """Where the state is that the site is taken into, and its passphrase.

    The Pulumi CLI's backend is not written by us: its stack must be empty, and gets a file to import.
    """
    from fleet.engine.local.store import StateStore

    if parts.engine == "local":
        parts.require_target()
        yield StateStore(parts.workspace.state), lambda: passphrase(parts.workspace)
        return
    if parts.engine != "pulumi":
        raise FleetError("ENV008", f"there is no engine {parts.engine!r}", "local or pulumi", exits.USAGE)
    import shutil

    if shutil.which("pulumi") and parts.applier().engine.resources(StackRef(PROJECT, spec.name)):
        message = f"the stack {spec.name} has resources already, and a state to import would replace them"
        raise FleetError("ADP004", message, "fleet up goes on from what the stack has", exits.USAGE)
    given = any(os.environ.get(f"PULUMI_CONFIG_PASSPHRASE{suffix}") for suffix in ("", "_FILE"))
    if own and not given:
        message = "the state to import has secrets, and there is no passphrase to encrypt them with"
        raise FleetError(
            "ENG005", message, "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE", exits.MISSING
        )
    with TemporaryDirectory(prefix="fleet-adopt-") as folder:
        yield StateStore(Path(folder)), lambda: passphrase(parts.workspace) if given else "only looking"


def _written(parts: Parts, spec: SiteSpec, store: "StateStore") -> Path:
    parts.workspace.prepare()
    path = parts.workspace.root / "adopted" / f"{spec.name}.json"
    write_atomically(path, store.path(StackRef(PROJECT, spec.name)).read_bytes(), 0o600)
    return path
