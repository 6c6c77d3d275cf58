"""The example sites with the Pulumi CLI, against the sandbox: the steps of docs/pulumi.md, and the local engine beside it.

Runs where `pulumi` and its `pulumi-language-python` are on PATH, on loopback and in temporary folders. A site is
a few runs of the CLI, some three seconds each.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleet.app.site import PROJECT, site_content
from fleet.cli import adopt_command, exits
from fleet.cli.inventory_commands import valid_inventory
from fleet.cli.main import main
from fleet.cli.sandbox_commands import running_sandbox
from fleet.cli.wiring import Workspace, arm_client, local_engine, program_of
from fleet.engine.local.store import StateStore
from fleet.ports.engine import StackRef, StackResult, StackRun
from fleet.ports.site import Phase
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.provider_plugin import write_plugins
from tests.factory import ROOT

NO_HOST = "the CLI did not drive the example sites: no `pulumi` with its `pulumi-language-python` on PATH"
pytestmark = pytest.mark.skipif(
    shutil.which("pulumi") is None or shutil.which("pulumi-language-python") is None, reason=NO_HOST
)

SITES = ("graz", "narvik", "turin")
LOCAL_ADMIN, LCM_USER = "administrator:Correct-Horse-1", "lcm:Battery-Staple-2"
PLAIN = ("Correct-Horse-1", "Battery-Staple-2")
PHASES: tuple[Phase, ...] = ("validate", "deploy", "deploy")
"""As docs/pulumi.md has it, and once more."""


@dataclass
class Checkout:
    """What `pulumi` needs of a checkout, with a sandbox, a home and a backend of its own."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("stacks", "examples"):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / ".venv").symlink_to(sys.prefix)
        shutil.copy(ROOT / "Pulumi.yaml", self.folder)
        (self.folder / "backend").mkdir()
        write_plugins(self.folder / "plugins")

    @property
    def inventory(self) -> Path:
        return self.folder / "examples" / "factory"

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "w")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'plugins'}:{os.environ['PATH']}",
            "FLEET_WORKSPACE": str(self.workspace.root),
            "FLEET_LOCAL_ADMIN": LOCAL_ADMIN,
            "FLEET_LCM_USER": LCM_USER,
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "only for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    @contextmanager
    def sandbox(self) -> Iterator[ArmSandbox]:
        with running_sandbox(self.workspace, valid_inventory(self.inventory), clock_factor=0) as sandbox:
            yield sandbox

    def asked(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def pulumi(self, *arguments: str, stdin: str = "") -> str:
        """What the CLI says; it must succeed."""
        done = self.asked(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr}\n{done.stdout[-4000:]}"
        return done.stdout

    def init(self, site: str) -> None:
        """Step 5 of docs/pulumi.md."""
        content = site_content(spec_of(self, site))
        self.pulumi("stack", "init", site)
        self.pulumi("config", "set", "fleet:inventory", "examples/factory")
        self.pulumi("config", "set", "fleet:contentUrl", content.url)
        self.pulumi("config", "set", "fleet:contentDigest", content.artifact.digest)
        self.pulumi("config", "set", "--secret", "fleet:localAdmin", stdin=LOCAL_ADMIN)
        self.pulumi("config", "set", "--secret", "fleet:lcmUser", stdin=LCM_USER)

    def preview(self, *options: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.pulumi("preview", "--json", *options))
        return answer

    def state(self, *options: str) -> dict[str, dict[str, Any]]:
        """The stack's resources by URN, without what differs between any two runs."""
        exported = json.loads(self.pulumi("stack", "export", *options))
        return settled(exported["deployment"]["resources"])


def settled(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Resources by URN without what differs between any two runs.

    Times, places in the program and the providers' random ids differ; dependencies are sets. All else stays.
    """
    kept = {}
    for resource in resources:
        plain = {key: _timeless(value) for key, value in resource.items() if key not in _FLEETING}
        if "provider" in plain:
            plain["provider"] = plain["provider"].rpartition("::")[0]
        if "dependencies" in plain:
            plain["dependencies"] = sorted(plain["dependencies"])
        if "propertyDependencies" in plain:
            plain["propertyDependencies"] = {k: sorted(v) for k, v in plain["propertyDependencies"].items()}
        if plain["type"].startswith("pulumi:providers:"):
            del plain["id"]
        kept[resource["urn"]] = plain
    return kept


def _timeless(value: Any) -> Any:
    """Azure reports when a deployment's steps ended."""
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    return "a time" if isinstance(value, str) and _TIME.fullmatch(value) else value


_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_FLEETING = ("created", "modified", "sourcePosition", "stackTrace")


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {k: (ours.get(k), theirs.get(k)) for k in ours | theirs if ours.get(k) != theirs.get(k)}


def spec_of(checkout: Checkout, site: str) -> Any:
    found = valid_inventory(checkout.inventory).site(site)
    assert found is not None
    return found.spec


def local_run(checkout: Checkout, site: str, phase: Phase) -> StackRun:
    spec = spec_of(checkout, site)
    content = site_content(spec)
    return StackRun(
        StackRef(PROJECT, site),
        program_of(checkout.inventory, spec, phase, content.url, content.artifact.digest),
        config={"phase": phase},
        secret_config={"localAdmin": LOCAL_ADMIN, "lcmUser": LCM_USER},
    )


def told(answer: Mapping[str, Any]) -> dict[str, str]:
    """Which resource has which operation in `preview --json`; it leaves most of those that stay out."""
    return {s["urn"]: s["op"] for s in answer["steps"] if s["op"] not in ("same", "read")}


def changed(result: StackResult) -> dict[str, str]:
    assert result.error is None, result.failures
    return {c.urn: c.op for c in result.changes if c.op not in ("same", "read")}


def paths(answer: Mapping[str, Any]) -> dict[str, set[str]]:
    """The properties that a `preview --json` says are updated."""
    return {s["urn"]: set(s.get("detailedDiff") or ()) for s in answer["steps"] if s["op"] == "update"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    (tmp_path / "cli").mkdir()
    checkout = Checkout(tmp_path / "cli")
    for name, value in checkout.environment.items():
        monkeypatch.setenv(name, value)
    with checkout.sandbox():
        yield checkout


@pytest.fixture
def local(tmp_path: Path, checkout: Checkout) -> Iterator[Checkout]:
    """Another Azure, which the local engine brings about."""
    (tmp_path / "local").mkdir()
    local = Checkout(tmp_path / "local")
    with local.sandbox():
        yield local


@pytest.mark.parametrize("site", SITES)
def test_a_site_as_the_document_says_and_as_the_local_engine_does(
    checkout: Checkout, local: Checkout, site: str
) -> None:
    """Each phase: the same operations and differences; in the end the same state, which stays as it is."""
    checkout.init(site)
    planned: dict[str, Any] = {}
    for phase in PHASES:
        checkout.pulumi("config", "set", "fleet:phase", phase)
        engine, run = local_engine(local.workspace), local_run(local, site, phase)
        planned, foreseen = checkout.preview(), engine.preview(run)
        assert told(planned) == changed(foreseen), phase
        updates = {c.urn: {p.path for p in c.changes} for c in foreseen.changes if c.op == "update"}
        assert paths(planned) == updates, phase
        checkout.pulumi("up", "--yes", "--skip-preview")
        assert changed(engine.up(run)) == told(planned), phase
    assert told(planned) == {}
    theirs = checkout.state("--show-secrets")
    outputs = json.loads(checkout.pulumi("stack", "output", "--json"))
    assert {"clusterId", "leftOut", "nextSteps"} <= outputs.keys()
    checkout.pulumi("refresh", "--yes")
    checkout.pulumi("up", "--yes", "--expect-no-changes")

    refused = checkout.asked("destroy", "--yes")
    assert refused.returncode != 0
    assert "because it is protected" in refused.stdout + refused.stderr
    assert checkout.state("--show-secrets").keys() == theirs.keys()

    # What the local engine wrote, imported: the CLI opens its secrets, and shows both in one form.
    state = StateStore(local.workspace.state).path(StackRef(PROJECT, site))
    assert not any(plain in state.read_text() for plain in PLAIN)
    checkout.pulumi("stack", "import", "--file", str(state))
    ours = checkout.state("--show-secrets")
    assert ours.keys() == theirs.keys()
    differing = {urn: differences(ours[urn], theirs[urn]) for urn in theirs if ours[urn] != theirs[urn]}
    assert differing == {}, json.dumps(differing, indent=1)
    checkout.pulumi("preview", "--expect-no-changes")


@pytest.mark.parametrize("site", SITES)
def test_a_state_of_the_cli_is_taken_up_by_the_local_engine(checkout: Checkout, site: str) -> None:
    checkout.init(site)
    checkout.pulumi("up", "--yes", "--skip-preview")
    state = StateStore(checkout.workspace.state).path(StackRef(PROJECT, site))
    state.parent.mkdir(parents=True)
    state.write_text(checkout.pulumi("stack", "export"))
    assert not any(plain in state.read_text() for plain in PLAIN)
    engine, run = local_engine(checkout.workspace), local_run(checkout, site, "deploy")
    assert changed(engine.preview(run)) == {}
    assert changed(engine.up(run)) == {}
    assert changed(engine.preview(run)) == {}


class Watch:
    """Looks at the command lines of all processes until the end of the block, for words that must not be there."""

    def __init__(self, *words: str) -> None:
        self.words = [word.encode() for word in words]
        self.found: set[bytes] = set()
        self.programs: set[bytes] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.01):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes()
                except OSError:
                    continue
                self.programs.add(line.partition(b"\0")[0].rpartition(b"/")[2])
                self.found |= {line for word in self.words if word in line}


def holding(folder: Path, words: tuple[str, ...]) -> list[Path]:
    """Files below a folder with one of the words in them."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and any(w.encode() in path.read_bytes() for w in words)
    ]


def fleet(checkout: Checkout, *command: str) -> int:
    where = ("-i", str(checkout.inventory), "--workspace", str(checkout.workspace.root))
    return main([*command, *where])


def test_fleet_up_through_the_automation_api(checkout: Checkout) -> None:
    """A failing resource, its mending, and nothing left to do; secrets in no argument, state, file or line."""
    site = "turin"
    said = []

    def run(expected: int, *command: str) -> str:
        # A process of its own, as Pulumi's SDK leaves an event loop open in one that runs a program.
        where = ("-i", str(checkout.inventory)) if command[0] != "sandbox" else ()
        done = subprocess.run(
            [sys.executable, "-m", "fleet.cli.main", *command, *where],
            env={**os.environ, **checkout.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        said.append(done.stdout + done.stderr)
        assert done.returncode == expected, said[-1]
        return said[-1]

    pulumi = (site, "--engine", "pulumi")
    with Watch(*PLAIN) as watch:
        fault = ("--type", "Microsoft.KeyVault/vaults", "--method", "PUT", "--code", "QuotaExceeded")
        run(exits.OK, "sandbox", "fault", "add", *fault)
        assert "QuotaExceeded" in run(exits.SITES_FAILED, "up", *pulumi, "--yes")
        run(exits.OK, "sandbox", "fault", "clear")
        run(exits.OK, "up", *pulumi, "--yes")
        assert f"{site} is as the inventory says" in run(exits.OK, "up", *pulumi, "--yes")
        assert " looked at, 0 differ" in run(exits.OK, "refresh", *pulumi)
        refused = " ".join(run(exits.SITES_FAILED, "destroy", *pulumi, "--yes").split())
        assert "is protected" in refused
        assert "update failed" not in refused
        assert "0 resources would change" in run(exits.OK, "up", *pulumi, "--dry-run")
    assert b"pulumi" in watch.programs
    assert watch.found == set()
    assert not any(word in text for text in said for word in (*PLAIN, "Traceback"))
    assert (checkout.folder / "backend" / ".pulumi" / "stacks" / PROJECT / f"{site}.json").exists()
    for folder in (checkout.folder / "backend", checkout.folder / "home", checkout.workspace.root / "pulumi"):
        assert holding(folder, PLAIN) == []


def test_what_fleet_adopts_is_imported_and_its_preview_is_empty(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`fleet adopt --engine pulumi`, the sandbox in Azure's place, and the two commands that it says then."""
    site = "graz"
    assert fleet(checkout, "up", site, "--engine", "local", "--yes") == exits.OK

    def sandbox(*_: object) -> Any:
        connection = checkout.workspace.connection()
        assert connection is not None
        return arm_client(connection)

    monkeypatch.setattr(adopt_command, "_client", sandbox)
    capfd.readouterr()
    assert fleet(checkout, "adopt", site, "--engine", "pulumi", "--yes") == exits.OK
    file = checkout.workspace.root / "adopted" / f"{site}.json"
    assert f"pulumi stack import --stack {site} --file {file}" in "".join(capfd.readouterr().err.split("\n"))
    assert holding(file.parent, PLAIN) == []
    checkout.init(site)
    checkout.pulumi("stack", "import", "--stack", site, "--file", str(file))
    assert told(checkout.preview()) == {}
    checkout.pulumi("up", "--yes", "--skip-preview")
    checkout.pulumi("preview", "--expect-no-changes")
    assert fleet(checkout, "adopt", site, "--engine", "pulumi", "--yes") == exits.USAGE
    assert "ADP004" in capfd.readouterr().err


def test_a_wrong_configuration_is_told_without_a_traceback(checkout: Checkout) -> None:
    checkout.init("turin")
    checkout.pulumi("config", "set", "fleet:phase", "deplyo")
    done = checkout.asked("preview")
    assert done.returncode != 0
    assert "fleet:phase is 'deplyo'; it is validate or deploy" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


PACK = str(ROOT / "stacks" / "policy_pack")
UNPROTECTED_VAULT = """
import pulumi, pulumi_azure_native as az
az.keyvault.Vault(
    "vault",
    resource_group_name="rg-a",
    vault_name="kv-a",
    location="westeurope",
    properties=az.keyvault.VaultPropertiesArgs(
        tenant_id="5e0c2f1a-0000-4000-8000-000000000001",
        sku=az.keyvault.SkuArgs(family="A", name="standard"),
        enable_rbac_authorization=True,
        enable_soft_delete=True,
        PURGE
    ),
    opts=pulumi.ResourceOptions(protect=True),
)
"""


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="the policy pack's PulumiPolicy.yaml names .venv")
@pytest.mark.parametrize("site", SITES)
def test_the_policy_pack_passes_an_example(checkout: Checkout, site: str) -> None:
    checkout.init(site)
    said = checkout.pulumi("preview", "--policy-pack", PACK)
    assert "fleet@v" in said
    assert "mandatory" not in said
    assert "advisory" not in said


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="the policy pack's PulumiPolicy.yaml names .venv")
def test_a_mandatory_policy_stops_the_run_and_nothing_is_made(checkout: Checkout) -> None:
    checkout.init("turin")
    checkout.pulumi("config", "set", "azure-native:subscriptionId", "7c1d9a52-0000-4000-8000-0000000000f1")
    (checkout.folder / "stacks").unlink()
    (checkout.folder / "stacks").mkdir()
    program = checkout.folder / "stacks" / "__main__.py"
    program.write_text(UNPROTECTED_VAULT.replace("PURGE", "enable_purge_protection=True,"))
    checkout.pulumi("preview", "--policy-pack", PACK)
    program.write_text(UNPROTECTED_VAULT.replace("PURGE", ""))
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        done = checkout.asked(*command, "--policy-pack", PACK)
        assert done.returncode != 0, command
        said = done.stdout + done.stderr
        assert "[mandatory]" in said
        assert "key-vault-protected" in said
    assert not any("Vault" in urn for urn in checkout.state())
