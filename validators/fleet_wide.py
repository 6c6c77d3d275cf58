"""Rules about names that only one site may have."""

from fleet.inventory.inventory import Site
from fleet.inventory.joins import Key, unique
from fleet.inventory.rule import Rule


def _group(site: Site) -> Key:
    return (site.spec.azure.subscription, site.spec.azure.resource_group.lower())


RULES = (
    Rule(
        code="FLT001",
        summary="a cluster's name is used once in a resource group",
        source="Azure Resource Manager: a resource's id",
        across=unique(
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
        across=unique(
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
        across=unique(
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
        across=unique(
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
        across=unique(
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
        across=unique(
            "custom location",
            ("azureLocal", "customLocation"),
            lambda s: (*_group(s), s.spec.azure_local.custom_location),
            "rename one of them",
        ),
    ),
)
