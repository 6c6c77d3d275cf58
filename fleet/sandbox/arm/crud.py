"""Typed resources of the stand-in: get, list, put, patch, delete, and actions."""

import bisect
import copy
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fleet.sandbox.arm import filters
from fleet.sandbox.arm.conditions import is_unchanged, require_match, with_etag
from fleet.sandbox.arm.errors import (
    ArmAnswerError,
    bad_request,
    conflict,
    group_not_found,
    parent_not_found,
    resource_not_found,
    subscription_not_found,
)
from fleet.sandbox.arm.faults import FaultBook
from fleet.sandbox.arm.ids import Address, address_of, group_id_of, group_of, subscription_of
from fleet.sandbox.arm.limits import LENIENT, Strictness, require_quota, require_registered
from fleet.sandbox.arm.messages import ArmRequest, ArmResponse
from fleet.sandbox.arm.operations import begin, behaviour_of, poll_headers, remove, resource_answer, settle
from fleet.sandbox.arm.recorder import replace_at
from fleet.sandbox.arm.store import JsonObject, Record
from fleet.sandbox.arm.types import ResourceType
from fleet.sandbox.arm.world import Change, World, require_custom_location

_READ_ONLY = ("id", "name", "type", "systemData", "etag", "eTag", "apiVersion")
_KEPT_IN_LINKS = frozenset({"api-version", "$filter", "$top", "$expand", "$select", "$orderby"})
"""Query parameters that a nextLink repeats: what a stranger put there may be a secret."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the stand-in answers from: its subscriptions, URL, ordered faults, page length and limits."""

    subscriptions: tuple[str, ...]
    endpoint: str
    faults: FaultBook
    page_size: int
    strictness: Strictness = LENIENT

    def require_subscription(self, subscription: str) -> None:
        """Raise ARM's 404 for any other subscription."""
        if subscription.lower() not in (known.lower() for known in self.subscriptions):
            raise subscription_not_found(subscription)


def require_scope(world: World, site: Site, resource_id: str) -> None:
    """Raise ARM's 404 where the subscription or the resource group in an id does not exist."""
    site.require_subscription(subscription_of(resource_id))
    group = group_of(resource_id)
    if group is not None and world.store.get(group_id_of(resource_id)) is None:
        raise group_not_found(group)


def get(world: World, site: Site, address: Address) -> Record:
    """The record at an address; ARM's 404s where something on the way does not exist."""
    require_scope(world, site, address.id)
    record = world.store.get(address.id)
    if record is None:
        names = "/".join(address.names)
        raise resource_not_found(address.full_type, names, group_of(address.id))
    return record


def listing(world: World, site: Site, request: ArmRequest, records: list[Record]) -> ArmResponse:
    """One page of records, with nextLink where there are more. `$top` sets the page's length."""
    kept = sorted(filters.matching(records, request.query.get("$filter", "")), key=lambda record: record.key)
    after, length = filters.page(request.query, site.page_size)
    start = bisect.bisect_right(kept, after, key=lambda record: record.key)
    shown = []
    for record in kept[start : start + length]:
        shown.append(record.shown())
        if kind := world.table.types.get(record.type.lower()):
            with_etag(kind, record, shown[-1])
    body: JsonObject = {"value": shown}
    if start + length < len(kept):
        query = {name: value for name, value in request.query.items() if name in _KEPT_IN_LINKS}
        query["$skiptoken"] = filters.skiptoken(kept[start + length - 1])
        body["nextLink"] = f"{site.endpoint}{quote(request.path, safe='/%')}?{urlencode(query)}"
    return ArmResponse(200, body, resources=shown)


def read(world: World, site: Site, request: ArmRequest, address: Address, kind: ResourceType) -> ArmResponse:
    """GET of one resource; 304 where the caller has what there is."""
    record = get(world, site, address)
    if is_unchanged(kind, request, record):
        return ArmResponse(304)
    return resource_answer(200, record, kind=kind)


