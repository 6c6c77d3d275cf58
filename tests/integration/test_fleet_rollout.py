"""The whole way by the command line: a sandbox in one process, `fleet` in others, a kill in between."""

import base64
import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.cli import exits
from tests.factory import FACTORY, ROOT

ACCOUNTS = {"FLEET_LOCAL_ADMIN": "administrator:Correct-Horse-1", "FLEET_LCM_USER": "lcm:Battery-Staple-2"}
SUBSCRIPTION = "7c1d9a52-0000-4000-8000-0000000000f1"


@dataclass
class Bench:
    """A workspace with a running sandbox."""

    workspace: Path
    env: dict[str, str]

    def fleet(self, *arguments: str, check: int | None = None) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, "-m", "fleet.cli.main", *arguments],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "Traceback" not in result.stderr, result.stderr
        if check is not None:
            assert result.returncode == check, result.stderr
        return result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "fleet.cli.main", *arguments],
            cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.fleet("status", "-o", "json", check=exits.OK).stdout)
        document["by_site"] = {site["site"]: site for ring in document["rings"] for site in ring["sites"]}
        return document

    @property
    def connection(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.workspace / "sandbox" / "connection.json").read_text())
        return data

    @property
    def token(self) -> str:
        return Path(self.connection["tokenFile"]).read_text().strip()

    def fault(self, **fault: Any) -> None:
        answer = httpx.post(
            self.connection["endpoint"] + "/sandbox/faults",
            json=fault,
            headers={"authorization": f"Bearer {self.token}"},
            verify=ssl.create_default_context(cafile=self.connection["caFile"]),
            trust_env=False,
        )
        assert answer.is_success, answer.text

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.workspace / "requests.jsonl").read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    workspace = tmp_path / "w"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLEET_", "PULUMI_"))}
    env |= {
        "FLEET_INVENTORY": str(FACTORY),
        "FLEET_WORKSPACE": str(workspace),
        "FLEET_ENGINE": "local",
        **ACCOUNTS,
    }
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "fleet.cli.main", "sandbox", "start", "--record", str(workspace / "requests.jsonl")],
        cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (workspace / "sandbox" / "connection.json").exists():
            assert sandbox.poll() is None, sandbox.stderr.read() if sandbox.stderr else ""
            assert time.monotonic() < deadline, "the sandbox did not start"
            time.sleep(0.05)
        yield Bench(workspace, env)
    finally:
        sandbox.send_signal(signal.SIGTERM)
        _, words = sandbox.communicate(timeout=30)
        assert "Traceback" not in words


def test_a_rollout_applies_every_site_then_has_nothing_to_do(bench: Bench) -> None:
    done = bench.fleet("rollout", "start", "--yes", check=exits.OK)
    lines = done.stderr.splitlines()
    health = [number for number, line in enumerate(lines) if "health" in line and "turin" in line]
    others = [number for number, line in enumerate(lines) if "graz" in line or "narvik" in line]
    assert max(health) < min(others), "the second ring began before the canary's gate"

    status = bench.status()
    assert status["state"] == "completed"
    assert {name: site["state"] for name, site in status["by_site"].items()} == dict.fromkeys(
        ("graz", "narvik", "turin"), "healthy"
    )
    plan = json.loads(bench.fleet("plan", "-o", "json", check=exits.OK).stdout)
    assert [site["changed"] for site in plan["sites"]] == [False, False, False]

    requests_before = len(bench.requests())
    bench.fleet("rollout", "start", "--yes", check=exits.OK)
    assert {site["state"] for site in bench.status()["by_site"].values()} == {"skipped"}
    assert len(bench.requests()) == requests_before, "an unchanged fleet costs no request"

    check_that_no_secret_was_written(bench)
    check_that_microsofts_sdks_see_the_sites(bench)
    report = bench.fleet("report", check=exits.OK).stdout.strip()
    page = Path(report).read_text()
    assert "3 of 3 sites healthy" not in page
    assert "Nothing to do: all 3 sites are already as planned." in page


