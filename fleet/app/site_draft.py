"""A new site: its names chosen and its addresses planned, from two networks and what it inherits."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import product
from typing import Any

from pydantic import ValidationError

from fleet import catalog
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory
from fleet.inventory.layers import holding_site, named, overlay
from fleet.inventory.shape import did_you_mean, shape_diagnostics
from fleet.inventory.source import Path, SourceFile
from fleet.model.site import SiteSpec

EXIT_USAGE = 2
CHECK = "# CHECK: "
"""Stands at the top of a new site's file before each thing that was assumed."""
INFRA_POOL = 11
"""Addresses of the infrastructure pool: as many as in Azure Local's own examples; 6 to 255 are allowed
(facts 1.7)."""
FIRST_NODE, FIRST_OF_INFRA_POOL, FIRST_OF_POOL, DNS = 11, 100, 16, 4
"""Where in their network these stand when there is room: our convention, the one of examples/factory."""
MANAGEMENT: Path = ("azureLocal", "management", "cidr")
KUBERNETES: Path = ("kubernetes", "network", "cidr")
LOAD_BALANCER = (11, 4, 1)
"""Addresses for load balancers, the most that fit."""


@dataclass(frozen=True)
class SiteRequest:
    """What must be known of a new site."""

    name: str
    ring: str
    profile: str | None
    management: IPv4Network
    kubernetes: IPv4Network
    nodes: Sequence[tuple[str, IPv4Address]] = ()
    dns: Sequence[IPv4Address] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """The values of a site file, and what was assumed to write them: each a phrase to check."""

    values: dict[str, Any]
    assumed: tuple[str, ...]


def problem(message: str, help_text: str | None = None, code: str = "NEW002") -> FleetError:
    """What is wrong with a wish for a new site."""
    return FleetError(code, message, help_text or "", EXIT_USAGE)


def wrong_value(path: Path, value: Any) -> tuple[str, str | None] | None:
    """What the model says against `value` at `path` of a site, and what to type instead; None when right.

    The message does not name the field. What the value leaves out may be inherited, and is not missed.
    """
    nested: Any = value
    for step in reversed(path):
        nested = {step: nested}
    nowhere = SourceFile("", b"")
    try:
        SiteSpec.model_validate(nested)
    except ValidationError as error:
        found = shape_diagnostics(SiteSpec, error, lambda *_: (nowhere, ()), ignore_missing=True)
        name = re.escape(".".join(map(str, path))) + r"(\.\w+)*(:| is)? "
        return (re.sub(f"^{name}", "", found[0].message), found[0].help) if found else None
    return None


def inherited(raw: Mapping[str, Any], ring: str, profile: str | None, site: str) -> dict[str, Any]:
    """What the site of this name, ring and profile has before its own file: `raw` is `fleet.yaml` as values.

    Raises `FleetError` (NEW003) when there is no such ring or profile, with the nearest name.
    """
    rings = {item["name"]: item for item in raw["rings"]}
    profiles = raw.get("profiles") or {}
    if ring not in rings:
        raise problem(f"there is no ring {ring!r}", did_you_mean(ring, rings), "NEW003")
    if profile is not None and profile not in profiles:
        raise problem(f"there is no profile {profile!r}", did_you_mean(profile, profiles), "NEW003")
    layers = (raw.get("defaults"), profiles[profile] if profile else None, rings[ring].get("defaults"))
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = overlay(merged, layer or {})
    filled: dict[str, Any] = named(merged, site, holding_site(merged))
    return filled


def draft_site(request: SiteRequest, below: Mapping[str, Any]) -> Draft:
    """The file of a new site over what it inherits (`below`).

    Gateways are the first address of their networks; the Kubernetes pool has an address for each VM of the
    control plane and the node pools, one for upgrades and one for the API server, its first (facts 1.6), and
    as many again to grow; load balancers come after it. Raises `FleetError` when a name is not allowed, a
    network is in the way or too small, or the machines must be named.
    """
    if wrong := wrong_value(("name",), request.name):
        raise problem(f"the site's name is {wrong[0]}", wrong[1])
    _networks_apart(request, below)
    assumed: list[str] = []
    nodes = _nodes(request, below, assumed)
    dns = _dns(request, below, assumed)
    local = _azure_local(request, below, nodes, dns, assumed)
    values: dict[str, Any] = {
        "apiVersion": "fleet/v1",
        "kind": "Site",
        "name": request.name,
        "ring": request.ring,
        **({"profile": request.profile} if request.profile else {}),
        **({"labels": dict(request.labels)} if request.labels else {}),
    }
    if not _at(below, "azure", "resourceGroup"):
        values["azure"] = {"resourceGroup": fitted("rg-fleet-", request.name, 90)}
    values["azureLocal"] = local
    values["kubernetes"] = _kubernetes(request, below, dns)
    if _at(below, "registry") and not _at(below, "registry", "host"):
        host = f"registry.{request.name}.{_at(below, 'azureLocal', 'domainFqdn') or 'example'}"
        values["registry"] = {"host": host}
        assumed.append(f"the site's registry is {host}")
    return Draft(values, tuple(assumed))


