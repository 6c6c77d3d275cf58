"""A run as people read it: a frozen tree for status tables and reports, taken from the folded state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.rollout.events import RunState, Verdict
from fleet.rollout.progress import RingProgress, RingState, SiteProgress, SiteState, StepProgress, StepState
from fleet.rollout.state import RolloutState


@dataclass(frozen=True, slots=True)
class StepView:
    """One step; times in Unix seconds, `seconds` the length of its last finished attempt."""

    id: str
    kind: str
    input_digest: str
    state: StepState
    attempt: int
    started: float | None
    finished: float | None
    seconds: float | None
    message: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site; `health` is None until it was probed in this run."""

    site: str
    ring: str
    canary: bool
    state: SiteState
    digest: str
    steps: tuple[StepView, ...]
    health: Verdict | None
    health_reasons: tuple[str, ...]
    failure_code: str
    failure_message: str


@dataclass(frozen=True, slots=True)
class RingView:
    """One ring; `soak_until` is known once its last site is ready."""

    name: str
    state: RingState
    max_concurrency: int
    soak_until: float | None
    sites: tuple[SiteView, ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. `interrupted`: it says running, but its driver is gone and it waits for a resume."""

    run_id: str
    track: str
    plan_digest: str
    started: float | None
    finished: float | None
    state: RunState
    interrupted: bool
    reason: str
    failures: int
    max_failures: int
    rings: tuple[RingView, ...]

    @property
    def sites(self) -> tuple[SiteView, ...]:
        """The sites of all rings, in order."""
        return tuple(site for ring in self.rings for site in ring.sites)


def view_of(run_id: str, state: RolloutState, *, driven: bool) -> RunView:
    """The view of a folded run; `driven` tells whether a driver is at work now."""
    assert state.run is not None, "a run starts with RunStarted"
    return RunView(
        run_id=run_id,
        track=state.spec.track,
        plan_digest=state.spec.digest,
        started=state.started,
        finished=state.finished,
        state=state.run,
        interrupted=state.run is RunState.RUNNING and not driven,
        reason=state.reason,
        failures=state.failures,
        max_failures=state.spec.max_failures,
        rings=tuple(_ring(state, ring) for ring in state.rings),
    )


def _ring(state: RolloutState, ring: RingProgress) -> RingView:
    sites = tuple(_site(ring.spec.name, state.sites[site.site]) for site in ring.spec.sites)
    return RingView(ring.spec.name, ring.state, ring.limit, ring.soak_until, sites)


def _site(ring: str, site: SiteProgress) -> SiteView:
    return SiteView(
        site=site.spec.site,
        ring=ring,
        canary=site.canary,
        state=site.state,
        digest=site.spec.digest,
        steps=tuple(_step(step) for step in site.steps),
        health=site.verdict,
        health_reasons=site.reasons,
        failure_code=site.failure_code,
        failure_message=site.failure_message,
    )


def _step(step: StepProgress) -> StepView:
    seconds = None
    if step.started is not None and step.finished is not None:
        seconds = max(0.0, step.finished - step.started)  # a wall clock may be set back
    return StepView(
        id=step.spec.id,
        kind=step.spec.kind,
        input_digest=step.spec.input_digest,
        state=step.state,
        attempt=step.attempt,
        started=step.started,
        finished=step.finished,
        seconds=seconds,
        message=step.message,
        detail=step.detail,
    )
