"""`AzureLocalCluster`: from registered machines to a deployed cluster (facts 1.2, steps 3 to 11)."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure_native

from fleet.model.azure_local import Node
from fleet.model.site import SiteSpec

from . import names
from .arm import arm_resource, hours
from .bootstrap_secrets import BootstrapSecrets, base64_of, unknown_secret
from .deployment_settings import (
    LCM_USER,
    LOCAL_ADMIN,
    WITNESS_KEY,
    Phase,
    deployment_settings_body,
    uses_witness,
)

_NODE_GROUP_ROLES = (
    "azure-stack-hci-device-management",
    "azure-connected-machine-resource-manager",
    "reader",
)
"""On every site; `node_group_roles` has all."""

_INFRA_VMS_ROLE = "azure-stack-hci-connected-infravms"
"""Of the quickstart template alone (facts 1.1), which is for Azure's public cloud."""

# A succeeded deployment is never sent again (facts 1.2: "Deploy + Succeeded: skip"), so in the phase `deploy`
# the mode is all that may change. What is edited later is shown as ignored, and belongs to the hosts.
_FIXED_ONCE_DEPLOYED = ["apiVersion", "properties.arcNodeResourceIds", "properties.deploymentConfiguration"]

_SOFT_DELETE_DAYS = 90  # the longest that Key Vault offers: facts 1.2, step 6
_EDGE_DEVICE_HOURS = 2  # 10 to 40 minutes each: facts 1.2, step 4
_DEPLOYMENT_HOURS = {"validate": 2, "deploy": 24}  # 10 minutes; 3 hours, Terraform allows 24: steps 9, 10


@dataclass(frozen=True)
class AzureLocalClusterArgs:
    """What the cluster is made from."""

    spec: SiteSpec
    phase: Phase
    secrets: BootstrapSecrets


