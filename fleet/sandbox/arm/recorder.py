"""What was asked of the stand-in and what it answered, without secrets.

Authorization headers are never looked at. Write-only properties of the type (`types.yaml`), keys
from listKeys and members whose name says that they are secret are replaced before anything is kept.
"""

import copy
import json
import os
import re
import threading
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REDACTED = "[redacted]"
_KEPT = 50_000  # exchanges in memory; the file has them all
_SECRET_NAME = re.compile(
    r"password|passwd|secretvalue|clientsecret|accesskey|accountkey|sastoken|privatekey|protected(settings|parameters)"
    r"|connectionstring|sshprivatekey|httpskey",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. `time` is in seconds since the epoch; bodies are redacted copies."""

    time: float
    method: str
    path: str
    query: dict[str, str]
    request: Any
    status: int
    response: Any
    request_id: str


class Recorder:
    """Keeps exchanges in memory, and in a JSON-lines file (0600) where one is given. Thread-safe."""

    def __init__(self, file: Path | None = None) -> None:
        self._kept: deque[Exchange] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, exchange: Exchange) -> None:
        """Keep an exchange whose bodies are already redacted."""
        with self._lock:
            self._kept.append(exchange)
            if self._descriptor is not None:
                os.write(self._descriptor, (json.dumps(asdict(exchange)) + "\n").encode())

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges so far, oldest first (the last 50,000)."""
        with self._lock:
            return list(self._kept)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def redacted(body: Any, write_only: tuple[str, ...] = ()) -> Any:
    """A copy of a JSON value with secrets replaced; `write_only` are paths as in `types.yaml`."""
    seen = _redact_names(copy.deepcopy(body))
    for path in write_only:
        replace_at(seen, path, replacement=REDACTED)
    return seen


def replace_at(value: Any, path: str, *, replacement: Any = None, remove: bool = False) -> None:
    """Replace (or remove) what stands at a dotted path, in place; `name[]` goes into a list's items.

    Member names are compared without case, as resource providers do.
    """
    if not isinstance(value, dict):
        return
    head, _, rest = path.partition(".")
    in_items = head.endswith("[]")
    wanted = head.removesuffix("[]").lower()
    for name in [name for name in value if name.lower() == wanted]:
        if rest:
            items = value[name] if in_items and isinstance(value[name], list) else [value[name]]
            for item in items:
                replace_at(item, rest, replacement=replacement, remove=remove)
        elif remove:
            del value[name]
        else:
            value[name] = replacement


def _redact_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: REDACTED if _SECRET_NAME.search(name) and item not in (None, "") else _redact_names(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_redact_names(item) for item in value]
    return value
