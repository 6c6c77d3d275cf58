"""`fleet plan --state` with the sites' real program: a deployed site's state, kept as Pulumi keeps it."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cli import exits
from fleet.cli.inventory_commands import valid_inventory
from fleet.cli.main import main
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace
from tests.factory import FACTORY

SITE = "graz"
PASSPHRASE = "correct horse battery"
LOCK = {"pid": 7, "username": "ada", "hostname": "ops-1", "timestamp": "2026-01-02T03:04:05Z"}


class Ground:
    """A fleet, a workspace that knows nothing, and a backend in a folder that has one deployed site."""

    def __init__(self, root: Path, deployment: dict[str, Any]) -> None:
        self.fleet, self.backend, self.workspace = root / "fleet", root / "backend", root / "w"
        shutil.copytree(FACTORY, self.fleet)
        self.stacks = self.backend / ".pulumi" / "stacks" / "fleet"
        self.stacks.mkdir(parents=True)
        (self.backend / ".pulumi" / "meta.yaml").write_text("version: 1\n")
        self.deployment = json.loads(json.dumps(deployment))
        self.write()

    def write(self) -> None:
        """What `pulumi up` leaves, with the CLI's own notes among a provider's inputs."""
        for resource in self.deployment["resources"]:
            if resource["type"] == "pulumi:providers:azure-native":
                resource["inputs"]["version"] = "3.29.0"
        checkpoint = {"stack": f"organization/fleet/{SITE}", "latest": self.deployment}
        text = json.dumps({"version": 3, "checkpoint": checkpoint}).encode()
        (self.stacks / f"{SITE}.json.gz").write_bytes(gzip.compress(text, mtime=0))

    def lock(self, username: str = "ada") -> None:
        folder = self.backend / ".pulumi" / "locks" / "organization" / "fleet" / SITE
        folder.mkdir(parents=True)
        (folder / "0c4b.json").write_text(json.dumps(LOCK | {"username": username}))

    def plan(self, *words: str) -> int:
        where = ["-i", str(self.fleet), "--workspace", str(self.workspace), "-j", "1"]
        return main(["plan", *words, *where, "--state", f"file://{self.backend}"])

    def files(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(p.relative_to(self.backend)): (p.read_bytes(), p.stat().st_mtime_ns)
            for p in self.backend.rglob("*")
            if p.is_file()
        }

    def edit(self, old: str, new: str) -> None:
        file = self.fleet / "sites" / f"{SITE}.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the local engine wrote of a site that it deployed: Pulumi's own format."""
    path = tmp_path_factory.mktemp("backend")
    workspace = Workspace(path / "w")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_LOCAL_ADMIN", "administrator:Correct-Horse-1")
        patch.setenv("FLEET_LCM_USER", "lcm:Battery-Staple-2")
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
        with running_sandbox(workspace, valid_inventory(FACTORY), clock_factor=0):
            where = ["-i", str(FACTORY), "--workspace", str(path / "w"), "--engine", "local"]
            assert main(["up", SITE, "--yes", *where]) == exits.OK
        yield json.loads((workspace.state / "fleet" / f"{SITE}.json").read_text())["deployment"]


