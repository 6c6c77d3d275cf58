"""`fleet sandbox start`."""

import json
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.adapters.oci_layout import write_atomically
from fleet.cli import exits
from fleet.cli.console import say
from fleet.cli.inventory_commands import valid_inventory
from fleet.cli.wiring import Workspace
from fleet.inventory.inventory import Inventory
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.arm.limits import AS_AZURE, LENIENT


def token_file(workspace: Workspace) -> Path:
    """Where the sandbox keeps the token that its clients need."""
    return workspace.sandbox / "arm" / "token"


@contextmanager
def running_sandbox(
    workspace: Workspace,
    inventory: Inventory,
    *,
    clock_factor: float,
    record: Path | None = None,
    persist: bool = True,
    strict: bool = False,
) -> Iterator[ArmSandbox]:
    """A sandbox that other commands of this workspace find, with every node of the fleet registered.

    In life somebody registers each machine with Azure Arc on the machine itself (facts 2.1). `strict`: with
    Azure's request limits and quotas, and resource providers that must be registered first.
    """
    workspace.prepare()
    workspace.sandbox.mkdir(parents=True, exist_ok=True)
    key_file = workspace.sandbox / "passphrase"
    if not key_file.exists():
        write_atomically(key_file, secrets.token_urlsafe(32).encode(), 0o600)
    subscriptions = sorted({site.spec.azure.subscription for site in inventory.sites})
    with ArmSandbox(
        workspace.sandbox / "arm",
        subscriptions=subscriptions,
        clock_factor=clock_factor,
        artifact_exists=workspace.artifacts.exists,
        record=record,
        persist=persist,
        strictness=AS_AZURE if strict else LENIENT,
    ) as sandbox:
        for site in inventory.sites:
            azure = site.spec.azure
            for node in site.spec.azure_local.nodes:
                sandbox.seed_machine(
                    azure.subscription, azure.resource_group, node.name, location=azure.region
                )
        connection = {
            "endpoint": sandbox.endpoint,
            "caFile": str(sandbox.ca_file.resolve()),
            "tokenFile": str(token_file(workspace).resolve()),
            "pid": os.getpid(),
        }
        write_atomically(workspace.connection_file, json.dumps(connection).encode(), 0o600)
        try:
            yield sandbox
        finally:
            workspace.connection_file.unlink(missing_ok=True)


def run_sandbox(
    folder: Path, workspace: Path, record: Path | None, clock_factor: float, *, strict: bool = False
) -> int:
    """Exit code of `fleet sandbox start`."""
    inventory = valid_inventory(folder)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with running_sandbox(
        Workspace(workspace), inventory, clock_factor=clock_factor, record=record, strict=strict
    ) as sandbox:
        say(f"a stand-in for Azure Resource Manager listens on {sandbox.endpoint}", "ok")
        say(f"  CA     {sandbox.ca_file}")
        say(f"  token  {token_file(Workspace(workspace))}")
        say("  other commands find it by themselves: fleet rollout start --engine local; Ctrl-C ends it")
        stop.wait()
    say("sandbox stopped; its state is kept in the workspace")
    return exits.OK
