"""Reading an inventory from a folder."""

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
    except ValueError:
        return path.as_posix()


def _source(path: Path, found: list[Diagnostic]) -> SourceFile | None:
    try:
        with path.open("rb") as stream:
            return SourceFile(_shown(path), stream.read(MAX_BYTES + 1))
    except OSError as error:
        span = Span(_shown(path), 1, 1, 1, 2)
        message = f"can't be read: {error.strerror}"
        found.append(Diagnostic("INV001", "error", message, span, "check the path and its permissions"))
        return None


def read_inventory(path: Path) -> tuple[Inventory | None, list[Diagnostic]]:
    """The fleet in the folder `path` (or of the `fleet.yaml` at `path`), and every finding about its shape.

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
    found: list[Diagnostic] = []
    fleet_file = _source(fleet_path, found)
    if fleet_file is None:
        return None, found
    paths = sorted((fleet_path.parent / "sites").glob("**/*.y*ml"))
    files = [file for p in paths if p.suffix in (".yaml", ".yml") and (file := _source(p, found)) is not None]
    inventory, problems = load_inventory(fleet_file, files)
    return inventory, found + problems
