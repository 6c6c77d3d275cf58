"""Random programs, edits, failures and crashes: what must hold whatever happens.

A crash is simulated in process: from some effect or checkpoint on, nothing reaches the world or the disk any
more, which is what kill -9 leaves behind (test_engine_crash.py does it for real).
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import grpc
from engine_cloud import PASSPHRASE, STACK, TYPE, Cloud, Thing, only_cloud, ops
from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from pulumi import ResourceOptions
from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.checkpoint import Deployment
from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.secrets import StackSecrets
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import UNKNOWN_VALUE, from_struct, to_struct
from fleet.ports.engine import RunOptions, StackRef, StackResult, StackRun

NAMES = "abcd"


@dataclass(frozen=True)
class Node:
    """One thing of a program. Another `version` is another name in the world, another `serial` needs the
    old one deleted first; one that `follows` has the serial of the first thing that it uses.
    """

    version: int
    serial: int
    size: int
    uses: tuple[str, ...]
    after: tuple[str, ...]
    follows: bool
    delete_first: bool
    protect: bool


Program = dict[str, Node]


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the `at`-th effect (or, for a crash, moment) of a run."""

    kind: str
    at: int


def nodes(earlier: list[str]) -> st.SearchStrategy[Node]:
    some = st.lists(st.sampled_from(earlier), unique=True, max_size=2) if earlier else st.just([])
    seldom = st.integers(0, 6).map(lambda n: n == 6)
    return st.builds(
        Node,
        version=st.integers(0, 1),
        serial=st.integers(0, 1),
        size=st.integers(0, 1),
        uses=some.map(tuple),
        after=some.map(tuple),
        follows=st.booleans(),
        delete_first=seldom,
        protect=seldom,
    )


@st.composite
def histories(draw: st.DrawFn, length: int = 4) -> list[Program]:
    """Programs of which each is an edit of the one before: things come, go and change."""
    history: list[Program] = []
    for _ in range(draw(st.integers(1, length))):
        before = history[-1] if history else {}
        program: Program = {}
        for name in NAMES:
            fate = draw(st.sampled_from(["keep", "keep", "version", "size", "new", "gone"]))
            node = before.get(name)
            if fate == "new" or (not history and fate != "gone"):
                node = draw(nodes(sorted(program)))
            elif node is None or fate == "gone":
                continue
            elif fate in ("version", "size"):
                node = replace(node, **{fate: 1 - getattr(node, fate)})
            uses, after = (tuple(n for n in of if n in program) for of in (node.uses, node.after))
            program[name] = replace(node, uses=uses, after=after)
        history.append(program)
    return history


faults = st.none() | st.builds(
    Fault, st.sampled_from(["refuse", "half-made", "crash", "crash"]), st.integers(1, 24)
)


class Dead(Exception):  # noqa: N818 -- what has become of the process
    """The process is gone."""


