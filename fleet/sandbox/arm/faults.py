"""Faults on demand: which requests of the stand-in go wrong, and how.

A fault says when it applies (path pattern, type, methods, how often) and what happens: an HTTP
error, an operation that ends in failure, or a connection that breaks in the middle of the answer.
"""

import random
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from fleet.sandbox.arm.errors import ArmAnswerError, bad_request

FaultKind = Literal["http", "operation", "drop"]


@dataclass(slots=True)
class Fault:
    """One fault. All given conditions must hold; `count` is how many times it strikes (None: always).

    `path` is a regular expression searched in the request's path, `type` a full resource type;
    both ignore case. `probability` is drawn from a generator seeded with `seed`: a run can be
    repeated. `retry_after` is in seconds, for the Retry-After header of an HTTP fault.
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
        """The answer of an HTTP fault."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ArmAnswerError(self.status, self.code, self.message, headers=headers)

    def shown(self) -> dict[str, Any]:
        """The fault as JSON."""
        return {name: getattr(self, name) for name in ("id", *_FIELDS, "struck")}


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


_FIELDS: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "path": (str,),
    "type": (str,),
    "methods": (list,),
    "count": (int,),
    "probability": (int, float),
    "seed": (int,),
    "status": (int,),
    "code": (str,),
    "message": (str,),
    "retry_after": (int,),
}


def parse_fault(data: Any) -> Fault:
    """The fault in a JSON body; raises `ArmAnswerError` 400 that names the first thing wrong with it."""
    if not isinstance(data, dict):
        raise bad_request("InvalidFault", "A fault is a JSON object.")
    for name, value in data.items():
        if name not in _FIELDS:
            raise bad_request("InvalidFault", f"Unknown member '{name}'; known: {', '.join(_FIELDS)}.")
        if not isinstance(value, _FIELDS[name]) or isinstance(value, bool):
            raise bad_request("InvalidFault", f"'{name}' must be a {_FIELDS[name][-1].__name__}.")
    if data.get("kind", "http") not in ("http", "operation", "drop"):
        raise bad_request("InvalidFault", "'kind' is one of http, operation, drop.")
    if not 400 <= data.get("status", 500) <= 599:
        raise bad_request("InvalidFault", "'status' must be an HTTP error, 400 to 599.")
    if not 0 <= data.get("probability", 1) <= 1:
        raise bad_request("InvalidFault", "'probability' lies between 0 and 1.")
    if data.get("count", 1) < 1 or data.get("retry_after", 0) < 0:
        raise bad_request("InvalidFault", "'count' is at least 1 and 'retry_after' at least 0.")
    fields = {**data, "methods": tuple(str(method).upper() for method in data.get("methods", []))}
    try:
        return Fault(**fields)
    except re.error as error:
        raise bad_request("InvalidFault", f"'path' is not a regular expression: {error}.") from None
