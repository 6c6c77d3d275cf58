"""Arc extensions, MetalLB, audit log, roles given by the inventory, and what the operator is told."""

import re
from typing import Any

import pytest
from stacks_recorder import CONTENT, changed, everything, factory_sites, patterns, record

from fleet import catalog
from fleet.model.site import SiteSpec
from fleet_stacks import names
from fleet_stacks.access import role_assignments
from fleet_stacks.arc_extensions import Extension, extensions, unconfirmed
from fleet_stacks.left_out import left_out
from fleet_stacks.resource_providers import registration_commands, resource_providers
from fleet_stacks.site_outputs import site_outputs

SITES = factory_sites()
TURIN, GRAZ, NARVIK = SITES["turin"], SITES["graz"], SITES["narvik"]
ALL = everything(GRAZ)


def settings(spec: SiteSpec, name: str) -> dict[str, str]:
    found: dict[str, str] = by_name(spec)[name].body()["properties"]["configurationSettings"]
    return found


def by_name(spec: SiteSpec) -> dict[str, Extension]:
    return {extension.name: extension for extension in extensions(spec)}


def extended(spec: SiteSpec, **extension: Any) -> SiteSpec:
    """The site with some of `azure.extensions` replaced."""
    given = spec.model_dump(mode="json", by_alias=True)["azure"]["extensions"]
    return changed(spec, azure={"extensions": {**given, **extension}})


def without(spec: SiteSpec) -> set[str]:
    return {item.what for item in left_out(spec, "deploy", CONTENT)}


def test_every_extension_is_pinned_and_says_where_its_version_was_read() -> None:
    assert set(catalog.azure()["extensions"]) == set(by_name(ALL)), "each can be switched on"
    for extension in extensions(ALL):
        properties = extension.body()["properties"]
        assert re.fullmatch(r"\d+(\.\d+)+(-[-.a-z0-9]+)?", properties["version"])
        assert properties["autoUpgradeMinorVersion"] is False
        assert catalog.azure()["extensions"][extension.name]["source"]


def test_they_are_installed_one_after_the_other_in_the_order_of_their_needs() -> None:
    recording = record(ALL)
    order = [
        "provisioned-cluster",
        "extension-cert-manager",
        "extension-flux",
        "extension-secret-store",
        "extension-policy",
        "extension-monitor-logs",
        "extension-monitor-metrics",
        "extension-load-balancer",
        "load-balancer",
        "flux-configuration",
        "extension-foundry-local",
    ]
    for number, name in enumerate(order):
        assert set(order[:number]) <= recording.order(name), name


def test_the_inventory_switches_them_on() -> None:
    assert list(by_name(TURIN)) == ["cert-manager", "flux", "secret-store"]
    assert list(by_name(NARVIK)) == []
    assert extensions(everything(NARVIK)) == (), "Azure can't reach in"
    sops = changed(TURIN, platform={"secretStore": {"kind": "sops-age"}})
    assert list(by_name(sops)) == ["cert-manager", "flux"]


def test_settings_are_text_and_from_the_inventory() -> None:
    for extension in extensions(ALL):
        assert all(
            isinstance(v, str) for v in extension.body()["properties"]["configurationSettings"].values()
        )
    hourly = changed(TURIN, platform={"secretStore": {"kind": "key-vault", "rotationHours": 1}})
    assert settings(hourly, "secret-store") == {"rotationPollIntervalInSeconds": "3600"}
    assert settings(ALL, "monitor-logs")["logAnalyticsWorkspaceResourceID"] == ALL.azure.monitoring.logs
    assert settings(ALL, "monitor-metrics")["grafana-resource-id"] == ALL.azure.monitoring.grafana
    assert settings(ALL, "load-balancer") == {"k8sRuntimeFpaObjectId": "2b6f7d90-0000-4000-8000-0000000000bb"}
    foundry = settings(ALL, "foundry-local")
    assert foundry["entraAuth.clientId"] == "2b6f7d90-0000-4000-8000-0000000000cc"
    assert foundry["entraAuth.tenantId"] == ALL.azure.tenant
    assert foundry["watch.namespaces[0]"] == "platform"  # or nothing reads the tree's ModelDeployments


