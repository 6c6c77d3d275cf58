"""A request and an answer of the stand-in, apart from any HTTP server."""

import json
from dataclasses import dataclass, field
from typing import Any

from fleet.sandbox.arm.errors import ArmAnswerError, bad_request

MAX_BODY = 4 * 1024 * 1024  # ARM's limit for a request body, in bytes


@dataclass(frozen=True, slots=True)
class ArmRequest:
    """One request: `path` still percent-encoded, `query` with lower-case names, `body` raw bytes.

    `headers` are those that the answer may depend on, with lower-case names: If-Match and If-None-Match.
    """

    method: str
    path: str
    query: dict[str, str]
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def api_version(self) -> str:
        """The api-version, or "" where there is none."""
        return self.query.get("api-version", "")

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object with an object as `properties`; ARM's 400 or 413 otherwise."""
        if len(self.body) > MAX_BODY:
            raise ArmAnswerError(
                413, "RequestContentTooLarge", f"The request content exceeds {MAX_BODY} bytes."
            )
        try:
            value = json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
            raise bad_request(
                "InvalidRequestContent", f"The request content was invalid and could not be read: {reason}."
            ) from None
        if not isinstance(value, dict):
            raise bad_request("InvalidRequestContent", "The request content must be a JSON object.")
        for name, kind in (("properties", dict), ("tags", dict), ("location", str), ("identity", dict)):
            if value.get(name) is not None and not isinstance(value[name], kind):
                raise bad_request("InvalidRequestContent", f"'{name}' has the wrong JSON type.")
        return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@dataclass(slots=True)
class ArmResponse:
    """One answer: `body` is JSON, None for no content.

    `resources` are the resources in `body`, the same objects: their types' views are still to be
    laid over them, once the store's lock is released.
    """

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
