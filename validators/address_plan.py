"""Rules about which addresses are free for what."""

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.kubernetes import NodePool

from .addresses import KUBERNETES, MANAGEMENT, addresses_needed, last_of, overlap
from .urls import host_of

NODES: Path = ("azureLocal", "nodes")


def _most(pool: NodePool) -> int:
    """Nodes that a pool may have: its autoscaler's maximum, when it has one."""
    return max(pool.count, pool.autoscale.max_count) if pool.autoscale else pool.count


def _ends(network: IPv4Network) -> tuple[int, int]:
    """Its first and its last address, as numbers: addresses compare slowly, and each site has dozens."""
    return int(network.network_address), int(network.broadcast_address)


def _not_a_hosts(site: Site, _: Inventory) -> Iterator[Finding]:
    local, kubernetes = site.spec.azure_local, site.spec.kubernetes
    network = kubernetes.network
    for cidr, single, ranges in (
        (
            local.management.cidr,
            [
                ("the management gateway", local.management.gateway, (*MANAGEMENT, "gateway")),
                *((node.name, node.ip, (*NODES, number, "ip")) for number, node in enumerate(local.nodes)),
            ],
            [("the infrastructure pool", local.infra_pool, ("azureLocal", "infraPool"))],
        ),
        (
            network.cidr,
            [
                ("the Kubernetes gateway", network.gateway, (*KUBERNETES, "gateway")),
                ("the control plane", kubernetes.control_plane.vip, ("kubernetes", "controlPlane", "vip")),
            ],
            [
                ("the Kubernetes pool", network.pool, (*KUBERNETES, "pool")),
                ("the load balancer's range", network.load_balancer, (*KUBERNETES, "loadBalancer")),
            ],
        ),
    ):
        first, last = _ends(cidr)
        for who, address, path in single:
            if int(address) in (first, last):
                kind = "network" if int(address) == first else "broadcast"
                message = f"{who} has {address}, the {kind} address of {cidr}"
                yield Finding(path, message, "give it one between the two ends")
        for who, span, path in ranges:
            if span is None or int(span.start) < first or int(span.end) > last:
                continue  # that it is not all inside say NET002, NET007 and NET008
            for end, held, kind in ((first, int(span.start), "network"), (last, int(span.end), "broadcast")):
                if end == held:
                    message = f"{who} holds {IPv4Address(end)}, the {kind} address of {cidr}"
                    yield Finding(path, message, "leave it out")


def _load_balancer_free(site: Site, _: Inventory) -> Iterator[Finding]:
    local, kubernetes = site.spec.azure_local, site.spec.kubernetes
    balancer, path = kubernetes.network.load_balancer, (*KUBERNETES, "loadBalancer")
    if balancer is None:
        return
    fixed = {
        kubernetes.network.gateway: "the Kubernetes gateway",
        local.management.gateway: "the management gateway",
        **dict.fromkeys((*local.management.dns, *kubernetes.network.dns), "a DNS server"),
        **{node.ip: node.name for node in local.nodes},
    }
    start, end = int(balancer.start), int(balancer.end)
    for address, who in fixed.items():
        if start <= int(address) <= end:
            yield Finding(
                path,
                f"the load balancer's range holds {address}, {who}",
                "move the range: services are announced with its addresses",
            )
    if overlap(balancer, local.infra_pool):
        yield Finding(
            path,
            "the load balancer's range overlaps the infrastructure pool "
            f"{local.infra_pool.start}-{local.infra_pool.end}",
            "keep the two apart",
        )


def _pool_free_of_machines(site: Site, _: Inventory) -> Iterator[Finding]:
    pool = site.spec.kubernetes.network.pool
    start, end = int(pool.start), int(pool.end)
    for number, node in enumerate(site.spec.azure_local.nodes):
        if start <= int(node.ip) <= end:
            yield Finding(
                (*NODES, number, "ip"),
                f"{node.name}'s address {node.ip} is inside the Kubernetes pool {pool.start}-{pool.end}",
                "move the pool or the machine: a VM would be given the machine's address",
            )


def _proxy_address(site: Site, _: Inventory) -> Iterator[Finding]:
    proxy = site.spec.connectivity.proxy
    if proxy is None:
        return
    try:
        address = IPv4Address(host_of(proxy.url) or "")
    except AddressValueError:
        return  # a name
    inside = (
        ("pod network", site.spec.kubernetes.pod_cidr),
        ("service network", catalog.limits().service_cidr),
    )
    for name, network in inside:
        if address in network:
            yield Finding(
                ("connectivity", "proxy", "url"),
                f"the proxy {address} is inside the cluster's {name} {network}",
                "pods would not reach it: use one outside, or another podCidr",
            )


