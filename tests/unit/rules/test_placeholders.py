"""Rules about placeholders, which `fleet init` leaves where nobody could know the value."""

from fleet.app.init import NOBODY, first_fleet
from tests.factory import factory_files, load, places
from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, rule_tests

GROUP = "adminGroups: [9d4b1e77-0000-4000-8000-0000000000bb]"
VAULT = "keyVault: kv-fleet-graz"
WORDS = "azureLocal.keyVault is marked to be replaced: a name that is free"

CASES = {
    "FLT007": Cases(
        fires=[
            Case({GRAZ: [(VAULT, f"{VAULT}2  # REPLACE: a name that is free")]}, f"sites/graz.yaml:{{keyVault}} {WORDS}"),
            Case({GRAZ: [(f"  {VAULT}", f"  # REPLACE: a name that is free\n  {VAULT}")]}, f"sites/graz.yaml:{{keyVault}} {WORDS}"),
            Case({GRAZ: [("ip: 10.30.1.12}", "ip: 10.30.1.12}  #REPLACE")]},
                 "sites/graz.yaml:{10.30.1.12} azureLocal.nodes.1 is marked to be replaced"),
            Case({FLEET: [("    region: westeurope", "    region: westeurope  # REPLACE: where it is")]},
                 "fleet.yaml:{region: westeurope} azure.region is marked to be replaced: where it is"),
        ],
        near=[
            {GRAZ: [(VAULT, "keyVault: kv-fleet-graz2  # REPLACEMENT of 2024")]},
            {GRAZ: [(VAULT, "keyVault: kv-fleet-graz2  # please replace")]},
        ],
    ),
    "FLT008": Cases(
        fires=[
            Case({FLEET: [(GROUP, f"adminGroups: [{NOBODY}]")]},
                 "fleet.yaml:{adminGroups} kubernetes.adminGroups.0 is an id of zeros, which names nobody"),
            # of a marked id only the id is told, once for all sites
            Case({FLEET: [(GROUP, f"adminGroups: [{NOBODY}]  # REPLACE: the group")]},
                 "fleet.yaml:{adminGroups} kubernetes.adminGroups.0 is an id of zeros, which names nobody",
                 help="put the real id there: the group"),
            Case({GRAZ: [("azure: {", f"azure: {{subscription: {NOBODY}, ")]},
                 "sites/graz.yaml:{azure: \x7b} azure.subscription is an id of zeros, which names nobody"),
        ],
        near=[{FLEET: [(GROUP, "adminGroups: [00000000-0000-0000-0000-000000000001]")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


def found(files: dict[str, str]) -> list[str]:
    return [place for place in places(load(files)[1]) if place.startswith(("FLT007", "FLT008"))]


def test_a_mark_that_stands_at_no_value_of_a_site_is_not_told() -> None:
    below = {GRAZ: [("port: 1433}\n", "port: 1433}\n# REPLACE: something\n")]}
    fleets_own = {FLEET: [("name: factory", "name: factory  # REPLACE: the name")]}
    assert found(factory_files(below)) == found(factory_files(fleets_own)) == []


def test_a_first_fleet_has_every_placeholder_told() -> None:
    assert {place.split()[0] for place in found(first_fleet({}))} == {"FLT007", "FLT008"}


def test_what_every_site_overrides_is_not_told() -> None:
    real = "7c1d9a52-0000-4000-8000-0000000000f1"
    files = factory_files(
        {FLEET: [("region: westeurope", "region: westeurope  # REPLACE: where"), (real, NOBODY)]}
    )
    for path in files.keys() - {FLEET}:
        files[path] = files[path].replace("azure: {", f"azure: {{region: eastus, subscription: {real}, ")
    assert found(files) == []


def test_a_first_fleet_is_told_by_its_ids_and_its_marks() -> None:
    codes = {line.partition(" ")[0] for line in found(first_fleet({}))}
    assert codes == {"FLT007", "FLT008"}
    told = [line for line in found(first_fleet({})) if line.startswith("FLT008")]
    assert [line.split(" ")[2] for line in told] == [
        "azure.tenant", "azure.subscription", "azure.hciResourceProviderObjectId", "kubernetes.adminGroups.0",
    ]  # fmt: skip
