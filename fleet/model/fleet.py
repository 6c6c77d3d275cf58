"""The top of `fleet.yaml`: rings in order, and the layers that sites share."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fleet.model.base import DnsLabel, Many, Model, Named


class Ring(Model):
    """A group of sites that are changed together. Rings go in the order of the list."""

    name: DnsLabel
    soak_minutes: Annotated[int, Field(ge=0)] = 0
    """How long the ring's sites must stay healthy before the next ring starts."""
    defaults: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Site fields that every site of this ring inherits."""


class ModelCard(Model):
    """What the planner must know of a model."""

    weights_gib: Annotated[float, Field(gt=0)]
    """Size of the 16-bit weights as published, in GiB; measured, not parameters times bytes."""
    layers: Annotated[int, Field(gt=0)]
    kv_heads: Annotated[int, Field(gt=0)]
    head_dim: Annotated[int, Field(gt=0)]
    context_tokens: Annotated[int, Field(gt=0)]
    """Longest context that the model was trained for."""
    source: str
    """Where these numbers were read."""


class FleetFile(Model):
    """`fleet.yaml`."""

    api_version: Literal["fleet/v1"]
    kind: Literal["Fleet"]
    name: DnsLabel
    rings: Annotated[Many[Ring], Field(min_length=1)]
    defaults: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Site fields that every site inherits."""
    profiles: Annotated[dict[DnsLabel, dict[str, Any]], Field(default_factory=dict)]
    """Named sets of site fields; a site names at most one."""
    models: Named[ModelCard]
    """Models beside those of the built-in catalogue."""


class SiteHeader(Model):
    """The keys of a site file that are not inherited."""

    api_version: Literal["fleet/v1"]
    kind: Literal["Site"]
    name: DnsLabel
    ring: DnsLabel
    profile: DnsLabel | None = None
