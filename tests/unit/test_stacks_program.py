"""What a site's program declares, in which order and how it is guarded."""

import base64
import pickle
import sys
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path

import pytest
from stacks_recorder import (
    CONTENT,
    SECRET_SIGNATURE,
    SECRETS,
    STORAGE_KEY,
    UNKNOWN,
    changed,
    factory_sites,
    record,
)

from fleet.model.site import SiteSpec
from fleet_stacks import names
from fleet_stacks.errors import StackError
from fleet_stacks.program import FluxContent, Phase, SiteProgram, left_out

SITES = factory_sites()
TURIN, GRAZ, NARVIK = SITES["turin"], SITES["graz"], SITES["narvik"]
AFTER_VALIDATE = {
    "logical-network",
    "connected-cluster",
    "provisioned-cluster",
    "node-pool-inference",
    "extension-cert-manager",
    "extension-flux",
    "extension-secret-store",
    "flux-configuration",
}


def test_a_connected_pilot_is_declared_whole() -> None:
    resources = record(TURIN).resources
    assert set(resources) == AFTER_VALIDATE | {
        "azure",
        "resource-group",
        "machine-turin-n1",
        "key-vault",
        "hci-provider-azure-connected-machine-resource-manager",
        "turin-n1-azure-stack-hci-device-management",
        "turin-n1-azure-connected-machine-resource-manager",
        "turin-n1-azure-stack-hci-connected-infravms",
        "turin-n1-reader",
        "turin-n1-key-vault-secrets-user",
        "edge-device-turin-n1",
        "cluster",
        "secret-LocalAdminCredential",
        "secret-AzureStackLCMUserCredential",
        "deployment",
    }
    assert {name for name, item in resources.items() if item.read} == {"resource-group", "machine-turin-n1"}


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_validate_stops_at_the_deployment(spec: SiteSpec) -> None:
    recording = record(spec, "validate")
    assert not AFTER_VALIDATE & set(recording.resources)
    assert recording.resources["deployment"].inputs["properties"]["deploymentMode"] == "Validate"
    assert "connectedClusterId" not in recording.outputs
    assert [item["what"] for item in recording.outputs["leftOut"]].count(
        "AKS cluster, Arc extensions and Flux"
    ) == 1


@pytest.mark.parametrize("spec", SITES.values(), ids=SITES)
def test_the_order_is_azure_locals(spec: SiteSpec) -> None:
    recording = record(spec)
    devices = [f"edge-device-{node.name}" for node in spec.azure_local.nodes]
    for earlier, later in pairwise(devices):
        assert earlier in recording.resources[later].after, "edge devices are made one at a time"
    roles = {n for n, r in recording.resources.items() if r.type.endswith(":RoleAssignment")}
    secrets = {n for n in recording.resources if n.startswith("secret-")}
    group_roles = {name for name in roles if not name.endswith("key-vault-secrets-user")}
    assert group_roles <= recording.order(devices[0])
    assert {*roles, *secrets, *devices, "cluster", "key-vault"} <= recording.order("deployment")
    assert "deployment" in recording.order("logical-network")
    assert "logical-network" in recording.order("connected-cluster")
    assert "connected-cluster" in recording.order("provisioned-cluster")
    if "flux-configuration" in recording.resources:
        assert {"extension-flux", "extension-cert-manager", "node-pool-inference"} <= recording.order(
            "flux-configuration"
        )


def test_every_custom_resource_uses_the_sites_own_provider() -> None:
    provider = record(GRAZ).resources["azure"].inputs
    assert provider["subscriptionId"] == GRAZ.azure.subscription
    assert provider["tenantId"] == GRAZ.azure.tenant
    assert "metadataHost" not in provider


