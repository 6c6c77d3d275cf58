"""Twenty sites at once, by the command line, while Azure goes wrong: nothing is made twice, and all is well.

The faults are ordered with `fleet sandbox fault run`; after a rollout that fails, the same is started again,
as a user would.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cli import exits
from tests.bench.generate_fleet import generate
from tests.factory import ROOT

SITES = 20
ACCOUNTS = {"FLEET_LOCAL_ADMIN": "administrator:Correct-Horse-1", "FLEET_LCM_USER": "lcm:Battery-Staple-2"}
RERUNS = 6
# The canary goes first and alone: it is spared what ends a run, so that the others do run at once.
FAULTS = """\
faults:
  - {kind: drop, probability: 0.02, seed: 1}
  - {kind: lost, methods: [PUT], probability: 0.05, seed: 2}
  - {kind: throttle, retryAfter: 0, probability: 0.03, seed: 3}
  - {kind: throttle, retryAfter: 1, count: 3}
  - {code: ServerBusy, probability: 0.02, seed: 4}
  - {code: InternalServerError, methods: [PUT], probability: 0.02, seed: 5}
  - kind: operation
    type: Microsoft.AzureStackHCI/logicalNetworks
    path: rg-fleet-(?!CANARY)
    code: NetworkFailed
    message: it broke
    count: 3
  - kind: operation
    type: Microsoft.KubernetesConfiguration/extensions
    path: rg-fleet-(?!CANARY)
    code: ExtensionOperationFailed
    message: it broke after two hours
    after: 7200
    count: 3
  - {kind: slow, type: Microsoft.KeyVault/vaults, after: 3600, count: 5}
"""


class Bench:
    """A fleet of twenty sites, all in one ring, and a workspace."""

    def __init__(self, folder: Path) -> None:
        self.fleet_folder, self.workspace = folder / "fleet", folder / "w"
        self.record = self.workspace / "requests.jsonl"
        generate(SITES, self.fleet_folder)
        fleet = self.fleet_folder / "fleet.yaml"
        text = fleet.read_text()
        start, end = text.index("rings:\n"), text.index("# What every site has")
        fleet.write_text(f"{text[:start]}rings:\n  - name: all\n\n{text[end:]}")
        self.sites = []
        for file in sorted((self.fleet_folder / "sites").glob("*.yaml")):
            file.write_text(re.sub(r"(?m)^ring: .*$", "ring: all", file.read_text()))
            self.sites.append(file.stem)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLEET_", "PULUMI_"))}
        settings = {"FLEET_INVENTORY": self.fleet_folder, "FLEET_WORKSPACE": self.workspace}
        self.env = kept | {k: str(v) for k, v in settings.items()} | {"FLEET_ENGINE": "local", **ACCOUNTS}

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "fleet.cli.main", *arguments],
            cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def fleet(self, *arguments: str) -> tuple[int, str, str]:
        process = self.popen(*arguments)
        out, words = process.communicate(timeout=300)
        assert "Traceback" not in words, words
        return process.returncode, out, words

    def json(self, *arguments: str) -> Any:
        code, out, words = self.fleet(*arguments, "-o", "json")
        assert code == exits.OK, words
        return json.loads(out)

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def states(self) -> dict[str, Any]:
        return {f.stem: json.loads(f.read_text()) for f in (self.workspace / "state").rglob("*.json")}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    sandbox = made.popen("sandbox", "start", "--record", str(made.record))
    try:
        deadline = time.monotonic() + 60
        while not (made.workspace / "sandbox" / "connection.json").exists():
            assert sandbox.poll() is None, sandbox.communicate()[1]
            assert time.monotonic() < deadline, "the sandbox did not start"
            time.sleep(0.05)
        yield made
    finally:
        sandbox.send_signal(signal.SIGTERM)
        _, words = sandbox.communicate(timeout=30)
        assert "Traceback" not in words


def test_twenty_sites_at_once_with_faults(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text(FAULTS.replace("CANARY", bench.sites[0]))
    assert bench.fleet("sandbox", "fault", "run", str(script))[0] == exits.OK

    start = ("rollout", "start", "--yes", "--max-concurrency", "100%", "--max-failures", str(SITES - 1))
    codes = []
    while not codes or (codes[-1] != exits.OK and len(codes) < RERUNS):
        codes.append(bench.fleet(*start)[0])
    assert codes[-1] == exits.OK and codes[0] == exits.SITES_FAILED, codes

    faults = bench.json("sandbox", "fault", "list")["faults"]
    assert {fault["kind"] for fault in faults if fault["struck"]} == {
        "drop", "lost", "throttle", "http", "operation", "slow"
    }  # fmt: skip
    assert bench.fleet("sandbox", "fault", "clear")[0] == exits.OK

    check_that_everything_was_made_once(bench)
    plan = bench.json("plan")
    assert [site["site"] for site in plan["sites"] if site["changed"]] == []
    before = len(bench.requests())
    assert bench.fleet(*start)[0] == exits.OK
    assert len(bench.requests()) == before, "a fleet that is as it should be costs no request"


def check_that_everything_was_made_once(bench: Bench) -> None:
    """Each resource was created by one request, is in one state, and no state has anything unsettled."""
    created = Counter(
        request["path"].lower().replace("//", "/")
        for request in bench.requests()
        # 202: a storage account that is new is answered so.
        if request["method"] == "PUT" and request["status"] in (201, 202)
    )
    assert created and set(created.values()) == {1}, created.most_common(3)

    states = bench.states()
    assert set(states) == set(bench.sites)
    owned: Counter[str] = Counter()
    for state in states.values():
        deployment = state.get("checkpoint", {}).get("latest") or state["deployment"]
        assert not deployment.get("pending_operations")
        for resource in deployment["resources"]:
            assert not resource.get("initErrors"), resource["urn"]
            if resource.get("custom") and not resource.get("external") and resource["id"].startswith("/"):
                owned[resource["id"].lower()] += 1
    assert set(owned.values()) == {1}
    assert set(owned) == set(created), set(owned) ^ set(created)
