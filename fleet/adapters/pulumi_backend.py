"""Pulumi's self-managed backends, for reading: where stacks and locks are, whatever holds the files.

The layout is that of pkg/backend/diy of pulumi/pulumi: store.go (where a stack's file is), meta.go (the
version of the layout), state.go `stackPath` (which of several files counts) and lock.go. Nothing is written
and no lock is taken. Not read: backends in PostgreSQL and Google Cloud Storage, for which `cli` is.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import yaml

from fleet.adapters.pulumi_backend_blobs import BackendUrl, Blob, Blobs, FolderBlobs, parse_url
from fleet.adapters.pulumi_backend_checkpoint import recorded_stack
from fleet.ports.engine import StackRef, StateUnreadable
from fleet.ports.state import BackendError, RecordedStack, StackEntry, StackLock, StateSource

CLI: Final = "cli"
"""Instead of a URL: the backend that the Pulumi CLI is logged in to, through `pulumi stack export`."""
_META: Final = ".pulumi/meta.yaml"
_STACKS: Final = ".pulumi/stacks/"
_LOCKS: Final = ".pulumi/locks/"
_STACK_FILE: Final = re.compile(r"(?:(?P<project>[^/]+)/)?(?P<name>[^/]+?)\.json(?:\.gz|\.zst)?")
_LARGEST_NOTE: Final = 4096
"""Bytes of the files that say the layout and who holds a lock: a few words each."""
_ORGANIZATION: Final = "organization"
"""The one that a self-managed backend has."""


@cache
def open_state(url: str) -> StateSource:
    """The backend at a URL as `pulumi login` takes it, or `cli`; once a process.

    Raises `BackendError`, and `fleet.ports.engine.PulumiCliMissing` for `cli`.
    """
    if url == CLI:
        from fleet.adapters.pulumi_backend_cli import PulumiCliStates

        return PulumiCliStates()
    parts = parse_url(url)
    return PulumiBackend(_blobs(parts, url), parts.shown)


def _blobs(parts: BackendUrl, url: str) -> Blobs:
    if parts.scheme == "file":
        return FolderBlobs(parts, url)
    if parts.scheme == "s3":
        from fleet.adapters.pulumi_backend_s3 import S3Blobs

        return S3Blobs(parts)
    if parts.scheme == "azblob":
        from fleet.adapters.pulumi_backend_azure import AzureBlobs

        return AzureBlobs(parts)
    raise BackendError(
        "BCK001",
        f"fleet does not read a backend {parts.scheme or 'without a scheme'}{'://' if parts.scheme else ''}",
        "file://, s3:// or azblob://; --state cli reads whatever the Pulumi CLI is logged in to",
    )


@dataclass(frozen=True)
class PulumiBackend:
    """A self-managed backend: implements `fleet.ports.state.StateSource` over its files."""

    blobs: Blobs
    shown: str

    @property
    def name(self) -> str:
        """The URL without its query."""
        return self.shown

    def stacks(self, project: str) -> Mapping[str, StackEntry]:
        """The project's stacks. Raises `BackendError`: BCK003 where no backend is, BCK006 for a layout that
        is not known.
        """
        scoped = self._is_scoped()
        files = self.blobs.list(_STACKS)
        if scoped is None and not files:
            raise BackendError(
                "BCK003",
                f"no Pulumi backend is at {self.shown}: there is no {_META} and no stack",
                "look at the URL: pulumi whoami -v; a new backend is made by pulumi login URL",
            )
        newest = _newest(files)
        locks = _locks(self.blobs.list(_LOCKS))
        found = {}
        for (owner, name), blob in sorted(newest.items()):
            if owner == (project if scoped else ""):
                holder = f"{_ORGANIZATION}/{project}/{name}" if scoped else name
                found[name] = StackEntry(StackRef(project, name), blob.key, tuple(locks.get(holder, ())))
        return found

    def read(self, entry: StackEntry) -> RecordedStack:
        """The stack's checkpoint. Raises `StateUnreadable`, also for one that went away meanwhile."""
        place = f"{self.shown}/{entry.key}"
        data = self.blobs.get(entry.key)
        if data is None:
            raise StateUnreadable(place, "it is gone since the backend was listed", "plan again")
        held = tuple(lock for key in entry.locks if (lock := self._lock(key)) is not None)
        return recorded_stack(entry.stack, place, data, held, entry.note)

    def _is_scoped(self) -> bool | None:
        """Whether stacks stand below their project (version 1); None without a file that says it."""
        data = self.blobs.get(_META)
        if data is None:
            return None
        version = None
        try:
            if len(data) <= _LARGEST_NOTE:
                version = yaml.safe_load(data)["version"]
        except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError):
            pass
        if isinstance(version, int) and not isinstance(version, bool) and version in (0, 1):
            return bool(version)
        if not isinstance(version, int):
            version = None
        raise BackendError(
            "BCK006",
            f"{self.shown}/{_META} names the layout {version!r}, and only 0 and 1 are known",
            "--state cli reads it with a Pulumi CLI that knows it",
        )

    def _lock(self, key: str) -> StackLock | None:
        """Who holds a lock; None for one that was released meanwhile."""
        data = self.blobs.get(key)
        if data is None:
            return None
        try:
            content = json.loads(data[:_LARGEST_NOTE])
            holder = f"{content['username']}@{content['hostname']} (pid {content['pid']})"
            return StackLock(holder, str(content["timestamp"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return StackLock()  # being written at this moment: that it is there is what counts


def _newest(files: list[Blob]) -> dict[tuple[str, str], Blob]:
    """By project (empty in the old layout) and stack, the file that counts: the one written last."""
    found: dict[tuple[str, str], Blob] = {}
    for blob in files:
        match = _STACK_FILE.fullmatch(blob.key.removeprefix(_STACKS))
        if match is None:
            continue
        key = (match["project"] or "", match["name"])
        if key not in found or blob.modified >= found[key].modified:
            found[key] = blob
    return found


def _locks(files: list[Blob]) -> dict[str, list[str]]:
    """Keys of lock files by what they lock, as the CLI qualifies it."""
    found: dict[str, list[str]] = {}
    for blob in files:
        holder, _, file = blob.key.removeprefix(_LOCKS).rpartition("/")
        if file.endswith(".json"):
            found.setdefault(holder, []).append(blob.key)
    return found
