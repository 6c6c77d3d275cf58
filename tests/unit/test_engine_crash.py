"""kill -9 in the middle of an effect, and the run after it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, Bench, Thing, ops

from fleet.ports.engine import StackRun

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from engine_cloud import Bench
from test_engine_crash import PROGRAMS
bench = Bench(Path(sys.argv[2]))
bench.cloud.hang_before, bench.cloud.hang_after = sys.argv[4], sys.argv[5]
bench.up(PROGRAMS[sys.argv[3]])
"""


def two() -> None:
    first = Thing("first")
    Thing("second", source=first.link)


def replaced() -> None:
    first = Thing("first", serial="2")
    Thing("second", source=first.link)


def bigger() -> None:
    first = Thing("first", size=2, password=pulumi.Output.secret("a-new-password"))
    Thing("second", source=first.link)


def none() -> None:
    pass


PROGRAMS: dict[str, Any] = {"two": two, "replaced": replaced, "bigger": bigger, "none": none}


def kill_in(bench: Bench, program: str, *, before: str = "", after: str = "") -> None:
    """Run a program in another process, and kill it while an effect is in flight."""
    mark = bench.cloud.folder / "hanging"
    here = Path(__file__).parent
    arguments = [str(here), str(bench.folder), program, before, after]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], env={**os.environ, "PYTHONPATH": ""})
    try:
        while not mark.exists():
            assert child.poll() is None, "the child ended before the effect"
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    mark.unlink()


def recovered(bench: Bench) -> list[str]:
    return [e.message for e in bench.events if e.kind == "recovered"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_create_whose_resource_exists_is_adopted(bench: Bench) -> None:
    kill_in(bench, "two", after="create second")
    pending = bench.state()["deployment"]["pending_operations"]
    assert [(p["type"], p["resource"]["id"]) for p in pending] == [("creating", "/things/second")]
    assert "id" in bench.state_of("first"), "what was finished before is not lost"

    assert any("cut short" in e.message for e in [*_preview_events(bench, two)])
    result = bench.up(two)
    assert result.error is None
    assert ops(result) == {"first": "same", "second": "same"}
    assert recovered(bench) == ["a create was cut short; /things/second exists and was adopted"]
    assert bench.effects() == ["read /things/second"]
    assert bench.state()["deployment"]["pending_operations"] == []
    assert bench.destroy().error is None
    assert bench.things() == []


def _preview_events(bench: Bench, program: Any) -> list[Any]:
    bench.preview(program)
    events, bench.events = bench.events, []
    return events


def test_a_create_that_never_happened_is_forgotten(bench: Bench) -> None:
    kill_in(bench, "two", before="create second")
    result = bench.up(two)
    assert ops(result) == {"first": "same", "second": "create"}
    assert recovered(bench) == ["a create was cut short before anything existed; forgotten"]
    assert bench.cloud.calls == ["miss /things/second", "miss /things/second", "create second"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_delete_is_settled(bench: Bench, moment: str) -> None:
    bench.up(two)
    kill_in(bench, "none", **{moment: "delete /things/second"})
    bench.effects()
    assert bench.up(none).error is None
    assert bench.things() == []
    expected = {
        "before": ["read /things/second", "delete /things/second", "delete /things/first"],
        "after": ["miss /things/second", "delete /things/first"],
    }
    assert bench.cloud.calls == expected[moment]


@pytest.mark.parametrize(
    "cut", [{"after": "delete /things/first"}, {"before": "create first"}, {"after": "create first"}]
)
def test_a_replacement_is_taken_up(bench: Bench, cut: dict[str, str]) -> None:
    bench.up(two)
    kill_in(bench, "replaced", **cut)
    assert bench.up(replaced).error is None
    assert bench.up(replaced).counts == {"same": 3}
    assert bench.things() == ["first", "second"]
    assert bench.state_of("first")["inputs"]["serial"] == "2"
    assert bench.destroy().error is None
    assert bench.things() == []


def test_what_cannot_be_looked_up_stops_the_run(bench: Bench) -> None:
    kill_in(bench, "two", after="create second")
    bench.cloud.refuse = {"read /things/second"}
    result = bench.up(two)
    assert [f.code for f in result.failures] == ["ResourceExhausted"]
    assert bench.effects() == ["read /things/second"], "nothing is begun before it is settled"
    assert len(bench.state()["deployment"]["pending_operations"]) == 1
    bench.cloud.refuse = set()
    assert ops(bench.up(two)) == {"first": "same", "second": "same"}


def test_what_was_there_before_is_never_adopted(bench: Bench) -> None:
    """Killed while the provider looks whether the thing exists, which it does and is somebody else's."""
    (bench.cloud.folder / "second.json").write_text('{"name": "second", "owner": "somebody else"}')
    kill_in(bench, "two", before="create second")
    (pending,) = bench.state()["deployment"]["pending_operations"]
    assert "id" not in pending["resource"], "nothing to adopt it by"
    bench.cloud.refuse = {"create second"}
    result = bench.up(two)
    assert [(f.code, f.urn.rsplit("::", 1)[-1]) for f in result.failures] == [("ResourceExhausted", "second")]
    assert "look for it by hand" in recovered(bench)[0]
    assert bench.destroy().error is None
    assert bench.things() == ["second"], "what is not ours is not deleted"


def test_a_killed_look_leaves_no_intent(bench: Bench) -> None:
    kill_in(bench, "two", before="read /things/second")
    assert bench.state()["deployment"]["pending_operations"] == []


def test_an_adopted_resource_is_brought_to_its_goal(bench: Bench) -> None:
    kill_in(bench, "two", after="create second")
    (bench.cloud.folder / "second.json").write_text('{"name": "second", "source": "else", "tag": "x"}')
    result = bench.up(two)
    assert ops(result) == {"first": "same", "second": "update"}
    (change,) = (c for c in result.changes if c.name == "second")
    assert [(c.path, c.kind) for c in change.changes] == [("source", "update"), ("tag", "remove")]


@pytest.mark.parametrize(("moment", "size"), [("before", None), ("after", 2)])
def test_after_an_update_was_cut_short_the_state_says_what_is_there(
    bench: Bench, moment: str, size: int | None
) -> None:
    bench.up(two)
    kill_in(bench, "bigger", **{moment: "update /things/first"})
    assert [r.name for r in bench.engine().resources(STACK) if r.pending] == ["first"]
    result = bench.engine().refresh(StackRun(STACK, none))
    assert result.error is None
    (first,) = (r for r in bench.engine().resources(STACK) if r.name == "first")
    assert (first.inputs.get("size"), first.pending) == (size, False)
    assert bench.up(bigger).error is None
    assert bench.up(bigger).counts == {"same": 3}


def test_what_is_pending_is_a_change_in_a_preview(bench: Bench) -> None:
    bench.up(two)
    kill_in(bench, "bigger", before="update /things/first")
    result = bench.preview(two)
    urn = bench.state_of("first")["urn"]
    assert (result.counts, result.pending, result.changed) == ({"same": 3}, (urn,), True)
    done = bench.up(two)
    assert (done.pending, done.changed) == ((), False)
    assert bench.preview(two).pending == (), "settled, though nothing else changed"


def test_resources_has_a_create_that_was_cut_short(bench: Bench) -> None:
    assert bench.engine().resources(STACK) == ()
    kill_in(bench, "two", after="create second")
    found = {r.name: (r.pending, r.failed, r.inputs.get("source")) for r in bench.engine().resources(STACK)}
    assert found["second"] == (True, False, "https://first.example")
    assert found["first"] == (False, False, None)
