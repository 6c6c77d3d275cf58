"""A resource's inputs: what the program gives, checked by the provider, and how they differ from before."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import ResourceState
from fleet.engine.local.diff import contains, ignore_changes, parse_path, property_changes
from fleet.engine.local.goals import Goal
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.session import Session
from fleet.engine.local.values import annotate_secrets, from_struct, to_struct
from fleet.ports.engine import PropertyChange

_REPLACING: Final = frozenset(
    {pb.PropertyDiff.ADD_REPLACE, pb.PropertyDiff.DELETE_REPLACE, pb.PropertyDiff.UPDATE_REPLACE}
)


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
        ignore_changes=list(goal.ignore_changes),
        replace_on_changes=list(goal.replace_on_changes),
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


@dataclass(frozen=True)
class Difference:
    """How a resource differs from its goal: what of it forces a replacement, and whether to delete first."""

    changes: tuple[PropertyChange, ...]
    differs: bool
    replaces: tuple[str, ...]
    delete_first: bool


def difference(
    session: Session, goal: Goal, old: ResourceState, state: ResourceState, client: ProviderClient
) -> Difference:
    """What a provider, and the goal's own `replace_on_changes`, say about the way to a new state."""
    known = session.secrets.comparable(old.inputs, state.inputs)
    found = compare(client, old, known, state)
    if _provider_changed(session.snapshot.renamed(old.provider), goal.provider):
        return replace(found, differs=True, replaces=(*found.replaces, "provider"))
    # What did not come up the last time is brought to its goal again, changed or not.
    return replace(found, differs=found.differs or bool(old.init_errors))


def compare(
    client: ProviderClient, old: ResourceState, known: dict[str, Any], state: ResourceState
) -> Difference:
    """What a provider says about the way from `old`, whose inputs are `known`, to `state`.

    What forces a replacement is what the provider says does, and what of the differences that it tells is at
    or under a path of `replace_on_changes`: a top-level name is not under `tags.env`
    (`applyReplaceOnChanges` in pkg/resource/deploy/step_generator.go of pulumi/pulumi). Where it leaves the
    comparison to the engine, that compares the inputs. Raises `ProviderCallError`.
    """
    response = client.call(
        "Diff",
        pb.DiffRequest(
            id=old.id,
            urn=state.urn,
            name=state.name,
            type=state.type,
            olds=to_struct(old.outputs, keep_secrets=client.accepts_secrets),
            news=to_struct(state.inputs, keep_secrets=client.accepts_secrets),
            old_inputs=to_struct(known, keep_secrets=client.accepts_secrets),
            ignoreChanges=state.ignore_changes,
        ),
    )
    news = state.inputs
    detailed = dict(response.detailedDiff) if response.hasDetailedDiff else {}
    told = {*response.diffs, *detailed}
    differs = response.changes == pb.DiffResponse.DIFF_SOME
    if response.changes == pb.DiffResponse.DIFF_UNKNOWN:
        news = ignore_changes(known, news, state.ignore_changes)
        told = {change.path for change in property_changes(known, news)}
        told |= {str(parse_path(path)[0]) for path in told}
        differs = bool(told)
    replaces = dict.fromkeys(response.replaces)
    replaces |= dict.fromkeys(path for path, diff in sorted(detailed.items()) if diff.kind in _REPLACING)
    if differs:
        for pattern in map(parse_path, state.replace_on_changes):
            replaces |= dict.fromkeys(path for path in sorted(told) if contains(pattern, parse_path(path)))
    return Difference(
        property_changes(known, news),
        differs,
        tuple(replaces) if differs else (),
        response.deleteBeforeReplace,
    )


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
