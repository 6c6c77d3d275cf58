"""The event loop that a program runs in, which notices when nothing can happen in it any more."""

import asyncio
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_GRACE_S: Final = 0.5
"""How long nothing may be under way: a thread that has just done its work still has to wake the loop."""


class _Workers(ThreadPoolExecutor):
    """A pool that knows how many of its calls are under way or waiting."""

    def __init__(self, max_workers: int) -> None:
        super().__init__(max_workers=max_workers)
        self._count = 0
        self._counting = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a call has not ended yet."""
        with self._counting:
            return self._count > 0

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> "Future[_R]":
        """As in `ThreadPoolExecutor`."""
        with self._counting:
            self._count += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        with self._counting:
            self._count -= 1


class _Watch(selectors.DefaultSelector):
    """Waits for the loop, and tells when it would wait for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], bool] = lambda: False
        self.stuck: Callable[[], None] = lambda: None

    def select(self, timeout: float | None = None) -> Any:
        """As in the class above it. A loop without a timeout has no timer and nothing ready."""
        if timeout is not None or not self.idle():
            return super().select(timeout)
        found = super().select(_GRACE_S)
        if not found and self.idle():
            self.stuck()
        return found


class ProgramLoop:
    """An event loop with `workers` threads for the calls of the SDK.

    `stuck` is called, in the loop, when it would wait for ever: no call is under way, no timer is set, no
    connection is open, and no thread of the program's own is there that could wake it.
    """

    def __init__(self, workers: int, stuck: Callable[[], None]) -> None:
        self._others = {*threading.enumerate()}
        self._workers = _Workers(workers)
        watch = _Watch()
        self.loop = asyncio.SelectorEventLoop(watch)
        self.loop.set_default_executor(self._workers)
        # The loop itself keeps one connection, by which threads wake it.
        self._own = len(watch.get_map())
        watch.stuck = stuck
        watch.idle = lambda: len(watch.get_map()) <= self._own and self._alone()

    def _alone(self) -> bool:
        if self._workers.busy:
            return False
        known = {*self._others, *self._workers._threads}
        return all(thread in known for thread in threading.enumerate())
