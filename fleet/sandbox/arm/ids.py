"""Azure resource ids: parsing a request path, and the two spellings of an id (shown, compared).

Grammar of a path (ARM, "Resource IDs"): `[/subscriptions/S[/resourceGroups/RG]]` and then any number
of `/providers/NAMESPACE/type/name[/type/name…]` blocks. A block that follows another one is an
*extension* resource of what stands before it. A last block that ends with a type names a collection
(GET) or an action (POST).
"""

import re
import uuid
from dataclasses import dataclass
from urllib.parse import unquote

from fleet.sandbox.arm.errors import ArmAnswerError

# A fixed namespace: ids that real Azure makes at random are derived here, so a re-run sees the same.
_SANDBOX = uuid.UUID("6f1c5f0e-2a52-5d0c-9d55-0f1ee7a5b0c5")
_BAD_SEGMENT = re.compile(r"[\x00-\x1f<>%&\\?#]")
MAX_NAME = 260  # the longest name any resource provider accepts


def derived_guid(*parts: str) -> str:
    """A GUID that depends on `parts` alone, compared without case (uuid5)."""
    return str(uuid.uuid5(_SANDBOX, "\n".join(part.lower() for part in parts)))


@dataclass(frozen=True, slots=True)
class Address:
    """What a path of typed segments names.

    `scope` is the id this hangs on: `/subscriptions/S`, a resource group, or (extension resources)
    another resource; "" at tenant scope. `types` and `names` have the same length for a resource;
    `types` has one more for a collection or an action.
    """

    scope: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def is_resource(self) -> bool:
        """True when the path ends with a name."""
        return len(self.types) == len(self.names)

    @property
    def full_type(self) -> str:
        """`Namespace/type[/child]`, in the caller's spelling."""
        return "/".join((self.namespace, *self.types))

    @property
    def id(self) -> str:
        """The path again, normalised, without a trailing slash."""
        pairs = [f"{kind}/{name}" for kind, name in zip(self.types, self.names, strict=False)]
        if not self.is_resource:
            pairs.append(self.types[-1])
        return "/".join([f"{self.scope}/providers/{self.namespace}", *pairs])

    @property
    def key(self) -> str:
        """The id as ARM compares it: without case."""
        return self.id.lower()

    @property
    def parent_id(self) -> str:
        """The id of the resource (or group, or subscription) that this one lives under."""
        if len(self.types) <= 1:
            return self.scope
        return Address(self.scope, self.namespace, self.types[:-1], self.names[: len(self.types) - 1]).id

    @property
    def owner(self) -> "Address":
        """For a path ending with a type: the resource before it (an action's target)."""
        return Address(self.scope, self.namespace, self.types[:-1], self.names)


def split_path(path: str) -> list[str]:
    """The path's segments, decoded. Empty ones are dropped: clients with an empty parent send `//`."""
    segments = [unquote(segment) for segment in path.split("/") if segment]
    for segment in segments:
        if _BAD_SEGMENT.search(segment) or "/" in segment or len(segment) > MAX_NAME:
            raise ArmAnswerError(
                400, "InvalidResourceName", f"The path segment {segment[:40]!r} is not a name."
            )
    return segments


def parse_address(segments: list[str]) -> Address | None:
    """The typed address in `segments`, or None where there is no `/providers/NS/type` in them."""
    lowered = [segment.lower() for segment in segments]
    position, scope = 0, ""
    if lowered[:1] == ["subscriptions"] and len(segments) >= 2:
        position, scope = 2, f"/subscriptions/{segments[1]}"
        if lowered[2:3] == ["resourcegroups"] and len(segments) >= 4:
            position, scope = 4, f"{scope}/resourceGroups/{segments[3]}"
    address: Address | None = None
    while position < len(segments):
        if lowered[position] != "providers" or position + 2 >= len(segments):
            return None
        namespace = segments[position + 1]
        position += 2
        types: list[str] = []
        names: list[str] = []
        while position < len(segments) and lowered[position] != "providers":
            (types if len(types) == len(names) else names).append(segments[position])
            position += 1
        address = Address(scope, namespace, tuple(types), tuple(names))
        if not types or (position < len(segments) and not address.is_resource):
            return None
        scope = address.id
    return address


def address_of(resource_id: str) -> Address | None:
    """The address of an id found in a body, or None where it is not the id of a typed resource."""
    try:
        address = parse_address(split_path(resource_id))
    except ArmAnswerError:
        return None
    return address if address and address.is_resource else None


def subscription_of(resource_id: str) -> str:
    """The subscription in an id, or ""."""
    parts = resource_id.split("/")
    return parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""


def group_of(resource_id: str) -> str | None:
    """The resource group's name in an id, or None."""
    parts = resource_id.split("/")
    return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else None


def group_id_of(resource_id: str) -> str:
    """The id of the resource group in an id (which must have one)."""
    return "/".join(resource_id.split("/")[:5])
