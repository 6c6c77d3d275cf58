"""`site_outputs`: what an operator asks next about a site. Pure, so a plan knows it too.

Command lines and the portal's address are from memory: no fact sheet of ours has them.
"""

from typing import Any

from fleet import catalog
from fleet.model.site import SiteSpec

from . import names
from .arc_extensions import extensions, unconfirmed
from .arc_platform import FluxContent, flux_configuration_id
from .deployment_settings import Phase
from .left_out import left_out
from .resource_providers import registration_commands


def site_outputs(spec: SiteSpec, phase: Phase, content: FluxContent | None) -> dict[str, Any]:
    """The stack's outputs: ids, how to get in, where to look, what is left out, what to do next."""
    disconnected = spec.connectivity.mode == "disconnected"
    outputs: dict[str, Any] = {
        "clusterId": names.cluster_id(spec),
        "keyVaultUri": names.key_vault_uri(spec),
        "resourceProviders": list(registration_commands(spec)),
        "leftOut": [{"what": item.what, "why": item.why} for item in left_out(spec, phase, content)],
    }
    watched = {"cluster": names.cluster_id(spec), "keyVault": names.key_vault_id(spec)}
    if phase == "deploy":
        outputs["customLocationId"] = names.custom_location_id(spec)
    if has_kubernetes(spec, phase):
        outputs["connectedClusterId"] = names.connected_cluster_id(spec)
        outputs["kubeconfigCommand"] = kubeconfig_command(spec)
        outputs["registryHost"] = spec.registry.host if spec.registry else spec.delivery.registry
        outputs["extensions"] = {item.name: item.version for item in extensions(spec)}
        watched["kubernetes"] = names.connected_cluster_id(spec)
        if content is not None and not disconnected:
            outputs["fluxConfigurationId"] = flux_configuration_id(spec)
    if not disconnected:  # whose portal has a name of its own, chosen when it was installed
        outputs["portal"] = {what: portal_link(spec, id_) for what, id_ in watched.items()}
    outputs["nextSteps"] = next_steps(spec, phase, content)
    return outputs


def has_kubernetes(spec: SiteSpec, phase: Phase) -> bool:
    """Whether the AKS cluster is declared in this phase."""
    return phase == "deploy" and not spec.azure_local.management_cluster


def portal_link(spec: SiteSpec, resource_id: str) -> str:
    """The page of a resource in Azure's portal."""
    return f"https://portal.azure.com/#@{spec.azure.tenant}/resource{resource_id}/overview"


def kubeconfig_command(spec: SiteSpec) -> str:
    """How a member of `kubernetes.adminGroups` gets a kubeconfig."""
    where = f"--name {spec.kubernetes.name} --resource-group {spec.azure.resource_group}"
    if spec.connectivity.mode == "disconnected":
        return f"az aksarc get-credentials {where}"
    return f"az connectedk8s proxy {where}"


def next_steps(spec: SiteSpec, phase: Phase, content: FluxContent | None) -> list[str]:
    """What this run leaves to a person, in order."""
    if phase == "validate":
        return [
            "read the validation's result on the cluster's page, or: az rest --method get --url "
            f"{names.deployment_settings_id(spec)}?api-version={_deployment_api_version()}",
            "pulumi config set fleet:phase deploy && pulumi up (two to three hours)",
        ]
    if spec.azure_local.management_cluster:
        return ["set up the control plane of disconnected operations on it, by Microsoft's own instructions"]
    steps = [
        "if the AKS cluster failed for a missing node image: az aksarc get-versions --custom-location "
        f"{names.custom_location_id(spec)}; when it is ready, the same run again"
    ]
    if spec.connectivity.mode == "disconnected":
        return [
            *steps,
            "bring the site's images and manifests into its registry",
            "with a kubeconfig of the cluster, the same run again: Flux then pulls them from there",
        ]
    if content is None:
        steps.append("publish the manifests, then set fleet:contentUrl and fleet:contentDigest")
    if any(item.name == "secret-store" for item in extensions(spec)):
        steps.append(
            "give each workload identity that reads secrets a federated credential with the subject "
            "system:serviceaccount:NAMESPACE:NAME, and Key Vault Secrets User on the vault"
        )
    for item in unconfirmed(spec):
        steps.append(
            f"version {item.version} of {item.body()['properties']['extensionType']} is not confirmed by "
            "Microsoft's text; where Azure refuses it, set the version that you tested under azure.extensions"
        )
    return steps


def _deployment_api_version() -> str:
    version: str = catalog.azure()["apiVersions"][f"{names.CLUSTER}/deploymentSettings"]
    return version
