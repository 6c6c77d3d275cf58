"""Runs that are limited to some resources."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, TYPE, Bench, Group, Thing, ops
from pulumi import ResourceOptions

from fleet.ports.engine import EngineError, RunOptions


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def urn(name: str) -> str:
    return f"urn:pulumi:{STACK.name}::{STACK.project}::{TYPE}::{name}"


def only(*targets: str, dependants: bool = False) -> RunOptions:
    return RunOptions(targets=targets, target_dependents=dependants)


def sized(size: int, *names: str) -> Any:
    """a; b built from a; c after b; and d alone."""

    def program() -> None:
        if "a" in (names or "abcd"):
            a = Thing("a", size=size)
        if "b" in (names or "abcd"):
            b = Thing("b", size=size, source=a.link if "a" in (names or "abcd") else None)
        if "c" in (names or "abcd"):
            Thing("c", size=size, opts=ResourceOptions(depends_on=[b]))
        if "d" in (names or "abcd"):
            Thing("d", size=size)
        pulumi.export("size", size)

    return program


@pytest.mark.parametrize("target", ["b", urn("b")])
def test_only_the_target_is_updated(bench: Bench, target: str) -> None:
    bench.up(sized(1))
    bench.effects()
    before = bench.state_of("a")
    for run in (bench.preview, bench.up):
        result = run(sized(2), options=only(target))
        assert (ops(result), result.error) == ({"a": "same", "b": "update", "c": "same", "d": "same"}, None)
    assert bench.effects() == ["update /things/b"]
    assert bench.state_of("a") == before
    assert ops(bench.up(sized(2))) == {"a": "update", "b": "same", "c": "update", "d": "update"}


def test_dependants_can_be_included(bench: Bench) -> None:
    bench.up(sized(1))
    result = bench.up(sized(2), options=only("a", dependants=True))
    assert ops(result) == {"a": "update", "b": "update", "c": "update", "d": "same"}


def test_only_targets_are_created(bench: Bench) -> None:
    assert ops(bench.up(sized(1), options=only("d"))) == {"d": "create"}
    assert bench.things() == ["d"]
    assert ops(bench.up(sized(1), options=only("a", "b"))) == {"a": "create", "b": "create", "d": "same"}
    assert ops(bench.up(sized(1))) == {"a": "same", "b": "same", "c": "create", "d": "same"}


def test_a_target_whose_dependency_does_not_exist_is_an_error(bench: Bench) -> None:
    for run in (bench.preview, bench.up):
        result = run(sized(1), options=only("b", "d"))
        assert [(f.code, f.name) for f in result.failures] == [("UntargetedDependency", "b")]
        assert urn("a") in result.failures[0].message
    assert bench.things() == [], "nothing is begun, not even what could be done"
    assert not bench.store.directory.exists() or not bench.store.path(STACK).exists()


@pytest.mark.parametrize("action", ["preview", "up", "refresh", "destroy"])
def test_an_unknown_target_is_an_error_with_near_names(bench: Bench, action: str) -> None:
    def program() -> None:
        Thing("gateway", size=1)

    bench.up(program)
    bench.effects()
    run = {"options": only("gatway")}
    with pytest.raises(EngineError, match="no resource 'gatway'") as error:
        getattr(bench, action)(*([program] if action in ("preview", "up") else []), **run)
    assert error.value.help == "did you mean gateway?"
    assert bench.effects() == []


def test_only_targets_are_deleted(bench: Bench) -> None:
    bench.up(sized(1))
    bench.effects()
    result = bench.up(sized(1, "a"), options=only("d"))
    assert (ops(result), result.error) == ({"a": "same", "d": "delete"}, None)
    assert bench.effects() == ["delete /things/d"]
    assert bench.things() == ["a", "b", "c"]
    names = [r["urn"].rsplit("::", 1)[-1] for r in bench.state()["deployment"]["resources"]]
    assert names[-3:] == ["a", "b", "c"]


def test_a_target_on_which_something_depends_is_not_deleted_alone(bench: Bench) -> None:
    bench.up(sized(1))
    bench.effects()
    result = bench.destroy(options=only("b"))
    assert [(f.code, f.name) for f in result.failures] == [("UntargetedDependant", "c")]
    assert bench.effects() == []
    result = bench.destroy(options=only("b", dependants=True))
    assert (ops(result), result.error) == ({"b": "delete", "c": "delete"}, None)
    assert bench.effects() == ["delete /things/c", "delete /things/b"]
    assert bench.things() == ["a", "d"]
    assert bench.up(sized(1)).counts == {"same": 3, "create": 2}


def test_what_is_kept_may_depend_on_what_the_program_dropped(bench: Bench) -> None:
    """Pulumi refuses a state in which a resource stands before its dependency; so does the next run here."""
    bench.up(sized(1))
    result = bench.up(sized(1, "b", "d"), options=only("d"))
    assert (result.error, ops(result)) == (None, {"b": "same", "d": "same"})
    assert bench.things() == ["a", "b", "c", "d"]
    assert bench.state_of("b")["dependencies"] == [urn("a")]
    assert bench.preview(sized(1)).counts == {"same": 5}


def test_the_children_of_a_component_that_is_no_target(bench: Bench) -> None:
    def program(size: int) -> Any:
        def declare() -> None:
            group = Group("g")
            thing = Thing("a", size=size, opts=ResourceOptions(parent=group))
            group.register_outputs({"size": thing.link.apply(lambda _: size)})

        return declare

    result = bench.up(program(1), options=only("a"))
    assert [(f.code, f.name) for f in result.failures] == [("UntargetedDependency", "a")]
    bench.up(program(1))
    result = bench.up(program(2), options=only("a"))
    assert ops(result) == {"a": "update"}
    group = next(r for r in bench.state()["deployment"]["resources"] if r["urn"].endswith("::g"))
    assert group["outputs"] == {"size": 1}, "what is no target keeps its outputs too"
    both = bench.up(program(3), options=only("g", dependants=True))
    assert ops(both) == {"a": "update"}


def test_a_limited_run_keeps_the_outputs_that_it_does_not_know(bench: Bench) -> None:
    def program() -> None:
        pulumi.export("a", Thing("a").link)
        pulumi.export("z", Thing("z").link)

    bench.up(program, options=only("a"))
    assert bench.state()["deployment"]["resources"][0]["outputs"] == {"a": "https://a.example"}
    assert bench.up(program).outputs == {"a": "https://a.example", "z": "https://z.example"}


def test_replacing_a_target_takes_its_dependants_along(bench: Bench) -> None:
    def program(serial: str) -> Any:
        def declare() -> None:
            first = Thing("a", serial=serial)
            Thing("b", serial=first.serial)

        return declare

    bench.up(program("1"))
    bench.effects()
    result = bench.up(program("2"), options=only("a"))
    assert (ops(result), result.error) == ({"a": "replace", "b": "replace"}, None)
    assert bench.effects() == ["delete /things/b", "delete /things/a", "create a", "create b"]
    assert bench.up(program("2")).counts == {"same": 3}


def test_refresh_of_a_target(bench: Bench) -> None:
    bench.up(sized(1))
    bench.put("a", size=8)
    bench.put("d", size=9)
    assert ops(bench.refresh(options=only("d"))) == {"d": "refresh"}
    assert bench.state_of("a")["inputs"]["size"] == 1
    assert bench.state_of("d")["inputs"]["size"] == 9
