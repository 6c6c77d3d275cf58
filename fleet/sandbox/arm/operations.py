"""Long-running operations: how they start, end, and are asked about.

Nothing runs in the background. An operation has a moment when it is due; whoever looks at the
stand-in next first settles what is due by then, in that order. Time is the injected clock's.
"""

import uuid

from fleet.sandbox.arm import azure_local, foundation, kubernetes
from fleet.sandbox.arm.conditions import with_etag
from fleet.sandbox.arm.errors import ArmAnswerError
from fleet.sandbox.arm.ids import subscription_of
from fleet.sandbox.arm.messages import ArmResponse
from fleet.sandbox.arm.store import JsonObject, Operation, Record
from fleet.sandbox.arm.types import ResourceType
from fleet.sandbox.arm.world import Behaviour, World

BEHAVIOURS: dict[str, Behaviour] = {
    **azure_local.BEHAVIOURS,
    **kubernetes.BEHAVIOURS,
    **foundation.BEHAVIOURS,
}
_PLAIN = Behaviour()


def behaviour_of(resource_type: str) -> Behaviour:
    """The side effects of a type (none, for most)."""
    return BEHAVIOURS.get(resource_type.lower(), _PLAIN)


def begin(world: World, verb: str, record: Record, seconds: float, planned: JsonObject | None) -> Operation:
    """Start an operation that takes `seconds` of real life and, with `planned`, then fails with it."""
    now = world.clock()
    operation = Operation(
        id=str(uuid.uuid4()),
        verb=verb,
        resource_id=record.id,
        type=record.type,
        started=now,
        due=now + seconds * world.factor,
        planned_error=planned,
    )
    world.store.save_operation(operation)
    return operation


def settle(world: World) -> None:
    """End every operation that is due now."""
    now = world.clock()
    for operation in world.store.running():
        if operation.due <= now:
            _end(world, operation)


def _end(world: World, operation: Operation) -> None:
    record = world.store.get(operation.resource_id)
    operation.finished = operation.due
    operation.error = operation.planned_error
    if record is None:
        # Its resource group went first; the operation has nothing left to do.
        world.store.save_operation(operation)
        return
    if operation.verb == "delete":
        if operation.error:
            record.manage(provisioningState="Failed")
            world.store.save(record)
        else:
            remove(world, record)
    else:
        _end_put(world, operation, record)
    world.store.save_operation(operation)


def _end_put(world: World, operation: Operation, record: Record) -> None:
    behaviour = behaviour_of(record.type)
    if operation.error is None:
        try:
            behaviour.settled(world, record)
        except ArmAnswerError as problem:
            operation.error = {"code": problem.code, "message": problem.message}
    if operation.error is not None:
        behaviour.failed(world, record, operation)
    record.manage(provisioningState=operation.status)
    world.store.save(record)


def remove(world: World, record: Record) -> None:
    """Take a resource away, with everything beneath it."""
    beneath = world.store.beneath(record.id)
    world.store.remove_tree(record.id)
    for gone in [*beneath, record]:
        behaviour_of(gone.type).deleted(world, gone)


def poll_headers(
    world: World, endpoint: str, operation: Operation, version: str, *names: str
) -> dict[str, str]:
    """The headers that tell a client where to ask: any of Azure-AsyncOperation and Location."""
    base = (
        f"{endpoint}/subscriptions/{subscription_of(operation.resource_id)}/providers/"
        f"{operation.type.split('/', 1)[0]}/locations/global"
    )
    urls = {
        "Azure-AsyncOperation": f"{base}/operationStatuses/{operation.id}?api-version={version}",
        "Location": f"{base}/operationResults/{operation.id}?api-version={version}",
    }
    return {name: urls[name] for name in names} | {"Retry-After": retry_after(world)}


def retry_after(world: World) -> str:
    """Seconds until a client should ask again: an integer, as the header must be; may be 0."""
    return str(int(world.table.data["retry_after"] * world.factor))


def status_answer(world: World, path: str, operation: Operation) -> ArmResponse:
    """The operation's status resource: InProgress, Succeeded, or Failed with an error."""
    body: JsonObject = {
        "id": path,
        "name": operation.id,
        "status": operation.status,
        "startTime": world.timestamp(operation.started),
        "resourceId": operation.resource_id,
    }
    if operation.finished is None:
        return ArmResponse(200, body, {"Retry-After": retry_after(world)})
    body["endTime"] = world.timestamp(operation.finished)
    if operation.error:
        body["error"] = operation.error
    return ArmResponse(200, body)


def result_answer(world: World, endpoint: str, operation: Operation, version: str) -> ArmResponse:
    """What a Location header leads to: 202 while it runs, then the outcome."""
    if operation.finished is None:
        return ArmResponse(202, None, poll_headers(world, endpoint, operation, version, "Location"))
    if operation.error:
        return ArmResponse(409, {"error": operation.error})
    record = world.store.get(operation.resource_id)
    if operation.verb == "delete" or record is None:
        return ArmResponse(204)
    return resource_answer(200, record, kind=world.table.types.get(record.type.lower()))


def resource_answer(
    status: int, record: Record, headers: dict[str, str] | None = None, *, kind: ResourceType | None = None
) -> ArmResponse:
    """A resource as the body of an answer, with its ETag where its `kind` has one."""
    shown = record.shown()
    tagged = with_etag(kind, record, shown) if kind else {}
    return ArmResponse(status, shown, {**(headers or {}), **tagged}, resources=[shown])
