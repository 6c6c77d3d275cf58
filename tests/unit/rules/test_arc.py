"""Rules about Azure Arc and the way out of a site. Graz is constrained, Narvik disconnected, Turin connected."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, TURIN, Case, Cases, Edits, rule_tests

LINK = "connectivity: {mode: constrained, linkMbps: 50}"
PAST = "'graz-*', '10.30.1.*'"  # what must go around any proxy of Graz
OWN = ("10.30.1.11", "10.30.1.12", "10.30.1.13")
POOL = tuple(f"10.30.1.{n}" for n in range(100, 111))
GATEWAYS = "/subscriptions/7c1d9a52-0000-4000-8000-0000000000f1/resourceGroups/a/providers/Microsoft.HybridCompute/gateways"


def constrained(more: str) -> Edits:
    """Graz's profile with more said about its connectivity."""
    return {FLEET: [(LINK, LINK.replace("}", f", {more}}}"))]}


def bypass(entry: str) -> Edits:
    """Graz's profile with a proxy and one host or pattern that goes around it."""
    return constrained(f"proxy: {{url: 'http://p.corp.example:8080', bypass: [{PAST}, '{entry}']}}")


def proxy(url: str) -> Edits:
    """Graz's profile with a proxy."""
    return constrained(f"proxy: {{url: '{url}', bypass: [{PAST}]}}")


def around(*entries: str) -> Edits:
    """Graz's profile with a proxy, and what goes around it."""
    told = ", ".join(f"'{entry}'" for entry in entries)
    return constrained(f"proxy: {{url: 'http://p.corp.example:8080', bypass: [{told}]}}")


def gateway(arm_id: str) -> Edits:
    """Graz's profile with an Arc gateway."""
    return constrained(f"arcGatewayId: {arm_id}")


WITHOUT_N3 = ("    - {name: narvik-n3, ip: 10.40.1.13}\n", "")

