"""Rules about the places that tools and sandboxes may reach."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.agents import Destination
from fleet.model.site import SiteSpec

from .agents import EVERYWHERE


def _destinations(spec: SiteSpec) -> Iterator[tuple[Path, str, Destination]]:
    for name, tool in spec.tools.items():
        for number, destination in enumerate(tool.allowed_destinations):
            yield ("tools", name, "allowedDestinations", number), f"the tool {name!r}", destination
    for name, sandbox in spec.sandboxes.items():
        for number, destination in enumerate(sandbox.egress):
            yield ("sandboxes", name, "egress", number), f"the sandbox {name!r}", destination


def _in_cluster(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    networks = (("pod", spec.kubernetes.pod_cidr), ("service", catalog.limits().service_cidr))
    for path, who, destination in _destinations(spec):
        for kind, network in networks:
            # A wider network than the cluster's own is TOL002's and SBX005's concern.
            if destination.cidr.subnet_of(network):
                yield Finding(
                    (*path, "cidr"),
                    f"{who} may reach {destination.cidr} in the {kind} network {network}, whose addresses "
                    "change and are translated before a policy sees them",
                    "the address of a host outside the cluster",
                )


def _plaintext(site: Site, _: Inventory) -> Iterator[Finding]:
    ports = catalog.platform().plaintext_ports
    for path, who, destination in _destinations(site.spec):
        protocol = ports.get(destination.port)
        if protocol is not None:
            yield Finding(
                (*path, "port"),
                f"{who} talks to {destination.cidr} on port {destination.port}, which is {protocol} "
                "without encryption",
                "the port of the same service with TLS",
            )


def _reachable(site: Site, _: Inventory) -> Iterator[Finding]:
    for path, who, destination in _destinations(site.spec):
        cidr = destination.cidr
        for kind, special in (
            ("the pod itself", cidr.is_loopback),
            ("link-local", cidr.is_link_local),
            ("multicast", cidr.is_multicast),
        ):
            if special:
                yield Finding(
                    (*path, "cidr"), f"{who} may reach {cidr}, which is {kind}", "the address of a host"
                )


def _holds(cidr: IPv4Network, first: IPv4Address, last: IPv4Address) -> bool:
    return cidr.network_address <= last and first <= cidr.broadcast_address


def _own_machines(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    pool, vip = spec.azure_local.infra_pool, spec.kubernetes.control_plane.vip
    ranges = [
        ("the Azure Local services", pool.start, pool.end),
        ("the Kubernetes API server", vip, vip),
        *((f"the machine {node.name}", node.ip, node.ip) for node in spec.azure_local.nodes),
    ]
    for path, who, destination in _destinations(spec):
        if destination.cidr.prefixlen <= EVERYWHERE:
            continue  # TOL002, SBX005
        for what, first, last in ranges:
            if _holds(destination.cidr, first, last):
                yield Finding(
                    (*path, "cidr"),
                    f"{who} may reach {destination.cidr}, in which {what} is"
                    if first == last
                    else f"{who} may reach {destination.cidr}, in which {what} are",
                    "the addresses of the hosts that it needs, such as 10.1.2.3/32",
                )
                break


def _sandbox_egress(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, sandbox in site.spec.sandboxes.items():
        for number, destination in enumerate(sandbox.egress):
            if destination.cidr.prefixlen <= EVERYWHERE:
                yield Finding(
                    ("sandboxes", name, "egress", number, "cidr"),
                    f"code in the sandbox {name!r} may reach all of {destination.cidr}",
                    "name the hosts that it needs, or none",
                )


RULES = (
    Rule(
        code="SBX005",
        summary="a sandbox reaches hosts, not half the internet",
        source="requirements F6, F7",
        check_site=_sandbox_egress,
    ),
    Rule(
        code="TOL012",
        summary="destinations are outside the cluster",
        source="Kubernetes, network policies: ipBlock is for addresses outside the cluster; requirement B7",
        severity="warning",
        check_site=_in_cluster,
    ),
    Rule(
        code="TOL013",
        summary="tools and sandboxes talk with encryption",
        source="requirement B11; IANA, service names and port numbers",
        severity="warning",
        check_site=_plaintext,
    ),
    Rule(
        code="TOL014",
        summary="destinations are addresses that a host can have",
        source="RFC 6890; requirement B7",
        check_site=_reachable,
    ),
    Rule(
        code="TOL015",
        summary="tools and sandboxes do not reach the machines that they run on",
        source="requirement B10",
        severity="warning",
        check_site=_own_machines,
    ),
)
