"""What applying a site needs beside the engine: a place for its manifests, and its secrets."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from fleet.model.secrets import HostSecretRef
from fleet.model.site import SiteSpec
from fleet.render.artifact import Artifact

Phase = Literal["validate", "deploy"]
"""The two phases of Azure Local's deployment (facts 1.2)."""

ProgramOf = Callable[[SiteSpec, Phase, str, str], Callable[[], None]]
"""The Pulumi program of a site: spec, phase, and the URL and digest of its manifests."""


class ArtifactStore(Protocol):
    """Where sites pull their manifests from."""

    def publish(self, url: str, artifact: Artifact, files: Mapping[str, str]) -> bool:
        """Store the artifact under `url`; False when it was there already. `files` is path to digest."""

    def published_files(self, url: str) -> Mapping[str, str]:
        """Path to digest of what was published last under `url`; empty when nothing was."""


class SecretResolver(Protocol):
    """Finds the secrets that an inventory refers to."""

    def resolve(self, ref: HostSecretRef) -> str:
        """The secret. Raises `FleetError` (SEC010) naming the reference, never the value."""
