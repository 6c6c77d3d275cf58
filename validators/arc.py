"""Rules about Azure Arc and the way out of a site."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule

from .azure_local import WITHOUT_RACKS, WITHOUT_WITNESS
from .urls import host_of

GATEWAY = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+/providers/Microsoft\.HybridCompute/gateways/[^/]+",
    re.IGNORECASE,
)


def _bypass(site: Site, _: Inventory) -> Iterator[Finding]:
    proxy = site.spec.connectivity.proxy
    for number, entry in enumerate(proxy.bypass if proxy else ()):
        path = ("connectivity", "proxy", "bypass", number)
        if "/" in entry:
            yield Finding(
                path, f"the bypass {entry!r} is a network", "write it with stars, such as 192.168.1.*"
            )
        elif entry == "<local>":
            yield Finding(
                path,
                "the bypass '<local>' is not understood",
                "name the hosts, or a domain such as *.corp.example",
            )
        elif entry.endswith(".svc") or entry == ".svc":
            yield Finding(
                path,
                f"the bypass {entry!r} is refused by the registration",
                "leave it out: it is added by itself",
            )


def _proxy_domain(site: Site, _: Inventory) -> Iterator[Finding]:
    proxy = site.spec.connectivity.proxy
    host = host_of(proxy.url) if proxy else None
    if host and host.endswith(".local"):
        yield Finding(
            ("connectivity", "proxy", "url"),
            f"the proxy {host} is in a .local domain",
            "use a name of another domain",
        )


def _gateway_id(site: Site, _: Inventory) -> Iterator[Finding]:
    gateway = site.spec.connectivity.arc_gateway_id
    if gateway is not None and not GATEWAY.fullmatch(gateway):
        yield Finding(
            ("connectivity", "arcGatewayId"),
            f"{gateway!r} is not the id of an Arc gateway",
            "/subscriptions/…/resourceGroups/…/providers/Microsoft.HybridCompute/gateways/NAME",
        )


def _disconnected(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    disconnected = spec.connectivity.mode == "disconnected"
    if disconnected and spec.connectivity.arc_gateway_id:
        yield Finding(
            ("connectivity", "arcGatewayId"), "a disconnected site reaches no Arc gateway", "remove it"
        )
    if disconnected and spec.azure.region != "autonomous":
        yield Finding(
            ("azure", "region"),
            f"disconnected operations have one region, not {spec.azure.region!r}",
            "'region: autonomous'",
        )
    if not disconnected and spec.azure.region == "autonomous":
        yield Finding(
            ("azure", "region"),
            "the region 'autonomous' is that of disconnected operations",
            "name the Azure region",
        )


def _disconnected_witness(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    if site.spec.connectivity.mode != "disconnected" or local.witness is None:
        return
    # What AZL005 and AZL012 would say next, where the cluster can't do without.
    if local.pattern == "rack-aware":
        more = ", and " + WITHOUT_RACKS
    else:
        more = ", and " + WITHOUT_WITNESS if len(local.nodes) == 2 else ""
    yield Finding(
        ("azureLocal", "witness"),
        "a cloud witness can't be reached from a disconnected site",
        f"remove it{more}",
    )


def _link(site: Site, _: Inventory) -> Iterator[Finding]:
    connectivity = site.spec.connectivity
    if connectivity.mode == "constrained" and connectivity.link_mbps is None:
        yield Finding(
            ("connectivity", "mode"),
            "how thin the link of a constrained site is was not said",
            "add 'linkMbps: …': transfers are planned with it",
        )


def _gateway_tls(site: Site, _: Inventory) -> Iterator[Finding]:
    connectivity = site.spec.connectivity
    proxy = connectivity.proxy
    if connectivity.arc_gateway_id is not None and proxy is not None and proxy.inspects_tls:
        yield Finding(
            ("connectivity", "proxy", "inspectsTls"),
            "the proxy opens TLS, which Azure Arc's gateway does not work with",
            "exempt the gateway's traffic and say 'inspectsTls: false', or remove arcGatewayId",
        )


def _gateway_private(site: Site, _: Inventory) -> Iterator[Finding]:
    connectivity = site.spec.connectivity
    if connectivity.arc_gateway_id is not None and connectivity.private:
        yield Finding(
            ("connectivity", "private"),
            "Azure Arc's gateway is not reached through ExpressRoute, a VPN or private endpoints",
            "'private: false', or remove arcGatewayId",
        )


def _pattern(entry: str) -> str:
    """A bypass as a regular expression: a star is any text, everything else is meant as it stands."""
    return re.escape(entry.lower()).replace(r"\*", ".*")


def _bypass_covers(site: Site, _: Inventory) -> Iterator[Finding]:
    proxy, local = site.spec.connectivity.proxy, site.spec.azure_local
    if proxy is None:
        return
    match = re.compile("|".join(map(_pattern, proxy.bypass)) or r"(?!)").fullmatch
    wanted = [local.cluster_name, *(text for node in local.nodes for text in (node.name, str(node.ip)))]
    missing = [text for text in wanted if not match(text.lower())]
    first, last = int(local.infra_pool.start), int(local.infra_pool.end)
    if not all(match(str(IPv4Address(number))) for number in range(first, min(last, first + 255) + 1)):
        missing.append(f"{local.infra_pool.start}-{local.infra_pool.end} (the infrastructure pool)")
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        yield Finding(
            ("connectivity", "proxy", "bypass"),
            f"traffic to {', '.join(missing[:4])}{more} would go through the proxy",
            "add each, or patterns such as 192.168.1.*: the proxy can't be changed after the deployment",
        )


def _proxy_port(site: Site, _: Inventory) -> Iterator[Finding]:
    proxy = site.spec.connectivity.proxy
    if proxy is None:
        return
    if host_of(proxy.url) is None:
        what = "no host that can be read"
    else:
        try:
            port = urlsplit(proxy.url).port
        except ValueError:
            port = 0
        what = "no port" if port is None else "" if port else "a port that is no number from 1 to 65535"
    if what:
        yield Finding(
            ("connectivity", "proxy", "url"),
            f"the proxy {proxy.url} has {what}",
            "such as http://proxy.corp.example:8080",
        )


RULES = (
    Rule(
        code="ARC001",
        summary="proxy bypasses are written as the registration takes them",
        source="facts 2.1",
        check_site=_bypass,
    ),
    Rule(
        code="ARC002",
        summary="the proxy is not in a .local domain",
        source="facts 2.1",
        check_site=_proxy_domain,
    ),
    Rule(
        code="ARC003",
        summary="the Arc gateway is named by its ARM id",
        source="facts 2.3",
        check_site=_gateway_id,
    ),
    Rule(
        code="ARC004",
        summary="a disconnected site has the region and the services of disconnected operations",
        source="facts 1.10, 2.3",
        check_site=_disconnected,
    ),
    Rule(
        code="ARC005",
        summary="a disconnected site has no cloud witness",
        source="facts 1.2, row 5; 1.10",
        check_site=_disconnected_witness,
    ),
    Rule(
        code="CON002",
        summary="the bandwidth of a constrained site is known",
        source="requirements A4, I4",
        severity="warning",
        check_site=_link,
    ),
    Rule(
        code="ARC006",
        summary="an Arc gateway is not behind a proxy that opens TLS",
        source="facts 2.3",
        check_site=_gateway_tls,
    ),
    Rule(
        code="ARC007",
        summary="an Arc gateway is reached over the Internet",
        source="facts 2.3",
        check_site=_gateway_private,
    ),
    Rule(
        code="ARC008",
        summary="machines, cluster and infrastructure pool go around the proxy",
        source="facts 2.1 (ProxyBypass), 1.6 (a wrong proxy means a new deployment)",
        check_site=_bypass_covers,
    ),
    Rule(
        code="ARC009",
        summary="the proxy is given with its host and port",
        source="facts 2.1",
        check_site=_proxy_port,
    ),
)
