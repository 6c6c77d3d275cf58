"""Deleting resources: dependants before what they depend on, independent ones at the same time."""

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import ResourceState
from fleet.engine.local.inputs import compare
from fleet.engine.local.provider_host import ProviderCallError
from fleet.engine.local.session import Session, timeout_s
from fleet.engine.local.targets import UNTARGETED_DEPENDANT
from fleet.engine.local.values import UNKNOWN_VALUE, to_struct
from fleet.ports.engine import EngineError


def delete_dropped(session: Session) -> None:
    """Delete what the state has and nobody has registered in this run, as far as the targets reach.

    A resource that depends on one of them goes too if the run says so (`target_dependents`); otherwise it
    stops all of them, before the first effect, as in Pulumi.
    """
    states = session.snapshot.untouched()
    doomed = [state for state in states if session.targets.covers(state)]
    session.targets.require_met(state.urn for state in session.snapshot.resources())
    going = {state.urn for state in doomed}
    chosen = {id(state) for state in doomed}
    # In order of dependencies, so what depends on a dependant is found too.
    stopping = []
    for state in states:
        if id(state) not in chosen and not state.is_provider and state.references & going:
            stopping.append(state)
            going.add(state.urn)
    for state in stopping:
        session.report.fail(
            state,
            UNTARGETED_DEPENDANT,
            "it depends on a target that would be deleted; make it a target too, or include dependants",
        )
    if not stopping:
        delete_states(session, doomed)


def delete_states(session: Session, states: list[ResourceState]) -> None:
    """Delete resources, each when nothing in `states` depends on it any more.

    A protected resource among them stops all of them, before the first effect, as in Pulumi. What depends
    on a resource that failed goes on; what the failed one depends on is left and reported as skipped.
    """
    protected = [s for s in states if s.protect and not s.delete and not session.run.options.unprotect]
    for state in protected:
        session.report.fail(
            state,
            "Protected",
            "it would be deleted and it is protected; unprotect it in the program, or run with unprotect",
        )
    if protected:
        kept = {id(state) for state in protected}
        for state in (s for s in states if id(s) not in kept):
            session.report.skip(state, f"{protected[0].name} is protected")
        return
    if session.preview:
        for state in reversed(states):
            _forget(session, state)
        return
    _delete_in_order(session, states)


def _delete_in_order(session: Session, states: list[ResourceState]) -> None:
    waiting = {id(s): s for s in states}
    going = {s.urn for s in states if _lives_outside(s)}
    dependants = {key: _dependants(state, states) for key, state in waiting.items()}
    blocked: dict[int, str] = {}
    running: dict[Future[str | None], int] = {}
    with ThreadPoolExecutor(max_workers=session.run.parallel, thread_name_prefix="delete") as pool:
        while waiting or running:
            unfinished = waiting.keys() | set(running.values())
            ready = [key for key in waiting if not dependants[key] & unfinished]
            if not ready and not running:
                raise EngineError("the state has a cycle of dependencies; it cannot be deleted in any order")
            for key in ready:
                state = waiting.pop(key)
                if cause := next((blocked[k] for k in dependants[key] if k in blocked), None):
                    session.report.skip(state, f"{cause} still depends on it")
                    blocked[key] = state.name
                else:
                    running[pool.submit(_delete_one, session, state, going)] = key
            for future in _completed(session, running):
                key = running.pop(future)
                if failed := future.result():
                    blocked[key] = failed


def _completed(session: Session, running: Iterable[Future[str | None]]) -> set[Future[str | None]]:
    try:
        return wait(running, return_when=FIRST_COMPLETED).done
    except BaseException:
        # Interrupted: what is in flight ends, and what only waits for a thread is not begun.
        session.stopping.set()
        raise


def _dependants(state: ResourceState, among: Iterable[ResourceState]) -> set[int]:
    return {id(other) for other in among if other is not state and state.urn in other.references}


def _delete_one(session: Session, state: ResourceState, going: set[str]) -> str | None:
    """Delete a resource; the name of it when that failed."""
    try:
        delete_now(session, state, going)
    except ProviderCallError as error:
        session.report.fail(state, error.code, error.message)
        return state.name
    return None


