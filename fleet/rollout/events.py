"""What can happen in a run, as journalled: the rollout's state is a fold over these events.

`at` is wall time in Unix seconds, set by the runner. Kinds and field names are the journal's file
format: a change of either needs a new journal schema version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """State of a whole run; paused and stopped can be resumed, aborted and completed are final."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ABORTED = "aborted"
    COMPLETED = "completed"


class Verdict(StrEnum):
    """Health of a site (Argo Rollouts analysis); inconclusive, e.g. offline, is never a pass."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INCONCLUSIVE = "inconclusive"


class IntentKind(StrEnum):
    """What another command may ask of the driver."""

    PAUSE = "pause"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run exists; `skipped` are the sites found unchanged at this moment."""

    at: float
    plan_digest: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A driver took over: what was in flight is void, `retried` failed sites get another try.

    Intents up to number `intents_seen` are settled by the resume itself.
    """

    at: float
    intents_seen: int = 0
    retried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IntentTaken:
    """The driver saw an intent; `number` is the intent row's, 0 for one of the driver's own."""

    at: float
    number: int
    intent: IntentKind
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Intent to run a step, committed before its effect; attempts count from 1."""

    at: float
    site: str
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepFinished:
    """Outcome of the step in flight at the site."""

    at: float
    site: str
    step: str
    ok: bool
    code: str = ""
    message: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteStuck:
    """The step in flight runs longer than the spec's `stuck_after_seconds`."""

    at: float
    site: str
    step: str


@dataclass(frozen=True, slots=True)
class ProbeStarted:
    """A health probe of the site is under way."""

    at: float
    site: str


@dataclass(frozen=True, slots=True)
class ProbeFinished:
    """Verdict of the probe, with its reasons."""

    at: float
    site: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteRecorded:
    """What is known of a site beyond this run (see `SiteRecord`); the journal keeps it by site."""

    at: float
    site: str
    digest: str | None
    healthy: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The driver left the run in this state: paused, stopped, aborted or completed."""

    at: float
    state: RunState
    reason: str


Event = (
    RunStarted
    | RunResumed
    | IntentTaken
    | StepStarted
    | StepFinished
    | SiteStuck
    | ProbeStarted
    | ProbeFinished
    | SiteRecorded
    | RunEnded
)

_KINDS: dict[str, type[Event]] = {
    "run_started": RunStarted,
    "run_resumed": RunResumed,
    "intent_taken": IntentTaken,
    "step_started": StepStarted,
    "step_finished": StepFinished,
    "site_stuck": SiteStuck,
    "probe_started": ProbeStarted,
    "probe_finished": ProbeFinished,
    "site_recorded": SiteRecorded,
    "run_ended": RunEnded,
}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}
_FIELDS = {cls: tuple(f.name for f in fields(cls)) for cls in _KINDS.values()}
_RESTORE: dict[str, Any] = {
    "skipped": tuple,
    "retried": tuple,
    "reasons": tuple,
    "intent": IntentKind,
    "verdict": Verdict,
    "state": RunState,
}


def encode_event(event: Event) -> tuple[str, dict[str, Any]]:
    """The event's kind and its fields as JSON values."""
    cls = type(event)
    return _KIND_OF[cls], {name: getattr(event, name) for name in _FIELDS[cls]}


def decode_event(kind: str, data: Mapping[str, Any]) -> Event:
    """Inverse of `encode_event`; raises ValueError for an unknown kind or other fields."""
    try:
        values = {k: _RESTORE[k](v) if k in _RESTORE else v for k, v in data.items()}
        return _KINDS[kind](**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"unknown journal event {kind!r}: {error}") from error
