"""Rules about single addresses and pools."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.joins import Range, disjoint
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.azure_local import IpRange

MANAGEMENT: Path = ("azureLocal", "management")
KUBERNETES: Path = ("kubernetes", "network")


def overlap(first: IpRange, second: IpRange) -> bool:
    """Whether two ranges share an address."""
    return first.start <= second.end and second.start <= first.end


def last_of(start: IPv4Address, count: int, network: IPv4Network) -> IPv4Address | None:
    """The last of so many addresses from `start`; None where they don't fit before the network's broadcast.

    So it is None past 255.255.255.255, too, where adding to an address raises AddressValueError.
    """
    last = int(start) + count - 1
    fits = int(network.network_address) <= int(start) and last < int(network.broadcast_address)
    return IPv4Address(last) if fits else None


def _nodes_in_network(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    for number, node in enumerate(local.nodes):
        if node.ip not in local.management.cidr:
            yield Finding(
                ("azureLocal", "nodes", number, "ip"),
                f"{node.name}'s address {node.ip} is outside the management network {local.management.cidr}",
                "give it an address of that network",
            )


def _gateways(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    for network, path in ((spec.azure_local.management, MANAGEMENT), (spec.kubernetes.network, KUBERNETES)):
        if network.gateway not in network.cidr:
            yield Finding(
                (*path, "gateway"),
                f"the gateway {network.gateway} is outside its network {network.cidr}",
                f"usually the first address: {next(iter(network.cidr.hosts()))}",
            )


def _vip_in_pool(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    pool, vip = kubernetes.network.pool, kubernetes.control_plane.vip
    if not pool.start <= vip <= pool.end:
        yield Finding(
            ("kubernetes", "controlPlane", "vip"),
            f"the control plane's address {vip} is outside the pool {pool.start}-{pool.end}",
            f"take one of the pool, such as {pool.start}",
        )


def addresses_needed(site: Site) -> int:
    """Addresses that the AKS cluster takes: its VMs, one for upgrades, one for the API server."""
    kubernetes = site.spec.kubernetes
    workers = sum(pool.count for pool in kubernetes.node_pools.values())
    return kubernetes.control_plane.count + workers + 2


def _pool(site: Site, _: Inventory) -> Iterator[Finding]:
    network = site.spec.kubernetes.network
    pool = network.pool
    if pool.size < 1:
        yield Finding(
            (*KUBERNETES, "pool", "end"),
            f"the pool ends at {pool.end}, before its start {pool.start}",
            "swap them",
        )
        return
    for key, address in (("start", pool.start), ("end", pool.end)):
        if address not in network.cidr:
            yield Finding(
                (*KUBERNETES, "pool", key),
                f"the pool's {key} {address} is outside its network {network.cidr}",
                "take an address of it",
            )
    need = addresses_needed(site)
    if pool.size < need:
        least = last_of(pool.start, need, network.cidr)
        yield Finding(
            (*KUBERNETES, "pool", "end"),
            f"the pool has {pool.size} addresses; the cluster takes {need}: "
            "its VMs, one for rolling upgrades, one for the API server",
            f"'end: {least}' is the least" if least else f"{need} addresses in a row, all of {network.cidr}",
        )


def _load_balancer(site: Site, _: Inventory) -> Iterator[Finding]:
    network = site.spec.kubernetes.network
    balancer, path = network.load_balancer, (*KUBERNETES, "loadBalancer")
    if balancer is None:
        return
    if balancer.size < 1:
        yield Finding(
            (*path, "end"),
            f"the range ends at {balancer.end}, before its start {balancer.start}",
            "swap them",
        )
    elif balancer.start not in network.cidr or balancer.end not in network.cidr:
        yield Finding(
            path,
            f"the load balancer's range is not all inside {network.cidr}",
            "take addresses of that network",
        )
    elif overlap(balancer, network.pool):
        yield Finding(
            path,
            f"the load balancer's range {balancer.start}-{balancer.end} overlaps "
            f"the pool {network.pool.start}-{network.pool.end}",
            f"start it after {network.pool.end}",
        )


def _used_once(site: Site, _: Inventory) -> Iterator[Finding]:
    local, kubernetes = site.spec.azure_local, site.spec.kubernetes
    uses: list[tuple[IPv4Address, str, Path]] = [
        (local.management.gateway, "the management gateway", (*MANAGEMENT, "gateway")),
        (kubernetes.control_plane.vip, "the control plane", ("kubernetes", "controlPlane", "vip")),
    ]
    if kubernetes.network.gateway != local.management.gateway:  # a shared network has one gateway
        uses.append((kubernetes.network.gateway, "the Kubernetes gateway", (*KUBERNETES, "gateway")))
    uses += [(n.ip, n.name, ("azureLocal", "nodes", i, "ip")) for i, n in enumerate(local.nodes)]
    first: dict[IPv4Address, str] = {}
    for address, who, path in uses:
        if address in first:
            yield Finding(
                path, f"{who} has {address}, which {first[address]} has already", "give one of them another"
            )
        first.setdefault(address, who)


def _reserved_by_pools(site: Site, _: Inventory) -> Iterator[Finding]:
    local, kubernetes = site.spec.azure_local, site.spec.kubernetes
    pools = (
        ("the infrastructure pool", local.infra_pool, ("azureLocal", "infraPool")),
        ("the Kubernetes pool", kubernetes.network.pool, (*KUBERNETES, "pool")),
    )
    fixed = [
        (local.management.gateway, "the management gateway"),
        (kubernetes.network.gateway, "the Kubernetes gateway"),
        *((address, "a DNS server") for address in (*local.management.dns, *kubernetes.network.dns)),
    ]
    for name, pool, path in pools:
        for address, who in dict.fromkeys(fixed):
            if pool.start <= address <= pool.end:
                yield Finding(
                    path, f"{name} holds {address}, {who}", "move the pool: its addresses are given to others"
                )
    if overlap(local.infra_pool, kubernetes.network.pool):
        yield Finding(
            (*KUBERNETES, "pool"),
            "the Kubernetes pool overlaps the infrastructure pool "
            f"{local.infra_pool.start}-{local.infra_pool.end}",
            "keep the two apart",
        )


def _dns_outside_cluster(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    inside: tuple[tuple[str, IPv4Network], ...] = (
        ("pod network", kubernetes.pod_cidr),
        ("service network", catalog.limits().service_cidr),
    )
    named: dict[IPv4Address, list[Path]] = {}  # most sites name a server for both networks
    for servers, path in (
        (site.spec.azure_local.management.dns, MANAGEMENT),
        (kubernetes.network.dns, KUBERNETES),
    ):
        for number, server in enumerate(servers):
            named.setdefault(server, []).append((*path, "dns", number))
    for server, (first, *more) in named.items():
        for name, network in inside:
            if server in network:
                also = ", here and in kubernetes.network" if more else ""
                yield Finding(
                    first,
                    f"the DNS server {server} is inside the cluster's {name} {network}",
                    f"use one outside of it{also}",
                )


def _networks(site: Site) -> Iterator[Range]:
    local, kubernetes, domain = site.spec.azure_local, site.spec.kubernetes, site.spec.routing_domain
    for network, path, name in (
        (local.management.cidr, (*MANAGEMENT, "cidr"), "management network"),
        (kubernetes.network.cidr, (*KUBERNETES, "cidr"), "Kubernetes network"),
    ):
        yield Range(domain, network.network_address, network.broadcast_address, path, f"{name} {network}")


RULES = (
    Rule(
        code="NET004",
        summary="a node's address is in the management network",
        source="facts 1.4, infrastructureNetwork",
        check_site=_nodes_in_network,
    ),
    Rule(code="NET005", summary="a gateway is in its network", source="facts 1.4, 1.6", check_site=_gateways),
    Rule(
        code="NET006",
        summary="the control plane's address is in the Kubernetes pool",
        source="facts 1.6",
        check_site=_vip_in_pool,
    ),
    Rule(
        code="NET007",
        summary="the Kubernetes pool is in its network and large enough to upgrade",
        source="facts 1.6",
        check_site=_pool,
    ),
    Rule(
        code="NET008",
        summary="the load balancer's range is in the network and outside the pool",
        source="facts 1.6",
        check_site=_load_balancer,
    ),
    Rule(
        code="NET009",
        summary="no address of a site is used twice",
        source="facts 1.7 (no duplicates)",
        check_site=_used_once,
    ),
    Rule(
        code="NET010",
        summary="networks of sites that reach each other do not overlap",
        source="routing; facts 1.6",
        across=disjoint(
            _networks,
            "give one of them another network, or another routingDomain if neither reaches the other",
        ),
    ),
    Rule(
        code="NET011",
        summary="pools hold no gateway, no DNS server and not each other",
        source="facts 1.7 (none answers ping)",
        check_site=_reserved_by_pools,
    ),
    Rule(
        code="NET012",
        summary="DNS servers are outside the cluster's own networks",
        source="facts 1.7",
        severity="warning",
        check_site=_dns_outside_cluster,
    ),
)