def test_a_disconnected_site_has_nothing_of_arc_on_its_critical_path() -> None:
    with_witness = changed(NARVIK, azureLocal={"witness": {"storageAccount": "fleetwitnessnarvik"}})
    recording = record(with_witness)
    assert not [n for n in recording.resources if n.startswith(("extension-", "flux-")) or n == "witness"]
    assert "provisioned-cluster" in recording.resources
    assert "storageAccounts" not in recording.text() and "WitnessStorageKey" not in recording.text()
    whys = {item["what"]: item["why"] for item in recording.outputs["leftOut"]}
    assert "Flux runs in the cluster instead" in whys["Arc extensions and Flux configuration"]
    assert "cloud witness" in whys
    assert recording.outputs["keyVaultUri"] == "https://kv-fleet-narvik.vault.autonomous.cloud.private/"
    cluster = recording.resources["connected-cluster"].inputs["properties"]
    assert cluster["aadProfile"]["enableAzureRBAC"] is False
    assert cluster["arcAgentProfile"] == {"agentAutoUpgrade": "Disabled"}


def test_a_disconnected_site_can_name_its_own_resource_manager() -> None:
    own = record(NARVIK, secrets={**SECRETS, "fleet:metadataHost": "arm.narvik.example"})
    provider = own.resources["azure"].inputs
    assert provider["metadataHost"] == "arm.narvik.example"
    assert provider["disableInstanceDiscovery"] in (True, "true")


def test_flux_pulls_by_digest_from_the_sites_registry_where_it_has_one() -> None:
    graz = record(GRAZ).resources["flux-configuration"].inputs["properties"]
    assert graz["ociRepository"]["url"] == "oci://registry.graz.factory.example/fleet/site"
    assert graz["ociRepository"]["repositoryRef"] == {"digest": CONTENT.digest}
    assert graz["kustomizations"]["site"]["path"] == "./clusters/graz"
    turin = record(TURIN).resources["flux-configuration"].inputs["properties"]
    assert turin["ociRepository"]["url"] == CONTENT.url


def test_the_registrys_private_ca_is_given_to_flux() -> None:
    content = FluxContent(CONTENT.url, CONTENT.digest, "LS0tLS1CRUdJTg==")
    source = (
        record(GRAZ, content=content).resources["flux-configuration"].inputs["properties"]["ociRepository"]
    )
    assert source["tlsConfig"] == {"caCertificate": "LS0tLS1CRUdJTg=="}
    assert "insecure" not in source


def test_without_content_there_is_no_flux_configuration_and_it_is_said() -> None:
    recording = record(TURIN, content=None)
    assert "flux-configuration" not in recording.resources
    assert "extension-flux" in recording.resources
    assert "fluxConfigurationId" not in recording.outputs
    assert "Flux configuration" in {item["what"] for item in recording.outputs["leftOut"]}


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        ("https://registry.example/fleet/site", CONTENT.digest),
        ("oci://registry.example/fleet/site:latest", CONTENT.digest),
        ("oci://registry.example/fleet/site@sha256:" + "5" * 64, CONTENT.digest),
        ("oci://registry.example", CONTENT.digest),
        (CONTENT.url, "latest"),
        (CONTENT.url, "sha256:" + "5" * 63),
        (CONTENT.url, "sha256:" + "G" * 64),
    ],
)
def test_content_is_pinned_or_refused(url: str, digest: str) -> None:
    with pytest.raises(ValueError, match=r"is not "):
        FluxContent(url, digest)


def test_secrets_are_secret_and_encoded() -> None:
    recording = record(GRAZ)
    text = recording.text()
    for plain in (*SECRETS.values(), STORAGE_KEY):
        assert plain not in text
    for name, plain in (
        ("LocalAdminCredential", SECRETS["fleet:localAdmin"]),
        ("AzureStackLCMUserCredential", SECRETS["fleet:lcmUser"]),
        ("WitnessStorageKey", STORAGE_KEY),
    ):
        secret = recording.resources[f"secret-{name}"]
        assert secret.inputs["secretName"] == f"graz-hci-{name}"
        value = secret.inputs["properties"]["value"]
        assert SECRET_SIGNATURE in value, "the value must be marked as a secret"
        assert base64.b64decode(value["value"]).decode() == plain
        encoded = value["value"]
        others = [r.inputs for r in recording.resources.values() if r.name != secret.name]
        assert encoded not in str(others) and encoded not in str(recording.outputs)
        assert secret.ignore_changes == ("properties.value",)
        assert record(GRAZ, "validate").resources[secret.name].ignore_changes == ()
    assert recording.calls == ["azure-native:storage:listStorageAccountKeys"]


