"""`fleet import azure` against the sandbox: what was rolled out comes back as the inventory said it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.adapters.inventory_files import read_inventory
from fleet.app.azure_import.drafts import UNTOLD
from fleet.cli import exits
from fleet.cli.inventory_commands import valid_inventory
from fleet.cli.main import main
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace
from fleet.sandbox.arm import ArmSandbox
from tests.factory import FACTORY

SUBSCRIPTION = "7c1d9a52-0000-4000-8000-0000000000f1"
NOT_TOLD = {
    "labels": "a fleet's own words",
    "platform": "manifests in the cluster",
    "tools": "destinations are in manifests in the cluster; Azure does not see them",
    "kubernetes.network.loadBalancer": "fleet has no resource in Azure for it (stacks.program.left_out)",
}
"""Fields of the example's site files that do not come back, and why. All others must, field by field."""
NARVIK_NOT_TOLD = {"registry.host": "a disconnected site has no Flux configuration in Azure"}


class Bench:
    """A workspace whose sandbox holds the whole example, rolled out."""

    def __init__(self, workspace: Path, sandbox: ArmSandbox) -> None:
        self.workspace, self.sandbox = workspace, sandbox

    def run(self, inventory: Path, *options: str, subscription: str = SUBSCRIPTION) -> int:
        where = ["-i", str(inventory), "--workspace", str(self.workspace), "--engine", "local"]
        return main(["import", "azure", "--subscription", subscription, *where, *options])

    def requests(self) -> list[dict[str, Any]]:
        path = self.workspace / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def arm(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method, self.sandbox.endpoint + path, json=body, trust_env=False,
            headers={"authorization": f"Bearer {self.sandbox.token}"}, verify=_context(self.sandbox),
        )  # fmt: skip
        assert answer.is_success, answer.text
        return answer.json()


def _context(sandbox: ArmSandbox) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(sandbox.ca_file))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    path = tmp_path_factory.mktemp("import") / "w"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_LOCAL_ADMIN", "administrator:Correct-Horse-1")
        patch.setenv("FLEET_LCM_USER", "lcm:Battery-Staple-2")
        with running_sandbox(
            Workspace(path), valid_inventory(FACTORY), clock_factor=0.00002, record=path / "requests.jsonl"
        ) as sandbox:
            where = ["-i", str(FACTORY), "--workspace", str(path), "--engine", "local"]
            assert main(["rollout", "start", *where, "--yes"]) == exits.OK
            yield Bench(path, sandbox)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    shutil.copytree(FACTORY, tmp_path / "fleet")
    return tmp_path / "fleet"


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            k: v for key, item in value.items() for k, v in leaves(item, f"{path}.{key}".lstrip(".")).items()
        }
    return {path: value}


