"""From an AKS cluster on Azure Local to the fields of a site. Pure.

The shapes are Microsoft's type definitions at the API versions of fleet/catalog/azure.yaml; what each field
is sent as stands in stacks/arc_cluster.py and stacks/arc_platform.py.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from fleet import catalog
from fleet.app.azure_import.body import Body
from fleet.app.azure_import.reading import Teller, dotted, of, shown
from fleet.inventory.source import Path
from fleet.ports.azure import JsonObject

CONNECTED = "Microsoft.Kubernetes/connectedClusters"
INSTANCE = "Microsoft.HybridContainerService/provisionedClusterInstances"
NETWORK = "Microsoft.AzureStackHCI/logicalNetworks"
_CONFIGURATION = "Microsoft.KubernetesConfiguration"
_FLEETS_FLUX = "fleet"
"""The name of fleet's Flux configuration (stacks/arc_platform.py)."""
_FLEETS_LABELS = "fleet/"
_TAINT = re.compile(r"([^=:]+)(?:=([^=:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)")


def read_aks(site: Teller, custom_location: str) -> None:
    """Tell what the site's AKS cluster says: the one that lives at its custom location."""
    found = _clusters(site, custom_location)
    if not found:
        site.out.notes.append("no AKS cluster lives at the cluster's custom location")
        for name in ("name", "version", "controlPlane", "network", "podCidr", "systemPool", "nodePools"):
            site.out.untold["kubernetes", name] = "the site has no AKS cluster yet"
        return
    first, instance_body = found[0]
    for other, _ in found[1:]:
        site.out.used.add(other["id"].lower())
        site.out.notes.append(
            f"a second AKS cluster, {shown(other['id'])}; the inventory has no field for it"
        )
    connected, instance = site.use(first), site.use(instance_body)
    assert connected is not None and instance is not None
    site.elsewhere("the AKS cluster", connected.id, site.in_group(CONNECTED, connected.name))
    if reason := site.azure.unread.get(connected.id.lower()):
        site.out.notes.append(f"a part of the AKS cluster could not be read: {reason}")
    site.tell(connected.name, "kubernetes", "name")
    mode = _mode(site, connected)
    _access(site, connected, mode)
    _instance(site, instance)
    _pools(site, instance)
    _network(site, instance, connected.name)
    _installed(site, connected)


def _clusters(site: Teller, custom_location: str) -> list[tuple[JsonObject, JsonObject]]:
    """The AKS clusters of the custom location and their instances: fleet's own of this site first."""
    found = []
    for body in site.azure.of_type(CONNECTED):
        instance = site.azure.find(f"{body['id']}/providers/{INSTANCE}/default")
        if instance and str(of(instance.get("extendedLocation"), "name")).lower() == custom_location.lower():
            tags = body.get("tags")
            mine = site.out.fleets and of(tags, "site") == site.out.tags.get("site")
            found.append((not mine, str(body["id"]).lower(), body, instance))
    return [(body, instance) for _, _, body, instance in sorted(found, key=lambda item: item[:2])]


def _mode(site: Teller, connected: Body) -> str | None:
    """The connectivity, where fleet made the cluster: what stacks/arc_cluster.py makes of it, backwards."""
    region = of(site.out.told.get("azure"), "region")
    upgrade = connected.text("properties", "arcAgentProfile", "agentAutoUpgrade")
    if region == "autonomous":
        site.tell("disconnected", "connectivity", "mode")
        return "disconnected"
    if site.out.fleets and upgrade in ("Enabled", "Disabled"):
        mode = "connected" if upgrade == "Enabled" else "constrained"
        site.tell(mode, "connectivity", "mode")
        return mode
    site.guess("connected", "connectivity", "mode")
    return None


