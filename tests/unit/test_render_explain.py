"""`fleet render --explain`: the template's line, the field and the inventory's line behind a line of a tree."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Site
from fleet.render.explain import Explained, changes, explain_file
from fleet.render.templating import traced
from fleet.render.tree import render_site
from tests.factory import FACTORY, ROOT, factory_inventory


@cache
def graz() -> Site:
    site = factory_inventory().site("graz")
    assert site is not None
    return site


@cache
def explained(path: str) -> Explained:
    return explain_file(graz().spec, path)


def test_tracing_changes_no_byte_and_knows_every_text() -> None:
    plain = render_site(graz().spec)
    with traced() as texts:
        assert render_site(graz().spec) == plain
    for text, places in texts.items():
        assert len(places) >= text.count("\n")


def test_the_template_line_holds_the_text_that_it_gives() -> None:
    """Where the line is plain text, the place named has exactly it."""
    checked = 0
    with traced() as texts:
        render_site(graz().spec)
    for text, places in texts.items():
        for line, at in zip(text.split("\n"), places, strict=False):
            if len(at) != 1 or not line:
                continue
            name, _, number = at[0].rpartition(":")
            source = (ROOT / name).read_text().split("\n")[int(number) - 1]
            if "{" not in source and source.strip():
                assert line.strip() == source.strip(), at
                checked += 1
    assert checked > 100


def in_file(path: str, text: str) -> Any:
    return next(line for line in explained(path).lines if text in line.text)


AGENT = "workloads/agents/maf-agent-api.yaml"


def test_a_value_leads_to_its_field_through_the_code_between() -> None:
    assert in_file(AGENT, "INFERENCE_MAX_RETRIES").fields[0] == (
        "agents", "maf-agent-api", "policies", "maxRetries",
    )  # fmt: skip
    assert ("registry", "host") in in_file(AGENT, "image: ").fields
    digest = in_file(AGENT, "fleet/config-digest").fields
    assert {("name",), ("inference", "chat", "model")} <= set(digest), "also through a digest"
    assert in_file(AGENT, "automountServiceAccountToken: false").fields == ()


def test_a_macros_line_and_its_caller_are_both_named() -> None:
    places = in_file(AGENT, "fleet/node-pool").places
    assert places[0].startswith("templates/_hardened.j2:")
    assert places[-1].startswith("templates/workloads/agents/agent.yaml.j2:")


def distinctive(value: Any) -> bool:
    # FOUNDRY_API_KEY is a name of the agents' environment too, whatever a secret's key is called.
    return isinstance(value, str) and len(value) > 12 and not value.isupper()


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def test_every_line_that_holds_a_value_of_the_inventory_names_a_field_with_it() -> None:
    """Every text of the site long enough to be told from others, wherever it stands in the tree."""
    spec = graz().spec
    values: dict[str, set[tuple[str | int, ...]]] = {}
    for path, value in leaves(spec.model_dump(mode="json", by_alias=True)):
        if distinctive(value):
            values.setdefault(value, set()).add(path)
    files = render_site(spec).files
    seen = 0
    for path, text in files.items():
        held = [value for value in values if value in text]
        if not held:
            continue
        for line in explained(path).lines:
            for value in held:
                if value in line.text and not line.text.lstrip().startswith("#"):
                    seen += 1
                    assert line.fields, (path, line)
                    assert values[value] & set(line.fields) or any(
                        value in str(_at(spec, field)) for field in line.fields
                    ), (path, line, value)
    assert seen >= 10


def _at(spec: BaseModel, path: tuple[str | int, ...]) -> Any:
    value: Any = spec.model_dump(mode="json", by_alias=True)
    for step in path:
        value = value[step]
    return path if isinstance(value, dict) else value


def test_no_change_of_a_text_breaks_the_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value of the site in turn is something that YAML reads otherwise; what is refused is refused."""
    nasty = ' "x: y" # {[&*!|>%@`\u2028\x85'
    monkeypatch.setattr("fleet.render.explain._MARK", nasty)
    shape = {path: text.count("\nkind: ") for path, text in render_site(graz().spec).files.items()}
    tried = 0
    for path, value, changed in changes(graz().spec):
        if not isinstance(value, str) or path[-1] == value:
            continue  # a name: its form is the model's concern, and it is a file's
        for other, _ in changed[:1]:
            try:
                files = render_site(other).files
            except (FleetError, LookupError, ValueError):
                continue
            for name, text in files.items():
                if name in shape and "x: y" in text:
                    list(yaml.load_all(text, Loader=yaml.CSafeLoader))
                    tried += 1
    assert tried > 10


def explain(*arguments: str) -> int:
    return main(["render", "-i", str(FACTORY), *arguments])


def test_the_command_names_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    number = in_file(AGENT, "INFERENCE_MAX_RETRIES").number
    for arguments in (
        ("graz", "--explain", f"{AGENT}:{number}"),
        ("--explain", f"gitops/graz/{AGENT}:{number}"),
    ):
        assert explain(*arguments) == exits.OK
        shown = capsys.readouterr().out
        assert f'{AGENT}:{number}:   INFERENCE_MAX_RETRIES: "2"' in shown
        assert "template  templates/workloads/agents/agent.yaml.j2:" in shown
        assert "agents.maf-agent-api.policies.maxRetries = 2" in shown
        assert "examples/factory/fleet.yaml:" in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("graz", "--explain", "workloads/agents/nobody.yaml"), "ENV023"),
        (("graz", "--explain", f"{AGENT}:99999"), "ENV023"),
        (("graz", "--explain", f"{AGENT}:0"), "ENV023"),
        (("--explain", AGENT), "ENV006"),
        (("nowhere", "--explain", AGENT), "ENV004"),
    ],
)
def test_what_can_not_be_explained(
    arguments: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(*arguments) == exits.USAGE
    assert f"error[{code}]" in capsys.readouterr().err
