"""Taking over what exists: `import_`, what differs, and what the state says afterwards."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, Bench, Group, Thing, ops
from pulumi import ResourceOptions

from fleet.engine.local.imports import IMPORT_MISMATCH
from fleet.ports.engine import PropertyChange, ResourceChange, RunOptions, StackResult, StackRun


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def importing(id_: str = "/things/a", name: str = "a", **props: Any) -> Any:
    """A thing that is imported, and one that is built from it."""
    options = ("protect", "ignore_changes", "delete_before_replace")
    opts = ResourceOptions(import_=id_, **{k: props.pop(k) for k in options if k in props})

    def program() -> None:
        first = Thing("a", opts=opts, **{"name": name} | props)
        Thing("b", source=first.link)

    return program


def looked(bench: Bench, program: Any) -> StackResult:
    """A preview with a cloud that can be reached."""
    return bench.engine().preview(StackRun(STACK, program), bench.events.append)


def change_of(result: StackResult, name: str) -> ResourceChange:
    return next(c for c in result.changes if c.name == name)


def test_what_is_the_same_is_taken_over_and_then_ours(bench: Bench) -> None:
    bench.put("a", size=1, tags={"env": "dev"})
    program = importing(size=1, tags={"env": "dev"})
    preview = looked(bench, program)
    assert ops(preview) == {"a": "import", "b": "create"}
    assert change_of(preview, "a").changes == ()
    assert not bench.store.directory.exists(), "a preview reads, and writes nothing"
    bench.effects()

    result = bench.up(program)
    assert (ops(result), result.error, result.counts["import"]) == (ops(preview), None, 1)
    assert bench.effects() == ["read /things/a", "create b"]
    state = bench.state_of("a")
    assert (state["id"], state["importID"]) == ("/things/a", "/things/a")
    assert state["inputs"] == {"name": "a", "size": 1, "tags": {"env": "dev"}}
    assert state["outputs"]["link"] == "https://a.example"
    assert {"created", "modified"} <= state.keys()
    assert bench.state_of("b")["inputs"]["source"] == "https://a.example"

    assert ops(bench.up(program)) == {"a": "same", "b": "same"}, "imported once"
    without = importing("", size=1, tags={"env": "dev"})
    assert ops(bench.up(without)) == {"a": "same", "b": "same"}
    assert ops(bench.up(importing(size=2, tags={"env": "dev"}))) == {"a": "update", "b": "same"}
    bench.effects()
    assert bench.destroy().error is None
    assert bench.things() == [], "what was imported is ours"


def test_what_differs_fails_and_a_preview_shows_it(bench: Bench) -> None:
    bench.put("a", size=7, extra=True)
    program = importing(size=1)
    preview = looked(bench, program)
    assert preview.error is None, "as in Pulumi, a preview warns"
    assert change_of(preview, "a").changes == (
        PropertyChange("extra", "remove", True, None),
        PropertyChange("size", "update", 7, 1),
    )
    differing = "inputs to import do not match the existing resource: extra, size"
    assert bench.warnings() == [f"{differing}; importing this resource will fail"]

    bench.effects()
    result = bench.up(program)
    assert [(f.code, f.name) for f in result.failures] == [(IMPORT_MISMATCH, "a")]
    assert result.failures[0].message.startswith(differing)
    assert "ignore_changes" in result.failures[0].message
    assert [u.rsplit("::", 1)[-1] for u in result.skipped] == ["b"]
    assert bench.effects() == ["read /things/a"]
    assert not any("::a" in r["urn"] for r in bench.state()["deployment"]["resources"]), "not owned"


def test_ignored_differences_are_kept_as_they_are(bench: Bench) -> None:
    bench.put("a", size=7, extra=True)
    program = importing(size=1, ignore_changes=["size", "extra"])
    assert change_of(looked(bench, program), "a").changes == ()
    result = bench.up(program)
    assert (result.error, ops(result)["a"]) == (None, "import")
    assert bench.state_of("a")["inputs"] == {"name": "a", "size": 7, "extra": True}
    assert ops(bench.up(program))["a"] == "same"


def test_an_import_without_a_connection_says_that_nothing_is_known(bench: Bench) -> None:
    bench.put("a", size=7)
    bench.engine(unplugged=True)
    preview = looked(bench, importing(size=1))
    assert ops(preview) == {"a": "import", "b": "create"}
    assert (change_of(preview, "a").unread, change_of(preview, "a").changes) == (True, ())
    assert PropertyChange("source", "add", None, "[unknown]") in change_of(preview, "b").changes
    result = bench.up(importing(size=1))
    assert [(f.name, f.code) for f in result.failures] == [("a", "NotConnected")], "an up has to look"


def test_what_does_not_exist_cannot_be_imported(bench: Bench) -> None:
    for result in (looked(bench, importing()), bench.up(importing())):
        assert [(f.code, f.name) for f in result.failures] == [("NotFound", "a")]
        assert "/things/a does not exist" in result.failures[0].message
    assert bench.things() == []


def test_checks_apply_to_an_import(bench: Bench) -> None:
    bench.put("a")
    result = bench.up(importing(size="large"))
    assert [(f.code, f.message) for f in result.failures] == [("CheckFailed", "size: must be a number")]


def test_another_id_replaces_what_the_state_had(bench: Bench) -> None:
    bench.up(importing(""))
    bench.put("other", size=3)
    program = importing("/things/other", name="other", size=3)
    assert ops(looked(bench, program))["a"] == "replace"
    bench.effects()
    result = bench.up(program)
    assert change_of(result, "a").replace_keys == ("id",)
    assert bench.effects() == ["read /things/other", "update /things/b", "delete /things/a"]
    assert bench.things() == ["b", "other"]
    assert bench.state_of("a")["id"] == "/things/other"
    assert bench.up(program).counts == {"same": 3}


def test_a_protected_resource_is_not_replaced_by_an_import(bench: Bench) -> None:
    bench.up(importing("", protect=True))
    bench.put("other")
    program = importing("/things/other", name="other", protect=True)
    assert [f.code for f in bench.up(program).failures] == ["Protected"]
    assert bench.up(program, options=RunOptions(unprotect=True)).error is None
    assert bench.things() == ["b", "other"]


def test_an_imported_resource_is_not_replaced_while_the_program_imports_it(bench: Bench) -> None:
    bench.put("a")
    bench.up(importing())
    renamed = importing(name="new")
    assert [f.code for f in bench.up(renamed).failures] == ["ImportedReplaced"]
    assert ops(looked(bench, renamed))["a"] == "replace"
    assert ops(bench.up(importing("", name="new")))["a"] == "replace"
    assert bench.things() == ["b", "new"]


def test_what_was_read_becomes_ours(bench: Bench) -> None:
    bench.put("a")
    bench.up(lambda: Thing.get("a", "/things/a") and None)
    assert bench.state_of("a")["external"] is True
    result = bench.up(lambda: Thing("a", opts=ResourceOptions(import_="/things/a")) and None)
    assert (ops(result), result.error) == ({"a": "import"}, None)
    assert "external" not in bench.state_of("a")
    assert bench.things() == ["a"]


def test_what_is_ours_and_becomes_only_read_is_let_go(bench: Bench) -> None:
    bench.up(lambda: Thing("a") and None)
    bench.effects()
    assert ops(bench.up(lambda: Thing.get("a", "/things/a") and None)) == {"a": "read"}
    assert bench.effects() == ["read /things/a"], "not deleted"
    assert bench.state_of("a")["external"] is True
    bench.destroy()
    assert bench.things() == ["a"]


def test_reading_another_in_its_place_deletes_what_was_ours(bench: Bench) -> None:
    bench.up(lambda: Thing("a") and None)
    bench.put("other")
    result = bench.up(lambda: Thing.get("a", "/things/other") and None)
    assert result.error is None
    assert bench.things() == ["other"]
    assert bench.up(lambda: Thing.get("a", "/things/other") and None).counts == {"same": 1, "read": 1}


def test_a_secret_is_compared_and_kept_secret(bench: Bench) -> None:
    def program(name: str) -> Any:
        def declare() -> None:
            secret = pulumi.Output.secret("hush-hush")
            Thing(name, password=secret, opts=ResourceOptions(import_=f"/things/{name}"))

        return declare

    bench.put("a", password="hush-hush")
    assert bench.up(program("a")).error is None
    assert "ciphertext" in bench.state_of("a")["inputs"]["password"]
    assert "ciphertext" in bench.state_of("a")["outputs"]["password"]
    assert "hush-hush" not in bench.store.path(STACK).read_text()
    assert bench.up(program("a")).counts == {"same": 2}

    bench.put("c", password="another-one")
    (failure,) = bench.up(program("c")).failures
    assert failure.code == IMPORT_MISMATCH
    changes = change_of(looked(bench, program("c")), "c").changes
    assert changes == (PropertyChange("password", "update", "[secret]", "[secret]"),)


def test_a_component_has_nothing_to_import(bench: Bench) -> None:
    result = bench.up(lambda: Group("g", ResourceOptions(import_="x")) and None)
    assert (result.error, result.counts) == (None, {"create": 2})


def test_an_import_comes_out_of_a_state_that_pulumi_wrote(bench: Bench) -> None:
    """A provider may answer with another id than it was asked for; the next run must not import again."""
    bench.put("a")
    original = bench.cloud.Read

    def canonical(request: Any, context: Any) -> Any:
        request.id = "/things/a"
        return original(request, context)

    bench.cloud.Read = canonical  # type: ignore[method-assign]
    program = importing("A-by-its-nickname")
    assert ops(bench.up(program))["a"] == "import"
    assert (bench.state_of("a")["id"], bench.state_of("a")["importID"]) == (
        "/things/a",
        "A-by-its-nickname",
    )
    assert ops(bench.up(program))["a"] == "same"
