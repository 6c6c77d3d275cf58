"""`${site}`: names that follow a pattern are said once for all sites."""

import pytest

from fleet.inventory.layers import holding_site, named
from tests.factory import Edits, check, factory_files, factory_inventory, line_of, places

GRAZ, FLEET = "sites/graz.yaml", "fleet.yaml"
PATTERNS: Edits = {
    FLEET: [
        ("  azureLocal:\n    domainFqdn: factory.example\n",
         '  azureLocal:\n    domainFqdn: factory.example\n    clusterName: "${site}-hci"\n    keyVault: kv-fleet-${site}\n'),
        ("    systemPool: agents\n", "    systemPool: agents\n    name: ${site}-aks\n"),
        ("    region: westeurope\n", "    region: westeurope\n    tags: {owner: \"team-${site}\", \"${site}\": x}\n"),
    ],
    GRAZ: [
        ("  clusterName: graz-hci\n", ""),
        ("  keyVault: kv-fleet-graz\n", ""),
        ("  name: graz-aks\n", ""),
        ("graz-n1, ip", '"${site}-n1", ip'),
    ],
}  # fmt: skip


def test_a_layer_may_name_the_site() -> None:
    site = factory_inventory(PATTERNS).site("graz")
    assert site is not None
    assert site.spec.azure_local.cluster_name == "graz-hci"
    assert site.spec.azure_local.key_vault == "kv-fleet-graz"
    assert site.spec.kubernetes.name == "graz-aks"
    assert site.spec.azure_local.nodes[0].name == "graz-n1"
    # Values only: a key is what a reader looks for.
    assert site.spec.azure.tags == {"owner": "team-graz", "${site}": "x"}
    plain = factory_inventory().site("graz")
    assert plain is not None
    assert site.spec.model_copy(update={"azure": plain.spec.azure}) == plain.spec


def test_a_value_made_of_it_is_shown_where_the_pattern_stands() -> None:
    files = factory_files(PATTERNS)
    site = factory_inventory(PATTERNS).site("graz")
    assert site is not None
    origin = site.origin(("azureLocal", "keyVault"))
    assert origin.span is not None
    assert (origin.layer, origin.span.line) == ("defaults", line_of(files, FLEET, "kv-fleet-${site}"))


def test_a_name_that_does_not_fit_is_told_for_its_site() -> None:
    long = {
        FLEET: [(old, new.replace("${site}-hci", "cluster-${site}-hci")) for old, new in PATTERNS[FLEET]],
        GRAZ: PATTERNS[GRAZ],
    }
    found = places(check(long))
    (told,) = [place for place in found if "clusterName" in place]
    assert "cluster-graz-hci" in told
    assert "${site}" not in told


@pytest.mark.parametrize("wrong", ["${Site}-hci", "$site-hci", "${site", "{site}-hci", "${ring}-hci"])
def test_anything_else_is_not_filled_in(wrong: str) -> None:
    edits = {GRAZ: [("clusterName: graz-hci", f"clusterName: '{wrong}'")]}
    assert any(
        place.startswith("INV011 sites/graz.yaml:10 azureLocal.clusterName") for place in places(check(edits))
    )


def test_what_holds_no_name_is_not_copied() -> None:
    value = {"a": {"b": ["x-${site}", "y"]}, "c": {"d": [1, True, None]}}
    holding = holding_site(value)
    filled = named(value, "graz", holding)
    assert filled == {"a": {"b": ["x-graz", "y"]}, "c": {"d": [1, True, None]}}
    assert filled["c"] is value["c"]
    assert named(value["c"], "graz", holding) is value["c"]
    assert value["a"]["b"][0] == "x-${site}"