def check_that_no_secret_was_written(bench: Bench) -> None:
    needles = [bench.token.encode()]
    for account in ACCOUNTS.values():
        password = account.split(":")[1]
        needles += [password.encode(), base64.b64encode(account.encode())]
    allowed = {"token", "arm.sqlite", "arm.sqlite-wal"}  # the sandbox's own token, and what "Azure" holds
    files = [path for path in bench.workspace.rglob("*") if path.is_file() and path.name not in allowed]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert not [needle for needle in needles if needle in content], path
    for path in (bench.workspace, bench.workspace / "state" / "fleet"):
        assert path.stat().st_mode & 0o077 == 0, path


def check_that_microsofts_sdks_see_the_sites(bench: Bench) -> None:
    from azure.core.credentials import AccessToken
    from azure.mgmt.hybridcontainerservice import HybridContainerServiceMgmtClient
    from azure.mgmt.kubernetesconfiguration import SourceControlConfigurationClient
    from azure.mgmt.resource.resources import ResourceManagementClient

    class Credential:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            return AccessToken(bench.token, int(time.time()) + 3600)

    endpoint, ca_file = bench.connection["endpoint"], bench.connection["caFile"]
    settings: dict[str, Any] = {
        "base_url": endpoint,
        "credential_scopes": ["sandbox/.default"],
        "connection_verify": ca_file,
    }
    with ResourceManagementClient(Credential(), SUBSCRIPTION, **settings) as client:
        types = {r.type.lower() for r in client.resources.list_by_resource_group("rg-fleet-graz")}
    assert {"microsoft.azurestackhci/clusters", "microsoft.kubernetes/connectedclusters"} <= types
    assert "microsoft.extendedlocation/customlocations" in types, "the deployment's own side effect"

    graz = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-fleet-graz/providers/Microsoft.Kubernetes/connectedClusters/graz-aks"
    with HybridContainerServiceMgmtClient(Credential(), SUBSCRIPTION, **settings) as client:
        instance = client.provisioned_cluster_instances.get(graz)
    assert instance.properties.kubernetes_version == "1.30.4"
    assert instance.properties.control_plane.count == 3
    with SourceControlConfigurationClient(Credential(), SUBSCRIPTION, **settings) as client:
        flux = client.flux_configurations.get(
            "rg-fleet-graz", "Microsoft.Kubernetes", "connectedClusters", "graz-aks", "fleet"
        )
    assert flux.compliance_state == "Compliant"


def journalled(bench: Bench, query: str) -> list[tuple[Any, ...]]:
    """Rows of the journal; none while there is no journal yet."""
    try:
        with closing(
            sqlite3.connect(f"file:{bench.workspace / 'rollouts.sqlite'}?mode=ro", uri=True)
        ) as journal:
            return journal.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def test_kill_9_at_any_moment_loses_no_finished_step(bench: Bench) -> None:
    """The driver is killed after so many more events, wherever it then is."""
    seen = kills = 0
    for more in (2, 3, 4, 5, 6):
        words = ("rollout", "resume") if seen else ("rollout", "start", "--yes")
        with bench.start(*words) as driver:
            deadline = time.monotonic() + 60
            while driver.poll() is None and len(journalled(bench, "SELECT 1 FROM event")) < seen + more:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            if driver.poll() is None:
                driver.send_signal(signal.SIGKILL)
                kills += 1
            driver.communicate()
        seen = len(journalled(bench, "SELECT 1 FROM event"))
    assert kills >= 4
    if bench.status()["state"] != "completed":
        bench.fleet("rollout", "resume", check=exits.OK)
    status = bench.status()
    assert status["state"] == "completed"
    assert {site["state"] for site in status["by_site"].values()} == {"healthy"}

    rows = journalled(bench, "SELECT kind, data FROM event ORDER BY seq")
    finished: set[tuple[str, str]] = set()
    for kind, text in rows:
        data = json.loads(text)
        if kind == "step_started":
            assert (data["site"], data["step"]) not in finished, "a finished step ran again"
        elif kind == "step_finished" and data["ok"]:
            finished.add((data["site"], data["step"]))
    assert len(finished) == 9

    plan = bench.fleet("plan", "-o", "json", check=exits.OK)
    assert not any(site["changed"] for site in json.loads(plan.stdout)["sites"])


