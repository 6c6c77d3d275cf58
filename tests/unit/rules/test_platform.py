"""Rules about the platform below agents. Every site has an ingress; certificates come from a private authority."""

from tests.unit.rules.cases import GRAZ, NARVIK, Case, Cases, Edits, rule_tests

HOST = "agents.graz.factory.example"


def ingress(text: str, more: str = "") -> Edits:
    """Graz, with more said about its ingress, and about other things."""
    return {GRAZ: [(f"host: {HOST}", f"host: {HOST}, {text}"), ("", more)]}


def certificates(text: str, more: str = "", site: str = GRAZ) -> Edits:
    """A site with more said about its certificates, and about its platform."""
    return {site: [("platform: {", f"platform: {{certificates: {{{text}}}, {more}")]}


CASES = {
    "PLT001": Cases(
        fires=[Case({NARVIK: [("agents.narvik", "agents.graz")]}, "sites/narvik.yaml:{agents.graz} narvik's ingress 'agents.graz.factory.example' is graz's already")],
        near=[{NARVIK: [("agents.narvik", "agents.bergen")]}, {NARVIK: [("agents.narvik", "agents.graz"), ("", "routingDomain: sea\n")]}],
    ),
    "PLT002": Cases(
        fires=[Case(certificates("issuer: acme"), "sites/graz.yaml:{acme} certificates come by ACME, and no server is named")],
        near=[certificates("issuer: acme, acmeServer: 'https://ca.factory.example/acme'"), certificates("issuer: private-ca")],
    ),
    "PLT003": Cases(
        fires=[Case(certificates("issuer: acme, acmeServer: 'https://acme-v02.api.letsencrypt.org/directory'", site=NARVIK),
                    "sites/narvik.yaml:{acme-v02} certificates are renewed at acme-v02.api.letsencrypt.org, which a disconnected site can't reach")],
        near=[certificates("issuer: acme, acmeServer: 'https://ca.notletsencrypt.org/acme'", site=NARVIK),
              certificates("issuer: acme, acmeServer: 'https://[acme-v02.api.letsencrypt.org/directory'", site=NARVIK),
              certificates("issuer: acme, acmeServer: 'https://acme-v02.api.letsencrypt.org/directory'")],
    ),
    "PLT004": Cases(
        fires=[Case(certificates("validDays: 30"), "sites/graz.yaml:{validDays} certificates of 30 days are renewed 30 days before they end", help="'renewDaysBefore: 10'"),
               Case(certificates("validDays: 2, renewDaysBefore: 2"), "sites/graz.yaml:{validDays} certificates of 2 days are renewed 2 days", help="'renewDaysBefore: 1'"),
               Case(certificates("validDays: 1, renewDaysBefore: 1"), "sites/graz.yaml:{validDays} certificates of 1 day are renewed 1 day before",
                    help="'validDays: 3, renewDaysBefore: 1'")],
        near=[certificates("validDays: 3, renewDaysBefore: 1"), certificates("validDays: 2, renewDaysBefore: 1"), certificates("validDays: 31"), certificates("validDays: 30, renewDaysBefore: 29")],
    ),
    "PLT005": Cases(
        fires=[Case(certificates("issuer: self-signed"), "sites/graz.yaml:{self-signed} in production no client can verify a certificate that signs itself")],
        near=[certificates("issuer: private-ca"), {GRAZ: [*certificates("issuer: self-signed")[GRAZ], ("", "environment: test\n")]}],
    ),
    "PLT006": Cases(
        fires=[Case(certificates("issuer: self-signed", "serviceAuth: mtls, "), "sites/graz.yaml:{serviceAuth} agents and tools prove who they are by certificates, and a certificate that signs itself",
                    also=("PLT005",)),
               Case(certificates("issuer: acme, acmeServer: 'https://acme.zerossl.com/v2/DV90'", "serviceAuth: mtls, "),
                    "sites/graz.yaml:{serviceAuth} agents and tools prove who they are by certificates, and acme.zerossl.com signs no names inside a cluster")],
        near=[certificates("issuer: private-ca", "serviceAuth: mtls, "), certificates("issuer: self-signed", "serviceAuth: mtls, mesh: istio, "),
              certificates("issuer: acme, acmeServer: 'https://ca.factory.example/acme'", "serviceAuth: mtls, ")],
    ),
    "PLT007": Cases(
        fires=[Case(ingress("readTimeoutSeconds: 29"), "sites/graz.yaml:{readTimeoutSeconds} the ingress cuts an answer after 29 s of silence; 'maf-agent-api' may take 30 s",
                    help="at least 'readTimeoutSeconds: 30'"),
               Case(ingress("readTimeoutSeconds: 119", "agents: {maf-agent-api: {policies: {deadlineSeconds: 120}}}\n"),
                    "sites/graz.yaml:{readTimeoutSeconds} the ingress cuts an answer after 119 s of silence; 'maf-agent-api' may take 120 s")],
        near=[ingress("readTimeoutSeconds: 30"), ingress("readTimeoutSeconds: 120", "agents: {maf-agent-api: {policies: {deadlineSeconds: 120}}}\n")],
    ),
    "PLT008": Cases(
        fires=[Case(ingress("allowedCidrs: [10.0.0.0/8, 0.0.0.0/0]"), "sites/graz.yaml:{allowedCidrs} all of 0.0.0.0/0 may reach the site's agents"),
               Case(ingress("allowedCidrs: [128.0.0.0/8]"), "sites/graz.yaml:{allowedCidrs} all of 128.0.0.0/8 may reach")],
        near=[ingress("allowedCidrs: [10.0.0.0/8]"), ingress("allowedCidrs: [128.0.0.0/9]")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
