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
    """Arc extensions (pinned) and the Flux configuration.

    Not for a disconnected site: `declare_site` leaves it out, and nothing delivers there yet.
    The Flux configuration is protected: deleting it would prune every workload of the site.
    """

    flux_configuration_id: str | None

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fleet:azure:Platform", name, None, opts)
        spec = args.spec
        after = args.ready
        # In a chain: one long operation a cluster at a time (facts 1.9).
        for extension in ("cert-manager", "flux"):
            after = arm_resource(
                f"extension-{extension}",
                names.extension_of(names.connected_cluster_id(spec), names.EXTENSION, extension),
                extension_body(extension),
                pulumi.ResourceOptions(parent=self, depends_on=[after], custom_timeouts=hours(_HOURS)),
            )
        self.flux_configuration_id = None
        if args.content is not None:
            self.flux_configuration_id = names.extension_of(
                names.connected_cluster_id(spec), names.FLUX_CONFIGURATION, CONFIGURATION_NAME
            )
            arm_resource(
                "flux-configuration",
                self.flux_configuration_id,
                flux_configuration_body(spec, args.content),
                pulumi.ResourceOptions(
                    parent=self, depends_on=[after], custom_timeouts=hours(_HOURS), protect=True
                ),
            )
        self.register_outputs({"fluxConfigurationId": self.flux_configuration_id})


def extension_body(name: str) -> dict[str, Any]:
    """An Arc extension of the catalogue, at its pinned version."""
    row = catalog.azure()["extensions"][name]
    return {
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "extensionType": row["type"],
            "version": row["version"],
            "releaseTrain": row["releaseTrain"],
            "autoUpgradeMinorVersion": False,
            "scope": {"cluster": {"releaseNamespace": row["namespace"]}},
            "configurationSettings": dict(row.get("settings", {})),
        },
    }


def pull_url(spec: SiteSpec, content: FluxContent) -> str:
    """Where this site pulls the artifact: its own registry where it has one, under the same path.

    The rule that images follow (`fleet.render.tree.site_image`), and what `fleet mirror` fills.
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