def with_checks(text: str, assumed: Iterable[str]) -> str:
    """A site's file with what was assumed said at its top."""
    return "".join(f"{CHECK}{phrase}\n" for phrase in assumed) + text


def fitted(prefix: str, name: str, limit: int, suffix: str = "") -> str:
    """`prefix`, `name` and `suffix` within `limit` characters; a name that is cut gets four of its digest."""
    room = limit - len(prefix) - len(suffix)
    if len(name) > room:
        digest = hashlib.sha256(name.encode()).hexdigest()[:4]
        name = f"{name[: room - 5].rstrip('-')}-{digest}"
    return prefix + name + suffix


@dataclass(frozen=True)
class Claim:
    """A network of a site, in the routing domain where it must be alone."""

    domain: str
    network: IPv4Network
    site: str
    path: Path

    @property
    def what(self) -> str:
        """Such as "graz's management network"."""
        return f"{self.site}'s {'management' if self.path == MANAGEMENT else 'Kubernetes'} network"


def claims(inventory: Inventory) -> Iterator[Claim]:
    """The networks of the sites that are there."""
    for site in inventory.sites:
        spec = site.spec
        yield Claim(spec.routing_domain, spec.azure_local.management.cidr, site.name, MANAGEMENT)
        yield Claim(spec.routing_domain, spec.kubernetes.network.cidr, site.name, KUBERNETES)


def request_claims(request: SiteRequest, below: Mapping[str, Any]) -> list[Claim]:
    """The networks of a new site."""
    domain = str(below.get("routingDomain") or "default")
    return [
        Claim(domain, request.management, request.name, MANAGEMENT),
        Claim(domain, request.kubernetes, request.name, KUBERNETES),
    ]


