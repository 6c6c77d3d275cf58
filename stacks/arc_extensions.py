"""Which Arc extensions a site's cluster gets, in which order, and their bodies. Pure (facts 2.5, 3.1)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fleet import catalog
from fleet.model.azure_local import ArcExtension
from fleet.model.site import SiteSpec
from fleet.render import foundry

_LEAST_KUBERNETES = (1, 29)  # of Foundry Local: facts 3.1


@dataclass(frozen=True)
class Extension:
    """An extension of the catalogue for one site. `settings` come on top of the catalogue's.

    `origin` is the field of the inventory that switches it on.
    """

    name: str
    origin: str
    pin: ArcExtension
    settings: dict[str, str] = field(default_factory=dict)
    last: bool = False
    """It needs what the site's own manifests bring, so it follows the Flux configuration."""

    @property
    def resource_name(self) -> str:
        """Its name in Azure."""
        name: str = self._row.get("name", self.name)
        return name

    @property
    def version(self) -> str:
        """The exact version that is asked for."""
        version: str = self.pin.version or self._row["version"]
        return version

    @property
    def confirmed(self) -> bool:
        """Whether the version is the inventory's, or one that Microsoft's own text names."""
        return self.pin.version is not None or self._row.get("confirmed", True)

    @property
    def _row(self) -> dict[str, Any]:
        row: dict[str, Any] = catalog.azure()["extensions"][self.name]
        return row

    def body(self) -> dict[str, Any]:
        """The request body: pinned, and never upgraded by Azure itself."""
        row = self._row
        cluster = {"releaseNamespace": row["namespace"]} if "namespace" in row else {}
        return {
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "extensionType": row["type"],
                "version": self.version,
                "releaseTrain": self.pin.release_train or row["releaseTrain"],
                "autoUpgradeMinorVersion": False,
                "scope": {"cluster": cluster},
                "configurationSettings": {**row.get("settings", {}), **self.settings},
            },
        }


def extensions(spec: SiteSpec) -> tuple[Extension, ...]:
    """The site's extensions in the order in which they are installed.

    Certificates come first, because the secret store and Foundry Local ask for them; Foundry Local comes
    last, because its later versions want CRDs and a mesh in the cluster (facts 3.1). None for a
    disconnected site: Azure can't reach in, and Arc is never in the way of what it runs.
    """
    if spec.connectivity.mode == "disconnected":
        return ()
    pins, monitoring = spec.azure.extensions, spec.azure.monitoring
    local = _foundry_local(spec) if uses_foundry_local(spec) and not _foundry_misses(spec) else None
    found = [
        Extension("cert-manager", "platform.certificates", pins.cert_manager, _for_foundry(spec, local)),
        Extension("flux", "delivery", pins.flux),
    ]
    if spec.platform.secret_store.kind == "key-vault":
        seconds = str(spec.platform.secret_store.rotation_hours * 3600)
        settings = {"rotationPollIntervalInSeconds": seconds}
        found.append(Extension("secret-store", "platform.secretStore", pins.secret_store, settings))
    if spec.platform.policies.admission == "azure-policy":
        found.append(Extension("policy", "platform.policies.admission", pins.policy))
    if _monitored(spec) and monitoring.logs is not None:
        settings = {"logAnalyticsWorkspaceResourceID": monitoring.logs}
        found.append(Extension("monitor-logs", "azure.monitoring.logs", pins.monitor_logs, settings))
    if _monitored(spec) and monitoring.metrics is not None:
        settings = {"azure-monitor-workspace-resource-id": monitoring.metrics}
        if monitoring.grafana is not None:
            settings["grafana-resource-id"] = monitoring.grafana
        found.append(Extension("monitor-metrics", "azure.monitoring.metrics", pins.monitor_metrics, settings))
    runtime = pins.load_balancer.runtime_object_id
    if spec.kubernetes.network.load_balancer is not None and runtime is not None:
        settings = {"k8sRuntimeFpaObjectId": runtime}
        origin = "kubernetes.network.loadBalancer"
        found.append(Extension("load-balancer", origin, pins.load_balancer, settings))
    return (*found, *([local] if local else []))


