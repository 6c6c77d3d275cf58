"""Puts the real parts behind the ports. Everything here can be handed to another process."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.adapters.applied_marks import AppliedMarks
from fleet.adapters.oci_layout import LayoutStore, write_atomically
from fleet.adapters.secrets import HostSecrets
from fleet.adapters.workspace_folder import made_workspace
from fleet.app.site import LEFT_OUT, PLANNED, PROJECT, SiteApplier, site_content
from fleet.cli import exits
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import SitePlan, site_steps
from fleet.ports.engine import Engine
from fleet.ports.rollout import Health, StepOutcome
from fleet.ports.site import Phase
from fleet.rollout.spec import RolloutSpec, Step

if TYPE_CHECKING:
    from fleet.adapters.arm_client import ArmClient


@dataclass(frozen=True)
class Connection:
    """A running sandbox: its endpoint, the CA that signed it, and the file that holds its token."""

    endpoint: str
    ca_file: Path
    token_file: Path
    pid: int


@dataclass(frozen=True)
class Workspace:
    """The folder that holds what `fleet` must remember. It has secrets in it (encrypted) and is 0700."""

    root: Path

    @property
    def state(self) -> Path:
        """Stacks, in Pulumi's checkpoint format."""
        return self.root / "state"

    @property
    def journal(self) -> Path:
        """The rollouts' journal."""
        return self.root / "rollouts.sqlite"

    @property
    def sandbox(self) -> Path:
        """The sandbox's own files."""
        return self.root / "sandbox"

    @property
    def connection_file(self) -> Path:
        """Where a running sandbox says how to reach it."""
        return self.sandbox / "connection.json"

    @property
    def artifacts(self) -> LayoutStore:
        """The folder that stands in for the sites' registries."""
        return LayoutStore(self.sandbox / "registry")

    @property
    def marks(self) -> AppliedMarks:
        """Which sites still are as a rollout left them."""
        return AppliedMarks(self.root / "applied")

    def stacks(self) -> list[str]:
        """Sites that the local engine has recorded something of."""
        return sorted(path.stem for path in (self.state / PROJECT).glob("*.json"))

    def still_applied(self, spec: RolloutSpec, site: str) -> bool:
        """Whether nothing has changed the site, or lost its state, since a rollout applied it."""
        state = self.state / PROJECT / f"{site}.json"
        return state.exists() and self.marks.holds(site, spec.by_site[site].digest)

    @property
    def outbox(self) -> LayoutStore:
        """Artifacts that a person has yet to push: no registry is reached by this version."""
        return LayoutStore(self.root / "outbox")

    def plan_folder(self, digest: str) -> Path:
        """The specs that a rollout was started with."""
        return self.root / "plans" / digest.removeprefix("sha256:")[:16]

    def prepare(self) -> None:
        """Make the folder, closed to others and kept out of git; one that is there keeps its mode."""
        made_workspace(self.root)

    def connection(self) -> Connection | None:
        """The sandbox that runs here, if one does."""
        try:
            data = json.loads(self.connection_file.read_bytes())
            connection = Connection(
                data["endpoint"], Path(data["caFile"]), Path(data["tokenFile"]), data["pid"]
            )
            os.kill(connection.pid, 0)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return connection


@dataclass(frozen=True)
class Parts:
    """Which workspace, inventory and engine a command works with."""

    workspace: Workspace
    inventory: Path
    engine: str

    def applier(self) -> SiteApplier:
        """What plans and applies sites. Raises `FleetError` when the engine can't be had."""
        artifacts = self.workspace.artifacts if self.engine == "local" else self.workspace.outbox
        program = partial(program_of, self.folder)
        helm = self.engine != "local"  # the stand-in for Pulumi's kubernetes provider runs no Helm
        return SiteApplier(self._engine(), artifacts, HostSecrets(self.folder), program, helm=helm)

    @property
    def folder(self) -> Path:
        """The inventory's folder, also where its fleet.yaml itself was named."""
        return self.inventory if self.inventory.is_dir() else self.inventory.parent

    def _engine(self) -> Engine:
        if self.engine == "local":
            return local_engine(self.workspace)
        if self.engine == "pulumi":
            from fleet.engine.pulumi_cli import PulumiCliEngine

            return PulumiCliEngine(self.workspace.root / "pulumi")
        raise FleetError("ENV008", f"there is no engine {self.engine!r}", "local or pulumi", exits.USAGE)

    def require_target(self) -> None:
        """Refuse early what can't work: the local engine without a sandbox, Azure without the Pulumi CLI.

        Raises `FleetError` (ENV003, ENV008, ENG006).
        """
        if self.engine != "local":
            self._engine()
            if shutil.which("pulumi") is None:
                from fleet.ports.engine import PulumiCliMissing

                raise PulumiCliMissing
        elif self.workspace.connection() is None:
            raise FleetError(
                "ENV003",
                "no sandbox runs here, and the local engine reaches nothing else",
                "start one in another terminal: fleet sandbox start",
                exits.MISSING,
            )

    def require_rollout_target(self) -> None:
        """As `require_target`, and refuse Azure: publishing and health there are not built yet (ENV010)."""
        self.require_target()
        if self.engine != "local":
            raise FleetError(
                "ENV010",
                "this version rolls out to the sandbox only: it can't push artifacts to a registry yet",
                "fleet up SITE changes one site in Azure; --engine local rolls out to the sandbox",
                exits.MISSING,
            )


