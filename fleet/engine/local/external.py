"""Resources that a program only reads: `X.get`, and stack references."""

from fleet.engine.local.checkpoint import ResourceState
from fleet.engine.local.goals import STACK_REFERENCE
from fleet.engine.local.provider_host import ProviderCallError
from fleet.engine.local.reads import read
from fleet.engine.local.session import Session, plain
from fleet.engine.local.values import contains_secret, contains_unknown, mark_secret


def step_read(session: Session, state: ResourceState) -> None:
    """Read a resource that is managed elsewhere. Raises `ProviderCallError`.

    A preview takes it from the state, or as unknown; but a stack reference needs no network and is read.
    A resource of this stack that the program now only reads is let go, not deleted; under another id it is
    replaced, as in Pulumi (`GenerateReadSteps` in pkg/resource/deploy/step_generator.go).
    """
    old = session.snapshot.old(state.urn)
    if session.preview and not (state.type == STACK_REFERENCE and state.id):
        if old is not None and old.external and old.id == state.id:
            state.outputs = old.outputs
        else:
            state.outputs = {} if contains_unknown(state.inputs) else plain(state.inputs)
    else:
        with session.slot():
            found = read(session.providers.get(state.provider), state)
        if found is None:
            raise ProviderCallError("NotFound", f"{state.id} does not exist")
        # Its inputs stay what the program says of it,
        # mostly nothing; what is found are outputs, as in Pulumi.
        state.id, state.outputs = found.id, found.outputs
        if old is not None:
            state.inputs = session.secrets.reuse(state.inputs, old.inputs)
            state.outputs = session.secrets.reuse(state.outputs, old.outputs)
        state.outputs = mark_secret(state.outputs, state.additional_secret_outputs)
        session.needs_passphrase |= contains_secret([state.inputs, state.outputs]) or bool(
            state.outputs.get("secretOutputNames") if state.type == STACK_REFERENCE else ()
        )
    if old is not None and not old.external and old.id != state.id:
        session.snapshot.record(state, successor_of=old)
    else:
        session.snapshot.record(state, old)
    session.report.change(state, "read")
