"""What the behaviours of resource types work with: the store, the clock, and a few questions.

A `Behaviour` says what a resource provider does beyond storing a body. Each hook runs with the
store's lock held, except `view`, which may ask the outside (a registry) and so must not hold it.
"""

import copy
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.sandbox.arm.errors import bad_request
from fleet.sandbox.arm.ids import Address, derived_guid
from fleet.sandbox.arm.store import JsonObject, Operation, Record, Store
from fleet.sandbox.arm.types import TypeTable

ArtifactExists = Callable[[str, str], bool]
TENANT = derived_guid("tenant")


@dataclass(frozen=True, slots=True)
class World:
    """The state and surroundings of one stand-in.

    `clock` gives seconds since the epoch; `factor` scales Azure's durations (1.0: as long as real
    life, 0: at once); `artifact_exists(url, digest)` asks a registry, None: there is no registry.
    """

    store: Store
    table: TypeTable
    clock: Callable[[], float]
    factor: float
    artifact_exists: ArtifactExists | None = None

    def timestamp(self, seconds: float | None = None) -> str:
        """A moment (default: now) as ARM writes it."""
        moment = dt.datetime.fromtimestamp(self.clock() if seconds is None else seconds, dt.UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def create(self, resource_id: str, resource_type: str, body: JsonObject, **managed: Any) -> Record:
        """Create (or bring up to date) a resource that a provider makes by itself; it is Succeeded.

        `managed` are provider-owned properties; `provisioningState=None` for types that have none.
        """
        existing = self.store.get(resource_id)
        name = resource_id.rsplit("/", 1)[1]
        record = existing or Record(resource_id, resource_type, name, {})
        record.body = body
        given = {"provisioningState": "Succeeded", **managed}
        record.manage(**{name: value for name, value in given.items() if value is not None})
        self.give_identity(record)
        return self.store.save(record)

    def give_identity(self, record: Record) -> None:
        """Set principal and tenant of the identities that the body asks for (derived from the id)."""
        identity = record.body.get("identity")
        kind = str(identity.get("type", "")) if isinstance(identity, dict) else ""
        record.managed.pop("identity", None)
        given: JsonObject = {}
        if "systemassigned" in kind.replace(" ", "").lower():
            given = {"principalId": derived_guid(record.id, "principal"), "tenantId": TENANT}
        users = identity.get("userAssignedIdentities") if isinstance(identity, dict) else None
        if isinstance(users, dict):
            given["userAssignedIdentities"] = {
                user: {
                    "principalId": derived_guid(user, "principal"),
                    "clientId": derived_guid(user, "client"),
                }
                for user in users
            }
        if given:
            record.managed["identity"] = given


@dataclass(slots=True)
class Change:
    """A PUT or PATCH about to happen: `sent` still has the write-only properties, `record` has not."""

    address: Address
    record: Record
    sent: JsonObject
    existing: Record | None

    @property
    def properties(self) -> JsonObject:
        """The `properties` that were sent."""
        found = self.sent.get("properties") or {}
        return found if isinstance(found, dict) else {}


class Behaviour:
    """A resource type without side effects; the others override what they need."""

    def check(self, world: World, change: Change) -> None:
        """Raise `ArmAnswerError` where the provider would refuse the request at once."""

    def seconds(self, world: World, change: Change, default: float) -> float:
        """How long the PUT takes, in seconds of real life."""
        return default

    def started(self, world: World, change: Change) -> None:
        """The request is accepted; `change.record` is about to be stored."""

    def settled(self, world: World, record: Record) -> None:
        """The PUT has succeeded. `ArmAnswerError` raised here makes the operation fail instead."""

    def failed(self, world: World, record: Record, operation: Operation) -> None:
        """The PUT has failed; `operation.error` says why."""

    def deleted(self, world: World, record: Record) -> None:
        """The resource is gone."""

    def view(self, world: World, shown: JsonObject) -> None:
        """Complete the resource as it is answered, in place; called without the lock, on a copy."""

    def action(self, world: World, record: Record, name: str) -> JsonObject | None:
        """The answer to a POST action, or None where there is no such action."""
        return None


def require_custom_location(world: World, resource_type: str, sent: JsonObject) -> Record:
    """The custom location in the body's extendedLocation; 400 where it is missing or does not exist."""
    location = sent.get("extendedLocation")
    name = location.get("name") if isinstance(location, dict) else None
    if not isinstance(name, str) or str(location.get("type", "")).lower() != "customlocation":  # type: ignore[union-attr]
        raise bad_request(
            "InvalidExtendedLocation",
            f"'{resource_type}' needs extendedLocation {{type: CustomLocation, name: <custom location id>}}.",
        )
    found = world.store.get(name)
    if found is None or found.type.lower() != "microsoft.extendedlocation/customlocations":
        raise bad_request(
            "InvalidExtendedLocation",
            f"The custom location '{name}' does not exist. On Azure Local it is created by the cluster's "
            f"deployment (deploymentMode Deploy); wait for that to succeed.",
        )
    return found


def listed(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one: for bodies that nobody has checked."""
    return value if isinstance(value, list) else []


def at(value: Any, *path: str | int) -> Any:
    """What stands at a path of member names and list indices, or None: bodies may have any shape."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return copy.copy(value)
