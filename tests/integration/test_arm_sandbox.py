"""The ARM stand-in as a server, with our client: TLS, tokens, headers, records, restarts, parallel use."""

import json
import ssl
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from fleet.adapters.arm_client import ArmClient, ArmError, RetryPolicy
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.ports.engine import StackRef, StackRun
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.arm.faults import Fault, FaultKind
from fleet.sandbox.arm.server import SandboxStartError
from fleet.sandbox.providers import SandboxProviders
from fleet.sandbox.tls import ensure_server_tls

SUB = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg1"
CLUSTER = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/plant1"
CUSTOM_LOCATION = f"{GROUP}/providers/Microsoft.ExtendedLocation/customLocations/cl1"
NETWORK = f"{GROUP}/providers/Microsoft.AzureStackHCI/logicalNetworks/aks"
CONNECTED = f"{GROUP}/providers/Microsoft.Kubernetes/connectedClusters/aks1"
INSTANCE = f"{CONNECTED}/providers/Microsoft.HybridContainerService/provisionedClusterInstances/default"
FLUX = f"{CONNECTED}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/fleet"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-plant1"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/witness1"
QUICK = RetryPolicy(base=0.001, cap=0.01)


def client_of(sandbox: ArmSandbox, token: str | None = None) -> ArmClient:
    bearer = sandbox.token if token is None else token
    return ArmClient(sandbox.endpoint, lambda: bearer, sandbox.ca_file, retry=QUICK, poll_floor=0.001)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[ArmSandbox]:
    record = tmp_path / "record.jsonl"
    exists = {"sha256:good"}.__contains__
    with ArmSandbox(
        tmp_path / "arm",
        subscriptions=[SUB],
        clock_factor=2e-6,
        record=record,
        artifact_exists=lambda url, digest: exists(digest),
    ) as running:
        yield running


@pytest.fixture
def arm(sandbox: ArmSandbox) -> Iterator[ArmClient]:
    with client_of(sandbox) as client:
        yield client


def raw(sandbox: ArmSandbox, method: str, path: str, **options: object) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    with httpx.Client(verify=context, trust_env=False, base_url=sandbox.endpoint) as http:
        return http.request(method, path, **options)  # type: ignore[arg-type]


