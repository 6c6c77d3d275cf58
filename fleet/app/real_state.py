"""Plans against the state that production keeps: what would change, and what that state can't tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from fleet.app.site import SiteApplier
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import FileChanges, SitePlan
from fleet.ports.engine import Engine
from fleet.ports.state import RecordedStack, StackEntry, StateSource
from fleet.render.artifact import Artifact

NOT_TOLD = (
    "the state has what was last sent to Azure: what somebody changed there since is not in this plan "
    "(pulumi refresh --preview-only shows it)",
    "inputs are compared, and the stand-in for azure-native says what replaces a resource: pulumi preview "
    "asks azure-native itself",
    "which manifests of a site differ: no registry is read; its Flux configuration has their digest, which "
    "is compared",
)
"""What no plan of this kind can tell, of any site."""

EngineOf = Callable[[RecordedStack | None], Engine]
"""Makes the engine that previews what is recorded of a stack; None for a stack that is not there."""


@dataclass(frozen=True)
class RecordedPlan:
    """A site's plan against a backend. `state` is the sha256 of the checkpoint, empty without one.

    `notes` are sentences about the stack that a person should know; `unknown` names what of this site's plan
    can't be told. Neither is a change.
    """

    plan: SitePlan
    state: str = ""
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class _UnreadRegistry:
    """The registry of production, of which nothing is known here."""

    def publish(self, url: str, artifact: Artifact, files: Mapping[str, str]) -> NoReturn:
        raise NotImplementedError("a plan publishes nothing")

    def published_files(self, url: str) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class RecordedStatePlanner:
    """Plans sites against a backend. `applier` has the parts but the engine and the artifacts.

    `opens` says whether secrets that a passphrase sealed are compared.
    """

    source: StateSource
    applier: SiteApplier
    engine_of: EngineOf
    opens: bool

    def plan(self, spec: SiteSpec, entry: StackEntry | None) -> RecordedPlan:
        """What deploying the site would change, by the last checkpoint of its stack.

        `entry` is None for a stack that the backend does not list: all of the site is new then. Raises
        `FleetError` where the backend or the checkpoint can't be read.
        """
        recorded = None if entry is None else self.source.read(entry)
        applier = replace(self.applier, engine=self.engine_of(recorded), artifacts=_UnreadRegistry())
        # Against a registry that nobody has read every manifest would be new.
        plan = replace(applier.plan(spec), files=FileChanges())
        if recorded is None:
            return RecordedPlan(
                plan, notes=(f"{self.source.name} has no such stack: all of it counts as new",)
            )
        return RecordedPlan(plan, recorded.digest, _notes(recorded), self._unknown(recorded))

    def _unknown(self, recorded: RecordedStack) -> tuple[str, ...]:
        told = []
        if not (self.opens and recorded.secrets_provider == "passphrase"):
            told += [f"{path}: secret, can't be compared" for path in recorded.sealed]
        if recorded.in_cluster:
            told.append(
                f"{recorded.in_cluster} resources inside the cluster: they are planned with its kubeconfig"
            )
        return tuple(told)


def _notes(recorded: RecordedStack) -> tuple[str, ...]:
    notes = [recorded.note] if recorded.note else []
    for lock in recorded.locks:
        by = f" by {lock.holder}" if lock.holder else ""
        since = f" since {lock.since}" if lock.since else ""
        notes.append(f"locked{by}{since}: an update is in progress; the plan is of the last checkpoint")
    notes += [
        f"{name} is tainted: the Pulumi CLI replaces it, whatever this plan says" for name in recorded.tainted
    ]
    return tuple(notes)
