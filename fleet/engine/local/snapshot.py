"""The state of one stack during one run: what was, what is, and what is in flight."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from fleet.engine.local.checkpoint import Deployment, PendingOperation, ResourceState

Save = Callable[[Deployment], None]


class Snapshot:
    """Merges the state before a run with what the run does, and saves it around every effect.

    As in Pulumi's snapshot manager, the resources of a state are those registered in this run, in order,
    then those of before that nobody has touched yet: dependencies always stand before dependants.
    `save` is None for a preview, which keeps its state to itself.
    """

    def __init__(self, base: Deployment, save: Save | None) -> None:
        self._base = base
        self._save = save
        self._fresh: list[ResourceState] = []
        self._done: set[int] = set()
        self._pending: list[PendingOperation] = []
        self._lock = threading.RLock()
        self._by_urn = {r.urn: r for r in base.resources if not r.delete}

    def old(self, urn: str) -> ResourceState | None:
        """The resource as the last run left it, unless this run has dealt with it."""
        with self._lock:
            state = self._by_urn.get(urn)
            return state if state is not None and id(state) not in self._done else None

    def current(self, urn: str) -> ResourceState | None:
        """The resource as it is now: registered in this run, or else as the last run left it."""
        with self._lock:
            return next((r for r in reversed(self._fresh) if r.urn == urn), None) or self.old(urn)

    def resources(self) -> list[ResourceState]:
        """All resources now, dependencies first."""
        with self._lock:
            return [*self._fresh, *self.untouched()]

    def untouched(self) -> list[ResourceState]:
        """What the last run left and this one has not registered, in order."""
        with self._lock:
            return [r for r in self._base.resources if id(r) not in self._done]

    def record(self, state: ResourceState, instead_of: ResourceState | None = None) -> None:
        """Register a resource of this run, which takes the place of one of before. Not saved yet."""
        with self._lock:
            self._fresh.append(state)
            if instead_of is not None:
                self._done.add(id(instead_of))

    def forget(self, state: ResourceState) -> None:
        """Remove a resource from the state. Not saved yet."""
        with self._lock:
            self._done.add(id(state))
            self._fresh = [r for r in self._fresh if r is not state]

    def adopt(self, state: ResourceState, instead_of: ResourceState | None) -> None:
        """Add a resource to what the last run left, as `fleet.engine.local.reads.settle` found it."""
        with self._lock:
            if instead_of is not None:
                self._done.add(id(instead_of))
            self._base.resources.append(state)
            self._by_urn[state.urn] = state

    def keep_pending(self, pending: list[PendingOperation]) -> None:
        """Keep operations of a dead run in the state, because nobody knows yet how they ended."""
        with self._lock:
            self._pending.extend(pending)

    @contextmanager
    def operation(self, kind: str, state: ResourceState) -> Iterator[None]:
        """Around an effect: its intent is on the disk before, and its outcome when the block ends.

        The block records the outcome itself, and may leave by an exception. A process that dies inside
        leaves the intent behind for `fleet.engine.local.reads.settle`.
        """
        pending = PendingOperation(replace(state), kind)
        with self._lock:
            self._pending.append(pending)
            try:
                self.save()
            except BaseException:
                self._pending.remove(pending)
                raise
        try:
            yield
        finally:
            with self._lock:
                self._pending = [p for p in self._pending if p is not pending]
                self.save()

    def save(self) -> None:
        """Write a checkpoint, if this run keeps any."""
        if self._save is None:
            return
        with self._lock:
            self._save(
                Deployment(
                    resources=_without_dangling(self.resources()),
                    pending=list(self._pending),
                    salt_state=self._base.salt_state,
                    metadata=self._base.metadata,
                )
            )


def _without_dangling(resources: list[ResourceState]) -> list[ResourceState]:
    """Drop references to resources that are gone; the Pulumi CLI refuses a state that has any."""
    seen: set[str] = set()
    result = []
    for state in resources:
        gone = state.references - seen - {state.provider.rsplit("::", 1)[0], state.parent}
        if gone:
            state = replace(
                state,
                dependencies=[u for u in state.dependencies if u not in gone],
                property_dependencies={
                    key: [u for u in urns if u not in gone]
                    for key, urns in state.property_dependencies.items()
                },
            )
        seen.add(state.urn)
        result.append(state)
    return result
