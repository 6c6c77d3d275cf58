"""What a run should do now: a pure function of plan, folded state and the time.

Level-triggered, as KubeFleet's updaterun controller: nothing is remembered between calls, so a
driver that died, or a newer version of it, decides the same from the same journal.
"""

from dataclasses import dataclass
from itertools import islice

from fleet.rollout.events import RunState
from fleet.rollout.progress import RingState, SiteState
from fleet.rollout.spec import RolloutSpec
from fleet.rollout.state import RolloutState


@dataclass(frozen=True, slots=True)
class StartStep:
    """Run this step of the site; `attempt` counts from 1."""

    site: str
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ProbeHealth:
    """Ask for the health of the site."""

    site: str


@dataclass(frozen=True, slots=True)
class FlagStuck:
    """Tell that this step in flight is slow; it goes on."""

    site: str
    step: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again when something in flight finishes, or at `until` (Unix seconds; None: only then)."""

    until: float | None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run as paused, stopped or aborted; nothing is in flight any more."""

    state: RunState
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """End the run: every ring is done; `reason` tells of tolerated failures."""

    reason: str


Action = StartStep | ProbeHealth | FlagStuck | Wait | Stop | Complete


def decide(
    spec: RolloutSpec, state: RolloutState, now: float, in_flight_limit: int | None = None
) -> tuple[Action, ...]:
    """Everything that should begin at `now` (Unix seconds), last a Wait, Stop or Complete.

    `in_flight_limit` is the executor's own ceiling on steps and probes together, the outer limit
    above the spec's max_concurrency. Costs O(active sites), not O(fleet). Empty when not running.
    """
    if state.run is not RunState.RUNNING:
        return ()
    flags, stuck_at = _slow_steps(spec, state, now)
    if (stop := _stop(spec, state)) is not None:
        return (*flags, Wait(stuck_at)) if state.in_flight else (stop,)
    ring = state.ring
    if ring is None:
        failed = f"{state.failures} failed within the budget of {spec.max_failures}" if state.failures else ""
        return (Complete(failed),)

    free = max(0, in_flight_limit - state.in_flight) if in_flight_limit is not None else None
    # Sites in change go on before others begin; in the canary phase there is one site only.
    may_begin = max(0, ring.limit - len(ring.active))
    if ring.state is RingState.CANARY:
        may_begin = 1 if ring.pending and state.sites[ring.pending[0]].canary else 0
    begin = [*islice(ring.idle, free), *islice(ring.pending, may_begin)][:free]
    starts: list[StartStep] = []
    for name in begin:
        site = state.sites[name]
        step = site.steps[site.next_step]
        starts.append(StartStep(name, step.spec.id, step.attempt + 1))
    if starts and stuck_at is None:
        stuck_at = now + spec.stuck_after_seconds

    probes: list[ProbeHealth] = []
    probe_at = None
    left = None if free is None else free - len(starts)
    for name, due in ring.to_probe.items():  # oldest first, so the first not yet due ends the search
        if due > now:
            probe_at = due
            break
        if left is not None and len(probes) >= left:
            break
        probes.append(ProbeHealth(name))
    times = [at for at in (stuck_at, probe_at) if at is not None]
    return (*flags, *starts, *probes, Wait(min(times, default=None)))


def _stop(spec: RolloutSpec, state: RolloutState) -> Stop | None:
    """Why nothing more may begin, the gravest reason first."""
    if state.abort:
        return Stop(RunState.ABORTED, state.abort)
    if state.fatal:
        return Stop(RunState.STOPPED, state.fatal)
    if state.failures > spec.max_failures:
        return Stop(RunState.STOPPED, f"{state.failures} failed, {spec.max_failures} are tolerated")
    if state.pause:
        return Stop(RunState.PAUSED, state.pause)
    ring = state.ring
    if ring is not None and ring.unknown and not ring.to_probe and not state.probes_in_flight:
        names = list(ring.unknown)
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        why = "; ".join(state.sites[names[0]].reasons)
        return Stop(RunState.PAUSED, f"health is inconclusive at {shown}" + (f" ({why})" if why else ""))
    return None


def _slow_steps(spec: RolloutSpec, state: RolloutState, now: float) -> tuple[list[FlagStuck], float | None]:
    """Steps to flag as stuck now, and when the next one will be."""
    flags: list[FlagStuck] = []
    next_at: float | None = None
    for name, started in state.steps_in_flight.items():
        site = state.sites[name]
        if site.state is not SiteState.RUNNING:
            continue
        at = started + spec.stuck_after_seconds
        if at <= now:
            flags.append(FlagStuck(name, site.steps[site.next_step].spec.id))
        else:
            next_at = at if next_at is None else min(next_at, at)
    return flags, next_at
