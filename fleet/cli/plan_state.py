"""`fleet plan --state`: plans against the state that Pulumi keeps in production, which is only read."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from fleet.adapters.pulumi_backend import open_state
from fleet.app.real_state import NOT_TOLD, RecordedPlan, RecordedStatePlanner
from fleet.app.site import PROJECT
from fleet.cli import exits
from fleet.cli.console import say
from fleet.cli.plan_markdown import MAX_VALUE, code
from fleet.cli.plan_workers import each
from fleet.cli.wiring import Parts
from fleet.diagnostics.diagnostic import FleetError
from fleet.diagnostics.text import visible
from fleet.model.site import SiteSpec
from fleet.plan.site_plan import SitePlan
from fleet.ports.engine import Engine
from fleet.ports.state import RecordedStack, StackEntry

_SHOWN = 10
"""Of one kind of note: an update of a whole fleet locks all of it."""


@dataclass(frozen=True)
class PlannedState:
    """The sites' plans against one backend, in their order; `stacks` are the project's stacks there."""

    backend: str
    planned: tuple[RecordedPlan, ...]
    stacks: tuple[str, ...]

    @property
    def plans(self) -> list[SitePlan]:
        """The plans alone."""
        return [one.plan for one in self.planned]

    @property
    def _of_stacks(self) -> list[str]:
        """What is known, and what is not, of single stacks; the same of many sites counts them.

        It has texts of the backend in it: who holds a lock, and names of resources.
        """
        texts = [(one.plan.site, text) for one in self.planned for text in one.notes]
        texts += [(one.plan.site, text) for one in self.planned for text in one.unknown]
        sites = Counter(text for _, text in texts)
        first = {text: site for site, text in reversed(texts)}
        found = [
            visible(f"{first[text]}: {text}" if count == 1 else f"{count:,} sites: {text}")
            for text, count in sites.items()
        ]
        more = f"and {len(found) - _SHOWN:,} more such notes: -o json has all"
        return [*found[:_SHOWN], more] if len(found) > _SHOWN else found

    @property
    def markdown_notes(self) -> tuple[str, ...]:
        """What a reviewer should know. The backend's texts stand in code spans, where they are no markup."""
        spans = (" ".join(map(code, wrap(note, MAX_VALUE - 1))) for note in self._of_stacks)
        return (*spans, *(f"Not known: {text}." for text in NOT_TOLD))

    def document(self) -> dict[str, Any]:
        """For `-o json`: what was compared with, and what of each site can't be told."""
        return {
            "backend": self.backend,
            "notTold": list(NOT_TOLD),
            "sites": {
                one.plan.site: {"state": one.state or None, "notes": one.notes, "unknown": one.unknown}
                for one in self.planned
            },
        }

    def say_notes(self) -> None:
        """Print the same for a terminal."""
        for note in self._of_stacks:
            say(note, "warning")
        for text in NOT_TOLD:
            say(f"not known: {text}", "dim")


def refuse_with(base: Path | None, out_file: Path | None) -> None:
    """Refuse options that mean another state. Raises `FleetError` (BCK001)."""
    for option, value, why in (
        ("--base", base, "compares two inventories, and --state compares with what is deployed"),
        ("--out", out_file, "keeps a plan for a rollout, and a rollout takes the workspace's own state"),
    ):
        if value is not None:
            raise FleetError("BCK001", f"{option} {why}", "leave out one of them", exits.USAGE)


def plan_against(url: str, parts: Parts, specs: Sequence[SiteSpec], jobs: int) -> PlannedState:
    """The sites' plans against the backend at a URL, or `cli`.

    A site whose checkpoint can't be read is a plan with an `error`; others go on. Raises `FleetError` where
    the backend as a whole can't be used.
    """
    source = open_state(url)
    stacks = source.stacks(PROJECT)
    work = [(spec, stacks.get(spec.name)) for spec in specs]
    planned = tuple(each(partial(_plan_or_error, url, parts), work, jobs))
    return PlannedState(source.name, planned, tuple(sorted(stacks)))


def _plan_or_error(url: str, parts: Parts, work: tuple[SiteSpec, StackEntry | None]) -> RecordedPlan:
    spec, entry = work
    try:
        return _planner(url, parts).plan(spec, entry)
    except FleetError as error:
        why = f"{error.code}: {error.message}" + (f"; {error.help}" if error.help else "")
    return RecordedPlan(SitePlan(spec.name, spec.ring, spec.digest, "", error=visible(why)))


def _planner(url: str, parts: Parts) -> RecordedStatePlanner:
    passphrase = given_passphrase(os.environ)

    def engine_of(recorded: RecordedStack | None) -> Engine:
        from fleet.adapters.pulumi_backend_preview import RecordedStackEngine
        from fleet.sandbox.providers import SandboxProviders

        return RecordedStackEngine(
            recorded, SandboxProviders(None), None if passphrase is None else lambda: passphrase
        )

    return RecordedStatePlanner(open_state(url), parts.applier(), engine_of, passphrase is not None)


def given_passphrase(environment: Mapping[str, str]) -> str | None:
    """The passphrase as the Pulumi CLI is given it; None without one: the sandbox's own is another state's.

    Raises `FleetError` (ENG005) for a file that can't be read.
    """
    if value := environment.get("PULUMI_CONFIG_PASSPHRASE"):
        return value
    if not (file := environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")):
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(
            "ENG005",
            f"PULUMI_CONFIG_PASSPHRASE_FILE can't be read: {error}",
            "or leave it out: secrets are not compared",
            exits.MISSING,
        ) from None
