"""Stack references: what one stack reads of another."""

import gc
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import PASSPHRASE, STACK, Bench, Thing, only_cloud, ops

from fleet.engine.local.engine import LocalEngine
from fleet.ports.engine import PassphraseError, StackRef, StackResult, StackRun

SECRET_TEXT = "hush-hush-value"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def exporting() -> None:
    thing = Thing("shared")
    pulumi.export("link", thing.link)
    pulumi.export("key", pulumi.Output.secret(SECRET_TEXT))
    pulumi.export("nested", {"plain": [1, 2], "hidden": pulumi.Output.secret({"of": SECRET_TEXT})})


def using(name: str, output: str = "link", *, resource: str = "ref") -> Any:
    def program() -> None:
        reference = pulumi.StackReference(resource, stack_name=name)
        Thing("a", source=reference.require_output(output))

    return program


def other(bench: Bench, stack: StackRef, program: Any = exporting) -> StackResult:
    result = bench.engine().up(StackRun(stack, program))
    assert result.error is None
    return result


@pytest.mark.parametrize(
    ("name", "stack"),
    [
        ("platform", StackRef("demo", "platform")),
        ("network/platform", StackRef("network", "platform")),
        ("organization/network/platform", StackRef("network", "platform")),
    ],
)
def test_forms_of_a_name(bench: Bench, name: str, stack: StackRef) -> None:
    other(bench, stack)
    bench.effects()
    preview = bench.preview(using(name), PASSPHRASE)
    assert ops(preview) == {"a": "create"}
    change = next(c for c in preview.changes if c.name == "a")
    assert ("source", "https://shared.example") in {(p.path, p.after) for p in change.changes}
    assert bench.up(using(name)).error is None
    assert bench.state_of("a")["inputs"]["source"] == "https://shared.example"
    resources = bench.state()["deployment"]["resources"]
    reference = next(r for r in resources if r["type"] == "pulumi:pulumi:StackReference")
    assert (reference["id"], reference["external"], reference["custom"]) == (name, True, True)
    assert reference["outputs"]["secretOutputNames"] == ["key", "nested"]
    provider = next(r for r in resources if r["type"] == "pulumi:providers:pulumi")
    assert reference["provider"] == f"{provider['urn']}::{provider['id']}"
    written = bench.store.path(STACK).read_bytes()
    assert bench.up(using(name)).counts == {"same": 2, "read": 1}
    assert bench.store.path(STACK).read_bytes() == written
    assert bench.refresh().error is None
    assert bench.destroy().error is None


def test_secrets_of_another_stack_stay_secret(bench: Bench) -> None:
    other(bench, StackRef("demo", "platform"))
    assert bench.up(using("platform", "key")).error is None
    text = bench.store.path(STACK).read_text()
    assert SECRET_TEXT not in text
    assert "ciphertext" in bench.state_of("a")["inputs"]["source"]
    assert SECRET_TEXT in (bench.cloud.folder / "a.json").read_text(), "the provider gets it in plain"
    assert bench.up(using("platform", "key")).counts == {"same": 2, "read": 1}


def test_a_preview_without_the_passphrase_takes_secrets_as_unknown(bench: Bench) -> None:
    other(bench, StackRef("demo", "platform"))
    preview = bench.preview(using("platform", "key"))
    change = next(c for c in preview.changes if c.name == "a")
    assert ("source", "[unknown]") in {(p.path, p.after) for p in change.changes}
    with pytest.raises(PassphraseError, match="no passphrase"):
        bench.engine(None).up(StackRun(STACK, using("platform", "key")))
    assert bench.things() == ["shared"]


def test_the_other_stack_has_another_passphrase(bench: Bench) -> None:
    engine = LocalEngine(bench.store, partial(only_cloud, bench.cloud), partial(str, "another one"))
    engine.up(StackRun(StackRef("demo", "platform"), exporting))
    result = bench.up(using("platform"))
    assert [(f.code, f.name) for f in result.failures] == [("PassphraseWrong", "ref")]
    assert "the secrets of platform cannot be opened" in result.failures[0].message
    assert bench.things() == ["shared"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("platfrom", "StackNotFound", "did you mean demo/platform?"),
        ("nothing-like-it", "StackNotFound", "bring it up first"),
        ("acme/demo/platform", "OrganizationUnknown", "organization/project/stack"),
        ("a/b/c/d", "StackNameMalformed", "project/stack"),
        ("demo/", "StackNameMalformed", "project/stack"),
        ("../platform", "StackNotFound", "no stack ../platform"),
        ("../demo/platform", "OrganizationUnknown", "no organization '..'"),
    ],
)
def test_a_stack_that_is_not_there(bench: Bench, name: str, code: str, message: str) -> None:
    other(bench, StackRef("demo", "platform"))
    for run in (bench.preview, bench.up):
        result = run(using(name))
        assert [(f.code, f.name) for f in result.failures] == [(code, "ref")]
        assert message in result.failures[0].message
        assert [u.rsplit("::", 1)[-1] for u in result.skipped] == ["a"]


def test_a_change_of_the_other_stack_is_seen(bench: Bench) -> None:
    platform = StackRef("demo", "platform")
    other(bench, platform, lambda: pulumi.export("link", "one"))
    bench.up(using("platform"))
    other(bench, platform, lambda: pulumi.export("link", "two"))
    assert ops(bench.preview(using("platform"))) == {"a": "update"}
    assert ops(bench.up(using("platform"))) == {"a": "update"}
    assert bench.state_of("a")["inputs"]["source"] == "two"


# The SDK makes two coroutines for `require_output` and forgets them when the key is missing.
@pytest.mark.filterwarnings("ignore:coroutine 'Output:RuntimeWarning")
def test_an_output_that_is_not_there(bench: Bench) -> None:
    other(bench, StackRef("demo", "platform"))
    result = bench.up(using("platform", "nope"))
    assert result.error is not None
    assert (result.error.code, "nope" in result.error.message) == ("ProgramError", True)
    gc.collect()


def test_a_name_that_comes_from_a_resource(bench: Bench) -> None:
    other(bench, StackRef("demo", "platform"))

    def program() -> None:
        name = Thing("n", text="platform")
        reference = pulumi.StackReference("r", stack_name=name.serial.apply(lambda _: "platform"))
        Thing("a", source=reference.require_output("link"))

    assert ops(bench.preview(program)) == {"n": "create", "a": "create"}
    assert bench.up(program).error is None
    assert bench.state_of("a")["inputs"]["source"] == "https://shared.example"
