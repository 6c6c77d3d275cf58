"""The stand-in for azure-native: ids, bodies, differences and errors, against an ARM kept in a dict."""

from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest

from fleet.adapters.arm_client import ArmError
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import UNKNOWN_VALUE, Secret, from_struct, to_struct
from fleet.ports.engine import StackRef, StackResult, StackRun, UnsupportedByLocalEngine
from fleet.sandbox.azure_provider import AzureNativeProvider
from fleet.sandbox.azure_types import azure_types, is_singleton
from fleet.sandbox.providers import SandboxProviders

SUB = "00000000-0000-0000-0000-00000000000a"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-a"


class DictArm:
    """An ARM whose resources are a dict. `broken` fails a PUT after the resource is there."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.refuse: dict[str, ArmError] = {}
        self.broken: set[str] = set()

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        self.calls.append(("GET", path, api_version))
        return self.resources.get(path.lower())

    def put(self, path: str, api_version: str, body: dict[str, Any], *, timeout: float = 0) -> dict[str, Any]:
        self.calls.append(("PUT", path, api_version))
        if path in self.refuse:
            raise self.refuse[path]
        body = {"id": path, "name": path.rsplit("/", 1)[-1], "type": "t"} | body
        properties = {k: v for k, v in body.get("properties", {}).items() if k != "value"}
        state = "Failed" if path in self.broken else "Succeeded"
        body["properties"] = properties | {"provisioningState": state}
        if "identity" in body:
            body["identity"] = body["identity"] | {"principalId": "p-1"}
        self.resources[path.lower()] = body
        if path in self.broken:
            raise ArmError(200, "Boom", "it went up in smoke", accepted=True)
        return body

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        self.calls.append(("POST", path, api_version))
        return {"keys": [{"keyName": "key1", "value": "the-account-key", "permissions": "FULL"}]}

    def delete(self, path: str, api_version: str, *, timeout: float = 0) -> None:
        self.calls.append(("DELETE", path, api_version))
        self.resources.pop(path.lower(), None)


def provide(arm: DictArm | None, package: str) -> AzureNativeProvider:
    return AzureNativeProvider(arm, SUB)


@pytest.fixture
def arm() -> DictArm:
    return DictArm()


@pytest.fixture
def run(arm: DictArm, tmp_path: Path) -> Any:
    """Run a program with `up` (or `preview`, without any connection)."""

    def go(program: Any, action: str = "up", **config: str) -> StackResult:
        providers = partial(provide, None if action == "preview" else arm)
        engine = LocalEngine(StateStore(tmp_path), providers, partial(str, "a passphrase"))
        return getattr(engine, action)(StackRun(StackRef("p", "s"), program, config=config))

    return go


def generic(name: str, **props: Any) -> None:
    from pulumi_azure_native import resources

    resources.Resource(
        name,
        **{
            "resource_group_name": "rg-a",
            "resource_name_": name,
            "api_version": "2025-01-01",
            "parent_resource_path": "",
        }
        | props,
    )


@pytest.mark.parametrize(
    ("props", "path"),
    [
        (
            {"resource_provider_namespace": "Microsoft.AzureStackHCI", "resource_type": "clusters"},
            "/providers/Microsoft.AzureStackHCI/clusters/x",
        ),
        (
            {
                "resource_provider_namespace": "Microsoft.AzureStackHCI",
                "parent_resource_path": "clusters/c1",
                "resource_type": "deploymentSettings",
            },
            "/providers/Microsoft.AzureStackHCI/clusters/c1/deploymentSettings/x",
        ),
        (
            {
                "resource_provider_namespace": "Microsoft.Kubernetes",
                "parent_resource_path": "connectedClusters/k/providers/Microsoft.KubernetesConfiguration",
                "resource_type": "fluxConfigurations",
            },
            "/providers/Microsoft.Kubernetes/connectedClusters/k/providers/Microsoft.KubernetesConfiguration"
            "/fluxConfigurations/x",
        ),
    ],
)
def test_generic_resources_compose_their_ids(run: Any, arm: DictArm, props: Any, path: str) -> None:
    assert run(lambda: generic("x", properties={"a": {"b": 1}}, **props)).error is None
    # The engine looks, then the provider, then it is made.
    assert arm.calls == [(verb, GROUP + path, "2025-01-01") for verb in ("GET", "GET", "PUT")]
    assert arm.resources[(GROUP + path).lower()]["properties"] == {
        "a": {"b": 1},
        "provisioningState": "Succeeded",
    }


CLUSTERS = {"resource_provider_namespace": "Microsoft.AzureStackHCI", "resource_type": "clusters"}


def test_a_new_api_version_is_an_update_and_a_new_name_a_replacement(run: Any, arm: DictArm) -> None:
    run(lambda: generic("x", **CLUSTERS))
    arm.calls.clear()
    result = run(lambda: generic("x", **CLUSTERS | {"api_version": "2026-01-01"}))
    assert result.counts == {"same": 1, "update": 1}
    assert arm.calls[-1][2] == "2026-01-01"
    arm.calls.clear()
    result = run(lambda: generic("x", **CLUSTERS | {"resource_name_": "y"}))
    assert result.counts == {"same": 1, "replace": 1}
    verbs = [(verb, path.rsplit("/", 1)[-1]) for verb, path, _ in arm.calls]
    assert verbs == [("DELETE", "x"), ("GET", "y"), ("GET", "y"), ("PUT", "y")]
    assert run(lambda: None).counts == {"same": 1, "delete": 1}
    assert arm.resources == {}


def test_storage_account_is_flattened_and_renamed(run: Any, arm: DictArm) -> None:
    from pulumi_azure_native import storage

    def program() -> None:
        account = storage.StorageAccount(
            "w",
            account_name="w01",
            resource_group_name="rg-a",
            location="West Europe",
            kind="StorageV2",
            sku=storage.SkuArgs(name="Standard_LRS"),
            enable_https_traffic_only=True,
            network_rule_set=storage.NetworkRuleSetArgs(default_action="Deny"),
            identity=storage.IdentityArgs(type="UserAssigned", user_assigned_identities=["/id/1"]),
        )
        keys = storage.list_storage_account_keys_output(account_name=account.name, resource_group_name="rg-a")
        pulumi.export("principal", account.identity.principal_id)
        pulumi.export("https", account.enable_https_traffic_only)
        pulumi.export("key", keys.keys[0].value)

    preview = run(program, "preview")
    assert preview.outputs == {"principal": "[unknown]", "https": True, "key": "[unknown]"}
    result = run(program)
    assert result.error is None
    assert result.outputs == {"principal": "p-1", "https": True, "key": "[secret]"}
    path = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/w01"
    body = arm.resources[path.lower()]
    assert body["sku"] == {"name": "Standard_LRS"}
    assert body["identity"]["userAssignedIdentities"] == {"/id/1": {}}
    assert body["properties"]["supportsHttpsTrafficOnly"] is True
    assert body["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert ("POST", f"{path}/listKeys", "2024-01-01") in arm.calls


def test_location_is_compared_as_azure_writes_it(run: Any) -> None:
    from pulumi_azure_native import resources

    def group(location: str | None) -> Any:
        return lambda: resources.ResourceGroup("g", resource_group_name="rg-a", location=location) and None

    run(group("West Europe"))
    assert run(group("westeurope")).counts == {"same": 2}
    assert run(group(None), **{"azure-native:location": "westeurope"}).counts == {"same": 2}
    assert run(group("eastus"), "preview").counts == {"same": 1, "replace": 1}


def test_role_assignment(run: Any, arm: DictArm) -> None:
    from pulumi_azure_native import authorization

    def assign(principal: Any) -> Any:
        return lambda: (
            authorization.RoleAssignment(
                "r",
                role_assignment_name="n",
                scope=GROUP,
                principal_id=principal(),
                principal_type="ServicePrincipal",
                role_definition_id="/roles/1",
            )
            and None
        )

    run(assign(lambda: "p-1"))
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/n"
    assert arm.resources[path.lower()]["properties"]["principalId"] == "p-1"
    assert run(assign(lambda: "p-2"), "preview").changes[0].replace_keys == ("principalId",)


def test_cluster_identity_fields_stand_at_the_top(run: Any, arm: DictArm) -> None:
    from pulumi_azure_native import azurestackhci

    def program() -> None:
        cluster = azurestackhci.Cluster(
            "c", cluster_name="c1", resource_group_name="rg-a", location="eastus", type="SystemAssigned"
        )
        pulumi.export("principal", cluster.principal_id)

    assert run(program).outputs == {"principal": "p-1"}
    body = arm.resources[f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/c1".lower()]
    assert body["identity"]["type"] == "SystemAssigned"
    assert "type" not in body["properties"]
    assert run(program).counts == {"same": 2}


def test_what_exists_is_not_taken_over(run: Any, arm: DictArm) -> None:
    path = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x"
    arm.resources[path.lower()] = {"id": path, "name": "x", "properties": {"theirs": True}}
    result = run(lambda: generic("x", **CLUSTERS))
    assert result.error is not None
    assert result.error.code == "AlreadyExists"
    assert arm.resources[path.lower()]["properties"] == {"theirs": True}


def test_a_singleton_is_taken_over(run: Any, arm: DictArm) -> None:
    machine = f"{GROUP}/providers/Microsoft.HybridCompute/machines/n1"
    path = f"{machine}/providers/Microsoft.AzureStackHCI/edgeDevices/default"
    assert is_singleton(path)
    assert not is_singleton(machine)
    arm.resources[path.lower()] = {"id": path, "name": "default"}
    program = partial(
        generic,
        "default",
        resource_provider_namespace="Microsoft.HybridCompute",
        parent_resource_path="machines/n1/providers/Microsoft.AzureStackHCI",
        resource_type="edgeDevices",
        kind="HCI",
    )
    assert run(program).error is None
    assert arm.resources[path.lower()]["kind"] == "HCI"


def test_arm_errors_keep_their_code(run: Any, arm: DictArm) -> None:
    path = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x"
    arm.refuse[path] = ArmError(409, "QuotaExceeded", "no more clusters")
    result = run(lambda: generic("x", **CLUSTERS))
    assert result.error is not None
    assert result.error.code == "QuotaExceeded"
    assert "no more clusters" in result.error.message


def test_a_create_that_fails_late_is_kept_and_repaired(run: Any, arm: DictArm) -> None:
    path = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x"
    arm.broken.add(path)
    result = run(lambda: generic("x", **CLUSTERS))
    assert result.error is not None
    assert result.error.code == "Boom"
    arm.broken.clear()
    assert run(lambda: generic("x", **CLUSTERS)).counts == {"same": 1, "update": 1}
    assert run(lambda: generic("x", **CLUSTERS)).counts == {"same": 2}


def test_refresh_sees_drift_where_the_program_speaks(run: Any, arm: DictArm) -> None:
    program = partial(generic, "x", **CLUSTERS, properties={"a": 1})
    run(program)
    body = arm.resources[f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x".lower()]
    body["properties"] |= {"a": 2, "added": True}
    assert run(program, "refresh").counts == {"refresh": 1}
    result = run(program)
    assert [change.path for c in result.changes for change in c.changes] == ["properties.a"]
    assert run(program).counts == {"same": 2}


def test_vault_secret_value_is_never_in_outputs(run: Any, tmp_path: Path) -> None:
    from pulumi_azure_native import keyvault

    def program() -> None:
        keyvault.Secret(
            "s",
            secret_name="s",
            vault_name="v",
            resource_group_name="rg-a",
            properties=keyvault.SecretPropertiesArgs(value=pulumi.Output.secret("top-secret-value")),
        )

    assert run(program).error is None
    assert "top-secret-value" not in (tmp_path / "p" / "s.json").read_text()
    assert run(program).counts == {"same": 2}


def test_machines_are_read_never_declared(run: Any, arm: DictArm) -> None:
    from pulumi_azure_native import hybridcompute

    path = f"{GROUP}/providers/Microsoft.HybridCompute/machines/n1"
    arm.resources[path.lower()] = {
        "id": path,
        "name": "n1",
        "location": "eastus",
        "identity": {"type": "SystemAssigned", "principalId": "p-9"},
        "properties": {"status": "Connected"},
    }

    def read() -> None:
        machine = hybridcompute.Machine.get("n1", path)
        pulumi.export("principal", machine.identity.principal_id)
        pulumi.export("status", machine.status)

    assert run(read, "preview").outputs == {"principal": "[unknown]", "status": "[unknown]"}
    assert run(read).outputs == {"principal": "p-9", "status": "Connected"}
    assert run(read, "preview").outputs == {"principal": "p-9", "status": "Connected"}

    def declare() -> None:
        hybridcompute.Machine("n2", machine_name="n2", resource_group_name="rg-a", location="eastus")

    result = run(declare)
    assert result.error is not None
    assert "read, not declared" in result.error.message


def test_names_are_required(run: Any, arm: DictArm) -> None:
    from pulumi_azure_native import resources

    result = run(lambda: resources.ResourceGroup("g", location="eastus") and None)
    assert result.error is not None
    assert result.error.message.startswith("resourceGroupName: is required")
    assert arm.calls == []


def test_an_unknown_type_is_refused_by_name(run: Any) -> None:
    from pulumi_azure_native import network

    result = run(lambda: network.VirtualNetwork("n", resource_group_name="rg-a") and None)
    assert result.error is not None
    assert result.error.code == "UnknownType"
    assert "azure-native:network:VirtualNetwork" in result.error.message


def test_offline_nothing_but_planning_works(tmp_path: Path) -> None:
    engine = LocalEngine(StateStore(tmp_path), SandboxProviders(None, SUB))
    run = StackRun(StackRef("p", "s"), lambda: generic("x", **CLUSTERS))
    assert engine.preview(run).counts == {"create": 2}
    result = engine.up(run)
    assert result.error is not None
    assert result.error.code == "NotConnected"
    with pytest.raises(UnsupportedByLocalEngine, match="docker"):
        SandboxProviders()("docker")


def test_subscription_is_needed_for_an_id(arm: DictArm) -> None:
    client = ProviderClient("azure-native", AzureNativeProvider(arm))
    client.configure({}, urn="u")
    from pulumi.runtime.proto import provider_pb2 as pb

    urn = "urn:pulumi:s::p::azure-native:resources:ResourceGroup::g"
    properties = to_struct({"resourceGroupName": "rg-a"})
    with pytest.raises(ProviderCallError, match="subscriptionId is not configured"):
        client.call("Create", pb.CreateRequest(urn=urn, properties=properties))
    client.configure({"subscriptionId": SUB}, urn="u")
    assert client.call("Create", pb.CreateRequest(urn=urn, properties=properties)).id == GROUP


def test_preview_marks_what_azure_will_choose() -> None:
    vault = azure_types()["azure-native:keyvault:Vault"]
    outputs = vault.preview_outputs({"properties": {"tenantId": "t"}, "vaultName": "v"}, {"name": "v"})
    assert outputs["properties"]["vaultUri"] is UNKNOWN_VALUE
    assert outputs["name"] == "v"
    secret = azure_types()["azure-native:keyvault:Secret"]
    outputs = secret.preview_outputs({"properties": {"value": Secret("x")}}, {})
    assert "value" not in outputs["properties"]
    assert from_struct(to_struct(outputs))["properties"]["secretUri"] is UNKNOWN_VALUE


@pytest.mark.parametrize("token", sorted(azure_types()))
def test_every_type_matches_the_sdk(token: str) -> None:
    """The inputs that make up an id are inputs of the SDK's class, and its default version is ours."""
    import importlib
    import inspect

    _, module, name = token.split(":")
    cls = getattr(importlib.import_module(f"pulumi_azure_native.{module}"), name)
    type_ = azure_types()[token]
    arguments = inspect.signature(cls._internal_init).parameters
    known = {
        "".join(w.title() if i else w for i, w in enumerate(a.rstrip("_").split("_"))) for a in arguments
    }
    assert set(type_.parameters) <= known
    renamed = {k for k in type_.body if k not in ("principalId", "tenantId")}  # these two are outputs only
    assert renamed | set(type_.replace) <= known
    if type_.api_version:
        assert f"Uses Azure REST API version {type_.api_version}." in inspect.getsource(cls)


