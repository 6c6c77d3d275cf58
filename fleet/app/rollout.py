"""Drives a rollout: asks the state machine what to do, journals it, has it done, journals the result.

Every effect is preceded by its committed intent. A driver that dies leaves at most the steps in
flight undetermined; a resume runs those again and no finished one.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from fleet.ports.rollout import (
    Clock,
    Health,
    HealthProbe,
    Journal,
    JournalIntegrityError,
    StepOutcome,
    StepRunner,
)
from fleet.rollout.decide import Action, Complete, FlagStuck, ProbeHealth, StartStep, Stop, Wait, decide
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
from fleet.rollout.progress import SiteState
from fleet.rollout.spec import RolloutSpec, canonical_json, unchanged_sites
from fleet.rollout.state import IllegalTransitionError, RolloutState
from fleet.rollout.view import RunView, view_of

_LOST = (BrokenExecutor, CancelledError)
"""Errors of a future that say nothing of the step: it did not get to its end, as in a crash."""


class RolloutError(Exception):
    """A rollout cannot begin or go on; the message says why and what to do."""


class StalePlanError(RolloutError):
    """The plan at hand is not the one that the run snapshotted."""


class UnfinishedRunError(RolloutError):
    """A run of this track is not over: resume it, or supersede it."""


class NotResumableError(RolloutError):
    """There is no run to resume, or it is over."""


class ExecutorLostError(RolloutError):
    """The executor died (a worker was killed, out of memory): the run is interrupted, resume it."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the driver left the run; `failed` sites are in the order of the plan."""

    run_id: str
    state: RunState
    reason: str
    failed: tuple[str, ...]


