"""Planning and applying one site."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import PlannedChange, SitePlan, file_changes, file_digests
from fleet.ports.engine import (
    Engine,
    OnEvent,
    Op,
    ResourceChange,
    StackRef,
    StackResource,
    StackResult,
    StackRun,
)
from fleet.ports.rollout import StepOutcome
from fleet.ports.site import ArtifactStore, Phase, ProgramOf, SecretResolver
from fleet.render.artifact import Artifact, artifact_url, tree_artifact
from fleet.render.tree import RenderedTree, render_site

PROJECT = "fleet"
"""The Pulumi project's name, as in Pulumi.yaml."""

CONSEQUENCE = "UnknownInput"
"""The engine's code for a resource that failed only because another one did."""

LEFT_OUT = "leftOut"
"""In the detail of a deployment that left out what is in the cluster: why."""

CLUSTER_PROVIDER = "pulumi:providers:kubernetes"
"""What holds the kubeconfig in a stack; another cluster is a replacement, another credential an update."""

_MAX_FAILURES = 20
_MAX_MESSAGE = 2000
"""What a journal keeps of a run that failed: one cause often fails every resource of a site."""


@dataclass(frozen=True)
class SiteContent:
    """A site's rendered tree and its artifact."""

    tree: RenderedTree
    artifact: Artifact
    url: str


def site_content(spec: SiteSpec) -> SiteContent:
    """What the site's cluster will run."""
    tree = render_site(spec)
    return SiteContent(tree, tree_artifact(tree), artifact_url(spec))


@dataclass(frozen=True)
class ClusterAccess:
    """What a run does about the objects inside of a site's cluster.

    With a `kubeconfig`, its content, they are declared. `planned` declares them in a plan without one:
    compared with what is recorded, and the cluster is not looked at. Otherwise they are not declared;
    `left_out` says why where the inventory asks for them.
    """

    kubeconfig: str | None = field(default=None, repr=False)
    planned: bool = False
    left_out: str = ""


NOT_DECLARED = ClusterAccess()
PLANNED = ClusterAccess(planned=True)


@dataclass(frozen=True)
class SiteApplier:
    """Plans and applies sites through the ports that it is given.

    `helm` says whether the engine can install Helm releases: the local engine's stand-in can't, so that they
    are left out there, and said.
    """

    engine: Engine
    artifacts: ArtifactStore
    secrets: SecretResolver
    program_of: ProgramOf
    on_event: OnEvent | None = None
    helm: bool = True

    def cluster(self, spec: SiteSpec) -> ClusterAccess:
        """The access to the site's cluster that the inventory refers to.

        A secret that is not there is no error before anything is recorded of the cluster, as it can't be
        there before the cluster is. Raises `FleetError` (SEC010) afterwards: without it a run would take
        what it does not declare for dropped.
        """
        reference = spec.kubernetes.kubeconfig
        if reference is None:
            return NOT_DECLARED
        try:
            return ClusterAccess(self.secrets.resolve(reference))
        except FleetError as error:
            if any(is_in_cluster(r.type) for r in self.engine.resources(StackRef(PROJECT, spec.name))):
                raise
            return ClusterAccess(left_out=error.message)

    def _run(
        self, spec: SiteSpec, phase: Phase, content: SiteContent, cluster: ClusterAccess, *, accounts: bool
    ) -> StackRun:
        bootstrap = spec.azure_local.secrets
        secrets: dict[str, str] = {}
        if accounts:
            secrets["localAdmin"] = self.secrets.resolve(bootstrap.local_admin)
            secrets["lcmUser"] = self.secrets.resolve(bootstrap.lcm_user)
        if cluster.kubeconfig is not None:
            secrets["kubeconfig"] = cluster.kubeconfig
        return StackRun(
            StackRef(PROJECT, spec.name),
            self.program_of(spec, phase, content.url, content.artifact.digest),
            config={"phase": phase, **cluster_config(spec, cluster, helm=self.helm)},
            secret_config=secrets,
        )

    def plan(self, spec: SiteSpec, cluster: ClusterAccess = NOT_DECLARED) -> SitePlan:
        """What `deploy` would change at the site; changes nothing and needs no network.

        What cannot be told, and why, is in the plan's `error`; its artifact digest is empty if the site
        cannot even be rendered.
        """
        plan = SitePlan(spec.name, spec.ring, spec.digest, "")
        try:
            content = site_content(spec)
            plan = replace(plan, artifact_digest=content.artifact.digest)
            published = self.artifacts.published_files(content.url)
            plan = replace(plan, files=file_changes(published, file_digests(content.tree)))
            run = self._run(spec, "deploy", content, cluster, accounts=False)
            result = self.engine.preview(run, self.on_event)
        except FleetError as failure:
            return replace(plan, error=str(failure))
        return replace(
            plan,
            changes=tuple(planned(c) for c in result.changes if is_told(c, cluster)),
            unchanged=sum(c.op == "same" for c in result.changes),
            pending=tuple(urn.rsplit("::", 1)[-1] for urn in result.pending),
            ignored=tuple(f"{change.name}: {path}" for change in result.changes for path in change.ignored),
            error=f"{result.error.code}: {result.error.message}" if result.error else None,
        )

    def run_step(self, spec: SiteSpec, kind: str, content: SiteContent) -> StepOutcome:
        """One step of a rollout. Safe to repeat: each step brings about a state, whatever was there."""
        try:
            if kind == "publish":
                return self.publish(spec, content)
            if kind == "validate":
                return self.validate(spec, content)
            if kind == "deploy":
                return self.deploy(spec, content)
        except FleetError as error:
            return StepOutcome(
                False,
                error.code,
                f"{error.message}; {error.help}" if error.help else error.message,
                {"help": error.help, "exitCode": error.exit_code},
            )
        return StepOutcome(False, "ROL001", f"there is no step of the kind {kind!r}")

    def publish(self, spec: SiteSpec, content: SiteContent) -> StepOutcome:
        """Put the site's manifests where its Flux pulls them."""
        files = file_digests(content.tree)
        changes = file_changes(self.artifacts.published_files(content.url), files)
        new = self.artifacts.publish(content.url, content.artifact, files)
        return StepOutcome(
            True,
            message=f"{len(files)} files as {content.artifact.digest[:19]}…" if new else "already there",
            detail={
                "digest": content.artifact.digest,
                "files": {"added": changes.added, "changed": changes.changed, "removed": changes.removed},
            },
        )

    def validate(self, spec: SiteSpec, content: SiteContent) -> StepOutcome:
        """Azure Local's own validation, unless a deployment was already asked for.

        A deployment, also a failed one, is never followed by a validation: Microsoft's own modules stop
        there too, and the validate phase declares less than a deployed site has (facts 1.2).
        """
        stack = StackRef(PROJECT, spec.name)
        if deployment_was_asked_for(self.engine.resources(stack)):
            return StepOutcome(True, message="not needed: the site is deployed", detail={"skipped": True})
        run = self._run(spec, "validate", content, NOT_DECLARED, accounts=True)
        return outcome(self.engine.up(run, self.on_event))

    def deploy(self, spec: SiteSpec, content: SiteContent) -> StepOutcome:
        """Bring the site's Azure resources, and with a kubeconfig what is in its cluster, to its spec.

        What of the cluster was left out is in the outcome's message, and under `leftOut` in its detail.
        """
        cluster = self.cluster(spec)
        done = outcome(
            self.engine.up(self._run(spec, "deploy", content, cluster, accounts=True), self.on_event)
        )
        if not (done.ok and cluster.left_out):
            return done
        message = f"{done.message}; what is in the cluster waits: {cluster.left_out}"
        return replace(done, message=message, detail={**done.detail, LEFT_OUT: cluster.left_out})


