"""Side effects of the services around: role assignments, Key Vault, storage, managed identities."""

import base64
import hashlib

from fleet.sandbox.arm.errors import ArmAnswerError, bad_request, conflict, known_problem
from fleet.sandbox.arm.ids import derived_guid, subscription_of
from fleet.sandbox.arm.store import JsonObject, Record
from fleet.sandbox.arm.world import TENANT, Behaviour, Change, World

ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
STORAGE_ACCOUNT = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"
DELETED_VAULT = "Microsoft.KeyVault/locations/deletedVaults"


class RoleAssignment(Behaviour):
    """Who may do what: the two documented failures of §1.1 are here, and that of an unknown principal."""

    def check(self, world: World, change: Change) -> None:
        """Same principal, role and scope under another name: 409; another principal under this one: 400.

        Without `principalType`, Azure looks the principal up in the directory, and a new identity may not
        be there yet; with it, it does not look (Microsoft Learn, "Troubleshoot Azure RBAC", from memory).
        The sandbox's directory holds the identities of its resources.
        """
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
        if not change.properties.get("principalType") and wanted[0] not in _directory(world):
            raise known_problem("PrincipalNotFound").answer(
                f"Principal {wanted[0].replace('-', '')} does not exist in the directory {TENANT}. "
                "Check that you have the correct principal ID. If you are creating this principal and then "
                "immediately assigning a role, this error might be related to a replication delay. In this "
                "case, set the role assignment principalType property to a value, such as ServicePrincipal."
            )

    def started(self, world: World, change: Change) -> None:
        """The scope is the one in the path."""
        change.record.manage(scope=change.address.scope)


def _grant(record: Record) -> tuple[str, str]:
    # The role is compared by its GUID: its id may be written with or without a subscription.
    role = str(record.property("roleDefinitionId") or "").rsplit("/", 1)[-1]
    return str(record.property("principalId") or "").lower(), role.lower()


def _directory(world: World) -> set[str]:
    """The principals that exist: the managed identities of every resource, in lower case."""
    found: set[str] = set()
    for record in world.store.everything():
        identity = record.managed.get("identity") or {}
        users = (identity.get("userAssignedIdentities") or {}).values()
        found.update(str(part.get("principalId") or "") for part in (identity, *users))
        found.add(str(record.managed.get("properties", {}).get("principalId") or ""))
    return {principal.lower() for principal in found if principal}


class Vault(Behaviour):
    """A key vault: its name is unique in the world, and stays taken after it was deleted."""

    def check(self, world: World, change: Change) -> None:
        """The same name anywhere else: 409; in deleted state: 409 unless createMode is recover."""
        if change.existing is not None:
            return
        name = change.record.name.lower()
        if any(vault.name.lower() == name for vault in world.store.of_type(VAULT)):
            raise known_problem("VaultAlreadyExists").answer(
                f"The vault name '{change.record.name}' is already in use. Vault names are globally unique "
                "so it is possible that the name is already taken."
            )
        deleted = self._deleted(world, name)
        recovers = change.properties.get("createMode") == "recover"
        if deleted is not None and not recovers:
            raise conflict(
                "ConflictError",
                f"A vault with the same name already exists in deleted state: '{deleted.id}'. You need to "
                "either recover or purge existing key vault.",
            )
        if deleted is None and recovers:
            raise bad_request(
                "SoftDeletedVaultDoesNotExist", f"There is no vault '{change.record.name}' in deleted state."
            )

    def started(self, world: World, change: Change) -> None:
        """Vaults have a DNS name. A vault that is recovered is as it was."""
        record = change.record
        deleted = self._deleted(world, record.name) if change.existing is None else None
        if deleted is not None:
            kept = deleted.managed["properties"]["kept"]
            record.body = {**kept, "tags": record.body.get("tags") or kept.get("tags")}
            world.store.remove_tree(deleted.id)
        record.body.get("properties", {}).pop("createMode", None)
        record.manage(vaultUri=f"https://{record.name.lower()}.vault.azure.net/")

    def deleted(self, world: World, record: Record) -> None:
        """It can be recovered for some time (soft delete, azure-local-facts §1.2 row 6)."""
        location = str(record.body.get("location", "")).replace(" ", "").lower()
        scope = f"/subscriptions/{subscription_of(record.id)}/providers/Microsoft.KeyVault"
        world.create(
            f"{scope}/locations/{location}/deletedVaults/{record.name}",
            DELETED_VAULT,
            {},
            provisioningState=None,
            vaultId=record.id,
            location=location,
            deletionDate=world.timestamp(),
            purgeProtectionEnabled=bool(record.property("enablePurgeProtection")),
            kept=record.body,
        )

    @staticmethod
    def _deleted(world: World, name: str) -> Record | None:
        vaults = world.store.of_type(DELETED_VAULT)
        return next((vault for vault in vaults if vault.name.lower() == name.lower()), None)


class DeletedVault(Behaviour):
    """A key vault in deleted state."""

    def view(self, world: World, shown: JsonObject) -> None:
        """What is kept for a recovery is not shown."""
        shown["properties"].pop("kept", None)

    def action(self, world: World, record: Record, name: str) -> JsonObject | None:
        """`purge`: its name is free again; refused where purge protection is on."""
        if name.lower() != "purge":
            return None
        if record.property("purgeProtectionEnabled"):
            raise ArmAnswerError(
                409,
                "DeletedVaultPurge",
                f"'{record.name}' cannot be purged: its purge protection is enabled.",
            )
        world.store.remove_tree(record.id)
        return {}


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
    DELETED_VAULT.lower(): DeletedVault(),
    f"{VAULT}/secrets".lower(): VaultSecret(),
    STORAGE_ACCOUNT.lower(): StorageAccount(),
    "microsoft.managedidentity/userassignedidentities": UserAssignedIdentity(),
}
