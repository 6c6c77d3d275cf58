"""`ArmSandbox`: the Azure Resource Manager stand-in as a running HTTPS server."""

import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from fleet.diagnostics.diagnostic import FleetError
from fleet.sandbox.arm import groups
from fleet.sandbox.arm.azure_local import MACHINE, add_machine_extensions
from fleet.sandbox.arm.crud import Site
from fleet.sandbox.arm.faults import FaultBook
from fleet.sandbox.arm.kubernetes import CONNECTED_CLUSTER, set_connected
from fleet.sandbox.arm.limits import LENIENT, Strictness
from fleet.sandbox.arm.recorder import Exchange, Recorder
from fleet.sandbox.arm.service import ArmService
from fleet.sandbox.arm.store import JsonObject, Store
from fleet.sandbox.arm.types import load_types
from fleet.sandbox.arm.world import ArtifactExists, World
from fleet.sandbox.tls import ServerTls, ensure_server_tls, write_private

if TYPE_CHECKING:
    import uvicorn

# A whole Azure Local site (about five hours of Azure's time) in about 0.4 s of waiting.
DEFAULT_CLOCK_FACTOR = 2e-5
_START_TIMEOUT = 20.0  # seconds; a server on the loopback starts in well under one


_Part = TypeVar("_Part")


