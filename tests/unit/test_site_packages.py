"""The fleet's model packages on the sites that serve them: resolution, digest, provenance, schema, tree."""

import json
import pickle

import pytest

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.load import load_fleet, site_layers
from fleet.inventory.schema import child, schema
from fleet.inventory.source import SourceFile
from fleet.model.site import RESOLVED, SiteSpec
from fleet.render.tree import render_site
from tests.factory import Edits, factory_files, factory_inventory, line_of, load, places
from tests.unit.rules.cases import FLEET, GRAZ

TURIN, NARVIK = "sites/turin.yaml", "sites/narvik.yaml"
DIGEST = "sha256:" + "7" * 64
OTHER = "sha256:" + "8" * 64


def package(name: str, size: float = 7.5) -> str:
    return (
        f"  {name}: {{model: phi-4-mini, precision: fp16, sizeGib: {size}, source: here, licence: MIT, "
        f"artifact: 'registry.factory.example/models/{name}@{DIGEST}'}}\n"
    )


PACKAGES = ("rings:\n", "packages:\n" + package("old") + package("new") + package("spare") + "rings:\n")
CANARY = "inference: {chat: {package: old, canary: {package: new}}}\n"


def inventory(edits: Edits) -> Inventory:
    found, diagnostics = load(factory_files(edits), rules=[])
    assert found is not None
    assert not diagnostics, places(diagnostics)
    return found


def site(edits: Edits, name: str = "graz") -> Site:
    found = inventory(edits).site(name)
    assert found is not None
    return found


SERVED: Edits = {FLEET: [PACKAGES], GRAZ: [("labels:", CANARY + "labels:")]}


def test_a_site_has_the_packages_that_it_names_and_no_other() -> None:
    found = inventory(SERVED)
    assert {site.name: list(site.spec.packages) for site in found.sites} == {
        "graz": ["new", "old"],
        "narvik": [],
        "turin": [],
    }
    graz = site(SERVED).spec
    assert graz.packages["old"].artifact == f"registry.factory.example/models/old@{DIGEST}"
    assert SiteSpec.model_validate(json.loads(graz.model_dump_json(by_alias=True))) == graz
    assert pickle.loads(pickle.dumps(graz)).digest == graz.digest


def test_sites_that_serve_the_same_hold_the_same_objects() -> None:
    served = "inference: {chat: {package: old}}\nlabels:"
    found = inventory({FLEET: [PACKAGES], **{path: [("labels:", served)] for path in (GRAZ, TURIN)}})
    graz, narvik, turin = found.sites
    assert graz.spec.packages is turin.spec.packages
    assert graz.layers[0] is turin.layers[0]
    two = inventory(SERVED).sites
    assert two[1].spec.packages is two[2].spec.packages is narvik.spec.packages  # none


def test_the_fleets_defaults_name_packages_for_its_sites() -> None:
    """What is named is looked for in the values as they are merged, with `${site}` made the site's name."""
    named = ("\nrings:\n", "\npackages:\n" + package("of-graz") + package("of-turin") + "rings:\n")
    layer = ("      toolCalling: text\n", '      package: "of-${site}"\n      toolCalling: text\n')
    files = factory_files()
    files[FLEET] = files[FLEET].replace(*named, 1).replace(*layer, 1)
    found, diagnostics = load(files, rules=[])
    assert found is not None and not diagnostics, places(diagnostics)
    assert {site.name: list(site.spec.packages) for site in found.sites if site.spec.packages} == {
        "graz": ["of-graz"],
        "turin": ["of-turin"],
    }
    fleet, _ = load_fleet(SourceFile(FLEET, files[FLEET].encode()))
    graz = found.site("graz")
    assert fleet is not None and graz is not None
    again = site_layers(
        fleet, SourceFile(GRAZ, files[GRAZ].encode()), "graz", graz.spec.profile, graz.spec.ring
    )
    assert (
        again[0].data
        == graz.layers[0].data
        == {"packages": {"of-graz": again[0].data["packages"]["of-graz"]}}
    )


