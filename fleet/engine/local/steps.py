"""Bringing one resource to its goal: check, diff, then leave it, create it, update it or replace it."""

import uuid
from dataclasses import replace

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import ResourceState
from fleet.engine.local.deletes import delete_before_replacing
from fleet.engine.local.diff import hidden_paths, ignore_changes, property_changes
from fleet.engine.local.effects import create, need_passphrase, update
from fleet.engine.local.goals import PLUGIN_INTERNAL, PLUGIN_VERSION, Goal, configuration_of
from fleet.engine.local.imports import is_import, step_import
from fleet.engine.local.inputs import Difference, checked, difference, new_state, refuse_failures
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.session import Session
from fleet.engine.local.values import from_struct, to_struct
from fleet.ports.engine import Op


def step_component(session: Session, goal: Goal) -> ResourceState:
    """Register a component or the stack: nothing outside changes."""
    old = session.lineage.find(goal)
    state = new_state(goal, session.secrets.reuse(goal.inputs, old.inputs) if old else goal.inputs)
    if old is None:
        op: Op = "create"
    else:
        state.outputs, state.created, state.modified = old.outputs, old.created, old.modified
        op = "same" if old.inputs == state.inputs else "update"
    session.snapshot.record(state, old)
    changes = property_changes(old.inputs if old else {}, state.inputs) if op != "same" else ()
    session.report.change(state, op, changes)
    return state


def step_provider(session: Session, goal: Goal) -> ResourceState:
    """Register a provider: check its configuration, and configure it for the resources that use it.

    Raises `ProviderCallError`.
    """
    client = session.providers.make(goal.type)
    old = session.lineage.find(goal)
    secrets = session.secrets
    response = client.call(
        "CheckConfig",
        pb.CheckRequest(
            urn=goal.urn,
            olds=to_struct(configuration_of(old.inputs) if old else {}),
            news=to_struct(configuration_of(goal.inputs)),
        ),
    )
    refuse_failures(response)
    inputs = from_struct(response.inputs)
    if PLUGIN_INTERNAL in goal.inputs:
        inputs[PLUGIN_INTERNAL] = goal.inputs[PLUGIN_INTERNAL]
    state = new_state(goal, secrets.reuse(inputs, old.inputs) if old else inputs)
    before, now = configuration_of(old.inputs) if old else {}, configuration_of(state.inputs)
    # A state that does not say which plugin it was, as this engine's once did, is no reason for an update.
    unsaid = {PLUGIN_VERSION} - before.keys()
    op: Op = "create"
    replaces: tuple[str, ...] = ()
    if old is not None:
        state.id, state.outputs, state.created = old.id, old.outputs, old.created
        diff = client.call(
            "DiffConfig",
            pb.DiffRequest(
                id=old.id,
                urn=goal.urn,
                olds=to_struct(old.outputs),
                news=to_struct(now),
                old_inputs=to_struct(before),
            ),
        )
        replaces = tuple(diff.replaces)
        op = (
            "replace"
            if replaces
            else "same"
            if before == {k: v for k, v in now.items() if k not in unsaid}
            else "update"
        )
    if op in ("create", "replace"):
        # An id that changes is what makes the resources of a replaced provider be replaced too.
        state.id = "" if session.preview else str(uuid.uuid4())
    state.outputs = now
    need_passphrase(session, state)
    session.providers.configure(state, client)
    if old is not None and op == "replace":
        # It stays until the resources that it made are gone: only it knows where they are.
        session.snapshot.record(state, successor_of=old)
    else:
        session.snapshot.record(state, old)
    changes = property_changes(before, now) if op != "same" else ()
    session.report.change(state, op, changes, replaces)
    return state


def step_custom(session: Session, goal: Goal, client: ProviderClient) -> ResourceState:
    """Bring a resource to its goal. Raises `ProviderCallError`; the state then says what exists."""
    old = session.lineage.find(goal)
    if is_import(goal, old):
        return step_import(session, goal, old, client)
    if old is None or old.pending_replacement or old.external:
        # Deleted already to make way, or only read so far: there is nothing to compare with.
        state = new_state(goal, checked(session, goal, None, client))
        create(session, state, client, instead_of=old)
        gone = {goal.urn, session.lineage.former(goal.urn)} & session.replaced
        op: Op = "replace" if gone or (old is not None and old.pending_replacement) else "create"
        session.report.change(state, op, property_changes({}, state.inputs))
        return state

    kept = replace(goal, inputs=ignore_changes(old.inputs, goal.inputs, goal.ignore_changes))
    state = new_state(goal, checked(session, kept, old, client))
    state.import_id = old.import_id
    found = difference(session, goal, old, state, client)
    if found.replaces:
        return _replace(session, goal, old, client, found)
    ignored = hidden_paths(old.inputs, goal.inputs, goal.ignore_changes)
    if found.differs:
        update(session, goal, old, state, client)
        session.report.change(state, "update", found.changes, ignored=ignored)
    else:
        need_passphrase(session, state)
        state.id, state.outputs = old.id, old.outputs
        state.created, state.modified = old.created, old.modified
        session.snapshot.record(state, old)
        session.report.change(state, "same", ignored=ignored)
    return state


def _replace(
    session: Session,
    goal: Goal,
    old: ResourceState,
    client: ProviderClient,
    found: Difference,
) -> ResourceState:
    keys, delete_first = found.replaces, found.delete_first
    # As in Pulumi: what only this run protects is still made anew.
    if goal.protect and old.protect and not session.run.options.unprotect:
        raise ProviderCallError(
            "Protected",
            f"it must be replaced ({', '.join(keys)} changed) and it is protected; "
            "unprotect it in the program, or run with unprotect",
        )
    if goal.import_id and not session.preview:
        raise ProviderCallError(
            "ImportedReplaced",
            f"it must be replaced ({', '.join(keys)} changed) and the program still imports "
            f"{goal.import_id}; take the import out of the program first",
        )
    # What is made anew has nothing of before to keep: neither defaults nor what ignore_changes hides.
    state = new_state(goal, checked(session, goal, None, client))
    if goal.delete_before_replace is not None:
        delete_first = goal.delete_before_replace
    if delete_first:
        delete_before_replacing(session, old, goal.urn)
        create(session, state, client, instead_of=old)
    else:
        # Once its successor stands, maybe in part, it goes when nothing uses it any more.
        create(session, state, client, successor_of=old)
    session.report.change(state, "replace", property_changes(old.inputs, state.inputs), keys)
    return state
