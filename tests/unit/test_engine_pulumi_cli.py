"""The pulumi engine against a stand-in for the Automation API: what it asks of it, and how errors come out."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi.automation
import pytest
from pulumi.automation import CommandError, StackNotFoundError

from fleet.engine.pulumi_cli import PulumiCliEngine
from fleet.ports.engine import EngineError, PropertyChange, StackRef, StackResource, StackRun

STACK = StackRef("fleet", "turin")
URN = "urn:pulumi:turin::fleet::cloud:index:Thing::"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:AA:BB"}


def refused(*_: Any, **__: Any) -> Any:
    raise CommandError(SimpleNamespace(stdout="", stderr="error: no backend\n", exit_code=255, __str__=None))


class FakeStack:
    """A stack of the Automation API."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None
        self.events: list[Any] = []

    def set_all_config(self, config: Any) -> None:
        self.config = config

    def outputs(self) -> dict[str, Any]:
        return {}

    def export_stack(self) -> Any:
        return pulumi.automation.Deployment(3, self.state)

    def up(self, on_event: Any, **_: Any) -> None:
        for event in self.events:
            on_event(event)

    preview = refresh = up


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    fake = FakeStack()
    monkeypatch.setattr("shutil.which", lambda _: "/bin/pulumi")
    for name in ("create_or_select_stack", "select_stack"):
        monkeypatch.setattr(pulumi.automation, name, lambda **_: fake)
    monkeypatch.setattr(
        PulumiCliEngine, "_pulumi", lambda *_: json.dumps({"deployment": fake.export_stack().deployment})
    )
    return fake


@pytest.fixture
def engine(tmp_path: Path) -> PulumiCliEngine:
    return PulumiCliEngine(tmp_path / "work")


RUN = StackRun(STACK, lambda: None)


