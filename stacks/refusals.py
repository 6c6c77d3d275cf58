"""Sites that are not declared at all, rather than with something that can't work. Pure."""

from collections.abc import Iterator

from fleet.model.site import SiteSpec

_MANAGEMENT_NODES = 3  # facts 1.10


def refusals(spec: SiteSpec) -> tuple[str, ...]:
    """Why the site can't be declared, a sentence each with the fields it is about; () where it can.

    Past these lines nothing public says what to send. Most are rules too; a program that is run without
    `fleet validate` must not find out after hours of deployment.
    """
    return (*_disconnected(spec), *_management_cluster(spec), *_switchless(spec))


def _disconnected(spec: SiteSpec) -> Iterator[str]:
    local = spec.azure_local
    disconnected = spec.connectivity.mode == "disconnected"
    if disconnected != (spec.azure.region == "autonomous"):
        yield (
            f"connectivity.mode is {spec.connectivity.mode} and azure.region is {spec.azure.region}: "
            "the region 'autonomous' is that of disconnected operations, and of no other site (facts 1.10)"
        )
    if disconnected and local.pattern == "rack-aware":
        yield (
            "azureLocal.pattern: a rack-aware cluster needs a cloud witness, which a disconnected site does "
            "not reach (facts 1.8)"
        )
    if disconnected and len(local.nodes) == 2:
        yield (
            "azureLocal.nodes: two nodes need a cloud witness, which a disconnected site does not reach "
            "(facts 1.2); make it one node, or three"
        )


def _management_cluster(spec: SiteSpec) -> Iterator[str]:
    local = spec.azure_local
    if not local.management_cluster:
        return
    if spec.connectivity.mode != "disconnected":
        yield "azureLocal.managementCluster: only disconnected operations have one (facts 1.10)"
    if len(local.nodes) != _MANAGEMENT_NODES:
        yield (
            f"azureLocal.managementCluster: it has exactly three nodes (facts 1.10), not {len(local.nodes)}"
        )


def _switchless(spec: SiteSpec) -> Iterator[str]:
    local = spec.azure_local
    if not local.switchless or len(local.nodes) <= 2:
        return
    if len(local.nodes) > 3:
        yield (
            "azureLocal.switchless: storage without a switch is described for two and for three nodes "
            "(facts 1.4)"
        )
        return
    nodes = sorted(node.name for node in local.nodes)
    for network in local.storage_networks:
        if sorted(address.node for address in network.addresses) != nodes:
            yield (
                f"azureLocal.storageNetworks: {network.name} needs an address of each node, because three "
                "nodes have no switch (facts 1.4)"
            )
