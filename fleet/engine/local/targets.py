"""The resources that a run is limited to."""

import difflib
import threading
from collections.abc import Iterable
from typing import Final, Protocol

from fleet.ports.engine import EngineError, RunOptions

UNTARGETED_DEPENDENCY: Final = "UntargetedDependency"
UNTARGETED_DEPENDANT: Final = "UntargetedDependant"


class Identified(Protocol):
    """A resource as a goal or as a state has it."""

    @property
    def urn(self) -> str:
        """Its URN."""
        ...

    @property
    def references(self) -> set[str]:
        """The URNs that it depends on."""
        ...


class Targets:
    """Says which resources are targets; see `fleet.ports.engine.RunOptions`. Safe in several threads.

    Dependants are found one link at a time, so resources are asked for after what they depend on.
    """

    def __init__(self, options: RunOptions) -> None:
        self._wanted = frozenset(options.targets)
        self._dependants = options.target_dependents
        self._met: set[str] = set()
        self._targeted: set[str] = set()
        self._lock = threading.Lock()

    @property
    def limited(self) -> bool:
        """Whether there are targets at all; without any, everything is one."""
        return bool(self._wanted)

    def covers(self, resource: Identified) -> bool:
        """Whether a resource is a target."""
        if not self._wanted:
            return True
        with self._lock:
            named = self._wanted & {resource.urn, resource.urn.rsplit("::", 1)[-1]}
            self._met |= named
            if named or (self._dependants and resource.references & self._targeted):
                self._targeted.add(resource.urn)
                return True
        return False

    def require_met(self, urns: Iterable[str]) -> None:
        """Raise `EngineError` if a target is none of the resources asked about, nor one of `urns`."""
        known = {*urns}
        known |= {urn.rsplit("::", 1)[-1] for urn in known}
        unknown = sorted(self._wanted - self._met - known)
        if not unknown:
            return
        near = difflib.get_close_matches(unknown[0], sorted(known), n=3)
        raise EngineError(
            f"there is no resource {unknown[0]!r} in the program or the state; nothing was changed",
            f"did you mean {' or '.join(near)}?" if near else "a target is a resource's name or its URN",
        )
