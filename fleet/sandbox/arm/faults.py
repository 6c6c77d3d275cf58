"""Faults on demand: which requests of the stand-in go wrong, and how.

A fault says when it applies (path pattern, type, methods, how often) and what happens:

| kind | what happens |
|---|---|
| http | the answer is an error: `status`, `code`, `message` |
| throttle | the answer is 429 with Retry-After, as when a limit of requests is exceeded |
| drop | the connection breaks, and the request was not carried out |
| lost | the request is carried out, and the connection breaks instead of the answer |
| operation | the long operation that the request begins fails with `code`, after `after` seconds |
| slow | the long operation that the request begins takes `after` seconds |
"""

import random
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from fleet.sandbox.arm.errors import ArmAnswerError, known_problem
from fleet.sandbox.arm.types import load_types

FaultKind = Literal["http", "throttle", "drop", "lost", "operation", "slow"]

_KINDS: Final = get_args(FaultKind)
_MAX_PATTERN: Final = 500  # characters of a path pattern


class FaultError(ValueError):
    """An order for a fault that can't be carried out. `member` names what is wrong with it, "" for all."""

    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member
        self.message = message


@dataclass(slots=True)
class Fault:
    """One fault. All given conditions must hold; `count` is how many times it strikes (None: always).

    `path` is a regular expression searched in the request's path, `type` a full resource type;
    both ignore case. `probability` is drawn from a generator seeded with `seed`: the same requests in
    the same order are struck again. `retry_after` is in seconds, for the header Retry-After; `after` is in
    seconds of real life, scaled by the sandbox's clock factor, None: as long as the operation takes anyway.
    """

    kind: FaultKind = "http"
    path: str = ""
    type: str | None = None
    methods: tuple[str, ...] = ()
    count: int | None = None
    probability: float = 1.0
    seed: int = 0
    status: int = 500
    code: str = "InternalServerError"
    message: str = "A fault that was ordered from the sandbox."
    retry_after: int | None = None
    after: float | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    struck: int = 0
    _pattern: re.Pattern[str] = field(init=False, repr=False)
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pattern = re.compile(self.path, re.IGNORECASE)
        self._random = random.Random(self.seed)  # noqa: S311 (a repeatable fault, not a secret)

    def strikes(self, method: str, path: str, resource_type: str | None) -> bool:
        """Whether it strikes this request; counts the strike."""
        if self.count is not None and self.struck >= self.count:
            return False
        if self.methods and method not in self.methods:
            return False
        if self.type and (resource_type or "").lower() != self.type.lower():
            return False
        if not self._pattern.search(path) or self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def problem(self) -> ArmAnswerError:
        """The answer of a fault of kind http or throttle."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ArmAnswerError(self.status, self.code, self.message, headers=headers)

    def shown(self) -> dict[str, Any]:
        """The fault as JSON."""
        values = {name: getattr(self, _MEMBERS[name].attribute) for name in _MEMBERS}
        return {"id": self.id, **values, "struck": self.struck}


class FaultBook:
    """The faults that are on order, first ordered, first asked. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Order a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault_id: str | None = None) -> int:
        """Cancel one fault, or all of them; how many there were."""
        with self._lock:
            kept = [] if fault_id is None else [f for f in self._faults if f.id != fault_id]
            removed = len(self._faults) - len(kept)
            self._faults = kept
        return removed

    def all(self) -> list[Fault]:
        """The faults on order."""
        with self._lock:
            return list(self._faults)

    def strike(
        self, kinds: tuple[FaultKind, ...], method: str, path: str, resource_type: str | None
    ) -> Fault | None:
        """The first fault of these kinds that strikes the request, or None."""
        with self._lock:
            return next(
                (f for f in self._faults if f.kind in kinds and f.strikes(method, path, resource_type)), None
            )


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a fault in JSON or YAML: its attribute, types, what it must be, which kinds have it."""

    attribute: str
    types: tuple[type, ...]
    must: str
    kinds: tuple[FaultKind, ...] = _KINDS


_MEMBERS: Final[Mapping[str, _Member]] = {
    "kind": _Member("kind", (str,), "text"),
    "path": _Member("path", (str,), "text"),
    "type": _Member("type", (str,), "text"),
    "methods": _Member("methods", (list,), "a list of HTTP methods"),
    "count": _Member("count", (int,), "a whole number"),
    "probability": _Member("probability", (int, float), "a number"),
    "seed": _Member("seed", (int,), "a whole number"),
    "status": _Member("status", (int,), "a whole number", ("http",)),
    "code": _Member("code", (str,), "text", ("http", "operation")),
    "message": _Member("message", (str,), "text", ("http", "throttle", "operation")),
    "retryAfter": _Member("retry_after", (int,), "a whole number", ("http", "throttle")),
    "after": _Member("after", (int, float), "a number", ("operation", "slow")),
}
FAULT_MEMBERS: Final = tuple(_MEMBERS)
"""What a fault in JSON or YAML may have."""


def parse_fault(data: Any) -> Fault:
    """The fault in a JSON or YAML mapping; `FaultError` names the first thing that is wrong with it.

    A `code` that the sandbox knows (problems.yaml) brings its status and message along.
    """
    if not isinstance(data, dict):
        raise FaultError("", "a fault is a mapping of members to values")
    for name, value in data.items():
        if name not in _MEMBERS:
            raise FaultError(str(name), f"a fault has no '{name}'; it may have {', '.join(_MEMBERS)}")
        if not isinstance(value, _MEMBERS[name].types) or isinstance(value, bool):
            raise FaultError(name, f"'{name}' must be {_MEMBERS[name].must}")
    kind = data.get("kind", "http")
    if kind not in _KINDS:
        raise FaultError("kind", f"'kind' is one of {', '.join(_KINDS)}")
    for name in data:
        if kind not in _MEMBERS[name].kinds:
            raise FaultError(name, f"a fault of kind {kind} has no '{name}'")
    _check_values(data, kind)
    fields = {_MEMBERS[name].attribute: value for name, value in data.items()}
    fields["methods"] = tuple(str(method).upper() for method in data.get("methods", []))
    return Fault(**{**_usual(kind, data.get("code")), **fields})


def _check_values(data: Mapping[str, Any], kind: FaultKind) -> None:
    resource_type = data.get("type", "").lower()
    known = load_types().types
    # A POST action's name stands behind its resource's type: Microsoft.Storage/storageAccounts/listKeys.
    if resource_type and not {resource_type, resource_type.rpartition("/")[0]} & known.keys():
        raise FaultError("type", f"the sandbox has no type '{data['type']}': the fault would never strike")
    if not 400 <= data.get("status", 500) <= 599:
        raise FaultError("status", "'status' must be an HTTP error, 400 to 599")
    if not 0 <= data.get("probability", 1) <= 1:
        raise FaultError("probability", "'probability' lies between 0 and 1")
    if data.get("count", 1) < 1:
        raise FaultError("count", "'count' is at least 1")
    for name in ("retryAfter", "after"):
        if not 0 <= data.get(name, 0) <= 1_000_000:
            raise FaultError(name, f"'{name}' is a number of seconds, at least 0 and below twelve days")
    for method in data.get("methods", []):
        if str(method).upper() not in ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"):
            raise FaultError("methods", f"{method!r} is no HTTP method that Azure Resource Manager has")
    if kind == "slow" and "after" not in data:
        raise FaultError("", "a fault of kind slow needs 'after', in seconds of real life")
    if "code" in data and not re.fullmatch(r"[A-Za-z][A-Za-z0-9._]{0,99}", data["code"]):
        raise FaultError("code", "'code' is one word, as in ARM's errors: QuotaExceeded")
    try:
        if len(data.get("path", "")) > _MAX_PATTERN:
            raise FaultError("path", f"'path' is longer than {_MAX_PATTERN} characters")
        re.compile(data.get("path", ""))
    except (re.error, OverflowError, RecursionError) as error:
        raise FaultError("path", f"'path' is not a regular expression: {error}") from None


def _usual(kind: FaultKind, code: str | None) -> dict[str, Any]:
    """What a fault of that kind is where the order does not say."""
    if kind == "throttle":
        problem = known_problem("SubscriptionRequestsThrottled")
        return {"status": 429, "retry_after": 1, "code": problem.code, "message": problem.message}
    if code is not None and (known := known_problem(code)).status:
        return {"status": known.status, "message": known.message}
    return {}