class RolloutRunner:
    """Runs rollouts of one journal, one at a time; see `start` and `resume`.

    executor: a process pool (with `prepare_worker` as its initializer) or threads; steps and probes
        run there. `in_flight_limit` is how many it is given at once: pass the number of its workers,
        or steps wait in its queue while they are journalled as started.
    on_event: called after the event was committed. stop_requested: once set, what is in flight
        finishes and the run pauses (the first Ctrl-C). poll_seconds: the longest time until an
        intent or stop_requested is seen.
    """

    def __init__(
        self,
        journal: Journal,
        steps: StepRunner,
        health: HealthProbe,
        clock: Clock,
        executor: Executor,
        *,
        on_event: Callable[[Event], None] | None = None,
        stop_requested: threading.Event | None = None,
        in_flight_limit: int = 32,
        poll_seconds: float = 0.5,
    ) -> None:
        self._journal = journal
        self._steps = steps
        self._health = health
        self._clock = clock
        self._executor = executor
        self._on_event = on_event or (lambda event: None)
        self._stop_requested = stop_requested or threading.Event()
        self._limit = in_flight_limit
        self._poll = poll_seconds

    def start(
        self,
        spec: RolloutSpec,
        *,
        supersede: bool = False,
        still_applied: Callable[[str], bool] = lambda site: True,
    ) -> RunResult:
        """Snapshot the plan as a new run and drive it until it ends, pauses or stops.

        Sites that already have this plan's digest and were healthy are skipped, if `still_applied` says
        that nothing but a rollout has touched them since. Raises
        UnfinishedRunError if a run of the track is not over, unless `supersede`, which aborts it;
        DriverLockedError if another driver is at work; other JournalErrors.
        """
        with self._journal.driver_lock():
            self._journal.verify()
            run_id = self._new_run_id(spec)
            for run in self._journal.runs():
                if run.track == spec.track and run.state not in (RunState.ABORTED, RunState.COMPLETED):
                    if not supersede:
                        raise UnfinishedRunError(
                            f"run {run.run_id} is {run.state}: resume, abort or supersede it"
                        )
                    old = fold(self._journal, run.run_id)
                    now = self._clock.now()
                    reason = f"superseded by {run_id}"
                    settle: list[Event] = [RunResumed(now)] if old.run is RunState.RUNNING else []
                    self._commit(run.run_id, old, [*settle, RunEnded(now, RunState.ABORTED, reason)])
            unchanged = unchanged_sites(spec, self._journal.site_records(spec.track))
            skipped = tuple(site for site in unchanged if still_applied(site))
            state = RolloutState(spec)
            first = RunStarted(self._clock.now(), spec.digest, skipped)
            state.apply(first)
            self._journal.create_run(run_id, spec, [first])
            self._on_event(first)
            return self._drive(run_id, state)

    def resume(self, run_id: str | None = None, *, plan_digest: str | None = None) -> RunResult:
        """Take a run on from its journal: paused, stopped, or left by a driver that died.

        Without `run_id` it is the newest. A stopped run tries its ring's failed sites again. An
        abort that was asked for meanwhile is carried out, a pause is settled by resuming. Raises
        NotResumableError, StalePlanError if `plan_digest` is given and not the run's, and JournalErrors.
        """
        with self._journal.driver_lock():
            self._journal.verify()
            run_id = run_id or self._newest()
            state = fold(self._journal, run_id)
            if state.run in (RunState.ABORTED, RunState.COMPLETED):
                raise NotResumableError(f"run {run_id} is {state.run}")
            if plan_digest is not None and plan_digest != state.spec.digest:
                raise StalePlanError(
                    f"run {run_id} is of plan {state.spec.digest}, not of {plan_digest}: resume it without"
                    " the changed inventory, or supersede it by a new rollout"
                )
            now = self._clock.now()
            waiting = self._journal.intents(run_id, state.intents_seen)
            events: list[Event] = [RunResumed(now, waiting[-1].number if waiting else 0, state.retryable())]
            for intent in waiting:
                if intent.kind is IntentKind.ABORT:
                    events.append(IntentTaken(now, 0, intent.kind, intent.actor, intent.reason))
            self._commit(run_id, state, events)
            return self._drive(run_id, state)

    def _newest(self) -> str:
        runs = self._journal.runs()
        if not runs:
            raise NotResumableError("there is no run to resume")
        return runs[-1].run_id

    def _new_run_id(self, spec: RolloutSpec) -> str:
        taken = {run.run_id for run in self._journal.runs()}
        stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%d-%H%M%S")
        base = f"{stamp}-{spec.digest.removeprefix('sha256:')[:8]}"
        return next(
            name for n in range(1, len(taken) + 2) if (name := base if n == 1 else f"{base}-{n}") not in taken
        )

    def _commit(self, run_id: str, state: RolloutState, events: Sequence[Event]) -> None:
        """Apply, then commit: an illegal event never reaches the journal, and no effect precedes it."""
        for event in events:
            state.apply(event)
        self._journal.append(run_id, events)
        for event in events:
            self._on_event(event)

    def _drive(self, run_id: str, state: RolloutState) -> RunResult:
        spec = state.spec
        finished: SimpleQueue[tuple[Action, Future[StepOutcome] | Future[Health]]] = SimpleQueue()
        while True:
            self._take_intents(run_id, state)
            now = self._clock.now()
            actions = decide(spec, state, now, self._limit)
            last = actions[-1]
            if isinstance(last, Stop | Complete):
                end = last.state if isinstance(last, Stop) else RunState.COMPLETED
                self._commit(run_id, state, [RunEnded(now, end, last.reason)])
                failed = tuple(n for n, site in state.sites.items() if site.state is SiteState.FAILED)
                return RunResult(run_id, end, last.reason, failed)
            if begun := [event for action in actions for event in _begin(state, action, now)]:
                self._commit(run_id, state, begun)
                for action in actions:
                    self._submit(state, action, finished)
            assert isinstance(last, Wait), "decide() ends with Wait, Stop or Complete"
            self._collect(run_id, state, last, finished)

    def _take_intents(self, run_id: str, state: RolloutState) -> None:
        now = self._clock.now()
        intents = self._journal.intents(run_id, state.intents_seen)
        events: list[Event] = [IntentTaken(now, i.number, i.kind, i.actor, i.reason) for i in intents]
        if self._stop_requested.is_set() and not state.pause:
            events.append(IntentTaken(now, 0, IntentKind.PAUSE, "the driver", "it was asked to stop"))
        if events:
            self._commit(run_id, state, events)

    def _submit(
        self,
        state: RolloutState,
        action: Action,
        finished: "SimpleQueue[tuple[Action, Future[StepOutcome] | Future[Health]]]",
    ) -> None:
        try:
            if isinstance(action, StartStep):
                site = state.sites[action.site]
                work = self._executor.submit(self._steps.run, action.site, site.steps[site.next_step].spec)
                work.add_done_callback(lambda future: finished.put((action, future)))
            elif isinstance(action, ProbeHealth):
                probe = self._executor.submit(self._health.probe, action.site)
                probe.add_done_callback(lambda future: finished.put((action, future)))
        except BrokenExecutor as error:
            raise _lost(error) from error

    def _collect(
        self,
        run_id: str,
        state: RolloutState,
        wait: Wait,
        finished: "SimpleQueue[tuple[Action, Future[StepOutcome] | Future[Health]]]",
    ) -> None:
        """Wait for a result, the time in `wait`, or the next poll; commit every result that is there."""
        pause = self._poll
        if wait.until is not None:
            pause = min(pause, max(0.0, wait.until - self._clock.now()))
        if not state.in_flight:
            assert wait.until is not None, "nothing is in flight and nothing is due: a defect in decide()"
            self._clock.sleep(pause)
            return
        done = []
        try:
            done.append(finished.get(timeout=pause))
            while True:
                done.append(finished.get_nowait())
        except Empty:
            pass
        now = self._clock.now()
        events: list[Event] = []
        lost: BaseException | None = None
        for action, future in done:
            error = CancelledError("cancelled") if future.cancelled() else future.exception()
            if error is not None and (isinstance(error, _LOST) or not isinstance(error, Exception)):
                lost = error
            elif isinstance(action, StartStep):
                events.append(_step_finished(action, now, error or future.result()))
            elif isinstance(action, ProbeHealth):
                events += _probe_finished(state, action, now, error or future.result())
        if events:
            self._commit(run_id, state, events)
        if lost is not None:
            raise _lost(lost) from lost


