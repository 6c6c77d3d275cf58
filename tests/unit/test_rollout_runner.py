"""The runner over a real journal, with scripted steps, scripted health and a clock of its own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fleet.adapters.sqlite_journal import SqliteJournal
from fleet.app.rollout import (
    ExecutorLostError,
    NotResumableError,
    RolloutRunner,
    StalePlanError,
    UnfinishedRunError,
    rollout_view,
)
from fleet.ports.rollout import DriverLockedError, Health, JournalIntegrityError, StepOutcome
from fleet.rollout.events import Event, IntentKind, RunResumed, RunState, SiteStuck, StepStarted, Verdict
from fleet.rollout.progress import RingState, SiteState, StepState
from fleet.rollout.spec import RingSpec, RolloutSpec, SiteSteps, Step

HEALTHY = Health(Verdict.HEALTHY)


def plan(*rings: str, digest: str = "sha256:1", soak: float = 0.0, **policy) -> RolloutSpec:
    """`plan("a b", "c")`: ring r0 with sites a and b, ring r1 with site c, two steps each."""
    return RolloutSpec(
        tuple(
            RingSpec(
                f"r{i}",
                tuple(
                    SiteSteps(s, (Step("infra", "pulumi", digest), Step("apps", "gitops", digest)))
                    for s in ring.split()
                ),
                soak,
            )
            for i, ring in enumerate(rings)
        ),
        **policy,
    )


class FakeClock:
    """Sleeping is all that takes time."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Inline(Executor):
    """Runs work at once, in the caller's thread."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@dataclass
class Script:
    """Steps and health as told: `steps` and `health` map a name to what to do instead of success."""

    steps: dict[str, Callable[[], StepOutcome]] = field(default_factory=dict)
    health: dict[str, Callable[[], Health]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)

    def run(self, site: str, step: Step) -> StepOutcome:
        self.ran.append(f"{site}.{step.id}")
        return self.steps.get(f"{site}.{step.id}", lambda: StepOutcome.done("applied", {"changed": 2}))()

    def probe(self, site: str) -> Health:
        self.probed.append(site)
        return self.health.get(site, lambda: HEALTHY)()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path / "rollout.db") as made:
        yield made


def runner(journal: SqliteJournal, script: Script, **options) -> RolloutRunner:
    options = {"clock": FakeClock(), "executor": Inline(), **options}
    return RolloutRunner(journal, script, script, **options)


def sites(journal: SqliteJournal) -> dict[str, SiteState]:
    return {site.site: site.state for site in rollout_view(journal).sites}


def fail() -> StepOutcome:
    return StepOutcome.failed("NET001", "the proxy refuses", {"proxy": "p"})


def crash() -> StepOutcome:
    raise RuntimeError("boom")


def test_a_rollout_runs_its_rings_in_order_and_tells_of_it(journal) -> None:
    script, told = Script(), []
    result = runner(journal, script, on_event=told.append).start(plan("a b", "c", max_concurrency=2))
    assert (result.state, result.failed) == (RunState.COMPLETED, ())
    assert script.ran == ["a.infra", "a.apps", "b.infra", "b.apps", "c.infra", "c.apps"]
    assert script.probed == ["a", "a", "b", "c"]
    assert told == list(journal.events(result.run_id))
    view = rollout_view(journal)
    assert [ring.state for ring in view.rings] == [RingState.DONE, RingState.DONE]
    assert (view.state, view.interrupted, view.failures) == (RunState.COMPLETED, False, 0)
    first = view.sites[0]
    assert (first.canary, first.ring, first.state, first.health) == (True, "r0", SiteState.HEALTHY, "healthy")
    assert (first.steps[1].kind, first.steps[1].attempt, first.steps[1].detail) == (
        "gitops",
        1,
        {"changed": 2},
    )
    journal.verify()


def test_soak_waits_the_whole_time_before_health_is_asked(journal) -> None:
    clock = FakeClock()
    runner(journal, Script(), clock=clock).start(plan("a", soak=3600.0))
    assert clock.time == pytest.approx(1_003_600.0)


def test_an_unchanged_site_costs_nothing_the_second_time(journal) -> None:
    runner(journal, Script()).start(plan("a b", "c"))
    script = Script()
    again = runner(journal, script).start(plan("a b", "c"))
    assert again.state is RunState.COMPLETED
    assert (script.ran, script.probed) == ([], [])
    assert set(sites(journal).values()) == {SiteState.SKIPPED}
    moved = runner(journal, script).start(plan("a b", "c", digest="sha256:2"))
    assert moved.state is RunState.COMPLETED
    assert len(script.ran) == 6


def test_a_site_that_failed_on_the_way_to_another_digest_is_not_unchanged(journal) -> None:
    runner(journal, Script()).start(plan("a"))
    runner(journal, Script(steps={"a.apps": fail})).start(plan("a", digest="sha256:2"))
    script = Script()
    runner(journal, script).start(plan("a"), supersede=True)
    assert script.ran == ["a.infra", "a.apps"]


def test_a_failed_step_stops_the_run_and_a_resume_runs_only_what_is_not_done(journal) -> None:
    script = Script(steps={"b.apps": fail})
    result = runner(journal, script).start(plan("a b", "c"))
    assert (result.state, result.failed) == (RunState.STOPPED, ("b",))
    failed = rollout_view(journal).sites[1]
    assert (failed.failure_code, failed.failure_message) == ("NET001", "the proxy refuses")
    assert (failed.steps[1].state, failed.steps[1].detail) == (StepState.FAILED, {"proxy": "p"})
    assert sites(journal)["c"] is SiteState.PENDING
    mended = Script()
    assert runner(journal, mended).resume().state is RunState.COMPLETED
    assert mended.ran == ["b.apps", "c.infra", "c.apps"]
    assert rollout_view(journal).sites[1].steps[1].attempt == 2


def test_the_failure_budget_tolerates_so_many(journal) -> None:
    bad = {"b.infra": fail, "d.infra": fail}
    assert runner(journal, Script(steps=bad)).start(plan("a b c d", max_failures=1)).state is RunState.STOPPED
    more = plan("a b c d", digest="sha256:2", max_failures=2)
    within = runner(journal, Script(steps=bad)).start(more, supersede=True)
    assert (within.state, within.failed) == (RunState.COMPLETED, ("b", "d"))
    assert within.reason == "2 failed within the budget of 2"
    assert journal.runs()[0].state is RunState.ABORTED
    assert "superseded" in journal.runs()[0].reason


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (crash, "RuntimeError: boom"),
        (lambda: None, "no outcome"),
    ],
)
def test_a_step_that_breaks_off_is_a_failure(journal, outcome, message: str) -> None:
    assert runner(journal, Script(steps={"a.infra": outcome})).start(plan("a")).state is RunState.STOPPED
    site = rollout_view(journal).sites[0]
    assert site.failure_code == "unexpected"
    assert message in site.failure_message


def test_a_detail_that_is_not_json_loses_the_detail_not_the_step(journal) -> None:
    odd = Script(steps={"a.infra": lambda: StepOutcome.done("applied", {"path": Path()})})
    assert runner(journal, odd).start(plan("a")).state is RunState.COMPLETED
    step = rollout_view(journal).sites[0].steps[0]
    assert step.detail == {}
    assert step.message.startswith("applied (its detail is not JSON")


def test_unhealthy_stops_before_the_next_ring(journal) -> None:
    sick = Script(health={"b": lambda: Health(Verdict.UNHEALTHY, ("2 pods down", "no GPU"))})
    assert runner(journal, sick).start(plan("a b", "c")).state is RunState.STOPPED
    b = rollout_view(journal).sites[1]
    assert (b.health, b.failure_message) == (Verdict.UNHEALTHY, "2 pods down; no GPU")
    assert journal.site_records("platform")["b"].healthy is False
    assert sites(journal)["c"] is SiteState.PENDING


@pytest.mark.parametrize("answer", [lambda: Health(Verdict.INCONCLUSIVE, ("offline",)), crash, lambda: None])
def test_an_offline_site_pauses_and_never_passes(journal, answer) -> None:
    script = Script(health={"a": answer})
    result = runner(journal, script).start(plan("a", "b"))
    assert result.state is RunState.PAUSED
    assert "inconclusive at a" in result.reason
    assert script.probed == ["a"] * 4
    assert sites(journal) == {"a": SiteState.APPLIED, "b": SiteState.PENDING}
    assert journal.site_records("platform")["a"].digest is None
    assert runner(journal, Script()).resume().state is RunState.COMPLETED


def test_a_pause_lands_what_flies_and_a_resume_settles_it(journal) -> None:
    def pause() -> StepOutcome:
        journal.request(journal.runs()[-1].run_id, IntentKind.PAUSE, "eve", "lunch")
        return StepOutcome.done()

    script = Script(steps={"a.infra": pause})
    result = runner(journal, script).start(plan("a"))
    assert (result.state, result.reason) == (RunState.PAUSED, "pause by eve: lunch")
    assert script.ran == ["a.infra"]
    journal.request(result.run_id, IntentKind.PAUSE, "eve", "late")
    assert runner(journal, script).resume().state is RunState.COMPLETED
    assert script.ran == ["a.infra", "a.apps"]


def test_an_abort_asked_for_while_nobody_drives_is_carried_out(journal) -> None:
    result = runner(journal, Script(steps={"a.apps": fail})).start(plan("a"))
    journal.request(result.run_id, IntentKind.ABORT, "eve", "fire")
    script = Script()
    assert runner(journal, script).resume(result.run_id).state is RunState.ABORTED
    assert script.ran == []
    with pytest.raises(NotResumableError, match="aborted"):
        runner(journal, script).resume()


def test_the_first_ctrl_c_finishes_what_is_in_flight(journal) -> None:
    stop = threading.Event()

    def interrupted() -> StepOutcome:
        stop.set()
        return StepOutcome.done()

    script = Script(steps={"a.infra": interrupted})
    assert runner(journal, script, stop_requested=stop).start(plan("a")).state is RunState.PAUSED
    assert rollout_view(journal).sites[0].steps[0].state is StepState.DONE


def test_a_lost_executor_interrupts_and_is_no_failure(journal) -> None:
    def killed() -> StepOutcome:
        raise BrokenProcessPool("a worker was killed")

    with pytest.raises(ExecutorLostError, match="resume"):
        runner(journal, Script(steps={"a.apps": killed})).start(plan("a"))
    view = rollout_view(journal)
    assert (view.state, view.interrupted, view.failures) == (RunState.RUNNING, True, 0)
    script = Script()
    assert runner(journal, script).resume().state is RunState.COMPLETED
    assert script.ran == ["a.apps"]


def test_an_executor_that_takes_no_work_interrupts_too(journal) -> None:
    class Broken(Executor):
        def submit(self, fn, /, *args, **kwargs):
            raise BrokenExecutor("gone")

    with pytest.raises(ExecutorLostError):
        runner(journal, Script(), executor=Broken()).start(plan("a"))
    assert runner(journal, Script()).resume().state is RunState.COMPLETED


def test_a_resume_with_another_plan_is_stale(journal) -> None:
    spec = plan("a")
    runner(journal, Script(steps={"a.apps": fail})).start(spec)
    with pytest.raises(StalePlanError, match="supersede"):
        runner(journal, Script()).resume(plan_digest=replace(spec, max_failures=1).digest)
    assert runner(journal, Script()).resume(plan_digest=spec.digest).state is RunState.COMPLETED


def test_what_cannot_begin_says_why(journal) -> None:
    with pytest.raises(NotResumableError, match="no run"):
        runner(journal, Script()).resume()
    with pytest.raises(NotResumableError, match="no run"):
        rollout_view(journal)
    runner(journal, Script(steps={"a.apps": fail})).start(plan("a"))
    with pytest.raises(UnfinishedRunError, match="stopped"):
        runner(journal, Script()).start(plan("a"))
    other_track = runner(journal, Script()).start(plan("a", track="agents"))
    assert other_track.state is RunState.COMPLETED
    with journal.driver_lock(), pytest.raises(DriverLockedError):
        runner(journal, Script()).resume()


def test_events_that_contradict_each_other_are_an_integrity_error(journal) -> None:
    run_id = runner(journal, Script()).start(plan("a")).run_id
    with journal.driver_lock():
        journal.append(run_id, [RunResumed(1.0)])
    with pytest.raises(JournalIntegrityError, match="contradict"):
        rollout_view(journal)


def test_threads_work_in_parallel_up_to_max_concurrency(journal) -> None:
    together = threading.Barrier(3)

    def meet() -> StepOutcome:
        together.wait(timeout=30)  # breaks unless three sites are in change at once
        return StepOutcome.done()

    script = Script(steps={f"{site}.infra": meet for site in "bcdefg"})
    with ThreadPoolExecutor(8) as executor:
        result = runner(journal, script, executor=executor).start(plan("a", "b c d e f g", max_concurrency=3))
    assert result.state is RunState.COMPLETED
    busy: set[str] = set()
    for event in journal.events(result.run_id):
        if isinstance(event, StepStarted):
            busy.add(event.site)
        elif type(event).__name__ == "StepFinished" and event.step == "apps":
            busy.discard(event.site)
        assert len(busy) <= 3


def test_a_slow_step_is_flagged_stuck_and_still_counts(journal) -> None:
    go_on = threading.Event()
    clock = FakeClock()

    def slow() -> StepOutcome:
        clock.time += 1000.0
        assert go_on.wait(timeout=30)
        return StepOutcome.done()

    def on_event(event: Event) -> None:
        if isinstance(event, SiteStuck):
            go_on.set()

    with ThreadPoolExecutor(1) as executor:
        result = runner(
            journal,
            Script(steps={"a.infra": slow}),
            executor=executor,
            clock=clock,
            on_event=on_event,
            poll_seconds=0.01,
        ).start(plan("a"))
    assert result.state is RunState.COMPLETED
    assert go_on.is_set()
