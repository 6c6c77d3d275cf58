"""The troubles of a site's life, as a user meets them: what is printed, what is kept, and the way on.

`fleet` runs in this process, against a sandbox in this process; where two operators meet, one is another.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleet.adapters import arm_client
from fleet.adapters.inventory_files import read_inventory
from fleet.cli import exits, wiring
from fleet.cli.main import main
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.arm.faults import parse_fault
from fleet_stacks.resource_providers import registration_commands
from tests.factory import FACTORY, ROOT

ACCOUNTS = {"FLEET_LOCAL_ADMIN": "administrator:Correct-Horse-1", "FLEET_LCM_USER": "lcm:Battery-Staple-2"}
TWO_HOURS = 7200
STORAGE = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"
ROLE = "Microsoft.Authorization/roleAssignments"
DEPLOYMENT = "Microsoft.AzureStackHCI/clusters/deploymentSettings"
AKS = "Microsoft.HybridContainerService/provisionedClusterInstances"


@dataclass
class Bench:
    """A fleet, a workspace and a running sandbox."""

    fleet_folder: Path
    workspace: Path
    sandbox: ArmSandbox
    capsys: pytest.CaptureFixture[str]

    def fleet(self, *arguments: str, expect: int) -> str:
        """Run `fleet` as a user does; what it said, on one line where it wraps none."""
        code = main([*arguments, "-i", str(self.fleet_folder), "--workspace", str(self.workspace)])
        captured = self.capsys.readouterr()
        said = captured.out + captured.err
        assert code == expect, said
        assert "Traceback" not in said
        for secret in ("Correct-Horse-1", "Battery-Staple-2", self.sandbox.token):
            assert secret not in said
        return said

    def up(self, expect: int = exits.OK) -> str:
        return self.fleet("up", "graz", "--engine", "local", "--yes", expect=expect)

    def order(self, **fault: Any) -> None:
        self.sandbox.faults.add(parse_fault(fault))

    def edit(self, old: str, new: str) -> None:
        file = self.fleet_folder / "sites" / "graz.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    @property
    def state(self) -> Path:
        return self.workspace / "state" / "fleet" / "graz.json"

    def recorded(self) -> set[str]:
        """The resources that the state has."""
        resources = json.loads(self.state.read_text())["deployment"]["resources"]
        return {resource["urn"].rsplit("::", 1)[-1] for resource in resources}

    def is_right(self) -> None:
        """Nothing is left to do, and Azure was asked to make nothing twice."""
        said = self.fleet("plan", "graz", "--detailed-exitcode", "-j", "1", expect=exits.OK)
        assert "0 of 1 sites would change" in said
        made = Counter(e.path.lower() for e in self.sandbox.exchanges if (e.method, e.status) == ("PUT", 201))
        assert [path for path, count in made.items() if count > 1] == []

    def puts(self, part: str) -> int:
        return sum(1 for e in self.sandbox.exchanges if e.method == "PUT" and part in e.path)


@pytest.fixture
def bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    for name, value in ACCOUNTS.items():
        monkeypatch.setenv(name, value)
    # A user's client is patient for minutes; here half a second must do.
    brief = partial(arm_client.RetryPolicy, attempts=3, base=0.01, longest_silence=0.5)
    monkeypatch.setattr(arm_client, "RetryPolicy", brief)
    folder = Path(shutil.copytree(FACTORY, tmp_path / "fleet"))
    inventory, _ = read_inventory(folder)
    assert inventory is not None
    workspace = Workspace(tmp_path / "workspace")
    with running_sandbox(workspace, inventory, clock_factor=2e-5) as sandbox:
        yield Bench(folder, workspace.root, sandbox, capsys)
        connection = workspace.connection()
        assert connection is not None
        wiring.arm_client(connection).close()
        wiring.arm_client.cache_clear()


def explained(bench: Bench, said: str, code: str, resource: str, what: str, do: str, line: str) -> None:
    """The block about a failure: code, resource, what happened, the inventory's line, what to do, Azure's words.

    `line` is the beginning of the line of the site's file that led to the resource.
    """
    found = re.search(rf"error\[{code}\]: {resource}: [^\n]*{what}[^\n]*\n *--> (\S+):(\d+):\d+\n", said)
    assert found, said
    assert found[1].endswith("sites/graz.yaml")
    assert int(found[2]) == line_of(bench, line)
    assert re.search(rf"help: [^\n]*{do}", said), said
    assert re.search(rf"in full: [^\n]*{code}", said), said


def line_of(bench: Bench, beginning: str) -> int:
    lines = (bench.fleet_folder / "sites" / "graz.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(beginning))


def test_no_login(bench: Bench) -> None:
    token = bench.sandbox.token
    file = bench.workspace / "sandbox" / "arm" / "token"
    file.write_text("signed-out")
    said = bench.up(exits.MISSING)
    explained(
        bench,
        said,
        "AuthenticationFailed",
        "resource-group",
        "did not accept the sign-in",
        "az login",
        "azure:",
    )
    assert "signed-out" not in said
    file.write_text(token)
    bench.up()
    bench.is_right()


def test_wrong_tenant(bench: Bench) -> None:
    bench.order(code="InvalidAuthenticationTokenTenant")
    said = bench.up(exits.MISSING)
    explained(
        bench,
        said,
        "InvalidAuthenticationTokenTenant",
        "resource-group",
        "another tenant",
        "az login --tenant",
        "azure:",
    )
    bench.sandbox.faults.remove()
    bench.up()
    bench.is_right()


def test_missing_role(bench: Bench) -> None:
    bench.order(code="AuthorizationFailed", type=ROLE, methods=["PUT"])
    said = bench.up(exits.SITES_FAILED)
    explained(
        bench,
        said,
        "AuthorizationFailed",
        "graz-n1-.*",
        "lacks the right",
        "have a role given",
        "- {name: graz-n1",
    )
    assert said.count("error[AuthorizationFailed]") == 1  # one reason, explained once
    assert "so did: " in said
    assert "graz-n3-reader" in said
    assert "key-vault" in bench.recorded()  # what could be done is done, and kept
    assert bench.puts("edgeDevices") == 0  # and nothing that needs the right was begun
    bench.sandbox.faults.remove()
    bench.up()
    bench.is_right()


def test_quota_exceeded(bench: Bench) -> None:
    bench.order(code="QuotaExceeded", type=AKS, methods=["PUT"])
    said = bench.up(exits.SITES_FAILED)
    explained(
        bench, said, "QuotaExceeded", "provisioned-cluster", "no quota left", "higher quota", "kubernetes:"
    )
    assert {"deployment", "connected-cluster"} <= bench.recorded()
    before = bench.puts("deploymentSettings")
    bench.sandbox.faults.remove()
    bench.up()
    assert bench.puts("deploymentSettings") == before  # a cluster that is deployed is left alone
    bench.is_right()


@pytest.mark.parametrize(
    ("type_", "code", "resource", "line", "old", "new"),
    [
        (
            STORAGE,
            "StorageAccountAlreadyTaken",
            "witness",
            "witness:",
            "fleetwitnessgraz",
            "fleetwitnessgraz2",
        ),
        (VAULT, "VaultAlreadyExists", "key-vault", "keyVault:", "kv-fleet-graz", "kv-fleet-graz-2"),
    ],
)
def test_name_taken(
    bench: Bench, type_: str, code: str, resource: str, line: str, old: str, new: str
) -> None:
    bench.order(code=code, type=type_, path=f"/{old}$", methods=["PUT"])
    said = bench.up(exits.SITES_FAILED)
    explained(bench, said, code, resource, "unique in all of Azure", "choose another name", line)
    assert resource not in bench.recorded()
    bench.edit(old, new)
    bench.up()
    assert [record.name for record in bench.sandbox.store.of_type(type_)] == [new]
    bench.is_right()


@pytest.mark.parametrize(
    ("type_", "resource", "part", "what", "line"),
    [
        (
            DEPLOYMENT,
            "deployment",
            "deploymentSettings/default",
            "validation or deployment ended badly",
            "azureLocal:",
        ),
        (
            AKS,
            "provisioned-cluster",
            "provisionedClusterInstances/default",
            "AKS could not be brought",
            "kubernetes:",
        ),
    ],
)
def test_an_operation_that_fails_after_two_hours(
    bench: Bench, type_: str, resource: str, part: str, what: str, line: str
) -> None:
    message = "Node graz-n2 did not come back after its restart."
    bench.order(kind="operation", type=type_, methods=["PUT"], count=1, after=TWO_HOURS,
                code="NodeNotReachable", message=message)  # fmt: skip
    said = bench.up(exits.SITES_FAILED)
    explained(bench, said, "NodeNotReachable", resource, what, "then run the same command again", line)
    assert message in said
    state = json.loads(bench.state.read_text())["deployment"]
    failed = [r["urn"].rsplit("::", 1)[-1] for r in state["resources"] if r.get("initErrors")]
    assert failed == [resource]  # it is recorded as begun: the next run takes it up, and no other
    before = Counter(e.path for e in bench.sandbox.exchanges if e.method == "PUT")
    bench.up()
    again = Counter(e.path for e in bench.sandbox.exchanges if e.method == "PUT") - before
    repeated = {path for path in again if path in before}
    assert [path for path in repeated if not path.endswith(part)] == []
    assert len(repeated) == 1
    bench.is_right()


def test_a_state_file_cut_in_half(bench: Bench) -> None:
    bench.up()
    bench.edit("country: at, line: assembly", "country: at, line: paint")
    bench.edit(
        "azure: {resourceGroup: rg-fleet-graz}", "azure: {resourceGroup: rg-fleet-graz, tags: {cost: '2'}}"
    )
    bench.up()
    whole = bench.state.read_bytes()
    bench.state.write_bytes(whole[: len(whole) // 2])
    asked = len(bench.sandbox.exchanges)
    for command in (("up", "graz", "--engine", "local", "--yes"), ("refresh", "graz", "--engine", "local")):
        said = bench.fleet(*command, expect=exits.INTEGRITY)
        assert "error[ENG004]: cannot read the state" in said
        assert "nothing was changed" in said
        assert f"{bench.state}.bak" in said
    assert "cannot read the state" in bench.fleet("plan", "graz", "-j", "1", expect=exits.SITES_FAILED)
    assert len(bench.sandbox.exchanges) == asked  # nobody was asked for anything
    assert bench.state.read_bytes() == whole[: len(whole) // 2]  # and the half is left as it is
    shutil.copy(f"{bench.state}.bak", bench.state)
    bench.fleet("refresh", "graz", "--engine", "local", expect=exits.OK)
    bench.up()
    bench.is_right()


def test_two_operators_at_once(bench: Bench) -> None:
    bench.order(kind="slow", type=STORAGE, methods=["PUT"], after=1)
    bench.order(kind="slow", type=AKS, methods=["PUT"], count=1, after=150_000)  # three seconds here
    command = [sys.executable, "-m", "fleet.cli.main", "up", "graz", "--engine", "local", "--yes"]
    command += ["-i", str(bench.fleet_folder), "--workspace", str(bench.workspace)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as first:
        deadline = time.monotonic() + 60
        while bench.puts("provisionedClusterInstances/default") == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        said = bench.up(exits.LOCKED)
        output = first.communicate(timeout=60)[0]
    assert re.search(rf"error\[ENG003\]: stack fleet/graz is locked by \S+ pid {first.pid} for \d+ s\n", said)
    assert "help: wait for that run to end" in said
    assert first.returncode == exits.OK, output  # the first one was not disturbed
    bench.is_right()


@pytest.mark.parametrize("kind", ["drop", "lost"])
def test_a_lost_network_in_the_middle(bench: Bench, kind: str) -> None:
    """`drop`: the request did not arrive. `lost`: it did, and its answer never came."""
    bench.order(kind=kind, type=AKS)
    said = bench.up(exits.SITES_FAILED)
    explained(
        bench,
        said,
        "ConnectionFailed",
        "provisioned-cluster",
        "line to Azure was lost",
        "makes nothing twice",
        "kubernetes:",
    )
    assert "connected-cluster" in bench.recorded()
    bench.sandbox.faults.remove()
    bench.up()
    bench.is_right()


def test_a_network_that_is_gone_for_a_moment_is_waited_for(bench: Bench) -> None:
    bench.order(kind="drop", type=AKS, count=2)
    bench.order(kind="lost", type=VAULT, count=1)
    bench.up()
    bench.is_right()


def test_a_rollout_that_fails_says_what_to_do_and_a_new_one_goes_on(bench: Bench) -> None:
    bench.order(code="VaultAlreadyExists", type=VAULT, path="/kv-fleet-turin$", methods=["PUT"])
    said = bench.fleet("rollout", "start", "--engine", "local", "--yes", expect=exits.SITES_FAILED)
    assert "turin failed\nerror[VaultAlreadyExists]: key-vault: somebody else in Azure has this name" in said
    assert re.search(r"--> \S+/sites/turin.yaml:\d+:\d+\n", said)
    assert "help: choose another name" in said
    assert "fleet rollout abort; fleet rollout resume; fleet rollout start" in said
    turin = bench.fleet_folder / "sites" / "turin.yaml"
    turin.write_text(turin.read_text().replace("kv-fleet-turin", "kv-fleet-turin-2"))
    assert main(["rollout", "abort", "--workspace", str(bench.workspace)]) == exits.OK
    bench.fleet("rollout", "resume", "--engine", "local", expect=exits.GATE)
    bench.fleet("rollout", "start", "--engine", "local", "--yes", expect=exits.OK)
    names = {record.name for record in bench.sandbox.store.of_type(VAULT)}
    assert "kv-fleet-turin-2" in names
    assert "kv-fleet-turin" not in names


def test_providers_that_are_not_registered_are_named_with_what_registers_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ACCOUNTS.items():
        monkeypatch.setenv(name, value)
    inventory, _ = read_inventory(FACTORY)
    assert inventory is not None
    site = inventory.site("graz")
    assert site is not None
    workspace = Workspace(tmp_path / "workspace")
    with running_sandbox(workspace, inventory, clock_factor=0, strict=True) as sandbox:
        said = Bench(FACTORY, workspace.root, sandbox, capsys).up(exits.SITES_FAILED)
        connection = workspace.connection()
        assert connection is not None
        wiring.arm_client(connection).close()
        wiring.arm_client.cache_clear()
    assert "the subscription is not registered for resources of this kind" in said
    assert "help: register what the site needs, once in its subscription" in said
    commands = registration_commands(site.spec)
    assert len(commands) > 5
    assert [line.strip() for line in said.splitlines() if "az provider register --" in line] == list(commands)
