"""Previews by the local engine of a stack that another backend keeps. Nothing is written anywhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from fleet.adapters.pulumi_backend_checkpoint import deployment_of, is_in_cluster
from fleet.engine.local.checkpoint import Deployment
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.provider_host import ProviderFactory
from fleet.engine.local.secrets import Passphrase, StackSecrets
from fleet.engine.local.session import ProviderRegistry, Report, Session
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import UNKNOWN_VALUE, SealedSecret, transform
from fleet.ports.engine import EngineError, OnEvent, PassphraseError, StackRef, StackResult, StackRun
from fleet.ports.state import RecordedStack


class ReadOnlyStates(StateStore):
    """A state store that serves what was read of one stack, and refuses to lock or to write.

    A stack that the backend does not have (`recorded` is None) is empty. What is inside of the site's cluster
    is left out: it is declared only where a kubeconfig is at hand, and without one it would seem to go.
    """

    def __init__(self, recorded: RecordedStack | None) -> None:
        super().__init__(Path())
        self._recorded = recorded

    def load(self, stack: StackRef) -> Deployment:
        """The deployment, made anew: a run changes what it is given. Raises `StateUnreadable`."""
        if self._recorded is None or self._recorded.stack != stack:
            return Deployment()
        deployment = deployment_of(self._recorded)
        deployment.resources = [state for state in deployment.resources if not is_in_cluster(state.urn)]
        deployment.pending = [one for one in deployment.pending if not is_in_cluster(one.resource.urn)]
        return deployment

    def stacks(self) -> frozenset[StackRef]:
        """The one stack, if it is there."""
        return frozenset() if self._recorded is None else frozenset({self._recorded.stack})

    def path(self, stack: StackRef) -> NoReturn:
        """There is no file of it here."""
        raise _read_only()

    def save(
        self, stack: StackRef, deployment: Deployment, secrets: StackSecrets, *, backup: bool = True
    ) -> NoReturn:
        """Refuse."""
        raise _read_only()

    @contextmanager
    def lock(self, stack: StackRef) -> Iterator[None]:
        """Refuse."""
        raise _read_only()
        yield


class UnopenedSecrets(StackSecrets):
    """Secrets of a state that nobody here can open: sealed by a cloud's key, or without the passphrase.

    What the state has sealed and the program still declares counts as the same: whether it is can't be told,
    and neither a change nor its consequences may be made up from that.
    """

    def __init__(self) -> None:
        super().__init__(None)

    def open(self, sealed: SealedSecret) -> NoReturn:
        """Refuse."""
        raise PassphraseError("a secret of the state is needed, and it can't be opened here")

    def open_all(self, value: Any) -> Any:
        """Copy a value with every sealed secret unknown."""
        return transform(value, lambda leaf: UNKNOWN_VALUE if isinstance(leaf, SealedSecret) else leaf)

    def reuse(self, new: Any, old: Any) -> Any:
        """Copy `new` with whatever stands in the place of a sealed secret replaced by that."""
        if isinstance(old, SealedSecret):
            return old
        if isinstance(new, dict) and isinstance(old, dict):
            return {key: self.reuse(value, old.get(key)) for key, value in new.items()}
        if isinstance(new, list) and isinstance(old, list):
            return [self.reuse(item, old[i] if i < len(old) else None) for i, item in enumerate(new)]
        return new


class RecordedStackEngine(LocalEngine):
    """The local engine over one stack of a backend. It previews; everything else is refused.

    Without a `passphrase`, or for secrets that are not sealed by one, secrets are not compared.
    """

    def __init__(
        self, recorded: RecordedStack | None, providers: ProviderFactory, passphrase: Passphrase | None
    ) -> None:
        openable = recorded is None or recorded.secrets_provider in ("", "passphrase")
        self._compares = passphrase is not None and openable
        super().__init__(ReadOnlyStates(recorded), providers, passphrase if openable else None)
        self._settings = _settings(recorded)

    def preview(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Say what `up` would do. Raises `EngineError`."""
        return super().preview(replace(run, config={**self._settings, **run.config}), on_event)

    def _session(
        self, run: StackRun, base: Deployment, on_event: OnEvent | None, save: Callable[..., None] | None
    ) -> Session:
        session = super()._session(run, base, on_event, save)
        if self._compares:
            return session
        secrets = UnopenedSecrets()
        return replace(
            session,
            secrets=secrets,
            providers=ProviderRegistry(self._factory_for(run.stack), secrets, session.snapshot),
            report=Report(secrets, on_event),
        )


def _settings(recorded: RecordedStack | None) -> dict[str, str]:
    """The stack's configuration as far as the state tells it, and as the site's program reads it.

    It is the address of a disconnected site's own Azure, which no inventory has.
    """
    for resource in () if recorded is None else recorded.document["deployment"].get("resources") or ():
        host = (resource.get("inputs") or {}).get("metadataHost")
        if resource["type"] == "pulumi:providers:azure-native" and isinstance(host, str):
            return {"metadataHost": host}
    return {}


def _read_only() -> EngineError:
    return EngineError("this state is read, and never written", "fleet up changes a site")
