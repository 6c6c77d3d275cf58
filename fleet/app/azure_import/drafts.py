"""Site files from what Azure holds, and what Azure and an inventory say differently. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from fleet.app.azure_import.aks import CONNECTED, INSTANCE, read_aks
from fleet.app.azure_import.azure_local import read_azure_local
from fleet.app.azure_import.differences import agrees, at, differing, leaves, remainder
from fleet.app.azure_import.reading import Reading, Teller, dotted, shown
from fleet.app.init import REPLACE
from fleet.app.site_draft import fitted, inherited, with_checks, wrong_value
from fleet.diagnostics.diagnostic import Span
from fleet.inventory.edit import new_text
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.layers import overlay
from fleet.inventory.schema import schema
from fleet.inventory.source import Path, SourceFile, YamlError
from fleet.model.site import SiteSpec
from fleet.ports.azure import AzureResources, JsonObject, type_of

CLUSTER = "Microsoft.AzureStackHCI/clusters"
UNTOLD: Mapping[str, str] = {
    "agents, inference, platform, services, tools, …": "manifests in the cluster, which Azure does not see",
    "azureLocal.secrets": "references to where they are found; Azure holds values, which are not read",
    "azureLocal.nodes: cores, memoryGib, dataDisks, rack": "reported in other terms, or not at all",
    "azure.roleAssignments": "those of fleet and of others look alike",
    "connectivity.linkMbps, windows, private": "Azure does not know a site's line",
    "gpu.perNode, sharing": "Azure knows the VM sizes of the pools, not what is in the machines",
    "kubernetes.network.loadBalancer": "told only where a load balancer is a resource in Azure",
    "kubernetes.nodePools: purpose, mig, isolation": "they are made in the cluster",
    "labels, maintenance, routingDomain, topology": "a fleet's own words for a site",
}
"""Fields that Azure can't tell, and why."""
_NO_SITE = {
    "microsoft.hybridcompute/machines": "a registered machine that no deployment names",
    CONNECTED.lower(): "a connected cluster that lives at no Azure Local cluster that was read",
}
_BESIDE = frozenset(
    kind.lower()
    for kind in (
        "Microsoft.ExtendedLocation/customLocations", "Microsoft.HybridCompute/gateways",
        "Microsoft.ResourceConnector/appliances", "Microsoft.AzureStackHCI/storageContainers",
    )
)  # fmt: skip
"""What Azure makes with each deployment, or what a site names by its id: no field of their own."""


@dataclass(frozen=True)
class Difference:
    """A field of which inventory and Azure say different things, and where the inventory says it."""

    path: str
    inventory: Any
    span: Span | None
    azure: Any


@dataclass(frozen=True)
class Drafted:
    """A new site's file. `missing` are required fields that neither Azure nor the fleet gives."""

    site: str
    cluster_id: str
    ring: str
    profile: str | None
    text: str
    checks: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """A site of the inventory beside its cluster."""

    site: str
    cluster_id: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


@dataclass
class AzureImport:
    """What an import would do, and everything that it would not."""

    created: list[Drafted] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Clusters that got no file and no comparison: id and why."""
    absent: list[str] = field(default_factory=list)
    """Sites of the inventory, within what was read, whose cluster Azure does not have."""
    fieldless: dict[tuple[str, str], int] = field(default_factory=dict)
    """(resource type, path) that no field holds, and at how many resources. Paths only, never values."""
    unplaced: list[tuple[str, str]] = field(default_factory=list)
    """Resources that belong to no site: id and what they are."""
    other_types: dict[str, int] = field(default_factory=dict)
    """Types of resources that an inventory does not hold, and how many there are."""
    notes: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether inventory and Azure are not the same."""
        return bool(self.created or self.absent or any(site.differences for site in self.compared))


