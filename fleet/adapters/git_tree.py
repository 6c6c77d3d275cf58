"""An inventory as it was in a git revision, as files in a folder. Git is only read."""

import os
import subprocess
from pathlib import Path

from fleet.adapters.git import GitFolder
from fleet.diagnostics.diagnostic import FleetError

_LINK = b"120000"


def write_revision(folder: Path, revision: str, into: Path) -> str:
    """Write the YAML files that `folder` had in `revision` into `into`, an empty folder; the commit's id.

    Links are left out: what they led to is not theirs to say. Raises `FleetError` as `GitFolder.since` does,
    and GIT005 when git fails.
    """
    try:
        commit = GitFolder(folder).since(revision, ()).commit
    except FleetError as error:
        if error.code not in ("GIT001", "GIT002", "GIT004"):
            raise
        # Its help is of another command.
        raise FleetError(error.code, error.message, "fleet diff --base FOLDER", error.exit_code) from None
    rows = _git(folder, "ls-tree", "-r", "-z", commit, "--", ".").split(b"\0")
    wanted = []
    for row in rows:
        about, _, name = row.partition(b"\t")
        if not name.lower().endswith((b".yaml", b".yml", b".rego")):
            continue
        mode, _, blob = about.split(b" ")
        if mode != _LINK:
            wanted.append((blob, os.fsdecode(name)))
    asked = b"".join(blob + b"\n" for blob, _ in wanted)
    answer = memoryview(_git(folder, "cat-file", "--batch", asked=asked))
    at = 0
    for _, file in wanted:
        head_end = at + bytes(answer[at : at + 200]).index(b"\n")
        size = int(bytes(answer[at:head_end]).split(b" ")[2])
        target = into / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(answer[head_end + 1 : head_end + 1 + size])
        at = head_end + size + 2
    return commit


def _git(folder: Path, *arguments: str, asked: bytes = b"") -> bytes:
    environment = {
        **os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
    }  # fmt: skip
    command = ("git", "-C", str(folder), *arguments)
    done = subprocess.run(command, env=environment, input=asked, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        words = f"git {arguments[0]} failed: {said or 'it says nothing'}"
        raise FleetError("GIT005", words, f"try it yourself: git -C {folder} {arguments[0]}")
    return done.stdout