class AzureLocalCluster(pulumi.ComponentResource):
    """Rights, witness, Key Vault, edge devices, cluster shell, secrets and the deployment itself.

    The resource group is read, not made: its machines registered into it before this program can run
    (facts 1.2, step 1), and azure-native refuses to create what exists. What Deploy makes by itself
    (resource bridge, custom location, storage paths) is never declared; only its ids are used.

    Kept when the program or the stack goes: Key Vault, witness, cluster and deployment settings
    (`protect`, `retain_on_delete`), because nodes that belong to a cluster can only be freed by installing
    them again; and what that cluster works with as long as it runs, which are role assignments, edge
    devices and secrets (`retain_on_delete`). So a node that leaves the inventory keeps its rights in Azure:
    whoever takes it out of the cluster removes them.

    In the phase `deploy` an edit of the host settings changes nothing in Azure, and no secret is written
    again: `Deploy` is not repeated (facts 1.2). In the phase `validate` both are sent whenever they differ.

    Going back from `deploy` to `validate` is not possible. Its preview fails, because what `deploy` added
    is protected; a run that skips the preview would first ask a deployed cluster to validate again, which
    Azure Local's documentation forbids (facts 1.2).
    """

    settings: azure_native.resources.Resource
    """The deployment settings; done when the phase is."""

    scopes: dict[str, pulumi.Resource]
    """What a role can be given at, by the inventory's word for it (`RoleAssignment.scope`)."""

    def __init__(
        self, name: str, args: AzureLocalClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("fleet:azure:AzureLocalCluster", name, None, opts)
        self._spec = args.spec
        self._deploying = args.phase == "deploy"
        self._group = azure_native.resources.ResourceGroup.get(
            "resource-group", names.resource_group_id(args.spec), opts=self._child()
        )
        machines = {node.name: self._machine(node) for node in args.spec.azure_local.nodes}
        vault = self._key_vault()
        self._audit(vault)
        group_roles, vault_roles = self._role_assignments(machines, vault)
        devices = self._edge_devices(group_roles)
        cluster = self._cluster(devices)
        self.scopes = {"resource-group": self._group, "cluster": cluster, "key-vault": vault}
        secrets = self._secrets(args.secrets, vault, self._witness())
        self.settings = arm_resource(
            "deployment",
            names.deployment_settings_id(args.spec),
            deployment_settings_body(args.spec, args.phase),
            self._kept(
                [cluster, *devices, *group_roles, *vault_roles, *secrets],
                custom_timeouts=hours(_DEPLOYMENT_HOURS[args.phase]),
                ignore_changes=_FIXED_ONCE_DEPLOYED if self._deploying else None,
            ),
        )
        self.register_outputs(
            {
                "clusterId": names.cluster_id(args.spec),
                "keyVaultUri": names.key_vault_uri(args.spec),
                "customLocationId": names.custom_location_id(args.spec),
            }
        )

    def _child(
        self,
        depends_on: Sequence[pulumi.Resource] = (),
        *,
        custom_timeouts: pulumi.CustomTimeouts | None = None,
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, depends_on=list(depends_on), custom_timeouts=custom_timeouts
        )

    def _needed(
        self,
        depends_on: Sequence[pulumi.Resource] = (),
        *,
        custom_timeouts: pulumi.CustomTimeouts | None = None,
        ignore_changes: list[str] | None = None,
    ) -> pulumi.ResourceOptions:
        """Options of what a running cluster works with: it may leave the stack, and stays in Azure."""
        return pulumi.ResourceOptions.merge(
            self._child(depends_on, custom_timeouts=custom_timeouts),
            pulumi.ResourceOptions(retain_on_delete=True, ignore_changes=ignore_changes),
        )

    def _kept(
        self,
        depends_on: Sequence[pulumi.Resource] = (),
        *,
        custom_timeouts: pulumi.CustomTimeouts | None = None,
        ignore_changes: list[str] | None = None,
    ) -> pulumi.ResourceOptions:
        """Options of what no run may delete: it doesn't leave the stack unasked either."""
        return pulumi.ResourceOptions.merge(
            self._needed(depends_on, custom_timeouts=custom_timeouts, ignore_changes=ignore_changes),
            pulumi.ResourceOptions(protect=True),
        )

    def _machine(self, node: Node) -> azure_native.hybridcompute.Machine:
        return azure_native.hybridcompute.Machine.get(
            f"machine-{node.name}", names.machine_id(self._spec, node), opts=self._child([self._group])
        )

    def _key_vault(self) -> azure_native.keyvault.Vault:
        return azure_native.keyvault.Vault(
            "key-vault",
            vault_name=self._spec.azure_local.key_vault,
            resource_group_name=self._spec.azure.resource_group,
            location=self._spec.azure.region,
            properties={
                "tenant_id": self._spec.azure.tenant,
                "sku": {"family": "A", "name": "standard"},
                "enable_rbac_authorization": True,
                "enabled_for_deployment": True,
                "enabled_for_template_deployment": True,
                "enabled_for_disk_encryption": True,
                "enable_soft_delete": True,
                "soft_delete_retention_in_days": _SOFT_DELETE_DAYS,
                "enable_purge_protection": True,
            },
            tags=names.tags(self._spec),
            opts=self._kept([self._group]),
        )

    def _audit(self, vault: azure_native.keyvault.Vault) -> None:
        """Who reads a secret is kept where the organisation keeps its logs (facts 1.2, step 6)."""
        workspace = self._spec.azure.monitoring.audit
        if workspace is None:
            return
        setting_id = names.extension_of(
            names.key_vault_id(self._spec), names.DIAGNOSTIC_SETTING, "fleet-audit"
        )
        logs = [{"category": "AuditEvent", "enabled": True}]
        body = {"properties": {"workspaceId": workspace, "logs": logs}}
        arm_resource("key-vault-audit", setting_id, body, self._child([vault]))

    def _role_assignments(
        self, machines: dict[str, azure_native.hybridcompute.Machine], vault: azure_native.keyvault.Vault
    ) -> tuple[list[pulumi.Resource], list[pulumi.Resource]]:
        """The assignments in the resource group, and those on the Key Vault (facts 1.1)."""
        spec = self._spec
        group = names.resource_group_id(spec)
        provider_principal = pulumi.Output.from_input(spec.azure.hci_resource_provider_object_id)
        in_group = [
            self._assign(
                "hci-provider",
                provider_principal,
                "azure-connected-machine-resource-manager",
                group,
                self._group,
            )
        ]
        on_vault = []
        for node_name, machine in machines.items():
            principal = machine.identity.apply(_principal)
            for role in node_group_roles(spec):
                in_group.append(self._assign(node_name, principal, role, group, machine))
            on_vault.append(
                self._assign(node_name, principal, "key-vault-secrets-user", names.key_vault_id(spec), vault)
            )
        return in_group, on_vault

    def _assign(
        self, who: str, principal: pulumi.Output[str], role: str, scope: str, after: pulumi.Resource
    ) -> azure_native.authorization.RoleAssignment:
        definition = names.role_definition_id(self._spec, role)
        return azure_native.authorization.RoleAssignment(
            f"{who}-{role}",
            role_assignment_name=principal.apply(
                lambda id_: names.role_assignment_name(scope, id_, definition)
            ),
            principal_id=principal,
            # Said outright, so that Azure doesn't look up an identity that has not reached Entra yet.
            principal_type="ServicePrincipal",
            role_definition_id=definition,
            scope=scope,
            opts=self._needed([after]),
        )

    def _edge_devices(self, roles: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """One after the other: Azure Local's provider loses devices that are made at the same time."""
        devices: list[pulumi.Resource] = []
        for node in self._spec.azure_local.nodes:
            device_id = names.extension_of(names.machine_id(self._spec, node), names.EDGE_DEVICE, "default")
            opts = self._needed([*roles, *devices[-1:]], custom_timeouts=hours(_EDGE_DEVICE_HOURS))
            body = {"kind": "HCI", "properties": {}}
            devices.append(arm_resource(f"edge-device-{node.name}", device_id, body, opts))
        return devices

    def _cluster(self, after: Sequence[pulumi.Resource]) -> azure_native.resources.Resource:
        body = {
            "location": self._spec.azure.region,
            "identity": {"type": "SystemAssigned"},
            "properties": {},
            "tags": names.tags(self._spec),
        }
        return arm_resource("cluster", names.cluster_id(self._spec), body, self._kept(after[-1:]))

    def _witness(self) -> azure_native.storage.StorageAccount | None:
        witness = self._spec.azure_local.witness
        if witness is None or not uses_witness(self._spec):
            return None
        return azure_native.storage.StorageAccount(
            "witness",
            account_name=witness.storage_account,
            resource_group_name=self._spec.azure.resource_group,
            location=self._spec.azure.region,
            kind="StorageV2",
            sku={"name": "Standard_LRS"},
            minimum_tls_version="TLS1_2",
            enable_https_traffic_only=True,
            allow_blob_public_access=False,
            tags=names.tags(self._spec),
            opts=self._kept([self._group]),
        )

    def _secrets(
        self,
        accounts: BootstrapSecrets,
        vault: pulumi.Resource,
        witness: azure_native.storage.StorageAccount | None,
    ) -> list[pulumi.Resource]:
        values = {LOCAL_ADMIN: accounts.local_admin, LCM_USER: accounts.lcm_user}
        if witness is not None:
            values[WITNESS_KEY] = self._witness_key(witness)
        return [self._secret(ece_name, value, vault) for ece_name, value in values.items()]

    def _secret(
        self, ece_name: str, value: pulumi.Output[str], vault: pulumi.Resource
    ) -> azure_native.keyvault.Secret:
        return azure_native.keyvault.Secret(
            f"secret-{ece_name}",
            secret_name=names.secret_name(self._spec, ece_name),
            vault_name=self._spec.azure_local.key_vault,
            resource_group_name=self._spec.azure.resource_group,
            properties={"value": value, "content_type": "text/plain; charset=utf-8; encoding=base64"},
            tags=names.tags(self._spec),
            # Until the deployment, a wrong value can be put right. Then Azure Local has the accounts, so
            # that a plan needs no value and a change would reach the vault only (docs/adr/0004).
            opts=self._needed([vault], ignore_changes=["properties.value"] if self._deploying else None),
        )

    def _witness_key(self, account: azure_native.storage.StorageAccount) -> pulumi.Output[str]:
        """The account's first key. Asked for only when it is used, so that a preview stays offline."""
        if pulumi.runtime.is_dry_run():
            return unknown_secret()
        listing = azure_native.storage.list_storage_account_keys_output(
            account_name=account.name,
            resource_group_name=self._spec.azure.resource_group,
            opts=pulumi.InvokeOptions(parent=self),
        )
        return pulumi.Output.secret(listing.keys).apply(lambda keys: base64_of(keys[0]["value"]))


def node_group_roles(spec: SiteSpec) -> tuple[str, ...]:
    """What each node's identity may do in the resource group: roles of the catalogue (facts 1.1).

    Not the quickstart's extra role with disconnected operations: nothing says that they have it.
    """
    if spec.connectivity.mode == "disconnected":
        return _NODE_GROUP_ROLES
    return (*_NODE_GROUP_ROLES, _INFRA_VMS_ROLE)


def _principal(identity: azure_native.hybridcompute.outputs.IdentityResponse | None) -> str:
    if identity is None or not identity.principal_id:
        raise pulumi.RunError(
            "an Arc machine of this site has no system-assigned identity: "
            "register the node with Azure Arc again"
        )
    principal: str = identity.principal_id
    return principal