class Fate:
    """What is to happen in one run, shared by the cloud and the store."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.live(None)

    def live(self, fault: Fault | None) -> None:
        self.fault, self.left, self.dead = fault, fault.at if fault else 0, False

    def moment(self, kind: str) -> bool:
        """Whether the fault strikes now."""
        with self.lock:
            if self.dead:
                raise Dead
            if self.fault is None or self.fault.kind != kind:
                return False
            self.left -= 1
            if self.left == 0 and kind == "crash":
                self.dead = True
                raise Dead
            return self.left == 0


class Sky(Cloud):
    """A cloud that notes what must never happen, and in which things go wrong as they are told."""

    def __init__(self, folder: Path, fate: Fate) -> None:
        super().__init__(folder)
        self.fate = fate
        self.wrong: list[str] = []
        self.used_when_deleted: list[str] = []
        self.knows_links = True

    def tick(self, call: str) -> None:
        self.fate.moment("crash")

    def _effect(self, call: str, context: Any) -> None:
        super()._effect(call, context)
        if self.fate.moment("refuse"):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room")

    def things(self) -> dict[str, dict[str, Any]]:
        return {p.stem: json.loads(p.read_text()) for p in self.folder.glob("*.json")}

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = from_struct(request.properties)
        if request.preview:
            link = f"https://{inputs['name']}.example" if self.knows_links else UNKNOWN_VALUE
            return pb.CreateResponse(properties=to_struct(inputs | {"link": link}))
        with self.fate.lock:
            if self._file(inputs["name"]).exists() and not self.fate.dead:
                self.wrong.append(f"{inputs['name']} was created twice")
            self.partial = {inputs["name"]} if self.fate.moment("half-made") else set()
            return super().Create(request, context)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        news = from_struct(request.news)
        if request.preview:
            link = f"https://{news['name']}.example" if self.knows_links else UNKNOWN_VALUE
            return pb.UpdateResponse(properties=to_struct(news | {"link": link}))
        with self.fate.lock:
            if not self._file(request.id).exists() and not self.fate.dead:
                self.wrong.append(f"{request.id} was updated and does not exist")
            return super().Update(request, context)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = request.id.rsplit("/", 1)[-1]
        with self.fate.lock:
            if any(f"https://{name}.example" in thing.get("uses", ()) for thing in self.things().values()):
                self.used_when_deleted.append(name)
            return super().Delete(request, context)

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self.fate.lock:
            return super().Read(request, context)


class Disk(StateStore):
    """A store that a dead process cannot write to any more."""

    def __init__(self, directory: Path, fate: Fate) -> None:
        super().__init__(directory)
        self.fate = fate

    def save(
        self, stack: StackRef, deployment: Deployment, secrets: StackSecrets, *, backup: bool = True
    ) -> None:
        if self.fate.dead:
            return
        self.fate.moment("crash")
        super().save(stack, deployment, secrets, backup=backup)
        self.fate.moment("crash")


def declared(program: Program) -> Callable[[], None]:
    def declare() -> None:
        things: dict[str, Thing] = {}
        for name, node in program.items():
            props = wanted(program, name)
            props["uses"] = [things[used].link for used in node.uses]
            if node.follows and node.uses:
                props["serial"] = things[node.uses[0]].serial
            things[name] = Thing(
                name,
                ResourceOptions(
                    depends_on=[things[other] for other in node.after],
                    delete_before_replace=True if node.delete_first else None,
                    protect=node.protect,
                ),
                **props,
            )

    return declare


def wanted(program: Program, name: str) -> dict[str, Any]:
    """What the world has of a thing when all is well."""
    node = program[name]
    serial = wanted(program, node.uses[0])["serial"] if node.follows and node.uses else f"s{node.serial}"
    uses = [f"https://{used}{program[used].version}.example" for used in node.uses]
    return {"name": f"{name}{node.version}", "size": node.size, "serial": serial, "uses": uses}


class World:
    """One stack, its cloud and its disk, through a number of runs."""

    def __init__(self, folder: Path) -> None:
        (folder / "things").mkdir()
        self.fate = Fate()
        self.sky = Sky(folder / "things", self.fate)
        self.store = Disk(folder / "state", self.fate)
        self.engine = LocalEngine(self.store, partial(only_cloud, self.sky), partial(str, PASSPHRASE))

    def run(self, program: Program, fault: Fault | None = None, *, unprotect: bool = False) -> StackResult:
        """An up, and with a fault whatever comes of it."""
        self.fate.live(fault)
        self.sky.used_when_deleted.clear()
        options = RunOptions(unprotect=unprotect)
        try:
            return self.engine.up(StackRun(STACK, declared(program), parallel=4, options=options))
        except Dead:
            return StackResult(STACK, (), {}, {})
        finally:
            self.fate.live(None)
            self.sky.partial = set()

    def preview(self, program: Program, *, unprotect: bool) -> StackResult:
        self.sky.offline = True
        try:
            run = StackRun(STACK, declared(program), options=RunOptions(unprotect=unprotect))
            return self.engine.preview(run)
        finally:
            self.sky.offline = False

    def settled(self, program: Program) -> StackResult:
        """An up in which nothing goes wrong, protected things let go if the first attempt says so."""
        result = self.run(program)
        if {f.code for f in result.failures} == {"Protected"}:
            event("protected")
            result = self.run(program, unprotect=True)
        return result

    def check(self, program: Program, result: StackResult) -> None:
        """The world is what the program says, and the state is what the world is."""
        assert result.failures == ()
        assert self.sky.wrong == []
        assert self.sky.things() == {wanted(program, n)["name"]: wanted(program, n) for n in program}
        state = self.store.load(STACK)
        assert state.pending == []
        assert not any(r.delete or r.pending_replacement or r.init_errors for r in state.resources)
        things = {r.name: (r.id, r.inputs) for r in state.resources if r.type == TYPE}
        assert things == {n: (f"/things/{wanted(program, n)['name']}", wanted(program, n)) for n in program}
        replaced = {n for n, op in ops(result).items() if op == "replace"}
        assert {name[0] for name in self.sky.used_when_deleted} <= replaced, (
            "only what is made again at once is deleted before what uses it"
        )


@contextmanager
def worlds() -> Iterator[World]:
    # The disk's own promises are not what is tested here, and they are slow.
    with TemporaryDirectory() as folder, patch("os.fsync"):
        yield World(Path(folder))


@settings(deadline=None, max_examples=30, derandomize=True)
@given(histories(), st.lists(faults, min_size=4, max_size=4), st.booleans())
def test_every_run_that_ends_well_ends_right(
    history: list[Program], faults: list[Fault | None], again: bool
) -> None:
    """Also after runs that did not: nothing is lost, left over or made twice, and the next is all `same`."""
    with worlds() as world:
        for program, fault in zip(history, faults, strict=False):
            if fault is not None:
                note(f"{fault}: {world.run(program, fault).failures}")
                event(fault.kind)
                if not again:
                    continue
            world.check(program, world.settled(program))
        last = history[-1]
        world.check(last, world.settled(last))
        repeated = world.run(last)
        assert set(repeated.counts) <= {"same"}
        world.fate.live(None)
        gone = world.engine.destroy(StackRun(STACK, lambda: None, options=RunOptions(unprotect=True)))
        assert gone.failures == ()
        assert world.sky.used_when_deleted == [], "dependants go first"
        assert world.sky.things() == {}
        assert world.store.load(STACK).resources == []


@settings(deadline=None, max_examples=15, derandomize=True)
@given(histories(length=3), st.booleans())
def test_a_preview_says_what_an_up_does(history: list[Program], knows_links: bool) -> None:
    with worlds() as world:
        world.sky.knows_links = knows_links
        for program in history:
            free = {n: replace(node, protect=False) for n, node in program.items()}
            said = world.preview(free, unprotect=False)
            done = world.run(free)
            assert done.failures == said.failures == ()
            if knows_links:
                assert (said.changes, said.counts) == (done.changes, done.counts)
                continue
            for name, op in ops(said).items():
                # What a preview does not know yet may turn out to be what it was.
                assert op == ops(done)[name] or (op, ops(done)[name]) == ("update", "same")