def test_an_update_that_azure_took_on_and_failed_at_is_recorded(
    run: Any, arm: DictArm, tmp_path: Path
) -> None:
    """Deploy must stay recorded after it failed: else the next run would validate a deployed site."""
    path = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x"
    engine = LocalEngine(StateStore(tmp_path), partial(provide, arm))

    def program(mode: str) -> Any:
        return lambda: generic("x", **CLUSTERS, properties={"deploymentMode": mode})

    def recorded() -> tuple[str, bool]:
        (found,) = (r for r in engine.resources(StackRef("p", "s")) if r.name == "x")
        return found.inputs["properties"]["deploymentMode"], found.failed

    run(program("Validate"))
    arm.refuse[path] = ArmError(409, "Busy", "not now")
    assert run(program("Deploy")).error.code == "Busy"
    assert recorded() == ("Validate", False), "what Azure did not take on was never sent"
    arm.refuse.clear()
    arm.broken.add(path)
    assert run(program("Deploy")).error.code == "Boom"
    assert recorded() == ("Deploy", True)
    run(program("Deploy"), "refresh")
    assert recorded() == ("Deploy", True)
    arm.broken.clear()
    assert run(program("Deploy")).counts == {"same": 1, "update": 1}
    assert recorded() == ("Deploy", False)


