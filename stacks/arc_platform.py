"""`Platform`: what Arc installs on the cluster, and where its Flux pulls from (facts 2.4 and 2.5).

Not named `platform`: Pulumi puts this folder on the path, where it would hide the standard library's.
"""

import re
from dataclasses import dataclass
from typing import Any

import pulumi

from fleet import catalog
from fleet.model.site import SiteSpec

from . import names
from .arc_extensions import Extension, data_collection_rules, extensions, load_balancer_body
from .arm import arm_resource, hours

CONFIGURATION_NAME = "fleet"
"""Flux's source is named as its configuration, and the rendered tree refers to the source `fleet`.

Its kustomization becomes `fleet-site`: configuration, dash, kustomization.
"""

_HOURS = 1  # an extension's images come over the site's line
_TIMEOUT_SECONDS = 600
_RETRY_SECONDS = 60


@dataclass(frozen=True)
class FluxContent:
    """The OCI artifact of a site's rendered tree.

    `url` is `oci://host/path` without a tag, `digest` pins the manifest (`sha256:…`).
    `ca_certificate` is base64 of the PEM of the authority that signed the registry's certificate, when
    that is a private one (`fleet_stacks.registry_ca.read_ca`).
    Raises ValueError for a reference that is not pinned or not encrypted.
    """

    url: str
    digest: str
    ca_certificate: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"oci://[^/@\s]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)+", self.url):
            raise ValueError(f"{self.url!r} is not oci://host/path without tag or digest")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", self.digest):
            raise ValueError(f"{self.digest!r} is not a digest such as sha256: and 64 hexadecimal digits")


@dataclass(frozen=True)
class PlatformArgs:
    """What is installed, once the cluster is `ready`. Without `content` Flux has nothing to pull."""

    spec: SiteSpec
    content: FluxContent | None
    ready: pulumi.Resource


class Platform(pulumi.ComponentResource):
    """Arc extensions (pinned, `arc_extensions`), MetalLB's addresses and the Flux configuration.

    Not for a disconnected site, which gets nothing that waits for Azure.
    The Flux configuration is protected: deleting it would prune every workload of the site.
    """

    flux_configuration_id: str | None

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fleet:azure:Platform", name, None, opts)
        self._cluster_id = names.connected_cluster_id(args.spec)
        self._after = args.ready
        found = extensions(args.spec)
        for extension in found:
            if not extension.last:
                self._install(extension)
        for association, rule in data_collection_rules(args.spec).items():
            body = {"properties": {"dataCollectionRuleId": rule}}
            self._declare(f"monitor-rule-{association}", names.COLLECTION_RULE, association, body)
        if (addresses := load_balancer_body(args.spec)) is not None:
            self._declare("load-balancer", names.LOAD_BALANCER, "services", addresses)
        self.flux_configuration_id = None
        if args.content is not None:
            self.flux_configuration_id = flux_configuration_id(args.spec)
            body = flux_configuration_body(args.spec, args.content)
            self._declare(
                "flux-configuration", names.FLUX_CONFIGURATION, CONFIGURATION_NAME, body, protect=True
            )
        for extension in found:
            if extension.last:
                self._install(extension)
        self.register_outputs({"fluxConfigurationId": self.flux_configuration_id})

    def _install(self, extension: Extension) -> None:
        name = f"extension-{extension.name}"
        self._declare(name, names.EXTENSION, extension.resource_name, extension.body())

    def _declare(
        self,
        name: str,
        resource_type: str,
        resource_name: str,
        body: dict[str, Any],
        *,
        protect: bool = False,
    ) -> None:
        """Declare it on the cluster, after the one before: one long operation at a time (facts 1.9)."""
        self._after = arm_resource(
            name,
            names.extension_of(self._cluster_id, resource_type, resource_name),
            body,
            pulumi.ResourceOptions(
                parent=self, depends_on=[self._after], custom_timeouts=hours(_HOURS), protect=protect
            ),
        )


def flux_configuration_id(spec: SiteSpec) -> str:
    """The site's Flux configuration, an extension of its connected cluster."""
    return names.extension_of(names.connected_cluster_id(spec), names.FLUX_CONFIGURATION, CONFIGURATION_NAME)


def pull_url(spec: SiteSpec, content: FluxContent) -> str:
    """Where this site pulls the artifact: its own registry where it has one, under the same path.

    The rule that images follow (`fleet.render.section.site_image`), and what `fleet mirror` fills.
    """
    if spec.registry is None:
        return content.url
    _, _, path = content.url.removeprefix("oci://").partition("/")
    return f"oci://{spec.registry.host}/{path}"


def flux_configuration_body(spec: SiteSpec, content: FluxContent) -> dict[str, Any]:
    """Flux's source and its one kustomization: the site's entry point in the tree (facts 2.4).

    What follows what (platform, then inference and tools, then agents) is written there, in
    `clusters/<site>/parts.yaml`, so that a site with and one without Arc apply the same.
    """
    source: dict[str, Any] = {
        "url": pull_url(spec, content),
        "repositoryRef": {"digest": content.digest},
        "syncIntervalInSeconds": spec.delivery.interval_minutes * 60,
        "timeoutInSeconds": _TIMEOUT_SECONDS,
    }
    if content.ca_certificate is not None:
        source["tlsConfig"] = {"caCertificate": content.ca_certificate}
    return {
        "properties": {
            "scope": "cluster",
            "namespace": catalog.azure()["extensions"]["flux"]["namespace"],
            "sourceKind": "OCIRepository",
            "suspend": False,
            # Health is the rollout's to judge; a slow line must not fail the infrastructure.
            "waitForReconciliation": False,
            "ociRepository": source,
            "kustomizations": {
                "site": {
                    "path": f"./clusters/{spec.name}",
                    "prune": True,
                    "wait": True,
                    "force": False,
                    "timeoutInSeconds": _TIMEOUT_SECONDS,
                    "syncIntervalInSeconds": spec.delivery.interval_minutes * 60,
                    "retryIntervalInSeconds": _RETRY_SECONDS,
                    "dependsOn": [],
                }
            },
        }
    }