def program_of(folder: Path, spec: SiteSpec, phase: Phase, url: str, digest: str) -> Callable[[], None]:
    """The site's Pulumi program.

    Raises `FleetError` when the registry's CA file (STK001) or the file of what was adopted (ADP003) can't be
    used.
    """
    from fleet_stacks.adoption import read_adopted
    from fleet_stacks.errors import StackError
    from fleet_stacks.program import FluxContent, SiteProgram
    from fleet_stacks.registry_ca import read_ca

    try:
        content = FluxContent(url, digest, read_ca(folder, spec))
    except StackError as error:
        raise FleetError("STK001", str(error), "name a PEM file of certificates beside fleet.yaml") from error
    try:
        adopted = read_adopted(folder, spec.name)
    except StackError as error:
        raise FleetError("ADP003", str(error), "take it from git again, or run fleet adopt again") from error
    program: Callable[[], None] = SiteProgram(spec, phase, content, adopted)
    return program


def local_engine(workspace: Workspace) -> Engine:
    """The local engine; it reaches the sandbox where one runs, and plans where none does."""
    from fleet.engine.local.engine import LocalEngine
    from fleet.engine.local.store import StateStore
    from fleet.sandbox.providers import SandboxProviders

    connection = workspace.connection()
    providers = SandboxProviders((lambda: arm_client(connection)) if connection else None)
    return LocalEngine(StateStore(workspace.state), providers, lambda: passphrase(workspace))


@cache
def arm_client(connection: Connection) -> "ArmClient":
    """A client of the sandbox's ARM, one a process."""
    from fleet.adapters.arm_client import ArmClient

    return ArmClient(
        connection.endpoint,
        lambda: connection.token_file.read_text(encoding="utf-8").strip(),
        connection.ca_file,
    )


def passphrase(workspace: Workspace) -> str:
    """The passphrase of the state's secrets: as for the Pulumi CLI, else one made for the sandbox."""
    if value := os.environ.get("PULUMI_CONFIG_PASSPHRASE"):
        return value
    if file := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return (workspace.sandbox / "passphrase").read_text(encoding="utf-8")


def save_specs(folder: Path, specs: list[SiteSpec], inventory: Path) -> None:
    """Keep the specs that a rollout starts with, and where its files are: a resumption reads these alone."""
    write_atomically(folder / "inventory", str(inventory).encode())
    for spec in specs:
        write_atomically(folder / f"{spec.name}.json", spec.model_dump_json(by_alias=True).encode())


def saved_inventory(folder: Path) -> Path:
    """The folder that a rollout's secrets and certificates are read from."""
    return Path((folder / "inventory").read_text(encoding="utf-8"))


def saved_spec(folder: Path, site: str) -> SiteSpec:
    """A spec that `save_specs` kept."""
    return SiteSpec.model_validate(json.loads((folder / f"{site}.json").read_bytes()))


@dataclass(frozen=True)
class PlanFolderSteps:
    """Runs the steps of a rollout (the port `StepRunner`) from the specs kept for it."""

    parts: Parts
    folder: Path

    def run(self, site: str, step: Step) -> StepOutcome:
        """Do one step of one site, if its input still is what the rollout was started with."""
        spec = saved_spec(self.folder, site)
        content = site_content(spec)
        steps = site_steps(spec, content.artifact)
        if step not in steps.steps:
            return StepOutcome.failed(
                "ROL015",
                "this step is not what the rollout was started with: "
                f"{self.folder}/{site}.json was changed, or fleet was upgraded; start a new rollout",
            )
        marks = self.parts.workspace.marks
        marks.take_away(site)
        outcome = self.parts.applier().run_step(spec, step.kind, content)
        if outcome.ok and step == steps.steps[-1] and LEFT_OUT not in outcome.detail:
            marks.put(site, steps.digest)
        return outcome


@dataclass(frozen=True)
class PlanFolderHealth:
    """Judges sites (the port `HealthProbe`) by what the sandbox's ARM says."""

    parts: Parts
    folder: Path

    def probe(self, site: str) -> Health:
        """The site's health now."""
        from fleet.adapters.arm_health import ArmHealthProbe
        from fleet.rollout.events import Verdict

        connection = self.parts.workspace.connection()
        if connection is None:
            return Health(Verdict.INCONCLUSIVE, ("the sandbox is gone",))
        return ArmHealthProbe(
            lambda: arm_client(connection), lambda name: saved_spec(self.folder, name)
        ).probe(site)


def plan_site(parts: Parts, spec: SiteSpec) -> SitePlan:
    """One site's plan; for a process pool. It asks for no secret, a kubeconfig included."""
    return parts.applier().plan(spec, PLANNED)
