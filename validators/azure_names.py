"""Rules about names that Azure and the domain take, and about what is written on resources."""

import re
from collections.abc import Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path
from fleet.model.azure_local import SecuritySettings

_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+"
)
_ON = tuple(
    (name, field.alias or name)
    for name, field in SecuritySettings.model_fields.items()
    if field.default is True
)
"""Security settings that are on unless said otherwise: the attribute and the key."""


def _security(site: Site, _: Inventory) -> Iterator[Finding]:
    security = site.spec.azure_local.security
    for name, key in _ON:
        if getattr(security, name) is False:
            yield Finding(
                ("azureLocal", "security", key),
                f"the security setting {key} is switched off",
                f"'{key}: true', as Microsoft deploys it",
            )


def _domain(site: Site, _: Inventory) -> Iterator[Finding]:
    domain = site.spec.azure_local.domain_fqdn
    if not _DOMAIN.fullmatch(domain.lower()):
        yield Finding(
            ("azureLocal", "domainFqdn"),
            f"{domain!r} is no full name of a domain",
            "such as corp.example: two or more labels of letters, digits and hyphens",
        )


def _unit_in_domain(site: Site, _: Inventory) -> Iterator[Finding]:
    local = site.spec.azure_local
    unit = local.ou_path
    if local.identity_provider != "ActiveDirectory" or not unit.upper().startswith("OU="):
        return  # AZL007 says it
    if not _DOMAIN.fullmatch(local.domain_fqdn.lower()):
        return  # AZL023 says it
    parts = [part.strip() for part in unit.split(",")]
    domain = ".".join(part[3:] for part in parts if part.upper().startswith("DC="))
    if domain.lower() != local.domain_fqdn.lower():
        wanted = ",".join(f"DC={label}" for label in local.domain_fqdn.split("."))
        yield Finding(
            ("azureLocal", "ouPath"),
            f"the organisational unit is in {domain or 'no domain'}, the machines are in {local.domain_fqdn}",
            f"end it with {wanted}",
        )


def _reserved(site: Site, _: Inventory) -> Iterator[Finding]:
    local, words = site.spec.azure_local, catalog.azure_local().reserved_names
    names: list[tuple[str, str, Path]] = [("key vault", local.key_vault, ("azureLocal", "keyVault"))]
    if local.witness is not None:
        account = local.witness.storage_account
        names.append(("storage account", account, ("azureLocal", "witness", "storageAccount")))
    for what, name, path in names:
        low = name.lower()
        word = (
            low
            if low in words.whole
            else next((w for w in words.start if low.startswith(w)), None)
            or next((w for w in words.anywhere if w in low), None)
        )
        if word is not None:
            yield Finding(
                path,
                f"the {what}'s name {name!r} has the reserved word {word!r}",
                "choose a name without it",
            )


def _tags(site: Site, _: Inventory) -> Iterator[Finding]:
    tags = site.spec.azure.tags
    if not tags:
        return
    limits, path = catalog.azure_local().tags, ("azure", "tags")
    if len(tags) > limits.most:
        yield Finding(
            path, f"{len(tags)} tags; a resource has at most {limits.most}", "keep those that are charged by"
        )
    first: dict[str, str] = {}
    for name, value in tags.items():
        low, at = name.lower(), (*path, name)
        refused = next((sign for sign in name if sign in limits.refused), None)
        prefix = next((p for p in limits.reserved_prefixes if low.startswith(p)), None)
        if not 1 <= len(name) <= limits.name_max:
            yield Finding(
                at,
                f"a tag's name has {len(name)} characters; a storage account takes 1 to {limits.name_max}",
                "shorten it" if name else "name it",
            )
        elif refused is not None:
            yield Finding(at, f"the tag {name!r} has {refused!r} in its name", "use - or _ instead")
        elif prefix is not None:
            yield Finding(at, f"the tag {name!r} begins with {prefix!r}, which Azure keeps", "rename it")
        elif low in first:
            yield Finding(
                at, f"the tags {first[low]!r} and {name!r} are the same to Azure", "remove one of them"
            )
        first.setdefault(low, name)
        if len(value) > limits.value_max:
            yield Finding(
                at,
                f"the tag {name!r} has a value of {len(value)} characters; at most {limits.value_max}",
                "shorten it",
            )


RULES = (
    Rule(
        code="AZL022",
        summary="Azure Local's security settings are on",
        source="facts 1.4, securitySettings",
        severity="warning",
        check_site=_security,
    ),
    Rule(
        code="AZL023",
        summary="the machines' domain is a full name",
        source="facts 1.4, domainFqdn; RFC 1123",
        check_site=_domain,
    ),
    Rule(
        code="AZL024",
        summary="the organisational unit is in the machines' domain",
        source="facts 1.2, row 0; 1.4, adouPath",
        check_site=_unit_in_domain,
    ),
    Rule(
        code="AZL025",
        summary="names with an endpoint have no reserved word",
        source="Azure Resource Manager: error-reserved-resource-name",
        check_site=_reserved,
    ),
    Rule(
        code="AZL026",
        summary="tags are such as Azure takes",
        source="Azure Resource Manager: tag-resources; requirement A24",
        check_site=_tags,
    ),
)
