"""`left_out`: what a run does not declare, and why. Nothing is skipped in silence."""

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.model.site import SiteSpec

from .arc_extensions import extensions_left_out, uses_foundry_local
from .arc_platform import FluxContent
from .deployment_settings import Phase


@dataclass(frozen=True)
class LeftOut:
    """Something that the inventory asks for, or a reader expects, and that this run does not declare."""

    what: str
    why: str


def left_out(spec: SiteSpec, phase: Phase, content: FluxContent | None) -> tuple[LeftOut, ...]:
    """What `declare_site` does not declare for these arguments, and why. Pure."""
    pairs = [*_before_the_cluster(spec), *_on_the_cluster(spec, phase, content)]
    return tuple(LeftOut(what, why) for what, why in pairs)


def _before_the_cluster(spec: SiteSpec) -> Iterator[tuple[str, str]]:
    yield (
        "registration of resource providers",
        "an action on the subscription, which sites share; the output resourceProviders has the commands",
    )
    yield (
        "check of the operator's own roles",
        "Azure refuses what is missing, by name; docs/pulumi.md lists what is needed",
    )
    if spec.azure.monitoring.audit is None:
        yield "audit log of the Key Vault", "azure.monitoring.audit names no Log Analytics workspace"
    if spec.connectivity.mode == "disconnected":
        if spec.azure_local.witness is not None:
            yield "cloud witness", "a disconnected site does not reach a storage account in Azure"
        yield (
            "the nodes' role Azure Stack HCI Connected InfraVMs",
            "only Azure's public cloud is known to have it",
        )


def _on_the_cluster(spec: SiteSpec, phase: Phase, content: FluxContent | None) -> Iterator[tuple[str, str]]:
    if phase == "validate":
        yield "AKS cluster, Arc extensions and Flux", "the phase is validate"
        return
    if spec.azure_local.management_cluster:
        yield (
            "AKS cluster, Arc extensions and Flux",
            "a management cluster carries the control plane of disconnected operations and nothing else",
        )
        return
    yield (
        "waiting for the node image of the Kubernetes version",
        "a declared resource can't wait for it: where the cluster fails for it, run the same again once "
        "`az aksarc get-versions` says that it is ready",
    )
    if spec.connectivity.mode == "disconnected":
        yield (
            "Arc extensions and Flux configuration",
            "Azure can't reach in; with kubernetes.kubeconfig Flux runs in the cluster instead",
        )
        if spec.kubernetes.network.load_balancer is not None:
            yield "load balancer addresses", "MetalLB is an Arc extension here, and Azure can't reach in"
        if uses_foundry_local(spec):
            yield "Foundry Local's extension", "a disconnected site gets it in an expansion pack (facts 1.10)"
        return
    if content is None:
        yield "Flux configuration", "no content was given: fleet:contentUrl, fleet:contentDigest"
    yield from extensions_left_out(spec)
