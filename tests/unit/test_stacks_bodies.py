"""Names and bodies: the pure parts of the Pulumi program."""

from typing import Any

import pulumi
import pytest
import yaml
from stacks_recorder import changed, factory_sites

from fleet.model.site import SiteSpec
from fleet.render.tree import render_site
from fleet_stacks import names
from fleet_stacks.arc_cluster import agent_pool_body, agent_pools, provisioned_cluster_body, virtual_switch
from fleet_stacks.arc_platform import CONFIGURATION_NAME, FluxContent, flux_configuration_body
from fleet_stacks.arm import arm_resource
from fleet_stacks.deployment_settings import deployment_settings_body

SITES = factory_sites()
TURIN, GRAZ, NARVIK = SITES["turin"], SITES["graz"], SITES["narvik"]
GROUP = "/subscriptions/s/resourceGroups/g/providers"


def test_an_id_is_taken_apart_for_arms_generic_api() -> None:
    top = names.parse_arm_id(f"{GROUP}/Microsoft.AzureStackHCI/clusters/c")
    assert (top.namespace, top.parent, top.type, top.name) == ("Microsoft.AzureStackHCI", "", "clusters", "c")
    child = names.parse_arm_id(f"{GROUP}/Microsoft.AzureStackHCI/clusters/c/deploymentSettings/default")
    assert (child.parent, child.full_type) == (
        "clusters/c",
        "Microsoft.AzureStackHCI/clusters/deploymentSettings",
    )
    extension = names.parse_arm_id(
        f"{GROUP}/Microsoft.HybridCompute/machines/n/providers/Microsoft.AzureStackHCI/edgeDevices/default"
    )
    assert extension.namespace == "Microsoft.HybridCompute"
    assert extension.parent == "machines/n/providers/Microsoft.AzureStackHCI"
    assert extension.full_type == "Microsoft.AzureStackHCI/edgeDevices"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/subscriptions/s",
        "/subscriptions/s/resourceGroups/g",
        f"{GROUP}/Microsoft.AzureStackHCI/clusters",
        f"{GROUP}/Microsoft.AzureStackHCI//c",
        "/tenants/t/resourceGroups/g/providers/Microsoft.AzureStackHCI/clusters/c",
    ],
)
def test_what_is_no_resource_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the id of a resource"):
        names.parse_arm_id(text)


def test_a_pools_labels_taints_and_bounds_reach_azure() -> None:
    inference = {
        "vmSize": "Standard_NC16_L4_1",
        "count": 2,
        "gpu": True,
        "labels": {"tier": "gpu"},
        "taints": [{"key": "gpu", "value": "yes", "effect": "NoExecute"}],
        "autoscale": {"minCount": 1, "maxCount": 3},
        "maxPods": 60,
    }
    pool = changed(GRAZ, kubernetes={"nodePools": {"inference": inference}})
    properties = agent_pool_body(pool, "inference")["properties"]
    assert properties["nodeLabels"] == {"tier": "gpu", "fleet/node-pool": "inference"}
    assert properties["nodeTaints"] == ["gpu=yes:NoExecute"]
    assert (properties["enableAutoScaling"], properties["minCount"], properties["maxCount"]) == (True, 1, 3)
    assert (properties["maxPods"], properties["osType"], properties["osSKU"]) == (60, "Linux", "CBLMariner")
    plain = agent_pool_body(GRAZ, "inference")["properties"]
    assert (plain["enableAutoScaling"], "minCount" in plain, plain["nodeTaints"]) == (False, False, [])


def test_a_rack_aware_cluster_names_its_zones_and_a_standard_one_none() -> None:
    nodes = [
        {"name": f"graz-n{n}", "ip": f"10.30.1.1{n}", "zone": zone} for n, zone in ((1, "west"), (2, "east"))
    ]
    rack = changed(GRAZ, azureLocal={"pattern": "rack-aware", "nodes": nodes})
    data = deployment_data(rack)
    assert data["cluster"]["clusterPattern"] == "RackAware"
    assert data["localAvailabilityZones"] == [
        {"localAvailabilityZoneName": "east", "nodes": ["graz-n2"]},
        {"localAvailabilityZoneName": "west", "nodes": ["graz-n1"]},
    ]
    plain = deployment_data(GRAZ)
    assert plain["cluster"]["clusterPattern"] == "Standard"
    assert "localAvailabilityZones" not in plain


def test_security_settings_and_tags_are_the_inventorys() -> None:
    soft = changed(
        GRAZ, azureLocal={"security": {"wdacEnforced": False}}, azure={"tags": {"cost": "42", "site": "x"}}
    )
    settings = deployment_data(soft)["securitySettings"]
    assert [name for name, on in settings.items() if not on] == ["smbClusterEncryption", "wdacEnforced"]
    assert names.tags(soft) == {**names.tags(GRAZ), "cost": "42"}, "whose it is can't be overwritten"


def deployment_data(spec: SiteSpec) -> dict[str, Any]:
    configuration = deployment_settings_body(spec, "validate")["properties"]["deploymentConfiguration"]
    data: dict[str, Any] = configuration["scaleUnits"][0]["deploymentData"]
    return data


def test_every_id_of_a_site_can_be_taken_apart() -> None:
    for spec in SITES.values():
        for resource_id in (
            names.cluster_id(spec),
            names.deployment_settings_id(spec),
            names.custom_location_id(spec),
            names.key_vault_id(spec),
            names.logical_network_id(spec),
            names.provisioned_cluster_id(spec),
        ):
            assert names.parse_arm_id(resource_id).subscription == spec.azure.subscription


