"""Refreshing, dry runs, and the options about deletion."""

from pathlib import Path
from typing import Any

import pytest
from engine_cloud import STACK, Bench, CloudProvider, Thing, ops
from pulumi import ResourceOptions

from fleet.ports.engine import PropertyChange, RunOptions

DRY = RunOptions(dry_run=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def family() -> None:
    a = Thing("a", size=1)
    b = Thing("b", source=a.link, opts=ResourceOptions(parent=a))
    Thing("c", opts=ResourceOptions(depends_on=[b]))


def test_what_changed_and_what_is_gone(bench: Bench) -> None:
    bench.up(family)
    bench.put("a", size=5, tag="x")
    bench.cloud._file("b").unlink()
    written = bench.store.path(STACK).read_bytes()
    dry = bench.refresh(options=DRY)
    assert ops(dry) == {"a": "refresh", "b": "delete", "c": "same"}
    assert bench.store.path(STACK).read_bytes() == written, "a dry run says, and writes nothing"

    result = bench.refresh()
    assert result == dry
    change = next(c for c in result.changes if c.name == "a")
    assert change.changes == (
        PropertyChange("size", "update", 1, 5),
        PropertyChange("tag", "add", None, "x"),
    )
    assert "dependencies" not in bench.state_of("c"), "what is gone is no dependency"
    assert ops(bench.up(family)) == {"a": "update", "b": "create", "c": "same"}


def test_a_child_outlives_its_parent_in_the_state(bench: Bench) -> None:
    """Pulumi refuses a state with a parent that is missing."""
    bench.up(family)
    bench.cloud._file("a").unlink()
    assert ops(bench.refresh()) == {"a": "delete", "b": "same", "c": "same"}
    orphan = next(r for r in bench.state()["deployment"]["resources"] if r["urn"].endswith("::b"))
    assert "parent" not in orphan
    assert ops(bench.up(family)) == {"a": "create", "b": "same", "c": "same"}
    assert bench.up(family).counts == {"same": 4}


def test_a_failing_read_is_a_failure_and_the_rest_goes_on(bench: Bench) -> None:
    bench.up(family)
    bench.put("c", size=3)
    bench.cloud.refuse = {"read /things/a"}
    result = bench.refresh()
    assert [(f.code, f.name) for f in result.failures] == [("ResourceExhausted", "a")]
    assert ops(result) == {"b": "same", "c": "refresh"}
    assert bench.state_of("a")["inputs"]["size"] == 1


def test_dry_up_and_dry_destroy(bench: Bench) -> None:
    assert ops(bench.up(family, options=DRY)) == {"a": "create", "b": "create", "c": "create"}
    assert bench.things() == []
    bench.up(family)
    bench.effects()
    dry = bench.destroy(options=DRY)
    assert (dry.counts, bench.effects(), bench.things()) == ({"delete": 4}, [], ["a", "b", "c"])
    assert bench.destroy().counts == dry.counts
    assert bench.things() == []


def test_deleted_with_needs_no_call(bench: Bench) -> None:
    def program() -> None:
        box = Thing("box")
        inner = Thing("inner", opts=ResourceOptions(deleted_with=box))
        Thing("user", source=inner.link)

    bench.up(program)
    assert bench.state_of("inner")["deletedWith"].endswith("::box")
    bench.effects()
    assert ops(bench.preview(lambda: None)) == {"box": "delete", "inner": "delete", "user": "delete"}
    bench.cloud.refuse = {"delete /things/box"}
    result = bench.up(lambda: None)
    assert [f.name for f in result.failures] == ["box"]
    assert bench.effects() == ["delete /things/user", "delete /things/box"]
    assert "deletedWith" in bench.state_of("inner"), "it is still there, and so is its state"
    bench.cloud.refuse = set()
    assert ops(bench.up(lambda: None)) == {"box": "delete", "inner": "delete"}
    assert bench.effects() == ["delete /things/box"]
    assert len(bench.state()["deployment"]["resources"]) == 1, "the stack"


def test_deleted_with_what_stays_is_deleted(bench: Bench) -> None:
    def program(*names: str) -> Any:
        def declare() -> None:
            box = Thing("box")
            if "inner" in names:
                Thing("inner", opts=ResourceOptions(deleted_with=box))

        return declare

    bench.up(program("inner"))
    bench.effects()
    bench.up(program())
    assert bench.effects() == ["delete /things/inner"]


def test_what_is_deleted_with_a_replaced_one_is_made_again(bench: Bench) -> None:
    def program(serial: str) -> Any:
        def declare() -> None:
            box = Thing("box", serial=serial)
            Thing("inner", opts=ResourceOptions(deleted_with=box))

        return declare

    bench.up(program("1"))
    bench.effects()
    for run in (bench.preview, bench.up):
        assert ops(run(program("2"))) == {"box": "replace", "inner": "replace"}
    assert "delete /things/inner" not in bench.effects()
    assert bench.things() == ["box", "inner"]
    assert bench.up(program("2")).counts == {"same": 3}


def test_a_replaced_provider_deletes_what_it_made(bench: Bench) -> None:
    """The old region's thing is not deleted through the provider of the new one."""
    regions: list[tuple[str, str]] = []
    current = {"region": ""}
    original = bench.cloud.Configure

    def configure(request: Any, context: Any) -> Any:
        current["region"] = request.variables["cloud:config:region"]
        return original(request, context)

    bench.cloud.Configure = configure  # type: ignore[method-assign]

    def program(region: str) -> Any:
        def declare() -> None:
            provider = CloudProvider("p", region=region)
            Thing("a", name=f"in-{region}", opts=ResourceOptions(provider=provider))

        return declare

    bench.up(program("north"))
    bench.effects()
    del regions[:]
    bench.cloud.refuse = {"delete /things/in-north"}
    result = bench.up(program("south"))
    assert [f.name for f in result.failures] == ["a"]
    providers = [r for r in bench.state()["deployment"]["resources"] if "providers" in r["type"]]
    assert sorted((r["inputs"]["region"], r.get("delete", False)) for r in providers) == [
        ("north", True),
        ("south", False),
    ]
    bench.cloud.refuse = set()
    again = bench.up(program("south"))
    assert again.error is None
    assert current["region"] == "north", "the last one configured is for what is left of it"
    assert bench.things() == ["in-south"]
    providers = [r for r in bench.state()["deployment"]["resources"] if "providers" in r["type"]]
    assert [r["inputs"]["region"] for r in providers] == ["south"]
    assert bench.up(program("south")).counts == {"same": 3}


def test_a_default_provider_that_leads_elsewhere_takes_its_resources_along(bench: Bench) -> None:
    def program() -> None:
        Thing("a")

    bench.up(program, config={"cloud:region": "north"})
    assert ops(bench.preview(program, config={"cloud:region": "south"})) == {"a": "replace"}
    assert ops(bench.up(program, config={"cloud:region": "north"})) == {"a": "same"}


def test_what_is_replaced_keeps_nothing_that_was_ignored(bench: Bench) -> None:
    """As in Pulumi, which checks the program's own inputs again for what it makes anew."""

    def program(name: str, size: int) -> Any:
        ignoring = ResourceOptions(ignore_changes=["size"])
        return lambda: Thing("a", name=name, size=size, opts=ignoring) and None

    bench.up(program("one", 1))
    assert ops(bench.up(program("one", 2))) == {"a": "same"}
    result = bench.up(program("two", 2))
    (change,) = (c for c in result.changes if c.name == "a")
    assert (change.op, [c.path for c in change.changes]) == ("replace", ["name", "size"])
    assert bench.state_of("a")["inputs"] == {"name": "two", "size": 2}
