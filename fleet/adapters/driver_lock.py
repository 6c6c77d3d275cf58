"""The lock that keeps the drivers of a journal to one.

It is flock(2) on a file, so it needs a local file system and a POSIX system; it goes with its process.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.ports.rollout import Clock, DriverLockedError, Holder, JournalError
from fleet.rollout.spec import canonical_json


@dataclass(frozen=True)
class DriverLock:
    """The lock in the file `path`, which tells of its holder."""

    path: Path
    clock: Clock

    @contextmanager
    def hold(self) -> Iterator[Holder]:
        """Hold the lock until the block ends or the process and its forked workers died.

        Raises DriverLockedError at once when another process has it, JournalError when it can't be made.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from error
        try:
            if not _try_lock(fd, fcntl.LOCK_EX, patience_seconds=0.5):
                raise self._locked(_read_holder(fd))
            holder = Holder(os.getpid(), socket.gethostname(), self.clock.now())
            os.ftruncate(fd, 0)
            os.pwrite(fd, canonical_json([holder.pid, holder.host, holder.since]).encode(), 0)
            try:
                yield holder
            finally:
                os.ftruncate(fd, 0)
                # Forked pool workers share this lock; closing our descriptor alone would leave it theirs.
                fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)

    def holder(self) -> Holder | None:
        """Who holds the lock now; a holder with pid 0 is one that has not written its name yet."""
        try:
            fd = os.open(self.path, os.O_RDWR)
        except OSError:
            return None
        try:
            # Asking takes a shared lock for an instant, which a starting driver waits out.
            free = _try_lock(fd, fcntl.LOCK_SH, patience_seconds=0.0)
            return None if free else _read_holder(fd) or Holder(0, "unknown", self.clock.now())
        finally:
            os.close(fd)

    def _locked(self, holder: Holder | None) -> DriverLockedError:
        if holder is None:
            return DriverLockedError(f"another driver is starting with {self.path}", None, None)
        age = max(0.0, self.clock.now() - holder.since)
        message = f"{self.path} is held by process {holder.pid} on {holder.host} for {age:.0f} s"
        return DriverLockedError(message, holder, age)


def _try_lock(fd: int, how: int, patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)


def _read_holder(fd: int) -> Holder | None:
    try:
        pid, host, since = json.loads(os.pread(fd, 4096, 0))
        return Holder(int(pid), str(host), float(since))
    except (ValueError, TypeError):
        return None