def import_azure(azure: AzureResources, fleet: Inventory, existing: Mapping[str, SourceFile]) -> AzureImport:
    """Drafts for the clusters that the inventory does not have; comparisons for those that it has.

    `existing` are all site files by name, also of those that do not resolve: none is overwritten.
    """
    result = AzureImport(notes=list(azure.notes))
    readings: list[Reading] = []
    for body in azure.of_type(CLUSTER):
        if reason := azure.unread.get(body["id"].lower()):
            result.skipped.append((body["id"], f"it could not be read: {reason}"))
        elif body["id"].count("/") != 8:
            result.skipped.append((body["id"], "its id is not that of a resource in a resource group"))
        else:
            readings.append(read_site(body, azure))
    known = _matched(readings, fleet)
    names = _names([reading for reading in readings if reading.cluster_id not in known], existing, fleet)
    for reading in readings:
        for place in reading.fieldless:
            result.fieldless[place] = result.fieldless.get(place, 0) + 1
        site = known.get(reading.cluster_id)
        if site is not None:
            result.compared.append(_compared(site, reading))
        elif reading.cluster_id in names:
            result.created.append(_drafted(names[reading.cluster_id], reading, fleet))
        else:
            result.skipped.append(
                (reading.cluster_id, "its site has a file, which can't be compared: it has errors")
            )
    _rest(azure, readings, result)
    there = {site.name for site in known.values()}
    for site in fleet.sites:
        seen = site.name in there or azure.find(_cluster_id(site.spec)) is not None
        if _in_scope(site.spec, azure) and not seen:
            result.absent.append(site.name)
    return result


def read_site(cluster: JsonObject, azure: AzureResources) -> Reading:
    """The fields of the site whose Azure Local cluster `cluster` is."""
    teller = Teller(cluster, azure)
    custom_location = read_azure_local(teller)
    if custom_location is not None:
        read_aks(teller, custom_location)
    if azure.tenant and not at(teller.out.told, ("azure", "tenant")):
        teller.tell(azure.tenant.lower(), "azure", "tenant")
    return teller.finished()


# --- which site a cluster is


def _in_scope(spec: SiteSpec, azure: AzureResources) -> bool:
    groups = {group.lower() for group in azure.groups}
    mine = spec.azure.subscription == azure.subscription.lower()
    return mine and (not groups or spec.azure.resource_group.lower() in groups)


def _cluster_id(spec: SiteSpec) -> str:
    """The id of a site's cluster, in lower case (stacks/names.py)."""
    group = f"/subscriptions/{spec.azure.subscription}/resourceGroups/{spec.azure.resource_group}"
    return f"{group}/providers/{CLUSTER}/{spec.azure_local.cluster_name}".lower()


def _matched(readings: list[Reading], fleet: Inventory) -> dict[str, Site]:
    """The site of each cluster: by its id, else by fleet's tag, else by a name that is unique."""
    ids = {_cluster_id(site.spec): site for site in fleet.sites}
    found: dict[str, Site] = {}
    for reading in readings:
        site = ids.get(reading.cluster_id.lower())
        if site is not None:
            found[reading.cluster_id] = site
    clusters = [reading.cluster.lower() for reading in readings]
    for reading in readings:
        taken = {site.name for site in found.values()}
        if reading.cluster_id in found:
            continue
        named = [s for s in fleet.sites if s.spec.azure_local.cluster_name.lower() == reading.cluster.lower()]
        site = fleet.site(reading.tags.get("site", "")) if reading.fleets else None
        if site is None and len(named) == 1 and clusters.count(reading.cluster.lower()) == 1:
            site = named[0]
        if site is not None and site.name not in taken:
            found[reading.cluster_id] = site
    return found


