"""A small site through the local engine and the azure-native stand-in, against the ARM sandbox over TLS."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pulumi
import pytest

from fleet.adapters.arm_client import ArmClient
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.ports.engine import StackRef, StackRun
from fleet.sandbox.arm import ArmSandbox
from fleet.sandbox.providers import SandboxProviders

SUB = "00000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-site-a"
ROLE = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"


def site() -> None:
    import pulumi_azure_native as az

    group = az.resources.ResourceGroup("group", resource_group_name="rg-site-a", location="eastus")
    witness = az.storage.StorageAccount(
        "witness",
        account_name="stsitea",
        resource_group_name=group.name,
        location="eastus",
        kind="StorageV2",
        sku=az.storage.SkuArgs(name="Standard_LRS"),
        minimum_tls_version="TLS1_2",
        enable_https_traffic_only=True,
    )
    vault = az.keyvault.Vault(
        "vault",
        vault_name="kv-site-a",
        resource_group_name=group.name,
        location="eastus",
        properties=az.keyvault.VaultPropertiesArgs(
            tenant_id="11111111-1111-1111-1111-111111111111",
            sku=az.keyvault.SkuArgs(family="A", name="standard"),
            enable_rbac_authorization=True,
        ),
    )
    keys = az.storage.list_storage_account_keys_output(
        account_name=witness.name, resource_group_name=group.name
    )
    secret = az.keyvault.Secret(
        "witness-key",
        secret_name="cl1-WitnessStorageKey",
        vault_name=vault.name,
        resource_group_name=group.name,
        properties=az.keyvault.SecretPropertiesArgs(value=keys.keys[0].value),
        opts=pulumi.ResourceOptions(ignore_changes=["properties.value"]),
    )
    machine = az.hybridcompute.Machine.get(
        "node-1", f"{GROUP}/providers/Microsoft.HybridCompute/machines/node-1"
    )
    az.authorization.RoleAssignment(
        "node-1-secrets",
        role_assignment_name="22222222-2222-2222-2222-222222222222",
        scope=vault.id,
        principal_id=machine.identity.principal_id,
        principal_type="ServicePrincipal",
        role_definition_id=ROLE,
    )
    cluster = az.resources.Resource(
        "cluster",
        resource_provider_namespace="Microsoft.AzureStackHCI",
        parent_resource_path="",
        resource_type="clusters",
        resource_name_="cl1",
        api_version="2025-10-01",
        resource_group_name=group.name,
        location="eastus",
        identity=az.resources.IdentityArgs(type="SystemAssigned"),
        properties={},
        opts=pulumi.ResourceOptions(depends_on=[secret]),
    )
    pulumi.export("vault", vault.properties.vault_uri)
    pulumi.export("cluster", cluster.id)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[ArmSandbox]:
    with ArmSandbox(tmp_path / "arm", subscriptions=[SUB]) as running:
        running.seed_machine(SUB, "rg-machines", "elsewhere")
        yield running


def connect(sandbox: ArmSandbox) -> ArmClient:
    return ArmClient(sandbox.endpoint, lambda: sandbox.token, sandbox.ca_file)


def test_site_is_applied_left_alone_and_destroyed(sandbox: ArmSandbox, tmp_path: Path) -> None:
    store = StateStore(tmp_path / "state")
    run = StackRun(StackRef("fleet", "site-a"), site)
    offline = LocalEngine(store, SandboxProviders(None, SUB))
    preview = offline.preview(run)
    assert preview.error is None
    assert preview.counts == {"create": 7, "read": 1}

    with SandboxProviders(partial(connect, sandbox), SUB) as providers:
        engine = LocalEngine(store, providers, partial(str, "a passphrase"))

        first = engine.up(run)
        # The node is registered only after its group is there, as in life: its reader fails, others go on.
        assert [(f.code, f.urn.rsplit("::", 1)[-1]) for f in first.failures] == [("NotFound", "node-1")]
        assert [urn.rsplit("::", 1)[-1] for urn in first.skipped] == ["node-1-secrets"]
        sandbox.seed_machine(SUB, "rg-site-a", "node-1")

        second = engine.up(run)
        assert second.failures == ()
        assert second.counts == {"same": 6, "create": 1, "read": 1}
        assert second.outputs["vault"] == "https://kv-site-a.vault.azure.net/"
        assert second.outputs["cluster"] == f"{GROUP}/providers/Microsoft.AzureStackHCI/clusters/cl1"

        asked = len(sandbox.exchanges)
        assert engine.up(run).counts == {"same": 7, "read": 1}
        changing = [e for e in sandbox.exchanges[asked:] if e.method in ("PUT", "DELETE", "PATCH")]
        assert changing == []
        assert offline.preview(run).counts == {"same": 7, "read": 1}, "offline, and without the passphrase"
        assert engine.refresh(run).counts == {"same": 7}

        state = store.path(run.stack).read_text()
        keys = connect_and_list(sandbox)
        assert all(key not in state for key in keys)

        assert engine.destroy(run).failures == ()
        assert sandbox.store.get(GROUP) is None
        assert store.load(run.stack).resources == []


def test_a_subscription_that_is_not_seen_is_no_empty_one(sandbox: ArmSandbox, tmp_path: Path) -> None:
    """With the wrong identity every resource is a 404; the state must outlive that."""

    def group() -> None:
        import pulumi_azure_native as az

        az.resources.ResourceGroup("group", resource_group_name="rg-site-a", location="eastus")

    store = StateStore(tmp_path / "state")
    run = StackRun(StackRef("fleet", "site-a"), group)
    with SandboxProviders(partial(connect, sandbox), SUB) as providers:
        assert LocalEngine(store, providers).up(run).error is None
        before = LocalEngine(store, providers).resources(run.stack)
    assert [r.name for r in before if "ResourceGroup" in r.type] == ["group"]
    with (
        ArmSandbox(tmp_path / "other", subscriptions=["00000000-0000-0000-0000-000000000002"]) as other,
        SandboxProviders(partial(connect, other), SUB) as providers,
    ):
        engine = LocalEngine(store, providers)
        for result in (engine.refresh(run), engine.destroy(run)):
            assert [f.code for f in result.failures] == ["SubscriptionNotFound"]
        assert engine.resources(run.stack) == before


def connect_and_list(sandbox: ArmSandbox) -> list[str]:
    with connect(sandbox) as client:
        path = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/stsitea/listKeys"
        return [key["value"] for key in client.post(path, "2024-01-01")["keys"]]