def test_a_failing_site_stops_the_rollout_and_resume_goes_on(bench: Bench) -> None:
    bench.fault(
        kind="operation", type="Microsoft.HybridContainerService/provisionedClusterInstances",
        path="graz-aks", methods=["PUT"], count=1, code="OutOfMemory", message="no host has 16 GiB left",
    )  # fmt: skip
    failed = bench.fleet("rollout", "start", "--yes", "--max-concurrency", "1", check=exits.SITES_FAILED)
    assert "no host has 16 GiB left" in failed.stderr
    status = bench.status()
    assert status["state"] == "stopped"
    graz = status["by_site"]["graz"]
    assert (graz["state"], graz["failure_code"]) == ("failed", "OutOfMemory")
    assert status["by_site"]["narvik"]["state"] == "pending", "nothing starts after a failure"
    page = Path(bench.fleet("report", check=exits.OK).stdout.strip()).read_text()
    assert "no host has 16 GiB left" in page

    bench.fleet("rollout", "resume", check=exits.OK)
    assert {site["state"] for site in bench.status()["by_site"].values()} == {"healthy"}


def changed_fleet(bench: Bench, old: str, new: str) -> None:
    """Let the next commands see the example with one edit."""
    folder = bench.workspace.parent / "fleet"
    shutil.copytree(FACTORY, folder, dirs_exist_ok=True)
    text = (folder / "fleet.yaml").read_text()
    assert old in text
    (folder / "fleet.yaml").write_text(text.replace(old, new))
    bench.env["FLEET_INVENTORY"] = str(folder)


def test_a_deployed_site_is_changed_without_being_validated_again(bench: Bench) -> None:
    bench.fleet("rollout", "start", "--yes", check=exits.OK)
    changed_fleet(bench, "maxRetries: 2", "maxRetries: 1")
    before = len(bench.requests())
    bench.fleet("rollout", "start", "--yes", check=exits.OK)
    validate = bench.status()["by_site"]["graz"]["steps"][1]
    assert (validate["state"], validate["message"]) == ("done", "not needed: the site is deployed")
    changed = {
        r["path"].rpartition("/providers/")[2] for r in bench.requests()[before:] if r["method"] == "PUT"
    }
    assert changed == {"Microsoft.KubernetesConfiguration/fluxConfigurations/fleet"}


def test_an_unhealthy_canary_stops_everything_after_it(bench: Bench) -> None:
    bench.fleet("rollout", "start", "--yes", check=exits.OK)
    changed_fleet(bench, "maxRetries: 2", "maxRetries: 1")
    bench.fault(
        kind="http", type="Microsoft.AzureStackHCI/clusters", path="turin-hci", methods=["GET"],
        status=404, code="ResourceNotFound", message="gone",
    )  # fmt: skip
    stopped = bench.fleet("rollout", "start", "--yes", check=exits.SITES_FAILED)
    assert "unhealthy" in stopped.stderr
    by_site = bench.status()["by_site"]
    assert {name: site["state"] for name, site in by_site.items()} == {
        "turin": "failed", "graz": "pending", "narvik": "pending",
    }  # fmt: skip
    assert "gone" in by_site["turin"]["failure_message"]


def test_two_drivers_at_once(bench: Bench) -> None:
    first = bench.start("rollout", "start", "--yes")
    deadline = time.monotonic() + 60
    while not (bench.workspace / "rollouts.sqlite").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    second = bench.fleet("rollout", "resume", check=exits.LOCKED)
    assert "is held by process" in second.stderr
    _, words = first.communicate(timeout=120)
    assert first.returncode == exits.OK, words


