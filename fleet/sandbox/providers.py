"""The providers that the local engine has: one factory, which can be handed to other processes."""

import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fleet.ports.engine import UnsupportedByLocalEngine

if TYPE_CHECKING:
    from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

    from fleet.adapters.arm_client import ArmClient
    from fleet.sandbox.kubernetes_provider import KubernetesProvider


class SandboxProviders:
    """Makes the provider of a package for `fleet.engine.local.engine.LocalEngine`.

    `connect` opens the client of an ARM endpoint, once a process and when it is first needed; without it
    the providers can plan and nothing else. It must be picklable for a process pool, and so must what it
    holds: let it read the token where it runs. `subscription_id` is for programs that configure none.
    Close it, or use it with `with`, after the last run.
    """

    def __init__(
        self, connect: "Callable[[], ArmClient] | None" = None, subscription_id: str | None = None
    ) -> None:
        self._connect = connect
        self._subscription = subscription_id
        self._client: ArmClient | None = None
        # Weak: one whose run has ended closes its own connections.
        self._clusters: weakref.WeakSet[KubernetesProvider] = weakref.WeakSet()
        self._lock = threading.Lock()

    def __call__(self, package: str) -> "ResourceProviderServicer":
        """A new provider. Raises `UnsupportedByLocalEngine` for a package without one."""
        if package == "kubernetes":
            return self._kubernetes()
        if package != "azure-native":
            raise UnsupportedByLocalEngine(f"the package {package}")
        from fleet.sandbox.azure_provider import AzureNativeProvider

        with self._lock:
            if self._client is None and self._connect is not None:
                self._client = self._connect()
        return AzureNativeProvider(self._client, self._subscription)

    def _kubernetes(self) -> "KubernetesProvider":
        """One that reaches the cluster of its own kubeconfig, which comes from the program."""
        from fleet.sandbox.kubernetes_provider import KubernetesProvider

        provider = KubernetesProvider()
        with self._lock:
            self._clusters.add(provider)
        return provider

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process opens its own connection."""
        return {"connect": self._connect, "subscription": self._subscription}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start without a connection."""
        SandboxProviders.__init__(self, state["connect"], state["subscription"])

    def __enter__(self) -> Self:
        """The factory itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections that this process opened."""
        with self._lock:
            client, self._client = self._client, None
            clusters = list(self._clusters)
        for provider in clusters:
            provider.close()
        if client is not None:
            client.close()
