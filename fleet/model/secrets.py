"""References to secrets; the inventory never holds one (rule SEC001)."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fleet.model.base import DnsLabel, Model


class HostSecretRef(Model):
    """Where the machine that runs `fleet up` finds a secret; the inventory never holds it (rule SEC001)."""

    env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    """An environment variable."""
    file: str | None = None
    """A file that only its owner may read."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret reference has exactly one of env and file")
        return self


class SecretKey(Model):
    """A key of a Kubernetes Secret."""

    name: DnsLabel
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$")]


class ClusterSecretRef(Model):
    """A secret that is already in the site's cluster, in the namespace of the workload."""

    kubernetes: SecretKey
