"""What differs in an inventory since a revision, asked of the git program. It only reads."""

import os
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.diagnostics.diagnostic import FleetError

EXIT_USAGE, EXIT_MISSING = 2, 11


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between a revision and the files as they are, whether git has been told of them or not."""

    files: frozenset[str]
    """Files that differ, that are new, and that are gone; relative to the folder that was asked about."""
    commit: str
    """The revision's commit."""


@dataclass(frozen=True)
class GitFolder:
    """A folder of a git repository."""

    folder: Path

    def since(self, revision: str, files: Collection[str]) -> Difference:
        """What differs since `revision`, among `files` (those in the folder now) and those that it had.

        Raises `FleetError`: GIT001 no git program, GIT002 no repository, GIT003 no such revision here, GIT004
        the folder is in no work tree, GIT005 git failed otherwise.
        """
        commit = self._commit(revision)
        listed = self._run("ls-tree", "-r", "-z", "--name-only", commit, "--", ".")
        changed = self._run(
            "diff", "--name-only", "-z", "--relative", "--no-renames", "--no-ext-diff", "--no-textconv",
            commit, "--", ".",
        )  # fmt: skip
        # What the revision has not got is new, also where git was never told of it or is told to ignore it.
        new = set(files) - set(_names(listed))
        return Difference(frozenset(_names(changed)) | frozenset(new), commit)

    def content(self, commit: str, file: str) -> bytes | None:
        """A file of the folder as it was in a commit; None when it was not there."""
        listed = self._run("ls-tree", "-z", "--name-only", commit, "--", file)
        if not listed:
            return None
        return self._run("cat-file", "blob", f"{commit}:./{file}")

    def _commit(self, revision: str) -> str:
        if revision.startswith("-") or not revision.strip() or "\0" in revision:
            raise FleetError(
                "GIT003",
                f"{revision!r} is no revision",
                "such as main or HEAD~1: --changed-since main",
                EXIT_USAGE,
            )
        top = self._ask("rev-parse", "--show-toplevel")
        if top.returncode != 0:
            raise FleetError(
                "GIT002",
                f"{self.folder} is in no git repository that can be used: {_first_line(top.stderr)}",
                "leave --changed-since out to check everything",
                EXIT_USAGE,
            )
        root = Path(os.fsdecode(top.stdout.removesuffix(b"\n")))
        if not self.folder.resolve().is_relative_to(root.resolve()):
            raise FleetError(
                "GIT004",
                f"the inventory at {self.folder} is outside of the work tree {root}",
                "GIT_DIR or GIT_WORK_TREE says so; unset them, or leave --changed-since out",
                EXIT_USAGE,
            )
        found = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        if found.returncode != 0:
            raise FleetError(
                "GIT003", f"git knows no revision {revision!r} here", self._what_to_do(), EXIT_USAGE
            )
        return found.stdout.decode("ascii").strip()

    def _what_to_do(self) -> str:
        if self._ask("rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
            return (
                "the clone is shallow: git fetch --unshallow, or in a pipeline a checkout with fetch-depth: 0"
            )
        return "git log shows revisions, git branch -a branches; git fetch gets those of others"

    def _run(self, *arguments: str) -> bytes:
        done = self._ask(*arguments)
        if done.returncode != 0:
            words = f"git {arguments[0]} failed: {_first_line(done.stderr)}"
            raise FleetError("GIT005", words, f"try it yourself: git -C {self.folder} {arguments[0]}")
        return done.stdout

    def _ask(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        # Pathspecs are names here; no lock is taken and nothing is fetched or asked for.
        environment = {
            **os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
            "GIT_LITERAL_PATHSPECS": "1",
        }  # fmt: skip
        command: Sequence[str] = ("git", "-C", str(self.folder), *arguments)
        try:
            return subprocess.run(  # noqa: S603 - no shell, and no argument of a user's that starts with '-'
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except OSError as error:
            raise FleetError(
                "GIT001",
                f"git can't be run: {error.strerror}",
                "install git, or leave --changed-since out",
                EXIT_MISSING,
            ) from None


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def _first_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "it says nothing"
