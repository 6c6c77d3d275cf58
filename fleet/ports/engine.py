"""What the rest of the program asks of an infrastructure engine, whichever one runs underneath.

Two implementations exist: `fleet.engine.local.LocalEngine` (in process, for plans at fleet scale and for
the sandbox) and `fleet.engine.pulumi_cli.PulumiCliEngine` (the Pulumi CLI, for real Azure). Everything
here is plain data: it can be pickled, so that a run can be handed to a process pool.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from fleet.diagnostics.diagnostic import FleetError

Op: TypeAlias = Literal[
    "same", "create", "import", "update", "replace", "delete", "retain", "read", "refresh"
]
ChangeKind: TypeAlias = Literal["add", "remove", "update"]
EventKind: TypeAlias = Literal["started", "finished", "failed", "skipped", "recovered", "diagnostic"]
Severity: TypeAlias = Literal["debug", "info", "warning", "error"]
OnEvent: TypeAlias = Callable[["EngineEvent"], None]

SECRET: Final = "[secret]"  # noqa: S105 -- what is shown instead of one
"""Stands where a secret value would be shown. The value itself never leaves the engine."""

UNKNOWN: Final = "[unknown]"
"""Stands for a value that is known only after an effect, e.g. the id of a resource not created yet."""


@dataclass(frozen=True)
class StackRef:
    """One stack: `project` is the Pulumi project, `name` the stack, which is the site's name."""

    project: str
    name: str


@dataclass(frozen=True)
class RunOptions:
    """What one run may do beyond the default.

    `unprotect` lets a protected resource be deleted or replaced in this run.

    `targets` limits a run to some resources, each by its URN or by its name (every resource of that name);
    what is not among them stays as the state has it. Empty means all. `target_dependents` adds what depends
    on them, directly or not. Providers and the stack itself take part in any case, as in Pulumi. A target
    that needs a resource which does not exist yet and is no target fails (`UntargetedDependency`), and so
    does the deletion of one on which another resource still depends (`UntargetedDependant`).

    `dry_run` makes `up`, `refresh` and `destroy` say what they would do and change nothing, the state
    included. A refresh then still reads from the world.
    """

    unprotect: bool = False
    targets: tuple[str, ...] = ()
    target_dependents: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class StackRun:
    """One program to run against one stack.

    `program` is a picklable callable without arguments that declares resources with the Pulumi SDK.
    A configuration key without a namespace (`site`) belongs to the project (`project:site`), as in the
    Pulumi CLI. `secret_config` holds resolved values: they are never printed, and encrypted in the state.
    `parallel` is the most resources that are changed at the same time.
    """

    stack: StackRef
    program: Callable[[], None]
    config: Mapping[str, str] = field(default_factory=dict)
    secret_config: Mapping[str, str] = field(default_factory=dict, repr=False)
    parallel: int = 16
    options: RunOptions = RunOptions()


@dataclass(frozen=True)
class PropertyChange:
    """One input property that differs, e.g. `tags.env`. `before` and `after` are JSON values.

    A secret is shown as `SECRET` and an unknown as `UNKNOWN`; a side that does not exist is None.
    """

    path: str
    kind: ChangeKind
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class ResourceChange:
    """What a run did, or a preview would do, to one resource.

    `replace_keys` names the properties that cannot be changed in place. `ignored` names the inputs in which
    the program differs from the state and that its `ignore_changes` keeps as they are (unknown and secret
    values excluded); a resource that differs in nothing else has the op `same`. The op `retain` is a
    resource that leaves the stack and stays in the world (`retain_on_delete`).

    The op `import` takes over a resource that exists: `changes` are, in a preview, the inputs in which it
    (before) differs from the program (after), and any of them makes the import fail. `unread` says that a
    preview could not look at it, so that nothing is known of its differences.
    """

    urn: str
    type: str
    name: str
    op: Op
    changes: tuple[PropertyChange, ...] = ()
    replace_keys: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    unread: bool = False


@dataclass(frozen=True)
class StackResource:
    """One resource as the state of a stack has it, without asking the world.

    `inputs` is what was last sent, as JSON values with each secret shown as `SECRET`. `pending` says that
    an operation on it was cut short, so that the next run has to look what became of it. `failed` says
    that it exists and its last create or update did not end well: the next run repeats that.
    """

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    pending: bool = False
    failed: bool = False


