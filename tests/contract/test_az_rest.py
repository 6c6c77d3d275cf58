"""`az rest` of azure-cli against the ARM stand-in: a user's own commands, as docs/sandbox.md has them.

azure-cli is no dependency of ours (it is big); the test runs where `az` is on PATH.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.arm.faults import Fault

SUB = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-az-rest"

AZ = shutil.which("az")
pytestmark = pytest.mark.skipif(AZ is None, reason="azure-cli (az) is not on PATH: az rest was not tried")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmSandbox]:
    directory = tmp_path_factory.mktemp("arm")
    with ArmSandbox(directory, subscriptions=[SUB], clock_factor=0.0, page_size=2) as running:
        yield running


@pytest.fixture(scope="module")
def headers(sandbox: ArmSandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The token in a file that only we can read: an argument list is open to everybody on the machine."""
    file = tmp_path_factory.mktemp("az") / "headers.json"
    file.touch(0o600)
    file.write_text(json.dumps({"Authorization": f"Bearer {sandbox.token}"}))
    return file


def az_rest(
    sandbox: ArmSandbox, headers: Path, method: str, path: str, version: str, body: Any = None
) -> subprocess.CompletedProcess[str]:
    arguments = [str(AZ), "rest", "--method", method, "--skip-authorization-header"]
    arguments += ["--url", f"{sandbox.endpoint}{path}?api-version={version}", "--headers", f"@{headers}"]
    if body is not None:
        arguments += ["--body", json.dumps(body)]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(headers.parent),
        "AZURE_CONFIG_DIR": str(headers.parent / "config"),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "REQUESTS_CA_BUNDLE": str(sandbox.ca_file),
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_put_get_list_and_delete(sandbox: ArmSandbox, headers: Path) -> None:
    def ask(method: str, path: str, version: str, body: Any = None) -> Any:
        done = az_rest(sandbox, headers, method, path, version, body)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    assert ask("put", GROUP, "2024-03-01", {"location": "eastus"})["name"] == "rg1"
    made = ask("put", VAULT, "2024-11-01", {"location": "eastus", "properties": {}})
    assert made["properties"]["vaultUri"] == "https://kv-az-rest.vault.azure.net/"
    assert ask("get", VAULT, "2024-11-01") == made
    for number in range(3):
        sandbox.seed_machine(SUB, "rg1", f"node{number}")
    first = ask("get", f"{GROUP}/providers/Microsoft.HybridCompute/machines", "2025-01-13")
    assert len(first["value"]) == 2 and first["nextLink"].startswith(sandbox.endpoint)
    ask("delete", VAULT, "2024-11-01")
    gone = az_rest(sandbox, headers, "get", VAULT, "2024-11-01")
    assert gone.returncode != 0 and "ResourceNotFound" in gone.stderr


def test_errors_are_shown_as_azures(sandbox: ArmSandbox, headers: Path) -> None:
    sandbox.faults.add(Fault(status=403, code="AuthorizationFailed", message="not yours", count=1))
    refused = az_rest(sandbox, headers, "get", GROUP, "2024-03-01")
    assert refused.returncode != 0
    assert "AuthorizationFailed" in refused.stderr and "not yours" in refused.stderr
    wrong = headers.with_name("wrong.json")
    wrong.write_text(json.dumps({"Authorization": "Bearer nothing"}))
    assert "AuthenticationFailed" in az_rest(sandbox, wrong, "get", GROUP, "2024-03-01").stderr
