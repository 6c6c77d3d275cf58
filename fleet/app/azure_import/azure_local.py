"""From an Azure Local cluster and its deployment settings to the fields of a site. Pure.

The shapes are Microsoft's type definitions at the API versions of fleet/catalog/azure.yaml; what each field
is sent as stands in stacks/deployment_settings.py.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from fleet.app.azure_import.body import Body
from fleet.app.azure_import.reading import FLEETS_TAGS, Teller, only, shown
from fleet.inventory.source import Path


def read_azure_local(site: Teller) -> str | None:
    """Tell what the cluster says; the id of the custom location that its deployment makes."""
    _envelope(site)
    return _deployment(site)


def _envelope(site: Teller) -> None:
    out, cluster = site.out, site.cluster
    tags = cluster.get("tags")
    out.tags = {k: v for k, v in (tags or {}).items() if isinstance(v, str)} if isinstance(tags, dict) else {}
    site.tell(out.subscription.lower(), "azure", "subscription")
    site.tell(out.group, "azure", "resourceGroup")
    region = cluster.text("location")
    site.tell(region and region.replace(" ", "").lower(), "azure", "region")
    site.tell(out.cluster, "azureLocal", "clusterName")
    tenant = cluster.text("properties", "aadTenantId")
    if tenant:
        site.tell(tenant.lower(), "azure", "tenant")
    principal = cluster.text("properties", "resourceProviderObjectId")
    site.tell(principal and principal.lower(), "azure", "hciResourceProviderObjectId")
    cluster.get("properties", "clusterPattern")  # the deployment's own is asked
    if out.fleets:
        site.tell(out.tags.get("environment"), "environment")
    others = {key: value for key, value in out.tags.items() if not (out.fleets and key in FLEETS_TAGS)}
    site.tell(others, "azure", "tags")


def _deployment(site: Teller) -> str | None:
    """The deployment's settings; the id of the custom location that it makes."""
    found = site.azure.find(f"{site.cluster.id}/deploymentSettings/default")
    settings = site.use(found)
    if settings is None:
        site.out.notes.append("the cluster has no deployment settings: it is not deployed yet")
        for name in ("namingPrefix", "domainFqdn", "nodes", "management", "infraPool", "intents"):
            site.out.untold["azureLocal", name] = "the cluster has no deployment settings yet"
        return None
    state = settings.get("properties", "provisioningState")
    mode = settings.get("properties", "deploymentMode")
    if mode != "Deploy" or state != "Succeeded":
        site.out.notes.append(f"half deployed: the phase {shown(mode)} is {shown(state)}")
    if settings.count("properties", "deploymentConfiguration", "scaleUnits") > 1:
        site.out.notes.append("the cluster has more than one scale unit; the first is read")
    _deployment_data(site, settings)
    _machines(site, settings)
    name = site.out.told.get("azureLocal", {}).get("customLocation")
    return site.in_group("Microsoft.ExtendedLocation/customLocations", name) if name else None


def _deployment_data(site: Teller, settings: Body) -> None:
    at: Path = ("properties", "deploymentConfiguration", "scaleUnits", 0, "deploymentData")

    def local(value: Any, *path: str) -> None:
        site.tell(value, "azureLocal", *path)

    provider = settings.text(*at, "identityProvider")
    local(provider, "identityProvider")
    local(settings.text(*at, "namingPrefix"), "namingPrefix")
    local(settings.text(*at, "domainFqdn"), "domainFqdn")
    local(settings.text(*at, "adouPath"), "ouPath")
    local(settings.flag(*at, "observability", "euLocation"), "euLocation")
    for name in ("streamingDataClient", "episodicDataUpload"):
        settings.get(*at, "observability", name)  # follows from the connectivity mode (stacks)
    cluster_name = settings.text(*at, "cluster", "name")
    if cluster_name and cluster_name.lower() != site.out.cluster.lower():
        site.out.notes.append(f"the cluster calls itself {shown(cluster_name)}; fleet has one name for both")
    pattern = (settings.text(*at, "cluster", "clusterPattern") or "").lower()
    hardware = (settings.text(*at, "cluster", "hardwareClass") or "").lower()
    if pattern == "rackaware":
        local("rack-aware", "pattern")
    elif pattern == "standard" and hardware:  # without it, either
        local("low-capacity" if hardware == "small" else "standard", "pattern")
    elif pattern not in ("", "standard"):
        local(pattern, "pattern")
    _witness(site, settings, at)
    security = settings.get(*at, "securitySettings")
    for name in security if isinstance(security, dict) else ():
        local(settings.flag(*at, "securitySettings", name), "security", name)
    _infrastructure(site, settings, (*at, "infrastructureNetwork", 0))
    zones = _zones(settings.items(*at, "localAvailabilityZones"))
    nodes = [
        only(name=node.get("name"), ip=node.get("ipv4Address"), zone=zones.get(str(node.get("name"))))
        for node in settings.items(*at, "physicalNodes")
    ]
    local(nodes or None, "nodes")
    _host_network(site, settings, (*at, "hostNetwork"))
    local(settings.text(*at, "optionalServices", "customLocation"), "customLocation")
    vaults = {
        match[1]
        for secret in settings.items(*at, "secrets")
        if (match := re.match(r"https://([^./]+)\.", str(secret.get("secretLocation"))))
    }
    for vault in sorted(vaults)[:1]:
        local(vault, "keyVault")
        known = [
            v
            for v in site.azure.of_type("Microsoft.KeyVault/vaults")
            if Body(v).name.lower() == vault.lower()
        ]
        for body in known:
            site.out.used.add(body["id"].lower())
            site.elsewhere("the key vault", body["id"], site.in_group("Microsoft.KeyVault/vaults", vault))
            tenant = Body(body).text("properties", "tenantId")
            if tenant and not site.out.told["azure"].get("tenant"):
                site.tell(tenant.lower(), "azure", "tenant")
    if len(vaults) > 1:
        site.out.notes.append(f"the secrets are in several key vaults: {shown(sorted(vaults))}")


