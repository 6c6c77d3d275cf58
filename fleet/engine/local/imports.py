"""Taking over a resource that exists: the option `import_` of a resource.

The rules are those of Pulumi's `ImportStep` (pkg/resource/deploy/step.go of pulumi/pulumi).
"""

from dataclasses import replace
from datetime import UTC, datetime

from fleet.engine.local.checkpoint import ResourceState, timestamp
from fleet.engine.local.diff import ignore_changes, property_changes
from fleet.engine.local.effects import need_passphrase
from fleet.engine.local.goals import Goal
from fleet.engine.local.inputs import checked, new_state
from fleet.engine.local.provider_host import NOT_CONNECTED, ProviderCallError, ProviderClient
from fleet.engine.local.reads import read
from fleet.engine.local.session import Session
from fleet.engine.local.values import annotate_secrets, mark_secret
from fleet.ports.engine import PropertyChange

IMPORT_MISMATCH = "ImportMismatch"
_SHOWN = 10


def is_import(goal: Goal, old: ResourceState | None) -> bool:
    """Whether a goal takes over a resource: it names one, and the state does not have that one yet."""
    return bool(goal.import_id) and (
        old is None or old.external or goal.import_id != (old.import_id or old.id)
    )


def step_import(
    session: Session, goal: Goal, old: ResourceState | None, client: ProviderClient
) -> ResourceState:
    """Take over the resource with the goal's import id, unless the program would change it.

    It is read by its id alone. Where the program's inputs differ from what is found, but for what
    `ignore_changes` covers, an update fails and a preview warns. A preview reads too, as in Pulumi: it is the
    one thing that it asks of the world. With a provider that has no connection it says that nothing is known.
    What the state had under this URN, with another id, is replaced: it is deleted at the end of the run.
    Raises `ProviderCallError`.
    """
    if old is not None and old.protect and not old.external and not session.run.options.unprotect:
        raise ProviderCallError(
            "Protected",
            f"it would be replaced by the import of {goal.import_id} and it is protected; "
            "unprotect it in the program, or run with unprotect",
        )
    state = new_state(goal, goal.inputs)
    state.id = state.import_id = goal.import_id
    need_passphrase(session, state)
    try:
        # By the id alone: what the provider answers must not come from what the program says.
        with session.slot():
            found = read(client, replace(state, inputs={}, outputs={}))
    except ProviderCallError as error:
        if not (session.preview and error.code == NOT_CONNECTED):
            raise
        state.inputs = state.outputs = checked(session, goal, None, client)
        _record(session, state, old, (), unread=True)
        return state
    if found is None:
        raise ProviderCallError("NotFound", f"{goal.import_id} does not exist, so it cannot be imported")
    there = annotate_secrets(found.inputs, goal.inputs)
    inputs = ignore_changes(there, goal.inputs, goal.ignore_changes)
    state.inputs = checked(session, replace(goal, inputs=inputs), replace(state, inputs=there), client)
    differing = property_changes(there, state.inputs)
    if differing:
        message = f"inputs to import do not match the existing resource: {_paths(differing)}"
        if not session.preview:
            raise ProviderCallError(
                IMPORT_MISMATCH, f"{message}; change the program, or put them into ignore_changes"
            )
        session.report.event(
            "diagnostic", state, "import", f"{message}; importing this resource will fail", "warning"
        )
    state.id, state.init_errors = found.id, found.init_errors
    state.outputs = mark_secret(
        annotate_secrets(found.outputs, state.inputs), state.additional_secret_outputs
    )
    if not session.preview:
        state.created = state.modified = timestamp(datetime.now(UTC))
    _record(session, state, old, differing)
    return state


def _record(
    session: Session,
    state: ResourceState,
    old: ResourceState | None,
    differing: tuple[PropertyChange, ...],
    *,
    unread: bool = False,
) -> None:
    replaced = old is not None and not old.external and not old.pending_replacement
    if replaced:
        session.snapshot.record(state, successor_of=old)
        session.report.change(state, "replace", differing, ("id",), unread=unread)
    else:
        session.snapshot.record(state, old)
        session.report.change(state, "import", differing, unread=unread)
    session.snapshot.save()


def _paths(changes: tuple[PropertyChange, ...]) -> str:
    paths = [change.path for change in changes]
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
