"""The effects of a step: create and update, with the intent on the disk before and the outcome after."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import ResourceState, timestamp
from fleet.engine.local.deletes import make_room
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
from fleet.ports.engine import PassphraseError


def need_passphrase(session: Session, state: ResourceState) -> None:
    """Make sure, before an effect, that the secrets of its outcome can be written.

    Raises `PassphraseError`; a preview only notes that an update would need the passphrase.
    """
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


def create(
    session: Session,
    state: ResourceState,
    client: ProviderClient,
    *,
    instead_of: ResourceState | None = None,
    successor_of: ResourceState | None = None,
) -> None:
    """Create a resource, or in a preview say what can be known of it. Raises `ProviderCallError`.

    For `instead_of` and `successor_of` see `Snapshot.record`.
    """

    def record() -> None:
        session.snapshot.record(state, instead_of, successor_of=successor_of)

    _require_known(session, state)
    need_passphrase(session, state)
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
        record()
        return
    predicted = client.predict_id(state.type, plain(inputs))
    if predicted:
        make_room(session, state, predicted)
    session.report.event("started", state, "create")
    with session.slot():
        state.id = _if_vacant(state, predicted, client)
        with session.snapshot.operation("creating", state):
            _create_now(session, state, client, request, record)
    _complain_about_lost_secrets(state)


def _if_vacant(state: ResourceState, predicted: str, client: ProviderClient) -> str:
    """The id that a create will give, or "" where it cannot be known or something is there already.

    After a crash, what is found under a recorded id is adopted. So an id may be recorded only when nothing
    was there before: the provider refuses to create over what exists, but it may be killed while it looks.
    Raises `ProviderCallError`.
    """
    return "" if not predicted or read(client, replace(state, id=predicted)) is not None else predicted


def _create_now(
    session: Session,
    state: ResourceState,
    client: ProviderClient,
    request: pb.CreateRequest,
    record: Callable[[], None],
) -> None:
    try:
        response = client.call("Create", request)
    except ProviderCallError as error:
        _keep_partial(session, state, error, record)
        raise
    state.id = response.id
    state.created = state.modified = timestamp(datetime.now(UTC))
    _take_outputs(session, state, client, from_struct(response.properties))
    record()


def update(
    session: Session, goal: Goal, old: ResourceState, state: ResourceState, client: ProviderClient
) -> None:
    """Change a resource in place, or in a preview say what can be known of it. Raises `ProviderCallError`."""
    state.id, state.created = old.id, old.created
    _require_known(session, state)
    need_passphrase(session, state)
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
            _keep_partial(session, state, error, lambda: session.snapshot.record(state, old))
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
    session: Session, state: ResourceState, error: ProviderCallError, record: Callable[[], None]
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
    record()