def delete_now(session: Session, state: ResourceState, going: set[str], *, to_replace: bool = False) -> None:
    """Delete one resource and take it out of the state. Raises `ProviderCallError`.

    With `to_replace` it stays in the state, marked, until its replacement is there; one that is kept in the
    world leaves the state at once. A resource whose
    `deleted_with` is among `going`, the URNs about to be deleted, needs no call of its own: it leaves the
    state together with that one.
    """
    if not _lives_outside(state):
        if to_replace:
            session.snapshot.forget(state)
        else:
            _forget(session, state)
        session.snapshot.save()
        return
    if state.deleted_with in going:
        session.deleted_with.setdefault(state.deleted_with, []).append(state)
        return
    client = session.providers.get(state.provider)
    session.report.event("started", state, "delete")
    with session.slot(), session.snapshot.operation("deleting", state):
        client.delete(
            pb.DeleteRequest(
                id=state.id,
                urn=state.urn,
                name=state.name,
                type=state.type,
                properties=to_struct(state.outputs, keep_secrets=client.accepts_secrets),
                old_inputs=to_struct(state.inputs, keep_secrets=client.accepts_secrets),
                timeout=timeout_s(state, "delete"),
            )
        )
        _leave(session, state, to_replace=to_replace)


def _leave(session: Session, state: ResourceState, *, to_replace: bool) -> None:
    for along in session.deleted_with.pop(state.urn, []):
        _leave(session, along, to_replace=to_replace)
    if to_replace:
        state.pending_replacement = True
    else:
        _forget(session, state)


def make_room(session: Session, state: ResourceState, id_: str) -> None:
    """Delete what a replacement that did not end left under an id that is about to be taken again.

    What is marked for deletion goes at the end of a run; here that would be after its successor, of the same
    id, was made: the provider would refuse to make it, or the successor would be deleted. What depends on
    it, and is marked as well, goes before it. Raises `ProviderCallError`.
    """
    doomed: list[ResourceState] = []
    urns: set[str] = set()
    for other in session.snapshot.untouched():
        if other.delete and ((other.id, other.type) == (id_, state.type) or other.references & urns):
            doomed.append(other)
            urns.add(other.urn)
    for other in reversed(doomed):
        delete_now(session, other, set())


def _lives_outside(state: ResourceState) -> bool:
    """Whether deleting the resource means a call: it is ours, and it is still there."""
    return not (
        not state.custom
        or state.is_provider
        or state.external
        or state.retain_on_delete
        or state.pending_replacement
    )


def _forget(session: Session, state: ResourceState) -> None:
    session.snapshot.forget(state)
    if state.delete:
        # The second half of a replacement: told as one, under its own name, as in Pulumi.
        session.report.other_half(state)
    # Dropping what was only read is no change, and what made way has been told.
    elif not state.pending_replacement and not state.external:
        kept = state.retain_on_delete and state.custom and not state.is_provider
        session.report.change(state, "retain" if kept else "delete")


def delete_before_replacing(session: Session, old: ResourceState, successor: str) -> None:
    """Delete a resource that is about to be replaced by `successor`, after what must be replaced with it.

    As in Pulumi: a dependant goes too if a new value in the properties which come from the replaced resource
    forces its replacement, as its own provider or the `replace_on_changes` that it last had say. It is told
    as replaced, also if the program has dropped it; so is `old` if the URN `successor` is another.
    Raises `ProviderCallError`.
    """
    doomed = [old]
    urns = {old.urn}
    for state in session.snapshot.untouched():
        if state is not old and _must_follow(session, state, urns):
            doomed.append(state)
            urns.add(state.urn)
    for state in doomed[1:]:
        if state.protect and not session.run.options.unprotect:
            raise ProviderCallError("Protected", f"{state.name} depends on it, and is protected")
    for state in reversed(doomed):
        if not session.preview:
            delete_now(session, state, urns, to_replace=True)
        elif state is not old:
            state.pending_replacement = True
        session.replaced.add(state.urn)
        if state.urn != successor:
            session.report.change(state, "replace")


def _must_follow(session: Session, state: ResourceState, urns: set[str]) -> bool:
    # One that is kept in the world (`retain_on_delete`) follows too.
    if not state.custom or state.external or state.is_provider or state.delete or state.pending_replacement:
        return False
    if state.provider.rsplit("::", 1)[0] in urns or state.deleted_with in urns:
        return True
    affected = {key for key, sources in state.property_dependencies.items() if urns & set(sources)}
    affected &= state.inputs.keys()
    if not affected:
        return False
    news = {k: UNKNOWN_VALUE if k in affected else v for k, v in state.inputs.items()}
    client = session.providers.get(state.provider)
    return bool(compare(client, state, state.inputs, replace(state, inputs=news)).replaces)