def _witness(site: Teller, settings: Body, at: Path) -> None:
    kind = settings.text(*at, "cluster", "witnessType")
    account = settings.text(*at, "cluster", "cloudAccountName")
    settings.get(*at, "cluster", "azureServiceEndpoint")  # follows from the cloud (catalog, `clouds`)
    if account:
        site.tell({"storageAccount": account}, "azureLocal", "witness")
        kind_of_account = "Microsoft.Storage/storageAccounts"
        for body in site.azure.of_type(kind_of_account):
            if Body(body).name.lower() == account.lower():
                site.out.used.add(body["id"].lower())
                site.elsewhere("the witness", body["id"], site.in_group(kind_of_account, account))
    elif kind and kind.lower() != "cloud":
        site.out.notes.append(
            f"the witness is of the kind {shown(kind)}; the inventory knows cloud witnesses"
        )
    elif site.out.told["azure"].get("region") != "autonomous":
        # A disconnected site gets none whatever its inventory says (stacks/deployment_settings.py).
        site.none("azureLocal", "witness")


def _infrastructure(site: Teller, settings: Body, at: Path) -> None:
    if settings.count(*at[:-1]) > 1 or settings.count(*at, "ipPools") > 1:
        site.out.notes.append("more than one infrastructure network or pool; the first is read")
    gateway, mask = settings.text(*at, "gateway"), settings.text(*at, "subnetMask")
    try:
        cidr: str | None = str(IPv4Network(f"{gateway}/{mask}", strict=False))
    except ValueError:
        cidr = None
        site.out.untold["azureLocal", "management", "cidr"] = "its gateway and mask make no network"
    site.tell(cidr, "azureLocal", "management", "cidr")
    site.tell(gateway, "azureLocal", "management", "gateway")
    site.tell(settings.texts(*at, "dnsServers"), "azureLocal", "management", "dns")
    start = settings.text(*at, "ipPools", 0, "startingAddress")
    end = settings.text(*at, "ipPools", 0, "endingAddress")
    if start and end:
        site.tell({"start": start, "end": end}, "azureLocal", "infraPool")


def _host_network(site: Teller, settings: Body, at: Path) -> None:
    intents = [
        {
            "name": settings.text(*at, "intents", n, "name"),
            "traffic": settings.texts(*at, "intents", n, "trafficType"),
            "adapters": settings.texts(*at, "intents", n, "adapter"),
        }
        for n in range(settings.count(*at, "intents"))
    ]
    if intents:
        site.tell(intents, "azureLocal", "intents")
    networks = [
        {
            "name": settings.text(*at, "storageNetworks", n, "name"),
            "adapter": settings.text(*at, "storageNetworks", n, "networkAdapterName"),
            "vlan": settings.number(*at, "storageNetworks", n, "vlanId"),
        }
        for n in range(settings.count(*at, "storageNetworks"))
    ]
    site.tell(networks, "azureLocal", "storageNetworks")
    site.tell(settings.flag(*at, "storageConnectivitySwitchless"), "azureLocal", "switchless")


def _machines(site: Teller, settings: Body) -> None:
    """The machines' proxy, and whether each is where `fleet up` looks for it."""
    proxies: set[tuple[str, tuple[str, ...]]] = set()
    for machine_id in settings.texts("properties", "arcNodeResourceIds") or ():
        name = machine_id.rpartition("/")[2]
        site.elsewhere("a machine", machine_id, site.in_group("Microsoft.HybridCompute/machines", name))
        site.out.used.add(machine_id.lower())
        device = site.azure.find(f"{machine_id}/providers/Microsoft.AzureStackHCI/edgeDevices/default")
        if device is None:
            site.out.notes.append(f"the machine {shown(name)} is no edge device of Azure Local")
        machine = site.azure.find(machine_id)
        if machine is None:
            site.out.notes.append(f"the machine {shown(name)} is not in what was read")
            continue
        agent: Path = ("properties", "agentConfiguration")
        url = Body(machine).text(*agent, "proxyUrl")
        if url:
            proxies.add((url.rstrip("/"), tuple(Body(machine).texts(*agent, "proxyBypass") or ())))
    if len(proxies) == 1:
        url, bypass = next(iter(proxies))
        if "@" in url:  # credentials: neither taken nor shown
            site.out.untold["connectivity", "proxy"] = "the machines' proxy has credentials in its address"
        else:
            site.tell(only(url=url, bypass=list(bypass) or None), "connectivity", "proxy")
    elif proxies:
        site.out.untold["connectivity", "proxy"] = "the machines have different proxies"


def _zones(zones: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The zone of each node, of a rack-aware cluster (facts 1.8)."""
    found = {}
    for zone in zones:
        nodes = zone.get("nodes")
        for node in nodes if isinstance(nodes, list) else ():
            found[str(node)] = zone.get("localAvailabilityZoneName")
    return found