@pytest.mark.parametrize("call", ["set_all_config", "outputs", "export_stack"])
def test_a_refusal_around_the_run_is_told_in_the_clis_words(
    stack: FakeStack, engine: PulumiCliEngine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(stack, call, refused)
    with pytest.raises(EngineError, match="error: no backend"):
        engine.up(RUN)


def test_a_stack_that_cannot_be_selected(
    stack: FakeStack, engine: PulumiCliEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi.automation, "create_or_select_stack", refused)
    monkeypatch.setattr(pulumi.automation, "select_stack", refused)
    for act in (lambda: engine.preview(RUN), lambda: engine.resources(STACK)):
        with pytest.raises(EngineError, match=r"pulumi could not .*error: no backend"):
            act()


def test_resources_are_those_of_the_export(stack: FakeStack, engine: PulumiCliEngine) -> None:
    thing = {"type": "cloud:index:Thing", "custom": True, "inputs": {"size": 1, "password": SECRET}}
    stack.state = {
        "secrets_providers": {"type": "service"},
        "resources": [{"urn": URN + "b", "initErrors": ["down"], **thing}, {"urn": URN + "a", **thing}],
        "pending_operations": [{"type": "updating", "resource": {"urn": URN + "a", **thing}}],
    }
    inputs = {"size": 1, "password": "[secret]"}
    assert engine.resources(STACK) == (
        StackResource(URN + "a", "cloud:index:Thing", "a", inputs, pending=True),
        StackResource(URN + "b", "cloud:index:Thing", "b", inputs, failed=True),
    )
    result = engine.preview(RUN)
    assert (result.pending, result.changed) == ((URN + "a",), True)
    stack.state = {"resources": [{"urn": URN}]}
    with pytest.raises(EngineError, match="malformed"):
        engine.resources(STACK)
    stack.state = None
    assert engine.resources(STACK) == ()


def test_a_stack_that_the_backend_does_not_know_has_no_resources(
    engine: PulumiCliEngine, stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(**_: Any) -> Any:
        raise StackNotFoundError(SimpleNamespace(stdout="", stderr="no stack named"))

    monkeypatch.setattr(pulumi.automation, "select_stack", unknown)
    assert engine.resources(STACK) == ()


def step(op: str, name: str, **told: Any) -> Any:
    """The event that the CLI tells before a step."""
    blank = dict.fromkeys(("old", "new", "detailed_diff", "diffs", "keys"))
    metadata = SimpleNamespace(**{**blank, "op": op, "urn": URN + name, "type": "t", **told})
    return SimpleNamespace(
        resource_pre_event=SimpleNamespace(metadata=metadata), res_outputs_event=None, diagnostic_event=None
    )


def test_what_stays_in_the_world_is_not_a_delete(stack: FakeStack, engine: PulumiCliEngine) -> None:
    stack.events = [
        step("delete", name, old=SimpleNamespace(retain_on_delete=retain, inputs={}))
        for name, retain in (("kept", True), ("gone", False))
    ]
    assert engine.preview(RUN).counts == {"retain": 1, "delete": 1}


def test_what_differs_is_told_by_leaf_or_by_top_level_property(
    stack: FakeStack, engine: PulumiCliEngine
) -> None:
    old = SimpleNamespace(retain_on_delete=False, inputs={"size": 1, "tags": {"env": "dev"}})
    new = SimpleNamespace(retain_on_delete=False, inputs={"size": 2, "label": "x"})
    leaf = {"tags.env": SimpleNamespace(diff_kind="update-replace")}
    diffs = ["tags", "size", "label", "link"]
    stack.events = [
        step("update", "top", old=old, new=new, diffs=diffs),
        step("update", "leaves", old=old, new=new, diffs=["tags"], detailed_diff=leaf),
        step("create-replacement", "again", old=old, new=new, diffs=["size"], keys=["size"]),
        step("delete-replaced", "again", old=old),
        step("same", "left over", old=old, new=new),
        step("delete-replaced", "left over", old=old),
    ]
    changes = {c.name: c for c in engine.preview(RUN).changes}
    assert changes["top"].changes == (
        PropertyChange("label", "add"),
        PropertyChange("link", "update"),
        PropertyChange("size", "update"),
        PropertyChange("tags", "remove"),
    )
    assert changes["leaves"].changes == (PropertyChange("tags.env", "update"),)
    assert (changes["again"].op, changes["again"].replace_keys) == ("replace", ("size",))
    assert changes["again"].changes == (PropertyChange("size", "update"),)
    assert changes["left over"].op == "replace"


def after(op: str, name: str, kind: str = "t", *, custom: bool = True, **told: Any) -> Any:
    """The event that the CLI tells after a step."""
    blank = dict.fromkeys(("detailed_diff", "diffs", "keys"))
    side = SimpleNamespace(custom=custom, inputs={})
    metadata = SimpleNamespace(
        **{**blank, "op": op, "urn": URN + name, "type": kind, "old": side, "new": side, **told}
    )
    return SimpleNamespace(
        resource_pre_event=None, res_outputs_event=SimpleNamespace(metadata=metadata), diagnostic_event=None
    )


def test_a_refresh_counts_what_differs(stack: FakeStack, engine: PulumiCliEngine) -> None:
    """Not what was looked at, as the CLI's own events begin: a step is a refresh before it is known."""
    stack.events = [
        *(step("refresh", name) for name in ("stack", "provider", "kept", "changed", "gone", "failing")),
        after("same", "stack", custom=False),
        after("same", "provider", "pulumi:providers:cloud"),
        after("same", "kept"),
        after("update", "changed", diffs=["size"]),
        after("delete", "gone", new=None),
    ]
    told: list[Any] = []
    result = engine.refresh(RUN, told.append)
    assert result.counts == {"same": 1, "refresh": 1, "delete": 1}
    changed = next(c for c in result.changes if c.name == "changed")
    assert changed.changes == (PropertyChange("size", "update"),)
    assert [(e.urn.removeprefix(URN), e.op) for e in told if e.kind == "finished"] == [
        ("kept", "same"),
        ("changed", "refresh"),
        ("gone", "delete"),
    ]


def said(message: str, urn: str = "") -> Any:
    diagnostic = SimpleNamespace(severity="error", urn=urn, message=message)
    return SimpleNamespace(resource_pre_event=None, res_outputs_event=None, diagnostic_event=diagnostic)


def test_that_the_run_failed_is_no_failure_of_its_own(stack: FakeStack, engine: PulumiCliEngine) -> None:
    protected = "resource cannot be deleted"
    stack.events = [said(protected + "\n", URN + "a"), said("update failed\n")]
    told: list[Any] = []
    assert [(f.urn, f.message) for f in engine.up(RUN, told.append).failures] == [(URN + "a", protected)]
    assert len(told) == 1
    stack.events = [said("update failed")]
    assert [f.message for f in engine.up(RUN).failures] == ["update failed"], "where it is all that is said"
    stack.events = [said(protected, URN + "a"), said("Program failed with an unhandled exception: x")]
    assert len(engine.up(RUN).failures) == 2
