"""Rules about addresses."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path

from .addresses import last_of


def _overlaps(site: Site, _: Inventory) -> Iterator[Finding]:
    local, kubernetes = site.spec.azure_local, site.spec.kubernetes
    networks: list[tuple[str, IPv4Network, Path]] = [
        ("the pod network", kubernetes.pod_cidr, ("kubernetes", "podCidr")),
        ("the management network", local.management.cidr, ("azureLocal", "management", "cidr")),
    ]
    if kubernetes.network.cidr != local.management.cidr:  # AKS may share the management network
        networks.append(
            ("the Kubernetes network", kubernetes.network.cidr, ("kubernetes", "network", "cidr"))
        )
    for (_other, first, path), (name, second, _path) in combinations(networks, 2):
        if first.overlaps(second):
            yield Finding(
                path,
                f"{first} overlaps {name}, {second}",
                "choose a network that nothing else at the site uses",
            )
    services = catalog.limits().service_cidr
    for network, path in (
        (kubernetes.pod_cidr, ("kubernetes", "podCidr")),
        (kubernetes.network.cidr, ("kubernetes", "network", "cidr")),
    ):
        if network.overlaps(services):
            yield Finding(
                path,
                f"{network} overlaps the Kubernetes services, {services}",
                f"AKS on Azure Local can't move its services; stay outside {services}",
            )


def _management_in_services(site: Site, _: Inventory) -> Iterator[Finding]:
    """A warning, as the Environment Validator has it: 10.96.0.0/12 holds many a company's own networks."""
    network, services = site.spec.azure_local.management.cidr, catalog.limits().service_cidr
    # Of a network that AKS shares, NET001 says it.
    if network.overlaps(services) and network != site.spec.kubernetes.network.cidr:
        yield Finding(
            ("azureLocal", "management", "cidr"),
            f"the management network {network} overlaps the Kubernetes services, {services}: pods reach a "
            "service where a machine has the same address",
            f"stay outside {services}, which can't be moved, or suppress this where nothing else is free",
        )


def _infra_pool_size(site: Site, _: Inventory) -> Iterator[Finding]:
    limits, local = catalog.limits(), site.spec.azure_local
    pool, path = local.infra_pool, ("azureLocal", "infraPool")
    if pool.size < 1:
        yield Finding(
            (*path, "end"),
            f"the infrastructure pool ends at {pool.end}, before its start {pool.start}",
            "swap them",
        )
        return
    if not limits.infra_pool_min <= pool.size <= limits.infra_pool_max:
        least = last_of(pool.start, limits.infra_pool_min, local.management.cidr)
        small = (
            f"with this start, 'end: {least}' is the least"
            if least
            else f"{limits.infra_pool_min} addresses in a row, all of {local.management.cidr}"
        )
        yield Finding(
            (*path, "end"),
            f"the infrastructure pool has {pool.size} address{'es' if pool.size > 1 else ''}; "
            f"Azure Local takes {limits.infra_pool_min} to {limits.infra_pool_max}",
            small if pool.size < limits.infra_pool_min else "end it sooner",
        )
    for key, address in (("start", pool.start), ("end", pool.end)):
        if address not in local.management.cidr:
            yield Finding(
                (*path, key),
                f"the infrastructure pool's {key} {address} is outside "
                f"the management network {local.management.cidr}",
                "take addresses of that network",
            )


def _infra_pool_holds_node(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    for number, node in enumerate(local.nodes):
        if local.infra_pool.start <= node.ip <= local.infra_pool.end:
            yield Finding(
                ("azureLocal", "nodes", number, "ip"),
                f"{node.name}'s address {node.ip} is inside the infrastructure pool "
                f"{local.infra_pool.start}-{local.infra_pool.end}",
                "move the pool or the node: the cluster would hand out the node's own address",
            )


RULES = (
    Rule(
        code="NET001",
        summary="the networks of a site do not overlap",
        source="facts 1.6 and 1.7 (Environment Validator, POD_CIDR and Service_CIDR overlap)",
        check_site=_overlaps,
    ),
    Rule(
        code="NET023",
        summary="the management network is not that of the Kubernetes services",
        source="facts 1.7 (Service_CIDR: a warning)",
        severity="warning",
        check_site=_management_in_services,
    ),
    Rule(
        code="NET002",
        summary="the infrastructure pool has 6 to 255 addresses of the management network",
        source="facts 1.7 (AzStackHci_Network_Test_InfraIpPoolReadiness)",
        check_site=_infra_pool_size,
    ),
    Rule(
        code="NET003",
        summary="the infrastructure pool holds no node's address",
        source="facts 1.7 (Validity_MgmtIp_NotIn_Infra_Pool)",
        check_site=_infra_pool_holds_node,
    ),
)
