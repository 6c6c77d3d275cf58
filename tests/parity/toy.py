# ruff: noqa: N802 -- the protocol names these
"""A provider of toys: a program that Pulumi can start, with its world in a folder (TOY_WORLD).

`name` cannot be changed in place; a `serial` that changes must be deleted first. Three types tell the same
differences in the three ways that the protocol has: `Thing` by top-level names, `Detailed` leaf by leaf, and
`Lazy` not at all, so that the engine compares the inputs itself.

    python -m tests.parity.toy [ENGINE]
"""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer, ResourceProviderStub

from fleet.engine.local.diff import property_changes
from fleet.engine.local.values import UNKNOWN_VALUE, from_struct, reveal, to_struct
from fleet.sandbox.provider_plugin import serve, start_server

REPLACES = ("name", "serial")
_KINDS = {"add": pb.PropertyDiff.ADD, "remove": pb.PropertyDiff.DELETE, "update": pb.PropertyDiff.UPDATE}


class Toys(ResourceProviderServicer):
    """The provider. Each toy is a file of the folder, named by its id."""

    def __init__(self, world: Path) -> None:
        self._world = world

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1.0.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        changes = property_changes(old, new)
        top = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        replaces = [key for key in top if key in REPLACES]
        if request.type.endswith("Lazy") and not replaces:
            return pb.DiffResponse(changes=pb.DiffResponse.DIFF_UNKNOWN)
        detailed = {}
        if request.type.endswith("Detailed"):
            detailed = {
                # Pulumi numbers the kind that also replaces one higher.
                c.path: pb.PropertyDiff(kind=_KINDS[c.kind] + (c.path in REPLACES), inputDiff=True)
                for c in changes
            }
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if top else pb.DiffResponse.DIFF_NONE,
            diffs=top,
            replaces=replaces,
            deleteBeforeReplace="serial" in top,
            detailedDiff=detailed,
            hasDetailedDiff=bool(detailed),
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=to_struct(inputs | {"link": UNKNOWN_VALUE}))
        name = reveal(inputs)["name"]
        file = next(f for n in itertools.count() if not (f := self._world / f"{name}-{n}").exists())
        file.write_text(json.dumps(reveal(inputs)))
        return pb.CreateResponse(id=file.name, properties=to_struct(_outputs(inputs)))

    def Read(self, request: Any, context: Any) -> Any:
        try:
            found = json.loads((self._world / request.id).read_text())
        except FileNotFoundError:
            return pb.ReadResponse()
        return pb.ReadResponse(id=request.id, inputs=to_struct(found), properties=to_struct(_outputs(found)))

    def Update(self, request: Any, context: Any) -> Any:
        news = from_struct(request.news)
        if not request.preview:
            (self._world / request.id).write_text(json.dumps(reveal(news)))
        return pb.UpdateResponse(properties=to_struct(_outputs(news)))

    def Delete(self, request: Any, context: Any) -> Any:
        (self._world / request.id).unlink()
        return Empty()


def _outputs(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs | {"link": f"https://{reveal(inputs)['name']}.example"}


class OverGrpc(ResourceProviderServicer):
    """A provider behind a connection, for the local engine: it calls the very bytes that the CLI would."""

    def __init__(self, stub: Any) -> None:
        for method in ("CheckConfig", "DiffConfig", "Configure", "Check", "Diff", "Create", "Read"):
            setattr(self, method, _forward(getattr(stub, method)))
        for method in ("Update", "Delete", "Invoke", "GetPluginInfo", "GetSchema"):
            setattr(self, method, _forward(getattr(stub, method)))


def _forward(method: Any) -> Any:
    def call(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details())

    return call


@contextmanager
def served(provider: Any) -> Iterator[OverGrpc]:
    """A provider as the local engine gets it, with a server and a connection between them."""
    server, port = start_server(provider)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield OverGrpc(ResourceProviderStub(channel))
    server.stop(0).wait()


if __name__ == "__main__":
    serve(Toys(Path(os.environ["TOY_WORLD"])))