def test_a_site_from_bare_machine_to_compliant_workloads(sandbox: ArmSandbox, arm: ArmClient) -> None:
    machine = sandbox.seed_machine(SUB, "rg1", "node1")
    assert machine["identity"]["principalId"]
    assert sandbox.seed_machine(SUB, "RG1", "node1", location="elsewhere") == machine
    arm.put(
        ACCOUNT, "2024-01-01", {"location": "eastus", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    )
    assert len(arm.post(f"{ACCOUNT}/listKeys", "2024-01-01")["keys"]) == 2
    arm.put(VAULT, "2024-11-01", {"location": "eastus", "properties": {}})
    arm.put(
        f"{machine['id']}/providers/Microsoft.AzureStackHCI/edgeDevices/default",
        "2025-10-01",
        {"kind": "HCI"},
    )
    cluster = arm.put(CLUSTER, "2025-10-01", {"location": "eastus", "identity": {"type": "SystemAssigned"}})
    assert cluster["identity"]["principalId"] and cluster["properties"]["cloudId"]
    units = [{"deploymentData": {"optionalServices": {"customLocation": "cl1"}}}]
    for mode in ("Validate", "Deploy"):
        properties = {
            "deploymentMode": mode,
            "arcNodeResourceIds": [machine["id"]],
            "deploymentConfiguration": {"scaleUnits": units},
        }
        done = arm.put(f"{CLUSTER}/deploymentSettings/default", "2025-10-01", {"properties": properties})
        assert done["properties"]["provisioningState"] == "Succeeded"
    assert arm.get(CLUSTER, "2025-10-01")["properties"]["connectivityStatus"] == "Connected"
    extended = {"type": "CustomLocation", "name": CUSTOM_LOCATION}
    network = {
        "location": "eastus",
        "extendedLocation": extended,
        "properties": {"subnets": [{"name": "aks"}]},
    }
    arm.put(NETWORK, "2024-01-01", network)
    arm.put(CONNECTED, "2024-01-01", {"location": "eastus", "kind": "ProvisionedCluster", "properties": {}})
    infra = {"infraNetworkProfile": {"vnetSubnetIds": [NETWORK]}}
    arm.put(
        INSTANCE, "2024-01-01", {"extendedLocation": extended, "properties": {"cloudProviderProfile": infra}}
    )
    source = {"url": "oci://r/fleet", "repositoryRef": {"digest": "sha256:good"}}
    flux = arm.put(
        FLUX, "2025-04-01", {"properties": {"sourceKind": "OCIRepository", "ociRepository": source}}
    )
    assert flux["properties"]["complianceState"] == "Compliant"
    arm.delete(GROUP, "2024-03-01")
    assert arm.find(GROUP, "2024-03-01") is None


@pytest.mark.parametrize("token", ["x", "wrong", "тест"])
def test_without_the_token_nothing_is_answered(sandbox: ArmSandbox, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode()}
    for path in (f"/subscriptions/{SUB}?api-version=2022-12-01", "/sandbox/faults"):
        answer = raw(sandbox, "GET", path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert raw(sandbox, "GET", "/subscriptions?api-version=2022-12-01").status_code == 401


def test_a_wrong_token_is_an_error_that_says_what_to_do(sandbox: ArmSandbox) -> None:
    with client_of(sandbox, "wrong") as client, pytest.raises(ArmError) as caught:
        client.get(GROUP, "2024-03-01")
    assert (caught.value.status, caught.value.exit_code) == (401, 11)
    assert "sign in" in caught.value.help


def test_an_unknown_ca_is_not_trusted(sandbox: ArmSandbox, tmp_path: Path) -> None:
    other = ensure_server_tls(tmp_path / "other")
    for ca_file in (None, other.ca_file):
        with ArmClient(sandbox.endpoint, lambda: "t", ca_file) as client, pytest.raises(ArmError) as caught:
            client.get(GROUP, "2024-03-01")
        assert caught.value.code == "CertificateNotTrusted"
    assert sandbox.exchanges == []


def test_it_says_that_it_is_a_stand_in(sandbox: ArmSandbox) -> None:
    answer = raw(sandbox, "GET", "/")
    assert answer.json()["standIn"] is True and answer.json()["notChecked"]
    assert answer.headers["x-fleet-sandbox"] == "stand-in"
    assert "not Azure" in (ArmSandbox.__doc__ or "")


def test_every_answer_has_a_request_id(sandbox: ArmSandbox) -> None:
    mine = "2f9d1c5a-0a70-4d0e-9e0f-6d6f3c6e8a11"
    headers = {"Authorization": f"Bearer {sandbox.token}", "x-ms-correlation-request-id": mine}
    answer = raw(sandbox, "GET", GROUP, headers=headers)
    assert answer.headers["x-ms-request-id"] and answer.headers["x-ms-correlation-request-id"] == mine
    headers["x-ms-correlation-request-id"] = "not a guid"
    assert raw(sandbox, "GET", GROUP, headers=headers).headers["x-ms-correlation-request-id"] != "not a guid"


def test_the_record_has_no_secrets(sandbox: ArmSandbox, arm: ArmClient, tmp_path: Path) -> None:
    arm.put(GROUP, "2024-03-01", {"location": "eastus"})
    arm.put(VAULT, "2024-11-01", {"location": "eastus", "properties": {}})
    arm.put(f"{VAULT}/secrets/adm", "2024-11-01", {"properties": {"value": "hunter2"}})
    arm.put(ACCOUNT, "2024-01-01", {"location": "eastus"})
    key = arm.post(f"{ACCOUNT}/listKeys", "2024-01-01")["keys"][0]["value"]
    sandbox.seed_connected_cluster(SUB, "rg1", "aks1")
    extension = f"{CONNECTED}/providers/Microsoft.KubernetesConfiguration/extensions/e"
    protected = {"extensionType": "x", "configurationProtectedSettings": {"k": "pr0tected"}}
    arm.put(extension, "2024-11-01", {"properties": protected})
    with pytest.raises(ArmError):
        arm.put(f"{VAULT}/secrets/bad_name", "2024-11-01", {"properties": {"value": "hunter2"}})
    raw(
        sandbox,
        "PUT",
        f"{VAULT}/secrets/x?api-version=2024-11-01",
        content=b'{"properties": {"value": "hunter2"',
    )
    file = tmp_path / "record.jsonl"
    text = file.read_text()
    for secret in ("hunter2", key, "pr0tected", sandbox.token):
        assert secret not in text
        assert secret not in repr(sandbox.exchanges)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["method"] for line in lines[:3]] == ["PUT", "PUT", "GET"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_private_files_are_private(sandbox: ArmSandbox, tmp_path: Path) -> None:
    for name in ("token", "tls/server.key"):
        assert stat.S_IMODE((tmp_path / "arm" / name).stat().st_mode) == 0o600
    assert not list((tmp_path / "arm").rglob("ca.key"))


def test_faults_are_ridden_out_or_reported(sandbox: ArmSandbox, arm: ArmClient) -> None:
    arm.put(GROUP, "2024-03-01", {"location": "eastus"})
    sandbox.faults.add(Fault(kind="drop", count=1, path="clusters"))
    sandbox.faults.add(Fault(status=429, code="TooManyRequests", retry_after=0, count=1, path="clusters"))
    sandbox.faults.add(Fault(status=503, code="ServerBusy", count=1, path="operationStatuses"))
    assert (
        arm.put(CLUSTER, "2025-10-01", {"location": "eastus"})["properties"]["provisioningState"]
        == "Succeeded"
    )
    assert [fault.struck for fault in sandbox.faults.all()] == [1, 1, 1]
    sandbox.faults.remove()
    sandbox.faults.add(Fault(kind="operation", code="NodeOff", message="node 2 is off", path="clusters"))
    with pytest.raises(ArmError, match="node 2 is off"):
        arm.put(CLUSTER, "2025-10-01", {"location": "eastus"})


def test_faults_are_ordered_over_http(sandbox: ArmSandbox, arm: ArmClient) -> None:
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    order = {"path": "resourceGroups", "status": 409, "code": "Conflict", "count": 1}
    assert raw(sandbox, "POST", "/sandbox/faults", json=order, headers=headers).status_code == 201
    with pytest.raises(ArmError) as caught:
        arm.put(GROUP, "2024-03-01", {"location": "eastus"})
    assert caught.value.status == 409
    assert raw(sandbox, "DELETE", "/sandbox/faults", headers=headers).json() == {"removed": 1}


def test_a_body_over_the_limit_is_refused(sandbox: ArmSandbox, arm: ArmClient) -> None:
    with pytest.raises(ArmError) as caught:
        arm.put(GROUP, "2024-03-01", {"location": "eastus", "tags": {"x": "y" * 5_000_000}})
    # The server may answer 413, or close while we still send: both end here, neither hangs.
    assert caught.value.status in (413, 0)


def test_many_clients_at_once_lose_nothing(sandbox: ArmSandbox, arm: ArmClient) -> None:
    arm.put(GROUP, "2024-03-01", {"location": "eastus"})
    path = f"{GROUP}/providers/Microsoft.HybridCompute/machines"

    def create(number: int) -> str:
        return str(arm.put(f"{path}/node{number}", "2025-01-13", {"location": "eastus"})["name"])

    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(create, range(60)))
    assert names == {item["name"] for item in arm.list(path, "2025-01-13", {"$top": "7"})}
    assert len(names) == 60


def test_a_restarted_sandbox_continues(tmp_path: Path) -> None:
    options = {"subscriptions": [SUB], "persist": True, "clock_factor": 0.0}
    with ArmSandbox(tmp_path, **options) as first, client_of(first) as client:  # type: ignore[arg-type]
        client.put(GROUP, "2024-03-01", {"location": "eastus"})
        token, authority = first.token, first.ca_file.read_bytes()
    with ArmSandbox(tmp_path, **options) as second, client_of(second) as client:  # type: ignore[arg-type]
        assert client.get(GROUP, "2024-03-01")["name"] == "rg1"
        assert (second.token, second.ca_file.read_bytes()) == (token, authority)
    with ArmSandbox(tmp_path / "other", **options) as third:  # type: ignore[arg-type]
        assert third.token != token


def test_a_taken_port_is_named(sandbox: ArmSandbox, tmp_path: Path) -> None:
    port = int(sandbox.endpoint.rsplit(":", 1)[1])
    with pytest.raises(SandboxStartError, match=str(port)):
        ArmSandbox(tmp_path / "second", subscriptions=[SUB], port=port).start()


@pytest.mark.parametrize(
    "wrong", [{"subscriptions": ["a/b"]}, {"subscriptions": [SUB], "clock_factor": -1.0}]
)
def test_nonsense_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a subscription|negative"):
        ArmSandbox(tmp_path, **wrong)  # type: ignore[arg-type]


def _one_cluster() -> None:
    import pulumi_azure_native as az

    az.resources.Resource(
        "cluster",
        resource_provider_namespace="Microsoft.AzureStackHCI",
        parent_resource_path="",
        resource_type="clusters",
        resource_name_="plant1",
        api_version="2025-10-01",
        resource_group_name="rg1",
        location="eastus",
        identity=az.resources.IdentityArgs(type="SystemAssigned"),
        properties={},
    )


@pytest.mark.parametrize("kind", ["drop", "lost"])
def test_a_network_that_is_lost_under_a_create_costs_a_rerun(
    sandbox: ArmSandbox, tmp_path: Path, kind: FaultKind
) -> None:
    """Azure goes on, or never heard of it; either way the next run ends in the right state."""
    sandbox.seed_machine(SUB, "rg1", "n1")
    run = StackRun(StackRef("fleet", "plant1"), _one_cluster)
    with SandboxProviders(partial(client_of, sandbox), SUB) as providers:
        engine = LocalEngine(StateStore(tmp_path / "state"), providers, partial(str, "a passphrase"))
        # From the change on nothing comes through: no answer to it, no look at what became of it.
        sandbox.faults.add(Fault(kind=kind, methods=("PUT",), path="clusters/plant1"))
        sandbox.faults.add(Fault(kind="drop", path="operationStatuses"))
        watched = _AfterPut(sandbox)
        with watched:
            (failure,) = engine.up(run).failures
        assert failure.code == "ConnectionFailed"
        sandbox.faults.remove()
        assert engine.up(run).failures == ()
        assert set(engine.up(run).counts) == {"same"}
    created = [e for e in sandbox.exchanges if e.method == "PUT" and e.status == 201 and CLUSTER in e.path]
    assert len(created) == 1


class _AfterPut:
    """Drops every GET once a PUT was struck, as a cut line does; the looks before it come through."""

    def __init__(self, sandbox: ArmSandbox) -> None:
        self._faults = sandbox.faults
        self._strike = sandbox.faults.strike

    def __enter__(self) -> None:
        def strike(
            kinds: tuple[FaultKind, ...], method: str, path: str, resource_type: str | None
        ) -> Fault | None:
            if method == "GET" and "drop" in kinds and any(f.struck for f in self._faults.all()):
                return Fault(kind="drop")
            return self._strike(kinds, method, path, resource_type)

        self._faults.strike = strike  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._faults.strike = self._strike  # type: ignore[method-assign]
