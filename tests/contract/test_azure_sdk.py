"""Microsoft's own SDKs as clients of the ARM stand-in: what they send is accepted, what they get parses.

TLS is verified against the sandbox's CA. What is proved here is that the stand-in has ARM's manners
(paths, api-versions, long-running operations, errors), not that its data are Azure's.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.hybridcontainerservice import HybridContainerServiceMgmtClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.kubernetesconfiguration import SourceControlConfigurationClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient

from fleet.adapters.arm_client import ArmClient
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.arm.faults import Fault

SUB = "11111111-1111-1111-1111-111111111111"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg1"
VERSION = "2025-10-01"
TENANT = "00000000-0000-0000-0000-000000000001"
CUSTOM_LOCATION = f"{GROUP}/providers/Microsoft.ExtendedLocation/customLocations/cl1"
CONNECTED = f"{GROUP}/providers/Microsoft.Kubernetes/connectedClusters"
NETWORK = f"{GROUP}/providers/Microsoft.AzureStackHCI/logicalNetworks/aks"


class SandboxCredential:
    """Gives the sandbox's token, as a credential of azure-identity gives Entra's."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmSandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        directory = tmp_path_factory.mktemp("arm")
        with ArmSandbox(directory, subscriptions=[SUB], clock_factor=2e-6, page_size=3) as running:
            running.seed_machine(SUB, "rg1", "node1")
            with ArmClient(running.endpoint, lambda: running.token, running.ca_file) as arm:
                arm.put(CUSTOM_LOCATION, "2021-08-15", {"location": "eastus", "properties": {}})
                extended = {"type": "CustomLocation", "name": CUSTOM_LOCATION}
                arm.put(
                    NETWORK,
                    "2024-01-01",
                    {"location": "eastus", "extendedLocation": extended, "properties": {"subnets": [{}]}},
                )
            yield running


def options(sandbox: ArmSandbox, token: str | None = None) -> dict[str, Any]:
    return {
        "credential": SandboxCredential(sandbox.token if token is None else token),
        "base_url": sandbox.endpoint,
        "connection_verify": str(sandbox.ca_file),
        "polling_interval": 0,  # the SDKs take Retry-After: 0 for none, and would wait 30 seconds
        "retry_backoff_factor": 0.001,
    }


def test_resource_groups(sandbox: ArmSandbox) -> None:
    with ResourceManagementClient(subscription_id=SUB, **options(sandbox)) as client:
        for number in range(5):
            made = client.resource_groups.create_or_update(f"many{number}", {"location": "eastus"})
            assert made.properties.provisioning_state == "Succeeded"
        assert client.resource_groups.check_existence("many0") is True
        assert client.resource_groups.check_existence("absent") is False
        names = {group.name for group in client.resource_groups.list()}  # several pages
        assert names >= {f"many{number}" for number in range(5)}
        client.resource_groups.begin_delete("many0").result()
        assert client.resource_groups.check_existence("many0") is False
        assert [item.name for item in client.resources.list_by_resource_group("rg1")][:1]
        assert client.providers.register("Microsoft.AzureStackHCI").namespace == "Microsoft.AzureStackHCI"
        assert "Microsoft.Kubernetes" in {provider.namespace for provider in client.providers.list()}


def test_a_generic_resource_by_id(sandbox: ArmSandbox) -> None:
    """How a client without typed classes (as ours) reaches Azure Local's types."""
    cluster = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/plant1"
    with ResourceManagementClient(subscription_id=SUB, **options(sandbox)) as client:
        body = {"location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": {}}
        made = client.resources.begin_create_or_update_by_id(cluster, body, api_version=VERSION).result()
        assert made.identity.principal_id and made.properties["cloudId"]
        assert (
            client.resources.get_by_id(cluster, api_version=VERSION).properties["provisioningState"]
            == "Succeeded"
        )
        with pytest.raises(HttpResponseError, match="supported api-versions"):
            client.resources.get_by_id(cluster, api_version="2020-01-01")
        client.resources.begin_delete_by_id(cluster, api_version=VERSION).result()
        with pytest.raises(ResourceNotFoundError):
            client.resources.get_by_id(cluster, api_version=VERSION)