def _access(site: Teller, connected: Body, mode: str | None) -> None:
    profile: Path = ("properties", "aadProfile")
    connected.get("location")
    groups = connected.texts(*profile, "adminGroupObjectIDs")
    site.tell(groups and [group.lower() for group in groups], "kubernetes", "adminGroups")
    tenant = connected.text(*profile, "tenantID")
    if tenant and not of(site.out.told.get("azure"), "tenant"):
        site.tell(tenant.lower(), "azure", "tenant")
    identity: Path = ("securityProfile", "workloadIdentity", "enabled")
    for switch in (("aadProfile", "enableAzureRBAC"), ("oidcIssuerProfile", "enabled"), identity):
        on = connected.flag("properties", *switch) or False
        if on != (mode != "disconnected"):  # what fleet makes of the connectivity (stacks/arc_cluster.py)
            site.out.notes.append(f"{dotted(switch)} is {shown(on)}, and has no field")
    tags = connected.get("tags")
    others = set(tags) - set(site.out.tags) if isinstance(tags, dict) else set()
    if others:
        site.out.notes.append(f"the AKS cluster has tags that its site has not: {shown(sorted(others))}")
    if connected.flag("properties", "gateway", "enabled"):
        gateways = site.azure.of_type("Microsoft.HybridCompute/gateways")
        if len(gateways) == 1:
            site.guess(gateways[0]["id"], "connectivity", "arcGatewayId")
        else:
            why = f"the cluster uses an Arc gateway, and {len(gateways)} were read"
            site.out.untold["connectivity", "arcGatewayId"] = why


def _instance(site: Teller, instance: Body) -> None:
    def tell(value: Any, *path: str) -> None:
        site.tell(value, "kubernetes", *path)

    state = instance.text("properties", "provisioningState")
    if state not in (None, "Succeeded"):
        site.out.notes.append(f"the AKS cluster is {shown(state)}")
    instance.get("extendedLocation")
    tell(instance.text("properties", "kubernetesVersion"), "version")
    tell(instance.number("properties", "controlPlane", "count"), "controlPlane", "count")
    tell(instance.text("properties", "controlPlane", "vmSize"), "controlPlane", "vmSize")
    endpoint: Path = ("properties", "controlPlane", "controlPlaneEndpoint", "hostIP")
    tell(instance.text(*endpoint), "controlPlane", "vip")
    tell(instance.text("properties", "networkProfile", "podCidr"), "podCidr")
    keys = ("properties", "linuxProfile", "ssh", "publicKeys")
    key = instance.text(*keys, 0, "keyData")
    tell(key and key.strip(), "sshPublicKey")
    if instance.count(*keys) > 1:
        site.out.notes.append("the nodes have more than one SSH key; the first is read")


def _pools(site: Teller, instance: Body) -> None:
    profiles: Path = ("properties", "agentPoolProfiles")
    names = []
    for number in range(instance.count(*profiles)):
        name = instance.text(*profiles, number, "name")
        if name:
            names.append(name)
            _pool(site, instance, (*profiles, number), name)
    site.tell(names[0] if names else None, "kubernetes", "systemPool")
    if len(names) > 1:
        site.out.notes.append(
            f"the cluster was made with {len(names)} pools; the first is read as its system pool"
        )
    for body in site.azure.of_type(f"{INSTANCE}/agentPools", beneath=instance.id):
        pool = site.use(body)
        assert pool is not None
        pool.get("tags"), pool.get("extendedLocation"), pool.get("location")
        _pool(site, pool, ("properties",), pool.name)
    pools = of(site.out.told.get("kubernetes"), "nodePools") or {}
    sizes = [catalog.vm_sizes().get(pool.get("vmSize")) for pool in pools.values()]
    for gpu in sorted({size.gpu for size in sizes if size and size.gpu})[:1]:
        site.tell(gpu, "gpu", "model")


def _pool(site: Teller, body: Body, at: Path, name: str) -> None:
    def tell(value: Any, field: str) -> None:
        site.tell(value, "kubernetes", "nodePools", name, field)

    body.get(*at, "kubernetesVersion")  # the cluster's
    size = body.text(*at, "vmSize")
    tell(size, "vmSize")
    tell(body.number(*at, "count"), "count")
    known = catalog.vm_sizes().get(size or "")
    tell(known and known.gpu is not None, "gpu")
    if known is None:
        site.out.notes.append(
            f"the pool {shown(name)} has the VM size {shown(size)}, unknown to the catalogue"
        )
    os = (body.text(*at, "osType") or "Linux").lower()
    tell(os, "os")
    if os == "windows" and body.text(*at, "osSKU") == "Windows2022":
        body.get(*at, "osSKU")  # as fleet has it
    if body.flag(*at, "enableAutoScaling"):
        tell(
            {"minCount": body.number(*at, "minCount"), "maxCount": body.number(*at, "maxCount")}, "autoscale"
        )
    else:
        body.get(*at, "minCount"), body.get(*at, "maxCount")
        site.none("kubernetes", "nodePools", name, "autoscale")
    tell(body.number(*at, "maxPods"), "maxPods")
    labels = body.get(*at, "nodeLabels")
    labels = labels if isinstance(labels, dict) else {}
    tell({k: v for k, v in labels.items() if not k.startswith(_FLEETS_LABELS)}, "labels")
    taints = [_TAINT.fullmatch(taint) for taint in body.texts(*at, "nodeTaints") or ()]
    tell([{"key": m[1], "value": m[2] or "", "effect": m[3]} for m in taints if m], "taints")
    if None in taints:
        site.out.notes.append(f"a taint of the pool {shown(name)} is not understood")