def _begin(state: RolloutState, action: Action, now: float) -> list[Event]:
    """The events that go before an action; a site's first step makes its record unsure."""
    match action:
        case StartStep(site, step, attempt):
            begun: list[Event] = [StepStarted(now, site, step, attempt)]
            if state.sites[site].state is SiteState.PENDING:
                begun.append(SiteRecorded(now, site, None, False))
            return begun
        case ProbeHealth(site):
            return [ProbeStarted(now, site)]
        case FlagStuck(site, step):
            return [SiteStuck(now, site, step)]
        case Wait() | Stop() | Complete():
            return []


def _step_finished(action: StartStep, now: float, result: object) -> StepFinished:
    if not isinstance(result, StepOutcome):
        what = f"{type(result).__name__}: {result}" if isinstance(result, BaseException) else "no outcome"
        result = StepOutcome.failed("unexpected", f"the step broke off: {what}")
    message, detail = result.message, dict(result.detail)
    try:
        canonical_json(detail)
    except (TypeError, ValueError) as error:  # the step did what it did; only its report is lost
        message, detail = f"{message} (its detail is not JSON: {error})".strip(), {}
    return StepFinished(now, action.site, action.step, result.ok, result.code, message, detail)


def _probe_finished(state: RolloutState, action: ProbeHealth, now: float, result: object) -> list[Event]:
    if not isinstance(result, Health):
        # An error of the probe says nothing of the site (Argo Rollouts: error is not failure).
        what = f"{type(result).__name__}: {result}" if isinstance(result, BaseException) else "no verdict"
        result = Health(Verdict.INCONCLUSIVE, (f"the probe broke off: {what}",))
    events: list[Event] = [ProbeFinished(now, action.site, result.verdict, tuple(result.reasons))]
    if result.verdict is not Verdict.INCONCLUSIVE:
        digest = state.sites[action.site].spec.digest
        events.append(SiteRecorded(now, action.site, digest, result.verdict is Verdict.HEALTHY))
    return events


def _lost(error: BaseException) -> ExecutorLostError:
    return ExecutorLostError(f"the workers are gone ({error}); what they had in flight runs again on resume")


def fold(journal: Journal, run_id: str) -> RolloutState:
    """The state of a run as its journal tells it; raises JournalErrors."""
    state = RolloutState(journal.spec(run_id))
    try:
        for event in journal.events(run_id):
            state.apply(event)
    except IllegalTransitionError as error:
        raise JournalIntegrityError(f"the events of run {run_id} contradict each other: {error}") from error
    return state


def rollout_view(journal: Journal, run_id: str | None = None) -> RunView:
    """The run, by default the newest, for tables and reports; raises JournalErrors, NotResumableError."""
    if run_id is None:
        runs = journal.runs()
        if not runs:
            raise NotResumableError("the journal holds no run yet")
        run_id = runs[-1].run_id
    return view_of(run_id, fold(journal, run_id), driven=journal.driver() is not None)


def prepare_worker() -> None:
    """Initializer for a process pool's workers.

    They leave Ctrl-C to the driver, which lets them finish, and die with it: a worker that outlived
    a killed driver would go on with a step that the resumed run starts again. Processes that a step
    itself started are not reached by this.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="die-with-driver", daemon=True).start()
