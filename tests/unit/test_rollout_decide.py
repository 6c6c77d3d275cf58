"""decide() and the state machine against a simulated world that crashes wherever it likes."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.rollout.decide import Complete, FlagStuck, ProbeHealth, StartStep, Stop, Wait, decide
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
    SiteStuck,
    StepFinished,
    StepStarted,
    Verdict,
)
from fleet.rollout.progress import RingState, SiteState
from fleet.rollout.spec import RingSpec, RolloutSpec, SiteSteps, Step
from fleet.rollout.state import IllegalTransitionError, RolloutState


def plan(rings: list[int], *, steps: int = 1, soak: float = 0.0, **policy) -> RolloutSpec:
    """Rings r0, r1, ... of so many sites: a0, a1, ... in r0, b0, ... in r1."""
    return RolloutSpec(
        tuple(
            RingSpec(
                f"r{i}",
                tuple(
                    SiteSteps(
                        f"{chr(97 + i)}{n}", tuple(Step(f"s{k}", "noop", "sha256:1") for k in range(steps))
                    )
                    for n in range(count)
                ),
                soak,
            )
            for i, count in enumerate(rings)
        ),
        **policy,
    )


def fold(spec: RolloutSpec, events: list[Event]) -> RolloutState:
    state = RolloutState(spec)
    for event in events:
        state.apply(event)
    return state


def started(spec: RolloutSpec, *skipped: str) -> RolloutState:
    return fold(spec, [RunStarted(0.0, spec.digest, skipped)])


def step(state: RolloutState, site: str, at: float = 0.0, *, ok: bool = True) -> None:
    progress = state.sites[site].steps[state.sites[site].next_step]
    state.apply(StepStarted(at, site, progress.spec.id, progress.attempt + 1))
    state.apply(StepFinished(at, site, progress.spec.id, ok, "" if ok else "E1", "" if ok else "broke"))


def probe(state: RolloutState, site: str, at: float = 0.0, verdict: Verdict = Verdict.HEALTHY) -> None:
    state.apply(ProbeStarted(at, site))
    state.apply(ProbeFinished(at, site, verdict, ("no link",) if verdict is not Verdict.HEALTHY else ()))


def starts(actions) -> list[str]:
    return [a.site for a in actions if isinstance(a, StartStep)]


# Examples


def test_the_canary_goes_alone_and_is_judged_before_the_rest_of_its_ring() -> None:
    spec = plan([3], max_concurrency=3)
    state = started(spec)
    assert starts(decide(spec, state, 0.0)) == ["a0"]
    state.apply(StepStarted(0.0, "a0", "s0", 1))
    assert starts(decide(spec, state, 0.0)) == []
    with pytest.raises(IllegalTransitionError, match=r"max_concurrency|canary"):
        state.apply(StepStarted(0.0, "a1", "s0", 1))
    state.apply(StepFinished(0.0, "a0", "s0", True))
    assert decide(spec, state, 0.0)[0] == ProbeHealth("a0")
    probe(state, "a0")
    assert starts(decide(spec, state, 0.0)) == ["a1", "a2"]


def test_the_canary_is_the_first_site_that_changes() -> None:
    spec = plan([2, 2])
    state = started(spec, "a0", "a1", "b0")
    assert state.rings[0].state is RingState.DONE
    assert [name for name, site in state.sites.items() if site.canary] == ["b1"]


def test_a_failed_canary_stops_whatever_the_budget() -> None:
    spec = plan([3], max_failures=3)
    state = started(spec)
    step(state, "a0", ok=False)
    assert decide(spec, state, 0.0) == (Stop(RunState.STOPPED, "canary site a0 failed: broke"),)


def test_nothing_but_skipped_sites_completes_at_once() -> None:
    spec = plan([1, 0, 1])
    assert decide(spec, started(spec, "a0", "c0"), 0.0) == (Complete(""),)


def test_soak_is_an_absolute_deadline_from_the_last_site_ready() -> None:
    spec = plan([2, 1], soak=100.0)
    state = started(spec)
    step(state, "a0", 10.0)
    probe(state, "a0", 11.0)
    step(state, "a1", 50.0)
    assert state.rings[0].state is RingState.SOAKING
    assert decide(spec, state, 149.0) == (Wait(150.0),)
    state.apply(RunResumed(140.0))
    assert decide(spec, state, 149.0) == (Wait(150.0),)
    assert decide(spec, state, 150.0)[:2] == (ProbeHealth("a0"), ProbeHealth("a1"))
    with pytest.raises(IllegalTransitionError, match="soak"):
        state.apply(ProbeStarted(149.0, "a0"))
    probe(state, "a0", 150.0)
    assert starts(decide(spec, state, 150.0)) == []
    probe(state, "a1", 150.0)
    assert starts(decide(spec, state, 150.0)) == ["b0"]


def test_over_budget_lets_flights_land_then_stops_and_a_resume_retries() -> None:
    spec = plan([4], steps=2, max_concurrency=4, max_failures=0)
    state = started(spec)
    step(state, "a0")
    step(state, "a0")
    probe(state, "a0")
    state.apply(StepStarted(1.0, "a2", "s0", 1))
    step(state, "a1", 1.0)
    step(state, "a1", 1.0, ok=False)
    assert decide(spec, state, 1.0) == (Wait(301.0),)
    state.apply(StepFinished(2.0, "a2", "s0", True))
    (stop,) = decide(spec, state, 2.0)
    assert isinstance(stop, Stop)
    state.apply(RunEnded(2.0, stop.state, stop.reason))
    state.apply(RunResumed(3.0, retried=("a1",)))
    again = {a.site: (a.step, a.attempt) for a in decide(spec, state, 3.0) if isinstance(a, StartStep)}
    assert again == {"a1": ("s1", 2), "a2": ("s1", 1), "a3": ("s0", 1)}


def test_failed_sites_are_tried_again_in_the_order_of_the_plan() -> None:
    spec = plan([4], max_concurrency=2)
    state = started(spec)
    step(state, "a0")
    probe(state, "a0")
    for name in ("a1", "a2"):
        state.apply(StepStarted(0.0, name, "s0", 1))
    for name in ("a2", "a1"):
        state.apply(StepFinished(0.0, name, "s0", False, "E1", "broke"))
    state.apply(RunEnded(1.0, RunState.STOPPED, "2 failed"))
    with pytest.raises(IllegalTransitionError, match="retries"):
        state.apply(RunResumed(2.0))
    state.apply(RunResumed(2.0, retried=state.retryable()))
    assert state.failures == 0
    assert starts(decide(spec, state, 2.0)) == ["a1", "a2"]


def test_an_unhealthy_site_is_asked_again_after_a_resume_not_changed_again() -> None:
    spec = plan([2])
    state = started(spec)
    step(state, "a0")
    probe(state, "a0")
    step(state, "a1")
    probe(state, "a0")
    probe(state, "a1", verdict=Verdict.UNHEALTHY)
    assert state.rings[0].state is RingState.GATED
    state.apply(RunEnded(1.0, RunState.STOPPED, "unhealthy"))
    state.apply(RunResumed(2.0, retried=("a1",)))
    assert decide(spec, state, 2.0) == (ProbeHealth("a1"), Wait(None))
    probe(state, "a1", 2.0)
    assert decide(spec, state, 2.0) == (Complete(""),)


def test_a_ring_without_one_healthy_site_stops_within_the_budget_too() -> None:
    spec = plan([1, 2], max_failures=5)
    state = started(spec)
    step(state, "a0")
    probe(state, "a0")
    probe(state, "a0")
    step(state, "b0", ok=False)
    step(state, "b1", ok=False)
    assert decide(spec, state, 0.0) == (Stop(RunState.STOPPED, "no site of ring r1 could be changed"),)


def test_inconclusive_health_is_asked_again_then_pauses_and_never_passes() -> None:
    spec = plan([2], max_inconclusive=2)
    state = started(spec)
    step(state, "a0", 0.0)
    probe(state, "a0", 0.0, Verdict.INCONCLUSIVE)
    assert decide(spec, state, 0.0) == (Wait(30.0),)
    probe(state, "a0", 30.0, Verdict.INCONCLUSIVE)
    assert decide(spec, state, 30.0) == (Stop(RunState.PAUSED, "health is inconclusive at a0 (no link)"),)
    state.apply(RunEnded(30.0, RunState.PAUSED, "inconclusive"))
    state.apply(RunResumed(99.0))
    assert decide(spec, state, 99.0)[0] == ProbeHealth("a0")


def test_a_slow_step_is_flagged_once_and_goes_on() -> None:
    spec = plan([1], stuck_after_seconds=60.0)
    state = started(spec)
    state.apply(StepStarted(0.0, "a0", "s0", 1))
    assert decide(spec, state, 59.0) == (Wait(60.0),)
    assert decide(spec, state, 60.0) == (FlagStuck("a0", "s0"), Wait(None))
    state.apply(SiteStuck(60.0, "a0", "s0"))
    assert state.sites["a0"].state is SiteState.STUCK
    assert decide(spec, state, 99.0) == (Wait(None),)
    state.apply(StepFinished(99.0, "a0", "s0", True))
    assert state.sites["a0"].state is SiteState.APPLIED


@pytest.mark.parametrize(
    ("kind", "end"), [(IntentKind.PAUSE, RunState.PAUSED), (IntentKind.ABORT, RunState.ABORTED)]
)
def test_an_intent_lets_flights_land_and_starts_nothing(kind: IntentKind, end: RunState) -> None:
    spec = plan([1])
    state = started(spec)
    state.apply(StepStarted(0.0, "a0", "s0", 1))
    state.apply(IntentTaken(1.0, 1, kind, "eve", "lunch"))
    assert decide(spec, state, 1.0) == (Wait(300.0),)
    state.apply(StepFinished(2.0, "a0", "s0", True))
    assert decide(spec, state, 2.0) == (Stop(end, f"{kind} by eve: lunch"),)


def test_the_executors_limit_is_the_ceiling() -> None:
    spec = plan([1, 9], max_concurrency=9)
    state = started(spec)
    step(state, "a0")
    probe(state, "a0")
    probe(state, "a0")
    assert len(starts(decide(spec, state, 0.0))) == 9
    assert len(starts(decide(spec, state, 0.0, in_flight_limit=2))) == 2


ILLEGAL: list[Event] = [
    RunStarted(0.0, "sha256:other"),
    StepStarted(0.0, "nobody", "s0", 1),
    StepStarted(0.0, "b0", "s0", 1),
    StepStarted(0.0, "a0", "s1", 1),
    StepStarted(0.0, "a0", "s0", 2),
    StepFinished(0.0, "a0", "s0", True),
    SiteStuck(0.0, "a0", "s0"),
    ProbeStarted(0.0, "a0"),
    ProbeFinished(0.0, "a0", Verdict.HEALTHY),
    RunResumed(0.0, retried=("a0",)),
    RunEnded(0.0, RunState.COMPLETED, ""),
    RunEnded(0.0, RunState.RUNNING, ""),
]


@pytest.mark.parametrize("event", ILLEGAL, ids=lambda e: type(e).__name__)
def test_an_illegal_event_raises_and_changes_nothing(event: Event) -> None:
    spec = plan([2, 1], steps=2)
    state = started(spec)
    before = decide(spec, state, 0.0)
    with pytest.raises(IllegalTransitionError):
        state.apply(event)
    assert decide(spec, state, 0.0) == before
    assert vars(state).keys() == vars(started(spec)).keys()


@pytest.mark.parametrize("end", [RunState.COMPLETED, RunState.ABORTED])
def test_after_the_end_nothing_happens(end: RunState) -> None:
    spec = plan([])
    state = started(spec)
    state.apply(RunEnded(1.0, end, ""))
    assert decide(spec, state, 2.0) == ()
    for event in (RunResumed(2.0), RunEnded(2.0, RunState.ABORTED, ""), RunStarted(2.0, spec.digest)):
        with pytest.raises(IllegalTransitionError):
            state.apply(event)


# The simulated world


@dataclass
class World:
    """Takes decisions, delivers results in random order, crashes, pauses, resumes; checks as it goes."""

    spec: RolloutSpec
    random: Random
    crash_rate: float
    fail_rate: float
    limit: int
    skipped: tuple[str, ...] = ()
    now: float = 0.0
    journal: list[Event] = field(default_factory=list)
    flying: list[StartStep | ProbeHealth] = field(default_factory=list)
    done: set[tuple[str, str]] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)

    def run(self) -> RolloutState:
        self.state = RolloutState(self.spec)
        self.commit(RunStarted(self.now, self.spec.digest, self.skipped))
        for _ in range(20_000):
            if self.state.run in (RunState.COMPLETED, RunState.ABORTED):
                return self.state
            if self.state.run in (RunState.PAUSED, RunState.STOPPED):
                if self.random.random() < 0.1:
                    self.commit(RunEnded(self.now, RunState.ABORTED, "enough"))
                else:
                    self.fail_rate /= 2  # the operator repairs something, so that it ends
                    self.resume()
                continue
            self.turn()
        raise AssertionError("the run does not end")

    def turn(self) -> None:
        actions = decide(self.spec, self.state, self.now, self.limit)
        assert actions == decide(self.spec, fold(self.spec, self.journal), self.now, self.limit)
        for action in actions:
            match action:
                case StartStep(site, name, attempt):
                    assert (site, name) not in self.done, "a completed step starts twice"
                    self.check_order(site)
                    if not self.commit(StepStarted(self.now, site, name, attempt)):
                        return
                    self.flying.append(action)
                case ProbeHealth(site):
                    if not self.commit(ProbeStarted(self.now, site)):
                        return
                    self.flying.append(action)
                case FlagStuck(site, name):
                    if not self.commit(SiteStuck(self.now, site, name)):
                        return
                case Stop(end, reason):
                    assert not self.flying
                    self.commit(RunEnded(self.now, end, reason))
                    return
                case Complete():
                    assert not self.flying
                    self.commit(RunEnded(self.now, RunState.COMPLETED, ""))
                    return
                case Wait(until):
                    self.check_limits()
                    self.advance(until)

    def advance(self, until: float | None) -> None:
        assert self.flying or until is not None, "waits for nothing"
        if self.flying and (until is None or self.random.random() < 0.9):
            self.now += self.random.random()
            self.land(self.flying.pop(self.random.randrange(len(self.flying))))
        else:
            assert until is not None and until > self.now
            self.now = until
        if self.random.random() < 0.01:
            kind = IntentKind.PAUSE if self.random.random() < 0.9 else IntentKind.ABORT
            self.commit(IntentTaken(self.now, 0, kind, "eve", ""))

    def land(self, action: StartStep | ProbeHealth) -> None:
        ok = self.random.random() >= self.fail_rate
        if isinstance(action, StartStep):
            self.commit(StepFinished(self.now, action.site, action.step, ok))
            return
        bad = self.random.choice([Verdict.UNHEALTHY, Verdict.INCONCLUSIVE])
        self.commit(ProbeFinished(self.now, action.site, Verdict.HEALTHY if ok else bad))

    def commit(self, event: Event) -> bool:
        """Journal the event; False if the driver died just before or just after."""
        if self.random.random() < self.crash_rate:
            self.crash()
            return False
        self.state.apply(event)
        self.journal.append(event)
        if isinstance(event, StepFinished) and event.ok:
            self.done.add((event.site, event.step))
        if isinstance(event, ProbeFinished) and event.verdict is Verdict.HEALTHY:
            self.judged.add(event.site)
        if self.random.random() < self.crash_rate:
            self.crash()
            return False
        return True

    def crash(self) -> None:
        self.flying.clear()
        if not self.journal:
            self.journal.append(RunStarted(self.now, self.spec.digest, self.skipped))
        self.state = fold(self.spec, self.journal)
        if self.state.run is RunState.RUNNING:
            self.resume()

    def resume(self) -> None:
        event = RunResumed(self.now, retried=self.state.retryable())
        self.state.apply(event)
        self.journal.append(event)

    def check_limits(self) -> None:
        ring = self.state.ring
        assert self.state.in_flight == len(self.flying) <= self.limit
        if ring is not None:
            changing = [
                s for s in self.state.sites.values() if s.state in (SiteState.RUNNING, SiteState.STUCK)
            ]
            assert len(changing) == len(ring.active) <= ring.limit
        if self.state.failures > self.spec.max_failures:
            assert not starts(decide(self.spec, self.state, self.now, self.limit))

    def check_order(self, site: str) -> None:
        ring = self.state.sites[site].ring
        final = (SiteState.HEALTHY, SiteState.FAILED, SiteState.SKIPPED)
        for name, other in self.state.sites.items():
            if other.ring < ring:
                assert other.state in final, f"{site} starts before {name} is judged"
            if other.canary and name != site:
                assert name in self.judged, f"{site} starts before the canary is judged"
        assert all(self.state.rings[i].state is RingState.DONE for i in range(ring))
        assert self.state.failures <= self.spec.max_failures


@st.composite
def worlds(draw: st.DrawFn) -> World:
    spec = plan(
        draw(st.lists(st.integers(0, 6), max_size=4)),
        steps=draw(st.integers(1, 3)),
        soak=draw(st.sampled_from([0.0, 45.0])),
        max_concurrency=draw(st.one_of(st.integers(1, 4), st.sampled_from(["10%", "50%", "100%"]))),
        max_failures=draw(st.integers(0, 3)),
        stuck_after_seconds=draw(st.sampled_from([0.5, 300.0])),
    )
    names = sorted(spec.by_site)
    return World(
        spec,
        Random(draw(st.integers(0, 2**32))),
        crash_rate=draw(st.sampled_from([0.0, 0.02, 0.1])),
        fail_rate=draw(st.sampled_from([0.0, 0.1, 0.5])),
        limit=draw(st.integers(1, 8)),
        skipped=tuple(draw(st.lists(st.sampled_from(names), unique=True)) if names else ()),
    )


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_a_run_keeps_its_promises_and_ends(world: World) -> None:
    end = world.run()
    if end.run is RunState.COMPLETED:
        assert end.failures <= world.spec.max_failures
        for name, site in end.sites.items():
            assert site.state in (SiteState.HEALTHY, SiteState.SKIPPED, SiteState.FAILED)
            assert (site.state is SiteState.SKIPPED) == (name in world.skipped)
            if site.state is SiteState.HEALTHY:
                assert all((name, s.spec.id) in world.done for s in site.steps)
    again = fold(world.spec, world.journal)
    assert (again.run, again.failures, again.sites) == (end.run, end.failures, end.sites)


def test_a_decision_looks_at_what_is_active_not_at_the_fleet() -> None:
    class Counting(dict):
        looks = 0

        def __getitem__(self, key):
            Counting.looks += 1
            return super().__getitem__(key)

    spec = plan([1, 5000], max_concurrency=10)
    state = started(spec)
    step(state, "a0")
    probe(state, "a0")
    probe(state, "a0")
    state.sites = Counting(state.sites)
    for _ in range(100):
        for name in starts(decide(spec, state, 0.0)):
            step(state, name)
    assert len(state.rings[1].pending) == 4000
    assert Counting.looks < 20 * 1000
