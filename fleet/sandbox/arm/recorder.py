"""What was asked of the stand-in and what it answered, without secrets.

Headers are never recorded. Replaced before anything is kept: write-only properties of the type
(`types.yaml`), keys from listKeys, members whose name says that they are secret, texts that look like a
secret (`fleet.diagnostics.secret_shapes`), and query parameters other than those that ARM defines.
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

from fleet.diagnostics.secret_shapes import secret_shape

REDACTED = "[redacted]"
_KEPT = 50_000  # exchanges in memory; the file has them all
_SECRET_NAME = re.compile(
    r"password|passwd|secret_?value|client_?secret|(access|account|api|shared|primary|secondary|storage)_?key$"
    r"|sas_?(token|url|uri)|private_?key|protected_?(settings|parameters)|connection_?string|https_?key"
    r"|(access|auth|bearer|refresh|id|registration)_?token|\btoken$|\bpwd$|\bauthorization$|credential_?value",
    re.IGNORECASE,
)
_ARM_QUERY = frozenset(
    {"api-version", "$filter", "$top", "$skip", "$skiptoken", "$expand", "$select", "$orderby"}
)
_LONGEST_SEARCHED = 200_000  # characters of a text that are searched for a secret; longer ones are left out


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. `time` is in seconds since the epoch; bodies are redacted copies.

    `status` is 0 where the request was not carried out because a fault broke the connection; `lost` says
    that the caller did not get to see the answer.
    """

    time: float
    method: str
    path: str
    query: dict[str, str]
    request: Any
    status: int
    response: Any
    request_id: str
    lost: bool = False


class Recorder:
    """Keeps exchanges in memory, and in a JSON-lines file (0600) where one is given. Thread-safe."""

    def __init__(self, file: Path | None = None) -> None:
        self._kept: deque[Exchange] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if file.is_file():  # one that was there already, and no terminal
                os.fchmod(self._descriptor, 0o600)

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


def redacted_query(query: dict[str, str]) -> dict[str, str]:
    """The query parameters that ARM defines, and of every other the name alone."""
    return {name: value if name in _ARM_QUERY else REDACTED for name, value in query.items()}


def replace_at(value: Any, path: str, *, replacement: Any = None, remove: bool = False) -> None:
    """Replace (or remove) what stands at a dotted path, in place; `name[]` says that it is a list.

    A list is gone into wherever one stands, so that a secret in a body of the wrong shape is found too.
    Member names are compared without case, as resource providers do.
    """
    for item in value if isinstance(value, list) else ():
        replace_at(item, path, replacement=replacement, remove=remove)
    if not isinstance(value, dict):
        return
    head, _, rest = path.partition(".")
    wanted = head.removesuffix("[]").lower()
    for name in [name for name in value if name.lower() == wanted]:
        if rest:
            replace_at(value[name], rest, replacement=replacement, remove=remove)
        elif remove:
            del value[name]
        else:
            value[name] = replacement


def _redact_names(value: Any) -> Any:
    if isinstance(value, dict):
        if _SECRET_NAME.search(str(value.get("name", ""))) and isinstance(value.get("value"), str):
            value = value | {"value": REDACTED}  # a pair, as an environment variable is written
        return {
            name: REDACTED if _SECRET_NAME.search(name) and item not in (None, "") else _redact_names(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_redact_names(item) for item in value]
    if isinstance(value, str) and (len(value) > _LONGEST_SEARCHED or secret_shape(value)):
        return REDACTED
    return value
