"""Subscriptions, resource groups and resource providers of the stand-in."""

import re

from fleet.sandbox.arm import crud
from fleet.sandbox.arm.crud import Site
from fleet.sandbox.arm.errors import ArmAnswerError, bad_request, conflict, group_not_found
from fleet.sandbox.arm.limits import BUILT_IN, require_quota
from fleet.sandbox.arm.messages import ArmRequest, ArmResponse
from fleet.sandbox.arm.operations import begin, poll_headers, resource_answer, settle
from fleet.sandbox.arm.store import JsonObject, Record
from fleet.sandbox.arm.types import GROUP_TYPE
from fleet.sandbox.arm.world import TENANT, World

_GROUP_NAME = re.compile(r"^[-\w.()]{0,89}[-\w()]$")  # ARM naming rules: 1-90, no trailing period
_REGISTRATION_SECONDS = 60.0


def subscription(site: Site, name: str) -> ArmResponse:
    """One subscription."""
    site.require_subscription(name)
    known = next(s for s in site.subscriptions if s.lower() == name.lower())
    return ArmResponse(200, _subscription(known))


def subscriptions(site: Site) -> ArmResponse:
    """The subscriptions the caller can see."""
    return ArmResponse(200, {"value": [_subscription(name) for name in site.subscriptions]})


def _subscription(name: str) -> JsonObject:
    return {
        "id": f"/subscriptions/{name}",
        "subscriptionId": name,
        "tenantId": TENANT,
        "displayName": f"fleet sandbox {name[:8]}",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    }


def group(world: World, site: Site, request: ArmRequest, subscription_id: str, name: str) -> ArmResponse:
    """GET, HEAD, PUT, PATCH and DELETE of one resource group."""
    site.require_subscription(subscription_id)
    record = world.store.get(f"/subscriptions/{subscription_id}/resourceGroups/{name}")
    if request.method == "PUT":
        return _put_group(world, site, request, subscription_id, name, record)
    if record is None:
        raise group_not_found(name)
    if request.method == "HEAD":
        return ArmResponse(204)
    if request.method == "DELETE":
        return _delete_group(world, site, request, record)
    if request.method == "PATCH":
        sent = request.json_object()
        if "tags" in sent:
            record.body["tags"] = sent["tags"] or {}
        world.store.save(record)
    elif request.method != "GET":
        raise method_not_allowed(request.method)
    return resource_answer(200, record)


def _put_group(
    world: World, site: Site, request: ArmRequest, subscription_id: str, name: str, existing: Record | None
) -> ArmResponse:
    sent = request.json_object()
    location = str(sent.get("location") or "")
    if not _GROUP_NAME.match(name):
        raise bad_request("InvalidResourceGroup", f"The resource group name '{name}' is invalid.")
    if not location:
        raise bad_request("LocationRequired", "The location property is required for this definition.")
    if existing is not None:
        if existing.property("provisioningState") == "Deleting":
            raise conflict(
                "ResourceGroupBeingDeleted", f"The resource group '{name}' is in deprovisioning state."
            )
        before = str(existing.body.get("location"))
        if before.replace(" ", "").lower() != location.replace(" ", "").lower():
            raise conflict(
                "InvalidResourceGroupLocation",
                f"Invalid location '{location}'. The resource group already exists in '{before}'.",
            )
    if existing is None and site.strictness.quotas:
        new = Record(f"/subscriptions/{subscription_id}/resourceGroups/{name}", GROUP_TYPE, name, {})
        require_quota(world, world.table.find(GROUP_TYPE), new)
    body = {key: sent[key] for key in ("location", "tags", "managedBy") if sent.get(key) is not None}
    record = create_group(world, subscription_id, existing.name if existing else name, body)
    return resource_answer(200 if existing else 201, record)


def create_group(world: World, subscription_id: str, name: str, body: JsonObject) -> Record:
    """Create or replace a resource group."""
    return world.create(f"/subscriptions/{subscription_id}/resourceGroups/{name}", GROUP_TYPE, body)


def _delete_group(world: World, site: Site, request: ArmRequest, record: Record) -> ArmResponse:
    operation = world.store.running_on(record.id)
    if operation is None:
        record.manage(provisioningState="Deleting")
        world.store.save(record)
        kind = world.table.find(GROUP_TYPE)
        planned, seconds = crud.ordered(site, request, kind, kind.delete_seconds)
        operation = begin(world, "delete", record, seconds, planned)
        settle(world)
    headers = poll_headers(world, site.endpoint, operation, request.api_version, "Location")
    return ArmResponse(202, None, headers)


def groups(world: World, site: Site, request: ArmRequest, subscription_id: str) -> ArmResponse:
    """The resource groups of a subscription."""
    site.require_subscription(subscription_id)
    records = world.store.beneath(f"/subscriptions/{subscription_id}", GROUP_TYPE)
    return crud.listing(world, site, request, records)


def resources(
    world: World, site: Site, request: ArmRequest, subscription_id: str, group_name: str | None
) -> ArmResponse:
    """The top-level resources of a group or a subscription; child and extension resources are left out."""
    scope = f"/subscriptions/{subscription_id}"
    if group_name is not None:
        scope = f"{scope}/resourceGroups/{group_name}"
    crud.require_scope(world, site, scope)
    top_level = [record for record in world.store.beneath(scope) if record.id.count("/") == 8]
    return crud.listing(world, site, request, top_level)


def providers(world: World, site: Site, subscription_id: str) -> ArmResponse:
    """Every resource provider of the table, with its registration in this subscription."""
    site.require_subscription(subscription_id)
    return ArmResponse(
        200, {"value": [_provider(world, subscription_id, name) for name in world.table.namespaces()]}
    )


def provider(
    world: World, site: Site, request: ArmRequest, subscription_id: str, name: str, action: str | None
) -> ArmResponse:
    """GET one resource provider, or POST register (a minute of real life until Registered) or unregister."""
    site.require_subscription(subscription_id)
    namespace = world.table.namespace(name)
    if namespace is None:
        raise ArmAnswerError(404, "InvalidResourceNamespace", f"The resource namespace '{name}' is invalid.")
    if action == "register" and request.method == "POST":
        ready = world.clock() + _REGISTRATION_SECONDS * world.factor
        world.store.register(subscription_id, namespace, ready)
    elif action == "unregister" and request.method == "POST":
        world.store.unregister(subscription_id, namespace)
    elif action is not None or request.method != "GET":
        raise method_not_allowed(request.method)
    return ArmResponse(200, _provider(world, subscription_id, namespace))


def _provider(world: World, subscription_id: str, namespace: str) -> JsonObject:
    ready = world.store.registered_at(subscription_id, namespace)
    if namespace.lower() in BUILT_IN or (ready is not None and ready <= world.clock()):
        state = "Registered"
    else:
        state = "NotRegistered" if ready is None else "Registering"
    types = [
        {"resourceType": kind.name.split("/", 1)[1], "apiVersions": sorted(kind.api_versions, reverse=True)}
        for kind in world.table.of_namespace(namespace)
    ]
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": types,
    }


def method_not_allowed(method: str) -> ArmAnswerError:
    """ARM's 405."""
    return ArmAnswerError(
        405, "MethodNotAllowed", f"The requested resource does not support http method '{method}'."
    )