def _pod_network(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    pods = kubernetes.control_plane.count * catalog.azure_local().max_pods_default
    pods += sum(_most(pool) * pool.max_pods for pool in kubernetes.node_pools.values())
    size = 2 ** (32 - kubernetes.pod_cidr.prefixlen)
    if pods > size:
        fitting = 32 - (pods - 1).bit_length()
        yield Finding(
            ("kubernetes", "podCidr"),
            f"{kubernetes.pod_cidr} has {size} addresses; the nodes may run {pods} pods",
            f"a /{fitting} is the least; it can't be changed later",
        )


def _autoscaler_addresses(site: Site, _: Inventory) -> Iterator[Finding]:
    kubernetes = site.spec.kubernetes
    pool, need = kubernetes.network.pool, addresses_needed(site)
    most = need + sum(_most(p) - p.count for p in kubernetes.node_pools.values())
    if need <= pool.size < most:
        least = last_of(pool.start, most, kubernetes.network.cidr)
        longer = f"'end: {least}' is the least" if least else "a larger network"
        yield Finding(
            (*KUBERNETES, "pool", "end"),
            f"the pool has {pool.size} addresses; with the autoscalers at their maximum "
            f"the cluster takes {most}",
            f"{longer}, or lower maxCount",
        )


def _ingress_address(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.platform.ingress is not None and spec.kubernetes.network.load_balancer is None:
        yield Finding(
            ("platform", "ingress"),
            f"nothing gives the ingress {spec.platform.ingress.host} an address: "
            "AKS on Azure Local has no load balancer of its own",
            "add 'loadBalancer: {start: …, end: …}' to kubernetes.network",
        )


def _vlans(site: Site, _: Inventory) -> Iterator[Finding]:
    vlan = site.spec.kubernetes.network.vlan
    for storage in site.spec.azure_local.storage_networks:
        if vlan == storage.vlan:
            yield Finding(
                (*KUBERNETES, "vlan"),
                f"the Kubernetes network has VLAN {vlan}, which carries the storage network {storage.name}",
                "give it a VLAN of its own: storage traffic is not routed and not shared",
            )


def _storage_subnets(site: Site, _: Inventory) -> Iterator[Finding]:
    local, kubernetes = site.spec.azure_local, site.spec.kubernetes
    subnets = catalog.azure_local().storage_subnets[: len(local.storage_networks)]
    if not subnets:
        return
    first, last = int(subnets[0].network_address), int(subnets[-1].broadcast_address)
    networks = [
        ("management network", local.management.cidr, (*MANAGEMENT, "cidr")),
        ("pod network", kubernetes.pod_cidr, ("kubernetes", "podCidr")),
    ]
    if kubernetes.network.cidr != local.management.cidr:
        networks.append(("Kubernetes network", kubernetes.network.cidr, (*KUBERNETES, "cidr")))
    for name, network, path in networks:
        start, end = _ends(network)
        if start <= last and first <= end:
            subnet = next(subnet for subnet in subnets if network.overlaps(subnet))
            yield Finding(
                path,
                f"the {name} {network} overlaps {subnet}, which the machines give their storage adapters",
                "use another network",
            )


def _public_resolvers(site: Site, _: Inventory) -> Iterator[Finding]:
    spec, public = site.spec, catalog.azure_local().public_resolvers
    for servers, path in (
        (spec.azure_local.management.dns, MANAGEMENT),
        (spec.kubernetes.network.dns, KUBERNETES),
    ):
        for number, server in enumerate(servers):
            if server in public:
                yield Finding(
                    (*path, "dns", number),
                    f"the public DNS server {server} does not know {spec.azure_local.domain_fqdn}",
                    "name the domain's own DNS servers; they may forward to it",
                )


RULES = (
    Rule(
        code="NET013",
        summary="no network or broadcast address is given to anything",
        source="RFC 919; facts 1.6, 1.7",
        check_site=_not_a_hosts,
    ),
    Rule(
        code="NET014",
        summary="the load balancer's range holds no address that is taken",
        source="facts 1.6, 1.7 (no duplicates)",
        check_site=_load_balancer_free,
    ),
    Rule(
        code="NET015",
        summary="the Kubernetes pool holds no machine's address",
        source="facts 1.6, 1.7 (no duplicates)",
        check_site=_pool_free_of_machines,
    ),
    Rule(
        code="NET016",
        summary="the proxy is outside the cluster's own networks",
        source="facts 1.7",
        severity="warning",
        check_site=_proxy_address,
    ),
    Rule(
        code="NET017",
        summary="the pod network has an address for each pod that the nodes may run",
        source="facts 1.6 (podCidr), 1.9 (maxPods)",
        severity="warning",
        check_site=_pod_network,
    ),
    Rule(
        code="NET018",
        summary="the Kubernetes pool has addresses for the autoscalers' maximum",
        source="facts 1.6",
        severity="warning",
        check_site=_autoscaler_addresses,
    ),
    Rule(
        code="NET019",
        summary="an ingress has a load balancer that gives it an address",
        source="facts 1.9 (load balancer: none by default); requirement B24",
        check_site=_ingress_address,
    ),
    Rule(
        code="NET020",
        summary="the Kubernetes network and storage have VLANs of their own",
        source="facts 1.4, storageNetworks; 1.6",
        check_site=_vlans,
    ),
    Rule(
        code="NET021",
        summary="no network is one that the machines give their storage adapters",
        source="facts 1.7 (management and storage subnets); Network ATC: 10.71.1.0/24 and following",
        severity="warning",
        check_site=_storage_subnets,
    ),
    Rule(
        code="NET022",
        summary="DNS servers know the site's domain",
        source="facts 1.6 (DNS must resolve the cluster's name)",
        check_site=_public_resolvers,
    ),
)