@pytest.mark.parametrize("phase", ["validate", "deploy"])
def test_a_preview_needs_no_secret_and_asks_azure_for_none(phase: Phase) -> None:
    recording = record(GRAZ, phase, preview=True, secrets={})
    assert recording.calls == []
    for name in ("LocalAdminCredential", "AzureStackLCMUserCredential", "WitnessStorageKey"):
        value = recording.resources[f"secret-{name}"].inputs["properties"]["value"]
        assert (value.get("value") if isinstance(value, dict) else value) == UNKNOWN


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_up_without_a_secret_is_refused_before_anything_is_declared(key: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != key}
    with pytest.raises(StackError, match=key):
        record(TURIN, secrets=given)


def test_an_empty_configuration_names_both_secrets() -> None:
    with pytest.raises(StackError) as error:
        record(TURIN, secrets={})
    assert all(key in str(error.value) for key in SECRETS)


def test_role_assignments_have_stable_names_of_their_own() -> None:
    first, second = record(GRAZ).resources, record(GRAZ).resources
    assignments = {n: r.inputs for n, r in first.items() if r.type.endswith(":RoleAssignment")}
    assert len(assignments) == 1 + 5 * len(GRAZ.azure_local.nodes)
    guids = {name: inputs["roleAssignmentName"] for name, inputs in assignments.items()}
    assert len(set(guids.values())) == len(guids)
    assert guids == {name: second[name].inputs["roleAssignmentName"] for name in guids}
    assert {inputs["principalType"] for inputs in assignments.values()} == {"ServicePrincipal"}
    assert guids["hci-provider-azure-connected-machine-resource-manager"] == names.role_assignment_name(
        "/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/resourceGroups/rg-fleet-graz",
        "2b6f7d90-0000-4000-8000-0000000000aa",
        "/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/providers/Microsoft.Authorization"
        "/roleDefinitions/f5819b54-e033-4d82-ac66-4fec3cbf3f4c",
    )


def test_what_must_not_be_lost_is_protected() -> None:
    resources = record(GRAZ).resources
    kept = {
        "key-vault",
        "witness",
        "cluster",
        "deployment",
        "logical-network",
        "connected-cluster",
        "provisioned-cluster",
    }
    assert {name for name, item in resources.items() if item.protect} == {*kept, "flux-configuration"}
    # What a cluster works with may leave the stack, and must not leave the cluster that goes on running.
    needed = {
        name
        for name, item in resources.items()
        if item.type.endswith(":RoleAssignment") or name.startswith(("edge-device-", "secret-"))
    }
    assert {name for name, item in resources.items() if item.retain} == kept | needed


def test_long_operations_have_hours() -> None:
    resources = record(GRAZ).resources
    assert resources["deployment"].timeouts == {"create": "24h", "update": "24h", "delete": "24h"}
    for name in ("logical-network", "connected-cluster", "provisioned-cluster", "node-pool-inference"):
        assert resources[name].timeouts["create"] == "2h"
    assert resources["edge-device-graz-n1"].timeouts["create"] == "2h"


def test_what_azure_fills_in_is_no_change() -> None:
    resources = record(TURIN).resources
    assert "properties.provisioningState" in resources["connected-cluster"].ignore_changes
    assert "identity" in resources["connected-cluster"].ignore_changes
    cluster = resources["provisioned-cluster"]
    assert "properties.networkProfile.podCidr" in cluster.ignore_changes
    sent = cluster.inputs["properties"]["networkProfile"]["podCidr"]
    assert sent == str(TURIN.kubernetes.pod_cidr), "only what is sent can be shown to differ"


def test_only_the_mode_of_a_deployment_changes_once_it_is_deployed() -> None:
    for spec in SITES.values():
        deployment = record(spec).resources["deployment"]
        assert set(deployment.ignore_changes) == {
            "apiVersion",
            "properties.arcNodeResourceIds",
            "properties.deploymentConfiguration",
        }
        rest = set(deployment.inputs["properties"]) - {"arcNodeResourceIds", "deploymentConfiguration"}
        assert rest == {"deploymentMode", "operationType"}, "what else is sent could be sent again"
        assert record(spec, "validate").resources["deployment"].ignore_changes == ()


