"""Reading an inventory from a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.diagnostics.diagnostic import Diagnostic, FleetError, Span
from fleet.inventory.inventory import Inventory
from fleet.inventory.load import load_inventory
from fleet.inventory.source import MAX_BYTES, SourceFile

EXIT_USAGE = 2


def _shown(path: Path) -> str:
    """The path as a user would type it: relative to the working folder when it is below."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError, RuntimeError):  # elsewhere, or a link that leads to itself
        return path.as_posix()


def _unreadable(shown: str, why: str | None) -> Diagnostic:
    message = f"can't be read: {why}"
    return Diagnostic(
        "INV001", "error", message, Span(shown, 1, 1, 1, 2), "check the path and its permissions"
    )


def _refused(path: Path, root: Path) -> str | None:
    """Why a file is not opened at all; None for a regular one, also through links inside the folder.

    A fork's pull request must not show a line of any file that CI can read.
    """
    try:
        target = path.resolve(strict=True)
        if not target.is_relative_to(root.resolve()):
            return "a link that leads out of the inventory's folder"
        if not target.is_file():  # a pipe would be waited for
            return "a folder" if target.is_dir() else "no regular file"
    except OSError as error:
        return error.strerror
    except RuntimeError:
        return "a link that leads to itself"
    return None


def _read(path: str | Path, shown: str, refused: str | None = None) -> SourceFile | Diagnostic:
    if refused is not None:
        return _unreadable(shown, refused)
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - a Path a file is a tenth of the time
            return SourceFile(shown, stream.read(MAX_BYTES + 1))
    except OSError as error:
        return _unreadable(shown, error.strerror)


@dataclass(frozen=True, slots=True)
class SiteFileOnDisk:
    """A site file that may not have been read yet; a `SiteFile` of fleet/app/check_files.py."""

    path: str
    """As diagnostics name it."""
    key: str
    """Its place below the inventory's folder: `sites/graz.yaml`."""
    file: str
    """Where to open it."""
    state: tuple[int, int, int, int] | None
    """Size, times of the last change of its content and of its entry (ns), and inode, as they were when it
    was listed; None for what is no plain file."""
    link: bool
    """It is a symbolic link."""
    refused: str | None = None
    """Why it is not opened."""

    def read(self) -> SourceFile | Diagnostic:
        """The file as it is now, or INV001."""
        return _read(self.file, self.path, self.refused)


@dataclass(frozen=True)
class InventoryFolder:
    """The folder that holds a `fleet.yaml` and its sites."""

    fleet_path: Path

    @classmethod
    def at(cls, path: Path) -> "InventoryFolder":
        """The folder `path`, or that of the `fleet.yaml` at `path`.

        Raises `FleetError` (ENV001) when there is no fleet there at all.
        """
        fleet_path = path / "fleet.yaml" if path.is_dir() else path
        if not fleet_path.exists():
            raise FleetError(
                "ENV001",
                f"there is no fleet.yaml at {_shown(path)}",
                "name the folder that holds it: fleet validate -i FOLDER",
                EXIT_USAGE,
            )
        return cls(fleet_path)

    @property
    def root(self) -> Path:
        """The folder."""
        return self.fleet_path.parent

    def fleet_file(self) -> SourceFile | Diagnostic:
        """`fleet.yaml`, or INV001."""
        return _read(self.fleet_path, _shown(self.fleet_path), _refused(self.fleet_path, self.root))

    def site_files(self) -> tuple[list[SiteFileOnDisk], list[Diagnostic]]:
        """The files below `sites/`, unread, by path, and INV001 for each folder that can't be listed."""
        top = self.root / "sites"
        if not top.is_dir():
            return [], []
        found: list[Diagnostic] = []
        try:
            shown = top.resolve().relative_to(Path.cwd()).as_posix()
        except (ValueError, OSError, RuntimeError):
            shown = top.as_posix()
        files = sorted(_walk(self.root, str(top), shown, "sites", found), key=lambda file: file.path)
        return files, found


def _walk(root: Path, folder: str, shown: str, key: str, found: list[Diagnostic]) -> Iterator[SiteFileOnDisk]:
    """Files `*.yaml` and `*.yml`; links to folders are not followed. A stat for each file and no more.

    Names that begin with a dot are an editor's or a tool's.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        found.append(_unreadable(shown, error.strerror))
        return
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, entry.path, f"{shown}/{name}", f"{key}/{name}", found)
        if not name.lower().endswith((".yaml", ".yml")):
            continue
        link = entry.is_symlink()
        path = _shown(Path(entry.path)) if link else f"{shown}/{name}"
        try:
            stat = entry.stat() if entry.is_file() else None
        except OSError:
            stat = None
        state = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) if stat else None
        refused = _refused(Path(entry.path), root) if link or stat is None else None
        yield SiteFileOnDisk(path, f"{key}/{name}", entry.path, state, link, refused)


def read_inventory(path: Path) -> tuple[Inventory | None, list[Diagnostic]]:
    """The fleet in the folder `path` (or of the `fleet.yaml` at `path`), and every finding about its shape.

    Raises `FleetError` (ENV001) when there is no fleet there at all.
    """
    folder = InventoryFolder.at(path)
    fleet_file = folder.fleet_file()
    if isinstance(fleet_file, Diagnostic):
        return None, [fleet_file]
    listed, found = folder.site_files()
    read = [file.read() for file in listed]
    found += [item for item in read if isinstance(item, Diagnostic)]
    files = [item for item in read if isinstance(item, SourceFile)]
    inventory, problems = load_inventory(fleet_file, files)
    return inventory, found + problems