def test_role_assignment_names_depend_on_all_three_and_not_on_case() -> None:
    name = names.role_assignment_name("/subscriptions/s", "p", "r")
    # Written down: another value would replace every assignment of every site.
    assert name == "fe8d7008-9386-597a-bfe2-1290f195741e"
    assert name == names.role_assignment_name("/SUBSCRIPTIONS/S", "P", "R")
    others = [("/subscriptions/x", "p", "r"), ("/subscriptions/s", "x", "r"), ("/subscriptions/s", "p", "x")]
    assert len({name, *(names.role_assignment_name(*parts) for parts in others)}) == 4


def test_a_body_with_a_part_that_would_be_dropped_is_refused() -> None:
    resource_id = f"{GROUP}/Microsoft.AzureStackHCI/clusters/c"
    with pytest.raises(ValueError, match="no zones"):
        arm_resource("c", resource_id, {"zones": ["1"]}, pulumi.ResourceOptions())


def test_a_type_without_an_api_version_is_refused() -> None:
    resource_id = f"{GROUP}/Microsoft.Unheard/things/c"
    with pytest.raises(KeyError, match="Unheard/things"):
        arm_resource("c", resource_id, {}, pulumi.ResourceOptions())


def test_the_deployment_is_told_what_the_inventory_says() -> None:
    properties = deployment_settings_body(GRAZ, "deploy")["properties"]
    assert properties["arcNodeResourceIds"] == [
        names.machine_id(GRAZ, node) for node in GRAZ.azure_local.nodes
    ]
    data = properties["deploymentConfiguration"]["scaleUnits"][0]["deploymentData"]
    assert data["cluster"] == {
        "name": "graz-hci",
        "clusterPattern": "Standard",
        "witnessType": "Cloud",
        "cloudAccountName": "fleetwitnessgraz",
        "azureServiceEndpoint": "core.windows.net",
    }
    assert data["adouPath"] == "OU=Graz,DC=factory,DC=example"
    assert data["infrastructureNetwork"][0]["subnetMask"] == "255.255.255.0"
    assert data["observability"]["euLocation"] is True
    assert [network["vlanId"] for network in data["hostNetwork"]["storageNetworks"]] == ["711", "712"]
    assert data["secrets"][2] == {
        "secretName": "graz-hci-WitnessStorageKey",
        "eceSecretName": "WitnessStorageKey",
        "secretLocation": "https://kv-fleet-graz.vault.azure.net/secrets/graz-hci-WitnessStorageKey",
    }


def test_a_site_with_local_identity_has_no_organisational_unit_and_sends_no_telemetry_offline() -> None:
    body = deployment_settings_body(NARVIK, "deploy")
    data = body["properties"]["deploymentConfiguration"]["scaleUnits"][0]["deploymentData"]
    assert data["identityProvider"] == "LocalIdentity"
    assert "adouPath" not in data
    assert data["observability"]["streamingDataClient"] is False
    assert "witnessType" not in data["cluster"]


def test_the_phase_is_the_only_difference_between_validate_and_deploy() -> None:
    validate, deploy = (
        deployment_settings_body(GRAZ, phase)["properties"] for phase in ("validate", "deploy")
    )
    assert {key for key in deploy if validate[key] != deploy[key]} == {"deploymentMode"}


def test_the_cluster_is_made_with_the_system_pool_and_every_pool_is_made_once() -> None:
    pools = GRAZ.model_dump(mode="json", by_alias=True)["kubernetes"]["nodePools"]
    # Neither the first by name nor the first that is written decides.
    names_of_pools = {"aaa": pools["agents"], "zzz": pools["agents"], "bbb": pools["inference"]}
    spec = changed(GRAZ, kubernetes={"systemPool": "zzz", "nodePools": names_of_pools})
    inline = provisioned_cluster_body(spec)["properties"]["agentPoolProfiles"]
    assert [pool["name"] for pool in inline] == ["zzz"]
    assert agent_pools(spec) == ["aaa", "bbb"]
    alone = changed(GRAZ, kubernetes={"systemPool": "zzz", "nodePools": {"zzz": pools["agents"]}})
    assert agent_pools(alone) == []


def test_flux_makes_the_source_that_the_rendered_parts_refer_to() -> None:
    content = FluxContent("oci://registry.example/fleet/graz", "sha256:" + "5" * 64)
    flux = flux_configuration_body(GRAZ, content)["properties"]
    tree = render_site(GRAZ).files
    (name, kustomization) = next(iter(flux["kustomizations"].items()))
    folder = kustomization["path"].removeprefix("./")
    assert f"{folder}/kustomization.yaml" in tree
    parts = [part for part in yaml.safe_load_all(tree[f"{folder}/parts.yaml"]) if part]
    assert parts
    for part in parts:
        assert part["spec"]["sourceRef"] == {"kind": flux["sourceKind"], "name": CONFIGURATION_NAME}
        # A source reference without a namespace is to the Kustomization's own.
        assert part["metadata"]["namespace"] == flux["namespace"] == "flux-system"
        assert part["metadata"]["name"] != f"{CONFIGURATION_NAME}-{name}", "that is Azure's own"


def test_a_node_carries_the_label_that_workloads_select() -> None:
    properties = agent_pool_body(GRAZ, "inference")["properties"]
    assert properties["nodeLabels"] == {"fleet/node-pool": "inference"}
    assert properties["vmSize"] == "Standard_NC16_L4_1"


def test_vms_attach_to_the_compute_intents_switch() -> None:
    assert virtual_switch(TURIN) == "ConvergedSwitch(managementcompute)"
    apart = [
        {"name": "Mgmt", "traffic": ["Management"], "adapters": ["ethernet"]},
        {"name": "Compute", "traffic": ["Compute", "Storage"], "adapters": ["ethernet 2"]},
    ]
    assert virtual_switch(changed(TURIN, azureLocal={"intents": apart})) == "ConvergedSwitch(compute)"
