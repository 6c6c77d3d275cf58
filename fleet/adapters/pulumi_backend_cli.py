"""Stacks through the Pulumi CLI, for backends that fleet does not read itself: Pulumi Cloud and the rest.

`pulumi stack ls --json` and `pulumi stack export`, which change nothing. Tested against a stand-in for the
CLI only: no `pulumi` program is where this project's tests run.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fleet.adapters.pulumi_backend_checkpoint import recorded_stack
from fleet.ports.engine import PulumiCliMissing, StackRef
from fleet.ports.state import BackendError, RecordedStack, StackEntry, StackLock

_TIMEOUT_S: Final = 300
_WORDS: Final = 500
"""Characters of what the CLI says that are shown."""
_IN_PROGRESS: Final = "in-progress"


class PulumiCliStates:
    """The backend that the Pulumi CLI is logged in to. Implements `fleet.ports.state.StateSource`.

    Only Pulumi Cloud tells of an update in progress this way; locks of self-managed backends are seen with
    the backend's URL. Raises `PulumiCliMissing`.
    """

    def __init__(self) -> None:
        if shutil.which("pulumi") is None:
            raise PulumiCliMissing

    @property
    def name(self) -> str:
        """Whatever the CLI is logged in to."""
        return "the Pulumi CLI's backend"

    def stacks(self, project: str) -> Mapping[str, StackEntry]:
        """The project's stacks. Raises `BackendError` (BCK007)."""
        listed = _json("stack ls", _pulumi(project, "stack", "ls", "--json", "--non-interactive"))
        try:
            return {
                name: StackEntry(
                    StackRef(project, name),
                    item["name"],
                    (_IN_PROGRESS,) if item.get("updateInProgress") else (),
                )
                for item in listed
                for name in [str(item["name"]).rpartition("/")[2]]
            }
        except (TypeError, KeyError, AttributeError):
            raise _unknown_words("stack ls") from None

    def read(self, entry: StackEntry) -> RecordedStack:
        """The stack as it was exported. Raises `BackendError` (BCK007) and `StateUnreadable`."""
        words = _pulumi(entry.stack.project, "stack", "export", "--stack", entry.key, "--non-interactive")
        held = tuple(StackLock() for _ in entry.locks)
        return recorded_stack(
            entry.stack, f"pulumi stack export --stack {entry.key}", words, held, entry.note
        )


def _pulumi(project: str, *arguments: str) -> bytes:
    """What the CLI writes to standard output, run in a project of that name."""
    with TemporaryDirectory(prefix="fleet-pulumi-") as folder:
        Path(folder, "Pulumi.yaml").write_text(
            f"name: {json.dumps(project)}\nruntime: python\n", encoding="utf-8"
        )
        try:
            done = subprocess.run(  # noqa: S603 - fixed words, and a stack's name
                ["pulumi", *arguments],  # noqa: S607 - the one that PATH names, as everywhere
                cwd=folder,
                env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _failed(" ".join(arguments[:2]), f"it did not end within {_TIMEOUT_S} s") from None
    if done.returncode:
        raise _failed(" ".join(arguments[:2]), done.stderr.decode(errors="replace").strip()[-_WORDS:])
    return done.stdout


def _json(command: str, words: bytes) -> Any:
    try:
        return json.loads(words)
    except ValueError:
        raise _unknown_words(command) from None


def _failed(command: str, why: str) -> BackendError:
    return BackendError(
        "BCK007", f"pulumi {command} failed: {why}", "pulumi whoami -v shows where it is logged in"
    )


def _unknown_words(command: str) -> BackendError:
    return BackendError(
        "BCK007", f"pulumi {command} answered with what fleet does not know", "pulumi version"
    )
