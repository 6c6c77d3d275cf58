"""`fleet sandbox fault add|run|list|clear`, against the sandbox that runs in the workspace."""

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table

from fleet.cli import exits
from fleet.cli.console import err, out, say, styled
from fleet.cli.wiring import Workspace
from fleet.diagnostics.diagnostic import Diagnostic, FleetError
from fleet.diagnostics.text import diagnostic_pieces, visible
from fleet.inventory.source import SourceFile, YamlError
from fleet.sandbox.arm.faults import FaultError, parse_fault

_TIMEOUT = 10.0  # seconds, for an answer of a server on this machine


def run_add(workspace: Path, order: dict[str, Any]) -> int:
    """Exit code of `fleet sandbox fault add`. `order` has the members of a fault in JSON."""
    try:
        parse_fault(order)
    except FaultError as error:
        raise FleetError("SBF001", error.message, "fleet sandbox fault add --help", exits.USAGE) from None
    out().print(_ask(workspace, "POST", "", order)["id"])
    return exits.OK


def run_script(workspace: Path, file: Path) -> int:
    """Exit code of `fleet sandbox fault run`: all of the file's faults are ordered, or none."""
    source = SourceFile(str(file), file.read_bytes())
    try:
        orders, found = read_script(source)
    except YamlError as error:
        orders, found = [], [error.diagnostic]
    if found:
        for diagnostic in found:
            err().print(styled(diagnostic_pieces(diagnostic)), end="")
        say("no fault was ordered", "error")
        return exits.VALIDATION
    for order in orders:
        _ask(workspace, "POST", "", order)
    say(f"{len(orders)} {'fault' if len(orders) == 1 else 'faults'} on order", "ok")
    return exits.OK


def read_script(source: SourceFile) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    """The faults of a YAML file, and everything that is wrong with them. Raises `YamlError`."""
    document, found = source.load()
    for name in document:
        if name != "faults":
            message = f"a file of faults has no '{name}'; it has one list, 'faults'"
            found.append(source.diagnostic("SBF001", message, source.locate((name,), key=True)))
    orders = document.get("faults")
    if not isinstance(orders, list) or not orders:
        what = "'faults' must be a list with at least one fault"
        found.append(source.diagnostic("SBF001", what, source.locate(("faults",)), "see docs/sandbox.md"))
        return [], found
    for number, order in enumerate(orders):
        try:
            parse_fault(order)
        except FaultError as error:
            path = ("faults", number, error.member) if error.member else ("faults", number)
            found.append(source.diagnostic("SBF001", error.message, source.locate(path)))
    return orders, found


def run_list(workspace: Path, output: str) -> int:
    """Exit code of `fleet sandbox fault list`."""
    if output not in ("table", "json"):
        raise FleetError("ENV002", f"there is no output {output!r} here", "table or json", exits.USAGE)
    faults = _ask(workspace, "GET", "")["value"]
    if output == "json":
        print(json.dumps({"apiVersion": "fleet/v1", "faults": faults}, indent=2))  # noqa: T201
        return exits.OK
    if not faults:
        say("no faults are on order")
        return exits.OK
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("ID", "KIND", "WHERE", "WHAT", "STRUCK"):
        table.add_column(title)
    for fault in faults:
        where = [*fault["methods"], fault["type"] or "", fault["path"] and f"/{fault['path']}/"]
        what = f"{fault['status']} {fault['code']}" if fault["kind"] in ("http", "throttle") else ""
        what = fault["code"] if fault["kind"] == "operation" else what
        share = "" if fault["probability"] == 1 else f"{fault['probability']:.0%} of "
        most = "" if fault["count"] is None else f" of {fault['count']}"
        table.add_row(
            fault["id"],
            fault["kind"],
            f"{share}{visible(' '.join(filter(None, where))) or 'every request'}",
            what,
            f"{fault['struck']}{most}",
        )
    out().print(table)
    return exits.OK


def run_clear(workspace: Path, fault_id: str | None) -> int:
    """Exit code of `fleet sandbox fault clear`."""
    known = fault_id is None or fault_id.isalnum()  # anything else would be another path
    removed = (
        _ask(workspace, "DELETE", f"/{fault_id}" if fault_id is not None else "")["removed"] if known else 0
    )
    if fault_id is not None and not removed:
        raise FleetError(
            "SBF002", f"no fault {fault_id!r} is on order", "fleet sandbox fault list", exits.USAGE
        )
    say(f"{removed} {'fault' if removed == 1 else 'faults'} cancelled", "ok")
    return exits.OK


def _ask(workspace: Path, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the sandbox answers. Raises `FleetError`: ENV003 none runs, SBF003 it gives none or refuses."""
    connection = Workspace(workspace).connection()
    if connection is None:
        raise FleetError(
            "ENV003",
            "no sandbox runs here",
            "start one in another terminal: fleet sandbox start",
            exits.MISSING,
        )
    token = connection.token_file.read_text(encoding="utf-8").strip()
    try:
        answer = httpx.request(
            method,
            f"{connection.endpoint}/sandbox/faults{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=str(connection.ca_file)),
            trust_env=False,  # a proxy cannot reach this machine's loopback
            timeout=_TIMEOUT,
        )
        answered: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise FleetError(
            "SBF003", f"the sandbox at {connection.endpoint} gives no answer: {error}", "start it again"
        ) from None
    if not answer.is_success:
        told = answered.get("error", {}).get("message", "")
        raise FleetError("SBF003", f"the sandbox refused (HTTP {answer.status_code}): {told}", "")
    return answered
