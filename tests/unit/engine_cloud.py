# ruff: noqa: N802, A002 -- the protocol and the SDK name these
"""A small cloud for the engine's tests: things are JSON files in a folder, so that they survive kill -9."""

import json
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.provider_host import (
    ERROR_CODE_METADATA,
    NOT_CONNECTED,
    InitFailure,
    abort_init_failed,
)
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import UNKNOWN_VALUE, from_struct, reveal, to_struct
from fleet.ports.engine import StackRef, StackResult, StackRun, UnsupportedByLocalEngine

TYPE = "cloud:index:Thing"
PASSPHRASE = "correct horse"
STACK = StackRef("demo", "site-a")


class Thing(pulumi.CustomResource):
    """A resource of the test cloud. `name` cannot be changed in place; `link` is any text."""

    link: pulumi.Output[str]
    serial: pulumi.Output[str]

    def __init__(self, resource: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        props = {"name": resource, "link": None, "serial": None, "size": None, "password": None} | props
        super().__init__(TYPE, resource, props, opts)

    @staticmethod
    def get(resource: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> "Thing":
        return Thing(resource, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id)), name=None)


class CloudProvider(pulumi.ProviderResource):
    def __init__(self, resource: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        super().__init__("cloud", resource, props, opts)


class Group(pulumi.ComponentResource):
    def __init__(self, resource: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("demo:index:Group", resource, {}, opts)


@dataclass
class Cloud(ResourceProviderServicer):
    """The provider. `offline` is a bug in every call that a real one would need its network for.

    `unplugged` has no connection and says so, as a provider that only plans does.
    """

    folder: Path
    offline: bool = False
    unplugged: bool = False
    calls: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    partial: set[str] = field(default_factory=set)
    barrier: threading.Barrier | None = None
    hang_before: str = ""
    hang_after: str = ""

    def tick(self, call: str) -> None:
        """Called before each effect and after it: where a test may end the world."""

    def predict_id(self, type_: str, inputs: dict[str, Any]) -> str | None:
        name = inputs.get("name")
        return f"/things/{name}" if isinstance(name, str) else None

    def _file(self, id_: str) -> Path:
        return self.folder / f"{id_.rsplit('/', 1)[-1]}.json"

    def _effect(self, call: str, context: Any) -> None:
        if self.offline:
            raise AssertionError(f"{call} in a preview")
        if self.unplugged:
            context.set_trailing_metadata(((ERROR_CODE_METADATA, NOT_CONNECTED),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "there is no connection")
        self.calls.append(call)
        self._hang(call, self.hang_before)
        if call in self.refuse:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"no room, {PASSPHRASE}-value" + call)

    def _hang(self, call: str, at: str) -> None:
        self.tick(call)
        if call == at:
            (self.folder / "hanging").touch()
            time.sleep(60)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        changed = from_struct(request.old_inputs).get("region") != from_struct(request.news).get("region")
        return pb.DiffResponse(replaces=["region"] if changed else [])

    def Configure(self, request: Any, context: Any) -> Any:
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        news = from_struct(request.news)
        failures = []
        if isinstance(news.get("size"), str):
            failures.append(pb.CheckFailure(property="size", reason="must be a number"))
        return pb.CheckResponse(inputs=to_struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        differing = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if differing else pb.DiffResponse.DIFF_NONE,
            replaces=[k for k in differing if k in ("name", "serial")],
            diffs=differing,
            deleteBeforeReplace="serial" in differing,
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=to_struct(inputs | {"link": UNKNOWN_VALUE}))
        name = reveal(inputs)["name"]
        self._effect(f"create {name}", context)
        if self.barrier:
            self.barrier.wait(timeout=20)
        id_ = f"/things/{name}"
        self._file(id_).write_text(json.dumps(reveal(inputs)))
        outputs = inputs | {"link": f"https://{name}.example"}
        self._hang(f"create {name}", self.hang_after)
        if name in self.partial:
            abort_init_failed(context, InitFailure(id_, outputs, ("it did not come up",)), "Down", "down")
        return pb.CreateResponse(id=id_, properties=to_struct(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        self._effect(f"read {request.id}", context)
        if not self._file(request.id).exists():
            self.calls[self.calls.index(f"read {request.id}")] = f"miss {request.id}"
            return pb.ReadResponse()
        found = json.loads(self._file(request.id).read_text())
        return pb.ReadResponse(
            id=request.id,
            inputs=to_struct(found),
            properties=to_struct(found | {"link": f"https://{found['name']}.example"}),
        )

    def Update(self, request: Any, context: Any) -> Any:
        news = from_struct(request.news)
        if request.preview:
            return pb.UpdateResponse(properties=to_struct(news | {"link": UNKNOWN_VALUE}))
        self._effect(f"update {request.id}", context)
        self._file(request.id).write_text(json.dumps(reveal(news)))
        self._hang(f"update {request.id}", self.hang_after)
        name = reveal(news)["name"]
        return pb.UpdateResponse(properties=to_struct(news | {"link": f"https://{name}.example"}))

    def Delete(self, request: Any, context: Any) -> Any:
        self._effect(f"delete {request.id}", context)
        self._file(request.id).unlink(missing_ok=True)
        self._hang(f"delete {request.id}", self.hang_after)
        return Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        self._effect(f"invoke {request.tok}", context)
        return pb.InvokeResponse(**{"return": to_struct({"key": "the-key-of-it"})})


def only_cloud(cloud: Cloud, package: str) -> ResourceProviderServicer:
    if package != "cloud":
        raise UnsupportedByLocalEngine(f"the package {package}")
    return cloud


@dataclass
class Bench:
    """An engine over a cloud in a folder."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "things").mkdir(parents=True, exist_ok=True)
        self.cloud = Cloud(self.folder / "things")
        self.store = StateStore(self.folder / "state")
        self.events: list[Any] = []

    def engine(self, passphrase: str | None = PASSPHRASE, **changes: Any) -> LocalEngine:
        for name, value in changes.items():
            setattr(self.cloud, name, value)
        ask = None if passphrase is None else partial(str, passphrase)
        return LocalEngine(self.store, partial(only_cloud, self.cloud), ask)

    def up(self, program: Any, **run: Any) -> StackResult:
        return self.engine().up(StackRun(STACK, program, **run), self.events.append)

    def preview(self, program: Any, passphrase: str | None = None, **run: Any) -> StackResult:
        """Preview with a cloud that is not reachable."""
        self.cloud.offline = True
        try:
            return self.engine(passphrase).preview(StackRun(STACK, program, **run), self.events.append)
        finally:
            self.cloud.offline = False

    def put(self, name: str, **props: Any) -> None:
        """Somebody else makes a thing, or changes one."""
        self.cloud._file(name).write_text(json.dumps({"name": name} | props))

    def refresh(self, **run: Any) -> StackResult:
        return self.engine().refresh(StackRun(STACK, lambda: None, **run), self.events.append)

    def destroy(self, **run: Any) -> StackResult:
        return self.engine().destroy(StackRun(STACK, lambda: None, **run), self.events.append)

    def things(self) -> list[str]:
        return sorted(p.stem for p in self.cloud.folder.glob("*.json"))

    def state(self) -> dict[str, Any]:
        return json.loads(self.store.path(STACK).read_text())

    def state_of(self, name: str) -> dict[str, Any]:
        return next(
            r for r in self.state()["deployment"]["resources"] if r["urn"].endswith(f"{TYPE}::{name}")
        )

    def warnings(self) -> list[str]:
        """What was warned of so far."""
        return [e.message for e in self.events if e.kind == "diagnostic" and e.severity == "warning"]

    def effects(self) -> list[str]:
        """What was done since the last time, without the looks (before a create) at what is not there."""
        done, self.cloud.calls = self.cloud.calls, []
        return [call for call in done if not call.startswith("miss ")]


def ops(result: StackResult) -> dict[str, str]:
    """What happened to the things, by name."""
    return {c.name: c.op for c in result.changes if c.type == TYPE}