def test_the_quickstarts_extra_role_is_not_expected_of_a_disconnected_site() -> None:
    role = "azure-stack-hci-connected-infravms"
    given = record(TURIN).resources[f"turin-n1-{role}"].inputs
    assert given["roleDefinitionId"].endswith("/c99c945f-8bd1-4fb1-a903-01460aae6068")
    assert given["scope"] == names.resource_group_id(TURIN)
    recording = record(NARVIK)
    assert not [name for name in recording.resources if name.endswith(role)]
    assert any("Connected InfraVMs" in item["what"] for item in recording.outputs["leftOut"])


def test_taggable_resources_say_whose_they_are() -> None:
    resources = record(GRAZ).resources
    tagged = {name: item.inputs["tags"] for name, item in resources.items() if "tags" in item.inputs}
    assert {"key-vault", "witness", "cluster", "logical-network", "connected-cluster"} <= set(tagged)
    expected = {"site": "graz", "ring": "broad", "environment": "prod", "managed-by": "fleet"}
    assert all(tags == expected for tags in tagged.values())


def test_outputs_are_known_before_anything_exists() -> None:
    previewed, made = record(GRAZ, preview=True).outputs, record(GRAZ).outputs
    assert previewed == made
    assert UNKNOWN not in str(previewed)
    assert made["clusterId"] == names.cluster_id(GRAZ)
    assert made["customLocationId"].endswith("/Microsoft.ExtendedLocation/customLocations/graz-location")
    assert made["fluxConfigurationId"].endswith("/fluxConfigurations/fleet")


def test_the_custom_location_is_used_and_never_declared() -> None:
    resources = record(GRAZ).resources
    network = resources["logical-network"].inputs
    assert network["extendedLocation"] == {"name": names.custom_location_id(GRAZ), "type": "CustomLocation"}
    assert not [r for r in resources.values() if r.inputs.get("resourceType") == "customLocations"]


def test_an_arc_gateway_is_switched_on_at_the_cluster() -> None:
    gateway = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/gateways/gw"
    spec = changed(TURIN, connectivity={"arcGatewayId": gateway})
    assert record(spec).resources["connected-cluster"].inputs["properties"]["gateway"] == {"enabled": True}
    assert "gateway" not in record(TURIN).resources["connected-cluster"].inputs["properties"]


def test_site_program_travels_to_another_process() -> None:
    program = SiteProgram(GRAZ, "validate", CONTENT)
    copy = pickle.loads(pickle.dumps(program))
    assert (copy.spec.digest, copy.phase, copy.content) == (GRAZ.digest, "validate", CONTENT)
    with pytest.raises(FrozenInstanceError):
        copy.phase = "deploy"
    assert set(record(GRAZ, program=copy).resources) == set(record(GRAZ, "validate").resources)


def test_what_no_site_gets_is_said_of_every_site() -> None:
    network = TURIN.model_dump(mode="json", by_alias=True)["kubernetes"]["network"]
    spec = changed(TURIN, kubernetes={"network": {**network, "loadBalancer": None}})
    always = [
        "registration of resource providers",
        "check of the operator's own roles",
        "audit log of the Key Vault",
    ]
    image = "waiting for the node image of the Kubernetes version"
    assert [item.what for item in left_out(spec, "deploy", CONTENT)] == [*always, image]
    for any_site in SITES.values():
        assert {item.what for item in left_out(any_site, "deploy", None)} >= {*always, image}
        assert {item.what for item in left_out(any_site, "validate", None)} >= {*always}


def test_no_module_hides_one_of_pythons() -> None:
    """Pulumi runs `stacks/` as a script, with the folder first on the path."""
    folder = Path(__file__).parents[2] / "stacks"
    assert not {path.stem for path in folder.glob("*.py")} & sys.stdlib_module_names