def is_untold(path: str, known: dict[str, str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in known)


def test_the_example_comes_back_field_by_field(bench: Bench, fleet: Path) -> None:
    original, _ = read_inventory(FACTORY)
    assert original is not None
    for path in (fleet / "sites").iterdir():
        path.unlink()
    before = len(bench.requests())
    code = bench.run(fleet)
    assert code == exits.VALIDATION, "narvik's registry and the tools' destinations are left to be given"
    asked = bench.requests()[before:]
    assert asked and {request["method"] for request in asked} == {"GET"}
    assert not [r for r in asked if "/secrets" in r["path"].lower() or "listkeys" in r["path"].lower()]

    narvik = fleet / "sites" / "narvik.yaml"
    assert narvik.read_text().startswith("# REPLACE: registry.host: ")
    with narvik.open("a") as file:  # the one required field that Azure can't tell
        file.write("registry: {host: registry.narvik.factory.example}\n")
    back, _ = read_inventory(fleet)
    assert back is not None
    assert [site.name for site in back.sites] == [site.name for site in original.sites]
    lost: set[str] = set()
    for site in original.sites:
        twin = back.site(site.name)
        assert twin is not None
        mine = leaves(site.spec.model_dump(mode="json", by_alias=True))
        theirs = leaves(twin.spec.model_dump(mode="json", by_alias=True))
        known = NOT_TOLD | (NARVIK_NOT_TOLD if site.name == "narvik" else {})
        differing = {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
        assert [key for key in sorted(differing) if not is_untold(key, known)] == [], site.name
        lost |= differing
    for name in NOT_TOLD | NARVIK_NOT_TOLD:
        assert any(key.startswith(name) for key in lost) == (name not in NARVIK_NOT_TOLD), name


def test_a_file_says_only_what_the_fleet_does_not(bench: Bench, fleet: Path) -> None:
    turin = fleet / "sites" / "turin.yaml"
    original = turin.read_text()
    turin.unlink()
    bench.run(fleet)
    written = turin.read_text()
    assert written.startswith("# CHECK: the profile pilot is the right one")
    for inherited in ("tenant", "domainFqdn", "euLocation", "nodePools", "topology", "version", "secrets"):
        assert inherited not in written, inherited
    words = [line for line in written.splitlines() if not line.startswith("#")]
    assert set(words) <= set(original.splitlines()), "each line of it is one of the original's"


def test_a_site_that_is_there_is_compared(
    bench: Bench, fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(fleet, "--detailed-exitcode") == exits.OK
    assert "0 new, 3 the same, 0 different" in capsys.readouterr().err
    graz = fleet / "sites" / "graz.yaml"
    text = graz.read_text().replace("gateway: 10.30.2.1", "gateway: 10.30.2.2")
    graz.write_text(text)
    line = next(n for n, words in enumerate(text.splitlines(), 1) if "10.30.2.2" in words)
    assert bench.run(fleet) == exits.OK
    capsys.readouterr()
    assert bench.run(fleet, "--detailed-exitcode") == exits.CHANGES
    shown = capsys.readouterr().out
    assert f'graz: kubernetes.network.gateway: "10.30.2.2" ({graz.as_posix()}:{line})' in shown
    assert 'in Azure "10.30.2.1"' in shown
    assert graz.read_text() == text, "a file that is there is never written"


def test_nothing_is_left_over_or_dropped(
    bench: Bench, fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fleet made is all known; what somebody adds by hand is named, without its value."""
    bench.run(fleet, "-o", "json")
    found = json.loads(capsys.readouterr().out)
    assert found["noField"] == []
    assert found["unplaced"] == []
    assert [site["notes"] for site in found["compared"]] == [[], [], []]
    assert {item["field"] for item in found["notTold"]} == set(UNTOLD)

    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-fleet-graz"
    network = f"{group}/providers/Microsoft.AzureStackHCI/logicalNetworks/graz-aks-network"
    path = f"{network}?api-version=2024-01-01"
    before = bench.arm("GET", path)
    changed = json.loads(json.dumps(before))
    changed["properties"]["subnets"][0]["properties"]["ipAllocationMethod"] = "Dynamic"
    bench.arm("PUT", path, changed)
    bench.sandbox.seed_machine(SUBSCRIPTION, "rg-fleet-graz", "spare-1")
    bench.run(fleet, "-o", "json")
    found = json.loads(capsys.readouterr().out)
    assert [(item["path"], item["resources"]) for item in found["noField"]] == [
        ("properties.subnets[].properties.ipAllocationMethod", 1)
    ]
    assert [item["id"].rpartition("/")[2] for item in found["unplaced"]] == ["spare-1"]
    bench.arm("PUT", path, before)


def test_one_group_and_a_dry_run(bench: Bench, fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(fleet / "sites")
    bench.run(fleet, "-g", "RG-fleet-graz", "--dry-run")
    captured = capsys.readouterr()
    assert "clusterName: graz-hci" in captured.out
    assert "1 new, 0 the same, 0 different, 0 not in Azure" in captured.err
    assert "nothing was written" in captured.err
    assert not (fleet / "sites").exists()


def test_an_unfinished_draft_is_not_written_twice(
    bench: Bench, fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fleet / "sites" / "narvik.yaml").unlink()
    bench.run(fleet)
    draft = (fleet / "sites" / "narvik.yaml").read_text()
    assert bench.run(fleet) == exits.SITES_FAILED
    assert "can't be compared: it has errors" in capsys.readouterr().err
    assert (fleet / "sites" / "narvik.yaml").read_text() == draft
    assert len(list((fleet / "sites").iterdir())) == 3


@pytest.mark.parametrize(
    ("options", "subscription", "code", "words"),
    [
        ([], "7c1d9a52-0000-4000-8000-00000000dead", exits.USAGE, "IMP001"),
        (["-g", "rg-nobody"], SUBSCRIPTION, exits.USAGE, "no resource group 'rg-nobody'"),
        (["-g", "a/../b"], SUBSCRIPTION, exits.USAGE, "IMP005"),
        ([], "--query", exits.USAGE, "IMP005"),
        (["-o", "xml"], SUBSCRIPTION, exits.USAGE, "ENV002"),
    ],
)
def test_wrong_questions(
    bench: Bench, fleet: Path, capsys: pytest.CaptureFixture[str],
    options: list[str], subscription: str, code: int, words: str,
) -> None:  # fmt: skip
    assert bench.run(fleet, *options, subscription=subscription) == code
    assert words in capsys.readouterr().err


def test_faults(bench: Bench, fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No permission ends it in words; one cluster that can't be read costs that one."""
    kind = "Microsoft.AzureStackHCI/clusters"
    refused = {"kind": "http", "methods": ["GET"], "status": 403, "code": "AuthorizationFailed", "count": 1}
    bench.arm("POST", "/sandbox/faults", {**refused, "type": kind, "message": "no"})
    assert bench.run(fleet) == exits.MISSING
    assert "IMP003" in (words := capsys.readouterr().err) and "role Reader" in words

    settings = {"type": f"{kind}/deploymentSettings", "path": "graz-hci", "message": "not yours"}
    bench.arm("POST", "/sandbox/faults", {**refused, **settings})
    assert bench.run(fleet) == exits.SITES_FAILED
    words = capsys.readouterr().err
    assert "it could not be read: not yours" in words
    assert "0 new, 2 the same, 0 different, 0 not in Azure, 1 not imported" in words
