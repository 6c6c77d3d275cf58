"""Reads what a subscription holds of Azure Local sites. Only GET requests; no secret is asked for.

Throttling, paging and retries are the ARM client's. Lists cost a request a page; each cluster costs one or
two more and each AKS cluster five, so 1,000 sites are about 7,000 requests.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import resources
from typing import Any

import yaml

from fleet import catalog
from fleet.adapters.arm_errors import ArmError
from fleet.diagnostics.diagnostic import FleetError
from fleet.ports.azure import AzureReader, AzureResources, JsonObject, resources_by_id, type_of

_EXIT_USAGE, _EXIT_MISSING = 2, 11
_CLUSTER = "Microsoft.AzureStackHCI/clusters"
_CONNECTED = "Microsoft.Kubernetes/connectedClusters"
_INSTANCE = "Microsoft.HybridContainerService/provisionedClusterInstances"
_NOT_REGISTERED = frozenset(
    {"InvalidResourceNamespace", "InvalidResourceType", "MissingSubscriptionRegistration"}
    | {"NoRegisteredProviderFound", "NoRegisteredProviderFoundForResource", "SubscriptionNotRegistered"}
)
"""ARM's answers for a type that a subscription can't hold yet: then it holds none."""


def read_azure(
    reader: AzureReader, subscription: str, groups: Sequence[str] = (), *, workers: int = 8
) -> AzureResources:
    """Everything that `azure_listing.yaml` names in the subscription, or in these resource groups of it.

    Up to `workers` requests run at once. Raises `FleetError` where the subscription (IMP001) or a group
    (IMP002) does not exist or can't be seen, where a list may not be read (IMP003), or as the reader does.
    What can't be read below one cluster is no error: it is said in `unread`.
    """
    root = f"/subscriptions/{subscription}"
    tenant = _subscription(reader, root).get("tenantId")
    scopes = [f"{root}/resourceGroups/{name}" for name in dict.fromkeys(groups)] or [root]
    for scope in scopes if groups else ():
        if _allowed(scope, partial(reader.find, scope, _version(_GROUPS))) is None:
            message = f"the subscription has no resource group {scope.rpartition('/')[2]!r}"
            raise FleetError("IMP002", message, "az group list -o table", _EXIT_USAGE)
    notes: list[str] = []
    everything: list[JsonObject] = []
    for scope in scopes:
        # Names of all that is there, so that what no list below asks for is at least counted.
        everything += _allowed(scope, partial(_list, reader, f"{scope}/resources", _ANY, notes))
        for kind in _table()["listed"]:
            path = f"{scope}/providers/{kind}"
            everything += _allowed(path, partial(_list, reader, path, kind, notes))
    found = resources_by_id(everything)
    if missing := len(everything) - sum(1 for body in everything if isinstance(body, dict) and "id" in body):
        notes.append(f"{missing} answers of Azure were no resources: without an id")
    unread: dict[str, str] = {}
    parents = [body for body in found.values() if _is(body, _CLUSTER) or _is(body, _CONNECTED)]
    with ThreadPoolExecutor(workers) as pool:
        for parent, answer in zip(
            parents, pool.map(lambda p: _below(reader, p, notes), parents), strict=True
        ):
            if isinstance(answer, ArmError):
                unread[parent["id"].lower()] = answer.message
            else:
                found |= resources_by_id(answer)
    return AzureResources(
        subscription,
        tuple(dict.fromkeys(groups)),
        tenant if isinstance(tenant, str) else None,
        found,
        unread,
        tuple(sorted(set(notes))),
    )


_GROUPS, _ANY = "Microsoft.Resources/resourceGroups", "Microsoft.Resources/resources"


def _is(body: JsonObject, kind: str) -> bool:
    return type_of(body).lower() == kind.lower()


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("fleet.adapters") / "azure_listing.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def _version(kind: str) -> str:
    versions = {**catalog.azure()["apiVersions"], **_table()["apiVersions"]}
    return str(versions[kind])


def _subscription(reader: AzureReader, root: str) -> JsonObject:
    try:
        return reader.get(root, _version("Microsoft.Resources/subscriptions"))
    except ArmError as error:
        if error.status not in (403, 404):
            raise
        message = f"Azure shows no subscription {root.rpartition('/')[2]}: {error.message}"
        help_text = "look at the id, and at who is signed in: az account show"
        raise FleetError("IMP001", message, help_text, _EXIT_USAGE) from None


def _allowed(where: str, read: Callable[[], Any]) -> Any:
    """What `read` gives; a refusal says which right is missing."""
    try:
        return read()
    except ArmError as error:
        if error.status != 403:
            raise
        message = f"not allowed to read {where}: {error.message}"
        help_text = "the role Reader on the subscription, or on each --resource-group, is enough"
        raise FleetError("IMP003", message, help_text, _EXIT_MISSING) from None


def _list(reader: AzureReader, path: str, kind: str, notes: list[str]) -> list[JsonObject]:
    try:
        return list(reader.list(path, _version(kind)))
    except ArmError as error:
        if error.code not in _NOT_REGISTERED:
            raise
        notes.append(f"{kind}: the subscription can't hold any yet ({error.code})")
        return []


def _below(reader: AzureReader, parent: JsonObject, notes: list[str]) -> Iterable[JsonObject] | ArmError:
    """What hangs on a cluster; the error, where it can't be read."""
    try:
        return _cluster(reader, parent) if _is(parent, _CLUSTER) else _aks(reader, parent, notes)
    except ArmError as error:
        if error.status == 401:  # nothing that follows would be answered
            raise
        return error


def _cluster(reader: AzureReader, cluster: JsonObject) -> list[JsonObject]:
    kind = f"{_CLUSTER}/deploymentSettings"
    settings = reader.find(f"{cluster['id']}/deploymentSettings/default", _version(kind))
    if settings is None:
        return []
    properties = settings.get("properties")
    machines = properties.get("arcNodeResourceIds") if isinstance(properties, dict) else None
    kind = "Microsoft.AzureStackHCI/edgeDevices"
    devices = [
        reader.find(f"{machine}/providers/{kind}/default", _version(kind))
        for machine in (machines if isinstance(machines, list) else ())
        if isinstance(machine, str) and machine.startswith("/subscriptions/")
    ]
    return [settings, *filter(None, devices)]


def _aks(reader: AzureReader, connected: JsonObject, notes: list[str]) -> list[JsonObject]:
    if str(connected.get("kind", "")).lower() != "provisionedcluster":
        return []
    instance_id = f"{connected['id']}/providers/{_INSTANCE}/default"
    instance = reader.find(instance_id, _version(_INSTANCE))
    found = [instance] if instance is not None else []
    if instance is not None:
        found += reader.list(f"{instance_id}/agentPools", _version(f"{_INSTANCE}/agentPools"))
    for kind in _table()["beneathConnectedClusters"]:
        found += _list(reader, f"{connected['id']}/providers/{kind}", kind, notes)
    return found
