"""The state's shape is Pulumi's, and property paths, values and durations are read as Pulumi reads them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import STACK, Bench, Thing
from pulumi import ResourceOptions

from fleet.engine.local.checkpoint import Deployment, make_urn
from fleet.engine.local.diff import format_path, ignore_changes, matches, parse_path, property_changes
from fleet.engine.local.goals import seconds
from fleet.engine.local.secrets import StackSecrets
from fleet.engine.local.values import (
    UNKNOWN_VALUE,
    SealedSecret,
    Secret,
    annotate_secrets,
    from_struct,
    mask,
    to_struct,
    without_unknowns,
)
from fleet.ports.engine import PropertyChange

# By hand from pulumi/pulumi sdk/go/common/apitype/core.go: the json tags of ResourceV3, DeploymentV3,
# ManifestV1, OperationV2 and SecretsProvidersV1 ("omitempty" ones may be absent).
RESOURCE_ALWAYS = {"urn", "custom", "type"}
RESOURCE_FIELDS = RESOURCE_ALWAYS | {
    *("delete", "id", "inputs", "outputs", "parent", "protect", "taint", "external", "dependencies"),
    *("initErrors", "provider", "propertyDependencies", "pendingReplacement", "additionalSecretOutputs"),
    *("aliases", "customTimeouts", "importID", "retainOnDelete", "deletedWith", "replaceWith", "created"),
    *("modified", "sourcePosition", "stackTrace", "ignoreChanges", "hideDiff", "replaceOnChanges"),
    *("refreshBeforeUpdate", "viewOf", "resourceHooks", "envVarMappings", "replacementTrigger", "snippet_id"),
}
DEPLOYMENT_FIELDS = {"manifest", "secrets_providers", "resources", "pending_operations", "metadata"}
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:AA:BB"}

EXPORTED: dict[str, Any] = {
    "version": 3,
    "deployment": {
        "manifest": {"time": "2026-01-02T03:04:05Z", "magic": "x", "version": "v3.272.0"},
        "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:c2FsdA==:v1:AA:BB"}},
        "resources": [
            {
                "urn": "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s",
                "custom": False,
                "type": "pulumi:pulumi:Stack",
            },
            {
                "urn": "urn:pulumi:s::p::pulumi:providers:cloud::default",
                "custom": True,
                "id": "1",
                "type": "pulumi:providers:cloud",
            },
            {
                "urn": "urn:pulumi:s::p::cloud:index:Thing::a",
                "custom": True,
                "id": "/things/a",
                "type": "cloud:index:Thing",
                "inputs": {"password": SECRET, "tags": {"a": [1, 2.5, True, None]}},
                "outputs": {"link": "x"},
                "parent": "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s",
                "protect": True,
                "dependencies": [],
                "provider": "urn:pulumi:s::p::pulumi:providers:cloud::default::1",
                "propertyDependencies": {"password": None},
                "additionalSecretOutputs": ["link"],
                "customTimeouts": {"create": 3600.0},
                "created": "2026-01-02T03:04:05Z",
                "modified": "2026-01-02T03:04:05Z",
                "sourcePosition": "project:///__main__.py#3",
                "ignoreChanges": ["size"],
            },
        ],
        "metadata": {},
    },
}


def test_an_exported_state_survives() -> None:
    deployment = Deployment.from_json(EXPORTED)
    from datetime import UTC, datetime

    again = deployment.to_json(StackSecrets(None), datetime(2026, 1, 1, tzinfo=UTC))
    expected = json.loads(json.dumps(EXPORTED))
    thing = expected["deployment"]["resources"][2]
    thing["propertyDependencies"] = {"password": []}
    del thing["dependencies"]
    assert again["deployment"]["resources"] == expected["deployment"]["resources"]
    assert again["deployment"]["secrets_providers"] == expected["deployment"]["secrets_providers"]


def test_written_fields_are_pulumis(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    opts = ResourceOptions(
        protect=True,
        retain_on_delete=True,
        additional_secret_outputs=["link"],
        custom_timeouts=pulumi.CustomTimeouts(update="5m"),
    )

    def program() -> None:
        first = Thing("a", size=1.5, count=3, opts=opts)
        Thing("b", source=first.serial, opts=ResourceOptions(depends_on=[first]))

    assert bench.up(program).error is None
    state = bench.state()
    assert set(state) == {"version", "deployment"}
    deployment = state["deployment"]
    assert set(deployment) == DEPLOYMENT_FIELDS
    manifest = deployment["manifest"]
    assert set(manifest) == {"time", "magic", "version"}
    assert manifest["magic"] == hashlib.sha256(manifest["version"].encode()).hexdigest()
    assert set(deployment["secrets_providers"]) == {"type", "state"}
    for resource in deployment["resources"]:
        assert set(resource) >= RESOURCE_ALWAYS
        assert set(resource) <= RESOURCE_FIELDS
    seen: set[str] = set()
    for resource in deployment["resources"]:
        named = {*resource.get("dependencies", []), resource.get("parent"), resource.get("provider", "")[:0]}
        assert named - {None, ""} <= seen, "Pulumi refuses a state whose references come later"
        if resource.get("provider"):
            assert resource["provider"].rsplit("::", 1)[0] in seen
        seen.add(resource["urn"])
    assert bench.state_of("a")["inputs"] == {"count": 3, "name": "a", "size": 1.5}
    assert json.loads(bench.store.path(STACK).with_suffix(".json.bak").read_text())["version"] == 3


def test_dropping_a_resource_leaves_no_dangling_reference(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def both() -> None:
        first = Thing("a")
        Thing("b", opts=ResourceOptions(depends_on=[first]))

    bench.up(both)
    bench.up(lambda: Thing("b") and None)
    assert "dependencies" not in bench.state_of("b")


def test_urns() -> None:
    stack = make_urn(STACK, "", "pulumi:pulumi:Stack", "demo-site-a")
    outer = make_urn(STACK, stack, "x:y:Outer", "o")
    assert outer == "urn:pulumi:site-a::demo::x:y:Outer::o"
    assert make_urn(STACK, outer, "x:y:Inner", "i") == "urn:pulumi:site-a::demo::x:y:Outer$x:y:Inner::i"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ('a["b.c"][*]', ("a", "b.c", "*")),
        ("tags.*", ("tags", "*")),
    ],
)
def test_paths(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", "a[", "a]", "["])
def test_bad_paths(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(text)


def test_paths_are_written_as_they_are_read() -> None:
    path = ("tags", "a.b", 3, 'quo"te')
    assert parse_path(format_path(path)) == path


def test_matching_covers_what_is_under_and_above() -> None:
    assert matches(parse_path("a"), parse_path("a.b"))
    assert matches(parse_path("a.b"), parse_path("a"))
    assert not matches(parse_path("a.b"), parse_path("a.c"))
    assert matches(parse_path("*"), parse_path("z[0]"))


def test_changes_tell_true_from_one() -> None:
    assert property_changes({"a": 1}, {"a": True}) == (PropertyChange("a", "update", 1, True),)
    assert property_changes({"a": [1, 2]}, {"a": [1]}) == (PropertyChange("a[1]", "remove", 2, None),)
    assert property_changes({"a": {}}, {"a": {}}) == ()


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a"], {"a": 1, "t": {"x": 9, "y": 9}, "l": [{"k": 9}], "n": 9}),
        (["n"], {"a": 9, "t": {"x": 9, "y": 9}, "l": [{"k": 9}]}),
        (["t.x"], {"a": 9, "t": {"x": 1, "y": 9}, "l": [{"k": 9}], "n": 9}),
        (["t.*"], {"a": 9, "t": {"x": 1}, "l": [{"k": 9}], "n": 9}),
        (["l[*].k"], {"a": 9, "t": {"x": 9, "y": 9}, "l": [{"k": 1}], "n": 9}),
        (["gone.deep"], {"a": 9, "t": {"x": 9, "y": 9}, "l": [{"k": 9}], "n": 9}),
    ],
)
def test_ignore_changes(paths: list[str], expected: dict[str, Any]) -> None:
    old = {"a": 1, "t": {"x": 1}, "l": [{"k": 1}], "gone": {"deep": 1}}
    new = {"a": 9, "t": {"x": 9, "y": 9}, "l": [{"k": 9}], "n": 9}
    before = json.dumps(new)
    assert ignore_changes(old, new, paths) == expected
    assert json.dumps(new) == before


def test_values_go_over_the_wire_and_back() -> None:
    values = {
        "none": [],
        "object": {},
        "number": 5,
        "fraction": 0.5,
        "flag": False,
        "text": "",
        "secret": Secret({"deep": [1]}),
        "sealed": SealedSecret("v1:a:b"),
        "unknown": UNKNOWN_VALUE,
        "list": [1, "a", Secret("x"), {"k": UNKNOWN_VALUE}],
    }
    assert from_struct(to_struct(values)) == values
    assert from_struct(to_struct({"gone": None})) == {}
    assert from_struct(to_struct({"s": Secret(UNKNOWN_VALUE)})) == {"s": UNKNOWN_VALUE}
    assert from_struct(to_struct({"s": Secret("x")}, keep_secrets=False)) == {"s": "x"}


def test_masks_and_annotations() -> None:
    assert mask({"a": [Secret("x"), UNKNOWN_VALUE, 1]}) == {"a": ["[secret]", "[unknown]", 1]}
    assert "x" not in repr(Secret("x"))
    assert annotate_secrets({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": Secret(1)}}) == {
        "a": {"b": Secret(1), "c": 2},
        "d": 3,
    }
    assert without_unknowns({"a": UNKNOWN_VALUE, "b": [UNKNOWN_VALUE, 1]}) == {"b": [1]}


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90.0), ("1h30m", 5400.0), ("1.5h", 5400.0), ("250ms", 0.25)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "h", "1h 30m", "-5m", "1d"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)