def test_ctrl_c_finishes_what_is_in_flight_and_resume_goes_on(bench: Bench) -> None:
    driver = bench.start("rollout", "start", "--yes")
    deadline = time.monotonic() + 60
    while not journalled(bench, "SELECT 1 FROM event WHERE kind = 'step_started'"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    driver.send_signal(signal.SIGINT)
    _, words = driver.communicate(timeout=120)
    assert driver.returncode == exits.WAITING, words
    assert "finishing what is in flight" in words
    assert "Traceback" not in words
    steps = [step for site in bench.status()["by_site"].values() for step in site["steps"]]
    assert not [step for step in steps if step["state"] == "running"]
    assert [step for step in steps if step["state"] == "pending"], "it was stopped before its end"
    bench.fleet("rollout", "resume", check=exits.OK)
    assert bench.status()["state"] == "completed"


def test_up_and_destroy_of_one_site(bench: Bench) -> None:
    refused = bench.fleet("up", "turin", check=exits.USAGE)
    assert "add --yes" in refused.stderr
    bench.fleet("up", "turin", "--yes", check=exits.OK)
    assert "as the inventory says" in bench.fleet("up", "turin", "--yes", check=exits.OK).stderr
    bench.fleet("refresh", "turin", check=exits.OK)
    protected = bench.fleet("destroy", "turin", "--yes", check=exits.SITES_FAILED)
    assert "protect" in protected.stderr
    bench.fleet("destroy", "turin", "--yes", "--unprotect", check=exits.OK)


def test_without_the_secrets_nothing_is_touched(bench: Bench) -> None:
    del bench.env["FLEET_LCM_USER"]
    failed = bench.fleet("up", "turin", "--yes", check=exits.MISSING)
    assert "the environment has no FLEET_LCM_USER" in failed.stderr
    assert not [r for r in bench.requests() if r.get("method") == "PUT"]


def test_a_site_that_something_else_touched_is_not_skipped(bench: Bench) -> None:
    bench.fleet("rollout", "start", "--yes", check=exits.OK)
    bench.fleet("refresh", "narvik", check=exits.OK)
    bench.fleet("rollout", "start", "--yes", check=exits.OK)
    states = {name: site["state"] for name, site in bench.status()["by_site"].items()}
    assert states == {"turin": "skipped", "graz": "skipped", "narvik": "healthy"}


def test_a_kept_spec_that_was_changed_is_not_rolled_out(bench: Bench) -> None:
    bench.fault(
        kind="operation", type="Microsoft.HybridContainerService/provisionedClusterInstances",
        path="turin-aks", methods=["PUT"], count=1, code="OutOfMemory", message="no host has 16 GiB left",
    )  # fmt: skip
    bench.fleet("rollout", "start", "--yes", check=exits.SITES_FAILED)
    kept = next((bench.workspace / "plans").glob("*/turin.json"))
    kept.write_text(kept.read_text().replace("1.30.4", "1.29.9"))
    failed = bench.fleet("rollout", "resume", check=exits.SITES_FAILED)
    assert "this step is not what the rollout was started with" in failed.stderr
    assert bench.status()["by_site"]["turin"]["failure_code"] == "ROL015"


def test_a_site_that_left_the_inventory_is_told_and_can_be_deleted(bench: Bench) -> None:
    bench.fleet("up", "narvik", "--yes", check=exits.OK)
    folder = bench.workspace.parent / "fleet"
    shutil.copytree(FACTORY, folder)
    (folder / "sites" / "narvik.yaml").unlink()
    bench.env["FLEET_INVENTORY"] = str(folder)
    plan = bench.fleet("plan", check=exits.OK)
    assert "narvik is recorded here and not in the inventory: fleet destroy narvik" in plan.stderr
    bench.fleet("destroy", "narvik", "--yes", "--unprotect", check=exits.OK)
    unknown = bench.fleet("destroy", "narvig", "--yes", check=exits.USAGE)
    assert "error[ENV012]: nothing is recorded of a site 'narvig' here" in unknown.stderr