def test_what_exists_already_is_not_advised_to_be_deleted(run: Any, arm: DictArm) -> None:
    path = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x"
    arm.resources[path.lower()] = {"id": path}
    error = run(lambda: generic("x", **CLUSTERS)).error
    assert error.code == "AlreadyExists"
    assert "not this stack's" in error.message
    assert "`fleet adopt s` looks" in error.message
    assert "delete" not in error.message


def test_a_read_of_what_was_only_asked_for_tells_what_is_there(arm: DictArm) -> None:
    from pulumi.runtime.proto import provider_pb2 as pb

    path = f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/x"
    there = {"a": 2, "rest": True, "list": [{"k": 1, "more": 0}], "gone": None}
    arm.resources[path.lower()] = {"id": path, "properties": there}
    asked = {
        "apiVersion": "2025-01-01",
        "resourceName": "x",
        "properties": {"a": 1, "list": [{"k": 9}], "gone": "g", "hidden": Secret("s"), "never": "told"},
    }
    client = ProviderClient("azure-native", AzureNativeProvider(arm, SUB))
    client.configure({}, urn="u")
    for state in ("Succeeded", "Failed"):
        there["provisioningState"] = state
        urn = "urn:pulumi:s::p::azure-native:resources:Resource::x"
        try:
            found = client.call("Read", pb.ReadRequest(id=path, urn=urn, inputs=to_struct(asked)))
            inputs = from_struct(found.inputs)
        except ProviderCallError as error:
            assert error.partial is not None
            inputs = error.partial.inputs
        assert inputs == asked | {"properties": asked["properties"] | {"a": 2, "list": [{"k": 1}]}}