def _network(site: Teller, instance: Body, cluster: str) -> None:
    def tell(value: Any, *path: str) -> None:
        site.tell(value, "kubernetes", "network", *path)

    ids = instance.texts("properties", "cloudProviderProfile", "infraNetworkProfile", "vnetSubnetIds") or []
    network = site.use(site.azure.find(ids[0]) if ids else None)
    if network is None:
        why = f"the logical network {shown(ids[0])} is not in what was read" if ids else "there is no network"
        site.out.untold["kubernetes", "network"] = why
        return
    site.elsewhere("the logical network", network.id, site.in_group(NETWORK, f"{cluster}-network"))
    for name in ("location", "tags", "extendedLocation"):
        network.get(name)
    network.get("properties", "vmSwitchName")  # follows from the intents (stacks/arc_cluster.py)
    tell(network.texts("properties", "dhcpOptions", "dnsServers"), "dns")
    if network.count("properties", "subnets") > 1:
        site.out.notes.append("the logical network has more than one subnet; the first is read")
    subnet: Path = ("properties", "subnets", 0, "properties")
    tell(network.text(*subnet, "addressPrefix"), "cidr")
    route = (*subnet, "routeTable", "properties", "routes")
    tell(network.text(*route, 0, "properties", "nextHopIpAddress"), "gateway")
    tell(network.number(*subnet, "vlan") or 0, "vlan")
    if network.count(*subnet, "ipPools") > 1:
        site.out.notes.append("the logical network has more than one pool; the first is read")
    start, end = (network.text(*subnet, "ipPools", 0, name) for name in ("start", "end"))
    if start and end:
        tell({"start": start, "end": end}, "pool")
    else:
        site.out.untold["kubernetes", "network", "pool"] = "the logical network has no pool of addresses"


def _installed(site: Teller, connected: Body) -> None:
    """Extensions, Flux and load balancers; for what they are, not for each of their settings."""
    pinned = {row["type"].lower(): row for row in catalog.azure()["extensions"].values()}
    for body in site.azure.of_type(f"{_CONFIGURATION}/extensions", beneath=connected.id):
        extension = Body(body)
        site.out.used.add(extension.id.lower())
        kind, version = (extension.text("properties", name) for name in ("extensionType", "version"))
        row = pinned.get((kind or "").lower())
        if row is None:
            site.out.notes.append(f"the extension {shown(extension.name)} ({shown(kind)}) has no field")
        elif version and version != row["version"]:
            site.out.notes.append(
                f"{kind} is {shown(version)}; this version of fleet installs {row['version']}"
            )
    for body in site.azure.of_type(f"{_CONFIGURATION}/fluxConfigurations", beneath=connected.id):
        flux = Body(body)
        site.out.used.add(flux.id.lower())
        if flux.name != _FLEETS_FLUX:
            site.out.notes.append(
                f"the Flux configuration {shown(flux.name)} is not fleet's, and has no field"
            )
            continue
        url = flux.text("properties", "ociRepository", "url") or ""
        site.out.flux_host = urlsplit(url).netloc if url.startswith("oci://") and "@" not in url else None
    balancers = site.azure.of_type("Microsoft.KubernetesRuntime/loadBalancers", beneath=connected.id)
    ranges = []
    for body in balancers:
        site.out.used.add(body["id"].lower())
        ranges += Body(body).texts("properties", "addresses") or []
    start, dash, end = ranges[0].partition("-") if len(ranges) == 1 else ("", "", "")
    if dash:
        value = {"start": start.strip(), "end": end.strip()}
        site.tell(value, "kubernetes", "network", "loadBalancer")
    elif ranges:
        why = f"Azure has {shown(ranges)}; {dotted(('loadBalancer',))} is one range"
        site.out.untold["kubernetes", "network", "loadBalancer"] = why
