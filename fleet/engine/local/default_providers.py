"""The providers that a program does not name: one a package and version, made when first needed."""

import threading
from dataclasses import replace
from typing import Any

from fleet.engine.local.checkpoint import make_urn
from fleet.engine.local.goals import Goal, with_plugin
from fleet.engine.local.inputs import new_state
from fleet.engine.local.provider_host import ProviderCallError
from fleet.engine.local.session import Session, provider_reference
from fleet.engine.local.steps import step_provider
from fleet.engine.local.values import Secret


class DefaultProviders:
    """The default providers of one run, configured from the stack's configuration as in Pulumi."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: set[str] = set()
        self._failed: set[str] = set()
        self._lock = threading.RLock()

    def give(self, goal: Goal) -> Goal:
        """The goal with the default provider of its package, if the program names none.

        A provider that fails is reported once, for itself; `failed` then names it.
        """
        if goal.provider or goal.is_provider:
            return goal
        package = goal.type.split(":", 1)[0]
        try:
            return replace(goal, provider=self.reference(package, goal.version))
        except ProviderCallError:
            return replace(goal, provider=self._urn(package, goal.version) + "::")

    def failed(self, goal: Goal) -> str | None:
        """The name of a goal's default provider, if that failed."""
        urn = goal.provider.rsplit("::", 1)[0]
        with self._lock:
            return urn.rsplit("::", 1)[-1] if urn in self._failed else None

    def reference(self, package: str, version: str) -> str:
        """The reference (`urn::id`) of the default provider of a package. Raises `ProviderCallError`."""
        urn = self._urn(package, version)
        with self._lock:
            if urn not in self._made:
                self._made.add(urn)
                self._make(urn, package, version)
            if urn in self._failed:
                raise ProviderCallError("ProviderFailed", f"the provider {urn.rsplit('::', 1)[-1]} failed")
            state = self._session.snapshot.current(urn)
            assert state is not None
            return provider_reference(state)

    def _make(self, urn: str, package: str, version: str) -> None:
        session = self._session
        session.lineage.declare(urn)
        inputs: dict[str, Any] = with_plugin({}, version)
        prefix = f"{package}:"
        for config, secret in ((session.run.config, False), (session.run.secret_config, True)):
            for key, value in config.items():
                if key.startswith(prefix):
                    inputs[key.removeprefix(prefix)] = Secret(value) if secret else value
        goal = Goal(urn, f"pulumi:providers:{package}", urn.rsplit("::", 1)[-1], True, inputs)
        try:
            step_provider(session, goal)
        except ProviderCallError as error:
            session.report.fail(new_state(goal, inputs), error.code, error.message)
            self._failed.add(urn)

    def _urn(self, package: str, version: str) -> str:
        name = "default" + (f"_{version.replace('.', '_')}" if version else "")
        return make_urn(self._session.run.stack, "", f"pulumi:providers:{package}", name)
