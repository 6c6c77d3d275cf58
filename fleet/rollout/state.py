"""Where a run stands: a fold over its journal events, with every legal transition explicit.

The state is indexed by ring so that applying an event and deciding cost what is active, not what
the fleet holds. Each `apply` either raises IllegalTransitionError and changes nothing, or succeeds.

    site:  pending -> running -> applied -> healthy | failed      skipped (unchanged)
                      running <-> stuck
    ring:  waiting -> [canary ->] running -> soaking -> gated -> done
    run:   running -> paused | stopped | completed | aborted      paused, stopped -> running | aborted
"""

from fleet.rollout.events import (
    Event,
    IntentKind,
    IntentTaken,
    ProbeFinished,
    ProbeStarted,
    RunEnded,
    RunResumed,
    RunStarted,
    RunState,
    SiteRecorded,
    SiteStuck,
    StepFinished,
    StepStarted,
    Verdict,
)
from fleet.rollout.progress import RingProgress, RingState, SiteProgress, SiteState, StepProgress, StepState
from fleet.rollout.spec import RolloutSpec, concurrency_limit


class IllegalTransitionError(Exception):
    """An event that cannot follow the ones before it: a defect, or a journal of something else."""


class RolloutState:
    """The folded state of one run of `spec`; empty until RunStarted is applied."""

    def __init__(self, spec: RolloutSpec) -> None:
        self.spec = spec
        self.run: RunState | None = None
        self.reason = ""
        self.started: float | None = None
        self.finished: float | None = None
        self.sites: dict[str, SiteProgress] = {}
        self.rings: list[RingProgress] = []
        self.current = 0
        self.steps_in_flight: dict[str, float] = {}
        self.probes_in_flight: dict[str, float] = {}
        self.failures = 0
        self.fatal = ""
        self.pause = ""
        self.abort = ""
        self.intents_seen = 0
        for index, ring in enumerate(spec.rings):
            self.rings.append(RingProgress(ring, concurrency_limit(spec.max_concurrency, len(ring.sites))))
            for site in ring.sites:
                self.sites[site.site] = SiteProgress(site, index, [StepProgress(step) for step in site.steps])

    @property
    def ring(self) -> RingProgress | None:
        """The ring in progress, None when all are done."""
        return self.rings[self.current] if self.current < len(self.rings) else None

    @property
    def in_flight(self) -> int:
        """Steps and probes that were started and have not finished."""
        return len(self.steps_in_flight) + len(self.probes_in_flight)

    def retryable(self) -> tuple[str, ...]:
        """Failed sites that a resume tries again: those of the ring at which the run stopped.

        Failures of earlier rings were within budget when their gate passed, and stay counted.
        """
        if self.run is not RunState.STOPPED or self.ring is None:
            return ()
        names = (site.site for site in self.ring.spec.sites)
        return tuple(name for name in names if self.sites[name].state is SiteState.FAILED)

    def apply(self, event: Event) -> None:
        """Advance by one event; raises IllegalTransitionError, with nothing changed, if it cannot follow."""
        match event:
            case RunStarted():
                self._run_started(event)
            case RunResumed():
                self._run_resumed(event)
            case IntentTaken():
                self._intent_taken(event)
            case StepStarted():
                self._step_started(event)
            case StepFinished():
                self._step_finished(event)
            case SiteStuck():
                self._site_stuck(event)
            case ProbeStarted():
                self._probe_started(event)
            case ProbeFinished():
                self._probe_finished(event)
            case SiteRecorded():
                _require(event.site in self.sites, event, "the site is not in this rollout")
            case RunEnded():
                self._run_ended(event)

    # The run

    def _run_started(self, event: RunStarted) -> None:
        _require(self.run is None, event, "the run has started already")
        _require(event.plan_digest == self.spec.digest, event, "it is of another plan")
        _require(all(name in self.sites for name in event.skipped), event, "it skips a site of no ring")
        self.run, self.started = RunState.RUNNING, event.at
        for name in event.skipped:
            self.sites[name].state = SiteState.SKIPPED
        for name, site in self.sites.items():
            if site.state is SiteState.PENDING:
                self.rings[site.ring].pending.append(name)
        self._enter_ring()
        if (first := self.ring) is not None:
            # The very first site to change goes alone: a real site, the smallest risk (Google SRE, AWS
            # OPS06-BP03). Rings without a change have no canary to offer and were passed over.
            first.state = RingState.CANARY
            self.sites[first.pending[0]].canary = True

    def _run_resumed(self, event: RunResumed) -> None:
        resumable = (RunState.RUNNING, RunState.PAUSED, RunState.STOPPED)
        _require(self.run in resumable, event, f"the run is {self.run or 'not started'}")
        _require(event.retried == self.retryable(), event, "a stopped run retries what failed in its ring")
        if self.run is RunState.STOPPED:
            self.fatal = ""
        self.run, self.reason, self.finished, self.pause = RunState.RUNNING, "", None, ""
        self.intents_seen = max(self.intents_seen, event.intents_seen)
        ring = self.ring
        if ring is None:
            return
        for name in self.steps_in_flight:
            site = self.sites[name]
            site.state, site.steps[site.next_step].state = SiteState.RUNNING, StepState.PENDING
            ring.idle[name] = None
        for name in (*self.probes_in_flight, *ring.unknown):
            self.sites[name].inconclusive = 0
            ring.to_probe[name] = event.at
        self.steps_in_flight.clear()
        self.probes_in_flight.clear()
        ring.unknown.clear()
        for name in reversed(event.retried):
            self._retry(ring, name, event.at)

    def _retry(self, ring: RingProgress, name: str, at: float) -> None:
        site = self.sites[name]
        site.failure_code = site.failure_message = ""
        site.inconclusive = 0
        self.failures -= 1
        if site.next_step == len(site.steps):  # it was applied and found unhealthy: ask again
            site.state = SiteState.APPLIED
            if ring.state is not RingState.RUNNING:  # a ring in change asks all its sites at its end
                ring.to_probe[name] = at
            return
        site.state, site.steps[site.next_step].state = SiteState.PENDING, StepState.PENDING
        ring.pending.appendleft(name)  # max_concurrency holds for it like for any other
        if ring.state is not RingState.CANARY:  # the ring changes again, so it soaks and is judged anew
            ring.state, ring.soak_until = RingState.RUNNING, None
            ring.to_probe.clear()

    def _intent_taken(self, event: IntentTaken) -> None:
        _require(self.run is RunState.RUNNING, event, "the run is not running")
        _require(event.number == 0 or event.number > self.intents_seen, event, "it was taken before")
        self.intents_seen = max(self.intents_seen, event.number)
        by = f"{event.intent} by {event.actor}" + (f": {event.reason}" if event.reason else "")
        if event.intent is IntentKind.ABORT:
            self.abort = by
        else:
            self.pause = by

    def _run_ended(self, event: RunEnded) -> None:
        _require(event.state is not RunState.RUNNING, event, "running is not an end")
        _require(not self.in_flight, event, "work is in flight")
        if event.state is RunState.ABORTED:
            open_states = (RunState.RUNNING, RunState.PAUSED, RunState.STOPPED)
            _require(self.run in open_states, event, f"the run is {self.run or 'not started'}")
        else:
            _require(self.run is RunState.RUNNING, event, "the run is not running")
        if event.state is RunState.COMPLETED:
            _require(self.ring is None, event, "a ring is not done")
        self.run, self.reason, self.finished = event.state, event.reason, event.at

    # Steps

    def _step_started(self, event: StepStarted) -> None:
        ring, site = self._in_current_ring(event)
        _require(event.site not in self.steps_in_flight, event, "a step of the site is in flight")
        fresh = site.state is SiteState.PENDING
        if fresh:
            _require(len(ring.active) < ring.limit, event, "max_concurrency is reached")
            _require(ring.state is not RingState.CANARY or site.canary, event, "the canary is not judged yet")
        else:
            _require(event.site in ring.idle, event, f"the site is {site.state}")
        step = site.steps[site.next_step]
        _require(step.spec.id == event.step, event, f"the next step is {step.spec.id}")
        _require(event.attempt == step.attempt + 1, event, f"attempt {step.attempt} was the last")
        if fresh:
            ring.pending.remove(event.site)  # decide() takes from the left, where this is O(1)
            ring.active[event.site] = None
        else:
            del ring.idle[event.site]
        site.state = SiteState.RUNNING
        step.state, step.attempt, step.started = StepState.RUNNING, event.attempt, event.at
        step.finished, step.message, step.detail = None, "", {}
        self.steps_in_flight[event.site] = event.at

    def _step_finished(self, event: StepFinished) -> None:
        ring, site, step = self._step_in_flight(event)
        del self.steps_in_flight[event.site]
        step.finished, step.message, step.detail = event.at, event.message, event.detail
        if not event.ok:
            step.state = StepState.FAILED
            del ring.active[event.site]
            self._fail(site, event.code, event.message)
        else:
            step.state = StepState.DONE
            site.next_step += 1
            if site.next_step < len(site.steps):
                site.state = SiteState.RUNNING
                ring.idle[event.site] = None
                return
            del ring.active[event.site]
            site.state, site.applied_at = SiteState.APPLIED, event.at
        if ring.state is RingState.CANARY:
            if site.state is SiteState.APPLIED:
                ring.to_probe[event.site] = event.at
        else:
            self._soak_if_ready(ring)

    def _site_stuck(self, event: SiteStuck) -> None:
        _, site, _ = self._step_in_flight(event)
        _require(site.state is SiteState.RUNNING, event, "it is flagged already")
        site.state = SiteState.STUCK

    # Health

    def _probe_started(self, event: ProbeStarted) -> None:
        ring, _ = self._in_current_ring(event)
        _require(event.site in ring.to_probe, event, "its health is not asked for now")
        if ring.state is RingState.SOAKING:
            _require(event.at >= (ring.soak_until or 0.0), event, "the soak is not over")
            ring.state = RingState.GATED
        del ring.to_probe[event.site]
        self.probes_in_flight[event.site] = event.at

    def _probe_finished(self, event: ProbeFinished) -> None:
        ring, site = self._in_current_ring(event)
        _require(event.site in self.probes_in_flight, event, "no probe of the site is in flight")
        del self.probes_in_flight[event.site]
        site.verdict, site.reasons = event.verdict, event.reasons
        if event.verdict is Verdict.INCONCLUSIVE:
            site.inconclusive += 1
            if site.inconclusive < self.spec.max_inconclusive:
                ring.to_probe[event.site] = event.at + self.spec.probe_interval_seconds
            else:
                ring.unknown[event.site] = None
            return
        site.inconclusive = 0
        if event.verdict is Verdict.UNHEALTHY:
            self._fail(site, "unhealthy", "; ".join(event.reasons) or "the health probe says unhealthy")
        else:
            site.state = SiteState.HEALTHY
        if ring.state is RingState.CANARY:
            if site.state is SiteState.HEALTHY:
                ring.state = RingState.RUNNING
                self._soak_if_ready(ring)
        elif not (ring.to_probe or self.probes_in_flight or ring.unknown):
            self._close_gate(ring)

    def _fail(self, site: SiteProgress, code: str, message: str) -> None:
        site.state, site.failure_code, site.failure_message = SiteState.FAILED, code, message
        self.failures += 1
        if self.rings[site.ring].state is RingState.CANARY:
            # Going on after a failed canary would make it pointless, whatever the failure budget.
            self.fatal = f"canary site {site.spec.site} failed: {message or code}"

    def _soak_if_ready(self, ring: RingProgress) -> None:
        if ring.pending or ring.active:
            return
        ready = [
            site.site
            for site in ring.spec.sites
            if self.sites[site.site].state in (SiteState.APPLIED, SiteState.HEALTHY)
        ]
        if not ready:
            self.fatal = f"no site of ring {ring.spec.name} could be changed"
            return
        last_ready = max(self.sites[name].applied_at or 0.0 for name in ready)
        ring.state, ring.soak_until = RingState.SOAKING, last_ready + ring.spec.soak_seconds
        ring.to_probe = dict.fromkeys(ready, ring.soak_until)

    def _close_gate(self, ring: RingProgress) -> None:
        if self.failures > self.spec.max_failures:
            return  # the gate stays shut, so that a resume retries the failures of this ring
        # Azure documents that an update run can complete with no success at all; here it cannot.
        if not any(self.sites[site.site].state is SiteState.HEALTHY for site in ring.spec.sites):
            self.fatal = f"no site of ring {ring.spec.name} is healthy after its change"
            return
        self._enter_ring()

    def _enter_ring(self) -> None:
        """Close rings with nothing left to do and open the next one that has changes."""
        while (ring := self.ring) is not None:
            if ring.state is RingState.WAITING and ring.pending:
                ring.state = RingState.RUNNING
                return
            ring.state = RingState.DONE
            self.current += 1

    # Guards

    def _in_current_ring(
        self, event: StepStarted | ProbeStarted | ProbeFinished
    ) -> tuple[RingProgress, SiteProgress]:
        _require(self.run is RunState.RUNNING, event, "the run is not running")
        site, ring = self.sites.get(event.site), self.ring
        if site is None or ring is None or site.ring != self.current:
            raise IllegalTransitionError(f"{event}: the site is not in the ring in progress")
        return ring, site

    def _step_in_flight(
        self, event: StepFinished | SiteStuck
    ) -> tuple[RingProgress, SiteProgress, StepProgress]:
        _require(event.site in self.steps_in_flight, event, "no step of the site is in flight")
        site = self.sites[event.site]
        step = site.steps[site.next_step]
        _require(step.spec.id == event.step, event, f"step {step.spec.id} is in flight")
        return self.rings[site.ring], site, step


def _require(condition: bool, event: Event, why_not: str) -> None:
    if not condition:
        raise IllegalTransitionError(f"{event}: {why_not}")
