"""`declare_site`: one site as Pulumi resources. The Pulumi CLI and the local engine run the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_azure_native as azure_native

from fleet.model.site import SiteSpec

from . import names
from .arc_cluster import ArcCluster, ArcClusterArgs
from .arc_platform import FluxContent, Platform, PlatformArgs
from .azure_local import AzureLocalCluster, AzureLocalClusterArgs
from .bootstrap_secrets import read_bootstrap_secrets
from .deployment_settings import Phase

__all__ = ["FluxContent", "LeftOut", "Phase", "SiteProgram", "declare_site", "left_out"]


@dataclass(frozen=True)
class LeftOut:
    """Something that the inventory asks for, or a reader expects, and that this run does not declare."""

    what: str
    why: str


def left_out(spec: SiteSpec, phase: Phase, content: FluxContent | None) -> tuple[LeftOut, ...]:
    """What `declare_site` does not declare for these arguments, and why. Pure."""
    found = [
        LeftOut(
            "audit log of the Key Vault, and the storage account for diagnostics",
            "the inventory has no field for where an organisation keeps its audit logs (facts 1.2, step 6)",
        )
    ]
    disconnected = spec.connectivity.mode == "disconnected"
    if spec.azure_local.witness is not None and disconnected:
        found.append(
            LeftOut("cloud witness", "a disconnected site does not reach a storage account in Azure")
        )
    if disconnected:
        found.append(
            LeftOut(
                "the nodes' role Azure Stack HCI Connected InfraVMs",
                "only Azure's public cloud is known to have it",
            )
        )
    if phase == "validate":
        found.append(LeftOut("AKS cluster, Arc extensions and Flux", "the phase is validate"))
        return tuple(found)
    found.append(
        LeftOut(
            "waiting for the node image of the Kubernetes version",
            "a declared resource can't wait for it: where the cluster fails for it, run the same again",
        )
    )
    if disconnected:
        found.append(
            LeftOut(
                "Arc extensions and Flux configuration",
                "Azure can't reach in; the site's workloads need a bundle, which is not built yet",
            )
        )
    elif content is None:
        found.append(
            LeftOut("Flux configuration", "no content was given: fleet:contentUrl, fleet:contentDigest")
        )
    if spec.kubernetes.network.load_balancer is not None:
        found.append(
            LeftOut(
                "load balancer addresses",
                "MetalLB's Arc extension needs a tenant's object id that the inventory has no field for",
            )
        )
    return tuple(found)


def declare_site(spec: SiteSpec, phase: Phase, content: FluxContent | None) -> None:
    """Declare a site's resources and outputs in the running Pulumi program.

    `validate` ends with the validated deployment settings; `deploy` goes on to the AKS cluster and what
    Arc installs on it. A disconnected site (Azure Local disconnected operations, facts 1.10) gets no
    Arc extension, no Flux configuration and no cloud witness, so that nothing it needs to run waits for
    Azure; its platform and workloads will come in a bundle, which this version can't make yet.

    Raises `StackError` when a secret is missing and resources would be changed.
    """
    for item in (skipped := left_out(spec, phase, content)):
        pulumi.log.info(f"{spec.name}: left out: {item.what}: {item.why}")
    secrets = read_bootstrap_secrets()  # before anything is declared, because it may refuse
    opts = pulumi.ResourceOptions(providers=[_provider(spec)], transformations=[_without_aliases])

    local = AzureLocalCluster(spec.name, AzureLocalClusterArgs(spec, phase, secrets), opts)
    outputs: dict[str, Any] = {
        "clusterId": names.cluster_id(spec),
        "keyVaultUri": names.key_vault_uri(spec),
        "leftOut": [{"what": item.what, "why": item.why} for item in skipped],
    }
    if phase == "deploy":
        cluster = ArcCluster(spec.kubernetes.name, ArcClusterArgs(spec, local.settings), opts)
        outputs["customLocationId"] = names.custom_location_id(spec)
        outputs["connectedClusterId"] = names.connected_cluster_id(spec)
        if spec.connectivity.mode != "disconnected":
            platform = Platform("platform", PlatformArgs(spec, content, cluster.ready), opts)
            if platform.flux_configuration_id is not None:
                outputs["fluxConfigurationId"] = platform.flux_configuration_id
    for name, value in outputs.items():
        pulumi.export(name, value)


def _provider(spec: SiteSpec) -> azure_native.Provider:
    """The one provider of the site: its tenant and subscription, never the caller's default.

    A disconnected site has an Azure Resource Manager of its own. Its host comes from
    `fleet:metadataHost`, or from azure-native's own ARM_METADATA_HOSTNAME.
    """
    disconnected = spec.connectivity.mode == "disconnected"
    return azure_native.Provider(
        "azure",
        subscription_id=spec.azure.subscription,
        tenant_id=spec.azure.tenant,
        metadata_host=pulumi.Config("fleet").get("metadataHost") if disconnected else None,
        # Instance discovery asks a host on the internet who may log in (facts 1.10).
        disable_instance_discovery=True if disconnected else None,
    )


def _without_aliases(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    """Drop the aliases that azure-native gives each resource for stacks of its versions 1 and 2.

    No stack of ours is that old, and working out 700 aliases takes most of the time of declaring a site.
    """
    args.opts.aliases = None
    return pulumi.ResourceTransformationResult(args.props, args.opts)


@dataclass(frozen=True)
class SiteProgram:
    """`declare_site` with its arguments: a callable that can be sent to another process."""

    spec: SiteSpec
    phase: Phase = "deploy"
    content: FluxContent | None = None

    def __call__(self) -> None:
        """Declare the site."""
        declare_site(self.spec, self.phase, self.content)

    def __reduce__(self) -> tuple[Callable[..., "SiteProgram"], tuple[Any, ...]]:
        # A spec's mappings are read-only views, which can't be pickled; its JSON form can.
        return _restore, (self.spec.model_dump(mode="json", by_alias=True), self.phase, self.content)


def _restore(data: Mapping[str, Any], phase: Phase, content: FluxContent | None) -> SiteProgram:
    return SiteProgram(SiteSpec.model_validate(data), phase, content)
