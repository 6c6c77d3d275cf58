"""Bringing one resource to its goal: check, diff, then leave it, create it, update it or replace it."""

import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import ResourceState, timestamp
from fleet.engine.local.deletes import delete_before_replacing
from fleet.engine.local.diff import hidden_paths, ignore_changes, matches, parse_path, property_changes
from fleet.engine.local.goals import Goal
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.reads import read
from fleet.engine.local.session import Session, plain, timeout_s
from fleet.engine.local.values import (
    Secret,
    annotate_secrets,
    contains_plain_secret,
    contains_unknown,
    from_struct,
    leaves,
    mark_secret,
    to_struct,
)
from fleet.ports.engine import Op, PassphraseError, PropertyChange


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
        dependencies=list(goal.dependencies),
        property_dependencies=goal.property_dependencies,
        additional_secret_outputs=list(goal.additional_secret_outputs),
        custom_timeouts=goal.custom_timeouts,
    )


def old_of(session: Session, goal: Goal) -> ResourceState | None:
    """The resource that a goal continues, under its URN or one of its aliases."""
    for urn in (goal.urn, *goal.aliases):
        if (old := session.snapshot.old(urn)) is not None:
            return old
    return None


def step_component(session: Session, goal: Goal) -> ResourceState:
    """Register a component or the stack: nothing outside changes."""
    old = old_of(session, goal)
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
    old = old_of(session, goal)
    secrets = session.secrets
    response = client.call(
        "CheckConfig",
        pb.CheckRequest(urn=goal.urn, olds=to_struct(old.inputs if old else {}), news=to_struct(goal.inputs)),
    )
    _refuse_failures(response)
    inputs = from_struct(response.inputs)
    state = new_state(goal, secrets.reuse(inputs, old.inputs) if old else inputs)
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
                news=to_struct(state.inputs),
                old_inputs=to_struct(old.inputs),
            ),
        )
        replaces = tuple(diff.replaces)
        op = "replace" if replaces else "same" if old.inputs == state.inputs else "update"
    if op in ("create", "replace"):
        # An id that changes is what makes the resources of a replaced provider be replaced too.
        state.id = "" if session.preview else str(uuid.uuid4())
    state.outputs = state.inputs
    _need_passphrase(session, state)
    session.providers.configure(goal.urn, client, state.inputs)
    session.snapshot.record(state, old)
    changes = property_changes(old.inputs if old else {}, state.inputs) if op != "same" else ()
    session.report.change(state, op, changes, replaces)
    return state


def step_custom(session: Session, goal: Goal, client: ProviderClient) -> ResourceState:
    """Bring a resource to its goal. Raises `ProviderCallError`; the state then says what exists."""
    old = old_of(session, goal)
    if old is not None and (old.pending_replacement or old.external):
        # Deleted already to make way, or only read so far: there is nothing to compare with.
        gone, old = old, None
    else:
        gone = None
    state = new_state(goal, _checked_inputs(session, goal, old, client))
    if old is None:
        _create(session, state, client, instead_of=gone)
        op: Op = "replace" if goal.urn in session.replaced else "create"
        session.report.change(state, op, property_changes({}, state.inputs))
        return state

    changes, replaces, delete_first = _diff(session, goal, old, state, client)
    ignored = hidden_paths(old.inputs, goal.inputs, goal.ignore_changes)
    if replaces:
        if goal.protect and not session.run.options.unprotect:
            raise ProviderCallError(
                "Protected",
                f"it must be replaced ({', '.join(replaces)} changed) and it is protected; "
                "unprotect it in the program, or run with unprotect",
            )
        if goal.delete_before_replace is not None:
            delete_first = goal.delete_before_replace
        if delete_first:
            delete_before_replacing(session, old)
            _create(session, state, client, instead_of=old)
        else:
            try:
                _create(session, state, client, instead_of=None)
            finally:
                # Its successor stands, maybe in part; it goes when nothing uses it any more.
                old.delete = session.snapshot.current(goal.urn) is state
        session.report.change(state, "replace", changes or (), replaces, ignored)
    elif changes is not None:
        _update(session, goal, old, state, client)
        session.report.change(state, "update", changes, ignored=ignored)
    else:
        state.id, state.outputs = old.id, old.outputs
        state.created, state.modified = old.created, old.modified
        session.snapshot.record(state, old)
        session.report.change(state, "same", ignored=ignored)
    return state


