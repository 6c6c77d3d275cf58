"""Writes the reference pages that come from the code: docs/inventory.md, docs/rules.md, docs/cli.md.

`python docs/generate.py` writes them; `tests/unit/test_docs.py` fails when they are not what it would write.
"""

import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fleet.cli.main import app
from fleet.diagnostics.explain import built_in
from fleet.inventory.rule import installed_rules
from fleet.model.descriptions import field_meanings
from fleet.model.fleet import FleetFile, SiteHeader
from fleet.model.site import SiteSpec

HERE = Path(__file__).resolve().parent

INVENTORY_HEAD = """\
# The inventory

One folder: `fleet.yaml`, and one file a site under `sites/`. Keys are camelCase; a key that is not
listed here is an error. Generated from the code by `docs/generate.py`.

## How a site comes to its values

Four layers are laid over each other, the later over the earlier: `defaults` of the fleet, the `profile`
that the site names, the `defaults` of its ring, the site's own file. Mappings merge key by key, lists
and scalars are replaced, and `null` takes an inherited key away. Then `${site}` in any text is made the
site's name, so that names that follow a pattern are said once for all sites:

    defaults:
      azure: {resourceGroup: "rg-fleet-${site}"}
      azureLocal:
        clusterName: ${site}-hci
        customLocation: ${site}-location
        keyVault: kv-fleet-${site}

A name must fit where it goes: a cluster's has 15 characters, a key vault's 24. `fleet show SITE --provenance`
says for each value which layer, file and line it comes from.

## How YAML is read

By YAML 1.2: only `true` and `false` are booleans (`no` is a word, also as a country), `010` is text and
not eight, dates and times are text. Anchors, aliases and merge keys (`<<`) work; a key given twice, a tag,
a second document in a file, or more than an inventory can need is an error. All answers: [yaml.md](yaml.md).

"facts" below is the project's fact sheet on Azure Local; docs/sources.md says where it was read.
"""

RULES_HEAD = """\
# The rules

What `fleet validate` checks beyond the shape of the files. Each has a page with the reason, a wrong example
and a right one (`fleet explain NET003` prints it), and a test with a case that fires and a near miss that
does not (tests/unit/rules). Generated from the code by `docs/generate.py`.

| code | what holds | read in |
|---|---|---|
"""

SUPPRESSIONS = """
## Setting a finding aside

    - {cidr: 10.0.0.0/8, port: 443}  # fleet: ignore[TOL002] the plant's brokers move, until May

at the end of the finding's line, or alone on the line above it; several codes are parted by commas, and the
reason is part of it. In a shared layer it holds for every site that the value reaches. What is set aside is
counted, and listed in `-o json`, `-o sarif` and `-o junit`. Errors in the shape of a file and literal secrets
can't be.
"""

SHAPE_HEAD = """
## Codes for the shape of files, and for suppressions

| code | meaning |
|---|---|
"""

FAILURE_HEAD = """
## Codes of failed commands

| code | meaning |
|---|---|
"""

CLI_TAIL = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | unexpected |
| 2 | usage, or you said no |
| 3 | the inventory has errors |
| 4 | a policy can't be used |
| 5 | some sites failed |
| 6 | stopped by a gate, or aborted |
| 7 | paused, waiting |
| 8 | the plan is stale |
| 9 | a journal, state or plan is damaged |
| 10 | changes pending (`--detailed-exitcode`) |
| 11 | a tool, credential or sandbox is missing |
| 12 | locked by another process |
| 130 | interrupted |

## Output

Data goes to stdout, words to stderr. `-o json` of validate, plan and
status is versioned (`"version": 1`). `NO_COLOR` is honoured.
Without a terminal nothing is asked: `--yes` says yes beforehand.
`-i`, `--workspace` and `--engine` can be set as `FLEET_INVENTORY`, `FLEET_WORKSPACE`, `FLEET_ENGINE`.
"""


def type_name(annotation: Any) -> str:
    """An annotation as a reader of YAML says it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in arguments if part is not type(None))
    if origin is tuple:
        return f"list of {type_name(arguments[0])}"
    if isinstance(origin, type) and issubclass(origin, (Mapping, dict)):
        return f"mapping to {type_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {"str": "text", "int": "number", "float": "number", "bool": "boolean", "Any": "anything"}
    return names.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation)))


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those that its fields hold, each once, in the order of the fields."""
    seen: dict[type[BaseModel], None] = {}

    def walk(annotation: Any) -> None:
        is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        if is_model and annotation not in seen:
            seen[annotation] = None
            for info in annotation.model_fields.values():
                walk(info.annotation)
        for argument in typing.get_args(annotation):
            walk(argument)

    walk(model)
    yield from seen


def default_text(info: Any) -> str:
    """A field's default as it would be typed; a dash when it must be given."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value in ("", (), {}) else "see below" if isinstance(value, BaseModel) else f"`{value}`"


def model_section(model: type[BaseModel]) -> str:
    """A heading, the model's meaning, and a row for each field."""
    doc = (model.__doc__ or "").strip()
    rows = [
        f"\n## {model.__name__}\n\n{re.sub(chr(10) + ' +', chr(10), doc)}\n",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, info in model.model_fields.items():
        meaning = " ".join(field_meanings(model).get(name, "").split()).replace("|", "\\|")
        rows.append(
            f"| `{info.alias or name}` | {type_name(info.annotation)} | {default_text(info)} | {meaning} |"
        )
    return "\n".join(rows) + "\n"


def inventory_page() -> str:
    """docs/inventory.md."""
    models = [FleetFile, *list(models_below(FleetFile))[1:], SiteHeader, *models_below(SiteSpec)]
    return INVENTORY_HEAD + "".join(model_section(model) for model in dict.fromkeys(models))


def rules_page() -> str:
    """docs/rules.md."""
    rules = "".join(
        f"| [{rule.code}](../validators/rules/{rule.code}.md) | {rule.summary} | {rule.source} |\n"
        for rule in installed_rules()
    )
    known = built_in().values()
    shape = "".join(
        f"| [{e.code}](../fleet/diagnostics/pages/{e.code}.md) | {e.summary} |\n" for e in known if e.page
    )
    failures = "".join(f"| {e.code} | {e.summary} |\n" for e in known if not e.page)
    return RULES_HEAD + rules + SUPPRESSIONS + SHAPE_HEAD + shape + FAILURE_HEAD + failures


def cli_page() -> str:
    """docs/cli.md."""
    parts = ["# The command line\n\nGenerated from the code by `docs/generate.py`.\n"]

    def walk(command: Any, words: str) -> None:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                walk(child, f"{words} {name}")
            return
        parts.append(f"\n## `{words}`\n\n{command.help}\n")
        rows = []
        for parameter in command.params:
            if parameter.name == "help":
                continue
            names = (
                ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.name.upper()
            )
            rows.append(f"| `{names}` | {' '.join((getattr(parameter, 'help', None) or '').split())} |")
        if rows:
            parts.append("\n| option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n")

    walk(typer.main.get_command(app), "fleet")
    return "".join(parts) + CLI_TAIL


PAGES = {"inventory.md": inventory_page, "rules.md": rules_page, "cli.md": cli_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8", newline="\n")