@pytest.fixture
def ground(tmp_path: Path, deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    return Ground(tmp_path, deployment)


def test_a_deployed_site_has_an_empty_plan_and_nothing_is_written(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ground.files()
    assert ground.plan(SITE, "--detailed-exitcode", "-o", "json") == exits.OK
    shown = json.loads(capsys.readouterr().out)
    (site,) = shown["sites"]
    assert site["changes"] == [] and site["error"] is None and site["unchanged"] > 30
    assert shown["state"]["backend"] == f"file://{ground.backend}"
    told = shown["state"]["sites"][SITE]
    assert told["state"].startswith("sha256:") and told["notes"] == []
    assert "secret-LocalAdminCredential: properties.value: secret, can't be compared" in told["unknown"]
    assert len(shown["state"]["notTold"]) == 3
    assert ground.files() == before
    assert not ground.workspace.exists()


@pytest.mark.parametrize("provider", ["passphrase", "cloud", "service"])
def test_secrets_are_never_a_change_whoever_sealed_them(
    ground: Ground, capsys: pytest.CaptureFixture[str], provider: str
) -> None:
    if provider != "passphrase":
        ground.deployment["secrets_providers"] = {"type": provider, "state": {"url": "azurekeyvault://v/k"}}
        ground.write()
    assert ground.plan(SITE, "-o", "json") == exits.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["sites"][0]["changes"] == []
    assert len(shown["state"]["sites"][SITE]["unknown"]) == 3


def test_with_the_passphrase_secrets_are_not_unknown(
    ground: Ground, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    assert ground.plan(SITE, "-o", "json") == exits.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["sites"][0]["changes"] == []
    assert shown["state"]["sites"][SITE]["unknown"] == []


def test_what_the_inventory_changes_is_in_the_plan(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.edit("end: 10.30.2.60", "end: 10.30.2.61")
    assert ground.plan(SITE, "--detailed-exitcode", "-o", "json") == exits.CHANGES
    (site,) = json.loads(capsys.readouterr().out)["sites"]
    assert {(change["op"], change["name"]) for change in site["changes"]} == {
        ("update", "flux-configuration"),
        ("update", "logical-network"),
    }


def test_what_is_inside_of_the_cluster_is_not_planned_away(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, own = ground.deployment["resources"][0]["urn"], f"urn:pulumi:{SITE}::fleet::"
    component = f"{own}fleet:kubernetes:InCluster::in-cluster"
    provider = f"{own}fleet:kubernetes:InCluster$pulumi:providers:kubernetes::kubernetes"
    object_ = f"{own}fleet:kubernetes:InCluster$kubernetes:core/v1:Namespace::apps"
    ground.deployment["resources"] += [
        {"urn": component, "custom": False, "type": "fleet:kubernetes:InCluster", "parent": stack},
        {
            "urn": provider,
            "custom": True,
            "id": "1",
            "type": "pulumi:providers:kubernetes",
            "parent": component,
        },
        {
            "urn": object_,
            "custom": True,
            "id": "apps",
            "type": "kubernetes:core/v1:Namespace",
            "protect": True,
        }
        | {"parent": component, "provider": f"{provider}::1", "inputs": {"metadata": {"name": "apps"}}},
    ]
    ground.write()
    assert ground.plan(SITE, "-o", "json") == exits.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["sites"][0]["changes"] == [] and shown["sites"][0]["error"] is None
    unknown = shown["state"]["sites"][SITE]["unknown"]
    assert "3 resources inside the cluster: they are planned with its kubeconfig" in unknown


def test_a_lock_is_told_and_not_taken(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.lock()
    before = ground.files()
    assert ground.plan(SITE) == exits.OK
    told = " ".join(capsys.readouterr().err.split())
    assert "graz: locked by ada@ops-1 (pid 7) since 2026-01-02T03:04:05Z: an update is in progress;" in told
    assert "the plan is of the last checkpoint" in told
    assert "not known: the state has what was last sent to Azure" in told
    assert ground.files() == before


def test_a_cut_state_is_one_sites_trouble_and_a_missing_one_is_new(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ground.stacks / f"{SITE}.json.gz"
    file.write_bytes(file.read_bytes()[:-200])
    assert ground.plan("-o", "json") == exits.SITES_FAILED
    shown = json.loads(capsys.readouterr().out)
    error = next(site["error"] for site in shown["sites"] if site["site"] == SITE)
    assert error.startswith("ENG004: cannot read the state") and "not a whole gzip file" in error
    others = [site for site in shown["sites"] if site["site"] != SITE]
    assert others and all(site["error"] is None and site["unchanged"] == 0 for site in others)
    notes = shown["state"]["sites"][others[0]["site"]]["notes"]
    assert notes == [f"file://{ground.backend} has no such stack: all of it counts as new"]


def test_a_stack_that_no_site_has_is_named(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    (ground.stacks / "gone.json").write_text(json.dumps({"version": 3, "checkpoint": {"stack": "gone"}}))
    assert ground.plan() == exits.OK
    assert f"gone is recorded in file://{ground.backend} and not in the inventory" in capsys.readouterr().err


def test_markdown_says_what_cannot_be_told(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.lock("` @everyone [here](https://evil.example)\x1b[31m")
    assert ground.plan(SITE, "-o", "markdown") == exits.OK
    shown = capsys.readouterr().out
    assert "> Not known: the state has what was last sent to Azure" in shown
    assert "> `graz: secret-" in shown
    assert "> ``graz: locked by ` @everyone [here](https://evil.example)" in shown and "\x1b" not in shown


@pytest.mark.parametrize(
    ("words", "code"), [(["--out", "plan.json"], "BCK001"), (["--base", str(FACTORY)], "BCK001")]
)
def test_options_that_mean_another_state_are_refused(
    ground: Ground, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    assert ground.plan(SITE, *words) == exits.USAGE
    assert code in capsys.readouterr().err


def test_no_backend_there(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(ground.backend)
    assert ground.plan(SITE) == exits.MISSING
    assert "error[BCK003]: there is no folder" in capsys.readouterr().err