def extensions_left_out(spec: SiteSpec) -> Iterator[tuple[str, str]]:
    """What the inventory asks for and `extensions` has not, each with why, on a site that Azure reaches."""
    monitoring = spec.azure.monitoring
    if _monitored(spec):
        if monitoring.logs is None and monitoring.metrics is None:
            yield "Azure Monitor's extensions", "azure.monitoring names no workspace"
        for kind, workspace, rule in (
            ("logs", monitoring.logs, monitoring.logs_rule),
            ("metrics", monitoring.metrics, monitoring.metrics_rule),
        ):
            if workspace is not None and rule is None:
                why = f"azure.monitoring.{kind}Rule is not set: without a rule Azure may collect nothing"
                yield f"data collection rule for Azure Monitor's {kind}", why
    if spec.kubernetes.network.load_balancer is not None and not _has(spec, "load-balancer"):
        yield (
            "load balancer addresses",
            "MetalLB's extension needs azure.extensions.loadBalancer.runtimeObjectId: az ad sp list --filter "
            "\"appId eq '087fca6e-4606-4d41-b3f6-5ebdf75b8b4c'\" --query [].id",
        )
    if uses_foundry_local(spec) and (missing := _foundry_misses(spec)):
        yield "Foundry Local's extension", missing


def unconfirmed(spec: SiteSpec) -> tuple[Extension, ...]:
    """Extensions whose pinned version no text of Microsoft's confirms; Azure may refuse it."""
    return tuple(extension for extension in extensions(spec) if not extension.confirmed)


def uses_foundry_local(spec: SiteSpec) -> bool:
    """Whether a deployment runs on Foundry Local's Arc extension."""
    return any(deployment.runtime == foundry.RUNTIME for deployment in spec.inference.values())


def data_collection_rules(spec: SiteSpec) -> dict[str, str]:
    """Rule ids by the names that Azure Monitor gives their associations with a cluster.

    The names are of Microsoft's Container insights templates, from memory.
    """
    if spec.connectivity.mode == "disconnected" or not _monitored(spec):
        return {}
    monitoring = spec.azure.monitoring
    rules = {
        "ContainerInsightsExtension": monitoring.logs_rule if monitoring.logs else None,
        "ContainerInsightsMetricsExtension": monitoring.metrics_rule if monitoring.metrics else None,
    }
    return {name: rule for name, rule in rules.items() if rule is not None}


def load_balancer_body(spec: SiteSpec) -> dict[str, Any] | None:
    """MetalLB's address pool, announced by ARP in the nodes' own subnet (facts 1.9); None without one."""
    addresses = spec.kubernetes.network.load_balancer
    if addresses is None or not _has(spec, "load-balancer"):
        return None
    return {"properties": {"addresses": [f"{addresses.start}-{addresses.end}"], "advertiseMode": "ARP"}}


def _has(spec: SiteSpec, name: str) -> bool:
    return any(extension.name == name for extension in extensions(spec))


def _monitored(spec: SiteSpec) -> bool:
    return spec.telemetry is not None and spec.telemetry.azure_monitor


def _for_foundry(spec: SiteSpec, local: Extension | None) -> dict[str, str]:
    """What Foundry Local wants of cert-manager; the Gateway API only where its CRDs are (facts 3.1)."""
    if local is None:
        return {}
    settings: dict[str, str] = dict(catalog.azure()["extensions"]["cert-manager"]["withFoundryLocal"])
    if "gateway-api" not in spec.azure.extensions.foundry_local.prerequisites:
        del settings["config.enableGatewayAPI"]
    return settings


def _foundry_local(spec: SiteSpec) -> Extension:
    pin = spec.azure.extensions.foundry_local
    # Where the tree has its ModelDeployments; other namespaces it leaves alone (facts 3.1).
    settings = {"watch.namespaces[0]": foundry.NAMESPACE}
    if pin.entra_client_id is not None:
        settings |= {
            "entraAuth.enabled": "true",
            "entraAuth.tenantId": spec.azure.tenant,
            "entraAuth.clientId": pin.entra_client_id,
        }
    origin = next(name for name, item in spec.inference.items() if item.runtime == foundry.RUNTIME)
    return Extension("foundry-local", f"inference.{origin}.runtime", pin, settings, last=True)


def _foundry_misses(spec: SiteSpec) -> str | None:
    """Why Foundry Local can't be installed yet, or None."""
    version = spec.kubernetes.version
    if _numbers(version)[:2] < _LEAST_KUBERNETES:
        return f"it needs Kubernetes 1.29 or later, and kubernetes.version is {version}"
    pin = spec.azure.extensions.foundry_local
    row = catalog.azure()["extensions"]["foundry-local"]
    wanted = pin.version or row["version"]
    if _numbers(wanted) < _numbers(row["gatewayApiFrom"]):
        return None
    needed: dict[str, str] = catalog.azure()["foundryLocalPrerequisites"]
    missing = [text for name, text in needed.items() if name not in pin.prerequisites]
    if not missing:
        return None
    return (
        f"version {wanted} needs in the cluster first: {'; '.join(missing)}; "
        "name what is there in azure.extensions.foundryLocal.prerequisites"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("+")[0].split("."))