def is_told(change: ResourceChange, cluster: ClusterAccess) -> bool:
    """Whether a plan shows a change: all but the one of a credential that this plan was not given."""
    if cluster.planned and (change.op, change.type) == ("update", CLUSTER_PROVIDER):
        return False
    return change.op not in ("same", "read")


def is_in_cluster(resource_type: str) -> bool:
    """Whether a recorded resource is an object inside of the site's cluster."""
    return resource_type.startswith("kubernetes:")


def cluster_config(spec: SiteSpec, cluster: ClusterAccess, *, helm: bool = True) -> dict[str, str]:
    """The stack's plain configuration about the cluster; each value is said, as a stack may keep it."""
    if spec.kubernetes.kubeconfig is None:
        return {}
    return {"planCluster": str(cluster.planned).lower(), "helmReleases": str(helm).lower()}


def deployment_was_asked_for(resources: tuple[StackResource, ...]) -> bool:
    """Whether the recorded deployment settings were last sent to deploy, however that went."""
    return any(
        properties.get("deploymentMode") == "Deploy"
        for resource in resources
        if isinstance(properties := resource.inputs.get("properties"), Mapping)
    )


def planned(change: ResourceChange) -> PlannedChange:
    """The engine's change as a plan shows it."""
    return PlannedChange(
        change.op, change.type, change.name, tuple(difference.path for difference in change.changes)
    )


def outcome(result: StackResult) -> StepOutcome:
    """A stack's result as a rollout journals it."""
    changes: list[dict[str, Any]] = [
        {"op": c.op, "type": c.type, "name": c.name, "paths": [d.path for d in c.changes][:20]}
        for c in result.changes
        if c.op not in ("same", "read")
    ]
    detail: dict[str, Any] = {
        "counts": dict(result.counts),
        "changes": changes,
        "outputs": dict(result.outputs),
    }
    if result.error is not None:
        cause = next((f for f in result.failures if f.code != CONSEQUENCE), result.error)
        name = cause.urn.rsplit("::", 1)[-1]
        where = f"{name}: " if name else ""
        detail["failures"] = [
            {"resource": f.urn.rsplit("::", 1)[-1], "code": f.code, "message": f.message[:_MAX_MESSAGE]}
            for f in result.failures[:_MAX_FAILURES]
        ]
        return StepOutcome(False, cause.code, f"{where}{cause.message}", detail)
    order: tuple[Op, ...] = ("create", "import", "update", "replace", "delete", "retain", "refresh", "same")
    parts = [f"{count} {op}" for op in order if (count := result.counts.get(op, 0))]
    return StepOutcome(True, message=", ".join(parts), detail=detail)
