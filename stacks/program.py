"""`declare_site`: one site as Pulumi resources. The Pulumi CLI and the local engine run the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_azure_native as azure_native

from fleet.model.site import SiteSpec

from .access import SiteAccess, SiteAccessArgs
from .adoption import AdoptedRole, keep_names
from .arc_cluster import ArcCluster, ArcClusterArgs
from .arc_platform import FluxContent, Platform, PlatformArgs
from .azure_local import AzureLocalCluster, AzureLocalClusterArgs
from .bootstrap_secrets import read_bootstrap_secrets
from .deployment_settings import Phase
from .errors import StackError
from .in_cluster import declare_in_cluster
from .left_out import LeftOut, left_out
from .refusals import refusals
from .site_outputs import has_kubernetes, site_outputs

__all__ = ["FluxContent", "LeftOut", "Phase", "SiteProgram", "declare_site", "left_out"]


def declare_site(
    spec: SiteSpec, phase: Phase, content: FluxContent | None, adopted: tuple[AdoptedRole, ...] = ()
) -> None:
    """Declare a site's resources and outputs in the running Pulumi program.

    `validate` ends with the validated deployment settings; `deploy` goes on to the AKS cluster and what
    Arc installs on it. A disconnected site (Azure Local disconnected operations, facts 1.10) gets no
    Arc extension, no Flux configuration and no cloud witness, so that nothing it needs to run waits for
    Azure. A management cluster of disconnected operations gets no AKS cluster: it runs nothing else.

    Raises `StackError` when nothing public says how such a site is made (`refusals`), or when a secret is
    missing and resources would be changed.
    """
    if refused := refusals(spec):
        raise StackError(f"{spec.name} can't be declared:\n" + "\n".join(f"  {why}" for why in refused))
    for item in left_out(spec, phase, content):
        pulumi.log.info(f"{spec.name}: left out: {item.what}: {item.why}")
    secrets = read_bootstrap_secrets()  # before anything is declared, because it may refuse
    opts = pulumi.ResourceOptions(
        providers=[_provider(spec)], transformations=[_without_aliases, keep_names(adopted)]
    )

    local = AzureLocalCluster(spec.name, AzureLocalClusterArgs(spec, phase, secrets), opts)
    if spec.azure.role_assignments:
        SiteAccess("access", SiteAccessArgs(spec, local.scopes), opts)
    outputs = site_outputs(spec, phase, content)
    if has_kubernetes(spec, phase):
        cluster = ArcCluster(spec.kubernetes.name, ArcClusterArgs(spec, local.settings), opts)
        if spec.connectivity.mode != "disconnected":
            Platform("platform", PlatformArgs(spec, content, cluster.ready), opts)
        for item in declare_in_cluster(spec, content, cluster.ready, opts):
            pulumi.log.info(f"{spec.name}: left out: {item.what}: {item.why}")
            outputs["leftOut"].append({"what": item.what, "why": item.why})
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
    adopted: tuple[AdoptedRole, ...] = ()
    """Role assignments that keep the names which they had before fleet."""

    def __call__(self) -> None:
        """Declare the site."""
        declare_site(self.spec, self.phase, self.content, self.adopted)

    def __reduce__(self) -> tuple[Callable[..., "SiteProgram"], tuple[Any, ...]]:
        # A spec's mappings are read-only views, which can't be pickled; its JSON form can.
        spec = self.spec.model_dump(mode="json", by_alias=True)
        return _restore, (spec, self.phase, self.content, self.adopted)


def _restore(
    data: Mapping[str, Any], phase: Phase, content: FluxContent | None, adopted: tuple[AdoptedRole, ...]
) -> SiteProgram:
    return SiteProgram(SiteSpec.model_validate(data), phase, content, adopted)
