"""TLS: who signs, a certificate for each name that is served, and the bundle by which the others trust it."""

from collections.abc import Iterator
from typing import NamedTuple

from fleet.model.site import SiteSpec
from fleet.render.controllers import Controller, image, replicas_of
from fleet.render.section import Section
from fleet.render.templating import render_template

ISSUER = "fleet"
"""The ClusterIssuer that signs names inside the cluster."""
PUBLIC_ISSUER = "fleet-acme"
"""The ClusterIssuer of the ingress' name with ACME, whose servers sign no names inside a cluster."""
AUTHORITY = "fleet-ca"
"""The authority's Secret in `cert-manager`, and the ConfigMap with what to trust in each namespace below."""
TRUSTING = ("agents", "platform", "tools")
"""Namespaces that get the ConfigMap `fleet-ca` with the key `ca-bundle.crt`."""
INGRESS_SECRET = "ingress-tls"  # noqa: S105 - the name of one


class Name(NamedTuple):
    """A certificate: `secret` in `namespace` with the key for `names`."""

    namespace: str
    secret: str
    names: tuple[str, ...]
    issuer: str = ISSUER


def controllers(spec: SiteSpec) -> Iterator[Controller]:
    """cert-manager and trust-manager, on sites where no extension of Azure brings them (facts 2.5)."""
    if spec.connectivity.mode != "disconnected":
        return

    def jetstack(name: str, component: str = "cert-manager") -> dict[str, str]:
        return image(spec, component, f"quay.io/jetstack/{name}")

    replicas = replicas_of(spec)
    yield Controller(
        "cert-manager",
        "cert-manager",
        {
            "crds": {"enabled": True, "keep": True},
            "replicaCount": replicas,
            "image": jetstack("cert-manager-controller"),
            "webhook": {"replicaCount": replicas, "image": jetstack("cert-manager-webhook")},
            "cainjector": {"replicaCount": replicas, "image": jetstack("cert-manager-cainjector")},
            "acmesolver": {"image": jetstack("cert-manager-acmesolver")},
            "startupapicheck": {"enabled": False},
        },
    )
    yield Controller(
        "trust-manager",
        "cert-manager",
        {
            "crds": {"enabled": True, "keep": True},
            "replicaCount": replicas,
            "image": jetstack("trust-manager", "trust-manager"),
            "app": {"trust": {"namespace": "cert-manager"}},
            # Agents trust the site's own authority and no other.
            "defaultPackage": {"enabled": False},
        },
        after=("cert-manager",),
    )


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `certificates`: issuers, certificates by namespace, the bundle."""
    issuers = render_template(
        "platform/issuers.yaml.j2",
        certificates=spec.platform.certificates,
        issuer=ISSUER,
        public_issuer=PUBLIC_ISSUER,
        authority=AUTHORITY,
        ingress=spec.platform.ingress,
    )
    trust = render_template("platform/trust.yaml.j2", authority=AUTHORITY, namespaces=TRUSTING)
    files = {"issuers.yaml": issuers, "trust.yaml": trust}
    wanted = names(spec)
    if wanted:
        hours = {"valid": 24 * spec.platform.certificates.valid_days}
        hours["renewed"] = 24 * spec.platform.certificates.renew_days_before
        files["certificates.yaml"] = render_template(
            "platform/certificates.yaml.j2", names=wanted, hours=hours
        )
    yield Section("certificates", "platform/certificates", files, ("platform", "controllers", "secrets"))


def names(spec: SiteSpec) -> tuple[Name, ...]:
    """What gets a certificate: served models and tools under the names of their Services, agents with
    `serviceAuth: mtls`, and the ingress.

    What Foundry Local's Arc extension runs has its own (facts 3.3); the gateway before it is ours.
    """
    agents = spec.agents if spec.platform.service_auth == "mtls" else ()
    found = [
        Name(namespace, f"{name}-tls", _service_names(name, namespace))
        for namespace, some in (("platform", spec.inference), ("tools", spec.tools), ("agents", agents))
        for name in some
    ]
    if spec.platform.ingress is not None and spec.agents:
        public = spec.platform.certificates.issuer == "acme"
        issuer = PUBLIC_ISSUER if public else ISSUER
        found.append(Name("agents", INGRESS_SECRET, (spec.platform.ingress.host,), issuer))
    return tuple(found)


def _service_names(name: str, namespace: str) -> tuple[str, ...]:
    return (f"{name}.{namespace}.svc.cluster.local", f"{name}.{namespace}.svc", f"{name}.{namespace}", name)
