"""A plan file is what was written, by this fleet, of what is still so; anything else is refused by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.plan.plan_file import (
    NONE,
    PlanAlteredError,
    PlanFile,
    PlanFileError,
    SiteInputs,
    Stale,
    plan_file_text,
    planned_site,
    read_plan_file,
    stale,
)
from fleet.plan.site_plan import FileChanges, PlannedChange, SitePlan, steps_of
from fleet.rollout.spec import canonical_json

INPUTS = SiteInputs("sha256:a", "sha256:b", NONE, NONE)
RINGS = (("canary", 60.0), ("broad", 0.0))
SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "plan.schema.json"


def site_plan(site: str, **more: Any) -> SitePlan:
    change = PlannedChange("update", "t", "pool", ("properties.count",))
    return SitePlan(
        site, "broad", "sha256:a", "sha256:art", (change,), 3, FileChanges(changed=("a.yaml",)), **more
    )


def plan_of(*sites: str, complete: bool = True) -> PlanFile:
    return PlanFile("sha256:tool", complete, RINGS, tuple(planned_site(site_plan(s), INPUTS) for s in sites))


def test_it_is_read_as_it_was_written_and_the_same_plan_is_the_same_bytes() -> None:
    plan = plan_of("a", "b")
    assert read_plan_file(plan_file_text(plan)) == plan
    assert plan_file_text(read_plan_file(plan_file_text(plan))) == plan_file_text(plan)


def test_a_site_in_it_has_digests_and_numbers_and_none_of_its_values() -> None:
    site = planned_site(site_plan("a"), INPUTS)
    assert site.summary["update"] == 1
    assert site.summary["files"] == 1
    assert site.steps == steps_of("a", "sha256:a", "sha256:art").digest
    assert "properties.count" not in plan_file_text(plan_of("a"))


def test_it_is_of_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="it is what reads the schema")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    digest = "sha256:" + "0" * 64
    inputs = SiteInputs(digest, digest, NONE, "unreadable")
    plan = replace(site_plan("a"), spec_digest=digest, artifact_digest=digest)
    failed = SitePlan("b", "broad", digest, "", error="ENG004: cut")
    sites = (planned_site(plan, inputs), planned_site(failed, inputs))
    document = json.loads(plan_file_text(PlanFile(digest, True, RINGS, sites)))
    jsonschema.validate(document, schema)
    document["sites"][0]["secret"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"update": 1', '"update": 0'),
        lambda text: text.replace('"complete": true', '"complete": false'),
        lambda text: text.replace("sha256:art", "sha256:other"),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"update": 1', '"update": NaN'),
        lambda text: "",
    ],
)
def test_what_was_changed_by_hand_or_cut_is_refused(edit: Any) -> None:
    text = plan_file_text(plan_of("a"))
    assert edit(text) != text
    with pytest.raises(PlanAlteredError):
        read_plan_file(edit(text))


def resealed(document: dict[str, Any]) -> str:
    import hashlib

    document.pop("digest", None)
    digest = "sha256:" + hashlib.sha256(canonical_json(document).encode()).hexdigest()
    return json.dumps(document | {"digest": digest})


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["sites"].append(d["sites"][0]),
        lambda d: d["sites"][0].pop("inputs"),
        lambda d: d["sites"][0].update(more=1),
        lambda d: d.update(extra="x"),
        lambda d: d.update(sites=[3]),
        lambda d: d.update(rings=None),
        lambda d: d["sites"][0].update(site=["a"]),
        lambda d: d["rings"][0].update(soakSeconds=10**400),
    ],
)
def test_a_shape_that_no_plan_has_is_refused_though_its_digest_fits(change: Any) -> None:
    document = json.loads(plan_file_text(plan_of("a")))
    change(document)
    with pytest.raises(PlanAlteredError):
        read_plan_file(resealed(document))


@pytest.mark.parametrize("text", ["[]", "{}", '"x"', '{"kind": "fleet-plan", "version": 2}', '{"kind": "x"}'])
def test_another_kind_or_version_is_told_from_a_damaged_plan(text: str) -> None:
    with pytest.raises(PlanFileError) as caught:
        read_plan_file(text)
    assert not isinstance(caught.value, PlanAlteredError)


def test_nothing_changed_is_not_stale() -> None:
    plan = plan_of("a", "b")
    assert stale(plan, "sha256:tool", RINGS, {"a": INPUTS, "b": INPUTS}, ["a", "b"]) == []


@pytest.mark.parametrize("part", ["spec", "program", "state", "published"])
def test_each_input_that_changed_names_its_site(part: str) -> None:
    now = {"a": INPUTS, "b": replace(INPUTS, **{part: "sha256:new"})}
    found = stale(plan_of("a", "b"), "sha256:tool", RINGS, now, ["a", "b"])
    assert [item.site for item in found] == ["b"]


def test_the_toolkit_the_rings_and_the_set_of_sites_count_too() -> None:
    plan, same = plan_of("a", "b"), {"a": INPUTS, "b": INPUTS}
    assert [s.site for s in stale(plan, "sha256:2", RINGS, same, ["a", "b"])] == [None]
    assert [s.site for s in stale(plan, "sha256:tool", RINGS[::-1], same, ["a", "b"])] == [None]
    assert stale(plan, "sha256:tool", RINGS, {"a": INPUTS}, ["a"]) == [
        Stale("b", "it is no longer in the inventory")
    ]
    assert [s.site for s in stale(plan, "sha256:tool", RINGS, same, ["a", "b", "c"])] == ["c"]


def test_a_plan_of_named_sites_does_not_mind_other_sites() -> None:
    plan = plan_of("a", complete=False)
    assert stale(plan, "sha256:tool", RINGS[1:], {"a": INPUTS}, ["a", "c"]) == []
    longer = [(name, soak + 60.0) for name, soak in RINGS]
    assert [s.site for s in stale(plan, "sha256:tool", longer, {"a": INPUTS}, ["a"])] == [None]
    assert stale(plan, "sha256:tool", [longer[0], RINGS[1]], {"a": INPUTS}, ["a"]) == []
