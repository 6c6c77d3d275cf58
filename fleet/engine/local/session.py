"""What the parts of one run share: the state, the secrets, the providers and the report."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fleet.engine.local.checkpoint import ResourceState
from fleet.engine.local.goals import configuration_of
from fleet.engine.local.lineage import Lineage
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient, ProviderFactory, StoppedError
from fleet.engine.local.secrets import StackSecrets
from fleet.engine.local.snapshot import Snapshot
from fleet.engine.local.targets import Targets
from fleet.engine.local.values import UNKNOWN_WIRE, mask, reveal, transform
from fleet.ports.engine import (
    EngineError,
    EngineEvent,
    EngineFailure,
    EventKind,
    OnEvent,
    Op,
    PropertyChange,
    ResourceChange,
    Severity,
    StackResult,
    StackRun,
)


class Report:
    """Collects what happens to resources and tells the listener, one event at a time, secrets removed."""

    def __init__(self, secrets: StackSecrets, on_event: OnEvent | None) -> None:
        self._secrets = secrets
        self._on_event = on_event
        self._lock = threading.RLock()
        self.changes: dict[str, ResourceChange] = {}
        self.failures: list[EngineFailure] = []
        self.skipped: list[str] = []
        self.pending: list[str] = []
        self.fatal: EngineError | None = None

    def event(
        self,
        kind: EventKind,
        state: ResourceState | None = None,
        op: Op | None = None,
        message: str = "",
        severity: Severity = "info",
    ) -> None:
        """Tell the listener."""
        if self._on_event:
            with self._lock:
                urn = state.urn if state else ""
                self._on_event(EngineEvent(kind, urn, op, self._secrets.redact(message), severity))

    def change(
        self,
        state: ResourceState,
        op: Op,
        changes: tuple[PropertyChange, ...] = (),
        replace_keys: tuple[str, ...] = (),
        ignored: tuple[str, ...] = (),
        *,
        unread: bool = False,
    ) -> None:
        """Record what was, or would be, done to a resource. Default providers are nobody's concern."""
        with self._lock:
            if state.is_provider and state.name.startswith("default"):
                return
            self.changes[state.urn] = ResourceChange(
                state.urn, state.type, state.name, op, changes, replace_keys, ignored, unread
            )
        self.event("finished", state, op)

    def other_half(self, state: ResourceState) -> None:
        """Record that the old half of a replacement goes, unless the new one is told under the same URN."""
        with self._lock:
            told = self.changes.get(state.urn)
        if told is None or told.op == "same":
            self.change(state, "replace")

    def fail(self, state: ResourceState | None, code: str, message: str) -> None:
        """Record a failure. Without a resource it is the program's."""
        message = self._secrets.redact(message)
        with self._lock:
            self.failures.append(EngineFailure(state.urn if state else "", code, message))
        self.event("failed", state, None, f"{code}: {message}", "error")

    def skip(self, state: ResourceState, cause: str) -> None:
        """Record a resource that was not attempted."""
        with self._lock:
            self.skipped.append(state.urn)
        self.event("skipped", state, None, f"not attempted: {cause}", "warning")

    def abort(self, error: EngineError) -> None:
        """Record the error that ends the whole run; the first one wins."""
        with self._lock:
            self.fatal = self.fatal or error

    def result(self, run: StackRun, outputs: dict[str, Any]) -> StackResult:
        """Summarise the run."""
        # Sorted, since threads finish in any order and a plan must not depend on it.
        changes = tuple(self.changes[urn] for urn in sorted(self.changes))
        self.failures.sort(key=lambda failure: failure.urn)
        counts = Counter(change.op for change in changes)
        return StackResult(
            stack=run.stack,
            changes=changes,
            counts=dict(counts),
            outputs=transform(mask(outputs), lambda v: self._secrets.redact(v) if isinstance(v, str) else v),
            error=self.failures[0] if self.failures else None,
            failures=tuple(self.failures),
            skipped=tuple(sorted(self.skipped)),
            pending=tuple(sorted(set(self.pending))),
        )


class ProviderRegistry:
    """The providers of one run, by the reference (`urn::id`) that resources name them by.

    A provider that was replaced, so with another id, goes on serving what it made until that is gone.
    """

    def __init__(self, factory: ProviderFactory, secrets: StackSecrets, snapshot: Snapshot) -> None:
        self._factory = factory
        self._secrets = secrets
        self._snapshot = snapshot
        self._clients: dict[str, ProviderClient] = {}
        self._lock = threading.RLock()

    def make(self, provider_type: str) -> ProviderClient:
        """A new, unconfigured provider for a type such as `pulumi:providers:azure-native`."""
        package = provider_type.rsplit(":", 1)[-1]
        return ProviderClient(package, self._factory(package))

    def configure(self, state: ResourceState, client: ProviderClient) -> None:
        """Configure a provider and make it the one for its reference. Raises `ProviderCallError`."""
        opened = self._secrets.open_all(configuration_of(state.inputs))
        client.configure(opened, urn=state.urn)
        with self._lock:
            self._clients[provider_reference(state)] = client

    def get(self, reference: str) -> ProviderClient:
        """The provider for a reference; one that only the state knows is started from there."""
        reference = self._snapshot.renamed(reference)
        with self._lock:
            if reference not in self._clients:
                named = (r for r in self._snapshot.resources() if r.is_provider)
                state = next(
                    (r for r in named if self._snapshot.renamed(provider_reference(r)) == reference), None
                )
                if state is None:
                    raise ProviderCallError("ProviderMissing", f"the state has no provider {reference}")
                client = self.make(state.type)
                self.configure(state, client)
                self._clients[reference] = client
            return self._clients[reference]


@dataclass
class Session:
    """One run of the local engine."""

    run: StackRun
    preview: bool
    snapshot: Snapshot
    secrets: StackSecrets
    providers: ProviderRegistry
    report: Report
    lineage: Lineage
    targets: Targets
    slots: threading.BoundedSemaphore
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the program broke off or was interrupted: what is in flight ends, nothing is begun."""
    replaced: set[str] = field(default_factory=set)
    """URNs deleted in this run to make way for their replacement."""
    deleted_with: dict[str, list[ResourceState]] = field(default_factory=dict)
    """By the URN that takes them along: what is not deleted by a call of its own."""
    needs_passphrase: bool = False
    """Whether a preview met a secret that an update would have to write."""

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Around a call that reaches the world: waits for its turn. Raises `StoppedError`."""
        with self.slots:
            if self.stopping.is_set():
                raise StoppedError
            yield

    def open(self, values: dict[str, Any]) -> dict[str, Any]:
        """The plain form of values that a provider is about to act on."""
        return dict(self.secrets.open_all(values))


def timeout_s(state: ResourceState, operation: str) -> float:
    """The custom timeout of a resource for `create`, `update`, `delete` or `read`; 0 is the default."""
    return state.custom_timeouts.get(operation, 0.0)


def provider_reference(state: ResourceState) -> str:
    """How resources name their provider: `urn::id`."""
    return f"{state.urn}::{state.id or UNKNOWN_WIRE}"


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values with their secrets unwrapped, for looking at, never for keeping."""
    return dict(reveal(values))
