"""What a reviewer of many sites is shown: equal changes once, and who differs from its ring and how."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from fleet.cli.plan_markdown import Heading, plan_markdown
from fleet.cli.plan_summary import Summary, names, short, summarise, summary_json, summary_view
from fleet.model.site import SiteSpec
from fleet.plan.comparison import SiteComparison
from fleet.plan.grouping import change_lines, grouped, own_words
from fleet.plan.peers import odd_fields
from fleet.plan.site_plan import FileChanges, PlannedChange, SitePlan
from fleet.ports.engine import SECRET
from tests.factory import factory_inventory

GRAZ = next(site.spec for site in factory_inventory().sites if site.name == "graz").model_dump(
    mode="json", by_alias=True
)
POOL = PlannedChange("update", "azure-native:resources:Resource", "node-pool-gpu", ("properties.count",))
VAULT = PlannedChange("replace", "azure-native:keyvault:Vault", "key-vault", ("location",))


def spec(name: str, ring: str = "broad", **fields: Any) -> SiteSpec:
    """A site like graz, its nodes named after it."""
    value: dict[str, Any] = json.loads(json.dumps(GRAZ)) | {"name": name, "ring": ring}
    for number, node in enumerate(value["azureLocal"]["nodes"]):
        node["name"] = f"{name}-n{number}"
        node["ip"] = f"10.9.{sum(map(ord, name)) % 250}.{number + 4}"
    value["kubernetes"]["name"] = f"{name}-aks"
    for path, new in fields.items():
        at = value
        *parents, last = path.split("__")
        for key in parents:
            at = at[key]
        at[last] = new
    return SiteSpec.model_validate(value)


def plan(name: str, *changes: PlannedChange, ring: str = "broad", **more: Any) -> SiteComparison:
    return SiteComparison("changed", SitePlan(name, ring, "sha256:1", "sha256:2", changes, **more))


def fleet(sites: int) -> list[SiteSpec]:
    return [spec(f"s{n:03}", "canary" if n < 4 else "broad") for n in range(sites)]


@pytest.fixture(scope="module")
def many() -> Summary:
    """30 sites: all update their pool, and s020 replaces its vault too; s021's pool is left alone."""
    specs = fleet(30)
    specs[22] = spec("s022", kubernetes__version="1.31.0")
    plans = []
    for site in specs:
        changes = {"s020": (POOL, VAULT), "s021": ()}.get(site.name, (POOL,))
        plans.append(plan(site.name, *changes, ring=site.ring))
    return summarise(plans, specs)


def test_a_sites_own_names_do_not_set_it_apart() -> None:
    specs = [spec("graz"), spec("vienna")]
    plans = [
        plan(
            s.name,
            *(PlannedChange("create", "t", f"edge-device-{node.name}") for node in s.azure_local.nodes),
            PlannedChange("update", "t", f"{s.name}-aks", ("x",)),
            files=FileChanges(changed=(f"clusters/{s.name}/site.yaml",)),
        )
        for s in specs
    ]
    (group,) = grouped(plans, {s.name: own_words(s) for s in specs})
    assert group.sites == ("graz", "vienna")
    assert group.lines["create", "t", "edge-device-NODE", ()] == len(specs[0].azure_local.nodes)


def test_only_whole_words_are_a_sites_own() -> None:
    site = SitePlan(
        "a", "r", "", "", (PlannedChange("delete", "t", "a-aks"), PlannedChange("delete", "t", "ba"))
    )
    assert [line[2] for line in change_lines(site, {"a": "SITE"})] == ["SITE-aks", "ba"]


@pytest.mark.parametrize(
    "other",
    [
        plan("b", PlannedChange("replace", POOL.type, POOL.name, POOL.paths)),
        plan("b", PlannedChange(POOL.op, POOL.type, POOL.name, ("properties.vmSize",))),
        plan("b", PlannedChange(POOL.op, POOL.type, "node-pool-cpu", POOL.paths)),
        plan("b", POOL, POOL),
        plan("b", POOL, files=FileChanges(removed=("a.yaml",))),
        plan("b", POOL, pending=("cluster",)),
        plan("b", POOL, ignored=("cluster: properties.x",)),
    ],
)
def test_sites_that_change_in_any_other_way_are_not_in_one_group(other: SiteComparison) -> None:
    assert len(grouped([plan("a", POOL), other])) == 2


def test_groups_kinds_and_who_differs(many: Summary) -> None:
    assert [(len(g.sites), dict(g.rings)) for g in many.groups] == [
        (28, {"canary": 4, "broad": 24}), (1, {"broad": 1}),
    ]  # fmt: skip
    assert many.kinds["update", POOL.type] == (29, 29)
    assert many.kinds["replace", VAULT.type] == (1, 1)
    (odd,) = many.deviations
    assert (odd.ring, odd.sites, odd.of) == ("broad", ("s020",), 24)
    assert [line[0] for line in odd.more] == ["replace"]
    assert not odd.less


