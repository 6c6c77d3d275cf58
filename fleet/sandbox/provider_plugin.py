"""The sandbox's providers as Pulumi plugins: what the CLI starts where it would start azure-native.

A plugin is a program named `pulumi-resource-PACKAGE` that prints the port of its gRPC server and serves until
its engine ends it (sdk/go/common/resource/plugin/plugin.go, `newPlugin`). The Pulumi CLI takes one that is on
PATH before any that it installed itself. So nothing of that name is installed with fleet: it would quietly
stand in for Azure wherever fleet's virtual environment is active. `write_plugins` puts such programs into a
folder, for whoever means to put that folder on PATH:

    python -m fleet.sandbox.provider_plugin --write FOLDER
    FLEET_WORKSPACE=.fleet PATH=FOLDER:$PATH pulumi preview

A plugin reaches the sandbox that runs in the workspace FLEET_WORKSPACE; where none runs, it can plan only.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import add_ResourceProviderServicer_to_server

from fleet.diagnostics.diagnostic import FleetError

if TYPE_CHECKING:
    from fleet.adapters.arm_client import ArmClient

PACKAGES: Final = ("azure-native", "kubernetes")
"""The packages that the sandbox has a provider for."""

_MODULE: Final = "fleet.sandbox.provider_plugin"
_MISSING_EXIT: Final = 11
"""As the commands: something that must be there is not (docs/cli.md)."""
_LARGEST_MESSAGE: Final = 400 * 1024 * 1024
"""Bytes. As the CLI allows itself (sdk/go/common/util/rpcutil, `maxRPCMessageSize`)."""
_PARENT_LOOK_S: Final = 1.0


class PluginServicer:
    """A provider with what a plugin has around it: the handshake, and refusals instead of tracebacks.

    Whatever is not named here is the provider's own method.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    # The protocol names these methods.
    def Handshake(self, request: pb.ProviderHandshakeRequest, context: Any) -> pb.ProviderHandshakeResponse:  # noqa: N802
        """Agree with the engine on the form of values: secrets marked, no references or output values."""
        return pb.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: plugin_pb2.PluginAttach, context: Any) -> Empty:  # noqa: N802
        """An engine that did not start this process says where it is; nothing is asked of it."""
        return Empty()

    def Cancel(self, request: Any, context: Any) -> Empty:  # noqa: N802
        """Advice to hurry: what is in flight ends by itself, and the engine begins nothing more."""
        return Empty()

    def __getattr__(self, name: str) -> Any:
        """The provider's method of that name, its failures turned into gRPC statuses."""
        return partial(_guarded, name, getattr(self._provider, name))


def _guarded(name: str, method: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
    try:
        return method(request, context)
    except NotImplementedError:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"this provider does not implement {name}")
    except FleetError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
    except Exception as error:
        if context.code() is None:
            context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        # Already aborted by the provider, with a status of its own.
        raise


def start_server(provider: Any) -> tuple[grpc.Server, int]:
    """Serve a provider on a free port of the loopback interface: the server, and its port."""
    limits = [("grpc.max_receive_message_length", _LARGEST_MESSAGE)]
    server = grpc.server(ThreadPoolExecutor(max_workers=32, thread_name_prefix="provider"), options=limits)
    plugin: Any = PluginServicer(provider)
    add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve(provider: Any) -> None:
    """Serve a provider as a plugin does, until this process is told to end or its parent is gone."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    parent = os.getppid()
    server, port = start_server(provider)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # An engine that was killed ends nothing: its plugins would stay for ever.
    while not done.wait(_PARENT_LOOK_S) and os.getppid() == parent:
        pass
    server.stop(grace=None).wait()


def write_plugins(folder: Path, packages: Sequence[str] = PACKAGES) -> tuple[Path, ...]:
    """Write a `pulumi-resource-PACKAGE` for each package into a folder; made when it is not there.

    Raises OSError, and `FleetError` (ENV021) for a program of that name which is not ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    programs = []
    for package in packages:
        program = folder / f"pulumi-resource-{package}"
        if program.exists() and _MODULE not in program.read_text(errors="replace"):
            raise FleetError("ENV021", f"{program} is another program's", "--write EMPTY_FOLDER", 2)
        command = shlex.join([sys.executable, "-m", _MODULE, package])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        programs.append(program)
    return tuple(programs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a package (`PACKAGE [ENGINE]`), or write the plugins (`--write FOLDER`); the exit code.

    What a CLI adds for its logs (`--logtostderr`, `-v=9`, `--tracing …`) is taken and not used.
    """
    parser = argparse.ArgumentParser(prog="python -m fleet.sandbox.provider_plugin", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the plugins and end")
    parser.add_argument("package", nargs="?", choices=PACKAGES)
    options, _ = parser.parse_known_args(arguments)
    if options.write is None and options.package is None:
        parser.error("name a package, or --write FOLDER")
    from fleet.sandbox.providers import SandboxProviders

    try:
        if options.write is not None:
            for program in write_plugins(options.write):
                print(program)  # noqa: T201 -- the answer
            return 0
        connection = _connection(_workspace())
        with SandboxProviders(None if connection is None else partial(_client, *connection)) as providers:
            serve(providers(options.package))
    except FleetError as error:
        sys.stderr.write(f"{error.code} {error.message}\n{error.help}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"{error.filename or 'the plugin'}: {error.strerror or error}\n")
        return 1
    return 0


def _workspace() -> Path:
    """The workspace that the environment names. Raises `FleetError` (ENV003)."""
    named = os.environ.get("FLEET_WORKSPACE")
    if not named:
        raise FleetError(
            "ENV003",
            "this plugin is fleet's stand-in for Azure and knows no sandbox: FLEET_WORKSPACE is not set",
            "set it to the workspace of a running sandbox, or, to reach Azure, take this program off PATH",
            _MISSING_EXIT,
        )
    return Path(named)


def _connection(workspace: Path) -> tuple[str, Path, Path] | None:
    """Endpoint, CA file and token file of the sandbox that runs in a workspace, if one does."""
    try:
        data = json.loads((workspace / "sandbox" / "connection.json").read_bytes())
        os.kill(data["pid"], 0)
        return str(data["endpoint"]), Path(data["caFile"]), Path(data["tokenFile"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _client(endpoint: str, ca_file: Path, token_file: Path) -> "ArmClient":
    from fleet.adapters.arm_client import ArmClient

    return ArmClient(endpoint, lambda: token_file.read_text(encoding="utf-8").strip(), ca_file)


if __name__ == "__main__":
    sys.exit(main())
