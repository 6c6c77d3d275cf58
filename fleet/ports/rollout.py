"""What a rollout needs from the world: a journal, something to run steps, health, the time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleet.rollout.events import Event, IntentKind, RunState, Verdict
from fleet.rollout.spec import RolloutSpec, SiteRecord, Step


class JournalError(Exception):
    """The journal cannot be used; the message says why and names the file."""


class JournalMissingError(JournalError):
    """There is no journal at this path."""


class JournalUnreadableError(JournalError):
    """The file is no journal, is truncated or damaged; nothing was written to it."""


class JournalVersionError(JournalError):
    """The journal was written by a newer fleet; nothing was written to it."""


class JournalIntegrityError(JournalError):
    """The journal's content is not what was journalled: somebody or something altered it."""


class UnknownRunError(JournalError):
    """The journal holds no such run."""


class NotDriverError(JournalError):
    """Only the holder of the driver lock may write events."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that drives rollouts with a journal; `since` in Unix seconds."""

    pid: int
    host: str
    since: float


class DriverLockedError(JournalError):
    """Another driver is at work; `holder` is None where it has not written its name yet."""

    def __init__(self, message: str, holder: Holder | None, age_seconds: float | None) -> None:
        super().__init__(message)
        self.holder = holder
        self.age_seconds = age_seconds


@dataclass(frozen=True, slots=True)
class Intent:
    """A request to the driver from another command; numbers ascend over the whole journal."""

    number: int
    run_id: str
    kind: IntentKind
    actor: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run of a journal: its state is that of its last start, resume or end."""

    run_id: str
    track: str
    plan_digest: str
    started: float
    state: RunState
    reason: str


class Journal(Protocol):
    """The durable record of runs. Every method raises a JournalError where the store fails.

    Events are append-only; `append` returns only once they would survive a power cut, and takes
    all of them or none. Methods that write events raise NotDriverError outside `driver_lock()`.
    """

    def driver_lock(self) -> AbstractContextManager[Holder]:
        """Hold the one driver's lock; raises DriverLockedError at once if another process has it."""

    def driver(self) -> Holder | None:
        """Who holds the driver lock now, if anyone."""

    def create_run(self, run_id: str, spec: RolloutSpec, events: Sequence[Event]) -> None:
        """Store the snapshot and the first events (RunStarted first); raises JournalError if it exists."""

    def append(self, run_id: str, events: Sequence[Event]) -> None:
        """Add events in order; SiteRecorded also replaces what `site_records` says of that site."""

    def runs(self) -> tuple[RunInfo, ...]:
        """All runs, oldest first."""

    def spec(self, run_id: str) -> RolloutSpec:
        """The snapshot of the run's plan; raises UnknownRunError."""

    def events(self, run_id: str) -> Iterator[Event]:
        """The run's events in order; raises UnknownRunError."""

    def site_records(self, track: str) -> Mapping[str, SiteRecord]:
        """What is known of each site of the track."""

    def request(self, run_id: str, kind: IntentKind, actor: str, reason: str) -> Intent:
        """Ask the driver of the run for something; needs no lock. Raises UnknownRunError."""

    def intents(self, run_id: str, after: int) -> tuple[Intent, ...]:
        """Intents of the run with a number above `after`, ascending."""

    def verify(self) -> None:
        """Check the whole journal; raises JournalIntegrityError naming the first thing that is off."""

    def close(self) -> None:
        """Release the store."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step ended. `detail` is a small JSON-able dict for reports and must hold no secret."""

    ok: bool
    code: str = ""
    message: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def done(cls, message: str = "", detail: Mapping[str, Any] | None = None) -> "StepOutcome":
        """The step's result is in place, newly or already."""
        return cls(True, "", message, detail or {})

    @classmethod
    def failed(cls, code: str, message: str, detail: Mapping[str, Any] | None = None) -> "StepOutcome":
        """The step could not be done; `code` is stable, `message` is for people."""
        return cls(False, code, message, detail or {})


class StepRunner(Protocol):
    """Runs steps, possibly in another process: an implementation must be picklable for a process pool.

    A step may be called again after a crash, even where it had finished: observe, then act.
    """

    def run(self, site: str, step: Step) -> StepOutcome:
        """Do one step of one site. Expected failures are outcomes; an exception counts as failed."""


@dataclass(frozen=True, slots=True)
class Health:
    """Health of a site and the reasons for the verdict, the gravest first."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


class HealthProbe(Protocol):
    """Judges a site; picklable like a StepRunner, without side effects."""

    def probe(self, site: str) -> Health:
        """Health now. Offline, or no data, is inconclusive; an exception counts as inconclusive."""


class Clock(Protocol):
    """Wall time."""

    def now(self) -> float:
        """Unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Return after about so many seconds."""
