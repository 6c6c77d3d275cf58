"""The example fleet, with edits: the ground that tests of bad input stand on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.app.validate import validate
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.inventory.inventory import Inventory
from fleet.inventory.load import load_inventory
from fleet.inventory.rule import Rule, installed_rules
from fleet.inventory.source import SourceFile

ROOT = Path(__file__).resolve().parent.parent
FACTORY = ROOT / "examples" / "factory"
Edits = Mapping[str, Sequence[tuple[str, str]]]


def factory_files(edits: Edits | None = None) -> dict[str, str]:
    """The files of the example by relative path, with each `old` replaced by `new` (once, and it must occur)."""
    files = {p.relative_to(FACTORY).as_posix(): p.read_text() for p in sorted(FACTORY.rglob("*.yaml"))}
    for path, replacements in (edits or {}).items():
        for old, new in replacements:
            assert old in files[path], f"{old!r} is not in {path}"
            files[path] = files[path].replace(old, new, 1)
    return files


def load(
    files: Mapping[str, str | bytes], rules: Sequence[Rule] | None = None
) -> tuple[Inventory | None, tuple[Diagnostic, ...]]:
    """Load and validate files given as text, by these rules or by all that are installed."""
    sources = {
        path: SourceFile(path, text.encode() if isinstance(text, str) else text)
        for path, text in files.items()
    }
    inventory, shape = load_inventory(sources.pop("fleet.yaml"), list(sources.values()))
    return inventory, validate(inventory, shape, installed_rules() if rules is None else rules)


def check(edits: Edits | None = None) -> tuple[Diagnostic, ...]:
    """Everything found in the example after the edits."""
    return load(factory_files(edits))[1]


def factory_inventory(edits: Edits | None = None) -> Inventory:
    """The example, which must be without errors after the edits."""
    inventory, diagnostics = load(factory_files(edits))
    assert inventory is not None
    assert not diagnostics, diagnostics
    return inventory


def places(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """`CODE file:line message` for each, as assertions read them best."""
    return [f"{d.code} {d.span.path}:{d.span.line} {d.message}" for d in diagnostics]


def line_of(files: Mapping[str, str], path: str, text: str) -> int:
    """The number of the first line that holds `text`."""
    return next(n for n, line in enumerate(files[path].splitlines(), 1) if text in line)
