"""`SiteSpec`: everything one site needs, complete and frozen.

A number with a limit carries its source: "facts" is the sourced fact sheet of this project, whose
sections are cited in docs/inventory.md; a "requirement" is one of those that docs/inventory/requirements.md
lists.
"""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field

from fleet.model.agents import Agent, Retrieval, Sandbox, Tool, Toolbox
from fleet.model.azure_local import Azure, AzureLocal
from fleet.model.base import DnsLabel, Labels, Many, Model, Named, Shared
from fleet.model.inference import InferenceDeployment, Router
from fleet.model.kubernetes import Gpu, Kubernetes
from fleet.model.operations import Capacity, Evaluation, Governance, Operations
from fleet.model.schedule import Maintenance, Window
from fleet.model.services import Platform, Services, Telemetry
from fleet.model.supply import Component, Delivery, ModelCache, ModelPackage, Registry

Topology = Literal["pilot-node", "datacenter-cluster", "distributed"]
ConnectivityMode = Literal["connected", "constrained", "disconnected"]

RESOLVED: Final = frozenset({"packages"})
"""Fields of `SiteSpec` that loading fills from the top of `fleet.yaml`: no layer of a site may give them."""
_NO_PACKAGES: Final[dict[str, ModelPackage]] = {}  # one for all sites that serve none


class Proxy(Model):
    """The site's outbound proxy. AKS inherits it, and it can't be changed later (facts 1.6)."""

    url: Annotated[str, Field(pattern=r"^https?://[^/@\s]+$")]
    """`http://host:port`; credentials don't belong in it."""
    bypass: Many[str] = ()
    """Hosts and `192.168.1.*` patterns; no CIDR, no `<local>`, no `.svc` (facts 2.1)."""
    inspects_tls: bool = False
    """It opens TLS: Azure Arc's gateway does not work behind one that does (facts 2.3)."""


class Connectivity(Shared):
    """How the site reaches the outside."""

    mode: ConnectivityMode
    link_mbps: Annotated[int, Field(gt=0)] | None = None
    """Usable outbound bandwidth, in megabits a second."""
    rate_limit_mbps: Annotated[int, Field(gt=0)] | None = None
    """What mirroring may take of it (requirement A4)."""
    windows: Many[Window] = ()
    """When the link may be used for images and models, in `maintenance.timeZone`; empty means at any time
    (requirements A4, I4)."""
    private: bool = False
    """Through ExpressRoute, a site-to-site VPN or private endpoints (facts 2.3)."""
    proxy: Proxy | None = None
    arc_gateway_id: str | None = None
    """ARM id of the Arc gateway; it can only be chosen at the first deployment (facts 2.3)."""


class SiteSpec(Model):
    """One site after defaults, profile, ring and its own file were laid over each other."""

    name: DnsLabel
    ring: DnsLabel
    profile: DnsLabel | None = None
    labels: Labels
    environment: Literal["dev", "test", "prod"] = "prod"
    topology: Topology
    routing_domain: DnsLabel = "default"
    """Sites with the same name here can reach each other's networks, so those must differ (NET010)."""
    connectivity: Connectivity
    maintenance: Maintenance | None = None
    """None means that the site may be changed at any time."""
    azure: Azure
    azure_local: AzureLocal
    kubernetes: Kubernetes
    platform: Platform = Platform.model_construct()
    gpu: Gpu | None = None
    delivery: Delivery
    registry: Registry | None = None
    model_cache: ModelCache | None = None
    components: Named[Component]
    """Third-party software by its name in the catalogue; what a site switches on must be here."""
    inference: Named[InferenceDeployment]
    packages: Named[ModelPackage] = Field(default_factory=lambda: _NO_PACKAGES)
    """Those of the fleet's packages that `inference` names; filled in from `packages` of `fleet.yaml`, and
    written nowhere else."""
    router: Router | None = None
    """Routing between the site's deployments; without it each agent talks to the one that it names."""
    agents: Named[Agent]
    tools: Named[Tool]
    toolboxes: Named[Toolbox]
    sandboxes: Named[Sandbox]
    retrieval: Named[Retrieval]
    services: Services = Services.model_construct()
    telemetry: Telemetry | None = None
    evaluation: Evaluation | None = None
    capacity: Capacity | None = None
    governance: Governance = Governance.model_construct()
    operations: Operations = Operations.model_construct()

    @cached_property
    def digest(self) -> str:
        """`sha256:…` over the canonical JSON of all fields: equal specs, equal digests, everywhere."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
