"""A resource's inputs: what the program gives, checked by the provider, and how they differ from before."""

import hashlib
from typing import Any

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import ResourceState
from fleet.engine.local.diff import matches, parse_path, property_changes
from fleet.engine.local.goals import Goal
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.session import Session
from fleet.engine.local.values import annotate_secrets, from_struct, to_struct
from fleet.ports.engine import PropertyChange


def new_state(goal: Goal, inputs: dict[str, Any]) -> ResourceState:
    """The state that a goal asks for, before any id or output is known."""
    return ResourceState(
        urn=goal.urn,
        type=goal.type,
        custom=goal.custom,
        inputs=inputs,
        parent=goal.parent,
        provider=goal.provider,
        protect=goal.protect,
        retain_on_delete=goal.retain_on_delete,
        deleted_with=goal.deleted_with,
        dependencies=list(goal.dependencies),
        property_dependencies=goal.property_dependencies,
        additional_secret_outputs=list(goal.additional_secret_outputs),
        custom_timeouts=goal.custom_timeouts,
    )


def refuse_failures(response: pb.CheckResponse) -> None:
    """Raise `ProviderCallError` with everything that a provider found wrong."""
    if response.failures:
        raise ProviderCallError(
            "CheckFailed",
            "; ".join(f"{f.property}: {f.reason}" if f.property else f.reason for f in response.failures),
        )


def checked(
    session: Session, goal: Goal, old: ResourceState | None, client: ProviderClient
) -> dict[str, Any]:
    """The goal's inputs with the provider's defaults. Raises `ProviderCallError`."""
    response = client.call(
        "Check",
        pb.CheckRequest(
            urn=goal.urn,
            name=goal.name,
            type=goal.type,
            olds=to_struct(old.inputs if old else {}, keep_secrets=client.accepts_secrets),
            news=to_struct(goal.inputs, keep_secrets=client.accepts_secrets),
            # The Pulumi engine draws this; ours must be the same for every plan of the same program.
            randomSeed=hashlib.sha256(goal.urn.encode()).digest(),
        ),
    )
    refuse_failures(response)
    inputs = from_struct(response.inputs)
    if not client.accepts_secrets:
        inputs = annotate_secrets(inputs, goal.inputs)
    return dict(session.secrets.reuse(inputs, old.inputs)) if old else inputs


def difference(
    session: Session, goal: Goal, old: ResourceState, state: ResourceState, client: ProviderClient
) -> tuple[tuple[PropertyChange, ...] | None, tuple[str, ...], bool]:
    """What differs (None: nothing), what of it forces a replacement, and whether to delete first."""
    response = client.call(
        "Diff",
        pb.DiffRequest(
            id=old.id,
            urn=goal.urn,
            name=goal.name,
            type=goal.type,
            olds=to_struct(old.outputs, keep_secrets=client.accepts_secrets),
            news=to_struct(state.inputs, keep_secrets=client.accepts_secrets),
            old_inputs=to_struct(old.inputs, keep_secrets=client.accepts_secrets),
            ignoreChanges=goal.ignore_changes,
        ),
    )
    changes = property_changes(old.inputs, state.inputs)
    if response.changes == pb.DiffResponse.DIFF_UNKNOWN:
        differs = bool(changes)
    else:
        differs = response.changes == pb.DiffResponse.DIFF_SOME
    replaces = list(response.replaces)
    if differs:
        touched = [*(c.path for c in changes), *response.detailedDiff, *response.diffs]
        for pattern in map(parse_path, goal.replace_on_changes):
            replaces += [p for p in touched if matches(pattern, parse_path(p)) and p not in replaces]
    if _provider_changed(session.snapshot.renamed(old.provider), goal.provider):
        differs, replaces = True, [*replaces, "provider"]
    # What did not come up the last time is brought to its goal again, changed or not.
    differs = differs or bool(old.init_errors)
    return changes if differs else None, tuple(replaces) if differs else (), response.deleteBeforeReplace


def _provider_changed(old: str, new: str) -> bool:
    """Whether a resource moved to another provider.

    From one default provider to another, of another version of the package, is no move. One and the same
    with another id is: it was replaced, as its configuration leads elsewhere.
    """
    if not old or old == new:
        return False
    (old_urn, _, _), (new_urn, _, _) = old.rpartition("::"), new.rpartition("::")
    both_default = all(urn.rsplit("::", 1)[-1].startswith("default") for urn in (old_urn, new_urn))
    return old_urn == new_urn or not both_default