def _names(readings: list[Reading], existing: Mapping[str, SourceFile], fleet: Inventory) -> dict[str, str]:
    """A name for each new site: its tag, its cluster's name, or with its group's where that is taken.

    A cluster whose site has a file that does not resolve gets none: a second file would be wrong.
    """
    broken = {name: file for name, file in existing.items() if fleet.site(name) is None}
    readings = [r for r in readings if not any(_may_be(r, name, file) for name, file in broken.items())]
    wished = {r.cluster_id: _wished(r) for r in readings}
    count = Counter(wished.values())
    taken = set(existing)
    names: dict[str, str] = {}
    for reading in readings:
        name = wished[reading.cluster_id]
        if count[name] > 1 or name in taken:
            name = _slug(f"{reading.group}-{reading.cluster}")
        if name in taken:
            mark = hashlib.sha256(reading.cluster_id.lower().encode()).hexdigest()[:6]
            name = fitted("", _slug(reading.cluster), 63, f"-{mark}")
        taken.add(name)
        names[reading.cluster_id] = name
    return names


def _may_be(reading: Reading, name: str, file: SourceFile) -> bool:
    """Whether a site's file that does not resolve is this cluster's, by what it says itself."""
    try:
        values = file.load()[0]
    except YamlError:
        return reading.tags.get("site") == name
    cluster, group = (
        at(values, path) for path in (("azureLocal", "clusterName"), ("azure", "resourceGroup"))
    )
    same = str(cluster).lower() == reading.cluster.lower()
    return reading.tags.get("site") == name or (
        same and str(group or reading.group).lower() == reading.group.lower()
    )


def _wished(reading: Reading) -> str:
    tag = reading.tags.get("site", "") if reading.fleets else ""
    return tag if tag and not wrong_value(("name",), tag) else _slug(reading.cluster)


def _slug(text: str) -> str:
    """A site's name from any text."""
    return fitted("", re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "site", 63)


# --- comparing


def _compared(site: Site, reading: Reading) -> Compared:
    values = site.spec.model_dump(mode="json", by_alias=True)
    told = _with_registry(reading, values)
    found = []
    for path, mine, theirs in differing(told, values):
        pool = at(told, path[:3])
        if len(path) == 4 and path[3] == "count" and at(pool, ("autoscale",)) and mine is not None:
            continue  # between its bounds, the count is the autoscaler's
        span = site.span(path) if mine is not None or len(path) > 1 else None
        found.append(Difference(dotted(path), mine, span, theirs))
    notes = [*reading.notes, *(f"{dotted(path)}: {why}" for path, why in reading.untold.items())]
    return Compared(site.name, reading.cluster_id, tuple(found), tuple(notes))


def _with_registry(reading: Reading, context: Mapping[str, Any]) -> dict[str, Any]:
    """What is told, with the host that Flux pulls from where the site (`context`) has it."""
    host = reading.flux_host
    if host is None:
        return reading.told
    own = at(context, ("registry",))
    if own and (at(own, ("host",)) or host != at(context, ("delivery", "registry"))):
        return _set(reading.told, ("registry", "host"), host)
    return _set(reading.told, ("delivery", "registry"), host)


# --- drafting


def _drafted(name: str, reading: Reading, fleet: Inventory) -> Drafted:
    ring, checks = _ring(reading, fleet)
    profile, fits = _profile(reading, fleet, ring, name)
    if fits:
        checks.append(fits)
    if name != reading.tags.get("site") and name != reading.cluster:
        checks.append(f"{name} is a good name for the site of the cluster {shown(reading.cluster)}")
    below = inherited(fleet.raw, ring, profile, name)
    told = _with_registry(reading, below)
    for path, value in leaves(_guesses(reading)):
        if at(below, path) is None and at(told, path) is None:
            told = _set(told, path, value)
            checks.append(f"{dotted(path)} is {shown(value)}")
    site_schema = schema("site")
    header: dict[str, Any] = {"apiVersion": "fleet/v1", "kind": "Site", "name": name, "ring": ring}
    header |= {"profile": profile} if profile else {}
    body = remainder(told, below, site_schema, site_schema)
    missing = []
    for gap in _gaps({**overlay(below, body), "name": name, "ring": ring}):
        known = [*reading.untold.items(), *((tuple(k.split(".")), why) for k, why in UNTOLD.items())]
        why = next((why for path, why in known if path == gap[: len(path)]), "Azure does not tell it")
        missing.append(f"{dotted(gap)}: {why}")
    refused = [
        f"{dotted(path)}: {why}"
        for path, why in reading.untold.items()
        if not any(line.startswith(f"{dotted(path)}:") for line in missing) and why.startswith("Azure has ")
    ]
    text = with_checks(new_text({**header, **body}, site_schema), checks)
    marks = "".join(f"{REPLACE}{line}\n" for line in (*missing, *refused))
    return Drafted(
        name, reading.cluster_id, ring, profile, marks + text, tuple(checks),
        (*missing, *refused), tuple(reading.notes),
    )  # fmt: skip


