"""What exists in the stand-in: resources (resource groups are resources too) and operations.

One re-entrant lock guards everything; whoever reads and then writes holds `store.lock` around both.
With a file, every change is written through to SQLite at once, so that a killed sandbox continues
where it was. Secrets never get here: write-only properties are removed before a record is stored.
"""

import copy
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fleet.sandbox.arm.ids import group_id_of, group_of

JsonObject = dict[str, Any]
_FINISHED_KEPT = 20_000  # operations a client may still ask about


@dataclass(slots=True)
class Record:
    """One resource: `body` is what clients sent, `managed` what the provider owns and lays over it."""

    id: str
    type: str
    name: str
    body: JsonObject
    managed: JsonObject = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The id as ARM compares it."""
        return self.id.lower()

    def manage(self, **properties: Any) -> None:
        """Set provider-owned members of `properties`."""
        self.managed.setdefault("properties", {}).update(properties)

    def property(self, name: str) -> Any:
        """A member of `properties` as a client would see it, or None."""
        managed = self.managed.get("properties") or {}
        return managed[name] if name in managed else (self.body.get("properties") or {}).get(name)

    def shown(self) -> JsonObject:
        """The resource as a client sees it (a copy)."""
        seen = merged(copy.deepcopy(self.body), copy.deepcopy(self.managed))
        return {"id": self.id, "name": self.name, "type": self.type, **seen}


@dataclass(slots=True)
class Operation:
    """A long-running operation: what it does to which resource, and when (seconds since the epoch)."""

    id: str
    verb: str  # "put" or "delete"
    resource_id: str
    type: str
    started: float
    due: float
    planned_error: JsonObject | None = None  # a fault that was ordered: {"code", "message"}
    finished: float | None = None
    error: JsonObject | None = None

    @property
    def status(self) -> str:
        """ARM's word for it."""
        if self.finished is None:
            return "InProgress"
        return "Failed" if self.error else "Succeeded"


def merged(base: JsonObject, over: JsonObject) -> JsonObject:
    """`base` with `over` laid over it, object by object, in place; `base` is returned."""
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            merged(base[name], value)
        else:
            base[name] = value
    return base


class Store:
    """The records and operations, thread-safe, written through to `file` where one is given."""

    def __init__(self, file: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._by_type: dict[str, dict[str, Record]] = {}
        self._by_group: dict[str, dict[str, Record]] = {}
        self._operations: dict[str, Operation] = {}
        self._registered: dict[str, float] = {}
        self._file: sqlite3.Connection | None = None
        if file is not None:
            self._open(file)

    def get(self, resource_id: str) -> Record | None:
        """The record with this id (compared without case), or None."""
        with self.lock:
            return self._records.get(resource_id.lower())

    def save(self, record: Record) -> Record:
        """Store a new or changed record, and return it."""
        with self.lock:
            self._index(record)
            self._write("record", record.key, asdict(record))
            return record

    def remove_tree(self, resource_id: str) -> None:
        """Remove a resource and everything beneath it. Nothing happens when it does not exist."""
        with self.lock:
            for record in [*self.beneath(resource_id), *filter(None, [self.get(resource_id)])]:
                del self._records[record.key]
                self._by_type[record.type.lower()].pop(record.key, None)
                if group_of(record.id):
                    self._by_group[group_id_of(record.id).lower()].pop(record.key, None)
                self._erase("record", record.key)

    def beneath(self, scope: str, resource_type: str | None = None) -> list[Record]:
        """Every record whose id lies under `scope`, optionally of one type, sorted by id."""
        with self.lock:
            prefix = f"{scope.lower()}/"
            if group_of(scope):
                pool = self._by_group.get(group_id_of(scope).lower(), {})
            elif resource_type:
                pool = self._by_type.get(resource_type.lower(), {})
            else:
                pool = self._records
            wanted = resource_type.lower() if resource_type else None
            return [
                pool[key]
                for key in sorted(pool)
                if key.startswith(prefix) and (wanted is None or pool[key].type.lower() == wanted)
            ]

    def everything(self) -> list[Record]:
        """Every record, in no order that means anything."""
        with self.lock:
            return list(self._records.values())

    def of_type(self, resource_type: str) -> list[Record]:
        """Every record of one type, in every subscription."""
        with self.lock:
            pool = self._by_type.get(resource_type.lower(), {})
            return [pool[key] for key in sorted(pool)]

    def operation(self, operation_id: str) -> Operation | None:
        """The operation with this id, or None."""
        with self.lock:
            return self._operations.get(operation_id.lower())

    def save_operation(self, operation: Operation) -> None:
        """Store a new or changed operation; the oldest finished ones are forgotten."""
        with self.lock:
            self._operations[operation.id.lower()] = operation
            self._write("operation", operation.id.lower(), asdict(operation))
            if len(self._operations) > 2 * _FINISHED_KEPT:
                finished = [key for key, op in self._operations.items() if op.finished is not None]
                for key in finished[:-_FINISHED_KEPT]:
                    del self._operations[key]
                    self._erase("operation", key)

    def running(self) -> Iterator[Operation]:
        """Operations that have not ended, the one that is due first in front."""
        with self.lock:
            unfinished = [op for op in self._operations.values() if op.finished is None]
        return iter(sorted(unfinished, key=lambda op: op.due))

    def running_on(self, resource_id: str, *, beneath: bool = False) -> Operation | None:
        """The unfinished operation on a resource (or, with `beneath`, on anything under it), or None."""
        key = resource_id.lower()
        for operation in self.running():
            target = operation.resource_id.lower()
            if target == key or (beneath and target.startswith(f"{key}/")):
                return operation
        return None

    def register(self, subscription: str, namespace: str, ready_at: float) -> None:
        """Note that a resource provider is registered in a subscription from `ready_at` on."""
        with self.lock:
            key = f"{subscription}/{namespace}".lower()
            self._registered.setdefault(key, ready_at)
            self._write("registration", key, {"ready_at": self._registered[key]})

    def unregister(self, subscription: str, namespace: str) -> None:
        """Forget that a resource provider is registered in a subscription."""
        with self.lock:
            key = f"{subscription}/{namespace}".lower()
            if self._registered.pop(key, None) is not None:
                self._erase("registration", key)

    def registered_at(self, subscription: str, namespace: str) -> float | None:
        """When the provider's registration is complete, or None where nobody registered it."""
        with self.lock:
            return self._registered.get(f"{subscription}/{namespace}".lower())

    def close(self) -> None:
        """Close the file, if there is one."""
        with self.lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _index(self, record: Record) -> None:
        self._records[record.key] = record
        self._by_type.setdefault(record.type.lower(), {})[record.key] = record
        if group_of(record.id):
            self._by_group.setdefault(group_id_of(record.id).lower(), {})[record.key] = record

    def _open(self, file: Path) -> None:
        self._file = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        # A kill of the process loses nothing; a power cut may lose the last changes of a sandbox.
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS item (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key))"
        )
        for kind, key, text in self._file.execute("SELECT kind, key, value FROM item ORDER BY rowid"):
            value = json.loads(text)
            if kind == "record":
                self._index(Record(**value))
            elif kind == "operation":
                self._operations[key] = Operation(**value)
            else:
                self._registered[key] = value["ready_at"]

    def _write(self, kind: str, key: str, value: JsonObject) -> None:
        if self._file is not None:
            self._file.execute("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", (kind, key, json.dumps(value)))

    def _erase(self, kind: str, key: str) -> None:
        if self._file is not None:
            self._file.execute("DELETE FROM item WHERE kind = ? AND key = ?", (kind, key))
