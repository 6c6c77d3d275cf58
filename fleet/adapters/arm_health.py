"""A site's health, as Azure Resource Manager reports it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet import catalog
from fleet.adapters.arm_client import ArmClient, ArmError
from fleet.model.site import SiteSpec
from fleet.ports.rollout import Health
from fleet.rollout.events import Verdict

_BAD = {"Failed", "Error", "NotConnected", "Disconnected", "Non-Compliant", "Canceled", "Offline"}


@dataclass(frozen=True)
class Sign:
    """One thing to look at: a resource, a property of it, and the value that is healthy."""

    what: str
    resource_id: str
    api_version: str
    prop: str
    wanted: str


def signs(spec: SiteSpec) -> Iterator[Sign]:
    """What a healthy site shows. Arc's own reports count only where Arc reaches the site."""
    group = f"/subscriptions/{spec.azure.subscription}/resourceGroups/{spec.azure.resource_group}/providers"
    cluster = f"{group}/Microsoft.AzureStackHCI/clusters/{spec.azure_local.cluster_name}"
    connected = f"{group}/Microsoft.Kubernetes/connectedClusters/{spec.kubernetes.name}"
    instance = f"{connected}/providers/Microsoft.HybridContainerService/provisionedClusterInstances/default"
    yield _sign("Azure Local cluster", cluster, "connectivityStatus", "Connected")
    yield _sign("deployment", f"{cluster}/deploymentSettings/default", "provisioningState", "Succeeded")
    yield _sign("AKS cluster", instance, "provisioningState", "Succeeded")
    if spec.connectivity.mode != "disconnected":
        flux = f"{connected}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/fleet"
        yield _sign("Arc connection", connected, "connectivityStatus", "Connected")
        yield _sign("workloads (Flux)", flux, "complianceState", "Compliant")


def _sign(what: str, resource_id: str, prop: str, wanted: str) -> Sign:
    provider, *names = resource_id.rpartition("/providers/")[2].split("/")
    resource_type = "/".join((provider, *names[::2]))
    return Sign(what, resource_id, catalog.azure()["apiVersions"][resource_type], prop, wanted)


@dataclass(frozen=True)
class ArmHealthProbe:
    """Asks ARM for each sign. A missing answer is inconclusive, never a pass.

    `client_of` and `spec_of` are called where the probe runs, which may be another process.
    """

    client_of: Callable[[], ArmClient]
    spec_of: Callable[[str], SiteSpec]

    def probe(self, site: str) -> Health:
        """The site's health: unhealthy when any sign is bad, inconclusive when any is unknown."""
        spec, client = self.spec_of(site), self.client_of()
        bad: list[str] = []
        unknown: list[str] = []
        good: list[str] = []
        for sign in signs(spec):
            try:
                body = client.get(sign.resource_id, sign.api_version)
            except ArmError as error:
                (bad if error.means_gone else unknown).append(f"{sign.what}: {error.message}")
                continue
            value = _property(body, sign.prop)
            text = f"{sign.what}: {value}"
            if value == sign.wanted:
                good.append(text)
            elif value in _BAD:
                bad.append(text + _why(body))
            else:
                unknown.append(text)
        if spec.connectivity.mode == "disconnected":
            good.append("workloads: not observed, Azure can't see into a disconnected site")
        if bad:
            return Health(Verdict.UNHEALTHY, tuple(bad + unknown))
        if unknown:
            return Health(Verdict.INCONCLUSIVE, tuple(unknown))
        return Health(Verdict.HEALTHY, tuple(good))


def _property(body: Mapping[str, Any], name: str) -> str:
    value = body.get("properties", {}).get(name)
    return value if isinstance(value, str) else "unknown"


def _why(body: Mapping[str, Any]) -> str:
    """The first message among a Flux configuration's statuses."""
    for status in body.get("properties", {}).get("statuses") or ():
        for condition in status.get("statusConditions") or ():
            if condition.get("message"):
                return f" ({condition['message']})"
    return ""
