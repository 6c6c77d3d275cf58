"""Rules about what the sites of a fleet share: a domain, a tenant, environments, gateways."""

from itertools import chain

import pytest

from fleet.inventory.rule import Fact, FleetFacts
from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, Edits, rule_tests
from validators.fleet_names import RULES

SUBSCRIPTION = "7c1d9a52-0000-4000-8000-0000000000f"
DEV = ("labels:", "environment: dev\nlabels:")
ADMINS = ("kubernetes:\n", "kubernetes:\n  adminGroups: [9d4b1e77-0000-4000-8000-0000000000dd]\n")
LOCAL = ("azureLocal:\n", "azureLocal:\n  identityProvider: LocalIdentity\n")
TURIN_GROUP = ("resourceGroup: rg-fleet-turin", "resourceGroup: RG-fleet-graz")


def turin(*edits: tuple[str, str]) -> Edits:
    return {TURIN: list(edits)}


def tenant(site: str) -> Edits:
    return {site: [("azure: {", "azure: {tenant: 5e0c2f1a-0000-4000-8000-000000000002, ")]}


def gateway(number: int, subscription: int = 1) -> str:
    return f"/subscriptions/{SUBSCRIPTION}{subscription}/resourcegroups/rg/providers/microsoft.hybridcompute/gateways/g{number}"


CASES = {
    "FLT009": Cases(
        fires=[Case(turin(("name: turin-n1", "name: GRAZ-n1")), "sites/turin.yaml:{GRAZ-n1} turin's computer account 'graz-n1' is graz's already"),
               Case(turin(("clusterName: turin-hci", "clusterName: graz-hci")),
                    "sites/turin.yaml:{clusterName} turin's computer account 'graz-hci' is graz's already"),
               Case(turin(("clusterName: turin-hci", "clusterName: graz-n3")),
                    "sites/turin.yaml:{clusterName} turin's computer account 'graz-n3' is graz's already")],
        near=[{NARVIK: [("name: narvik-n1", "name: graz-n1")]},  # no domain
              turin(("name: turin-n1", "name: graz-n1"), ("azureLocal:\n", "azureLocal:\n  domainFqdn: turin.example\n"),
                    ("OU=Turin,DC=factory,DC=example", "OU=Turin,DC=turin,DC=example"))],
    ),
    "FLT010": Cases(
        fires=[Case(turin(("OU=Turin,", "OU=GRAZ,")), "sites/turin.yaml:{ouPath} turin's organisational unit 'ou=graz,dc=factory,dc=example' is graz's")],
        near=[turin(("OU=Turin,", "OU=Graz2,")), turin(("OU=Turin,", "OU=Turin,OU=Graz,"))],
    ),
    "FLT011": Cases(
        fires=[Case(turin(DEV, TURIN_GROUP), "sites/turin.yaml:{resourceGroup} turin is a site of dev in the resource group 'rg-fleet-graz'",
                    also=("FLT012",))],
        near=[turin(TURIN_GROUP), turin(("resourceGroup: rg-fleet-turin", "resourceGroup: rg-fleet-graz2"), DEV),
              turin(DEV, (TURIN_GROUP[0], f"subscription: {SUBSCRIPTION}2, {TURIN_GROUP[1]}"))],
    ),
    "FLT012": Cases(
        fires=[Case(turin(DEV), "fleet.yaml:{adminGroups} who administers turin, a site of dev, administers production too")],
        near=[turin(DEV, ADMINS), {FLEET: [("environment: prod", "environment: dev")]}],
    ),
    "FLT013": Cases(
        fires=[Case(tenant(TURIN), "sites/turin.yaml:{tenant} turin is in the tenant 5e0c2f1a-0000-4000-8000-000000000002; most sites are in")],
        near=[{**tenant(TURIN), **tenant(NARVIK), **tenant(GRAZ)}],
    ),
}  # fmt: skip

BY_CODE = {rule.code: rule for rule in RULES}


def found(code: str, rows: list[tuple[str, Fact]]) -> list[str]:
    """What the rule's join says of these facts."""
    across = BY_CODE[code].across
    assert across is not None
    return [f"{f.site}: {f.message}" for f in across.join(FleetFacts(rows, (), frozenset(), {}))]


def sites(number: int, resources: int) -> list[tuple[str, Fact]]:
    return [(f"site-{n:04}", (gateway(1), resources)) for n in range(number)]


@pytest.mark.parametrize(("rows", "where"), [(sites(250, 4), []), (sites(251, 4), ["site-0250"]), (sites(400, 4), ["site-0250"])])  # fmt: skip
def test_a_gateway_takes_a_thousand_resources(rows: list[tuple[str, Fact]], where: list[str]) -> None:
    messages = found("FLT014", rows)
    assert [message.partition(":")[0] for message in messages] == where
    assert all("more than 1000 resources go through 'g1'" in message for message in messages)


def test_a_subscription_has_five_gateways() -> None:
    five = [(f"a{n}", (gateway(n), 2)) for n in range(5)]
    elsewhere = [(f"b{n}", (gateway(n, 2), 2)) for n in range(5)]
    again = [(f"c{n}", (gateway(n), 2)) for n in range(5)]
    assert found("FLT015", [*five, *elsewhere, *again]) == []
    seven = [*five, ("d", (gateway(5), 2)), ("e", (gateway(6), 2))]
    assert found("FLT015", seven) == ["d: d names Arc gateway number 6 of a subscription, which can have 5"]


def test_most_sites_tell_the_tenant() -> None:
    rows = [(f"s{n}", (tenant,)) for n, tenant in enumerate(chain(["b"], ["a"] * 3))]
    assert found("FLT013", rows) == ["s0: s0 is in the tenant b; most sites are in a"]


test_fires, test_near_misses = rule_tests(CASES)
