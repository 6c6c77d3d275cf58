"""`fleet ci init`."""

import importlib.metadata
import json
import os
from pathlib import Path

import typer

from fleet.adapters.oci_layout import write_atomically
from fleet.app.ci import GitSource, Source, WheelSource, parse_source, pipeline
from fleet.cli import exits
from fleet.cli.console import say
from fleet.diagnostics.diagnostic import FleetError


def run_ci_init(
    system: str, root: Path, inventory: Path, source: str | None, branch: str, *, force: bool, dry_run: bool
) -> int:
    """Exit code of `fleet ci init`."""
    if not root.is_dir():
        raise FleetError(
            "ENV021", f"there is no folder {root}", "name the root of the repository: --dir", exits.USAGE
        )
    _require_top(root)
    chosen = parse_source(source) if source else installed_source()
    made = pipeline(system, chosen, _below(root, inventory), branch)
    if isinstance(chosen, WheelSource):
        _require_files(root, chosen)
    path = root / made.path
    if dry_run:
        typer.echo(made.text.encode(), nl=False)
    else:
        if os.path.lexists(path) and not force:
            raise FleetError(
                "NEW001",
                f"{path} is there already",
                "--dry-run shows what would be written, --force replaces it",
                exits.USAGE,
            )
        try:
            write_atomically(path, made.text.encode())
        except OSError as error:
            raise FleetError(
                "ENV021", f"{path} can't be written: {error.strerror}", "nothing was written", exits.USAGE
            ) from None
        say(f"wrote {path}", "ok")
    if made.placeholders:
        say("Before it can run, put your own values in, and take the remarks out:", "warning")
        for mark in made.placeholders:
            say(f"  {root / mark.file}:{mark.line}  {mark.text}")
    return exits.OK


def installed_source() -> Source:
    """Where the fleet that runs was installed from, when that was a commit (PEP 610); else left open."""
    text = importlib.metadata.distribution("fleet-toolkit").read_text("direct_url.json")
    try:
        record = json.loads(text or "{}")
        vcs = record.get("vcs_info", {})
        if vcs.get("vcs") == "git":
            return parse_source(f"git+{record['url']}@{vcs['commit_id']}")
    except (ValueError, KeyError, AttributeError, FleetError):
        pass  # a record that pip did not write, or an address that a pipeline could not use
    return GitSource()


def _require_top(root: Path) -> None:
    """Raises `FleetError` (CIP004) in a folder of a repository that is not its top: no system looks there."""
    here = root.resolve()
    top = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)
    if top is not None and top != here:
        inventory = here.relative_to(top).as_posix()
        raise FleetError(
            "CIP004",
            f"{root} is not the top of its repository, and pipelines are only looked for there",
            f"fleet ci init --dir {top} -i {inventory}",
            exits.USAGE,
        )


def _below(root: Path, inventory: Path) -> str:
    """The inventory's folder as the pipeline names it. Raises `FleetError` (ENV001, CIP002)."""
    folder = inventory if inventory.is_absolute() else root / inventory
    folder = folder.parent if folder.name == "fleet.yaml" else folder
    try:
        relative = folder.resolve().relative_to(root.resolve())
    except ValueError:
        raise FleetError(
            "CIP002", f"{folder} is not below {root}", "a pipeline sees its own repository only", exits.USAGE
        ) from None
    if not (folder / "fleet.yaml").is_file():
        raise FleetError(
            "ENV001",
            f"there is no fleet.yaml at {folder / 'fleet.yaml'}",
            "name its folder, relative to --dir: fleet ci init -i FOLDER",
            exits.USAGE,
        )
    return relative.as_posix()


def _require_files(root: Path, wheel: WheelSource) -> None:
    for name, what in ((wheel.path, "no wheel"), (wheel.lock, "no lock of its dependencies")):
        if not (root / name).is_file():
            raise FleetError(
                "CIP003",
                f"there is {what} at {root / name}",
                "put the wheel and fleet's requirements.lock into one folder of the repository",
                exits.USAGE,
            )
