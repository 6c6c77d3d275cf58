"""`fleet adopt` against the sandbox: a site that is there is taken over, and its plan is empty."""

import json
import re
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fleet.cli import exits
from fleet.cli.inventory_commands import valid_inventory
from fleet.cli.main import main
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace, arm_client
from fleet.engine.local.store import StateStore
from fleet.ports.engine import StackRef
from fleet.sandbox.arm import ArmSandbox
from tests.factory import FACTORY

SITE = "graz"
SUBSCRIPTION = "7c1d9a52-0000-4000-8000-0000000000f1"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


class Bench:
    """A fleet whose site was deployed from another workspace: this one's state knows nothing of it."""

    def __init__(self, path: Path, sandbox: ArmSandbox) -> None:
        self.sandbox, self.fleet, self.workspace = sandbox, path / "fleet", path / "w"
        self.record = path / "requests.jsonl"

    def run(self, *command: str) -> int:
        where = ["-i", str(self.fleet), "--workspace", str(self.workspace), "--engine", "local"]
        return main([*command, *where])

    def arm(self, method: str, path: str, version: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            f"{self.sandbox.endpoint}{path}",
            params={"api-version": version},
            json=body,
            trust_env=False,
            headers={"authorization": f"Bearer {self.sandbox.token}"},
            verify=ssl.create_default_context(cafile=str(self.sandbox.ca_file)),
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def forget(self) -> None:
        """Lose what the workspace knows; the sandbox goes on."""
        shutil.rmtree(self.workspace / "state", ignore_errors=True)
        shutil.rmtree(self.fleet / "adopted", ignore_errors=True)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    path = tmp_path_factory.mktemp("adopt")
    shutil.copytree(FACTORY, path / "fleet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_LOCAL_ADMIN", "administrator:Correct-Horse-1")
        patch.setenv("FLEET_LCM_USER", "lcm:Battery-Staple-2")
        with running_sandbox(
            Workspace(path / "w"), valid_inventory(FACTORY), clock_factor=0, record=path / "requests.jsonl"
        ) as sandbox:
            bench = Bench(path, sandbox)
            assert bench.run("up", SITE, "--yes") == exits.OK
            yield bench


@pytest.fixture
def bench(deployed: Bench) -> Bench:
    deployed.forget()
    return deployed


@pytest.fixture
def group(bench: Bench) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-fleet-{SITE}"


def number(pattern: str, shown: str) -> int:
    """The number in the one line that says so."""
    (found,) = re.findall(pattern, shown, re.MULTILINE)
    return int(found)


def proof(shown: str) -> str:
    return next(line for line in shown.splitlines() if line.startswith(("proof", "the plan")))


def test_a_lost_state_is_written_again_and_proven(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(bench.requests())
    assert bench.run("adopt", SITE) == exits.OK
    told = capsys.readouterr().err
    declared = number(r"^graz: (\d+) as it is$", told)
    assert declared > 30
    assert "secret-LocalAdminCredential: properties.value" in told
    assert not (bench.workspace / "state").exists()
    assert {request["method"] for request in bench.requests()[before:]} == {"GET"}

    before = len(bench.requests())
    assert bench.run("adopt", SITE, "--yes") == exits.OK
    told = capsys.readouterr().err
    assert number(r"^(\d+) resources were taken over$", told) == declared
    # Besides them only components, the provider and the stack stay.
    assert declared < number(r"^proof: the plan of graz is empty, (\d+) resources stay as they are$", told)
    changing = [request for request in bench.requests()[before:] if request["method"] != "GET"]
    assert [request["path"].rpartition("/")[2] for request in changing] == ["listKeys"]

    state = (bench.workspace / "state" / "fleet" / f"{SITE}.json").read_text()
    assert "Correct-Horse" not in state and "not-asked-for" not in state
    assert "cluster" in {state.name for state in deployment(bench).resources}
    secrets = [state for state in deployment(bench).resources if state.name.startswith("secret-")]
    assert len(secrets) == 3 and all(
        repr(state.inputs["properties"]["value"]) == "[secret]" for state in secrets
    )

    assert bench.run("up", SITE, "--yes") == exits.OK, "what up finds is what adopt recorded"
    assert "graz is as the inventory says" in capsys.readouterr().err
    assert bench.run("refresh", SITE) == exits.OK
    assert bench.run("adopt", SITE, "--yes") == exits.OK
    told = capsys.readouterr().err
    assert number(r"^graz: (\d+) owned already$", told) == declared
    assert "nothing was left to take over" in told


def deployment(bench: Bench) -> Any:
    return StateStore(bench.workspace / "state").load(StackRef("fleet", SITE))


def test_an_imported_site_is_taken_over(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    file = bench.fleet / "sites" / f"{SITE}.yaml"
    original = file.read_text()
    file.unlink()
    try:
        bench.run("import", "azure", "--subscription", SUBSCRIPTION)
        # What is in manifests Azure can't tell, nor addresses for which there is no load balancer in Azure.
        told, whole = yaml.safe_load(file.read_text()), yaml.safe_load(original)
        told |= {key: whole[key] for key in ("platform", "tools")}
        told["kubernetes"]["network"]["loadBalancer"] = whole["kubernetes"]["network"]["loadBalancer"]
        file.write_text(yaml.safe_dump(told))
        assert main(["validate", "-i", str(bench.fleet), "--no-cache"]) == exits.OK
        assert bench.run("adopt", SITE, "--yes") == exits.OK
        assert "proof: the plan of graz is empty" in capsys.readouterr().err
    finally:
        file.write_text(original)


def test_what_differs_is_shown_and_must_be_accepted(
    bench: Bench, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = (
        f"{group}/providers/Microsoft.Kubernetes/connectedClusters/graz-aks/providers/"
        "Microsoft.HybridContainerService/provisionedClusterInstances/default/agentPools/inference"
    )
    vault = f"{group}/providers/Microsoft.KeyVault/vaults/kv-fleet-graz"
    extension = (
        f"{group}/providers/Microsoft.Kubernetes/connectedClusters/graz-aks/providers/"
        "Microsoft.KubernetesConfiguration/extensions/flux"
    )
    versions = {pool: "2024-01-01", vault: "2024-11-01", extension: "2024-11-01"}
    kept = {path: bench.arm("GET", path, version) for path, version in versions.items()}
    changed = json.loads(json.dumps(kept))
    changed[pool]["properties"]["count"] += 1
    changed[vault]["tags"]["owner"] = "somebody"
    changed[extension]["properties"]["version"] = "1.0.0"
    try:
        for path, body in changed.items():
            bench.arm("PUT", path, versions[path], body)
        assert bench.run("adopt", SITE, "--yes", "-o", "json") == exits.CHANGES
        shown = capsys.readouterr()
        assert "error[ADP005]: nothing was taken over: the next run would change: " in shown.err
        assert not (bench.workspace / "state" / "fleet" / f"{SITE}.json").exists()

        document = json.loads(shown.out)
        differing = {r["name"]: r["differences"] for r in document["resources"] if r["standing"] == "differs"}
        count = kept[pool]["properties"]["count"]
        assert differing["node-pool-inference"] == [
            {"path": "properties.count", "azure": count + 1, "inventory": count, "stays": False}
        ]

        assert bench.run("adopt", SITE, "--yes", "--accept-differences") == exits.CHANGES
        shown = capsys.readouterr()
        assert proof(shown.err) == "the plan of graz has 3 changes left: fleet up graz"
        assert 'tags.owner: "somebody" -> nothing' in shown.out
        assert 'properties.version: "1.0.0" ->' in shown.out
        assert bench.arm("GET", vault, versions[vault])["tags"]["owner"] == "somebody", "Azure is not touched"
        assert bench.run("up", SITE, "--yes") == exits.OK
        assert bench.arm("GET", pool, versions[pool])["properties"]["count"] == count
    finally:
        for path, body in kept.items():
            bench.arm("PUT", path, versions[path], body)


def test_what_can_not_be_changed_once_deployed_stays(
    bench: Bench, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{group}/providers/Microsoft.AzureStackHCI/clusters/graz-hci/deploymentSettings/default"
    file = bench.fleet / "sites" / f"{SITE}.yaml"
    original = file.read_text()
    assert "namingPrefix: " in original
    prefix = original.split("namingPrefix: ", 1)[1].split()[0].rstrip(",}")
    try:
        file.write_text(original.replace(f"namingPrefix: {prefix}", "namingPrefix: other", 1))
        assert bench.run("adopt", SITE) in (exits.OK, exits.CHANGES)
        shown = capsys.readouterr().out
        assert "(stays: no run changes it)" in shown and "namingPrefix" in shown
    finally:
        file.write_text(original)
    assert bench.arm("GET", path, "2025-10-01")["properties"]["deploymentMode"] == "Deploy"


def test_what_is_missing_is_not_made(bench: Bench, group: str, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = f"{group}/providers/Microsoft.Kubernetes/connectedClusters/graz-aks"
    flux = f"{cluster}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/fleet"
    device = f"{group}/providers/Microsoft.HybridCompute/machines/graz-n1/providers"
    device += "/Microsoft.AzureStackHCI/edgeDevices/default"
    for path, version in ((flux, "2024-11-01"), (device, "2025-10-01")):
        bench.arm("DELETE", path, version)
    assert bench.run("adopt", SITE, "--yes") == exits.CHANGES
    shown = capsys.readouterr()
    assert re.search(r"^graz: 2 not in Azure, \d+ as it is$", shown.err, re.MULTILINE)
    assert proof(shown.err) == "the plan of graz has 2 changes left: fleet up graz"
    names = {state.name for state in deployment(bench).resources}
    assert "flux-configuration" not in names and "edge-device-graz-n1" not in names and "deployment" in names
    assert bench.run("up", SITE, "--yes") == exits.OK
    bench.arm("GET", flux, "2024-11-01")


def test_a_right_under_another_name_keeps_it(
    bench: Bench, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = bench.arm("GET", f"{group}/providers/Microsoft.Authorization/roleAssignments", "2022-04-01")[
        "value"
    ]
    reader = next(r for r in roles if r["properties"]["roleDefinitionId"].endswith(READER))
    bench.arm("DELETE", reader["id"], "2022-04-01")
    made_by_hand = "11111111-2222-4333-8444-555555555555"
    path = f"{group}/providers/Microsoft.Authorization/roleAssignments/{made_by_hand}"
    wanted = ("principalId", "roleDefinitionId", "principalType")
    body = {"properties": {key: reader["properties"][key] for key in wanted}}
    bench.arm("PUT", path, "2022-04-01", body)
    try:
        assert bench.run("adopt", SITE) == exits.OK
        assert f"the right is there as {made_by_hand}, and keeps that name" in capsys.readouterr().err
        assert not (bench.fleet / "adopted").exists()
        assert bench.run("adopt", SITE, "--yes") == exits.OK
        assert "proof: the plan of graz is empty" in capsys.readouterr().err
        written = (bench.fleet / "adopted" / f"{SITE}.yaml").read_text()
        assert made_by_hand in written and reader["properties"]["principalId"] in written

        assert bench.run("up", SITE, "--yes") == exits.OK
        assert "graz is as the inventory says" in capsys.readouterr().err
        (bench.fleet / "adopted" / f"{SITE}.yaml").write_text("roleAssignments: [broken]")
        assert bench.run("up", SITE, "--yes") == exits.SITES_FAILED
        assert "is not what fleet adopt wrote there" in capsys.readouterr().err
    finally:
        bench.arm("DELETE", path, "2022-04-01")
        bench.arm("PUT", reader["id"], "2022-04-01", body)


def test_what_the_next_run_would_replace_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    file = bench.fleet / "sites" / f"{SITE}.yaml"
    original = file.read_text()
    region = "azure: {region: northeurope, "
    try:
        file.write_text(original.replace("azure: {", region, 1))
        assert bench.run("adopt", SITE, "--yes", "--accept-differences") == exits.CHANGES
        shown = capsys.readouterr()
        assert "would delete and make again: " in shown.err and "key-vault" in shown.err
        assert 'location: "westeurope" -> "northeurope"' in shown.out
        assert not (bench.workspace / "state" / "fleet" / f"{SITE}.json").exists()
    finally:
        file.write_text(original)


def test_a_failed_resource_is_taken_and_said_to_be(
    bench: Bench, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{group}/providers/Microsoft.AzureStackHCI/logicalNetworks/graz-aks-network"
    record = bench.sandbox.store.get(path)
    assert record is not None
    record.manage(provisioningState="Failed\x1b[2J")
    bench.sandbox.store.save(record)
    try:
        assert bench.run("adopt", SITE) == exits.OK
        shown = capsys.readouterr().out
        assert "in Azure it is Failed" in shown and "\x1b" not in shown
    finally:
        record.manage(provisioningState="Succeeded")
        bench.sandbox.store.save(record)


def test_for_the_pulumi_cli_a_state_to_import_is_written(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Azure is played by the sandbox; the CLI itself is not there."""
    connection = Workspace(bench.workspace).connection()
    assert connection is not None
    monkeypatch.setattr("fleet.cli.adopt_command._client", lambda parts, spec: arm_client(connection))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "open sesame")
    command = [
        "adopt",
        SITE,
        "-i",
        str(bench.fleet),
        "--workspace",
        str(tmp_path / "w"),
        "--engine",
        "pulumi",
    ]
    assert main(command) == exits.OK
    assert not (tmp_path / "w").exists()
    assert main([*command, "--yes"]) == exits.OK
    file = tmp_path / "w" / "adopted" / f"{SITE}.json"
    assert f"pulumi stack import --stack {SITE} --file {file}" in capsys.readouterr().err
    assert file.stat().st_mode & 0o777 == 0o600
    assert "Correct-Horse" not in file.read_text()
    (tmp_path / "state" / "fleet").mkdir(parents=True)
    shutil.copy(file, tmp_path / "state" / "fleet" / f"{SITE}.json")
    assert len(StateStore(tmp_path / "state").load(StackRef("fleet", SITE)).resources) > 34


def test_strangers_in_the_group_are_named(
    bench: Bench, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = f"{group}/providers/Microsoft.Storage/storageAccounts/somebodyelses"
    body = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {}}
    bench.arm("PUT", stranger, "2024-01-01", body)
    try:
        assert bench.run("adopt", SITE) == exits.OK
        told = [line for line in capsys.readouterr().err.splitlines() if "not of this site" in line]
        assert [line.rpartition("/")[2] for line in told] == ["somebodyelses"]
    finally:
        bench.arm("DELETE", stranger, "2024-01-01")


def test_bad_input(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("adopt", "gratz") == exits.USAGE
    assert "error[ENV004]" in capsys.readouterr().err
    assert bench.run("adopt", "narvik") == exits.CHANGES, "nothing of it is in Azure but its machines"
    assert "as it is" not in capsys.readouterr().err
    assert bench.run("adopt", SITE, "-o", "yaml") == exits.USAGE

    store = StateStore(bench.workspace / "state")
    with store.lock(StackRef("fleet", SITE)):
        assert bench.run("adopt", SITE, "--yes") == exits.LOCKED
        assert "is locked by" in capsys.readouterr().err
        assert bench.run("adopt", SITE) == exits.OK, "looking needs no lock"
    monkeypatch.delenv("FLEET_LCM_USER")
    assert bench.run("adopt", SITE) == exits.OK, "looking needs no secret"
    assert bench.run("adopt", SITE, "--yes") == exits.MISSING
    assert "error[SEC010]" in capsys.readouterr().err
    assert not (bench.workspace / "state" / "fleet" / f"{SITE}.json").exists()


def test_nothing_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["-i", str(FACTORY), "--workspace", str(tmp_path)]
    assert main(["adopt", SITE, *where, "--engine", "local"]) == exits.MISSING
    assert "error[ENV003]" in capsys.readouterr().err
    assert main(["adopt", SITE, *where, "--engine", "terraform"]) == exits.USAGE
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert main(["adopt", SITE, *where, "--engine", "pulumi"]) == exits.MISSING
        assert "error[IMP004]: the Azure CLI (az) is not there" in capsys.readouterr().err
        assert main(["adopt", SITE, *where, "--engine", "pulumi", "--yes"]) == exits.MISSING
        assert "PULUMI_CONFIG_PASSPHRASE" in capsys.readouterr().err
