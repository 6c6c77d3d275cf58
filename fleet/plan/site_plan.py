"""A site's plan: what would change there, and the steps of a rollout, each with the digest of its input."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.model.site import SiteSpec
from fleet.render.artifact import Artifact
from fleet.render.tree import RenderedTree
from fleet.rollout.spec import SiteSteps, Step

PROGRAM_VERSION = 2
"""Raised when the Pulumi program declares something else for the same spec, so that no site counts as
unchanged after an upgrade of the toolkit."""


@dataclass(frozen=True)
class PlannedChange:
    """A resource that would change: `op` is Pulumi's word, `paths` the properties that differ."""

    op: str
    type: str
    name: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileChanges:
    """Paths of the rendered tree against the tree that was published last."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True)
class SitePlan:
    """What would change at a site. `error` says why that could not be told."""

    site: str
    ring: str
    spec_digest: str
    artifact_digest: str
    changes: tuple[PlannedChange, ...] = ()
    unchanged: int = 0
    files: FileChanges = FileChanges()
    pending: tuple[str, ...] = ()
    """Operations that an earlier run began and whose end is not known; the next run settles them."""
    ignored: tuple[str, ...] = ()
    """Differences that no run applies: what can't be changed once it is deployed, or secrets' rotation."""
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether applying it would do anything."""
        return bool(self.changes) or bool(self.files) or bool(self.pending)

    def count(self, op: str) -> int:
        """How many resources would see `op`."""
        return sum(change.op == op for change in self.changes)


def file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> FileChanges:
    """What differs between two trees, given as path to digest (or text)."""
    return FileChanges(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(path for path in after.keys() & before.keys() if after[path] != before[path])),
        tuple(sorted(before.keys() - after.keys())),
    )


def file_digests(tree: RenderedTree) -> dict[str, str]:
    """Each file's sha256, by path."""
    return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in tree.files.items()}


def site_steps(spec: SiteSpec, artifact: Artifact) -> SiteSteps:
    """The steps that bring a site to its spec: publish its manifests, validate, deploy.

    Validation and deployment are two steps because Azure Local's own deployment is (facts 1.2): a
    site that was deployed before passes the first without an effect.
    """
    return steps_of(spec.name, spec.digest, artifact.digest)


def steps_of(site: str, spec_digest: str, artifact_digest: str) -> SiteSteps:
    """`site_steps` where only the digests are known, as of a plan that was made earlier."""
    infrastructure = (
        "sha256:"
        + hashlib.sha256(json.dumps([PROGRAM_VERSION, spec_digest, artifact_digest]).encode()).hexdigest()
    )
    return SiteSteps(
        site,
        (
            Step("publish", "publish", artifact_digest),
            Step("validate", "validate", infrastructure),
            Step("deploy", "deploy", infrastructure),
        ),
    )