def collection(world: World, site: Site, address: Address, kind: ResourceType) -> list[Record]:
    """The resources of one type beneath a subscription, a resource group or a resource."""
    if len(address.types) > 1 or "/providers/" in address.scope.lower():
        parent = address_of(address.parent_id)
        if parent is not None:
            get(world, site, parent)
    else:
        require_scope(world, site, address.scope)
    return world.store.beneath(address.parent_id, kind.name)


def put(world: World, site: Site, request: ArmRequest, address: Address, kind: ResourceType) -> ArmResponse:
    """Create or replace (PUT), or merge into (PATCH), a resource."""
    patch = request.method == "PATCH"
    sent = request.json_object()
    require_scope(world, site, address.id)
    existing = world.store.get(address.id)
    if existing is None and patch:
        raise resource_not_found(address.full_type, "/".join(address.names), group_of(address.id))
    require_match(kind, request, existing)
    _require_living_group(world, address)
    if site.strictness.registration:
        require_registered(world, kind, address.id)
    parent_id = _require_parent(world, address, kind)
    kind.check_name(address.names[-1])
    for name in _READ_ONLY:
        sent.pop(name, None)
    (sent.get("properties") or {}).pop("provisioningState", None)
    if patch and existing:
        sent = _merge_patch(copy.deepcopy(existing.body), sent)
    _check_location(kind, sent, existing)
    _require_idle(world, kind, address.id)
    if kind.custom_location:
        require_custom_location(world, kind.name, sent)
    body = copy.deepcopy(sent)
    for path in kind.write_only:
        replace_at(body, path, remove=True)
    name = existing.name if existing else address.names[-1]
    record = Record(
        id=existing.id if existing else _new_id(parent_id, address, kind),
        type=kind.name,
        name=name,
        body=body,
        managed=copy.deepcopy(existing.managed) if existing else {},
    )
    change = Change(address, record, sent, existing)
    behaviour = behaviour_of(kind.name)
    behaviour.check(world, change)
    if site.strictness.quotas and existing is None:
        require_quota(world, kind, record)
    world.give_identity(record)
    behaviour.started(world, change)
    planned, seconds = ordered(site, request, kind, behaviour.seconds(world, change, kind.put_seconds))
    world.store.save(record)
    if not seconds and not planned:
        behaviour.settled(world, record)
        if "provisioningState" in record.managed.get("properties", {}):
            record.manage(provisioningState="Succeeded")
        return resource_answer(200 if existing else 201, world.store.save(record), kind=kind)
    record.manage(provisioningState="Updating" if existing else "Creating")
    world.store.save(record)
    operation = begin(world, "put", record, seconds, planned)
    settle(world)
    if kind.first_answer == 202 and existing is None:
        return ArmResponse(
            202, None, poll_headers(world, site.endpoint, operation, request.api_version, "Location")
        )
    headers = poll_headers(world, site.endpoint, operation, request.api_version, "Azure-AsyncOperation")
    return resource_answer(200 if existing else 201, record, headers, kind=kind)


def delete(
    world: World, site: Site, request: ArmRequest, address: Address, kind: ResourceType
) -> ArmResponse:
    """Delete a resource and what is beneath it; 204 where there is none."""
    require_scope(world, site, address.id)
    record = world.store.get(address.id)
    require_match(kind, request, record)
    if record is None:
        return ArmResponse(204)
    _require_idle(world, kind, address.id)
    planned, seconds = ordered(site, request, kind, kind.delete_seconds)
    if not seconds and not planned:
        remove(world, record)
        return ArmResponse(200)
    record.manage(provisioningState="Deleting")
    world.store.save(record)
    operation = begin(world, "delete", record, seconds, planned)
    settle(world)
    names = ("Azure-AsyncOperation", "Location")
    return ArmResponse(202, None, poll_headers(world, site.endpoint, operation, request.api_version, *names))


