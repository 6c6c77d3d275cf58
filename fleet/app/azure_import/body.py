"""An ARM body that remembers what was looked at, so that nothing in it is dropped in silence."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.ports.azure import type_of

Steps = tuple[str | int, ...]

_ENVELOPE = frozenset({"id", "name", "type", "systemData", "etag", "apiVersion", "identity", "kind"})
"""What every resource has of itself; identities are given by Azure."""

_STATE: Mapping[str, frozenset[str]] = {
    "": frozenset({"properties.provisioningState", "properties.status"}),
    "clusters": frozenset(
        "properties." + name
        for name in (
            "aadApplicationObjectId", "aadClientId", "aadServicePrincipalObjectId", "billingModel",
            "billingProperties", "cloudId", "cloudManagementEndpoint", "connectivityStatus",
            "identityProvider", "isManagementCluster", "isolatedVmAttestationConfiguration",
            "lastBillingTimestamp", "lastSyncTimestamp", "logCollectionProperties", "registrationTimestamp",
            "remoteSupportProperties", "reportedProperties", "serviceEndpoint", "storageType",
            "trialDaysRemaining",
        )
    ),
    "deploymentSettings": frozenset({"properties.reportedProperties", "properties.deploymentMode"}),
    "connectedClusters": frozenset(
        "properties." + name
        for name in (
            "agentPublicKeyCertificate", "agentVersion", "connectivityStatus", "distribution",
            "distributionVersion", "infrastructure", "kubernetesVersion", "lastConnectivityTime",
            "managedIdentityCertificateExpirationTime", "miscellaneousProperties", "offering",
            "totalCoreCount", "totalNodeCount",
        )
    )
    | {"properties.oidcIssuerProfile.issuerUrl", "properties.arcAgentProfile.agentState"},
    "logicalNetworks": frozenset({"properties.subnets[].properties.ipConfigurationReferences"}),
    "provisionedClusterInstances": frozenset(
        {"properties.provisioningStateTransitionTime", "properties.provisioningStateUpdatedTime"}
    ),
}  # fmt: skip
"""What Azure says of itself, by the last part of a type: read-only in Microsoft's type definitions (flag 2),
or settled by Azure. It is no wish of anybody's, so no inventory holds it."""

_DATA = "properties.deploymentConfiguration.scaleUnits[].deploymentData."
_ROUTE = "properties.subnets[].properties.routeTable.properties.routes[]."
_INTENT = _DATA + "hostNetwork.intents[]."
ALWAYS: Mapping[str, Mapping[str, Any]] = {
    "deploymentSettings": {
        "properties.operationType": "ClusterProvisioning",
        "properties.deploymentConfiguration.version": "10.0.0.0",
        _DATA + "storage.configurationMode": "Express",
        _DATA + "hostNetwork.enableStorageAutoIp": True,
        _DATA + "infrastructureNetwork[].useDhcp": False,
        _INTENT + "overrideVirtualSwitchConfiguration": False,
        _INTENT + "overrideQosPolicy": False,
        _INTENT + "overrideAdapterProperty": False,
    },
    "connectedClusters": {},
    "logicalNetworks": {
        "properties.subnets[].properties.ipAllocationMethod": "Static",
        "properties.subnets[].properties.ipPools[].ipPoolType": "vm",
        _ROUTE + "name": "default",
        _ROUTE + "properties.addressPrefix": "0.0.0.0/0",
        "properties.subnets[].properties.ipPools[].name": "nodes",
        "properties.subnets[].name": "nodes",
    },
    "provisionedClusterInstances": {
        "properties.agentPoolProfiles[].osSKU": "CBLMariner",
        "properties.networkProfile.networkPolicy": "calico",
        "properties.networkProfile.loadBalancerProfile.count": 0,
        "properties.storageProfile.smbCsiDriver.enabled": True,
        "properties.storageProfile.nfsCsiDriver.enabled": True,
        "properties.licenseProfile.azureHybridBenefit": "False",
    },
    "agentPools": {"properties.osSKU": "CBLMariner"},
}
"""What `fleet up` sends for every site, without a field for it. Another value has no place in an inventory.
Held to the stacks by the round trip in tests/integration/test_import_azure_sandbox.py."""


class Body:
    """A resource as read, never trusted to be of the shape that it should be."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.id = str(body.get("id", ""))
        self.name = self.id.rpartition("/")[2]
        self.kind = type_of(body)
        self._seen: set[Steps] = set()

    def get(self, *path: str | int) -> Any:
        """The value at `path`, with all below it counted as seen; None where there is none."""
        self._seen.add(path)
        node: Any = self.body
        for step in path:
            if isinstance(step, int):
                node = node[step] if isinstance(node, list) and step < len(node) else None
            else:
                node = node.get(step) if isinstance(node, Mapping) else None
        return node

    def count(self, *path: str | int) -> int:
        """How many items the list at `path` has; they do not count as seen."""
        seen = set(self._seen)
        value = self.get(*path)
        self._seen = seen
        return len(value) if isinstance(value, list) else 0

    def items(self, *path: str | int) -> list[Mapping[str, Any]]:
        """The mappings in the list at `path`."""
        value = self.get(*path)
        return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []

    def text(self, *path: str | int) -> str | None:
        """The text at `path`, if it is one and not empty."""
        value = self.get(*path)
        return value if isinstance(value, str) and value else None

    def texts(self, *path: str | int) -> list[str] | None:
        """The list of texts at `path`."""
        value = self.get(*path)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None

    def flag(self, *path: str | int) -> bool | None:
        """The true or false at `path`."""
        value = self.get(*path)
        return value if isinstance(value, bool) else None

    def number(self, *path: str | int) -> int | None:
        """The whole number at `path`, also where Azure has it as text."""
        value = self.get(*path)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def unseen(self) -> Iterator[str]:
        """Paths (`a.b[].c`) of values that nobody looked at, without Azure's own state. Never a value."""
        short = self.kind.rpartition("/")[2]
        always = ALWAYS.get(short, {})
        state = _STATE[""] | _STATE.get(short, frozenset())
        found: set[str] = set()
        for path, value in _leaves(self.body, ()):
            if path[0] in _ENVELOPE or any(path[: len(seen)] == seen for seen in self._seen):
                continue
            dotted = re.sub(r"\.(\[\])", r"\1", ".".join("[]" if isinstance(s, int) else s for s in path))
            if any(dotted == known or dotted.startswith((f"{known}.", f"{known}[")) for known in state):
                continue
            if dotted in always and always[dotted] == value:
                continue
            found.add(dotted)
        yield from sorted(found)


def _leaves(node: Any, path: Steps) -> Iterator[tuple[Steps, Any]]:
    """Every value that is neither empty nor a container."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _leaves(value, (*path, number))
    elif node is not None and node != "":
        yield path, node
