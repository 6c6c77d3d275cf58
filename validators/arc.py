"""Rules about Azure Arc and the way out of a site."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule

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
    host = urlsplit(proxy.url).hostname if proxy else None
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
    if site.spec.connectivity.mode == "disconnected" and site.spec.azure_local.witness is not None:
        yield Finding(
            ("azureLocal", "witness"),
            "a cloud witness can't be reached from a disconnected site",
            "remove it, and have three nodes or more",
        )


def _link(site: Site, _: Inventory) -> Iterator[Finding]:
    connectivity = site.spec.connectivity
    if connectivity.mode == "constrained" and connectivity.link_mbps is None:
        yield Finding(
            ("connectivity", "mode"),
            "how thin the link of a constrained site is was not said",
            "add 'linkMbps: …': transfers are planned with it",
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
)