def _refuse_failures(response: pb.CheckResponse) -> None:
    if response.failures:
        raise ProviderCallError(
            "CheckFailed",
            "; ".join(f"{f.property}: {f.reason}" if f.property else f.reason for f in response.failures),
        )


def _checked_inputs(
    session: Session, goal: Goal, old: ResourceState | None, client: ProviderClient
) -> dict[str, Any]:
    inputs = ignore_changes(old.inputs, goal.inputs, goal.ignore_changes) if old else goal.inputs
    response = client.call(
        "Check",
        pb.CheckRequest(
            urn=goal.urn,
            name=goal.name,
            type=goal.type,
            olds=to_struct(old.inputs if old else {}, keep_secrets=client.accepts_secrets),
            news=to_struct(inputs, keep_secrets=client.accepts_secrets),
            # The Pulumi engine draws this; ours must be the same for every plan of the same program.
            randomSeed=hashlib.sha256(goal.urn.encode()).digest(),
        ),
    )
    _refuse_failures(response)
    checked = from_struct(response.inputs)
    if not client.accepts_secrets:
        checked = annotate_secrets(checked, inputs)
    return dict(session.secrets.reuse(checked, old.inputs)) if old else checked


def _diff(
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
    if _provider_changed(old.provider, goal.provider):
        differs, replaces = True, [*replaces, "provider"]
    # What did not come up the last time is brought to its goal again, changed or not.
    differs = differs or bool(old.init_errors)
    return changes if differs else None, tuple(replaces) if differs else (), response.deleteBeforeReplace


def _provider_changed(old: str, new: str) -> bool:
    """Whether a resource moved to another provider; from one default provider to another is no move."""
    if not old or old == new:
        return False
    both_default = all(ref.rsplit("::", 2)[-2].startswith("default") for ref in (old, new))
    return not both_default


def _need_passphrase(session: Session, state: ResourceState) -> None:
    """Before an effect: make sure that the secrets of its outcome can be written."""
    if contains_plain_secret(state.inputs) or state.additional_secret_outputs:
        for leaf in leaves(state.inputs):
            if isinstance(leaf, Secret):
                session.secrets.remember(leaf)
        if session.preview:
            session.needs_passphrase = True
        else:
            session.secrets.ready()


def _require_known(session: Session, state: ResourceState) -> None:
    if not session.preview and contains_unknown(state.inputs):
        raise ProviderCallError(
            "UnknownInput", "an input of it is still unknown, as what it comes from failed"
        )


def _create(
    session: Session, state: ResourceState, client: ProviderClient, instead_of: ResourceState | None
) -> None:
    _require_known(session, state)
    _need_passphrase(session, state)
    inputs = session.open(state.inputs) if not session.preview else state.inputs
    request = pb.CreateRequest(
        urn=state.urn,
        name=state.name,
        type=state.type,
        properties=to_struct(inputs, keep_secrets=client.accepts_secrets),
        timeout=timeout_s(state, "create"),
        preview=session.preview,
    )
    if session.preview:
        state.outputs = _preview_outputs(state, client, "Create", request)
        session.snapshot.record(state, instead_of)
        return
    session.report.event("started", state, "create")
    with session.slot():
        state.id = _vacant_id(state, inputs, client)
        with session.snapshot.operation("creating", state):
            _create_now(session, state, client, request, instead_of)
    _complain_about_lost_secrets(state)


def _vacant_id(state: ResourceState, inputs: dict[str, Any], client: ProviderClient) -> str:
    """The id that a create will give, or "" where it cannot be known or something is there already.

    After a crash, what is found under a recorded id is adopted. So an id may be recorded only when nothing
    was there before: the provider refuses to create over what exists, but it may be killed while it looks.
    Raises `ProviderCallError`.
    """
    predicted = client.predict_id(state.type, plain(inputs))
    return "" if not predicted or read(client, replace(state, id=predicted)) is not None else predicted


def _create_now(
    session: Session,
    state: ResourceState,
    client: ProviderClient,
    request: pb.CreateRequest,
    instead_of: ResourceState | None,
) -> None:
    try:
        response = client.call("Create", request)
    except ProviderCallError as error:
        _keep_partial(session, state, instead_of, error)
        raise
    state.id = response.id
    state.created = state.modified = timestamp(datetime.now(UTC))
    _take_outputs(session, state, client, from_struct(response.properties))
    session.snapshot.record(state, instead_of)


def _update(
    session: Session, goal: Goal, old: ResourceState, state: ResourceState, client: ProviderClient
) -> None:
    state.id, state.created = old.id, old.created
    _require_known(session, state)
    _need_passphrase(session, state)
    inputs = session.open(state.inputs) if not session.preview else state.inputs
    request = pb.UpdateRequest(
        id=old.id,
        urn=state.urn,
        name=state.name,
        type=state.type,
        olds=to_struct(old.outputs, keep_secrets=client.accepts_secrets),
        news=to_struct(inputs, keep_secrets=client.accepts_secrets),
        old_inputs=to_struct(old.inputs, keep_secrets=client.accepts_secrets),
        ignoreChanges=goal.ignore_changes,
        timeout=timeout_s(state, "update"),
        preview=session.preview,
    )
    if session.preview:
        state.outputs = _preview_outputs(state, client, "Update", request)
        session.snapshot.record(state, old)
        return
    session.report.event("started", state, "update")
    with session.slot(), session.snapshot.operation("updating", state):
        try:
            response = client.call("Update", request)
        except ProviderCallError as error:
            _keep_partial(session, state, old, error)
            raise
        state.modified = timestamp(datetime.now(UTC))
        _take_outputs(session, state, client, from_struct(response.properties))
        session.snapshot.record(state, old)
    _complain_about_lost_secrets(state)


def _preview_outputs(
    state: ResourceState, client: ProviderClient, method: str, request: Any
) -> dict[str, Any]:
    """What can be known of the outputs. The SDK takes every property that is absent as unknown."""
    if not client.supports_preview:
        return state.inputs
    outputs = from_struct(client.call(method, request).properties)
    return _secret_outputs(state, outputs)


def _secret_outputs(state: ResourceState, outputs: dict[str, Any]) -> dict[str, Any]:
    """Mark outputs as secret: those asked for, and those that echo a secret input."""
    return mark_secret(annotate_secrets(outputs, state.inputs), state.additional_secret_outputs)


def _take_outputs(
    session: Session, state: ResourceState, client: ProviderClient, outputs: dict[str, Any]
) -> None:
    """Keep the outputs of an effect, secrets marked."""
    state.outputs = _secret_outputs(state, outputs)
    for value in leaves(state.outputs):
        if isinstance(value, Secret):
            session.secrets.remember(value)
    if contains_plain_secret(state.outputs):
        try:
            session.secrets.ready()
        except PassphraseError as error:
            # The resource exists by now: keep everything of it but what may not be written.
            state.outputs = {k: v for k, v in state.outputs.items() if not contains_plain_secret(v)}
            state.init_errors = [f"its secret outputs were not kept: {error}"]


def _complain_about_lost_secrets(state: ResourceState) -> None:
    if state.init_errors:
        raise ProviderCallError("PassphraseMissing", state.init_errors[0])


def _keep_partial(
    session: Session, state: ResourceState, instead_of: ResourceState | None, error: ProviderCallError
) -> None:
    """Record a resource that exists although its create or update failed; the next run takes it up."""
    partial = error.partial
    if partial is None:
        return
    state.id = partial.id or state.id
    state.created = state.created or timestamp(datetime.now(UTC))
    state.modified = timestamp(datetime.now(UTC))
    state.outputs = _secret_outputs(state, partial.properties)
    state.init_errors = [session.secrets.redact(reason) for reason in partial.reasons] or [error.message]
    session.snapshot.record(state, instead_of)
