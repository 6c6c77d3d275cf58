"""Renamed, retyped and moved resources: what the state has goes on under another URN."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, TYPE, Bench, CloudProvider, Group, Thing, ops
from pulumi import Alias, ResourceOptions

from fleet.engine.local.checkpoint import Deployment, ResourceState
from fleet.engine.local.goals import Alias as GoalAlias
from fleet.engine.local.goals import Goal
from fleet.engine.local.lineage import Lineage
from fleet.engine.local.snapshot import Snapshot
from fleet.ports.engine import EngineError

ROOT = "urn:pulumi:site-a::demo::pulumi:pulumi:Stack::demo-site-a"
BASE = "urn:pulumi:site-a::demo::"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def found(goal: Goal, *urns: str, parents: tuple[tuple[Goal, str], ...] = ()) -> str | None:
    """The URN, of those in the state, that a goal continues, after its parents found theirs."""
    base = Deployment([ResourceState(urn, "t", True) for urn in urns])
    lineage = Lineage(STACK, Snapshot(base, None))
    for parent, former in parents:
        old = lineage.find(parent)
        assert old is not None
        assert old.urn == former
    old = lineage.find(goal)
    return old and old.urn


def goal(type_: str, name: str, *aliases: GoalAlias, parent: str = ROOT, own: str = "") -> Goal:
    chain = "" if parent == ROOT else parent.split("::")[2] + "$"
    return Goal(own or f"{BASE}{chain}{type_}::{name}", type_, name, True, {}, parent=parent, aliases=aliases)


GROUP = goal("d:i:Group", "new", GoalAlias(name="old"))


@pytest.mark.parametrize(
    ("alias", "urn"),
    [
        (GoalAlias(name="b"), f"{BASE}x:y:Z::b"),
        (GoalAlias(type="x:y:Old"), f"{BASE}x:y:Old::a"),
        (GoalAlias(urn="urn:pulumi:site-a::demo::q::r"), "urn:pulumi:site-a::demo::q::r"),
        (GoalAlias(project="before"), "urn:pulumi:site-a::before::x:y:Z::a"),
        (GoalAlias(stack="dev"), "urn:pulumi:dev::demo::x:y:Z::a"),
        (GoalAlias(parent=f"{BASE}d:i:Group::g"), f"{BASE}d:i:Group$x:y:Z::a"),
        (GoalAlias(parent=""), f"{BASE}x:y:Z::a"),
        (GoalAlias(name="b", type="x:y:Old", parent=f"{BASE}g:g:G::g"), f"{BASE}g:g:G$x:y:Old::b"),
    ],
)
def test_what_an_alias_means(alias: GoalAlias, urn: str) -> None:
    elsewhere = f"{BASE}p:p:P::p"
    assert found(goal("x:y:Z", "a", alias, own=elsewhere), urn) == urn
    assert found(goal("x:y:Z", "a", own=elsewhere), urn) is None


def test_the_own_urn_comes_first() -> None:
    own = goal("x:y:Z", "a", GoalAlias(name="b"))
    assert found(own, f"{BASE}x:y:Z::b", own.urn) == own.urn


@pytest.mark.parametrize(
    ("name", "former"), [("disk", "disk"), ("new-disk", "old-disk"), ("a-new-disk", "a-new-disk")]
)
def test_children_follow_a_renamed_parent(name: str, former: str) -> None:
    child = goal("x:y:Z", name, parent=GROUP.urn)
    old = f"{BASE}d:i:Group$x:y:Z::{former}"
    parents = ((GROUP, f"{BASE}d:i:Group::old"),)
    assert found(child, f"{BASE}d:i:Group::old", old, parents=parents) == old


def test_children_with_aliases_of_their_own_follow_too() -> None:
    group = goal("d:i:New", "g", GoalAlias(type="d:i:Old"))
    child = goal("x:y:Z", "a", GoalAlias(name="b"), parent=group.urn)
    former, old = f"{BASE}d:i:Old::g", f"{BASE}d:i:Old$x:y:Z::b"
    assert found(child, former, old, parents=((group, former),)) == old


def test_grandchildren_follow() -> None:
    inner = goal("d:i:Inner", "i", parent=GROUP.urn)
    leaf = goal("x:y:Z", "a", parent=inner.urn)
    outer_old, inner_old = f"{BASE}d:i:Group::old", f"{BASE}d:i:Group$d:i:Inner::i"
    old = f"{BASE}d:i:Group$d:i:Inner$x:y:Z::a"
    # The type chain has not changed, so only the names differ: the URN of the leaf is its own.
    assert found(leaf, outer_old, inner_old, old, parents=((GROUP, outer_old),)) == old


def test_moved_with_everything_in_it(bench: Bench) -> None:
    """A component gets another type, name and parent: nothing in the world changes."""

    def before() -> None:
        group = Group("old")
        a = Thing("old-a", name="a", opts=ResourceOptions(parent=group))
        Thing("b", source=a.link, opts=ResourceOptions(depends_on=[a]))

    class Site(pulumi.ComponentResource):
        def __init__(self, name: str, opts: ResourceOptions) -> None:
            super().__init__("demo:index:Site", name, {}, opts)

    def after() -> None:
        outer = Group("outer")
        alias = Alias(name="old", type_="demo:index:Group", parent=pulumi.ROOT_STACK_RESOURCE)
        site = Site("new", ResourceOptions(parent=outer, aliases=[alias]))
        a = Thing("new-a", name="a", opts=ResourceOptions(parent=site))
        Thing("b", source=a.link, opts=ResourceOptions(depends_on=[a]))

    bench.up(before)
    bench.effects()
    for run in (bench.preview, bench.up):
        result = run(after)
        assert (result.error, ops(result)) == (None, {"new-a": "same", "b": "same"})
        assert result.counts == {"same": 4, "create": 1}, "only the outer component is new"
    assert bench.effects() == []
    urns = [r["urn"].split("::", 2)[2] for r in bench.state()["deployment"]["resources"]]
    assert f"demo:index:Group$demo:index:Site${TYPE}::new-a" in urns
    assert not any("old" in urn for urn in urns)
    assert bench.state_of("b")["dependencies"][0].endswith("::new-a")
    assert bench.up(after).counts == {"same": 5}


def test_references_of_what_is_left_follow_a_rename(bench: Bench) -> None:
    """What failed keeps its dependency on what was renamed, so that it is deleted before that."""

    def before() -> None:
        Thing("b", opts=ResourceOptions(depends_on=[Thing("a", name="thing")]))

    def after() -> None:
        new = Thing("n", name="thing", opts=ResourceOptions(aliases=[Alias(name="a")]))
        Thing("b", size="large", opts=ResourceOptions(depends_on=[new]))

    bench.up(before)
    assert [f.name for f in bench.up(after).failures] == ["b"]
    assert [u.rsplit("::", 1)[-1] for u in bench.state_of("b")["dependencies"]] == ["n"]
    bench.effects()
    assert bench.destroy().error is None
    assert bench.effects() == ["delete /things/b", "delete /things/thing"]


def test_a_renamed_provider_keeps_its_resources(bench: Bench) -> None:
    def program(name: str, aliases: list[Alias]) -> Any:
        def declare() -> None:
            provider = CloudProvider(name, region="north", opts=ResourceOptions(aliases=aliases))
            Thing("a", opts=ResourceOptions(provider=provider))

        return declare

    bench.up(program("one", []))
    bench.effects()
    result = bench.up(program("two", [Alias(name="one")]))
    assert (ops(result), bench.effects()) == ({"a": "same"}, [])
    assert "::two::" in bench.state_of("a")["provider"]


def test_a_renamed_resource_may_be_replaced(bench: Bench) -> None:
    bench.up(lambda: Thing("a", name="one") and None)
    renamed = ResourceOptions(aliases=[Alias(name="a")])

    def program() -> None:
        Thing("b", name="two", opts=renamed)

    # Both halves, each under its own name, as the CLI tells them.
    assert ops(bench.preview(program)) == ops(bench.up(program)) == {"a": "replace", "b": "replace"}
    assert bench.things() == ["two"]
    assert bench.up(program).counts == {"same": 2}


def test_what_is_kept_and_replaced_under_a_new_name(bench: Bench) -> None:
    """Deleted first, but for `retain_on_delete`: a preview and an update tell the same."""
    old = ResourceOptions(retain_on_delete=True)
    new = ResourceOptions(retain_on_delete=True, delete_before_replace=True, aliases=[Alias(name="a")])
    bench.up(lambda: Thing("a", name="one", opts=old) and None)

    def program() -> None:
        Thing("b", name="two", opts=new)

    assert ops(bench.preview(program)) == ops(bench.up(program)) == {"a": "replace", "b": "replace"}
    assert bench.things() == ["one", "two"]


def test_two_cannot_continue_one(bench: Bench) -> None:
    bench.up(lambda: Thing("a", name="thing") and None)
    bench.effects()

    def both(first: str, second: str) -> Any:
        def declare() -> None:
            alias = ResourceOptions(aliases=[Alias(name="a")])
            one = Thing(first, name="thing", opts=None if first == "a" else alias)
            Thing(second, name="thing", opts=ResourceOptions.merge(alias, ResourceOptions(depends_on=[one])))

        return declare

    for program in (both("a", "b"), both("b", "c")):
        with pytest.raises(EngineError, match="both continue") as error:
            bench.up(program)
        assert "alias" in error.value.help
    assert bench.things() == ["thing"]
