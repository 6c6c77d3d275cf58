"""Where a program is played: on the local engine, and on the Pulumi CLI, over providers of the same kind."""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.store import StateStore
from fleet.engine.pulumi_cli import PulumiCliEngine
from fleet.ports.engine import StackRef, StackResult, StackRun, UnsupportedByLocalEngine
from tests.parity.programs import Program, declare
from tests.parity.toy import OverGrpc, Toys, served

STACK = StackRef("parity", "dev")
PASSPHRASE = "only for this test"
NO_CLI = "the CLI half of the parity suite did not run: no `pulumi` on PATH"


class Stage(Protocol):
    """One engine, its state, and its world of toys."""

    def preview(self, program: Program) -> StackResult: ...

    def up(self, program: Program) -> StackResult: ...

    def world(self) -> Counter[str]: ...


def ops(result: StackResult) -> dict[str, str]:
    """What happens to the toys, by name."""
    return {c.name: c.op for c in result.changes if c.type.startswith("toy:")}


def paths(result: StackResult) -> dict[str, set[str]]:
    """Which top-level inputs of the updated and replaced toys differ, by name."""
    return {
        c.name: {p.path.split(".")[0].split("[")[0] for p in c.changes}
        for c in result.changes
        if c.type.startswith("toy:") and c.op in ("update", "replace")
    }


def world_of(folder: Path) -> Counter[str]:
    """The toys of a world, whatever their ids."""
    toys = [json.loads(path.read_text()) for path in sorted(folder.iterdir())]
    return Counter(json.dumps(toy, sort_keys=True) for toy in toys)


def _only_toys(provider: OverGrpc, package: str) -> OverGrpc:
    if package != "toy":
        raise UnsupportedByLocalEngine(f"the package {package}")
    return provider


@dataclass
class Local:
    """The local engine; its provider is called over gRPC."""

    folder: Path
    provider: OverGrpc

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator["Local"]:
        (folder / "world").mkdir(parents=True)
        with served(Toys(folder / "world")) as provider:
            yield cls(folder, provider)

    def _engine(self) -> LocalEngine:
        return LocalEngine(
            StateStore(self.folder / "state"), partial(_only_toys, self.provider), lambda: PASSPHRASE
        )

    def preview(self, program: Program) -> StackResult:
        return self._engine().preview(StackRun(STACK, declare(program), parallel=1))

    def up(self, program: Program) -> StackResult:
        return self._engine().up(StackRun(STACK, declare(program), parallel=1))

    def world(self) -> Counter[str]:
        return world_of(self.folder / "world")

    @property
    def state_file(self) -> Path:
        return StateStore(self.folder / "state").path(STACK)


@dataclass
class Cli:
    """The Pulumi CLI with a backend of files; it starts the provider of toys from PATH by itself."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "world").mkdir(parents=True)
        (self.folder / "backend").mkdir()
        (self.folder / "bin").mkdir()
        plugin = self.folder / "bin" / "pulumi-resource-toy"
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.parity.toy "$@"\n')
        plugin.chmod(0o755)
        self.engine = PulumiCliEngine(self.folder / "work", self.environment())

    def environment(self, **more: str) -> dict[str, str]:
        """What the CLI needs to stay in its folder and off the network."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "TOY_WORLD": str(self.folder / "world"),
            **more,
        }

    def preview(self, program: Program) -> StackResult:
        return self.engine.preview(StackRun(STACK, declare(program), parallel=1))

    def up(self, program: Program) -> StackResult:
        return self.engine.up(StackRun(STACK, declare(program), parallel=1))

    def world(self) -> Counter[str]:
        return world_of(self.folder / "world")


def cli_missing() -> bool:
    return shutil.which("pulumi") is None


def settled(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resources of an exported state without what differs between any two runs: times, ids, versions."""
    kept = []
    for resource in state["resources"]:
        kept.append(
            {k: v for k, v in resource.items() if k not in _FLEETING and v not in ([], {}, None, "", False)}
        )
        if resource["type"].startswith("pulumi:providers:"):
            kept[-1].pop("inputs", None), kept[-1].pop("outputs", None)
        # The SDK sends dependencies in the order of a set, which is another in every process.
        if "dependencies" in kept[-1]:
            kept[-1]["dependencies"] = sorted(resource["dependencies"])
        if by_key := kept[-1].get("propertyDependencies"):
            kept[-1]["propertyDependencies"] = {key: sorted(urns or ()) for key, urns in by_key.items()}
        if "provider" in resource:
            kept[-1]["provider"] = resource["provider"].rsplit("::", 1)[0]
    return kept


_FLEETING = {"id", "created", "modified", "sourcePosition", "stackTrace"}
