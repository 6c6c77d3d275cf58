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
from fleet.engine.local.integrity import flaw
from fleet.engine.local.secrets import StackSecrets
from fleet.ports.engine import StackRef, StateLocked, StateUnreadable


class StateStore:
    """A folder of state files, `<project>/<stack>.json`, readable by their owner only.

    A checkpoint is written beside the file, synced and renamed over it. `.bak` is the state as it was
    before the last run that changed it; of a stack that had none, an empty one. So a stack that was ever
    written has a `.bak`, and one whose file is missing beside it was lost: it is not taken for a new one.
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
        """Read a stack's state; a stack that never had one is empty. Raises `StateUnreadable`."""
        path = self.path(stack)
        try:
            text = _read(path)
            # Looked for again: a first run may have written both files in between.
            if text is None and _backup(path).exists() and (text := _read(path)) is None:
                raise StateUnreadable(
                    str(path),
                    "it is missing, and its backup is there",
                    f"copy {_backup(path)} back to it, then run refresh; or, if the stack is really new, "
                    "remove the backup",
                )
        except (OSError, UnicodeDecodeError) as error:
            raise StateUnreadable(str(path), str(error)) from error
        if text is None:
            return Deployment()
        try:
            deployment = Deployment.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise StateUnreadable(str(path), f"it is not whole JSON ({error})") from error
        except ValueError as error:
            raise StateUnreadable(str(path), str(error)) from error
        _refuse_foreign(path, stack, deployment)
        if (wrong := flaw(deployment.resources)) is not None:
            raise StateUnreadable(str(path), wrong)
        return deployment

    def stacks(self) -> frozenset[StackRef]:
        """The stacks that have a state here, emptied ones included."""
        return frozenset(StackRef(path.parent.name, path.stem) for path in self.directory.glob("*/*.json"))

    def save(
        self, stack: StackRef, deployment: Deployment, secrets: StackSecrets, *, backup: bool = True
    ) -> None:
        """Replace a stack's state. When this returns, it is on the disk.

        With `backup`, the state that it replaces becomes `.bak`: so for the first checkpoint of a run.
        """
        path = self.path(stack)
        _make_private(path.parent)
        fresh = _write_beside(path, deployment.to_json(secrets, datetime.now(UTC)))
        is_new = not path.exists()
        if backup and not is_new:
            _keep_backup(path)
        fresh.replace(path)
        if is_new:
            # After the state itself: a backup alone would mean that the state was lost.
            nothing = Deployment().to_json(StackSecrets(None), datetime.now(UTC))
            _write_beside(_backup(path), nothing).replace(_backup(path))
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


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None


def _write_beside(path: Path, document: dict[str, Any]) -> Path:
    """Write and sync a document that is to take the place of `path`; where it is now."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(document, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _backup(path: Path) -> Path:
    return path.with_name(path.name + ".bak")


def _keep_backup(path: Path) -> None:
    """Give the current file the name `.bak` too, so that there is no moment without a whole state."""
    staged = path.with_name(path.name + ".bak.new")
    staged.unlink(missing_ok=True)
    os.link(path, staged)
    staged.replace(_backup(path))


def _refuse_foreign(path: Path, stack: StackRef, deployment: Deployment) -> None:
    """Raise `StateUnreadable` for a state of another stack, e.g. one copied to the wrong name."""
    own = f"urn:pulumi:{stack.name}::{stack.project}::"
    states = [*deployment.resources, *(operation.resource for operation in deployment.pending)]
    foreign = next((state.urn for state in states if not state.urn.startswith(own)), None)
    if foreign is not None:
        raise StateUnreadable(
            str(path),
            f"it is of another stack: it has {foreign}, and its own begin with {own}",
            f"put this stack's own state there; {_backup(path)} is its state before the last run",
        )
