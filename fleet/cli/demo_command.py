"""`fleet demo`: the whole way of a fleet, against the sandbox, in one command."""

import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from fleet.cli import exits
from fleet.cli.console import say
from fleet.cli.inventory_commands import run_validate, valid_inventory
from fleet.cli.plan_command import run_plan
from fleet.cli.render_command import run_render
from fleet.cli.report_command import run_report
from fleet.cli.rollout_commands import run_start, run_status
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory
from fleet.sandbox.arm.server import DEFAULT_CLOCK_FACTOR

MARK = "demo-workspace"
"""A file that says that a folder is a demo's, and may be emptied by the next."""


def run_demo(folder: Path, path: Path) -> int:
    """Exit code of `fleet demo`: of the first command that does not end well, else 0."""
    began = time.monotonic()
    workspace = Workspace(path)
    _empty(path)
    inventory = valid_inventory(folder)
    _make_up_accounts(inventory)
    say("Azure is a stand-in in this demo: a server on this machine. Nothing leaves it.", "bold")

    tree = path / "gitops"
    where = f"-i {folder} --workspace {path}"
    with running_sandbox(
        workspace, inventory, clock_factor=DEFAULT_CLOCK_FACTOR, record=path / "requests.jsonl"
    ):
        for words, command in (
            (f"fleet validate -i {folder}", lambda: run_validate(folder, "text")),
            (
                f"fleet render --all -i {folder} --out {tree}",
                lambda: run_render(folder, None, True, tree, None),
            ),
            (f"fleet plan {where}", lambda: run_plan(folder, path, [], 1, "table", False)),
            (
                f"fleet rollout start {where} --engine local --yes",
                lambda: run_start(folder, path, "local", True, "2", 0),
            ),
            (f"fleet plan {where}", lambda: run_plan(folder, path, [], 1, "table", False)),
            (f"fleet status {where}", lambda: run_status(folder, path, "table")),
            (f"fleet report {where}", lambda: run_report(folder, path, None)),
        ):
            code = _step(words, command)
            if code != exits.OK:
                return code
    seconds = time.monotonic() - began
    say(f"\ndone in {seconds:.0f} s; what was sent to Azure's stand-in: {path}/requests.jsonl", "ok")
    say(f"report: {(path / 'report.html').resolve()}", "bold")
    return exits.OK


def _step(words: str, command: Callable[[], int]) -> int:
    say(f"\n$ {words}", "bold")
    return command()


def _empty(path: Path) -> None:
    if path.exists() and any(path.iterdir()) and not (path / MARK).exists():
        raise FleetError(
            "ENV011",
            f"{path} holds files that no demo wrote",
            "name another folder: --workspace",
            exits.USAGE,
        )
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / MARK).write_text("Emptied by each `fleet demo`.\n", encoding="utf-8")


def _make_up_accounts(inventory: Inventory) -> None:
    """Give the secrets that the inventory refers to made-up values, for this process and its workers."""
    for site in inventory.sites:
        bootstrap = site.spec.azure_local.secrets
        for user, ref in (("administrator", bootstrap.local_admin), ("lcm", bootstrap.lcm_user)):
            if ref.env is not None:
                os.environ.setdefault(ref.env, f"{user}:{secrets.token_urlsafe(18)}")