def test_an_inventorys_own_version_is_asked_for() -> None:
    own = extended(TURIN, flux={"version": "1.18.0", "releaseTrain": "preview"})
    properties = by_name(own)["flux"].body()["properties"]
    assert (properties["version"], properties["releaseTrain"]) == ("1.18.0", "preview")
    assert by_name(own)["cert-manager"].version == by_name(TURIN)["cert-manager"].version


def test_a_version_that_nobody_confirms_is_said() -> None:
    assert {extension.name for extension in unconfirmed(ALL)} == {
        "monitor-logs",
        "monitor-metrics",
        "load-balancer",
        "foundry-local",
    }
    steps = str(site_outputs(ALL, "deploy", CONTENT)["nextSteps"])
    assert "microsoft.arcnetworking is not confirmed" in steps
    load_balancer = {"runtimeObjectId": "2b6f7d90-0000-4000-8000-0000000000bb", "version": "0.3.1"}
    tested = extended(ALL, loadBalancer=load_balancer)
    assert "microsoft.arcnetworking" not in str(site_outputs(tested, "deploy", CONTENT)["nextSteps"])


def test_certificates_are_as_foundry_local_wants_them_only_with_it() -> None:
    trust = "trust-manager.secretTargets.authorizedSecretsAll"
    assert settings(ALL, "cert-manager")[trust] == "true"
    assert settings(ALL, "cert-manager")["config.enableGatewayAPI"] == "true"
    assert settings(GRAZ, "cert-manager") == {
        "AgentOperationTimeoutInMinutes": "20",
        "cert-manager.crds.keep": "true",
    }


def test_foundry_local_waits_for_what_its_version_needs() -> None:
    none_there = extended(ALL, foundryLocal={})
    assert "foundry-local" not in by_name(none_there)
    (why,) = [i.why for i in left_out(none_there, "deploy", CONTENT) if i.what == "Foundry Local's extension"]
    assert "Gateway API, v1.4.0" in why and "Istio 1.29" in why
    two = extended(ALL, foundryLocal={"prerequisites": ["gateway-api", "istio"]})
    (why,) = [i.why for i in left_out(two, "deploy", CONTENT) if i.what == "Foundry Local's extension"]
    assert "Inference Extension" in why and "Istio" not in why
    for version, installed in (("0.260517.6", True), ("0.260610.9", True), ("0.260611.0", False)):
        older = extended(ALL, foundryLocal={"version": version})
        assert ("foundry-local" in by_name(older)) == installed, version
    before = extended(ALL, foundryLocal={"version": "0.260517.6"})
    assert "config.enableGatewayAPI" not in settings(before, "cert-manager"), "its CRDs may not be there"
    old_cluster = changed(ALL, kubernetes={"version": "1.28.14"})
    (why,) = [i.why for i in left_out(old_cluster, "deploy", CONTENT) if "Foundry" in i.what]
    assert "Kubernetes 1.29 or later" in why
    assert "Foundry Local's extension" not in without(ALL)


def test_load_balancer_addresses_need_an_id_of_the_tenant() -> None:
    body = record(ALL).resources["load-balancer"].inputs["properties"]
    assert body == {"addresses": ["10.30.2.80-10.30.2.90"], "advertiseMode": "ARP"}
    assert "load-balancer" not in record(GRAZ).resources
    assert "load balancer addresses" in without(GRAZ)
    assert "load balancer addresses" not in without(ALL)
    assert "load balancer addresses" in without(NARVIK)


def test_monitoring_is_switched_on_by_telemetry_and_needs_its_rules() -> None:
    resources = record(ALL).resources
    associations = {
        name: r.inputs["properties"] for name, r in resources.items() if name.startswith("monitor-")
    }
    rules = ALL.azure.monitoring
    assert associations == {
        "monitor-rule-ContainerInsightsExtension": {"dataCollectionRuleId": rules.logs_rule},
        "monitor-rule-ContainerInsightsMetricsExtension": {"dataCollectionRuleId": rules.metrics_rule},
    }
    off = changed(ALL, telemetry={"azureMonitor": False})
    assert not [name for name in record(off).resources if "monitor" in name]
    no_rule = changed(ALL, azure={"monitoring": {"logs": rules.logs}})
    assert "data collection rule for Azure Monitor's logs" in without(no_rule)
    assert "Azure Monitor's extensions" in without(changed(ALL, azure={"monitoring": {}}))