@dataclass(frozen=True)
class EngineEvent:
    """One line of progress. `urn` and `op` are empty for what concerns the whole run."""

    kind: EventKind
    urn: str = ""
    op: Op | None = None
    message: str = ""
    severity: Severity = "info"


@dataclass(frozen=True)
class EngineFailure:
    """Why a resource, or the program (then `urn` is empty), failed. `code` is the provider's own."""

    urn: str
    code: str
    message: str

    @property
    def name(self) -> str:
        """The resource's name in the program; empty for the program itself."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True)
class StackResult:
    """The outcome of one run, sorted by URN. Resources that were left as they are have the op `same`.

    `counts` has one entry for each op that occurs. `outputs` are the stack's exports, masked. `error` is
    the first failure and `failures` all of them; what was not attempted because of one is in `skipped`.
    `pending` are the URNs of operations that an earlier run began and whose end is not known: a preview
    cannot tell what became of them, `up` looks.
    """

    stack: StackRef
    changes: tuple[ResourceChange, ...]
    counts: Mapping[Op, int]
    outputs: Mapping[str, Any]
    error: EngineFailure | None = None
    failures: tuple[EngineFailure, ...] = ()
    skipped: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, changed in the stack, or an operation's end is not known."""
        return bool(self.pending) or any(op not in ("same", "read") for op in self.counts)


class Engine(Protocol):
    """Brings a stack to what its program declares.

    A resource that fails is a value in the result; the errors below are raised when the run as a whole
    cannot go on.
    """

    def preview(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Say what `up` would do. Changes nothing."""
        ...

    def up(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Create, update, replace and delete until the stack is what the program declares."""
        ...

    def refresh(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Bring the state to what exists. Changes no resource. With `dry_run` only say how they differ."""
        ...

    def destroy(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Delete every resource of the stack, dependants first."""
        ...

    def resources(self, stack: StackRef) -> tuple[StackResource, ...]:
        """Say what the state of a stack has, sorted by URN; nothing for a stack without state.

        Asks neither the world nor for the passphrase. Raises `StateUnreadable`.
        """
        ...


class EngineError(FleetError):
    """A run could not start or go on. The message says what to do; no secret is in it."""

    def __init__(
        self,
        message: str,
        help: str = "",  # noqa: A002 -- FleetError's name
        *,
        code: str = "ENG001",
        exit_code: int = 1,
    ) -> None:
        super().__init__(code, message, help, exit_code)


class UnsupportedByLocalEngine(EngineError):  # noqa: N818 -- named for the situation
    """The program uses something that the local engine does not cover. `feature` names it."""

    def __init__(self, feature: str, urn: str = "") -> None:
        where = f" (at {urn})" if urn else ""
        super().__init__(
            f"the local engine does not support {feature}{where}",
            "run this stack with the pulumi engine",
            code="ENG002",
        )
        self.feature = feature


class StateLocked(EngineError):  # noqa: N818 -- named for the situation
    """Another run holds the stack. `holder` says who, `age_s` for how many seconds."""

    def __init__(self, stack: StackRef, holder: str, age_s: float) -> None:
        super().__init__(
            f"stack {stack.project}/{stack.name} is locked by {holder} for {age_s:.0f} s",
            "wait for that run to end, or stop it: the lock goes with its process",
            code="ENG003",
            exit_code=12,
        )
        self.stack, self.holder, self.age_s = stack, holder, age_s


class StateUnreadable(EngineError):  # noqa: N818 -- named for the situation
    """A state file is missing though there was one, is cut, is not JSON, is another stack's, or is of a
    version that this program does not know. `help` says what to do, where that is not the usual.
    """

    def __init__(self, path: str, reason: str, help: str = "") -> None:  # noqa: A002 -- FleetError's name
        super().__init__(
            f"cannot read the state {path}: {reason}; nothing was changed",
            help or f"the state before the last run is {path}.bak: compare, and copy it back if it is whole",
            code="ENG004",
            exit_code=9,
        )
        self.path, self.reason = path, reason


class PassphraseError(EngineError):
    """A secret must be read or written and the passphrase is missing or wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="ENG005", exit_code=11)


class PulumiCliMissing(EngineError):  # noqa: N818 -- named for the situation
    """No `pulumi` program is on PATH."""

    def __init__(self) -> None:
        super().__init__(
            "the pulumi engine needs the Pulumi CLI, and no `pulumi` is on PATH",
            "install it from https://www.pulumi.com/docs/install/, or use the local engine with the sandbox",
            code="ENG006",
            exit_code=11,
        )