CASES = {
    "ARC001": Cases(
        fires=[
            Case(bypass("10.0.0.0/8"), "fleet.yaml:{bypass} the bypass '10.0.0.0/8' is a network"),
            Case(bypass("<local>"), "fleet.yaml:{bypass} the bypass '<local>' is not understood"),
            Case(bypass(".svc"), "fleet.yaml:{bypass} the bypass '.svc' is refused by the registration"),
            Case(bypass("a.svc"), "fleet.yaml:{bypass} the bypass 'a.svc' is refused by the registration"),
            Case(bypass("p.corp.example', '.svc', '10.1.0.0/16"),
                 ("fleet.yaml:{bypass} the bypass '.svc' is refused", "fleet.yaml:{bypass} the bypass '10.1.0.0/16' is a network")),
        ],
        near=[bypass("*.corp.example"), bypass("192.168.1.*"), bypass("local"), bypass("a.svc.corp.example"), bypass("svc")],
    ),
    "ARC002": Cases(
        fires=[Case(proxy("http://proxy.corp.local:8080"), "fleet.yaml:{corp.local} the proxy proxy.corp.local is in a .local domain"),
               Case(proxy("http://PROXY.LOCAL:80"), "fleet.yaml:{PROXY} the proxy proxy.local is in a .local domain")],
        near=[proxy("http://proxy.local.example:8080"), proxy("http://proxy-local:8080"), proxy("http://[::1"), proxy("http://[proxy]:8080")],
    ),
    "ARC003": Cases(
        fires=[Case(gateway(wrong), "fleet.yaml:{arcGatewayId} " + f"'{wrong}' is not the id of an Arc gateway")
               for wrong in ("my-gateway", f"{GATEWAYS}/g/h", GATEWAYS, f"{GATEWAYS}/g".replace("7c1d9a52", "7c1d9a5"),
                             f"{GATEWAYS}/g".replace("HybridCompute", "Network"), f"https://management.azure.com{GATEWAYS}/g")],
        near=[gateway(f"{GATEWAYS}/g"), gateway(f"{GATEWAYS}/g".replace("resourceGroups", "resourcegroups"))],
    ),
    "ARC004": Cases(
        fires=[
            Case({FLEET: [("    azure: {region: autonomous}\n", "")]},
                 "fleet.yaml:{region: westeurope} disconnected operations have one region, not 'westeurope'"),
            Case({FLEET: [("region: westeurope", "region: autonomous")]},
                 "fleet.yaml:{    region: autonomous} the region 'autonomous' is that of disconnected operations"),
            Case({GRAZ: [("azure: {resourceGroup: rg-fleet-graz}", "azure: {resourceGroup: rg-fleet-graz, region: autonomous}")]},
                 "sites/graz.yaml:{region} the region 'autonomous' is that of disconnected operations"),
            Case({FLEET: [("connectivity: {mode: disconnected}", f"connectivity: {{mode: disconnected, arcGatewayId: {GATEWAYS}/g}}")]},
                 "fleet.yaml:{arcGatewayId} a disconnected site reaches no Arc gateway"),
        ],
        near=[{FLEET: [("region: westeurope", "region: northeurope")]},
              {NARVIK: [("azure: {resourceGroup: rg-fleet-narvik}", "azure: {resourceGroup: rg-fleet-narvik, region: autonomous}")],
               FLEET: [("    azure: {region: autonomous}\n", "")]},
              gateway(f"{GATEWAYS}/g")],
    ),
    "ARC005": Cases(
        fires=[Case({NARVIK: [("  customLocation:", "  witness: {storageAccount: fleetnarvik}\n  customLocation:")]},
                    "sites/narvik.yaml:{witness} a cloud witness can't be reached from a disconnected site", help="remove it"),
               Case({NARVIK: [("  customLocation:", "  witness: {storageAccount: fleetnarvik}\n  customLocation:"), WITHOUT_N3]},
                    "sites/narvik.yaml:{witness} a cloud witness can't be reached", help="remove it, and have three nodes or more")],
        near=[{TURIN: [("  customLocation:", "  witness: {storageAccount: fleetturin}\n  customLocation:")]}],
    ),
    "ARC006": Cases(
        fires=[Case(constrained(f"arcGatewayId: {GATEWAYS}/g, proxy: {{url: 'http://p.corp.example:8080', bypass: [{PAST}], inspectsTls: true}}"),
                    "fleet.yaml:{inspectsTls} the proxy opens TLS, which Azure Arc's gateway does not work with")],
        near=[constrained(f"arcGatewayId: {GATEWAYS}/g, proxy: {{url: 'http://p.corp.example:8080', bypass: [{PAST}], inspectsTls: false}}"),
              constrained(f"proxy: {{url: 'http://p.corp.example:8080', bypass: [{PAST}], inspectsTls: true}}")],
    ),
    "ARC007": Cases(
        fires=[Case(constrained(f"arcGatewayId: {GATEWAYS}/g, private: true"),
                    "fleet.yaml:{private} Azure Arc's gateway is not reached through ExpressRoute, a VPN or private endpoints")],
        near=[constrained(f"arcGatewayId: {GATEWAYS}/g, private: false"), constrained("private: true")],
    ),
    "ARC008": Cases(
        fires=[
            Case(around(), "fleet.yaml:{proxy: {} traffic to graz-hci, graz-n1, 10.30.1.11, graz-n2 and 4 more would go through the proxy"),
            Case(around("graz-n*", "10.30.1.*"), "fleet.yaml:{bypass} traffic to graz-hci would go through"),
            Case(around("graz-*", *OWN), "fleet.yaml:{bypass} traffic to 10.30.1.100-10.30.1.110 (the infrastructure pool) would"),
            Case(around("graz-hci", "graz-n*", "10.30.1.12", "10.30.1.13", *POOL),
                 "fleet.yaml:{bypass} traffic to 10.30.1.11 would go through"),
            Case(around("graz-*", *OWN, *POOL[:-1]), "fleet.yaml:{bypass} traffic to 10.30.1.100-10.30.1.110 (the infrastructure pool)"),
            Case(around("graz-hci", "graz-n?", "10.30.1.*"), "fleet.yaml:{bypass} traffic to graz-n1, graz-n2, graz-n3 would"),
        ],
        near=[around("graz-*", "10.30.1.*"), around("GRAZ-*", "*"), around("graz-hci", "graz-n1", "graz-n2", "graz-n3", *OWN, *POOL)],
    ),
    "ARC009": Cases(
        fires=[Case(proxy("http://proxy.corp.example"), "fleet.yaml:{proxy: {} the proxy http://proxy.corp.example has no port"),
               *(Case(proxy(f"http://proxy.corp.example:{port}"), f"fleet.yaml:{{proxy: {{}} the proxy http://proxy.corp.example:{port} has a port that is no number")
                 for port in ("0", "65536", "http")),
               *(Case(proxy(url), f"fleet.yaml:{{proxy: {{}} the proxy {url} has no host that can be read")
                 for url in ("http://[::1", "http://[proxy]:8080", "http://:8080"))],
        near=[proxy("http://proxy.corp.example:1"), proxy("http://proxy.corp.example:65535")],
    ),
    "CON002": Cases(
        fires=[Case({FLEET: [(LINK, "connectivity: {mode: constrained}")]},
                    "fleet.yaml:{mode: constrained} how thin the link of a constrained site is was not said")],
        near=[{FLEET: [(LINK, "connectivity: {mode: constrained, linkMbps: 1}")]},
              {FLEET: [("connectivity: {mode: connected, linkMbps: 200}", "connectivity: {mode: connected}")]},
              {FLEET: [(LINK, "connectivity: {mode: connected}")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