def act(world: World, site: Site, address: Address) -> ArmResponse:
    """A POST action on an existing resource; 404 for an action the stand-in does not have."""
    record = get(world, site, address.owner)
    answer = behaviour_of(record.type).action(world, record, address.types[-1])
    if answer is None:
        raise ArmAnswerError(
            404,
            "InvalidResourceType",
            f"The stand-in has no action '{address.types[-1]}' on '{record.type}'.",
        )
    return ArmResponse(200, answer)


def _require_living_group(world: World, address: Address) -> None:
    group = world.store.get(group_id_of(address.id)) if group_of(address.id) else None
    if group is not None and group.property("provisioningState") == "Deleting":
        raise conflict(
            "ResourceGroupBeingDeleted", f"The resource group '{group.name}' is in deprovisioning state."
        )


def _require_parent(world: World, address: Address, kind: ResourceType) -> str:
    """Check what the resource hangs on; the parent's id in the spelling it was created with."""
    scope = address.scope
    extended = address_of(scope)
    if extended is not None and "any" not in kind.under:
        allowed = [name.lower() for name in kind.under]
        nested = len(address.types) > 1 or extended.full_type.lower() in allowed
        if not nested:
            raise bad_request(
                "InvalidResourceScope",
                f"'{kind.name}' cannot be created under '{extended.full_type}'.",
            )
    if extended is None and len(address.types) == 1 and "any" not in kind.under:
        here = "group" if group_of(scope) else "subscription"
        if here not in kind.under:
            raise bad_request(
                "InvalidResourceScope",
                f"'{kind.name}' lives under: {', '.join(kind.under)}. The id has a {here} there.",
            )
    parent = world.store.get(address.parent_id)
    if parent is None and address_of(address.parent_id) is not None:
        raise parent_not_found(kind.name, address.parent_id)
    return parent.id if parent else address.parent_id


def _new_id(parent_id: str, address: Address, kind: ResourceType) -> str:
    if len(address.types) > 1:
        return f"{parent_id}/{kind.name.rsplit('/', 1)[1]}/{address.names[-1]}"
    return f"{parent_id}/providers/{kind.name}/{address.names[-1]}"


def _check_location(kind: ResourceType, sent: JsonObject, existing: Record | None) -> None:
    location = _normal_location(sent.get("location"))
    if kind.located and not location:
        raise bad_request("LocationRequired", "The location property is required for this definition.")
    before = _normal_location(existing.body.get("location")) if existing else ""
    if before and location and before != location:
        raise conflict(
            "InvalidResourceLocation",
            f"The resource '{existing.name if existing else ''}' already exists in location '{before}'. "
            f"A resource with the same name cannot be created in location '{location}'.",
        )


def _normal_location(location: object) -> str:
    return str(location or "").replace(" ", "").lower()


def _require_idle(world: World, kind: ResourceType, resource_id: str) -> None:
    running = world.store.running_on(resource_id)
    if running is None and kind.exclusive:
        above = resource_id.lower().split("/providers/microsoft.hybridcontainerservice/")[0]
        running = next(
            (
                operation
                for operation in world.store.running()
                if operation.resource_id.lower().startswith(f"{above}/")
                and (found := world.table.types.get(operation.type.lower()))
                and found.exclusive == kind.exclusive
            ),
            None,
        )
    if running is not None:
        raise conflict(
            "AnotherOperationInProgress",
            f"A {running.verb} is in progress on '{running.resource_id}'. Wait for it to end.",
        )


def ordered(
    site: Site, request: ArmRequest, kind: ResourceType, seconds: float
) -> tuple[JsonObject | None, float]:
    """How an operation is to end by the faults on order: its error or None, and how long it takes."""
    fault = site.faults.strike(("operation", "slow"), request.method, request.path, kind.name)
    if fault is None:
        return None, seconds
    error = {"code": fault.code, "message": fault.message} if fault.kind == "operation" else None
    return error, seconds if fault.after is None else fault.after


def _merge_patch(target: JsonObject, patch: JsonObject) -> JsonObject:
    """RFC 7396: null removes, objects merge, everything else replaces."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            below = target.get(name)
            target[name] = _merge_patch(below if isinstance(below, dict) else {}, value)
        else:
            target[name] = value
    return target