def test_a_site_that_alone_changes_deviates_from_a_ring_that_does_not() -> None:
    specs = fleet(30)
    comparisons = [plan(s.name, *((POOL,) if s.name == "s010" else ()), ring=s.ring) for s in specs]
    (odd,) = summarise(comparisons, specs).deviations
    assert (odd.sites, odd.of) == (("s010",), 25)


def test_a_ring_without_a_majority_is_said_to_have_none() -> None:
    specs = [spec(f"s{n}") for n in range(4)]
    plans = [plan(s.name, *((POOL,), (VAULT,), (POOL, VAULT), ())[n]) for n, s in enumerate(specs)]
    summary = summarise(plans, specs)
    assert summary.without_majority == ("broad",)
    assert not summary.deviations


def test_a_setting_that_most_peers_share_shows_who_has_another(many: Summary) -> None:
    (odd,) = many.odd
    assert odd.sites == ("s022",)
    (field,) = odd.fields
    assert (field.path, field.found, field.shared_by, field.peers) == ("kubernetes.version", "1.31.0", 25, 26)


def test_names_addresses_other_rings_and_other_profiles_are_not_odd() -> None:
    assert odd_fields(fleet(30)) == []
    specs = [spec(f"s{n}") for n in range(5)]
    assert odd_fields([*specs, spec("t", "canary", kubernetes__version="1.31.0")]) == []
    assert odd_fields([*specs, spec("t", profile="pilot", kubernetes__version="1.31.0")]) == []


def test_a_field_that_only_one_has_and_one_that_it_lacks() -> None:
    specs = [spec(f"s{n}") for n in range(5)]
    assert [f.path for f in odd_fields([*specs, spec("t", labels={**GRAZ["labels"], "x": "1"})])] == [
        "labels.x"
    ]
    lacks = odd_fields([*specs, spec("t", labels={"country": GRAZ["labels"]["country"]})])
    assert [(f.path, f.found, f.usual) for f in lacks] == [("labels.line", None, GRAZ["labels"]["line"])]


def test_what_looks_like_a_secret_is_masked() -> None:
    specs = [spec(f"s{n:02}") for n in range(22)]
    key = "-----BEGIN PRIVATE KEY-----"
    specs.append(spec("odd", labels={**GRAZ["labels"], "line": key}))
    text = json.dumps(summary_json(summarise([plan(s.name, POOL) for s in specs], specs)))
    assert key not in text
    assert SECRET in text


def test_failed_sites_are_counted_apart() -> None:
    specs = [spec("a"), spec("b")]
    summary = summarise([plan("a", error="ENG004: cut"), plan("b", POOL)], specs)
    assert (summary.failed, summary.changed, dict(summary.ring_sizes)) == (("a",), 1, {"broad": 1})


def shown(summary: Summary, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    console.print(summary_view(summary))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [80, 160])
def test_in_a_terminal_nothing_is_cut_that_matters(many: Summary, width: int) -> None:
    text = shown(many, width)
    assert "s000, s001, s002, s003, s004, s005 and 22 more" in text
    assert "replace" in text
    assert "s020 (broad; 24 of 26 change alike)" in text
    assert 'kubernetes.version: "1.31.0", where 25 of 26 have' in text


def test_what_destroys_stands_first_and_many_new_things_are_counted() -> None:
    new = tuple(PlannedChange("create", "t:A" if n % 2 else "t:B", f"n{n}") for n in range(30))
    text = shown(summarise([plan("a", *new, VAULT)], [spec("a")]), 100)
    group = text[text.index("group 1:") :]
    assert group.index("replace") < group.index("create")
    assert "15 × t:A" in group
    assert short(grouped([plan("a", *new, VAULT)])[0].lines) == "1 replace, 30 create"


def test_in_markdown_who_differs_stands_before_the_groups(many: Summary) -> None:
    text = plan_markdown([], 30, Heading("base"), summary=many)
    assert (
        "- `s020` (`broad`, 24 of 26 change alike): also **replace** `key-vault (keyvault:Vault): location`"
        in text
    )
    assert "- `s022` (`broad`" in text
    assert text.index("`s022`") < text.index("<details>")
    assert "<summary>28 sites like s000: 1 update</summary>" in text


def test_in_json_it_has_a_version_and_all_names(many: Summary) -> None:
    value = json.loads(json.dumps(summary_json(many)))
    assert value["version"] == 1
    assert len(value["groups"][0]["sites"]) == 28
    assert value["differ"][0]["more"][0]["op"] == "replace"
    assert value["settings"][0]["fields"][0]["path"] == "kubernetes.version"


def test_names_are_cut_and_counted() -> None:
    assert names([f"s{n}" for n in range(6)]) == "s0, s1, s2, s3, s4, s5"
    assert names([f"s{n}" for n in range(1_007)]).endswith("s5 and 1,001 more")
