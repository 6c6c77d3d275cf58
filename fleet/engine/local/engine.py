"""The local engine: a Pulumi program, Pulumi's state and Pulumi's provider protocol in one process.

It is not a second Pulumi. It covers what the stacks of this project use, refuses the rest by name, and
is to give the same operations as the Pulumi CLI for the same program and state.
"""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from fleet.engine.local import stack_references
from fleet.engine.local.checkpoint import Deployment, ResourceState, stack_resources
from fleet.engine.local.deletes import delete_dropped
from fleet.engine.local.engine_service import LocalEngineService
from fleet.engine.local.lineage import Lineage
from fleet.engine.local.monitor import LocalMonitor
from fleet.engine.local.provider_host import ProviderFactory
from fleet.engine.local.reads import refresh_states, settle
from fleet.engine.local.runtime import run_program
from fleet.engine.local.secrets import Passphrase, StackSecrets
from fleet.engine.local.session import ProviderRegistry, Report, Session
from fleet.engine.local.snapshot import Snapshot
from fleet.engine.local.store import StateStore
from fleet.engine.local.targets import UNTARGETED_DEPENDANT, UNTARGETED_DEPENDENCY, Targets
from fleet.ports.engine import (
    EngineError,
    OnEvent,
    PassphraseError,
    StackRef,
    StackResource,
    StackResult,
    StackRun,
)

_UNTARGETED: Final = frozenset({UNTARGETED_DEPENDANT, UNTARGETED_DEPENDENCY})


