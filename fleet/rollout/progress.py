"""The parts of a run's state: how far each step, site and ring has come."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleet.rollout.events import Verdict
from fleet.rollout.spec import RingSpec, SiteSteps, Step


class SiteState(StrEnum):
    """State of one site in the run; stuck is a slow step in flight, not a failure."""

    PENDING = "pending"
    RUNNING = "running"
    STUCK = "stuck"
    APPLIED = "applied"
    HEALTHY = "healthy"
    FAILED = "failed"
    SKIPPED = "skipped"


class RingState(StrEnum):
    """State of one ring; gated means that the soak is over and its health gate is being judged."""

    WAITING = "waiting"
    CANARY = "canary"
    RUNNING = "running"
    SOAKING = "soaking"
    GATED = "gated"
    DONE = "done"


class StepState(StrEnum):
    """State of one step; a step in flight when the driver died is pending again."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class StepProgress:
    """One step: its state, how often it was started, when, and what it said last."""

    spec: Step
    state: StepState = StepState.PENDING
    attempt: int = 0
    started: float | None = None
    finished: float | None = None
    message: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class SiteProgress:
    """One site: its steps, its last health verdict and, if it failed, why."""

    spec: SiteSteps
    ring: int
    steps: list[StepProgress]
    state: SiteState = SiteState.PENDING
    canary: bool = False
    next_step: int = 0
    applied_at: float | None = None
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    inconclusive: int = 0
    failure_code: str = ""
    failure_message: str = ""


@dataclass(slots=True)
class RingProgress:
    """One ring and its indexes; the dicts are ordered sets, oldest first.

    pending: not started. active: in change. idle: active without a step in flight.
    to_probe: site to the time from which its health may be asked. unknown: inconclusive too often.
    """

    spec: RingSpec
    limit: int
    state: RingState = RingState.WAITING
    pending: deque[str] = field(default_factory=deque)
    active: dict[str, None] = field(default_factory=dict)
    idle: dict[str, None] = field(default_factory=dict)
    to_probe: dict[str, float] = field(default_factory=dict)
    unknown: dict[str, None] = field(default_factory=dict)
    soak_until: float | None = None
