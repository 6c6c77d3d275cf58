"""Side effects of the services around: role assignments, Key Vault, storage, managed identities."""

import base64
import hashlib

from fleet.sandbox.arm.errors import bad_request, conflict
from fleet.sandbox.arm.ids import derived_guid
from fleet.sandbox.arm.store import JsonObject, Record
from fleet.sandbox.arm.world import TENANT, Behaviour, Change, World

ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
STORAGE_ACCOUNT = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"


class RoleAssignment(Behaviour):
    """Who may do what: the two documented failures of §1.1 are here."""

    def check(self, world: World, change: Change) -> None:
        """Same principal, role and scope under another name: 409; another principal under this one: 400."""
        wanted = _grant(change.record)
        if not all(wanted):
            raise bad_request(
                "BadRequestFormat", "properties.principalId and properties.roleDefinitionId are required."
            )
        if change.existing is not None:
            if _grant(change.existing) != wanted:
                raise bad_request(
                    "RoleAssignmentUpdateNotPermitted",
                    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                )
            return
        for other in world.store.beneath(change.address.scope, ROLE_ASSIGNMENT):
            same_scope = str(other.property("scope")).lower() == change.address.scope.lower()
            if same_scope and _grant(other) == wanted:
                raise conflict("RoleAssignmentExists", "The role assignment already exists.")

    def started(self, world: World, change: Change) -> None:
        """The scope is the one in the path."""
        change.record.manage(scope=change.address.scope)


def _grant(record: Record) -> tuple[str, str]:
    # The role is compared by its GUID: its id may be written with or without a subscription.
    role = str(record.property("roleDefinitionId") or "").rsplit("/", 1)[-1]
    return str(record.property("principalId") or "").lower(), role.lower()


class Vault(Behaviour):
    """A key vault."""

    def started(self, world: World, change: Change) -> None:
        """Vaults have a DNS name."""
        change.record.manage(vaultUri=f"https://{change.record.name.lower()}.vault.azure.net/")


class VaultSecret(Behaviour):
    """A secret: its value is accepted and forgotten; each PUT makes a version."""

    def started(self, world: World, change: Change) -> None:
        """The secret's address, and that of this version."""
        record = change.record
        vault = record.id.split("/")[8].lower()
        number = int(record.managed.get("properties", {}).get("sandboxVersions", 0)) + 1
        uri = f"https://{vault}.vault.azure.net/secrets/{record.name}"
        version = derived_guid(record.id, str(number)).replace("-", "")
        record.manage(secretUri=uri, secretUriWithVersion=f"{uri}/{version}", sandboxVersions=number)
        record.manage(attributes={"enabled": True})

    def view(self, world: World, shown: JsonObject) -> None:
        """The counter is ours, not Key Vault's."""
        shown["properties"].pop("sandboxVersions", None)


class StorageAccount(Behaviour):
    """A storage account: its name is unique in the world, it has keys."""

    def check(self, world: World, change: Change) -> None:
        """The same name anywhere else: 409."""
        for other in world.store.of_type(STORAGE_ACCOUNT):
            if other.name == change.record.name and other.key != change.record.key:
                raise conflict(
                    "StorageAccountAlreadyTaken",
                    f"The storage account named {other.name} is already taken.",
                )

    def started(self, world: World, change: Change) -> None:
        """Endpoints, as clients read them."""
        name = change.record.name
        kinds = ("blob", "file", "queue", "table")
        change.record.manage(
            primaryEndpoints={kind: f"https://{name}.{kind}.core.windows.net/" for kind in kinds},
            primaryLocation=change.record.body.get("location"),
            statusOfPrimary="available",
        )

    def settled(self, world: World, record: Record) -> None:
        """Every account has a blob service."""
        service, kind = f"{record.id}/blobServices/default", f"{STORAGE_ACCOUNT}/blobServices"
        world.create(service, kind, {"properties": {}}, provisioningState=None)

    def action(self, world: World, record: Record, name: str) -> JsonObject | None:
        """`listKeys`: two keys that look real, are the same on each run, and open nothing."""
        if name.lower() != "listkeys":
            return None
        keys = [
            base64.b64encode(hashlib.sha512(f"{record.key} {number}".encode()).digest()).decode()
            for number in (1, 2)
        ]
        return {
            "keys": [
                {"keyName": f"key{number}", "value": key, "permissions": "FULL"}
                for number, key in enumerate(keys, start=1)
            ]
        }


class UserAssignedIdentity(Behaviour):
    """A managed identity that stands alone."""

    def started(self, world: World, change: Change) -> None:
        """Principal and client, the same that resources which use it show."""
        record = change.record
        record.manage(
            principalId=derived_guid(record.id, "principal"),
            clientId=derived_guid(record.id, "client"),
            tenantId=TENANT,
        )


BEHAVIOURS: dict[str, Behaviour] = {
    ROLE_ASSIGNMENT.lower(): RoleAssignment(),
    VAULT.lower(): Vault(),
    f"{VAULT}/secrets".lower(): VaultSecret(),
    STORAGE_ACCOUNT.lower(): StorageAccount(),
    "microsoft.managedidentity/userassignedidentities": UserAssignedIdentity(),
}
