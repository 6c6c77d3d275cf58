"""A program, or an SDK, that breaks in any place ends the run: nothing waits for what will never come."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import Bench, Group, Thing, ops
from pulumi import ResourceOptions
from pulumi.runtime import resource

DEADLINE_S = 20


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@contextmanager
def deadline() -> Iterator[None]:
    """Interrupt a run that goes on for ever; every run here takes a second."""

    def interrupt(*_: Any) -> None:
        raise TimeoutError("the run did not end")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(DEADLINE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def raises(*_: Any, **__: Any) -> Any:
    raise ValueError("broken on purpose")


def gives_none(*_: Any, **__: Any) -> Any:
    return None


def program() -> None:
    first = Thing("a")
    Thing("b", source=first.link)
    pulumi.export("link", first.link)


@pytest.mark.parametrize("broken", [raises, gives_none])
@pytest.mark.parametrize(
    "function",
    [
        "_get_stack_trace",
        "_get_source_position",
        "prepare_resource",
        "create_urn",
        "_translate_ignore_changes",
    ],
)
def test_a_broken_sdk_is_a_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, function: str, broken: Any
) -> None:
    """Inside a constructor, before its registration begins, in the registration, and for the stack itself."""
    monkeypatch.setattr(resource, function, broken)
    with deadline():
        result = bench.preview(program)
    if (function, broken) in (
        ("_get_source_position", gives_none),
        ("_translate_ignore_changes", gives_none),
    ):
        assert result.error is None, "nothing is wrong with None here"
        return
    assert result.error is not None
    assert result.error.code == "ProgramError"
    assert ("broken on purpose" if broken is raises else "NoneType") in result.error.message


@pytest.mark.parametrize("broken", [raises, gives_none])
def test_what_was_declared_before_is_still_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    def breaks_off() -> None:
        program()
        with monkeypatch.context() as patch:
            patch.setattr(resource, "_get_stack_trace", broken)
            Thing("c")

    with deadline():
        result = bench.up(breaks_off)
    assert result.error is not None
    assert ("broken on purpose" if broken is raises else "NoneType") in result.error.message
    assert bench.things() == ["a", "b"]
    assert bench.up(program).counts == {"same": 3}


def test_an_error_that_a_program_swallows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half-made child has an URN that nobody will ever set, and its parent's dependants wait for it."""

    def swallows() -> None:
        group = Group("g")
        with monkeypatch.context() as patch, pytest.raises(ValueError, match="on purpose"):
            patch.setattr(resource, "_get_stack_trace", raises)
            Thing("child", opts=ResourceOptions(parent=group))
        Thing("a", opts=ResourceOptions(depends_on=[group]))
        Thing("b")

    with deadline():
        result = bench.up(swallows)
    assert result.error is not None
    assert "nothing will ever set" in result.error.message
    assert bench.things() == ["b"]


def test_an_output_that_never_comes(bench: Bench) -> None:
    def waits() -> None:
        never: asyncio.Future[str] = asyncio.get_event_loop().create_future()
        Thing("a", source=pulumi.Output.from_input(never))

    with deadline():
        result = bench.preview(waits)
    assert result.error is not None
    assert "nothing will ever set" in result.error.message


def test_who_takes_a_while_is_waited_for(bench: Bench) -> None:
    """A timer, and a thread of the program's own that the loop does not know of, are no reason to give up."""
    pool = ThreadPoolExecutor(max_workers=1)
    went = threading.Event()

    def slow() -> str:
        went.wait(1.5)
        return "from a thread"

    async def late() -> str:
        await asyncio.sleep(1)
        return "from a timer"

    def takes_a_while() -> None:
        Thing("a", source=pulumi.Output.from_input(asyncio.wrap_future(pool.submit(slow))))
        Thing("b", source=pulumi.Output.from_input(late()))

    with pool, deadline():
        result = bench.up(takes_a_while)
    assert (result.error, ops(result)) == (None, {"a": "create", "b": "create"})
    assert bench.state_of("a")["inputs"]["source"] == "from a thread"
    assert bench.state_of("b")["inputs"]["source"] == "from a timer"
