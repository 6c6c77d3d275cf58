"""What Azure holds: resources as Azure Resource Manager answers them, found again by id and type."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

JsonObject = dict[str, Any]


class AzureReader(Protocol):
    """Reads Azure Resource Manager, and changes nothing: `fleet.adapters.arm_client.ArmClient` is one."""

    def get(self, path: str, api_version: str) -> JsonObject:
        """The resource at `path`. Raises `FleetError`, also where there is none."""
        ...

    def find(self, path: str, api_version: str) -> JsonObject | None:
        """The resource at `path`; None where Azure says that it does not exist. Raises `FleetError`."""
        ...

    def list(self, path: str, api_version: str) -> Iterator[JsonObject]:
        """The items of a collection, over all its pages. Raises `FleetError`."""
        ...


@dataclass(frozen=True)
class AzureResources:
    """What was read of a subscription, or of some of its resource groups.

    `unread` says of a resource (by its id in lower case) why something below it could not be read: what is
    known of it is then a part. `notes` are what the reading itself left out, a phrase each.
    """

    subscription: str
    groups: tuple[str, ...] = ()
    """The resource groups that were asked for; all of the subscription when empty."""
    tenant: str | None = None
    by_id: Mapping[str, JsonObject] = field(default_factory=dict)
    """Bodies by id in lower case: Azure's ids differ in case only between its own answers."""
    unread: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def find(self, resource_id: object) -> JsonObject | None:
        """The resource of that id, if it was read; None for what is no id."""
        return self.by_id.get(resource_id.lower()) if isinstance(resource_id, str) else None

    def of_type(self, resource_type: str, beneath: str = "") -> list[JsonObject]:
        """The resources of a type, by id; only those beneath the resource `beneath`, where it is given."""
        prefix = f"{beneath.lower()}/" if beneath else ""
        return [
            body
            for key, body in sorted(self.by_id.items())
            if type_of(body).lower() == resource_type.lower() and key.startswith(prefix)
        ]


def type_of(body: Mapping[str, Any]) -> str:
    """A resource's type as its id says it; `type` itself is not in every answer of Azure."""
    last = str(body.get("id", "")).rpartition("/providers/")[2].split("/")
    return "/".join((last[0], *last[1::2]))


def resources_by_id(bodies: Iterable[Any]) -> dict[str, JsonObject]:
    """Bodies by their id in lower case; what has none is left out."""
    return {
        body["id"].lower(): body
        for body in bodies
        if isinstance(body, dict) and isinstance(body.get("id"), str)
    }
