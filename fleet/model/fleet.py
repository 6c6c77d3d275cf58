"""The top of `fleet.yaml`: rings in order, and the layers that sites share."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fleet.model.base import DnsLabel, Many, Model, Named
from fleet.model.operations import Approval, Staffing
from fleet.model.supply import ModelPackage

Share = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,4}|(100|[1-9]?[0-9])%)$")]
"""A number of sites, `3`, or a share of the ring's, `25%`; text in both cases."""


class Ring(Model):
    """A group of sites that are changed together. Rings go in the order of the list."""

    name: DnsLabel
    soak_minutes: Annotated[int, Field(ge=0)] = 0
    """How long the ring's sites must stay healthy before the next ring starts."""
    max_concurrent: Share | None = None
    """Sites in change at once (rollout facts B6); one at a time when not said."""
    max_unavailable: Share | None = None
    """Sites that may be unhealthy at once, those that were so before counted (rollout facts B6)."""
    max_failures: Annotated[int, Field(ge=0)] = 0
    """Failed sites that the ring tolerates; one more stops the rollout (rollout facts B6)."""
    approval: Approval | None = None
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
    tool_calling: Literal["native", "text", "none"] | None = None
    """Whether it was trained to call tools; not known when absent (requirement G12)."""
    reasoning: bool = False
    """It writes `<think>` before an answer (requirement G20)."""
    licence: str | None = None
    source: str
    """Where these numbers were read."""


class FleetFile(Model):
    """`fleet.yaml`."""

    api_version: Literal["fleet/v1"]
    kind: Literal["Fleet"]
    name: DnsLabel
    rings: Annotated[Many[Ring], Field(min_length=1)]
    staffing: Staffing | None = None
    defaults: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Site fields that every site inherits."""
    profiles: Annotated[dict[DnsLabel, dict[str, Any]], Field(default_factory=dict)]
    """Named sets of site fields; a site names at most one."""
    models: Named[ModelCard]
    """Models beside those of the built-in catalogue."""
    packages: Named[ModelPackage]
    """Models as they are packed for sites."""


class SiteHeader(Model):
    """The keys of a site file that are not inherited."""

    api_version: Literal["fleet/v1"]
    kind: Literal["Site"]
    name: DnsLabel
    ring: DnsLabel
    profile: DnsLabel | None = None
