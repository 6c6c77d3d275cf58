"""Each pattern of Azure Local: what is sent for it, and what is refused."""

from itertools import pairwise
from typing import Any

import pytest
from stacks_recorder import changed, factory_sites, patterns, record

from fleet.model.site import SiteSpec
from fleet_stacks.deployment_settings import deployment_settings_body
from fleet_stacks.errors import StackError
from fleet_stacks.refusals import refusals

SITES, PATTERNS = factory_sites(), patterns()
TURIN, GRAZ, NARVIK = SITES["turin"], SITES["graz"], SITES["narvik"]


def deployment_data(spec: SiteSpec) -> dict[str, Any]:
    configuration = deployment_settings_body(spec, "validate")["properties"]["deploymentConfiguration"]
    data: dict[str, Any] = configuration["scaleUnits"][0]["deploymentData"]
    return data


@pytest.mark.parametrize("spec", [*SITES.values(), *PATTERNS.values()], ids=[*SITES, *PATTERNS])
def test_every_pattern_can_be_declared(spec: SiteSpec) -> None:
    assert refusals(spec) == ()
    resources = record(spec).resources
    nodes = [node.name for node in spec.azure_local.nodes]
    assert [name for name in resources if name.startswith("edge-device-")] == [
        f"edge-device-{n}" for n in nodes
    ]
    for earlier, later in pairwise(nodes):
        assert f"edge-device-{earlier}" in resources[f"edge-device-{later}"].after


def test_three_nodes_without_a_switch_get_the_addresses_of_their_links() -> None:
    host = deployment_data(PATTERNS["three-nodes-switchless"])["hostNetwork"]
    assert (host["storageConnectivitySwitchless"], host["enableStorageAutoIp"]) == (True, False)
    assert host["storageNetworks"][0]["storageAdapterIPInfo"][2] == {
        "physicalNode": "graz-n3",
        "ipv4Address": "10.0.1.3",
        "subnetMask": "255.255.255.0",
    }
    for other in ("two-nodes-switchless", "sixteen-nodes"):
        host = deployment_data(PATTERNS[other])["hostNetwork"]
        assert host["enableStorageAutoIp"] is True
        assert not any("storageAdapterIPInfo" in network for network in host["storageNetworks"])


def test_a_link_has_the_mask_of_its_own_subnet() -> None:
    network = GRAZ.model_dump(mode="json", by_alias=True)["azureLocal"]["storageNetworks"][0]
    wide = {**network, "addresses": [{"node": "graz-n1", "ip": "10.0.0.1", "prefix": 30}]}
    host = deployment_data(changed(GRAZ, azureLocal={"storageNetworks": [wide]}))["hostNetwork"]
    assert host["storageNetworks"][0]["storageAdapterIPInfo"][0]["subnetMask"] == "255.255.255.252"


def test_low_capacity_is_nothing_that_can_be_asked_for() -> None:
    assert deployment_data(PATTERNS["low-capacity"]) == deployment_data(TURIN)


def test_a_local_identity_has_no_organisational_unit() -> None:
    data = deployment_data(PATTERNS["local-identity"])
    assert data["identityProvider"] == "LocalIdentity"
    assert "adouPath" not in data
    assert data["domainFqdn"] == "factory.example"


def test_a_management_cluster_is_a_cluster_and_nothing_else() -> None:
    recording = record(PATTERNS["management-cluster"])
    data = deployment_data(PATTERNS["management-cluster"])
    assert data["isManagementCluster"] is True
    assert "isManagementCluster" not in deployment_data(NARVIK)
    assert "deployment" in recording.resources
    assert not {"logical-network", "connected-cluster", "provisioned-cluster"} & set(recording.resources)
    assert "connectedClusterId" not in recording.outputs
    assert "kubeconfigCommand" not in recording.outputs
    assert "AKS cluster, Arc extensions and Flux" in {item["what"] for item in recording.outputs["leftOut"]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (changed(TURIN, azure={"region": "autonomous"}), "'autonomous' is that of disconnected operations"),
        (changed(NARVIK, azure={"region": "westeurope"}), "'autonomous' is that of disconnected operations"),
        (changed(NARVIK, azureLocal={"pattern": "rack-aware"}), "needs a cloud witness"),
        (
            changed(NARVIK, azureLocal={"nodes": [{"name": f"n{n}", "ip": f"10.40.1.1{n}"} for n in (1, 2)]}),
            "two nodes need a cloud witness",
        ),
        (changed(GRAZ, azureLocal={"managementCluster": True}), "only disconnected operations have one"),
        (
            changed(
                NARVIK,
                azureLocal={"managementCluster": True, "nodes": [{"name": "n1", "ip": "10.40.1.11"}]},
            ),
            "exactly three nodes",
        ),
        (changed(GRAZ, azureLocal={"switchless": True}), "Storage1 needs an address of each node"),
        (
            changed(PATTERNS["sixteen-nodes"], azureLocal={"switchless": True}),
            "described for two and for three nodes",
        ),
    ],
)
def test_what_nothing_public_describes_is_refused_before_anything_is_declared(
    spec: SiteSpec, why: str
) -> None:
    assert len(refusals(spec)) >= 1
    with pytest.raises(StackError, match=why):
        record(spec, preview=True, secrets={})
