"""Reading what exists: `X.get` in a program, `refresh`, and settling what a crash cut short."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import PendingOperation, ResourceState
from fleet.engine.local.diff import property_changes
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.session import Session, timeout_s
from fleet.engine.local.values import annotate_secrets, from_struct, mark_secret, to_struct


def read(client: ProviderClient, state: ResourceState) -> ResourceState | None:
    """What a provider finds under a state's id, as a copy of the state; None when it is gone.

    A resource that exists and is not in order comes back with `init_errors`. Raises `ProviderCallError`.
    """
    request = pb.ReadRequest(
        id=state.id,
        urn=state.urn,
        name=state.name,
        type=state.type,
        properties=to_struct(state.outputs, keep_secrets=client.accepts_secrets),
        inputs=to_struct(state.inputs, keep_secrets=client.accepts_secrets),
        timeout=timeout_s(state, "read"),
    )
    reasons: list[str] = []
    try:
        response = client.call("Read", request)
        found, outputs, inputs = response.id, from_struct(response.properties), from_struct(response.inputs)
    except ProviderCallError as error:
        if error.partial is None:
            raise
        found, outputs, inputs = error.partial.id, error.partial.properties, error.partial.inputs
        reasons = list(error.partial.reasons)
    if not found:
        return None
    outputs = mark_secret(annotate_secrets(outputs, state.inputs), state.additional_secret_outputs)
    inputs = annotate_secrets(inputs, state.inputs) or state.inputs
    return replace(state, id=found, outputs=outputs, inputs=inputs, init_errors=reasons)


def refresh_states(session: Session) -> None:
    """Bring every resource of the state to what exists; what is gone leaves the state.

    Raises `EngineError` for a target that the state does not have.
    """
    known = session.snapshot.untouched()
    states = [s for s in known if session.targets.covers(s)]
    session.targets.require_met(state.urn for state in known)
    states = [s for s in states if s.custom and not s.is_provider and not s.delete]
    with ThreadPoolExecutor(max_workers=session.run.parallel, thread_name_prefix="refresh") as pool:
        list(pool.map(lambda state: _refresh_one(session, state), states))
    session.snapshot.save()


def _refresh_one(session: Session, state: ResourceState) -> None:
    if state.pending_replacement:
        return
    try:
        client = session.providers.get(state.provider)
        with session.slot():
            found = read(client, state)
    except ProviderCallError as error:
        session.report.fail(state, error.code, error.message)
        return
    if found is None:
        session.snapshot.forget(state)
        session.report.change(state, "delete")
        return
    inputs = session.secrets.reuse(found.inputs, state.inputs)
    outputs = session.secrets.reuse(found.outputs, state.outputs)
    changes = property_changes(state.outputs, outputs)
    state.inputs, state.outputs, state.init_errors = inputs, outputs, found.init_errors
    session.report.change(state, "refresh" if changes else "same", changes)


def settle(session: Session, pending: list[PendingOperation]) -> None:
    """Find out how the operations ended that a dead run left in flight, and say so.

    A create is looked up by the id that it was going to have: what exists is adopted, else the intent is
    forgotten. That is safe because an intent has an id only if nothing was there when it was recorded.
    A delete whose resource is gone is completed. Of an update the state takes what is found, with its
    inputs, so that what is still missing of it is seen as a change. An operation that cannot be looked up
    stops the run: going on could make a second resource beside the first.
    """
    kept: list[PendingOperation] = []
    for operation in pending:
        state = operation.resource
        try:
            message = _settle_one(session, operation)
        except ProviderCallError as error:
            session.report.fail(state, error.code, f"what became of its {operation.kind}: {error.message}")
            kept.append(operation)
            continue
        session.report.event("recovered", state, None, message, "warning")
    session.snapshot.keep_pending(kept)
    session.report.pending = [operation.resource.urn for operation in kept]
    session.snapshot.save()


def _settle_one(session: Session, operation: PendingOperation) -> str:
    state = operation.resource
    existing = session.snapshot.old(state.urn)
    if operation.kind == "creating":
        if not state.id:
            return (
                "a create was cut short and nothing tells what it made; look for it by hand if this run fails"
            )
        found = read(session.providers.get(state.provider), state)
        if found is None:
            return "a create was cut short before anything existed; forgotten"
        _keep_ciphertexts(session, found, state)
        replaced = existing if existing is not None and existing.pending_replacement else None
        if existing is not None and replaced is None:
            existing.delete = True
        session.snapshot.adopt(found, replaced)
        return f"a create was cut short; {state.id} exists and was adopted"
    if operation.kind == "deleting":
        stale = next(
            (r for r in session.snapshot.untouched() if r.urn == state.urn and r.id == state.id), None
        )
        if stale is None:
            return "a delete was cut short; nothing is left of it"
        if read(session.providers.get(state.provider), stale) is not None:
            return "a delete was cut short and the resource is still there"
        session.snapshot.forget(stale)
        return "a delete was cut short; the resource is gone"
    if operation.kind == "updating" and existing is not None and existing.id == state.id:
        # Without the old outputs: what is compared is what was sent with what is there, not two sights of it.
        found = read(session.providers.get(existing.provider), replace(existing, outputs={}))
        if found is not None:
            _keep_ciphertexts(session, found, existing)
            existing.inputs, existing.outputs = found.inputs, found.outputs
            existing.init_errors = found.init_errors
    return f"{operation.kind} was cut short; it is done again if it is still needed"


def _keep_ciphertexts(session: Session, found: ResourceState, known: ResourceState) -> None:
    found.inputs = session.secrets.reuse(found.inputs, known.inputs)
    found.outputs = session.secrets.reuse(found.outputs, known.outputs)
