"""Taking over what exists with the local engine: the program runs against a provider that only looks.

What comes out is the state that the site would have if fleet had made it, with what Azure has instead of what
the program says wherever they differ. It can be put in place, or handed to `pulumi stack import`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fleet.diagnostics.diagnostic import FleetError
from fleet.diagnostics.text import visible
from fleet.engine.local.checkpoint import Deployment, ResourceState
from fleet.engine.local.diff import property_changes
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.provider_host import ProviderFactory
from fleet.engine.local.secrets import Passphrase, StackSecrets
from fleet.engine.local.store import StateStore
from fleet.inventory.secret_shapes import literal_secrets
from fleet.plan.adoption import GUID, Adoptee, Difference, Standing
from fleet.ports.adoption import Looked, OtherName
from fleet.ports.engine import (
    SECRET,
    ResourceChange,
    RunOptions,
    StackRef,
    StackRun,
    UnsupportedByLocalEngine,
)
from fleet.sandbox.adopting_provider import AdoptingProvider, LooksAtAzure, Sighting, Sightings
from fleet.sandbox.providers import SandboxProviders

_EXIT_FAILED = 5
_PLACEHOLDER = "nobody:nothing"
_OPS: Mapping[str, Standing] = {"update": "differs", "replace": "replace"}


@dataclass(frozen=True)
class LocalAdopter:
    """Implements `fleet.ports.adoption.Adopter` for stacks in a `StateStore`."""

    store: StateStore
    azure: Callable[[], LooksAtAzure]
    passphrase: Passphrase

    @contextmanager
    def look(self, run: StackRun, *, to_own: bool) -> Iterator[Looked]:
        """See the protocol."""
        with ExitStack() as held:
            if to_own:
                held.enter_context(self.store.lock(run.stack))
            base = self.store.load(run.stack)
            if base.pending:
                raise FleetError(
                    "ADP002",
                    f"{run.stack.name}: an earlier run was cut short, and what became of it is not known",
                    f"fleet refresh {run.stack.name} finds out; then adopt",
                )
            sightings = Sightings()
            whole = self._followed(base, run, sightings, to_own=to_own)
            taken = taken_over(base, whole, sightings.by_urn)
            resources = self._standings(base, taken, run, sightings.by_urn)

            def own() -> None:
                self.store.save(run.stack, taken, StackSecrets(self.passphrase, taken.salt_state))

            yield Looked(resources, _other_names(sightings), own)

    def _followed(self, base: Deployment, run: StackRun, sightings: Sightings, *, to_own: bool) -> Deployment:
        """The state after the whole program has run against a provider that finds what it would create."""
        if not to_own:
            secrets = dict.fromkeys(("localAdmin", "lcmUser"), _PLACEHOLDER)
            run = replace(run, secret_config=secrets)
        run = replace(run, options=RunOptions(unprotect=True))

        def factory(package: str) -> AdoptingProvider:
            if package != "azure-native":
                raise UnsupportedByLocalEngine(f"taking over what the package {package} made")
            return AdoptingProvider(self.azure(), sightings, keys=to_own)

        with _scratch(run.stack, base, self.passphrase) as store:
            result = LocalEngine(store, factory, self.passphrase).up(run)
            if result.error is not None:
                failed = result.error
                where = f"{run.stack.name}: {failed.urn.rsplit('::', 1)[-1]}"
                raise FleetError(
                    "ADP001",
                    f"{where.removesuffix(': ')}: {failed.message} ({failed.code})",
                    "nothing was taken over; what the site is made from must be there and readable",
                    _EXIT_FAILED,
                )
            return store.load(run.stack)

    def _standings(
        self, base: Deployment, taken: Deployment, run: StackRun, sightings: Mapping[str, Sighting]
    ) -> tuple[Adoptee, ...]:
        """Each declared resource as the plan after the adoption would show it."""
        planning: ProviderFactory = SandboxProviders()
        with _scratch(run.stack, taken, self.passphrase) as store:
            # Unprotected, so that a replacement is told as one and not as an error.
            quiet = replace(run, secret_config={}, options=RunOptions(unprotect=True))
            result = LocalEngine(store, planning, self.passphrase).preview(quiet)
        if result.error is not None:
            message = f"{run.stack.name}: {result.error.message}"
            raise FleetError("ADP001", message, "nothing was taken over", _EXIT_FAILED)
        changes = {change.urn: change for change in result.changes}
        owned = {state.urn: state.id for state in base.resources if state.custom and not state.external}
        found = [
            _adoptee(changes.get(urn), sighting) for urn, sighting in sightings.items() if urn not in owned
        ]
        found += [
            Adoptee(urn.rsplit("::", 1)[-1], urn.split("::")[2].rsplit("$", 1)[-1], id_, "owned")
            for urn, id_ in owned.items()
            if "pulumi:providers:" not in urn
        ]
        return tuple(sorted(found, key=lambda adoptee: adoptee.name))


def taken_over(base: Deployment, whole: Deployment, sightings: Mapping[str, Sighting]) -> Deployment:
    """The state after an adoption: `base` as it is, then what `whole` has beside it and Azure has too.

    Where Azure differs from the program its value becomes the input, so that a plan shows the difference.
    What is not in Azure is left out, and nothing depends on it.
    """
    known = {state.urn for state in base.resources}
    absent = {urn for urn, sighting in sightings.items() if sighting.inputs is None}
    added = [
        _state(state, absent, sightings.get(state.urn))
        for state in whole.resources
        if state.urn not in known and state.urn not in absent
    ]
    return Deployment([*base.resources, *added], [], whole.salt_state or base.salt_state, base.metadata)


def _state(state: ResourceState, absent: set[str], sighting: Sighting | None) -> ResourceState:
    inputs = sighting.inputs if sighting is not None and sighting.inputs is not None else state.inputs
    return replace(
        state,
        inputs=inputs,
        dependencies=[urn for urn in state.dependencies if urn not in absent],
        property_dependencies={
            key: [urn for urn in urns if urn not in absent]
            for key, urns in state.property_dependencies.items()
        },
        deleted_with="" if state.deleted_with in absent else state.deleted_with,
    )


def _adoptee(change: ResourceChange | None, sighting: Sighting) -> Adoptee:
    name, kind = sighting.urn.rsplit("::", 1)[-1], sighting.urn.split("::")[2].rsplit("$", 1)[-1]
    if sighting.inputs is None or change is None:
        return Adoptee(name, kind, sighting.id, "create", note=sighting.note)
    differences = tuple(
        Difference(found.path, _masked(found.before), found.after, stays=found.path in change.ignored)
        for found in property_changes(sighting.inputs, sighting.said)
    )
    standing = _OPS.get(change.op, "same")
    return Adoptee(name, kind, sighting.id, standing, differences, sighting.untold, sighting.note)


def _masked(value: Any) -> Any:
    """Azure's value, unless it looks like a secret that somebody put where none belongs."""
    return SECRET if any(literal_secrets(value)) else value


def _other_names(sightings: Sightings) -> tuple[OtherName, ...]:
    """Raises `FleetError` (ADP001) for a name that none has: it would be kept for later runs."""
    found = [
        OtherName(urn.rsplit("::", 1)[-1], sighting.other_name, sighting.principal)
        for urn, sighting in sightings.by_urn.items()
        if sighting.other_name is not None
    ]
    for other in found:
        for what, value in (("name", other.name), ("principal", other.principal)):
            if not GUID.fullmatch(value):
                told = f"{other.resource}: Azure tells a role assignment whose {what} is no GUID: "
                raise FleetError(
                    "ADP001", told + visible(repr(value[:80])), "nothing was taken over", _EXIT_FAILED
                )
    return tuple(sorted(found, key=lambda other: other.resource))


@contextmanager
def _scratch(stack: StackRef, state: Deployment, passphrase: Passphrase) -> Iterator[StateStore]:
    """A store of its own that holds this state of the stack; its secrets are sealed there too."""
    with TemporaryDirectory(prefix="fleet-adopt-") as folder:
        store = StateStore(Path(folder))
        if state.resources:
            store.save(stack, state, StackSecrets(passphrase, state.salt_state))
        yield store
