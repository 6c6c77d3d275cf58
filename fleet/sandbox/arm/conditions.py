"""ETags and conditional requests (If-Match, If-None-Match; RFC 9110 13.1), for the types that have them.

A type has an ETag where `types.yaml` says so. For every other the two headers are ignored, as by a
resource provider without ETags (from memory).
"""

import hashlib
import json

from fleet.sandbox.arm.errors import ArmAnswerError
from fleet.sandbox.arm.messages import ArmRequest
from fleet.sandbox.arm.store import JsonObject, Record
from fleet.sandbox.arm.types import ResourceType


def etag_of(record: Record) -> str:
    """The resource's ETag: another one after each change of it, the same for the same content."""
    content = json.dumps([record.body, record.managed], sort_keys=True)
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'


def require_match(kind: ResourceType, request: ArmRequest, existing: Record | None) -> None:
    """Before a change: ARM's 412 where the resource is not as the caller's condition says."""
    if kind.etag is None:
        return
    wanted, unwanted = request.headers.get("if-match", ""), request.headers.get("if-none-match", "")
    current = etag_of(existing) if existing else None
    if wanted and not _lists(wanted, current):
        now = f"its ETag is {current}" if current else "it does not exist"
        raise _failed(f"The condition If-Match: {wanted[:80]} is not met: {now}.")
    if unwanted and _lists(unwanted, current):
        raise _failed(f"The condition If-None-Match: {unwanted[:80]} is not met: the resource exists.")


def is_unchanged(kind: ResourceType, request: ArmRequest, record: Record) -> bool:
    """Whether a GET is to be answered 304: the caller has what there is."""
    known = request.headers.get("if-none-match", "")
    return kind.etag is not None and bool(known) and _lists(known, etag_of(record))


def with_etag(kind: ResourceType, record: Record, shown: JsonObject) -> dict[str, str]:
    """Put the ETag into the resource as it is answered, in place; the header that goes with it."""
    if kind.etag is None:
        return {}
    shown[kind.etag] = etag_of(record)
    return {"ETag": shown[kind.etag]}


def _lists(header: str, current: str | None) -> bool:
    """Whether a list of ETags, or `*`, names the current one. A weak comparison: `W/` is left aside."""
    if current is None:
        return False
    named = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in named or current in named or current.strip('"') in named


def _failed(message: str) -> ArmAnswerError:
    return ArmAnswerError(412, "PreconditionFailed", message)
