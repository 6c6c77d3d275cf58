"""Rules about what the sites of a fleet share: a domain, a tenant, environments, gateways."""

from collections import Counter
from collections.abc import Iterable, Iterator

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.joins import Key, one_site_each, unique
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts, Rule
from fleet.inventory.source import Path


def _computers(site: Site) -> Iterable[tuple[Path, Key]]:
    local = site.spec.azure_local
    if local.identity_provider != "ActiveDirectory":
        return
    domain = local.domain_fqdn.lower()
    yield ("azureLocal", "clusterName"), (domain, local.cluster_name.lower())
    for number, node in enumerate(local.nodes):
        yield ("azureLocal", "nodes", number, "name"), (domain, node.name.lower())


def _unit(site: Site) -> Key | None:
    local = site.spec.azure_local
    if local.identity_provider != "ActiveDirectory" or not local.ou_path:
        return None
    return (local.domain_fqdn.lower(), local.ou_path.lower())


def _group_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    azure = site.spec.azure
    yield (azure.subscription, azure.resource_group.lower(), site.spec.environment)


def _shared_group(fleet: FleetFacts) -> Iterator[Finding]:
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for site, (subscription, group, environment) in fleet.rows:
        owner, other = first.setdefault((subscription, group), (site, environment))
        if other != environment:
            yield Finding(
                ("azure", "resourceGroup"),
                f"{site} is a site of {environment} in the resource group {group!r}, "
                f"which {owner} of {other} is in too",
                "a resource group for each environment: rights are given by group",
                site=site,
                others=(owner,),
            )


def _admin_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    for number, group in enumerate(site.spec.kubernetes.admin_groups):
        yield (group, site.spec.environment, number)


def _shared_admins(fleet: FleetFacts) -> Iterator[Finding]:
    production = {
        group: site for site, (group, environment, _) in reversed(fleet.rows) if environment == "prod"
    }
    for site, (group, environment, number) in fleet.rows:
        if environment != "prod" and group in production:
            yield Finding(
                ("kubernetes", "adminGroups", number),
                f"who administers {site}, a site of {environment}, administers production too",
                "a group for each environment",
                site=site,
                others=(production[group],),
            )


def _tenant_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    yield (site.spec.azure.tenant,)


def _one_tenant(fleet: FleetFacts) -> Iterator[Finding]:
    tenants = Counter(tenant for _, (tenant,) in fleet.rows)
    if len(tenants) < 2:
        return
    usual = max(tenants, key=lambda tenant: (tenants[tenant], tenant))
    example = next(site for site, (tenant,) in fleet.rows if tenant == usual)
    for site, (tenant,) in fleet.rows:
        if tenant != usual:
            yield Finding(
                ("azure", "tenant"),
                f"{site} is in the tenant {tenant}; most sites are in {usual}",
                "check it with: az account show --query tenantId; two tenants are better two fleets",
                site=site,
                others=(example,),
            )


def _gateway_facts(site: Site, _: Inventory) -> Iterator[Fact]:
    gateway = site.spec.connectivity.arc_gateway_id
    if gateway is not None:
        # Each machine, and the cluster's resource in Arc.
        yield (gateway.lower(), len(site.spec.azure_local.nodes) + 1)


GATEWAY: Path = ("connectivity", "arcGatewayId")


def _gateway_resources(fleet: FleetFacts) -> Iterator[Finding]:
    most, there = catalog.operating().arc_gateway_resources_max, Counter[str]()
    for site, (gateway, resources) in fleet.rows:
        before = there[gateway]
        there[gateway] += resources
        if before <= most < there[gateway]:
            yield Finding(
                GATEWAY,
                f"with {site} more than {most} resources go through {gateway.rpartition('/')[2]!r}",
                "a second gateway, for sites that are not deployed yet: it can't be changed later",
                site=site,
            )


def _gateways(fleet: FleetFacts) -> Iterator[Finding]:
    most = catalog.operating().arc_gateways_max
    there: dict[str, set[str]] = {}
    for site, (gateway, _) in fleet.rows:
        subscription = gateway.partition("/resourcegroups/")[0]
        known = there.setdefault(subscription, set())
        if gateway not in known:
            known.add(gateway)
            if len(known) == most + 1:
                yield Finding(
                    GATEWAY,
                    f"{site} names Arc gateway number {most + 1} of a subscription, which can have {most}",
                    "share gateways between sites, or use another subscription",
                    site=site,
                )


RULES = (
    Rule(
        code="FLT009",
        summary="a name belongs to one computer of an Active Directory domain",
        source="facts 1.4 (physicalNodes), 1.7 (cluster (AD)): machines and clusters are computer accounts",
        across=one_site_each(
            "computer account",
            _computers,
            "rename one of them: the domain knows computers by their name alone",
        ),
    ),
    Rule(
        code="FLT010",
        summary="each cluster has an organisational unit of its own",
        source="learn.microsoft.com, azure-local/deploy/deployment-prep-active-directory: a dedicated OU",
        severity="warning",
        across=unique(
            "organisational unit",
            ("azureLocal", "ouPath"),
            _unit,
            "make one for each: rights and policies are set on the unit as a whole",
        ),
    ),
    Rule(
        code="FLT011",
        summary="sites of different environments share no resource group",
        source="requirement A23",
        across=Across(_shared_group, _group_facts),
    ),
    Rule(
        code="FLT012",
        summary="who administers dev or test does not administer production",
        source="requirements A23, B14",
        severity="warning",
        across=Across(_shared_admins, _admin_facts),
    ),
    Rule(
        code="FLT013",
        summary="the sites of a fleet are in one tenant",
        source="requirement B17",
        severity="warning",
        across=Across(_one_tenant, _tenant_facts),
    ),
    Rule(
        code="FLT014",
        summary="no more resources go through an Arc gateway than it takes",
        source="facts 2.3: ~1000 resources a gateway",
        severity="warning",
        across=Across(_gateway_resources, _gateway_facts),
    ),
    Rule(
        code="FLT015",
        summary="a subscription has no more Arc gateways than it can have",
        source="facts 2.3: at most 5 gateways a subscription",
        across=Across(_gateways, _gateway_facts),
    ),
)
