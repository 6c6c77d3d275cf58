"""Each resource leads back to the field of the inventory that it is made from."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from stacks_recorder import everything, factory_sites, patterns, record

from fleet.model.site import SiteSpec
from fleet_stacks.deployment_settings import deployment_settings_body
from fleet_stacks.origins import inventory_path

SITES = factory_sites() | patterns()
TURIN, GRAZ = SITES["turin"], SITES["graz"]


def value_at(spec: SiteSpec, path: str) -> Any:
    """What the site says at a path; KeyError or IndexError where there is no such field."""
    value: Any = spec.model_dump(mode="json", by_alias=True)
    for key, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        value = value[int(number)] if number else value[key]
    return value


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_every_resource_and_component_has_an_origin_that_is_a_field(spec: SiteSpec) -> None:
    recording = record(spec)
    assert len(recording.components) >= 1
    for name in (*recording.resources, *recording.components):
        path = inventory_path(spec, name)
        assert path is not None, name
        value_at(spec, path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("edge-device-graz-n2", "azureLocal.nodes[1]"),
        ("machine-graz-n3", "azureLocal.nodes[2]"),
        ("graz-n1-reader", "azureLocal.nodes[0]"),
        ("node-pool-inference", "kubernetes.nodePools.inference"),
        ("secret-WitnessStorageKey", "azureLocal.witness"),
        ("extension-foundry-local", "inference.chat.runtime"),
        ("load-balancer", "kubernetes.network.loadBalancer"),
        ("monitor-rule-ContainerInsightsMetricsExtension", "azure.monitoring.metricsRule"),
        ("flux-source", "delivery"),
        ("no-such-resource", None),
        ("node-pool-unknown", None),
    ],
)
def test_a_resources_field(name: str, path: str | None) -> None:
    assert inventory_path(everything(GRAZ), name) == path


def test_every_field_of_the_table_is_one() -> None:
    table = yaml.safe_load((Path(__file__).parents[2] / "stacks" / "origins.yaml").read_text("utf-8"))
    spec = everything(GRAZ)
    for kind, fields in table.items():
        assert kind == "node-pool" or inventory_path(spec, kind) is not None, kind
        for path in fields.values():
            if kind != "node-pool":
                value_at(spec, path)
            else:
                assert (
                    path.split(".")[0]
                    in spec.model_dump(by_alias=True)["kubernetes"]["nodePools"]["inference"]
                )


DATA = "properties.deploymentConfiguration.scaleUnits[0].deploymentData"


@pytest.mark.parametrize(
    ("name", "prop", "path"),
    [
        ("provisioned-cluster", "properties.kubernetesVersion", "kubernetes.version"),
        ("provisioned-cluster", "properties.controlPlane.count", "kubernetes.controlPlane.count"),
        ("provisioned-cluster", "properties.unheardOf", "kubernetes"),
        ("node-pool-inference", "properties.vmSize", "kubernetes.nodePools.inference.vmSize"),
        ("node-pool-inference", "properties.nodeTaints[0]", "kubernetes.nodePools.inference.taints"),
        ("logical-network", "properties.subnets[0].properties.ipPools[0].start", "kubernetes.network.pool"),
        ("deployment", f"{DATA}.infrastructureNetwork[0].ipPools[0].endingAddress", "azureLocal.infraPool"),
        ("deployment", f"{DATA}.infrastructureNetwork[0].dnsServers[0]", "azureLocal.management"),
        ("deployment", f"{DATA}.cluster.cloudAccountName", "azureLocal.witness"),
        ("deployment", f"{DATA}.domainFqdn", "azureLocal.domainFqdn"),
        ("edge-device-graz-n1", "properties", "azureLocal.nodes[0]"),
        ("no-such-resource", "properties", None),
    ],
)
def test_a_propertys_field(name: str, prop: str, path: str | None) -> None:
    assert inventory_path(GRAZ, name, prop) == path


def test_each_part_of_a_deployment_leads_to_a_field_of_its_own() -> None:
    data = deployment_settings_body(patterns()["rack-aware-2+2"], "validate")["properties"]
    for key in data["deploymentConfiguration"]["scaleUnits"][0]["deploymentData"]:
        if key != "storage":  # one way to store is all that we offer
            path = inventory_path(GRAZ, "deployment", f"{DATA}.{key}")
            assert path not in (None, "azureLocal"), key
