"""Which resource of the state each declared one continues: by its URN, an alias, or its parent's alias.

The rules are those of Pulumi's step generator (`generateAliases` in
pkg/resource/deploy/step_generator.go of pulumi/pulumi).
"""

import threading
from collections.abc import Iterator

from fleet.engine.local.checkpoint import ResourceState, make_urn
from fleet.engine.local.goals import STACK_TYPE, Alias, Goal
from fleet.engine.local.snapshot import Snapshot
from fleet.ports.engine import EngineError, StackRef


class Lineage:
    """The identities of one run: what the program declares, and what of the state that continues.

    Safe to use from several threads. A parent is asked for before its children, as the SDK registers them.
    """

    def __init__(self, stack: StackRef, snapshot: Snapshot) -> None:
        self._stack = stack
        self._snapshot = snapshot
        self._declared: set[str] = set()
        self._taken: dict[str, str] = {}
        self._former: dict[str, str] = {}
        self._lock = threading.RLock()

    def declare(self, urn: str) -> None:
        """Note a URN as the program's. Raises `EngineError` for one that it has used already."""
        with self._lock:
            if urn in self._declared:
                raise EngineError(f"the program declares {urn} twice; give one of them another name")
            if urn in self._taken:
                raise _taken_twice(urn, self._taken[urn], urn)
            self._declared.add(urn)

    def declared(self, urn: str) -> bool:
        """Whether the program has declared a URN so far."""
        with self._lock:
            return urn in self._declared

    def former(self, urn: str) -> str:
        """The URN under which the state had what the program declares; the same for what was not renamed."""
        with self._lock:
            return self._former.get(urn, urn)

    def find(self, goal: Goal) -> ResourceState | None:
        """The resource that a goal continues, under its URN or one of its aliases; None for a new one.

        Raises `EngineError` when another resource of the program is, or continues, the same.
        """
        with self._lock:
            for urn in (goal.urn, *self._aliases(goal)):
                if not self._snapshot.had(urn):
                    continue
                if urn != goal.urn:
                    if urn in self._declared:
                        raise _taken_twice(urn, urn, goal.urn)
                    if self._taken.setdefault(urn, goal.urn) != goal.urn:
                        raise _taken_twice(urn, self._taken[urn], goal.urn)
                    self._former[goal.urn] = urn
                    self._snapshot.rename(urn, goal.urn)
                return self._snapshot.old(urn)
        return None

    def _aliases(self, goal: Goal) -> Iterator[str]:
        own = [self._collapse(goal, alias) for alias in goal.aliases]
        yield from own
        former = self._former.get(goal.parent)
        if former is None:
            return
        parent = goal.parent.rsplit("::", 1)[-1]
        yield self._inherited(goal.type, goal.name, parent, former)
        for urn in own:
            type_, name = urn.split("::", 2)[2].rsplit("::", 1)
            yield self._inherited(type_.rsplit("$", 1)[-1], name, parent, former)

    def _collapse(self, goal: Goal, alias: Alias) -> str:
        if alias.urn:
            return alias.urn
        parent = goal.parent if alias.parent is None else self._former.get(alias.parent, alias.parent)
        of = StackRef(alias.project or self._stack.project, alias.stack or self._stack.name)
        return make_urn(of, parent, alias.type or goal.type, alias.name or goal.name)

    def _inherited(self, type_: str, name: str, parent: str, former: str) -> str:
        """The URN under which a child was when its parent was `former`.

        A child named after its parent, `<parent>-disk`, is taken to have been named after the former one.
        """
        if name.startswith(parent):
            name = former.rsplit("::", 1)[-1] + name.removeprefix(parent)
        is_stack = former.split("::")[2] == STACK_TYPE
        return make_urn(self._stack, "" if is_stack else former, type_, name)


def _taken_twice(urn: str, by: str, other: str) -> EngineError:
    return EngineError(
        f"{other} and {by} both continue {urn} of the state",
        "remove the alias from one of them, or give one another name",
    )