def test_another_digest_of_a_package_is_another_site_for_those_that_serve_it() -> None:
    before = inventory(SERVED)
    after = inventory({**SERVED, FLEET: [PACKAGES, (f"models/new@{DIGEST}", f"models/new@{OTHER}")]})
    same = {a.name: a.spec.digest == b.spec.digest for a, b in zip(before.sites, after.sites, strict=True)}
    assert same == {"graz": False, "narvik": True, "turin": True}
    unserved = inventory({**SERVED, FLEET: [PACKAGES, (f"models/spare@{DIGEST}", f"models/spare@{OTHER}")]})
    assert [s.spec.digest for s in unserved.sites] == [s.spec.digest for s in before.sites]


def test_provenance_leads_to_the_line_in_fleet_yaml() -> None:
    graz, files = site(SERVED), factory_files(SERVED)
    for path in (("packages", "old", "artifact"), ("packages", "new")):
        origin = graz.origin(path)
        assert origin.span is not None
        at = (origin.layer, origin.span.path, origin.span.line)
        assert at == ("packages", FLEET, line_of(files, FLEET, f"  {path[1]}: {{model"))
    named = graz.origin(("inference", "chat", "package"))
    assert named.layer == "site graz"


@pytest.mark.parametrize("path", [GRAZ, FLEET])
@pytest.mark.parametrize("value", ["{old: {model: phi-4-mini}}", "null", "7"])
def test_no_layer_may_give_packages(path: str, value: str) -> None:
    edits = {
        GRAZ: [("labels:", f"packages: {value}\nlabels:")],
        FLEET: [("  delivery: {registry", f"  packages: {value}\n  delivery: {{registry")],
    }
    files = factory_files({**SERVED, path: [*SERVED[path], *edits[path]]})
    found, diagnostics = load(files, rules=[])
    (only,) = diagnostics
    assert (only.code, only.message) == ("INV010", "'packages' belongs at the top of fleet.yaml")
    assert (only.span.path, only.help) == (path, "move it there")
    assert found is not None
    graz = found.site("graz")
    assert graz is not None and list(graz.spec.packages) == ["new", "old"]


def test_the_schema_offers_packages_at_the_top_of_fleet_yaml_only() -> None:
    assert "packages" not in schema("site")["properties"]
    fleet = schema("fleet")
    assert "packages" in fleet["properties"]
    for place in ("defaults",):
        layer = child(fleet, fleet, place)
        assert layer is not None and RESOLVED.isdisjoint(layer["properties"])


def test_a_package_that_the_fleet_does_not_have_is_told_at_its_line() -> None:
    files = factory_files({FLEET: [PACKAGES], GRAZ: [("labels:", CANARY.replace("new", "nwe") + "labels:")]})
    found, diagnostics = load(files)
    assert found is not None
    graz = found.site("graz")
    assert graz is not None and list(graz.spec.packages) == ["old"]
    line = line_of(files, GRAZ, "nwe")
    assert f"MOD001 {GRAZ}:{line} the fleet has no model package 'nwe'" in places(diagnostics)


def test_packages_that_nobody_names_change_no_byte_of_a_tree() -> None:
    for before, after in zip(factory_inventory().sites, inventory({FLEET: [PACKAGES]}).sites, strict=True):
        assert after.spec.digest == before.spec.digest
        assert after.layers[0].name == before.layers[0].name == "defaults"
        assert render_site(after.spec).files == render_site(before.spec).files


def test_the_tree_serves_the_package_by_its_digest() -> None:
    files = render_site(site(SERVED).spec).files
    text = files["platform/inference/chat.yaml"]
    for name in ("old", "new"):
        assert f"model-cache.model-cache.svc.cluster.local/models/{name}@{DIGEST}" in text
    assert "chat-canary" in text
