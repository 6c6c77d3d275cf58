"""The workspace's folder: private, and never committed by mistake."""

from pathlib import Path


def made_workspace(folder: Path) -> None:
    """Make `folder` (0700) when it is not there, with a `.gitignore` that keeps all of it out of git.

    It holds states, plans, tokens and the sandbox's keys. Raises OSError.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    folder.chmod(0o700)  # whatever the process' mask is
    (folder / ".gitignore").write_text("# Made by fleet: nothing in here belongs into a repository.\n*\n")
