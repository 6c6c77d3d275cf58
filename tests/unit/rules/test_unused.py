"""Rules about what is written down and used by nobody, and about names of files."""

import pytest

from tests.factory import check, factory_files, load, places
from tests.unit.rules.cases import FLEET, GRAZ, TURIN, Case, Cases, rule_tests

SPARE = ("profiles:\n", "profiles:\n  spare: {topology: pilot-node}\n")
CARD = "{weightsGib: 7.2, layers: 32, kvHeads: 8, headDim: 128, contextTokens: 4096, source: measured}"
MODEL = ("rings:\n", f"models:\n  own: {CARD}\nrings:\n")
PACKAGE = ("rings:\n", "packages:\n  own-int4: {model: own, precision: int4, executionProvider: cpu, "
           f"artifact: 'r.example/own@sha256:{'0123456789abcdef' * 4}', sizeGib: 2.2, source: ours, licence: MIT}}\nrings:\n")  # fmt: skip

CASES = {
    "FLT016": Cases(
        fires=[Case({FLEET: [SPARE]}, "fleet.yaml:{spare} no site has the profile 'spare'"),
               Case({FLEET: [("profiles:\n", "profiles:\n  spare: {}\n")]}, "fleet.yaml:{spare} no site has the profile 'spare'")],
        near=[{FLEET: [("\n  pilot:\n", "\n  spare:\n")], TURIN: [("profile: pilot", "profile: spare")]}],
    ),
    "FLT017": Cases(
        fires=[Case({FLEET: [MODEL]}, "fleet.yaml:{own:} no site serves the model 'own', and no package holds it")],
        near=[{FLEET: [MODEL, PACKAGE]}, {FLEET: [MODEL, ("model: phi-4-mini", "model: own")]}],
    ),
    "FLT018": Cases(
        fires=[Case({TURIN: [("name: turin\n", "name: torino\n")]}, "sites/turin.yaml:{name: torino} the site 'torino' is in turin.yaml",
                    help="name the file torino.yaml")],
        near=[{FLEET: [("name: factory", "name: factory2")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


@pytest.mark.parametrize("broken", ["ring: broad", "keyVault: kv-fleet-graz", "country: at"])
def test_nothing_is_called_unused_while_a_site_could_not_be_read(broken: str) -> None:
    found = check({GRAZ: [(broken, "x: [")]})  # the only site of its profile, and with GPUs
    assert found
    assert not [d.code for d in found if d.code.startswith(("FLT", "GOV"))]


def test_the_same_file_name_in_a_folder_is_the_sites_name() -> None:
    files = factory_files()
    files["sites/south/turin.yaml"] = files.pop("sites/turin.yaml")
    assert places(load(files)[1]) == []
