"""The plan: its digest, its limits, and what it refuses."""

import dataclasses
import json

import pytest

from fleet.rollout.events import (
    IntentKind,
    IntentTaken,
    ProbeFinished,
    RunEnded,
    RunStarted,
    RunState,
    StepFinished,
    Verdict,
    decode_event,
    encode_event,
)
from fleet.rollout.spec import (
    RingSpec,
    RolloutSpec,
    SiteRecord,
    SiteSteps,
    SpecError,
    Step,
    canonical_json,
    concurrency_limit,
    spec_from_json,
    spec_to_json,
    unchanged_sites,
)


def site(name: str, digest: str = "sha256:1") -> SiteSteps:
    return SiteSteps(name, (Step("infra", "pulumi", digest), Step("apps", "gitops", digest)))


SPEC = RolloutSpec((RingSpec("canary", (site("a"),), 60), RingSpec("rest", (site("b"), site("c")))), "50%")


def test_the_snapshot_round_trips_and_keeps_its_digest() -> None:
    read = spec_from_json(json.loads(canonical_json(spec_to_json(SPEC))))
    assert read == SPEC
    assert read.digest == SPEC.digest


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(SPEC, max_failures=1),
        dataclasses.replace(SPEC, max_concurrency=2),
        dataclasses.replace(SPEC, rings=SPEC.rings[::-1]),
        dataclasses.replace(
            SPEC, rings=(SPEC.rings[0], RingSpec("rest", (site("b"), site("c", "sha256:2"))))
        ),
    ],
)
def test_any_difference_changes_the_plan_digest(other: RolloutSpec) -> None:
    assert other.digest != SPEC.digest


def test_an_int_soak_and_a_float_soak_are_the_same_plan() -> None:
    rings = (RingSpec("canary", (site("a"),), 60.0), SPEC.rings[1])
    assert dataclasses.replace(SPEC, rings=rings).digest == SPEC.digest


@pytest.mark.parametrize(
    ("limit", "sites", "expected"),
    [(3, 10, 3), ("25%", 10, 2), ("25%", 3, 1), ("1%", 10_000, 100), ("100%", 7, 7)],
)
def test_concurrency_is_a_number_or_a_share_rounded_down_of_at_least_one(limit, sites, expected) -> None:
    assert concurrency_limit(limit, sites) == expected


@pytest.mark.parametrize("limit", [0, -1, True, "0%", "101%", "25", "%", "2.5%", "-5%", "²%"])
def test_a_malformed_concurrency_is_refused(limit) -> None:
    with pytest.raises(SpecError, match="max_concurrency"):
        RolloutSpec(SPEC.rings, limit)


def test_a_site_in_two_rings_is_refused() -> None:
    with pytest.raises(SpecError, match="site a occurs twice"):
        RolloutSpec((RingSpec("one", (site("a"),)), RingSpec("two", (site("a"),))))


@pytest.mark.parametrize(
    ("rings", "message"),
    [
        ((RingSpec("one", ()), RingSpec("one", ())), "ring one occurs twice"),
        ((RingSpec("one", (SiteSteps("a", ()),)),), "no steps"),
        (
            (RingSpec("one", (SiteSteps("a", (Step("x", "k", "1"), Step("x", "k", "2"))),)),),
            "step x occurs twice",
        ),
        ((RingSpec("one", (), -1),), "soak_seconds"),
    ],
)
def test_a_contradictory_plan_is_refused(rings, message) -> None:
    with pytest.raises(SpecError, match=message):
        RolloutSpec(rings)


@pytest.mark.parametrize(
    "value", [{}, {"version": 99}, {"version": 1}, {"version": 1, "rings": [], "new": 1}]
)
def test_a_snapshot_of_another_shape_is_refused(value) -> None:
    with pytest.raises(SpecError):
        spec_from_json(value)


def test_only_a_healthy_site_with_this_digest_is_unchanged() -> None:
    digest = site("a").digest
    known = {
        "a": SiteRecord("a", digest, healthy=True),
        "b": SiteRecord("b", digest, healthy=False),
        "c": SiteRecord("c", None, healthy=True, good_digest=digest),
    }
    assert unchanged_sites(SPEC, known) == ("a",)
    assert unchanged_sites(SPEC, {"a": SiteRecord("a", "sha256:old", healthy=True)}) == ()


@pytest.mark.parametrize(
    "event",
    [
        RunStarted(1.0, "sha256:1", ("a",)),
        IntentTaken(1.0, 3, IntentKind.ABORT, "eve", "no"),
        StepFinished(1.5, "a", "infra", False, "E1", "broke", {"n": [1]}),
        ProbeFinished(2.0, "a", Verdict.INCONCLUSIVE, ("offline",)),
        RunEnded(3.0, RunState.PAUSED, "why"),
    ],
)
def test_events_survive_json(event) -> None:
    kind, data = encode_event(event)
    assert decode_event(kind, json.loads(canonical_json(data))) == event


@pytest.mark.parametrize(
    ("kind", "data"),
    [("nonsense", {}), ("run_ended", {"at": 1.0}), ("run_ended", {"at": 1.0, "state": "odd", "reason": ""})],
)
def test_an_unknown_event_is_refused(kind, data) -> None:
    with pytest.raises(ValueError):
        decode_event(kind, data)