def test_storage(sandbox: ArmSandbox) -> None:
    with StorageManagementClient(subscription_id=SUB, **options(sandbox)) as client:
        parameters = {"location": "eastus", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
        account = client.storage_accounts.begin_create("rg1", "witness1", parameters).result()
        assert account.primary_endpoints.blob == "https://witness1.blob.core.windows.net/"
        assert client.storage_accounts.get_properties("rg1", "witness1").name == "witness1"
        assert len(client.storage_accounts.list_keys("rg1", "witness1").keys_property) == 2
        assert [item.name for item in client.storage_accounts.list()] == ["witness1"]
        updated = client.storage_accounts.update("rg1", "witness1", {"tags": {"site": "plant1"}})
        assert updated.tags == {"site": "plant1"}
        client.storage_accounts.delete("rg1", "witness1")
        assert list(client.storage_accounts.list_by_resource_group("rg1")) == []


def test_key_vault(sandbox: ArmSandbox) -> None:
    with KeyVaultManagementClient(subscription_id=SUB, **options(sandbox)) as client:
        properties = {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
        }
        vault = client.vaults.begin_create_or_update(
            "rg1", "kv-plant1", {"location": "eastus", "properties": properties}
        ).result()
        assert vault.properties.vault_uri == "https://kv-plant1.vault.azure.net/"
        secret = client.secrets.create_or_update(
            "rg1", "kv-plant1", "adm", {"properties": {"value": "hunter2"}}
        )
        assert secret.properties.value is None
        assert client.secrets.get("rg1", "kv-plant1", "adm").properties.secret_uri.endswith("/secrets/adm")
        assert [item.name for item in client.secrets.list("rg1", "kv-plant1")] == ["adm"]
        assert [item.name for item in client.vaults.list_by_resource_group("rg1")] == ["kv-plant1"]
        assert [item.name for item in client.vaults.list()] == ["kv-plant1"]
        client.vaults.delete("rg1", "kv-plant1")
        deleted = client.vaults.get_deleted("kv-plant1", "eastus")
        assert deleted.properties.vault_id.endswith("/vaults/kv-plant1")
        location = {"location": "eastus", "properties": properties}
        with pytest.raises(ResourceExistsError, match="deleted state"):
            client.vaults.begin_create_or_update("rg1", "kv-plant1", location)
        client.vaults.begin_purge_deleted("kv-plant1", "eastus").result()
        client.vaults.begin_create_or_update("rg1", "kv-plant1", location).result()


def test_role_assignments(sandbox: ArmSandbox) -> None:
    name, other = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000"
    definitions = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions"
    role = f"{definitions}/865ae368-6a45-4bd1-8fbf-0d5151f56fc1"
    known = {"principalId": TENANT, "principalType": "ServicePrincipal"}
    grant: Any = {"properties": {**known, "roleDefinitionId": role}}
    with AuthorizationManagementClient(subscription_id=SUB, **options(sandbox)) as client:
        with pytest.raises(HttpResponseError, match="PrincipalNotFound"):
            stranger: Any = {"properties": {"principalId": TENANT, "roleDefinitionId": role}}
            client.role_assignments.create(GROUP, name, stranger)
        made = client.role_assignments.create(GROUP, name, grant)
        assert made.scope == GROUP
        with pytest.raises(ResourceExistsError) as caught:
            client.role_assignments.create(GROUP, other, grant)
        assert caught.value.error.code == "RoleAssignmentExists"
        found = client.role_assignments.list_for_scope(GROUP, filter="atScope()")
        assert [item.name for item in found] == [name]
        client.role_assignments.delete(GROUP, name)
        assert list(client.role_assignments.list_for_scope(GROUP)) == []


def test_aks_arc(sandbox: ArmSandbox) -> None:
    extended = {"type": "CustomLocation", "name": CUSTOM_LOCATION}
    with ArmClient(sandbox.endpoint, lambda: sandbox.token, sandbox.ca_file) as arm:
        arm.put(
            f"{CONNECTED}/aks1",
            "2024-01-01",
            {"location": "eastus", "kind": "ProvisionedCluster", "properties": {}},
        )
    with HybridContainerServiceMgmtClient(subscription_id=SUB, **options(sandbox)) as client:
        versions = client.begin_put_kubernetes_versions(
            CUSTOM_LOCATION, {"extendedLocation": extended}
        ).result()  # type: ignore[call-overload]
        assert "1.30" in {value.version for value in versions.properties.values}
        assert client.get_kubernetes_versions(CUSTOM_LOCATION).properties.provisioning_state == "Succeeded"
        infra = {"infraNetworkProfile": {"vnetSubnetIds": [NETWORK]}}
        body: Any = {"extendedLocation": extended, "properties": {"cloudProviderProfile": infra}}
        instances = client.provisioned_cluster_instances
        made = instances.begin_create_or_update(f"{CONNECTED}/aks1", body).result()
        assert made.properties.provisioning_state == "Succeeded"
        # This SDK joins "/" and an id that starts with "/": its paths begin with "//".
        assert instances.get(f"{CONNECTED}/aks1").name == "default"
        pool: Any = {"properties": {"count": 2, "vmSize": "Standard_D8s_v3"}}
        client.agent_pool.begin_create_or_update(f"{CONNECTED}/aks1", "pool2", pool).result()
        pools = client.agent_pool.list_by_provisioned_cluster(f"{CONNECTED}/aks1")
        assert [item.name for item in pools] == ["pool2"]
        assert [item.name for item in instances.list(f"{CONNECTED}/aks1")] == ["default"]
        client.agent_pool.begin_delete(f"{CONNECTED}/aks1", "pool2").result()
        instances.begin_delete(f"{CONNECTED}/aks1").result()
        with pytest.raises(ResourceNotFoundError):
            instances.get(f"{CONNECTED}/aks1")


def test_extensions_and_flux(sandbox: ArmSandbox) -> None:
    sandbox.seed_connected_cluster(SUB, "rg1", "pilot")
    where = ("rg1", "Microsoft.Kubernetes", "connectedClusters", "pilot")
    with SourceControlConfigurationClient(subscription_id=SUB, **options(sandbox)) as client:
        extension: Any = {
            "properties": {
                "extensionType": "Microsoft.CertManagement",
                "configurationProtectedSettings": {"k": "s3cret"},
            }
        }
        made = client.extensions.begin_create(*where, "certs", extension).result()
        assert made.provisioning_state == "Succeeded" and not made.configuration_protected_settings
        flux: Any = {
            "properties": {"sourceKind": "GitRepository", "gitRepository": {"url": "https://git.example/x"}}
        }
        configuration = client.flux_configurations.begin_create_or_update(*where, "fleet", flux).result()
        assert configuration.compliance_state == "Unknown"
        assert {item.name for item in client.extensions.list(*where)} == {"certs", "flux"}
        assert [item.name for item in client.flux_configurations.list(*where)] == ["fleet"]
        client.extensions.begin_delete(*where, "certs").result()
        with pytest.raises(ResourceNotFoundError):
            client.extensions.get(*where, "certs")


def test_errors_parse_as_arm_errors(sandbox: ArmSandbox) -> None:
    with ResourceManagementClient(subscription_id=SUB, **options(sandbox)) as client:
        with pytest.raises(ResourceNotFoundError) as missing:
            client.resource_groups.get("absent")
        assert missing.value.error is not None and missing.value.error.code == "ResourceGroupNotFound"
        fault = sandbox.faults.add(Fault(status=503, code="ServerBusy", count=2, retry_after=0, path="rg1$"))
        assert client.resource_groups.get("rg1").name == "rg1"
        assert fault.struck == 2
        sandbox.faults.remove()
        sandbox.faults.add(Fault(kind="operation", code="Boom", message="it broke", count=1, path="clusters"))
        cluster = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/broken"
        poller = client.resources.begin_create_or_update_by_id(
            cluster, {"location": "eastus"}, api_version=VERSION
        )
        with pytest.raises(HttpResponseError, match="it broke"):
            poller.result()
        sandbox.faults.remove()


def test_a_wrong_token_and_an_unknown_ca_are_refused(sandbox: ArmSandbox) -> None:
    with (
        ResourceManagementClient(subscription_id=SUB, **options(sandbox, "wrong")) as client,
        pytest.raises(ClientAuthenticationError),
    ):
        client.resource_groups.get("rg1")
    untrusting = {**options(sandbox), "connection_verify": True, "retry_total": 0}
    with (
        ResourceManagementClient(subscription_id=SUB, **untrusting) as client,
        pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.resource_groups.get("rg1")
