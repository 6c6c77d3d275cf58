"""Rules about names that only one site may have."""

from collections.abc import Callable, Iterator

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.source import Path

Name = tuple[str, ...]


def unique(
    what: str, path: Path, name_of: Callable[[Site], Name | None], why: str
) -> Callable[[Inventory], Iterator[Finding]]:
    """A check that no two sites give the same name; `name_of` gives it behind the scope of its uniqueness."""

    def check(inventory: Inventory) -> Iterator[Finding]:
        first: dict[Name, str] = {}
        for site in inventory.sites:
            name = name_of(site)
            if name is None:
                continue
            if name in first:
                yield Finding(
                    path, f"{site.name}'s {what} {name[-1]!r} is {first[name]}'s already", why, site=site.name
                )
            first.setdefault(name, site.name)

    return check


def _group(site: Site) -> Name:
    return (site.spec.azure.subscription, site.spec.azure.resource_group.lower())


RULES = (
    Rule(
        code="FLT001",
        summary="a cluster's name is used once in a resource group",
        source="Azure Resource Manager: a resource's id",
        check_fleet=unique(
            "cluster",
            ("azureLocal", "clusterName"),
            lambda s: (*_group(s), s.spec.azure_local.cluster_name.lower()),
            "rename one of them",
        ),
    ),
    Rule(
        code="FLT002",
        summary="an AKS cluster's name is used once in a resource group",
        source="Azure Resource Manager: a resource's id",
        check_fleet=unique(
            "AKS cluster",
            ("kubernetes", "name"),
            lambda s: (*_group(s), s.spec.kubernetes.name),
            "rename one of them",
        ),
    ),
    Rule(
        code="FLT003",
        summary="a key vault belongs to one site",
        source="facts 1.5: secrets are named by cluster; a vault's name is unique in all of Azure",
        check_fleet=unique(
            "key vault",
            ("azureLocal", "keyVault"),
            lambda s: (s.spec.azure_local.key_vault.lower(),),
            "its name is unique in all of Azure",
        ),
    ),
    Rule(
        code="FLT004",
        summary="a witness storage account belongs to one site",
        source="Azure Storage: an account's name is unique in all of Azure",
        check_fleet=unique(
            "witness",
            ("azureLocal", "witness", "storageAccount"),
            lambda s: (s.spec.azure_local.witness.storage_account,) if s.spec.azure_local.witness else None,
            "its name is unique in all of Azure",
        ),
    ),
    Rule(
        code="FLT005",
        summary="a site's own registry is its own",
        source="requirement A5",
        check_fleet=unique(
            "registry",
            ("registry", "host"),
            lambda s: (s.spec.registry.host,) if s.spec.registry else None,
            "give each site's a name of its own",
        ),
    ),
    Rule(
        code="FLT006",
        summary="a custom location's name is used once in a resource group",
        source="Azure Resource Manager: a resource's id",
        check_fleet=unique(
            "custom location",
            ("azureLocal", "customLocation"),
            lambda s: (*_group(s), s.spec.azure_local.custom_location),
            "rename one of them",
        ),
    ),
)
