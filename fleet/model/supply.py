"""How images, manifests and models reach a site, and what is known of each model."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.model.base import Digest, DnsLabel, HostName, ImageDigests, Many, Model, Shared
from fleet.model.schedule import Date

ImageRepository = Annotated[str, Field(pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$")]
"""A repository's path in a registry, `agents/api`."""


class Delivery(Shared):
    """Where the site's manifests are published, as an OCI artifact pinned by digest."""

    registry: HostName
    """For sites without a registry of their own."""
    repository: ImageRepository = "fleet"
    interval_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    """How often Flux looks for a new artifact (requirement C2)."""
    keep_revisions: Annotated[int, Field(ge=2, le=50)] = 3
    """Artifacts that stay in the registry, so that there is one to go back to (requirement I2)."""


class Component(Shared):
    """A third party's software as the fleet took it in: its Helm chart by digest (requirements I1, I11)."""

    version: Annotated[str, Field(pattern=r"^v?[0-9]+(\.[0-9]+){1,2}([-+][0-9A-Za-z.-]+)?$")] | None = None
    """The chart's version; the catalogue's when not said."""
    digest: Digest
    """Of the chart's OCI artifact, as the registry holds it, or of its image where it has no chart."""
    images: ImageDigests
    """The images that the chart would pull by tag, such as `quay.io/org/name:1.2`, by digest."""


class Upstream(Shared):
    """A registry whose images the site's own registry holds copies of."""

    host: HostName
    """Such as `nvcr.io`; the site pulls `nvcr.io/x` from its own registry instead."""
    pull_through: bool = False
    """Fetched when first asked for, over the site's link; otherwise only what was mirrored is there."""


class Registry(Model):
    """The site's own registry."""

    host: HostName
    storage_gib: Annotated[int, Field(gt=0)]
    image: Annotated[str, Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")] | None = None
    """CNCF distribution by digest, where the registry and the model cache run in the site's own cluster; its
    nodes have to hold it already. None for a registry that somebody else runs."""
    ca_file: str | None = None
    """PEM bundle next to the inventory, when a private CA signed the registry's certificate."""
    upstreams: Many[Upstream] = ()
    """What it mirrors (requirements I4, I11)."""
    keep_versions: Annotated[int, Field(ge=1, le=50)] = 2
    """Versions of each image kept; the last that was good is never removed (requirement I2)."""
    scan: bool = True
    """Images are scanned for vulnerabilities before they are mirrored (requirement I8)."""
    anonymous_pull: bool = False


class ModelCache(Shared):
    """The site's store of model files."""

    storage_gib: Annotated[int, Field(gt=0)]
    storage_class: DnsLabel | None = None
    """Of its volume, and of those that deployments keep packages on; the cluster's default when not said."""
    keep_versions: Annotated[int, Field(ge=1, le=10)] = 2
    """Versions of each model kept; the last that was good is never removed (requirement I6)."""


class ModelPackage(Shared):
    """A model as it is packed for sites: one set of files, by digest (requirements G17, G18, I7)."""

    model: str
    """A name of the model catalogue."""
    precision: Literal["fp32", "fp16", "int8", "int4"]
    execution_provider: Literal["cpu", "cuda", "directml", "openvino", "qnn", "vitisai"] | None = None
    """ONNX Runtime's provider that it was built for; none for vLLM (requirement G15)."""
    template: Literal["chat", "whisper", "embedding"] = "chat"
    """Foundry Local loads chat and whisper only (requirement G10)."""
    artifact: str
    """OCI artifact by digest."""
    size_gib: Annotated[float, Field(gt=0)]
    """Measured size of the files, not bits times parameters (requirement O16)."""
    source: str
    """Where the weights come from: repository and revision."""
    licence: str
    """SPDX expression, or a name and where its text is (requirements P12, P14)."""
    remote_code: bool = False
    """The model's own code had to run to convert it: only in an isolated build (requirement I9)."""
    onnx_runtime: str | None = None
    """Version that it was built and tested with (requirement G18)."""
    quality: str | None = None
    """Where the result of its evaluation is (requirements G16, N11)."""
    evaluated_on: Date | None = None
