"""The state of one stack during one run: what was, what is, and what is in flight."""

import threading
from collections.abc import Callable, Iterator, Mapping
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
        self._renamed: dict[str, str] = {}

    def had(self, urn: str) -> bool:
        """Whether the last run left a resource under a URN, whatever this run has done with it."""
        with self._lock:
            return urn in self._by_urn

    def rename(self, old: str, new: str) -> None:
        """Note that a resource goes on under another URN: what references it follows."""
        with self._lock:
            self._renamed[old] = new

    def renamed(self, reference: str) -> str:
        """A provider reference (`urn::id`) as it is after the renames so far."""
        with self._lock:
            urn, separator, id_ = reference.rpartition("::")
            return self._renamed.get(urn, urn) + separator + id_

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

    def record(
        self,
        state: ResourceState,
        instead_of: ResourceState | None = None,
        *,
        successor_of: ResourceState | None = None,
    ) -> None:
        """Register a resource of this run, which takes the place of one of before. Not saved yet.

        The one that it is the `successor_of` exists beside it until the end of the run, and is marked for
        deletion at the same moment: no checkpoint may have two resources of one URN.
        """
        with self._lock:
            self._fresh.append(state)
            if instead_of is not None:
                self._done.add(id(instead_of))
            if successor_of is not None:
                successor_of.delete = True

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
                    resources=_whole(self.resources(), self._renamed),
                    pending=list(self._pending),
                    salt_state=self._base.salt_state,
                    metadata=self._base.metadata,
                )
            )


def _whole(resources: list[ResourceState], renamed: Mapping[str, str]) -> list[ResourceState]:
    """The resources as the Pulumi CLI takes them: it refuses a state with a reference that leads nowhere.

    References to a resource that the program renamed follow it. What is gone is no dependency any more, and
    the child of a parent that is gone has none.
    """
    standing = {state.urn for state in resources}
    followed = {old: new for old, new in renamed.items() if new in standing}
    if followed:
        resources = [_repaired(state, followed, standing) for state in resources]
    there: set[str] = set()
    whole = []
    for state in _dependencies_first(resources):
        whole.append(_repaired(state, {}, there))
        there.add(state.urn)
    return whole


def _repaired(state: ResourceState, renamed: Mapping[str, str], there: set[str]) -> ResourceState:
    urn, _, id_ = state.provider.rpartition("::")
    references = {*state.dependencies, state.parent, state.deleted_with}
    for urns in state.property_dependencies.values():
        references.update(urns)
    if urn not in renamed and not references & renamed.keys() and references - {""} <= there:
        return state

    def kept(urns: list[str]) -> list[str]:
        now = (renamed.get(urn, urn) for urn in urns)
        return [urn for urn in dict.fromkeys(now) if urn in there and urn != state.urn]

    return replace(
        state,
        dependencies=kept(state.dependencies),
        property_dependencies={key: kept(urns) for key, urns in state.property_dependencies.items()},
        parent=next(iter(kept([state.parent])), ""),
        deleted_with=next(iter(kept([state.deleted_with])), ""),
        provider=f"{renamed[urn]}::{id_}" if urn in renamed else state.provider,
    )


def _dependencies_first(resources: list[ResourceState]) -> list[ResourceState]:
    """The same resources, each after what it references; in the order given where that is so already.

    It is not when a resource that this run leaves as it is, not being a target, references one that the
    program no longer has.
    """
    standing = {state.urn: state for state in resources if state.delete}
    standing |= {state.urn: state for state in resources if not state.delete}
    before: set[str] = set()
    for state in resources:
        if not (state.references & standing.keys()) - before <= {state.urn}:
            break
        before.add(state.urn)
    else:
        return resources
    ordered: list[ResourceState] = []
    seen: set[int] = set()
    for state in resources:
        # Depth first without recursion: a chain of dependencies may be longer than Python's stack.
        trail = [(state, iter(sorted(state.references)))] if id(state) not in seen else []
        seen.add(id(state))
        while trail:
            current, references = trail[-1]
            for urn in references:
                other = standing.get(urn)
                if other is not None and id(other) not in seen:
                    seen.add(id(other))
                    trail.append((other, iter(sorted(other.references))))
                    break
            else:
                ordered.append(current)
                trail.pop()
    return ordered