def _guesses(reading: Reading) -> dict[str, Any]:
    nodes = at(reading.told, ("azureLocal", "nodes")) or ()
    topology = {} if not nodes else {"topology": "pilot-node" if len(nodes) == 1 else "datacenter-cluster"}
    return {**topology, **reading.guessed}


def _set(tree: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    first, *rest = path
    made = dict(tree)
    beneath = made.get(str(first))
    made[str(first)] = (
        _set(beneath if isinstance(beneath, Mapping) else {}, tuple(rest), value) if rest else value
    )
    return made


def _ring(reading: Reading, fleet: Inventory) -> tuple[str, list[str]]:
    """The ring of the cluster's tag; else the last one, which no other ring waits for."""
    rings = [ring.name for ring in fleet.rings]
    tag = reading.tags.get("ring")
    if reading.fleets and tag in rings:
        return str(tag), []
    return rings[-1], [f"{rings[-1]}, the last ring, is the right one: Azure does not tell it"]


def _profile(reading: Reading, fleet: Inventory, ring: str, site: str) -> tuple[str | None, str | None]:
    """The profile with which the site's file says least; none where no profile says what Azure says.

    A profile for a single machine is not for a cluster of several, however little its file would say.
    """
    profiles: Mapping[str, Any] = fleet.raw.get("profiles") or {}
    site_schema = schema("site")
    machines = at(reading.told, ("azureLocal", "nodes")) or ()
    ranked = []
    for order, name in enumerate([None, *profiles]):
        below = inherited(fleet.raw, ring, name, site)
        if name is not None and len(machines) > 1 and below.get("topology") == "pilot-node":
            continue
        told = _with_registry(reading, below)
        own = profiles.get(name) or {} if name else {}
        same = sum(
            1
            for path, value in leaves(told)
            if at(own, path) is not None and agrees(value, at(own, path), path[-1])
        )
        said = sum(1 for _ in leaves(remainder(told, below, site_schema, site_schema)))
        ranked.append((said, -same, order, name))
    if not profiles:
        return None, None
    said, same, _, best = min(ranked, key=lambda rank: rank[:3])
    if best is None:
        return None, "no profile fits: none of them says what Azure says"
    return best, f"the profile {best} is the right one: {-same} of its values are Azure's, the best fit"


def _gaps(values: dict[str, Any]) -> list[Path]:
    """Required fields that are not there."""
    try:
        SiteSpec.model_validate(values)
    except ValidationError as error:
        return [tuple(item["loc"]) for item in error.errors(include_url=False) if item["type"] == "missing"]
    return []


# --- what belongs to no site


def _rest(azure: AzureResources, readings: list[Reading], result: AzureImport) -> None:
    used = {resource_id for reading in readings for resource_id in reading.used}
    used |= {resource_id.lower() for resource_id, _ in result.skipped}
    for key, body in sorted(azure.by_id.items()):
        kind = type_of(body)
        if key in used or "/".join(key.split("/")[:9]) in used:  # it, or what it hangs on
            continue
        if kind.lower() in _NO_SITE:
            result.unplaced.append((body["id"], _NO_SITE[kind.lower()]))
        elif kind.lower() not in _BESIDE and kind.lower() != INSTANCE.lower() and "/providers/" in key:
            result.other_types[kind] = result.other_types.get(kind, 0) + 1
