"""docs/inventory/ says of every requirement where it is held, or why not; and says nothing that is not so."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fleet.diagnostics.explain import built_in
from fleet.inventory.rule import installed_rules
from fleet.model.fleet import FleetFile
from fleet.model.site import SiteSpec
from fleet.render.unrendered import UNRENDERED
from tests.factory import ROOT
from tests.unit.test_unrendered import FACTS, covers, model_of

HELD, LEFT_OUT = ((ROOT / "docs" / "inventory" / name).read_text("utf-8") for name in ("requirements.md", "left-out.md"))  # fmt: skip
LIST = ROOT.parent / "shared" / "reference" / "requirements.md"
ID = re.compile(r"^\| ([A-Q][0-9]{1,2}) \|", re.MULTILINE)
PATH = re.compile(r"`([a-z][A-Za-z0-9]*(?:\.(?:\*|[a-z][A-Za-z0-9]*))*)`(†?)(?: = `([^`]*)`)?")
CODE = re.compile(r"\b([A-Z][A-Z0-9]{2}[0-9]{3})(?: to ([A-Z][A-Z0-9]{2}[0-9]{3}))?\b")
FILE = re.compile(r"`((?:templates|stacks|fleet)/[^`]+)`")
COMMAND = re.compile(r"`fleet ([a-z]+)")
RULES = {rule.code for rule in installed_rules()}


def field(kind: type[BaseModel], steps: list[str]) -> tuple[bool, Any]:
    """Whether there is a field at these steps, and its default (no plain value where it has none)."""
    step, *rest = steps
    name = next((name for name, f in kind.model_fields.items() if (f.alias or name) == step), None)
    if name is None:
        return False, None
    many, below = model_of(kind.model_fields[name].annotation)
    if rest and rest[0] == "*" and many:
        rest = rest[1:]
    elif rest and many:
        return False, None
    if rest:
        return field(below, rest) if below is not None else (False, None)
    return True, kind.model_fields[name].get_default()


def is_field(path: str) -> tuple[bool, Any]:
    """The field of a site or, for `rings`, `models` and the like, of fleet.yaml."""
    steps = path.split(".")
    there, default = field(SiteSpec, steps)
    return (there, default) if there else field(FleetFile, steps)


def shown(path: str) -> str | None:
    """How the page shows a field; None for what is no field."""
    there, default = is_field(path)
    if not there:
        return None
    mark = "†" if any(covers(p, path) or covers(path, p) for p in UNRENDERED) else ""
    plain = isinstance(default, (str, int, float))
    text = default if isinstance(default, str) else json.dumps(default) if plain else ""
    return f"`{path}`{mark}" + (f" = `{text}`" if plain else "")


def rows(page: str) -> Mapping[str, str]:
    return {m.group(1): page[m.start() :].partition("\n")[0] for m in ID.finditer(page)}


def test_the_facts_that_are_called_unread_are_facts() -> None:
    section = LEFT_OUT.partition("## Facts that nothing reads yet")[2].partition("\n## ")[0]
    named = [m.group(1) for m in PATH.finditer(section)]
    assert len(named) > 5
    assert [path for path in named if not any(covers(fact, path) for fact in FACTS)] == []


def wanted() -> set[str]:
    section = LIST.read_text("utf-8").partition("# 1. REQUIREMENTS")[2].partition("\n# 2.")[0]
    return set(re.findall(r"^([A-Q][0-9]{1,2})\. ", section, re.MULTILINE))


@pytest.mark.skipif(not LIST.is_file(), reason="the requirement list is kept beside the repository")
def test_every_requirement_is_held_or_left_out_and_not_both() -> None:
    ids = wanted()
    assert len(ids) > 300
    assert sorted(ids - rows(HELD).keys() - rows(LEFT_OUT).keys()) == []
    assert sorted((rows(HELD).keys() | rows(LEFT_OUT).keys()) - ids) == []


def test_no_requirement_is_on_both_pages_or_twice_on_one() -> None:
    found = [*ID.findall(HELD), *ID.findall(LEFT_OUT)]
    assert sorted({i for i in found if found.count(i) > 1}) == []


@pytest.mark.skipif(not LIST.is_file(), reason="the requirement list is kept beside the repository")
def test_every_decision_with_fixed_values_is_there() -> None:
    text = LIST.read_text("utf-8").partition("**Decision enums to model in the inventory:**")[2].partition("\n")[0]  # fmt: skip
    decisions = re.sub(r" \([^)]*\)", "", text).strip(" .").split(", ")
    assert len(decisions) == 19
    table = HELD.partition("## The decisions with fixed values")[2]
    assert [decision for decision in decisions if f"| {decision} |" not in table] == []


@pytest.mark.parametrize("row", rows(HELD).values(), ids=rows(HELD).keys())
def test_fields_are_shown_as_they_are(row: str) -> None:
    for match in PATH.finditer(row):
        path = match.group(1)
        # A single word may be a value or a file; a path with a dot has to be a field or a file.
        if shown(path) is None and ("." not in path or (ROOT / path).exists()):
            continue
        assert match.group(0) == shown(path), "no such field" if shown(path) is None else "write it so"


@pytest.mark.parametrize("row", rows(HELD).values(), ids=rows(HELD).keys())
def test_a_requirement_that_is_held_names_what_holds_it(row: str) -> None:
    named = [m.group(1) for m in PATH.finditer(row) if shown(m.group(1))]
    files, commands = FILE.findall(row), COMMAND.findall(row)
    assert named or files or commands or CODE.search(row) or "journal" in row or row.count("|") == 4
    for name in files:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", [HELD, LEFT_OUT], ids=["requirements", "left-out"])
def test_every_code_is_in_use(page: str) -> None:
    known = RULES | built_in().keys()
    for first, last in CODE.findall(page):
        assert first in known, first
        if last:
            codes = [f"{first[:3]}{number:03}" for number in range(int(first[3:]), int(last[3:]) + 1)]
            assert [code for code in codes if code not in known] == []


def test_the_page_lists_every_field_that_nothing_acts_on() -> None:
    table = LEFT_OUT.partition("## Fields that nothing acts on yet")[2]
    assert re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE) == list(UNRENDERED)


def test_every_command_that_is_named_exists() -> None:
    from fleet.cli.main import app

    known = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    known |= {group.name or "" for group in app.registered_groups}
    assert set(COMMAND.findall(HELD + LEFT_OUT)) - known == set()


def test_the_pages_are_where_the_command_says() -> None:
    source = (ROOT / "fleet" / "cli" / "render_command.py").read_text("utf-8")
    assert Path("docs/inventory/left-out.md").as_posix() in source
