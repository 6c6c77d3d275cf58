"""The ARM stand-in without its server: ids, versions, errors, operations and side effects."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fleet.sandbox.arm.crud import Site
from fleet.sandbox.arm.faults import Fault, FaultBook
from fleet.sandbox.arm.messages import MAX_BODY, ArmRequest, ArmResponse
from fleet.sandbox.arm.service import ArmService, DroppedConnection
from fleet.sandbox.arm.store import Store
from fleet.sandbox.arm.types import load_types
from fleet.sandbox.arm.world import ArtifactExists, World

SUB = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-One"
P = f"{GROUP}/providers"
CLUSTER = f"{P}/Microsoft.AzureStackHCI/clusters/plant1"
SETTINGS = f"{CLUSTER}/deploymentSettings/default"
MACHINE = f"{P}/Microsoft.HybridCompute/machines/node1"
CUSTOM_LOCATION = f"{P}/Microsoft.ExtendedLocation/customLocations/plant1-cl"
NETWORK = f"{P}/Microsoft.AzureStackHCI/logicalNetworks/aks"
CONNECTED = f"{P}/Microsoft.Kubernetes/connectedClusters/aks1"
INSTANCE = f"{CONNECTED}/providers/Microsoft.HybridContainerService/provisionedClusterInstances/default"
EXTENSION = f"{CONNECTED}/providers/Microsoft.KubernetesConfiguration/extensions"
FLUX = f"{CONNECTED}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/fleet"
ROLES = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments"
VAULT = f"{P}/Microsoft.KeyVault/vaults/kv-plant1"
ACCOUNT = f"{P}/Microsoft.Storage/storageAccounts/witness1"
VERSIONS = {
    "resourcegroups": "2024-03-01",
    "deploymentsettings": "2025-10-01",
    "edgedevices": "2025-10-01",
    "customlocations": "2021-08-15",
    "logicalnetworks": "2024-01-01",
    "machines": "2025-01-13",
    "roleassignments": "2022-04-01",
    "vaults": "2024-11-01",
    "storageaccounts": "2024-01-01",
    "connectedclusters": "2024-01-01",
    "provisionedclusterinstances": "2024-01-01",
    "kubernetesversions": "2024-01-01",
    "extensions": "2024-11-01",
    "fluxconfigurations": "2025-04-01",
}
EXTENDED = {"type": "CustomLocation", "name": CUSTOM_LOCATION}


class Arm:
    """The stand-in with a clock that only `wait` moves; durations as in real life."""

    def __init__(
        self,
        file: Path | None = None,
        factor: float = 1.0,
        exists: ArtifactExists | None = None,
        page: int = 1000,
    ) -> None:
        self.now = 1_700_000_000.0
        world = World(Store(file), load_types(), lambda: self.now, factor, exists)
        self.service = ArmService(world, Site((SUB,), "https://127.0.0.1:1", FaultBook(), page))

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def ask(
        self, method: str, path: str, body: Any = None, version: str | None = None, **query: str
    ) -> ArmResponse:
        if version is None:
            parts = [part.lower() for part in path.split("/") if part.lower() in VERSIONS]
            version = (
                VERSIONS[parts[-1]]
                if parts and "azurestackhci/clusters" not in path.lower()
                else "2025-10-01"
            )
        query = {**query, **({"api-version": version} if version else {})}
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.service.handle(ArmRequest(method, path, query, raw))

    def get(self, path: str) -> Any:
        found = self.ask("GET", path)
        assert found.status == 200, found.body
        return found.body

    def put(self, path: str, body: Any) -> ArmResponse:
        done = self.ask("PUT", path, body)
        assert done.status in (200, 201, 202), done.body
        return done

    def group(self) -> "Arm":
        self.put(GROUP, {"location": "eastus"})
        return self

    def deployed(self) -> "Arm":
        """A group, a machine, a cluster that is deployed, a logical network and a connected AKS cluster."""
        self.group()
        self.put(MACHINE, {"location": "eastus", "identity": {"type": "SystemAssigned"}})
        self.put(CLUSTER, {"location": "eastus", "identity": {"type": "SystemAssigned"}})
        self.wait(60)
        for mode in ("Validate", "Deploy"):
            self.put(SETTINGS, settings(mode))
            self.wait(10_000)
        self.put(
            NETWORK, {"location": "eastus", "extendedLocation": EXTENDED, "properties": {"subnets": [{}]}}
        )
        self.put(CONNECTED, {"location": "eastus", "kind": "ProvisionedCluster", "properties": {}})
        self.wait(60)
        return self

    def connected(self) -> "Arm":
        self.deployed().put(INSTANCE, instance())
        self.wait(1500)
        return self


def settings(mode: str, machine: str = MACHINE, secrets: list[Any] | None = None) -> dict[str, Any]:
    data = {"optionalServices": {"customLocation": "plant1-cl"}, "secrets": secrets or []}
    units = [{"deploymentData": data}]
    return {
        "properties": {
            "deploymentMode": mode,
            "arcNodeResourceIds": [machine],
            "deploymentConfiguration": {"scaleUnits": units},
        }
    }


def instance(network: str = NETWORK) -> dict[str, Any]:
    return {
        "extendedLocation": EXTENDED,
        "properties": {
            "kubernetesVersion": "1.30.4",
            "controlPlane": {"count": 1},
            "agentPoolProfiles": [{"name": "pool1", "count": 2}],
            "cloudProviderProfile": {"infraNetworkProfile": {"vnetSubnetIds": [network]}},
        },
    }


def code(answer: ArmResponse) -> tuple[int, str]:
    return answer.status, answer.body["error"]["code"]


@pytest.mark.parametrize(
    ("path", "version", "expected"),
    [
        (GROUP, "", (400, "MissingApiVersionParameter")),
        (GROUP, "1999-01-01", (400, "NoRegisteredProviderFound")),
        (CLUSTER, "2023-01-01", (400, "NoRegisteredProviderFound")),
        (CLUSTER, "2025-10-01", (404, "ResourceNotFound")),
        (f"{P}/Microsoft.AzureStackHCI/nothings/x", "2025-10-01", (404, "InvalidResourceType")),
        (f"{P}/Contoso.Widgets/widgets/x", "2025-10-01", (404, "InvalidResourceNamespace")),
        (CLUSTER.replace("rg-One", "other"), "2025-10-01", (404, "ResourceGroupNotFound")),
        (CLUSTER.replace(SUB, "2" * 8), "2025-10-01", (404, "SubscriptionNotFound")),
        (f"{CLUSTER}/arcSettings", "2025-10-01", (404, "ResourceNotFound")),
        ("/nowhere", "2025-10-01", (404, "NotFound")),
        (f"{GROUP}/providers", "2025-10-01", (404, "NotFound")),
        (f"{P}/Microsoft.AzureStackHCI/clusters/a%2Fb", "2025-10-01", (400, "InvalidResourceName")),
        (f"{P}/Microsoft.AzureStackHCI/clusters/a%00b", "2025-10-01", (400, "InvalidResourceName")),
    ],
)
def test_what_cannot_be_answered_is_an_arm_error(path: str, version: str, expected: tuple[int, str]) -> None:
    assert code(Arm().group().ask("GET", path, version=version)) == expected


def test_a_refused_version_lists_the_supported_ones() -> None:
    message = Arm().group().ask("GET", CLUSTER, version="2023-01-01").body["error"]["message"]
    assert "2025-10-01" in message and "2026-04-30" in message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "InvalidRequestContent")),
        (b"{", (400, "InvalidRequestContent")),
        (b"[]", (400, "InvalidRequestContent")),
        (b"\xff\xfe", (400, "InvalidRequestContent")),
        (b'{"a": NaN}', (400, "InvalidRequestContent")),
        (b"[" * 200_000, (400, "InvalidRequestContent")),
        (b'{"properties": 3}', (400, "InvalidRequestContent")),
        (b'{"location": 3}', (400, "InvalidRequestContent")),
        (b'{"properties": {}}', (400, "LocationRequired")),
        (b" " * (MAX_BODY + 1), (413, "RequestContentTooLarge")),
    ],
)
def test_bad_bodies_are_refused(body: bytes, expected: tuple[int, str]) -> None:
    arm = Arm().group()
    assert code(arm.ask("PUT", CLUSTER, body)) == expected
    assert code(arm.ask("GET", CLUSTER)) == (404, "ResourceNotFound")


def test_case_is_kept_and_ignored_and_empty_segments_are_tolerated() -> None:
    arm = Arm().group()
    arm.put(f"{P.upper()}//microsoft.azurestackhci/CLUSTERS/Plant1", {"location": "eastus"})
    arm.wait(60)
    found = arm.get(f"{P.lower()}/Microsoft.AzureStackHCI/clusters/PLANT1")
    assert found["id"] == f"{P}/Microsoft.AzureStackHCI/clusters/Plant1"
    assert (found["name"], found["type"]) == ("Plant1", "Microsoft.AzureStackHCI/clusters")
    arm.put(f"{P}/Microsoft.AzureStackHCI/clusters/PLANT1", {"location": "East US"})
    assert arm.get(CLUSTER)["name"] == "Plant1"


def test_children_need_their_parents() -> None:
    arm = Arm().group()
    assert code(arm.ask("PUT", f"{CLUSTER}/arcSettings/default", {})) == (404, "ParentResourceNotFound")
    assert code(arm.ask("PUT", INSTANCE, {})) == (404, "ParentResourceNotFound")
    edge = "providers/Microsoft.AzureStackHCI/edgeDevices/default"
    assert code(arm.ask("PUT", f"{MACHINE}/{edge}", {})) == (404, "ParentResourceNotFound")
    arm.put(CLUSTER, {"location": "eastus"})
    assert code(arm.ask("PUT", f"{CLUSTER}/{edge}", {})) == (400, "InvalidResourceScope")
    assert code(arm.ask("PUT", f"{GROUP}/{edge}", {})) == (400, "InvalidResourceScope")


def test_lists_by_group_subscription_and_parent_with_pages() -> None:
    arm = Arm(page=2).group()
    arm.put(f"/subscriptions/{SUB}/resourceGroups/two", {"location": "eastus"})
    for name in ("a", "b", "c"):
        arm.put(f"{P}/Microsoft.HybridCompute/machines/{name}", {"location": "eastus"})
    other = f"/subscriptions/{SUB}/resourceGroups/two/providers/Microsoft.HybridCompute/machines"
    arm.put(f"{other}/d", {"location": "eastus"})
    first = arm.get(f"{P}/Microsoft.HybridCompute/machines")
    assert [item["name"] for item in first["value"]] == ["a", "b"]
    assert "api-version=2025-01-13" in first["nextLink"]
    token = parse_qs(urlsplit(first["nextLink"]).query)["$skiptoken"][0]
    arm.ask("DELETE", f"{P}/Microsoft.HybridCompute/machines/a")  # no page slips when others come and go
    rest = arm.ask("GET", f"{P}/Microsoft.HybridCompute/machines", **{"$skiptoken": token}).body
    arm.put(f"{P}/Microsoft.HybridCompute/machines/a", {"location": "eastus"})
    assert [item["name"] for item in rest["value"]] == ["c"] and "nextLink" not in rest
    names = [
        i["name"]
        for i in arm.get(f"/subscriptions/{SUB}/providers/Microsoft.HybridCompute/machines")["value"]
    ]
    assert names == ["a", "b"]
    assert len(arm.get(other)["value"]) == 1
    assert len(arm.ask("GET", f"{GROUP}/resources", version="2025-04-01").body["value"]) == 2


@pytest.mark.parametrize(
    "query", [{"$top": "0"}, {"$top": "x"}, {"$skiptoken": "é"}, {"$filter": "foo ne 3"}]
)
def test_queries_that_are_not_understood_are_refused(query: dict[str, str]) -> None:
    answer = Arm().group().ask("GET", f"{GROUP}/resources", version="2025-04-01", **query)
    assert answer.status == 400


def test_a_filter_selects() -> None:
    arm = Arm().group()
    arm.put(MACHINE, {"location": "eastus"})
    arm.put(VAULT, {"location": "eastus"})
    found = arm.ask(
        "GET",
        f"{GROUP}/resources",
        version="2025-04-01",
        **{"$filter": "resourceType eq 'Microsoft.KeyVault/vaults'"},
    )
    assert [item["name"] for item in found.body["value"]] == ["kv-plant1"]


def test_a_group_takes_everything_in_it_along_when_the_operation_ends() -> None:
    arm = Arm().group()
    arm.put(MACHINE, {"location": "eastus"})
    deleting = arm.ask("DELETE", GROUP)
    assert (deleting.status, deleting.headers["Retry-After"]) == (202, "15")
    location = deleting.headers["Location"].removeprefix("https://127.0.0.1:1").split("?")[0]
    assert arm.ask("GET", location).status == 202
    assert arm.get(GROUP)["properties"]["provisioningState"] == "Deleting"
    assert code(arm.ask("PUT", GROUP, {"location": "eastus"})) == (409, "ResourceGroupBeingDeleted")
    arm.wait(120)
    assert arm.ask("GET", location).status == 204
    assert code(arm.ask("GET", GROUP)) == (404, "ResourceGroupNotFound")
    arm.group()
    assert code(arm.ask("GET", MACHINE)) == (404, "ResourceNotFound")


def test_head_tells_existence() -> None:
    arm = Arm().group()
    assert arm.ask("HEAD", GROUP).status == 204
    assert arm.ask("HEAD", MACHINE).status == 404


def test_a_long_put_moves_along_with_the_clock() -> None:
    arm = Arm().group()
    begun = arm.put(CLUSTER, {"location": "eastus", "identity": {"type": "SystemAssigned"}})
    assert begun.status == 201 and begun.headers["Retry-After"] == "15"
    status_path = begun.headers["Azure-AsyncOperation"].removeprefix("https://127.0.0.1:1").split("?")[0]
    assert arm.ask("GET", status_path).body["status"] == "InProgress"
    assert arm.get(CLUSTER)["properties"]["provisioningState"] == "Creating"
    assert code(arm.ask("PUT", CLUSTER, {"location": "eastus"})) == (409, "AnotherOperationInProgress")
    arm.wait(20)
    assert arm.ask("GET", status_path).body["status"] == "Succeeded"
    found = arm.get(CLUSTER)
    assert found["properties"]["provisioningState"] == "Succeeded"
    assert found["properties"]["cloudId"] and found["identity"]["principalId"]


def test_factor_zero_answers_with_the_finished_resource() -> None:
    begun = Arm(factor=0).group().put(CLUSTER, {"location": "eastus"})
    assert begun.body["properties"]["provisioningState"] == "Succeeded"
    assert begun.headers["Retry-After"] == "0"


def test_patch_merges_and_put_keeps_what_the_provider_owns() -> None:
    arm = Arm().group()
    arm.put(MACHINE, {"location": "eastus", "tags": {"a": "1", "b": "2"}, "properties": {"x": {"y": 1}}})
    arm.ask("PATCH", MACHINE, {"tags": {"a": None, "c": "3"}, "properties": {"x": {"z": 2}}})
    found = arm.get(MACHINE)
    assert found["tags"] == {"b": "2", "c": "3"} and found["properties"]["x"] == {"y": 1, "z": 2}
    arm.put(CLUSTER, {"location": "eastus"})
    arm.wait(60)
    before = arm.get(CLUSTER)["properties"]["cloudId"]
    arm.put(CLUSTER, {"location": "eastus", "properties": {"cloudId": "mine", "provisioningState": "Failed"}})
    assert arm.get(CLUSTER)["properties"]["cloudId"] == before
    assert code(arm.ask("PUT", CLUSTER, {"location": "westus"}))[0] == 409
    assert code(arm.ask("PATCH", f"{MACHINE}x", {})) == (404, "ResourceNotFound")


def test_deploy_creates_what_azure_local_creates() -> None:
    arm = Arm().deployed()
    shown = arm.get(SETTINGS)["properties"]
    assert shown["provisioningState"] == "Succeeded"
    for phase in ("validationStatus", "deploymentStatus"):
        assert shown["reportedProperties"][phase]["status"] == "Success"
        assert {step["status"] for step in shown["reportedProperties"][phase]["steps"]} == {"Success"}
    cluster = arm.get(CLUSTER)["properties"]
    assert (cluster["status"], cluster["connectivityStatus"]) == ("DeploymentSuccess", "Connected")
    bridge = arm.ask(
        "GET", f"{P}/Microsoft.ResourceConnector/appliances/plant1-arcbridge", version="2022-10-27"
    )
    assert bridge.body["properties"]["status"] == "Running"
    assert arm.get(CUSTOM_LOCATION)["properties"]["hostResourceId"] == bridge.body["id"]
    containers = arm.ask("GET", f"{P}/Microsoft.AzureStackHCI/storageContainers", version="2024-01-01").body[
        "value"
    ]
    assert containers[0]["extendedLocation"]["name"] == CUSTOM_LOCATION
    assert arm.get(f"{CLUSTER}/arcSettings/default")["properties"]["aggregateState"] == "Connected"


def test_deployment_is_refused_before_its_time() -> None:
    arm = Arm().group()
    assert code(arm.ask("PUT", SETTINGS, settings("Validate"))) == (404, "ParentResourceNotFound")
    arm.put(CLUSTER, {"location": "eastus"})
    assert code(arm.ask("PUT", SETTINGS, settings("Validate"))) == (400, "ArcMachineNotFound")
    arm.put(MACHINE, {"location": "eastus"})
    assert code(arm.ask("PUT", SETTINGS, settings("Ponder"))) == (400, "InvalidDeploymentMode")
    assert code(arm.ask("PUT", SETTINGS, {"properties": {"deploymentMode": "Deploy"}})) == (
        400,
        "InvalidRequest",
    )
    odd = {
        "properties": {
            "deploymentMode": "Deploy",
            "arcNodeResourceIds": [MACHINE],
            "deploymentConfiguration": [],
        }
    }
    assert code(arm.ask("PUT", SETTINGS, odd)) == (400, "InvalidRequest")
    assert arm.get(CLUSTER)["properties"]["status"] == "NotYetRegistered"
    network = {"location": "eastus", "extendedLocation": EXTENDED, "properties": {"subnets": [{}]}}
    assert code(arm.ask("PUT", NETWORK, network)) == (400, "InvalidExtendedLocation")
    assert code(arm.ask("PUT", NETWORK, {"location": "eastus"})) == (400, "InvalidExtendedLocation")


def test_validate_fails_where_the_vault_lacks_a_secret_and_succeeds_once_it_is_there() -> None:
    arm = Arm().group()
    arm.put(MACHINE, {"location": "eastus"})
    arm.put(CLUSTER, {"location": "eastus"})
    arm.put(VAULT, {"location": "eastus"})
    arm.wait(60)
    secret = {
        "eceSecretName": "LocalAdminCredential",
        "secretLocation": "https://kv-plant1.vault.azure.net/secrets/adm",
    }
    arm.put(SETTINGS, settings("Validate", secrets=[secret]))
    arm.wait(600)
    shown = arm.get(SETTINGS)["properties"]
    assert shown["provisioningState"] == "Failed"
    assert "'adm'" in shown["reportedProperties"]["validationStatus"]["steps"][-1]["exception"][0]
    assert arm.get(CLUSTER)["properties"]["status"] == "ValidationFailed"
    arm.put(f"{VAULT}/secrets/adm", {"properties": {"value": "hunter2"}})
    arm.put(SETTINGS, settings("Validate", secrets=[secret]))
    arm.wait(600)
    assert arm.get(CLUSTER)["properties"]["status"] == "ValidationSuccess"


def test_a_failed_deployment_is_not_validated_again() -> None:
    arm = Arm().group()
    arm.put(MACHINE, {"location": "eastus"})
    arm.put(CLUSTER, {"location": "eastus"})
    arm.wait(60)
    arm.service.faults.add(
        Fault(kind="operation", path="deploymentSettings", count=1, code="MocFailed", message="m")
    )
    begun = arm.put(SETTINGS, settings("Deploy"))
    arm.wait(10_000)
    path = begun.headers["Azure-AsyncOperation"].removeprefix("https://127.0.0.1:1").split("?")[0]
    status = arm.ask("GET", path).body
    assert (status["status"], status["error"]["code"]) == ("Failed", "MocFailed")
    assert arm.get(CLUSTER)["properties"]["status"] == "DeploymentFailed"
    assert arm.ask("GET", CUSTOM_LOCATION).status == 404
    assert code(arm.ask("PUT", SETTINGS, settings("Validate"))) == (409, "Conflict")


def test_aks_connects_its_cluster_and_then_takes_extensions() -> None:
    arm = Arm().deployed()
    assert arm.get(CONNECTED)["properties"]["connectivityStatus"] == "Connecting"
    extension = {
        "properties": {"extensionType": "microsoft.flux", "configurationProtectedSettings": {"k": "s3cret"}}
    }
    assert code(arm.ask("PUT", f"{EXTENSION}/a", extension)) == (409, "ClusterNotConnected")
    assert code(arm.ask("PUT", INSTANCE, instance(NETWORK + "x"))) == (400, "LogicalNetworkNotFound")
    arm.put(INSTANCE, instance())
    pools = f"{INSTANCE}/agentPools"
    assert code(arm.ask("PUT", f"{pools}/pool2", {}, "2024-01-01")) == (409, "AnotherOperationInProgress")
    assert code(arm.ask("PUT", f"{pools}/Pool_2", {}, "2024-01-01")) == (400, "InvalidResourceName")
    arm.wait(1500)
    shown = arm.get(CONNECTED)["properties"]
    assert (shown["connectivityStatus"], shown["totalNodeCount"]) == ("Connected", 3)
    arm.put(f"{EXTENSION}/a", extension)
    arm.wait(200)
    assert "s3cret" not in json.dumps(arm.get(f"{EXTENSION}/a"))
    arm.ask("DELETE", INSTANCE)
    arm.wait(600)
    assert arm.get(CONNECTED)["properties"]["connectivityStatus"] == "Offline"


def test_kubernetes_versions_become_ready() -> None:
    arm = Arm().deployed()
    path = f"{CUSTOM_LOCATION}/providers/Microsoft.HybridContainerService/kubernetesVersions/default"
    arm.put(path, {"extendedLocation": EXTENDED})
    assert "values" not in arm.get(path)["properties"]
    arm.wait(600)
    values = {value["version"]: value for value in arm.get(path)["properties"]["values"]}
    assert values["1.30"]["patchVersions"]["1.30.4"]["readiness"][0]["ready"] is True


def flux(digest: str = "sha256:aa", **more: Any) -> dict[str, Any]:
    source = {"url": "oci://registry.site/fleet", "repositoryRef": {"digest": digest}}
    return {"properties": {"sourceKind": "OCIRepository", "ociRepository": source, **more}}


def test_flux_is_compliant_when_the_registry_has_the_digest() -> None:
    known: set[tuple[str, str]] = set()
    arm = Arm(exists=lambda url, digest: (url, digest) in known).connected()
    arm.put(FLUX, flux(configurationProtectedSettings={"key": "s3cret"}))
    assert arm.get(FLUX)["properties"]["complianceState"] == "Pending"
    arm.wait(60)
    bad = arm.get(FLUX)["properties"]
    assert bad["complianceState"] == "Non-Compliant"
    assert "sha256:aa" in bad["statuses"][0]["statusConditions"][0]["message"]
    assert "s3cret" not in json.dumps(bad)
    known.add(("oci://registry.site/fleet", "sha256:aa"))
    assert arm.get(FLUX)["properties"]["complianceState"] == "Compliant"
    listed = arm.get(f"{EXTENSION}")["value"]
    assert [item["properties"]["extensionType"] for item in listed] == ["microsoft.flux"]
    arm.put(FLUX, flux(suspend=True))
    arm.wait(60)
    assert arm.get(FLUX)["properties"]["complianceState"] == "Suspended"


def test_flux_says_why_it_does_not_know() -> None:
    def unreachable(url: str, digest: str) -> bool:
        raise ConnectionError("registry is down")

    for arm, body, state, text in (
        (Arm(), flux(), "Unknown", "no registry"),
        (Arm(exists=unreachable), flux(), "Non-Compliant", "registry is down"),
        (Arm(exists=lambda u, d: True), flux(digest=""), "Unknown", "by digest only"),
        (Arm(exists=lambda u, d: True), {"properties": {"sourceKind": "GitRepository"}}, "Unknown", "OCI"),
    ):
        arm.connected().put(FLUX, body)
        arm.wait(60)
        shown = arm.get(FLUX)["properties"]
        assert shown["complianceState"] == state
        assert text in shown["statuses"][0]["statusConditions"][0]["message"]


def role(principal: str = "p1", definition: str = "865ae368") -> dict[str, Any]:
    return {
        "properties": {
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "roleDefinitionId": f"/x/roleDefinitions/{definition}",
        }
    }


def test_role_assignments_fail_as_documented() -> None:
    arm = Arm().group()
    one, two = (f"{ROLES}/{n * 8}-0000-0000-0000-000000000000" for n in "12")
    assert arm.put(one, role()).status == 201
    assert arm.put(one, role()).status == 200
    assert code(arm.ask("PUT", two, role("P1"))) == (409, "RoleAssignmentExists")
    assert code(arm.ask("PUT", one, role("p2"))) == (400, "RoleAssignmentUpdateNotPermitted")
    assert code(arm.ask("PUT", f"{ROLES}/not-a-guid", role())) == (400, "InvalidResourceName")
    assert code(arm.ask("PUT", two, {"properties": {}})) == (400, "BadRequestFormat")
    assert arm.put(two, role("p2")).status == 201
    assert [i["properties"]["scope"] for i in arm.get(ROLES)["value"]] == [GROUP, GROUP]
    found = arm.ask("GET", ROLES, **{"$filter": "atScope() and principalId eq 'p2'"})
    assert len(found.body["value"]) == 1
    arm.put(VAULT, {"location": "eastus"})
    arm.wait(60)
    assert (
        arm.put(f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/{one[-36:]}", role()).status
        == 201
    )


def test_secrets_are_accepted_and_never_returned_nor_kept(tmp_path: Path) -> None:
    arm = Arm(tmp_path / "arm.sqlite").group()
    arm.put(VAULT, {"location": "eastus"})
    arm.wait(60)
    secret = f"{VAULT}/secrets/adm"
    first = arm.put(secret, {"properties": {"value": "hunter2", "Value": "hunter2"}})
    assert first.status == 201 and "value" not in first.body["properties"]
    second = arm.put(secret, {"properties": {"value": "hunter2"}})
    uris = {answer.body["properties"]["secretUriWithVersion"] for answer in (first, second)}
    assert len(uris) == 2 and all(
        uri.startswith("https://kv-plant1.vault.azure.net/secrets/adm/") for uri in uris
    )
    assert set(arm.get(secret)["properties"]) == {"secretUri", "secretUriWithVersion", "attributes"}
    arm.service.world.store.close()
    assert not any(b"hunter2" in file.read_bytes() for file in tmp_path.iterdir())


def test_storage_accounts_have_keys_and_unique_names() -> None:
    arm = Arm().group()
    begun = arm.put(ACCOUNT, {"location": "eastus", "sku": {"name": "Standard_LRS"}})
    assert (begun.status, begun.body) == (202, None)
    arm.wait(30)
    keys = arm.ask("POST", f"{ACCOUNT}/listKeys", b"").body["keys"]
    assert len({key["value"] for key in keys}) == 2 and len(base64.b64decode(keys[0]["value"])) == 64
    assert code(arm.ask("POST", f"{ACCOUNT}/explode", b""))[0] == 404
    assert (
        code(arm.ask("PUT", f"{P}/Microsoft.Storage/storageAccounts/Not_Valid", {"location": "x"}))[0] == 400
    )
    arm.put(f"/subscriptions/{SUB}/resourceGroups/two", {"location": "eastus"})
    again = ACCOUNT.replace("rg-One", "two")
    assert code(arm.ask("PUT", again, {"location": "eastus"})) == (409, "StorageAccountAlreadyTaken")


def test_edge_devices_bring_the_mandatory_extensions() -> None:
    arm = Arm().group()
    arm.put(MACHINE, {"location": "eastus"})
    arm.put(
        f"{MACHINE}/providers/Microsoft.AzureStackHCI/edgeDevices/default", {"kind": "HCI", "properties": {}}
    )
    arm.wait(1500)
    found = arm.ask("GET", f"{MACHINE}/extensions", version="2025-01-13").body["value"]
    assert len(found) == 4 and all(item["properties"]["provisioningState"] == "Succeeded" for item in found)


def test_providers_register_in_a_minute() -> None:
    arm = Arm()
    path = f"/subscriptions/{SUB}/providers/microsoft.azurestackhci"

    def state() -> str:
        return str(arm.ask("GET", path, version="2024-03-01").body["registrationState"])

    assert state() == "NotRegistered"
    assert arm.ask("POST", f"{path}/register", b"", "2024-03-01").status == 200
    assert state() == "Registering"
    arm.wait(60)
    assert state() == "Registered"
    listed = arm.ask("GET", f"/subscriptions/{SUB}/providers", version="2024-03-01").body["value"]
    assert "Microsoft.KubernetesConfiguration" in {item["namespace"] for item in listed}
    unknown = arm.ask("POST", f"/subscriptions/{SUB}/providers/Contoso.X/register", b"", "2024-03-01")
    assert code(unknown) == (404, "InvalidResourceNamespace")


def test_faults_strike_as_ordered() -> None:
    arm = Arm().group()
    order = {"type": "Microsoft.HybridCompute/machines", "methods": ["put"], "count": 2, "status": 429}
    order |= {"code": "TooManyRequests", "retryAfter": 3}
    assert arm.ask("POST", "/sandbox/faults", order).status == 201
    for _ in range(2):
        struck = arm.ask("PUT", MACHINE, {"location": "eastus"})
        assert code(struck) == (429, "TooManyRequests") and struck.headers["Retry-After"] == "3"
    assert arm.ask("PUT", MACHINE, {"location": "eastus"}).status == 201
    (shown,) = arm.ask("GET", "/sandbox/faults").body["value"]
    assert shown["struck"] == 2
    assert arm.ask("DELETE", f"/sandbox/faults/{shown['id']}").body == {"removed": 1}
    arm.service.faults.add(Fault(kind="drop", path="machines/node1$"))
    with pytest.raises(DroppedConnection):
        arm.ask("GET", MACHINE)
    assert arm.ask("DELETE", "/sandbox/faults").body == {"removed": 1}


def test_probability_is_repeatable() -> None:
    def pattern() -> list[bool]:
        fault = Fault(probability=0.5, seed=7)
        return [fault.strikes("GET", "/x", None) for _ in range(40)]

    assert pattern() == pattern() and len(set(pattern())) == 2


@pytest.mark.parametrize(
    "order",
    [
        {"path": "["},
        {"kind": "earthquake"},
        {"status": 200},
        {"probability": 2},
        {"count": 0},
        {"count": "3"},
        {"count": True},
        {"when": "now"},
        {"retryAfter": -1},
        {"kind": "slow"},
        {"kind": "drop", "status": 500},
        {"type": "Microsoft.Nothing/atAll"},
        {"methods": ["FETCH"]},
        {"code": "two words"},
    ],
)
def test_bad_faults_are_refused(order: dict[str, Any]) -> None:
    assert code(Arm().ask("POST", "/sandbox/faults", order)) == (400, "InvalidFault")


def test_a_failed_put_can_be_put_right() -> None:
    arm = Arm().group()
    arm.service.faults.add(Fault(kind="operation", path="machines", count=1, code="Boom", message="b"))
    arm.put(MACHINE, {"location": "eastus"})
    assert arm.get(MACHINE)["properties"]["provisioningState"] == "Failed"
    arm.put(MACHINE, {"location": "eastus"})
    assert arm.get(MACHINE)["properties"]["provisioningState"] == "Succeeded"


def test_deletes_take_time_and_a_second_one_finds_nothing() -> None:
    arm = Arm().connected()
    assert arm.ask("DELETE", CONNECTED).status == 202
    arm.wait(120)
    assert arm.ask("DELETE", CONNECTED).status == 204
    assert arm.ask("GET", INSTANCE).status == 404
    assert arm.ask("DELETE", MACHINE).status == 200


def test_a_persisted_store_continues_in_the_middle_of_an_operation(tmp_path: Path) -> None:
    first = Arm(tmp_path / "arm.sqlite").group()
    begun = first.put(CLUSTER, {"location": "eastus"})
    path = begun.headers["Azure-AsyncOperation"].removeprefix("https://127.0.0.1:1").split("?")[0]
    # No close: the process was killed.
    second = Arm(tmp_path / "arm.sqlite")
    assert second.ask("GET", path).body["status"] == "InProgress"
    second.wait(20)
    assert second.ask("GET", path).body["status"] == "Succeeded"
    assert second.get(CLUSTER)["properties"]["provisioningState"] == "Succeeded"
    first.service.world.store.close()
    second.service.world.store.close()


def test_every_type_in_microsofts_definitions_that_we_list_accepts_their_version() -> None:
    contracts = Path(__file__).resolve().parents[2].parent / "shared" / "contracts" / "arm"
    if not contracts.is_dir():
        pytest.skip("Microsoft's type definitions are not beside the checkout")
    table = load_types()
    checked = 0
    for file in contracts.glob("*.json"):
        for entry in json.loads(file.read_text()):
            if entry.get("$type") == "ResourceType":
                name, _, version = entry["name"].partition("@")
                if kind := table.types.get(name.lower()):
                    kind.check_api_version(version)
                    checked += 1
    assert checked > 50
