"""State files: one a stack, written so that no crash can lose more than the operation in flight."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.engine.local.checkpoint import Deployment
from fleet.engine.local.secrets import StackSecrets
from fleet.ports.engine import StackRef, StateLocked, StateUnreadable


class StateStore:
    """A folder of state files, `<project>/<stack>.json`, readable by their owner only.

    A checkpoint is written beside the file, synced and renamed over it; the one before stays as `.bak`.
    Two processes may share a folder: a stack is locked while it is changed. The lock is the kernel's, so
    it ends with its process, however that ends. Not for a network file system without working locks.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, stack: StackRef) -> Path:
        """Where a stack's state is. Raises ValueError for a name that is not a plain file name."""
        for part in (stack.project, stack.name):
            if not part or part in (".", "..") or "/" in part or "\0" in part:
                raise ValueError(f"{part!r} cannot name a stack or project")
        return self.directory / stack.project / f"{stack.name}.json"

    def load(self, stack: StackRef) -> Deployment:
        """Read a stack's state; a stack that has none is empty. Raises `StateUnreadable`."""
        path = self.path(stack)
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return Deployment()
        except (OSError, UnicodeDecodeError) as error:
            raise StateUnreadable(str(path), str(error)) from error
        try:
            return Deployment.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise StateUnreadable(str(path), f"it is not whole JSON ({error})") from error
        except ValueError as error:
            raise StateUnreadable(str(path), str(error)) from error

    def save(self, stack: StackRef, deployment: Deployment, secrets: StackSecrets) -> None:
        """Replace a stack's state. When this returns, it is on the disk."""
        path = self.path(stack)
        document = deployment.to_json(secrets, datetime.now(UTC))
        _make_private(path.parent)
        fresh = path.with_suffix(".json.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        _keep_backup(path)
        fresh.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextmanager
    def lock(self, stack: StackRef) -> Iterator[None]:
        """Hold a stack while it is changed. Raises `StateLocked` at once if someone else does."""
        path = self.path(stack).with_suffix(".lock")
        _make_private(path.parent)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _locked(stack, file.read()) from None
            file.truncate(0)
            json.dump({"holder": f"{socket.gethostname()} pid {os.getpid()}", "since": time.time()}, file)
            file.flush()
            try:
                yield
            finally:
                file.seek(0)
                file.truncate(0)


def _locked(stack: StackRef, note: str) -> StateLocked:
    holder: dict[str, Any] = {}
    # The holder may be writing its note at this moment: the lock is what counts.
    with suppress(json.JSONDecodeError):
        holder = json.loads(note)
    since = float(holder.get("since", time.time()))
    return StateLocked(stack, str(holder.get("holder", "another process")), max(0.0, time.time() - since))


def _make_private(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def _keep_backup(path: Path) -> None:
    """Give the current file the name `.bak` too, so that there is no moment without a whole state."""
    staged = path.with_suffix(".json.bak.new")
    staged.unlink(missing_ok=True)
    try:
        os.link(path, staged)
    except FileNotFoundError:
        return
    staged.replace(path.with_suffix(".json.bak"))
