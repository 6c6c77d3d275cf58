"""What the answers of Azure Resource Manager say: when to ask again, what is in them, how far it is."""

import re
from typing import Any

import httpx

from fleet.adapters.arm_errors import ArmError, error_body

ENDED_WELL = "succeeded"
ENDED_BADLY = frozenset({"failed", "canceled", "cancelled"})


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds in a Retry-After header; None where there is none that we understand."""
    value = answer.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"[0-9]{1,6}", value) else None


def json_object(answer: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object, {} for no content. Raises `ArmError` (UnreadableAnswer) for anything else."""
    try:
        body = answer.json() if answer.content else {}
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ArmError(
            answer.status_code,
            "UnreadableAnswer",
            f"{answer.request.url.path}: the answer is not a JSON object",
        )
    return body


def json_items(answer: httpx.Response) -> list[Any]:
    """The items on a page of a list, whatever they are. Raises `ArmError` (UnreadableAnswer) for no list."""
    items = json_object(answer).get("value") or []
    if not isinstance(items, list):
        raise ArmError(
            answer.status_code,
            "UnreadableAnswer",
            f"{answer.request.url.path}: the answer is not a list",
        )
    return items


def provisioning_state(answer: httpx.Response) -> str:
    """`properties.provisioningState` in lower case; "" where there is none."""
    properties = error_body(answer).get("properties")
    return str(properties.get("provisioningState") or "").lower() if isinstance(properties, dict) else ""


def is_pending(answer: httpx.Response) -> bool:
    """Whether the resource in the answer is still being worked on."""
    state = provisioning_state(answer)
    return bool(state) and state != ENDED_WELL and state not in ENDED_BADLY