def overlaps(networks: Iterable[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """Pairs of two sites' networks that overlap in a routing domain; n log n in all (as rule NET010)."""
    widest: Claim | None = None
    for claim in sorted(
        networks, key=lambda c: (c.domain, int(c.network.network_address), c.network.prefixlen, c.site)
    ):
        inside = widest is not None and widest.domain == claim.domain
        if inside and widest and claim.network.network_address <= widest.network.broadcast_address:
            if widest.site != claim.site:
                yield widest, claim
            if claim.network.broadcast_address <= widest.network.broadcast_address:
                continue
        widest = claim


def _at(values: Any, *path: str) -> Any:
    for step in path:
        values = values.get(step) if isinstance(values, Mapping) else None
    return values


def _networks_apart(request: SiteRequest, below: Mapping[str, Any]) -> None:
    """The site's two networks, the pods' and the services' may not overlap (facts 1.6, 1.7)."""
    others = [("the Kubernetes services' network", catalog.limits().service_cidr)]
    if pods := _at(below, "kubernetes", "podCidr"):
        others.append(("the pods' network", IPv4Network(pods)))
    mine = [("management network", request.management), ("Kubernetes network", request.kubernetes)]
    for name, network in mine:
        if network.num_addresses < INFRA_POOL:
            raise _no_room(network, INFRA_POOL, "a site")
        for other, taken in others:
            if network.overlaps(taken):
                raise problem(f"the {name} {network} overlaps {other}, {taken}", "name another", "NEW004")
        others.append((f"the {name}", network))


def _nodes(request: SiteRequest, below: Mapping[str, Any], assumed: list[str]) -> list[dict[str, str]]:
    nodes = list(request.nodes)
    if not nodes:
        if below.get("topology") != "pilot-node":
            raise problem(
                f"the machines of a {below.get('topology') or 'site without a topology'} must be named",
                f"--node {fitted('', request.name, 12)}-n1=ADDRESS, once for each",
            )
        nodes = [(fitted("", request.name, 15, "-n1"), _offset(request.management, FIRST_NODE))]
        assumed.append(f"the machine is {nodes[0][0]}, with the address {nodes[0][1]}")
    for name, address in nodes:
        if address not in request.management:
            raise problem(
                f"{name}'s address {address} is outside the management network {request.management}",
                "give it an address of that network",
            )
    return [{"name": name, "ip": str(address)} for name, address in nodes]


def _dns(request: SiteRequest, below: Mapping[str, Any], assumed: list[str]) -> list[str] | None:
    """The DNS servers to write; None where they are inherited."""
    if request.dns:
        return [str(address) for address in request.dns]
    if _at(below, "azureLocal", "management", "dns") and _at(below, "kubernetes", "network", "dns"):
        return None
    address = _offset(request.management, DNS)
    assumed.append(f"the DNS server is {address}")
    return [str(address)]


def _azure_local(
    request: SiteRequest,
    below: Mapping[str, Any],
    nodes: list[dict[str, str]],
    dns: list[str] | None,
    assumed: list[str],
) -> dict[str, Any]:
    name, network = request.name, request.management
    gateway = network[1]
    taken = {gateway, *(IPv4Address(node["ip"]) for node in nodes), *map(IPv4Address, dns or ())}
    found = _free_run(network, INFRA_POOL, FIRST_OF_INFRA_POOL, taken)
    if found is None:
        raise _no_room(network, INFRA_POOL, "the infrastructure pool")
    start, end = found
    local: dict[str, Any] = {
        "clusterName": fitted("", name, 15, "-hci"),
        "namingPrefix": fitted("", name, 8),
    }
    domain = str(_at(below, "azureLocal", "domainFqdn") or "")
    provider = _at(below, "azureLocal", "identityProvider") or "ActiveDirectory"
    if provider == "ActiveDirectory" and domain and not _at(below, "azureLocal", "ouPath"):
        local["ouPath"] = ",".join([f"OU={name}", *(f"DC={part}" for part in domain.split("."))])
        assumed.append(f"the organisational unit is {local['ouPath']}")
    local["nodes"] = nodes
    local["management"] = {"cidr": str(network), "gateway": str(gateway), **({"dns": dns} if dns else {})}
    local["infraPool"] = {"start": str(start), "end": str(end)}
    intents = _at(below, "azureLocal", "intents") or []
    without_storage = [intent for intent in intents if "Storage" not in intent["traffic"]]
    if len(nodes) == 1 and without_storage != intents:  # a single machine has no storage traffic (facts 1.8)
        local |= {"intents": without_storage, "storageNetworks": []}
    if len(nodes) == 2 and not _at(below, "azureLocal", "witness"):
        account = fitted("fleetwitness", name, 24).replace("-", "")
        local["witness"] = {"storageAccount": account}
        assumed.append(f"the witness is the storage account {account}")
    local["customLocation"] = fitted("", name, 63, "-location")
    local["keyVault"] = fitted("kv-fleet-", name, 24)
    vault = _at(below, "azureLocal", "keyVault") or local["keyVault"]
    assumed.append(f"the key vault's name {vault} is free in all of Azure")
    # A fleet may have a pattern for these: `clusterName: ${site}-hci`.
    patterns = ("clusterName", "namingPrefix", "customLocation", "keyVault")
    return {k: v for k, v in local.items() if k not in patterns or not _at(below, "azureLocal", k)}


def _kubernetes(request: SiteRequest, below: Mapping[str, Any], dns: list[str] | None) -> dict[str, Any]:
    network = request.kubernetes
    pools = _at(below, "kubernetes", "nodePools") or {}
    workers = sum(int(_at(pool, "count") or 0) for pool in pools.values())
    need = int(_at(below, "kubernetes", "controlPlane", "count") or 1) + workers + 2  # facts 1.6
    gateway = network[1]
    taken = {gateway, *map(IPv4Address, dns or ())}
    for spare, balancers in product((need, 0), LOAD_BALANCER):  # as much room to grow as there is
        size = need + spare + balancers
        if found := _free_run(network, size, FIRST_OF_POOL, taken):
            break
    else:
        raise _no_room(network, need + LOAD_BALANCER[-1], "the Kubernetes pool and a load balancer")
    start, end = found
    own = {} if _at(below, "kubernetes", "name") else {"name": fitted("", request.name, 63, "-aks")}
    return {
        **own,
        "controlPlane": {"vip": str(start)},
        "network": {
            "cidr": str(network),
            "gateway": str(gateway),
            **({"dns": dns} if dns else {}),
            "pool": {"start": str(start), "end": str(end - balancers)},
            "loadBalancer": {"start": str(end - balancers + 1), "end": str(end)},
        },
    }


def _offset(network: IPv4Network, offset: int) -> IPv4Address:
    """The address at `offset`, or the last but one of a network too small for it."""
    return network[min(offset, max(network.num_addresses - 2, 0))]


def _free_run(
    network: IPv4Network, size: int, offset: int, taken: set[IPv4Address]
) -> tuple[IPv4Address, IPv4Address] | None:
    """The first `size` addresses in a row with none of `taken`, from `offset` on or else from the start."""
    last = int(network.broadcast_address) - 1
    for begin in (offset, 2):
        at = int(network.network_address) + begin
        while at + size - 1 <= last:
            clash = max((int(a) for a in taken if at <= int(a) < at + size), default=None)
            if clash is None:
                return IPv4Address(at), IPv4Address(at + size - 1)
            at = clash + 1
    return None


def _no_room(network: IPv4Network, size: int, what: str) -> FleetError:
    message = f"{network} has no {size} free addresses in a row for {what}"
    return problem(message, "name a larger network, such as a /24", "NEW005")