class SandboxStartError(FleetError):
    """The stand-in's server did not start; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__("SBX001", message)


class ArmSandbox:
    """A stand-in for Azure Resource Manager on 127.0.0.1, over TLS. It is not Azure.

    It checks api-versions, names, that parents, custom locations and machines exist, and it behaves
    as ARM does: errors, long-running operations, what a cluster's deployment creates. It does not
    check property schemas (the tests do, against Microsoft's type definitions), roles or policies, and
    request rates, quotas and provider registration only with `strictness`; `GET /` has the whole list.

    `directory` holds the TLS files, the bearer token (0600) and, with `persist`, the state
    (SQLite, written through on every change); a sandbox started there again keeps all three.
    `subscriptions` are the ids that exist. `clock_factor` scales Azure's durations (1.0: real life,
    0: at once); `clock` gives seconds since the epoch. `artifact_exists(url, digest)` decides
    whether a Flux configuration is compliant. `record` is a JSON-lines file of all exchanges.
    Use it as a context manager. Raises `SandboxStartError` where the port cannot be had.
    """

    def __init__(
        self,
        directory: Path,
        *,
        subscriptions: Sequence[str],
        clock_factor: float = DEFAULT_CLOCK_FACTOR,
        artifact_exists: ArtifactExists | None = None,
        record: Path | None = None,
        persist: bool = False,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        page_size: int = 1000,
        strictness: Strictness = LENIENT,
    ) -> None:
        if clock_factor < 0:
            raise ValueError("clock_factor must not be negative")
        for subscription in subscriptions:
            if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", subscription):
                raise ValueError(f"not a subscription id: {subscription!r}")
        self._directory = directory
        self._subscriptions = tuple(subscriptions)
        self._port = port
        self._page_size = page_size
        self._strictness = strictness
        self._clock = clock
        self._factor = clock_factor
        self._artifact_exists = artifact_exists
        self._persist = persist
        self._record = record
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._tls: ServerTls | None = None
        self._service: ArmService | None = None
        self._recorder: Recorder | None = None
        self.token = ""
        self.endpoint = ""

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    @property
    def ca_file(self) -> Path:
        """The CA that clients verify this server with."""
        return _started(self._tls).ca_file

    @property
    def store(self) -> Store:
        """What exists."""
        return self.world.store

    @property
    def world(self) -> World:
        """The state and surroundings that the resource types' behaviours work with."""
        return _started(self._service).world

    @property
    def faults(self) -> FaultBook:
        """Order faults here, or over HTTP at `/sandbox/faults`."""
        return _started(self._service).faults

    @property
    def exchanges(self) -> list[Exchange]:
        """What was asked and answered so far, without secrets."""
        return _started(self._recorder).exchanges

    def start(self) -> None:
        """Start serving; returns once the server accepts connections."""
        import uvicorn

        from fleet.sandbox.arm.app import build_app
        from fleet.sandbox.arm.https import LoopbackServer

        self._directory.mkdir(parents=True, exist_ok=True)
        self._tls = ensure_server_tls(self._directory / "tls")
        self.token = self._token()
        listener = self._listen()
        self.endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        store = Store(self._directory / "arm.sqlite" if self._persist else None)
        world = World(store, load_types(), self._clock, self._factor, self._artifact_exists)
        self._service = ArmService(
            world,
            Site(self._subscriptions, self.endpoint, FaultBook(), self._page_size, self._strictness),
        )
        self._recorder = Recorder(self._record)
        config = uvicorn.Config(
            build_app(self._service, self.token, self._recorder, self._clock),
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            server_header=False,
            ssl_certfile=str(self._tls.cert_file),
            ssl_keyfile=str(self._tls.key_file),
            http="h11",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = LoopbackServer(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="arm-sandbox", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise SandboxStartError("the Azure Resource Manager stand-in did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving and close the files; does nothing when it is not running."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None
        if self._service is not None:
            self._service.world.store.close()
        if self._recorder is not None:
            self._recorder.close()

    def seed_machine(
        self, subscription: str, resource_group: str, name: str, *, location: str = "eastus"
    ) -> JsonObject:
        """An Arc-registered machine, as if `Invoke-AzStackHciArcInitialization` had run on the node.

        Its resource group is created where it does not exist; a machine that exists is left as it is.
        Returns the resource, with `identity.principalId`.
        """
        world = self.world
        with world.store.lock:
            group = self._seed_group(subscription, resource_group, location)
            machine_id = f"{group}/providers/{MACHINE}/{name}"
            existing = world.store.get(machine_id)
            if existing is not None:
                return existing.shown()
            machine = world.create(
                machine_id,
                MACHINE,
                {
                    "location": location,
                    "kind": "HCI",
                    "identity": {"type": "SystemAssigned"},
                    "properties": {"osType": "windows", "osSku": "Azure Stack HCI"},
                },
                status="Connected",
                displayName=name,
            )
            add_machine_extensions(world, machine)
            return machine.shown()

    def seed_connected_cluster(
        self,
        subscription: str,
        resource_group: str,
        name: str,
        *,
        location: str = "eastus",
        kubernetes_version: str = "1.30.4",
        nodes: int = 1,
    ) -> JsonObject:
        """A cluster that `az connectedk8s connect` has connected; an existing one becomes Connected."""
        world = self.world
        with world.store.lock:
            group = self._seed_group(subscription, resource_group, location)
            cluster_id = f"{group}/providers/{CONNECTED_CLUSTER}/{name}"
            cluster = world.store.get(cluster_id) or world.create(
                cluster_id,
                CONNECTED_CLUSTER,
                {
                    "location": location,
                    "identity": {"type": "SystemAssigned"},
                    "properties": {"agentPublicKeyCertificate": ""},
                },
            )
            set_connected(world, cluster, kubernetes_version, nodes)
            return cluster.shown()

    def _seed_group(self, subscription: str, name: str, location: str) -> str:
        _started(self._service).site.require_subscription(subscription)
        existing = self.store.get(f"/subscriptions/{subscription}/resourceGroups/{name}")
        record = existing or groups.create_group(self.world, subscription, name, {"location": location})
        return record.id

    def _token(self) -> str:
        file = self._directory / "token"
        if self._persist and file.is_file():
            return file.read_text(encoding="ascii").strip()
        token = secrets.token_urlsafe(32)
        write_private(file, token.encode())
        return token

    def _listen(self) -> socket.socket:
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; else an answer takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError as error:
            listener.close()
            raise SandboxStartError(
                f"port {self._port} on 127.0.0.1 cannot be had: {error.strerror}"
            ) from None
        return listener


def _started(part: _Part | None) -> _Part:
    if part is None:
        raise RuntimeError("the sandbox has not been started")
    return part
