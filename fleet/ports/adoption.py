"""What taking over a site asks of an engine: look at what exists as a program declares it, then own it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from fleet.plan.adoption import Adoptee
from fleet.ports.engine import StackRun


@dataclass(frozen=True)
class OtherName:
    """A role assignment that exists under another GUID than the program's, by its resource's name."""

    resource: str
    name: str
    principal: str


@dataclass(frozen=True)
class Looked:
    """What a site's resources are beside Azure.

    `own` writes the state in which they belong to the site; Azure is not touched. It works inside of the
    `look` that gave it, once, and where that was asked for.
    """

    resources: tuple[Adoptee, ...]
    other_names: tuple[OtherName, ...]
    own: Callable[[], None]


class Adopter(Protocol):
    """Takes over what exists. Changes nothing outside of a stack's state."""

    def look(self, run: StackRun, *, to_own: bool) -> AbstractContextManager[Looked]:
        """Put what the run's program declares beside what Azure has.

        `to_own` holds the stack's lock, needs the run's secrets, and lets the program ask for the key of a
        witness, as `up` does. Raises `FleetError`: ADP001 where the program could not be followed to its
        end, ADP002 where an earlier run was cut short, ENG003 where the stack is locked.
        """
        ...
