"""One program, run again and again: what is created, left, changed, replaced and deleted."""

import threading
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, TYPE, Bench, Cloud, CloudProvider, Group, Thing, ops
from pulumi import ResourceOptions

from fleet.ports.engine import (
    EngineError,
    PropertyChange,
    RunOptions,
    StackRef,
    StackResource,
    StackRun,
    UnsupportedByLocalEngine,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def chain(**a: Any) -> Any:
    """Two things, the second built from the first's output."""

    def program() -> None:
        first = Thing("a", **a)
        second = Thing("b", source=first.link)
        pulumi.export("link", second.link)

    return program


def test_create_then_same_then_destroy(bench: Bench) -> None:
    first = bench.up(chain(size=1))
    assert first.error is None
    assert first.counts == {"create": 3}  # the stack, a and b
    assert first.outputs == {"link": "https://b.example"}
    assert bench.effects() == ["create a", "create b"]
    assert bench.state_of("b")["inputs"]["source"] == "https://a.example"

    written = bench.store.path(STACK).read_bytes()
    second = bench.up(chain(size=1))
    assert second.counts == {"same": 3}
    assert not second.changed
    assert bench.effects() == []
    assert bench.store.path(STACK).read_bytes() == written, "nothing changed, so nothing is written"

    gone = bench.destroy()
    assert gone.counts == {"delete": 3}
    assert bench.effects() == ["delete /things/b", "delete /things/a"]
    assert bench.state()["deployment"]["resources"] == []
    assert bench.things() == []


def test_update_reports_leaves(bench: Bench) -> None:
    bench.up(chain(size=1, tags={"env": "dev", "old": "x"}))
    bench.effects()
    result = bench.up(chain(size=2, tags={"env": "prod"}))
    assert ops(result) == {"a": "update", "b": "same"}
    change = next(c for c in result.changes if c.name == "a")
    assert change.changes == (
        PropertyChange("size", "update", 1, 2),
        PropertyChange("tags.env", "update", "dev", "prod"),
        PropertyChange("tags.old", "remove", "x", None),
    )
    assert bench.effects() == ["update /things/a"]


def test_replace_creates_first_and_deletes_last(bench: Bench) -> None:
    bench.up(chain(name="one"))
    bench.effects()
    result = bench.up(chain(name="two"))
    assert ops(result) == {"a": "replace", "b": "update"}
    assert next(c for c in result.changes if c.name == "a").replace_keys == ("name",)
    assert bench.effects() == ["create two", "update /things/b", "delete /things/one"]
    assert bench.things() == ["b", "two"]


def test_replace_deletes_first_and_takes_dependants_along(bench: Bench) -> None:
    """The provider wants `serial` deleted first; b's own serial comes from a, so b must go before a."""

    def program(serial: str, option: bool | None = None) -> Any:
        def declare() -> None:
            first = Thing("a", serial=serial, opts=ResourceOptions(delete_before_replace=option))
            Thing("b", serial=first.serial)

        return declare

    bench.up(program("1"))
    bench.effects()
    preview = bench.preview(program("2"))
    assert ops(preview) == {"a": "replace", "b": "replace"}
    result = bench.up(program("2"))
    assert ops(result) == {"a": "replace", "b": "replace"}
    assert bench.effects() == ["delete /things/b", "delete /things/a", "create a", "create b"]
    assert all("pendingReplacement" not in r for r in bench.state()["deployment"]["resources"])

    result = bench.up(program("3", option=False))
    done = ["read /things/a", "create a", "delete /things/b"]
    assert bench.effects()[:3] == done, "the option outweighs the provider"


def test_dropped_resources_are_deleted_dependants_first(bench: Bench) -> None:
    def three() -> None:
        a = Thing("a")
        b = Thing("b", source=a.link)
        Thing("c", opts=ResourceOptions(depends_on=[b]))

    bench.up(three)
    bench.effects()
    result = bench.up(lambda: None)
    assert ops(result) == {"a": "delete", "b": "delete", "c": "delete"}
    assert bench.effects() == ["delete /things/c", "delete /things/b", "delete /things/a"]


def test_independent_resources_run_at_the_same_time(bench: Bench) -> None:
    def four() -> None:
        for name in "abcd":
            Thing(name)

    bench.cloud.barrier = threading.Barrier(4)  # no create ends before all four have begun
    assert bench.up(four, parallel=4).error is None
    assert bench.things() == ["a", "b", "c", "d"]


def test_parallel_one_is_one_at_a_time(bench: Bench) -> None:
    busy = threading.Lock()
    overlaps: list[str] = []
    original = bench.cloud._effect

    def watched(call: str, context: Any) -> None:
        if not busy.acquire(blocking=False):
            overlaps.append(call)
            return
        original(call, context)
        busy.release()

    bench.cloud._effect = watched  # type: ignore[method-assign]

    def many() -> None:
        for i in range(12):
            Thing(f"t{i}")

    assert bench.up(many, parallel=1).error is None
    assert overlaps == []


def test_components_parents_and_explicit_providers(bench: Bench) -> None:
    def program(region: str = "north") -> Any:
        def declare() -> None:
            provider = CloudProvider("north", region=region)
            group = Group("site", ResourceOptions(providers=[provider]))
            inner = Group("inner", ResourceOptions(parent=group))
            thing = Thing("a", opts=ResourceOptions(parent=inner))
            group.register_outputs({"link": thing.link})

        return declare

    assert bench.up(program()).error is None
    resources = {r["urn"]: r for r in bench.state()["deployment"]["resources"]}
    urn = f"urn:pulumi:site-a::demo::demo:index:Group$demo:index:Group${TYPE}::a"
    provider = "urn:pulumi:site-a::demo::pulumi:providers:cloud::north"
    assert resources[urn]["provider"] == f"{provider}::{resources[provider]['id']}"
    assert resources[urn]["parent"].endswith("demo:index:Group$demo:index:Group::inner")
    assert resources["urn:pulumi:site-a::demo::demo:index:Group::site"]["outputs"] == {
        "link": "https://a.example"
    }
    assert resources[provider]["inputs"] == {"region": "north"}
    assert bench.up(program()).counts == {"same": 5}

    bench.effects()
    moved = bench.up(program("south"))
    assert ops(moved) == {"a": "replace"}, "a replaced provider takes its resources along"


def test_a_provider_is_recorded_with_its_plugin_and_does_not_see_the_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the CLI records it, so that its first preview of this state is empty."""
    seen: list[set[str]] = []
    bags = ("olds", "news", "old_inputs", "args")

    def looking(own: Any) -> Any:
        def look(self: Cloud, request: Any, context: Any) -> Any:
            seen.extend(set(value.fields) for field, value in request.ListFields() if field.name in bags)
            return own(self, request, context)

        return look

    for name in ("CheckConfig", "DiffConfig", "Configure"):
        monkeypatch.setattr(Cloud, name, looking(getattr(Cloud, name)))

    def program(**plugin: str) -> Any:
        return lambda: CloudProvider("north", ResourceOptions(**plugin), region="north") and None

    assert bench.up(program(version="1.2.0")).error is None
    state = next(r for r in bench.state()["deployment"]["resources"] if r["urn"].endswith("::north"))
    assert state["inputs"] == {"region": "north", "version": "1.2.0", "__internal": {}}
    assert state["outputs"] == {"region": "north", "version": "1.2.0"}
    assert {c.op for c in bench.preview(program(version="1.2.0")).changes} == {"same"}
    newer = bench.preview(program(version="1.3.0"))
    assert [(c.op, [p.path for p in c.changes]) for c in newer.changes if c.name == "north"] == [
        ("update", ["version"])
    ]
    assert bench.up(program(version="1.3.0", plugin_download_url="https://get.example")).error is None
    state = next(r for r in bench.state()["deployment"]["resources"] if r["urn"].endswith("::north"))
    assert state["inputs"]["__internal"] == {"pluginDownloadURL": "https://get.example"}
    assert {"region", "version"} in seen
    assert not any("__internal" in bag for bag in seen)


def test_a_state_without_its_providers_version_is_taken_up_in_silence(bench: Bench) -> None:
    def program(version: str | None = None) -> Any:
        return lambda: CloudProvider("north", ResourceOptions(version=version), region="north") and None

    assert bench.up(program()).error is None
    result = bench.up(program("1.2.0"))
    assert {c.op for c in result.changes} == {"same"}
    state = next(r for r in bench.state()["deployment"]["resources"] if r["urn"].endswith("::north"))
    assert state["inputs"]["version"] == "1.2.0"


def test_default_provider_takes_its_configuration(bench: Bench) -> None:
    bench.up(lambda: Thing("a") and None, config={"cloud:region": "north", "plain": "x"})
    provider = bench.state()["deployment"]["resources"][1]
    assert provider["urn"] == "urn:pulumi:site-a::demo::pulumi:providers:cloud::default"
    assert provider["inputs"] == {"region": "north"}


def test_configuration_reaches_the_program(bench: Bench) -> None:
    def program() -> None:
        config = pulumi.Config()
        Thing("a", size=config.require_int("size"), password=config.require_secret("pw"))
        pulumi.export("other", pulumi.Config("other").get("key"))

    result = bench.up(program, config={"size": "3", "other:key": "v"}, secret_config={"pw": "hush-hush"})
    assert result.outputs == {"other": "v"}
    assert bench.state_of("a")["inputs"]["size"] == 3


def test_protect(bench: Bench) -> None:
    def program(protect: bool, name: str = "a") -> Any:
        def declare() -> None:
            Thing("a", name=name, opts=ResourceOptions(protect=protect))
            Thing("z")

        return declare

    bench.up(program(True))
    bench.effects()
    for attempt in (bench.up(lambda: None), bench.destroy()):
        assert [f.code for f in attempt.failures] == ["Protected"]
        assert bench.effects() == [], "one protected resource keeps all of them"
    assert bench.up(program(True, "other")).failures[0].code == "Protected"
    assert bench.preview(lambda: None).failures[0].code == "Protected"
    assert bench.things() == ["a", "z"]

    assert bench.destroy(options=RunOptions(unprotect=True)).error is None
    assert bench.things() == []


def test_protect_is_taken_away_by_the_program(bench: Bench) -> None:
    bench.up(lambda: Thing("a", opts=ResourceOptions(protect=True)) and None)
    assert bench.up(lambda: Thing("a", opts=ResourceOptions(protect=False)) and None).counts == {"same": 2}
    assert bench.destroy().error is None


def test_ignore_changes_and_replace_on_changes(bench: Bench) -> None:
    def program(size: int, env: str, opts: ResourceOptions) -> Any:
        return lambda: Thing("a", size=size, tags={"env": env, "keep": "1"}, opts=opts) and None

    bench.up(program(1, "dev", ResourceOptions()))
    bench.effects()
    ignoring = ResourceOptions(ignore_changes=["size", "tags.env"])
    assert bench.up(program(2, "prod", ignoring)).counts == {"same": 2}
    assert bench.state_of("a")["inputs"] == {"name": "a", "size": 1, "tags": {"env": "dev", "keep": "1"}}
    assert bench.state_of("a")["ignoreChanges"] == ["size", "tags.env"]
    below = ResourceOptions(replace_on_changes=["tags.*"])
    assert ops(bench.up(program(1, "prod", below))) == {"a": "update"}, "the provider tells `tags` alone"
    assert bench.state_of("a")["replaceOnChanges"] == ["tags.*"]
    assert "ignoreChanges" not in bench.state_of("a")
    bench.effects()
    replacing = ResourceOptions(replace_on_changes=["tags"], delete_before_replace=True)
    result = bench.up(program(1, "test", replacing))
    assert ops(result) == {"a": "replace"}
    assert bench.effects() == ["delete /things/a", "create a"]


def test_retain_on_delete(bench: Bench) -> None:
    def program() -> None:
        Thing("a", opts=ResourceOptions(retain_on_delete=True))
        Thing("b")

    bench.up(program)
    bench.effects()
    assert ops(bench.preview(lambda: None)) == {"a": "retain", "b": "delete"}
    bench.events.clear()
    result = bench.destroy()
    assert result.error is None
    assert ops(result) == {"a": "retain", "b": "delete"}
    assert (result.counts, result.changed) == ({"retain": 1, "delete": 2}, True)
    assert [e.op for e in bench.events if e.urn.endswith("::a")] == ["retain"]
    assert bench.effects() == ["delete /things/b"]
    assert bench.things() == ["a"]
    assert bench.state()["deployment"]["resources"] == []


def test_what_ignore_changes_hides_is_told(bench: Bench) -> None:
    def program(password: str = "", **props: Any) -> Any:
        hidden = ResourceOptions(ignore_changes=["size", "tags.env", "password", "source", "serial"])

        def declare() -> None:
            first = Thing("first", size=props["size"])
            if password:
                props.update(password=pulumi.Output.secret(password), source=first.link)
            Thing("a", opts=hidden, **{"source": "x"} | props)

        return declare

    bench.up(program(size=1, tags={"env": "dev"}))
    assert all(c.ignored == () for c in bench.preview(program(size=1, tags={"env": "dev"})).changes)
    differing = program(size=2, tags={"env": "prod", "new": "1"}, password="hush-hush")
    (change,) = (c for c in bench.preview(differing).changes if c.name == "a")
    assert (change.op, change.ignored) == ("update", ("size", "tags.env")), "no secret, nothing unknown"

    differing = program(size=2, tags={"env": "dev"})
    for result in (bench.preview(differing), bench.up(differing)):
        (change,) = (c for c in result.changes if c.name == "a")
        assert (change.op, change.ignored, change.changes) == ("same", ("size",), ())
    assert bench.state_of("a")["inputs"]["size"] == 1


def test_resources_are_what_the_state_has_secrets_masked(bench: Bench) -> None:
    assert bench.engine(None).resources(STACK) == ()
    bench.cloud.partial = {"b"}

    def program() -> None:
        Thing("a", size=1, password=pulumi.Output.secret("hush-hush"))
        Thing("b")

    bench.up(program)
    bench.cloud.offline = True
    found = bench.engine(None).resources(STACK)
    assert [r.urn for r in found] == sorted(r.urn for r in found)
    a, b = (next(r for r in found if r.name == name) for name in "ab")
    assert a == StackResource(a.urn, TYPE, "a", {"name": "a", "size": 1, "password": "[secret]"})
    assert (b.failed, b.pending) == (True, False)
    assert {r.type for r in found} == {TYPE, "pulumi:pulumi:Stack", "pulumi:providers:cloud"}


def test_custom_timeouts_are_kept_in_seconds(bench: Bench) -> None:
    timeouts = pulumi.CustomTimeouts(create="1h30m", delete="90s")
    bench.up(lambda: Thing("a", opts=ResourceOptions(custom_timeouts=timeouts)) and None)
    assert bench.state_of("a")["customTimeouts"] == {"create": 5400.0, "delete": 90.0}


def test_alias_keeps_the_resource(bench: Bench) -> None:
    bench.up(lambda: Thing("a", name="thing") and None)
    bench.effects()
    aliased = ResourceOptions(aliases=[pulumi.Alias(name="a")])
    result = bench.up(lambda: Thing("b", name="thing", opts=aliased) and None)
    assert ops(result) == {"b": "same"}
    assert bench.effects() == []


def test_get_reads_and_never_deletes(bench: Bench) -> None:
    (bench.cloud.folder / "shared.json").write_text('{"name": "shared"}')

    def program() -> None:
        shared = Thing.get("shared", "/things/shared")
        Thing("a", source=shared.link)

    assert ops(bench.preview(program)) == {"a": "create", "shared": "read"}
    result = bench.up(program)
    assert ops(result) == {"a": "create", "shared": "read"}
    assert bench.state_of("shared")["external"] is True
    assert "inputs" not in bench.state_of("shared"), "what is found are outputs, as in Pulumi"
    assert bench.state_of("a")["inputs"]["source"] == "https://shared.example"
    assert ops(bench.preview(program)) == {"a": "same", "shared": "read"}, "a preview reads the state"
    bench.destroy()
    assert bench.things() == ["shared"]


def test_get_of_what_does_not_exist(bench: Bench) -> None:
    def program() -> None:
        Thing("a", source=Thing.get("ghost", "/things/ghost").link)
        Thing("b")

    result = bench.up(program)
    assert [(f.code, f.urn.rsplit("::", 1)[-1]) for f in result.failures] == [("NotFound", "ghost")]
    assert [u.rsplit("::", 1)[-1] for u in result.skipped] == ["a"]
    assert bench.things() == ["b"]


def test_invoke(bench: Bench) -> None:
    def program() -> None:
        thing = Thing("a")
        answer = pulumi.runtime.invoke_output("cloud:index:key", {"of": thing.link})
        Thing("b", source=answer.apply(lambda found: found["key"]))

    assert ops(bench.preview(program)) == {"a": "create", "b": "create"}
    assert bench.up(program).error is None
    assert bench.state_of("b")["inputs"]["source"] == "the-key-of-it"
    assert "invoke cloud:index:key" in bench.effects()
    preview = bench.preview(program)
    change = next(c for c in preview.changes if c.name == "b")
    assert change.changes == (PropertyChange("source", "update", "the-key-of-it", "[unknown]"),)


def test_preview_is_offline_and_shows_unknowns(bench: Bench) -> None:
    result = bench.preview(chain(size=1))
    assert ops(result) == {"a": "create", "b": "create"}
    assert (
        PropertyChange("source", "add", None, "[unknown]")
        in result.changes[-2].changes + result.changes[-1].changes
    )
    assert result.outputs == {"link": "[unknown]"}
    assert not bench.store.directory.exists(), "a preview writes nothing"

    bench.up(chain(size=1))
    before = bench.store.path(STACK).read_bytes()
    assert bench.preview(chain(size=1)).counts == {"same": 3}
    assert ops(bench.preview(chain(size=1, name="new"))) == {"a": "replace", "b": "update"}
    assert ops(bench.preview(lambda: None)) == {"a": "delete", "b": "delete"}
    assert bench.store.path(STACK).read_bytes() == before


def test_preview_is_the_same_whatever_the_parallelism(bench: Bench) -> None:
    def many() -> None:
        for i in range(20):
            Thing(f"t{i}", size=i)

    assert bench.preview(many, parallel=1) == bench.preview(many, parallel=32)


def test_refresh(bench: Bench) -> None:
    bench.up(chain(size=1))
    (bench.cloud.folder / "a.json").write_text('{"name": "a", "size": 7}')
    (bench.cloud.folder / "b.json").unlink()
    result = bench.engine().refresh(StackRun(STACK, lambda: None))
    assert ops(result) == {"a": "refresh", "b": "delete"}
    assert bench.state_of("a")["inputs"]["size"] == 7
    bench.effects()
    assert ops(bench.up(chain(size=1))) == {"a": "update", "b": "create"}


def test_programs_follow_one_another_in_one_process(bench: Bench, tmp_path: Path) -> None:
    engine = bench.engine()
    for i in range(5):
        stack = StackRef("demo", f"site-{i}")
        result = engine.up(StackRun(stack, lambda i=i: Thing(f"only-{i}") and None))
        assert ops(result) == {f"only-{i}": "create"}
        assert result.changes[0].urn.startswith(f"urn:pulumi:site-{i}::demo::")


class Method(Thing):
    def call(self) -> None:
        pulumi.runtime.call("cloud:index:Thing/method", {}, res=self)


def _transformed() -> None:
    Thing("a", opts=ResourceOptions(transforms=[lambda args: None]))


@pytest.mark.parametrize(
    ("feature", "program"),
    [
        ("resource transforms", _transformed),
        ("the resource method", lambda: Method("a").call()),
        ("import of a provider", lambda: CloudProvider("a", opts=ResourceOptions(import_="x"))),
        ("replace_with", lambda: Thing("a", opts=ResourceOptions(replace_with=[Thing("b")]))),
        ("replacement triggers", lambda: Thing("a", opts=ResourceOptions(replacement_trigger=1))),
        ("an asset", lambda: Thing("a", file=pulumi.StringAsset("x"))),
        ("the remote component", lambda: pulumi.ComponentResource("x:y:Z", "a", {}, None, True)),
        ("the package other", lambda: pulumi.CustomResource("other:index:Thing", "a", {})),
    ],
)
def test_what_is_not_covered_is_refused_by_name(bench: Bench, feature: str, program: Any) -> None:
    with pytest.raises(UnsupportedByLocalEngine, match=feature) as error:
        bench.up(program)
    assert "pulumi engine" in error.value.help


def test_the_same_name_twice(bench: Bench) -> None:
    def program() -> None:
        Thing("a")
        Thing("a")

    with pytest.raises(EngineError, match="twice"):
        bench.up(program)
