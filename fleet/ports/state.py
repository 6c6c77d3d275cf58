"""What a plan asks of the place where Pulumi keeps the stacks of production: to be read, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fleet.diagnostics.diagnostic import FleetError
from fleet.ports.engine import StackRef

_EXIT_USAGE, _EXIT_MISSING = 2, 11


@dataclass(frozen=True)
class StackEntry:
    """A stack as its backend lists it: where its checkpoint is, and the locks that stand beside it.

    `key` and `locks` are the backend's own names. `note` is what a person should know before the stack is
    read; empty for nothing.
    """

    stack: StackRef
    key: str
    locks: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class StackLock:
    """Who holds a stack (`user@host`, pid) and since when (RFC 3339); empty where it is not told."""

    holder: str = ""
    since: str = ""


@dataclass(frozen=True)
class RecordedStack:
    """What the last checkpoint of a stack has, its secrets sealed.

    `place` names the checkpoint for a person. `document` is the deployment as `pulumi stack export` writes
    it (`{"version": 3, "deployment": …}`). `digest` is the sha256 of the bytes that were read.
    `secrets_provider` is Pulumi's word for who sealed the secrets (`passphrase`, `cloud`, `service`), empty
    for a stack without. `sealed` are the inputs that hold one, as `resource: path`. `tainted` are resources
    that the Pulumi CLI replaces whatever their inputs are. `in_cluster` is how many are objects inside of the
    site's cluster, which no plan without its kubeconfig looks at.
    """

    stack: StackRef
    place: str
    document: Mapping[str, Any]
    digest: str
    locks: tuple[StackLock, ...] = ()
    secrets_provider: str = ""
    sealed: tuple[str, ...] = ()
    tainted: tuple[str, ...] = ()
    in_cluster: int = 0
    note: str = ""


class StateSource(Protocol):
    """A backend, opened for reading. Nothing is written to it and no lock is taken.

    Both methods raise `BackendError` where the backend can't be used, and
    `fleet.ports.engine.StateUnreadable` for one stack's file.
    """

    @property
    def name(self) -> str:
        """The backend for a person: its URL without anything that could be secret."""
        ...

    def stacks(self, project: str) -> Mapping[str, StackEntry]:
        """The project's stacks, by name."""
        ...

    def read(self, entry: StackEntry) -> RecordedStack:
        """The stack's last checkpoint, and who holds it now."""
        ...


class BackendError(FleetError):
    """A backend that can't be read: BCK001 to BCK007 of `fleet/diagnostics/codes.yaml`."""

    def __init__(self, code: str, message: str, help: str) -> None:  # noqa: A002 -- FleetError's name
        super().__init__(code, message, help, _EXIT_USAGE if code == "BCK001" else _EXIT_MISSING)