class LocalEngine:
    """Implements `fleet.ports.engine.Engine` in process.

    `provider_factory` makes the provider of a package; `passphrase` is asked, once a run and only when a
    secret must be opened or sealed. Instances hold no connection and no state: they can be pickled if the
    two callables can. Runs of one process follow one another; a fleet uses a pool of processes.

    A preview takes no lock, writes nothing and makes no call that needs a network: functions and reads
    that the state cannot answer are unknown. The exception is a resource that the program imports: it is
    read to say how it differs, unless the provider has no connection (`fleet.engine.local.imports`).
    """

    def __init__(
        self,
        state_store: StateStore,
        provider_factory: ProviderFactory,
        passphrase: Passphrase | None = None,
    ) -> None:
        self._store = state_store
        self._factory = provider_factory
        self._passphrase = passphrase

    def preview(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Say what `up` would do. Raises `EngineError`."""
        return self._preview(run, on_event)[0]

    def up(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Bring the stack to what its program declares. Raises `EngineError`.

        When anything fails, independent resources are still brought to their goals, nothing that the
        program dropped is deleted, and the next run takes up where this one ended.
        """
        if run.options.dry_run:
            return self.preview(run, on_event)
        if self._passphrase is None or run.options.targets:
            preview, needs_passphrase = self._preview(run, None)
            if self._passphrase is None and needs_passphrase:
                raise PassphraseError(
                    "the program has secrets to be written and no passphrase was given; nothing was changed"
                )
            if any(failure.code in _UNTARGETED for failure in preview.failures):
                # Before the first effect: what is wrong with the targets is for the user to put right.
                return replace(preview, changes=(), counts={}, outputs={})
        with self._changing(run, on_event) as session:
            if session.report.failures:
                return session.report.result(run, {})
            outputs = _run_program(session)
            if not session.report.failures:
                delete_dropped(session)
            return session.report.result(run, outputs)

    def refresh(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Bring the state to what exists; the program is not run. Raises `EngineError`."""
        with self._changing(run, on_event) as session:
            if not session.report.failures:
                refresh_states(session)
            return session.report.result(run, _stack_outputs(session.snapshot.resources()))

    def destroy(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Delete what is in the state; the program is not run. Raises `EngineError`."""
        with self._changing(run, on_event) as session:
            if not session.report.failures:
                delete_dropped(session)
            return session.report.result(run, {})

    def resources(self, stack: StackRef) -> tuple[StackResource, ...]:
        """Say what the state has, without a lock, the world or the passphrase. Raises `StateUnreadable`."""
        state = self._store.load(stack)
        return stack_resources(state.resources, state.pending)

    def _preview(self, run: StackRun, on_event: OnEvent | None) -> tuple[StackResult, bool]:
        session = self._dry(run, on_event)
        outputs = _run_program(session)
        if not session.report.failures:
            delete_dropped(session)
        return session.report.result(run, outputs), session.needs_passphrase

    def _dry(self, run: StackRun, on_event: OnEvent | None) -> Session:
        """A session that changes nothing; what a dead run left in flight is told, not looked up."""
        base = self._store.load(run.stack)
        session = self._session(run, base, on_event, save=None)
        session.report.pending = [operation.resource.urn for operation in base.pending]
        for operation in base.pending:
            session.report.event(
                "diagnostic",
                operation.resource,
                None,
                f"{operation.kind} was cut short; the next up finds out how it ended",
                "warning",
            )
        return session

    @contextmanager
    def _changing(self, run: StackRun, on_event: OnEvent | None) -> Iterator[Session]:
        """A locked session whose state is saved at the end, whatever happens; or one for a dry run."""
        if run.options.dry_run:
            yield self._dry(run, on_event)
            return
        with self._store.lock(run.stack):
            base = self._store.load(run.stack)
            save = self._saver(run, base)
            pending, base.pending = base.pending, []
            session = self._session(run, base, on_event, save=save)
            if pending:
                settle(session, pending)
            try:
                yield session
            finally:
                session.snapshot.save()

    def _session(
        self, run: StackRun, base: Deployment, on_event: OnEvent | None, save: Callable[..., None] | None
    ) -> Session:
        secrets = StackSecrets(self._passphrase, base.salt_state)
        for value in run.secret_config.values():
            secrets.remember(value)
        snapshot = Snapshot(base, None if save is None else lambda deployment: save(deployment, secrets))
        return Session(
            run=run,
            preview=save is None,
            snapshot=snapshot,
            secrets=secrets,
            providers=ProviderRegistry(self._factory_for(run.stack), secrets, snapshot),
            report=Report(secrets, on_event),
            lineage=Lineage(run.stack, snapshot),
            targets=Targets(run.options),
            slots=threading.BoundedSemaphore(max(run.parallel, 1)),
        )

    def _factory_for(self, stack: StackRef) -> ProviderFactory:
        def make(package: str) -> ResourceProviderServicer:
            if package == stack_references.PACKAGE:
                return stack_references.StackReferences(self._store, stack, self._passphrase)
            return self._factory(package)

        return make

    def _saver(self, run: StackRun, base: Deployment) -> Callable[[Deployment, StackSecrets], None]:
        def content(deployment: Deployment, secrets: StackSecrets) -> Any:
            return (
                [r.to_json(secrets) for r in deployment.resources],
                [(p.kind, p.resource.to_json(secrets)) for p in deployment.pending],
            )

        before = content(base, StackSecrets(None))
        last: list[Any] = [before]

        def save(deployment: Deployment, secrets: StackSecrets) -> None:
            now = content(deployment, secrets)
            # A run that changes nothing leaves the file as it is, its time included.
            if now != last[0]:
                # The backup is of before the run: a checkpoint is too young to go back to.
                self._store.save(run.stack, deployment, secrets, backup=last[0] is before)
                last[0] = now

        return save


def _run_program(session: Session) -> dict[str, Any]:
    """Run the program; its exports. A program that fails is a failure in the report."""
    monitor = LocalMonitor(session)
    try:
        service = LocalEngineService(session)
        run_program(session.run, monitor, service, preview=session.preview, stopping=session.stopping)
    except EngineError:
        raise
    except Exception as error:
        if session.report.fatal is not None:
            raise session.report.fatal from None
        session.report.fail(None, "ProgramError", _where(error))
    if session.report.fatal is not None:
        raise session.report.fatal
    return monitor.outputs


def _where(error: Exception) -> str:
    """A program's error in one line, with the place in the program that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/pulumi/" not in f.filename and "/asyncio/" not in f.filename]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{place}"


def _stack_outputs(states: list[ResourceState]) -> dict[str, Any]:
    return next((s.outputs for s in states if s.type == "pulumi:pulumi:Stack"), {})
