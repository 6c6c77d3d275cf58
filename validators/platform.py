"""Rules about the platform below agents: the entry, certificates, who trusts whom."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.joins import unique
from fleet.inventory.rule import Finding, Rule
from fleet.model.services import Certificates

from .agents import EVERYWHERE
from .urls import host_of

CERTIFICATES = ("platform", "certificates")


def _acme_server(site: Site, _: Inventory) -> Iterator[Finding]:
    certificates = site.spec.platform.certificates
    if certificates.issuer == "acme" and certificates.acme_server is None:
        yield Finding(
            (*CERTIFICATES, "issuer"),
            "certificates come by ACME, and no server is named",
            "add 'acmeServer: https://…'",
        )


def _public_authority(certificates: Certificates) -> str | None:
    """The host of the public certificate authority that certificates come from, if they do."""
    if certificates.issuer != "acme" or certificates.acme_server is None:
        return None
    host = host_of(certificates.acme_server) or ""
    domains = catalog.platform().public_acme
    return host if any(host == domain or host.endswith(f".{domain}") for domain in domains) else None


def _authority_in_reach(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.connectivity.mode != "disconnected":
        return
    host = _public_authority(site.spec.platform.certificates)
    if host is not None:
        yield Finding(
            (*CERTIFICATES, "acmeServer"),
            f"certificates are renewed at {host}, which a disconnected site can't reach",
            "'issuer: private-ca', or an ACME server of the site",
        )


def _renewal(site: Site, _: Inventory) -> Iterator[Finding]:
    certificates = site.spec.platform.certificates
    days, before = certificates.valid_days, certificates.renew_days_before
    if before >= days:
        if days == 1:
            better = "'validDays: 3, renewDaysBefore: 1': whole days, and a renewal before the last"
        else:
            better = f"'renewDaysBefore: {max(days // 3, 1)}', about a third of 'validDays'"
        yield Finding(
            (*CERTIFICATES, "renewDaysBefore"),
            f"certificates of {days} day{'s' if days > 1 else ''} are renewed {before} "
            f"day{'s' if before > 1 else ''} before they end, which is before they are made",
            better,
        )


def _self_signed(site: Site, _: Inventory) -> Iterator[Finding]:
    if site.spec.environment == "prod" and site.spec.platform.certificates.issuer == "self-signed":
        yield Finding(
            (*CERTIFICATES, "issuer"),
            "in production no client can verify a certificate that signs itself",
            "'issuer: private-ca'",
        )


def _mutual(site: Site, _: Inventory) -> Iterator[Finding]:
    platform = site.spec.platform
    if platform.service_auth != "mtls" or platform.mesh != "none":
        return
    host = _public_authority(platform.certificates)
    if platform.certificates.issuer == "self-signed" or host is not None:
        why = (
            f"{host} signs no names inside a cluster"
            if host
            else "a certificate that signs itself proves nothing"
        )
        yield Finding(
            ("platform", "serviceAuth"),
            f"agents and tools prove who they are by certificates, and {why}",
            "'certificates: {issuer: private-ca}', or 'serviceAuth: token'",
        )


def _read_timeout(site: Site, _: Inventory) -> Iterator[Finding]:
    ingress, agents = site.spec.platform.ingress, site.spec.agents
    if ingress is None or not agents:
        return
    patience = {
        name: agent.policies.deadline_seconds or agent.policies.timeout_seconds
        for name, agent in agents.items()
    }
    name = max(patience, key=patience.__getitem__)
    if patience[name] > ingress.read_timeout_seconds:
        yield Finding(
            ("platform", "ingress", "readTimeoutSeconds"),
            f"the ingress cuts an answer after {ingress.read_timeout_seconds} s of silence; "
            f"{name!r} may take {patience[name]} s",
            f"at least 'readTimeoutSeconds: {patience[name]}'",
        )


def _open(site: Site, _: Inventory) -> Iterator[Finding]:
    ingress = site.spec.platform.ingress
    for number, network in enumerate(ingress.allowed_cidrs if ingress else ()):
        if network.prefixlen <= EVERYWHERE and not network.is_private:
            yield Finding(
                ("platform", "ingress", "allowedCidrs", number),
                f"all of {network} may reach the site's agents",
                "the networks of those who use them",
            )


RULES = (
    Rule(
        code="PLT001",
        summary="an ingress has a host of its own",
        source="requirement B24",
        across=unique(
            "ingress",
            ("platform", "ingress", "host"),
            lambda s: (
                (s.spec.routing_domain, s.spec.platform.ingress.host) if s.spec.platform.ingress else None
            ),
            "sites that reach each other need names that differ",
        ),
    ),
    Rule(
        code="PLT002",
        summary="certificates by ACME have a server",
        source="requirement A15; cert-manager, ACME issuers: server",
        check_site=_acme_server,
    ),
    Rule(
        code="PLT003",
        summary="a disconnected site gets its certificates on site",
        source="requirements B2, M9",
        check_site=_authority_in_reach,
    ),
    Rule(
        code="PLT004",
        summary="certificates are renewed within their life",
        source="requirement Q6; cert-manager, Certificate: renewBefore is shorter than duration",
        check_site=_renewal,
    ),
    Rule(
        code="PLT005",
        summary="clients can verify the certificates of production",
        source="requirements B4, B5",
        severity="warning",
        check_site=_self_signed,
    ),
    Rule(
        code="PLT006",
        summary="certificates between agents and tools are signed by an authority that both trust",
        source="requirement B9; CA/Browser Forum, Baseline Requirements 4.2.2 (no internal names)",
        check_site=_mutual,
    ),
    Rule(
        code="PLT007",
        summary="the ingress waits as long as an agent may take",
        source="requirements D23, M14",
        severity="warning",
        check_site=_read_timeout,
    ),
    Rule(
        code="PLT008",
        summary="the ingress is not open to everyone",
        source="requirements B24, P1",
        severity="warning",
        check_site=_open,
    ),
)
