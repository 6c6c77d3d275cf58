"""Rules about how a site reaches what it needs."""

from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean


def _sources_on_site(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    mode = spec.connectivity.mode
    if mode == "connected":
        return
    for key, value in (("registry", spec.registry), ("modelCache", spec.model_cache)):
        if value is None:
            yield Finding(
                ("connectivity", "mode"),
                f"a {mode} site needs a {key} of its own",
                f"add '{key}:' to the site or its profile",
            )


def _no_link(site: Site, _: Inventory) -> Iterator[Finding]:
    connectivity = site.spec.connectivity
    if connectivity.mode != "disconnected":
        return
    for key, said in (
        ("linkMbps", connectivity.link_mbps is not None),
        ("rateLimitMbps", connectivity.rate_limit_mbps is not None),
        ("windows", bool(connectivity.windows)),
        ("private", connectivity.private),
    ):
        if said:
            yield Finding(
                ("connectivity", key),
                f"{key} describes a link, and a disconnected site has none",
                "remove it, or say 'mode: constrained'",
            )


def _rate_limit(site: Site, _: Inventory) -> Iterator[Finding]:
    connectivity = site.spec.connectivity
    limit, link = connectivity.rate_limit_mbps, connectivity.link_mbps
    if limit is not None and link is not None and limit > link:
        yield Finding(
            ("connectivity", "rateLimitMbps"),
            f"mirroring may take {limit} Mbit/s of a link that has {link}",
            f"'rateLimitMbps: {link}' is the whole link",
        )


def _windows_have_a_zone(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.connectivity.windows and spec.maintenance is None:
        yield Finding(
            ("connectivity", "windows"),
            "the link's windows are in maintenance.timeZone, which is not said",
            "add 'maintenance: {timeZone: …, windows: …}'",
        )


def _time_zone(site: Site, _: Inventory) -> Iterator[Finding]:
    maintenance = site.spec.maintenance
    if maintenance is not None and maintenance.time_zone not in catalog.time_zones():
        yield Finding(
            ("maintenance", "timeZone"),
            f"there is no time zone {maintenance.time_zone!r}",
            did_you_mean(maintenance.time_zone, catalog.time_zones()),
        )


def _blackouts(site: Site, _: Inventory) -> Iterator[Finding]:
    maintenance = site.spec.maintenance
    for number, blackout in enumerate(maintenance.blackouts if maintenance else ()):
        if blackout.end < blackout.start:  # ISO dates sort as text
            yield Finding(
                ("maintenance", "blackouts", number, "end"),
                f"the blackout ends on {blackout.end}, before it starts on {blackout.start}",
                "swap them",
            )


def _secret_store(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.connectivity.mode == "disconnected" and spec.platform.secret_store.kind == "key-vault":
        yield Finding(
            ("platform", "secretStore", "kind"),
            "a disconnected site has no Azure extension that brings secrets from Key Vault",
            "'kind: sops-age' or 'kind: kubernetes'",
        )


def _azure_policy(site: Site, _: Inventory) -> Iterator[Finding]:
    spec = site.spec
    if spec.connectivity.mode == "disconnected" and spec.platform.policies.admission == "azure-policy":
        yield Finding(
            ("platform", "policies", "admission"),
            "a disconnected site has no Azure extension for policies",
            "'admission: gatekeeper' or 'admission: kyverno'",
        )


RULES = (
    Rule(
        code="CON001",
        summary="a constrained or disconnected site has its own registry and model cache",
        source="requirement A5",
        check_site=_sources_on_site,
    ),
    Rule(
        code="CON003",
        summary="a disconnected site has no link to describe",
        source="requirement A4",
        severity="warning",
        check_site=_no_link,
    ),
    Rule(
        code="CON004",
        summary="mirroring takes no more than the link has",
        source="requirement A4",
        check_site=_rate_limit,
    ),
    Rule(
        code="CON005",
        summary="windows of the link are in a time zone that is said",
        source="requirements A4, I4",
        check_site=_windows_have_a_zone,
    ),
    Rule(
        code="CON006",
        summary="the time zone is one of IANA's",
        source="IANA time zone database; requirements A4, N9",
        check_site=_time_zone,
    ),
    Rule(
        code="CON007",
        summary="a blackout starts before it ends",
        source="requirements A4, N9",
        check_site=_blackouts,
    ),
    Rule(
        code="CON008",
        summary="a disconnected site takes no secrets from Azure's Key Vault",
        source="facts 1.10 (no Arc extensions on AKS), 2.5 (microsoft.azure.secretstore); requirement M9",
        check_site=_secret_store,
    ),
    Rule(
        code="CON009",
        summary="a disconnected site takes no policies from Azure",
        source="facts 1.10 (no Arc extensions on AKS), 2.5 (Microsoft.PolicyInsights); requirement B2",
        check_site=_azure_policy,
    ),
)