def test_the_key_vaults_audit_log_goes_where_the_inventory_says() -> None:
    audit = record(ALL, "validate").resources["key-vault-audit"]
    assert audit.inputs["properties"] == {
        "workspaceId": ALL.azure.monitoring.audit,
        "logs": [{"category": "AuditEvent", "enabled": True}],
    }
    assert audit.inputs["parentResourcePath"] == "vaults/kv-fleet-graz/providers/Microsoft.Insights"
    assert "key-vault-audit" not in record(GRAZ).resources
    assert "audit log of the Key Vault" in without(GRAZ) - without(ALL)


def test_roles_of_the_inventory_are_given_under_stable_names() -> None:
    resources = record(ALL, "validate").resources
    given = {name: resources[name] for name in role_assignments(ALL)}
    assert len(given) == 2
    scopes = {r.inputs["scope"]: r for r in given.values()}
    assert set(scopes) == {names.cluster_id(ALL), names.key_vault_id(ALL)}
    assert "cluster" in scopes[names.cluster_id(ALL)].after
    assert "key-vault" in scopes[names.key_vault_id(ALL)].after
    for resource in given.values():
        inputs = resource.inputs
        assert inputs["roleAssignmentName"] == names.role_assignment_name(
            inputs["scope"], inputs["principalId"], inputs["roleDefinitionId"]
        )
        assert inputs["roleDefinitionId"].endswith("/acdd72a7-3385-48ef-bd42-f606fba81ae7")
        assert not resource.protect and not resource.retain, "what leaves the inventory leaves Azure"
    twice = changed(ALL, azure={"roleAssignments": [*dumped_roles(ALL), *dumped_roles(ALL)]})
    assert set(record(twice, "validate").resources) == set(resources)


def dumped_roles(spec: SiteSpec) -> list[dict[str, Any]]:
    roles: list[dict[str, Any]] = spec.model_dump(mode="json", by_alias=True)["azure"]["roleAssignments"]
    return roles


@pytest.mark.parametrize("spec", [*SITES.values(), *patterns().values()], ids=[*SITES, *patterns()])
def test_what_is_declared_needs_only_providers_that_are_named(spec: SiteSpec) -> None:
    used = {"Microsoft.KeyVault"}
    for resource in record(spec).resources.values():
        if resource.type == "azure-native:resources:Resource":
            path = resource.inputs["parentResourcePath"]
            used |= {resource.inputs["resourceProviderNamespace"], *re.findall(r"providers/([^/]+)", path)}
        elif resource.type == "azure-native:storage:StorageAccount":
            used.add("Microsoft.Storage")
    assert used <= set(resource_providers(spec))


def test_registering_is_said_as_commands() -> None:
    commands = site_outputs(TURIN, "validate", None)["resourceProviders"]
    assert commands == list(registration_commands(TURIN))
    assert (
        "az provider register --subscription 7c1d9a52-0000-4000-8000-0000000000f1 "
        "--namespace Microsoft.HybridContainerService --wait"
    ) in commands
    assert not [c for c in commands if "KubernetesRuntime" in c]
    assert [c for c in registration_commands(ALL) if "KubernetesRuntime" in c]


def test_the_outputs_are_what_an_operator_asks_next() -> None:
    outputs = record(GRAZ).outputs
    assert (
        outputs["kubeconfigCommand"] == "az connectedk8s proxy --name graz-aks --resource-group rg-fleet-graz"
    )
    assert outputs["registryHost"] == "registry.graz.factory.example"
    assert set(outputs["portal"]) == {"cluster", "keyVault", "kubernetes"}
    assert outputs["portal"]["cluster"].endswith(f"/resource{names.cluster_id(GRAZ)}/overview")
    assert outputs["extensions"]["flux"] == "1.17.3"
    assert outputs["fluxConfigurationId"].endswith("/fluxConfigurations/fleet")
    assert "federated credential" in str(outputs["nextSteps"])
    offline = record(NARVIK).outputs
    assert "portal" not in offline and "fluxConfigurationId" not in offline
    assert offline["kubeconfigCommand"].startswith("az aksarc get-credentials")
    validated = record(GRAZ, "validate").outputs
    assert "fleet:phase deploy" in str(validated["nextSteps"])
    assert "kubeconfigCommand" not in validated and "customLocationId" not in validated
    assert "publish the manifests" in str(record(GRAZ, content=None).outputs["nextSteps"])
