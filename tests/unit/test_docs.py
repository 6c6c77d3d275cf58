"""The reference pages are what the code says, and the README's example is what the tool prints."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from fleet.diagnostics.text import diagnostic_pieces
from tests.factory import ROOT, check


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["inventory.md", "rules.md", "cli.md"])
def test_generated_pages_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == generator().PAGES[name](), "run: python docs/generate.py"


def test_the_diagnostic_in_the_readme_is_what_is_printed() -> None:
    found = check({"sites/graz.yaml": [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100")]})
    text = "".join(part for _, part in diagnostic_pieces(found[0])).replace(
        "--> sites", "--> examples/factory/sites"
    )
    shown = "\n".join("    " + line if line else "" for line in text.rstrip().splitlines())
    assert shown in (ROOT / "README.md").read_text()


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_page_says_where_it_was_written() -> None:
    tracked = [
        path for path in ROOT.rglob("*") if path.suffix in (".md", ".py", ".yaml", ".toml", ".lock", ".j2")
    ]
    own = [path for path in tracked if not {".venv", ".fleet"} & set(path.relative_to(ROOT).parts)]
    pattern = re.compile("/" + r"root/|/" + r"work/|find-" + r"links|index-" + r"url [a-z]")
    for path in own:
        if path.name != "Makefile":
            assert not pattern.search(path.read_text()), path


def test_the_lock_names_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = Path(ROOT / name).read_text().splitlines()
        assert not [
            line
            for line in lines
            if "http" in line and "#" not in line and "httpx" not in line and "httpcore" not in line
        ]
        assert sum("--hash=sha256:" in line for line in lines) > 50
