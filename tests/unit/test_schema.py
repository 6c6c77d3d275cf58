"""The JSON Schemas: what they take, what they refuse, and that they say what the models say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet.cli import exits
from fleet.cli.main import main
from fleet.inventory.schema import DIALECT, Kind, child, schema, schema_text
from fleet.inventory.source import SourceFile
from tests.factory import ROOT, factory_files

jsonschema = pytest.importorskip("jsonschema")

HEADER = {"apiVersion": "fleet/v1", "kind": "Site", "name": "graz", "ring": "broad"}
FLEET: dict[str, Any] = {"apiVersion": "fleet/v1", "kind": "Fleet", "name": "f", "rings": [{"name": "a"}]}


def problems(kind: Kind, value: Any) -> list[str]:
    """`path: message` for everything that the schema has against a value."""
    validator = jsonschema.Draft202012Validator(schema(kind))
    return sorted(f"{error.json_path}: {error.message}" for error in validator.iter_errors(value))


def kind_of(path: Path | str) -> Kind:
    return "fleet" if Path(path).name == "fleet.yaml" else "site"


@pytest.mark.parametrize("kind", ["fleet", "site"])
def test_it_is_a_schema_of_its_dialect_with_the_same_bytes_each_time(kind: Kind) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    assert schema(kind)["$schema"] == DIALECT
    assert "$id" not in schema(kind)
    assert schema_text(kind) == schema_text(kind)
    assert list(json.loads(schema_text(kind))["properties"])[:3] == ["apiVersion", "kind", "name"]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_example_is_accepted(path: Path) -> None:
    value, _ = SourceFile(path.name, path.read_bytes()).load()
    assert problems(kind_of(path), value) == []


def test_a_generated_fleet_is_accepted(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tests/bench/generate_fleet.py"), "50", str(tmp_path / "fleet")]
    subprocess.run(command, check=True)
    paths = sorted((tmp_path / "fleet").rglob("*.yaml"))
    assert len(paths) == 51
    for path in paths:
        value, _ = SourceFile(path.name, path.read_bytes()).load()
        assert problems(kind_of(path), value) == [], path


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"profile": None},
    {"gpu": None, "kubernetes": None},
    {"agents": {"maf-agent-api": None}},
    {"agents": {"maf-agent-api": {"policies": {"maxRetries": 1}}}},
    {"azureLocal": {"ouPath": None, "management": {"gateway": "10.0.0.1"}}},
    {"labels": {"country": None, "anything": "at all"}},
    {"topology": None},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=str)
def test_a_site_may_leave_out_anything_and_take_anything_inherited_away(fields: dict[str, Any]) -> None:
    assert problems("site", {**HEADER, **fields}) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"topolgy": "distributed"}, "$: Additional properties are not allowed ('topolgy' was unexpected)"),
    ({"topology": "pilot"}, "$.topology: 'pilot' is not one of ['pilot-node', 'datacenter-cluster', 'distributed', None]"),
    ({"name": "Graz"}, "$.name: 'Graz' does not match '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'"),
    ({"name": None}, "$.name: None is not of type 'string'"),
    ({"kind": "Fleet"}, "$.kind: 'Site' was expected"),
    ({"azure": {"tenant": "mine"}}, "$.azure.tenant: 'mine' does not match '(^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$)|\\\\$\\\\{site\\\\}'"),
    ({"azure": {"tenent": "x"}}, "$.azure: Additional properties are not allowed ('tenent' was unexpected)"),
    ({"azureLocal": {"nodes": [{"name": "n1"}]}}, "$.azureLocal.nodes[0]: 'ip' is a required property"),
    ({"azureLocal": {"nodes": [{"name": "n1", "ip": None}]}}, "$.azureLocal.nodes[0].ip: None is not of type 'string'"),
    ({"azureLocal": {"nodes": []}}, "$.azureLocal.nodes: [] should be non-empty"),
    ({"azureLocal": {"euLocation": "yes"}}, "$.azureLocal.euLocation: 'yes' is not of type 'boolean', 'null'"),
    ({"kubernetes": {"version": 1.3}}, "$.kubernetes.version: 1.3 is not of type 'string', 'null'"),
    ({"kubernetes": {"controlPlane": {"count": 2}}}, "$.kubernetes.controlPlane.count: 2 is not one of [1, 3, 5, None]"),
    ({"kubernetes": {"network": {"vlan": 5000}}}, "$.kubernetes.network.vlan: 5000 is greater than the maximum of 4094"),
    ({"agents": {"Big Name": {}}}, "$.agents: 'Big Name' does not match any of the regexes: '^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$'"),
    ({"labels": {"line": 7}}, "$.labels.line: 7 is not of type 'string', 'null'"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_site_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert problems("site", {**HEADER, **fields}) == [expected]


@pytest.mark.parametrize("address", ["10.0.0", "10.0.0.256", "10.0.0.1 ", "010.0.0.1", "10.0.0.0/24"])
def test_an_address_is_an_address(address: str) -> None:
    assert len(problems("site", {**HEADER, "azureLocal": {"infraPool": {"start": address}}})) == 1


@pytest.mark.parametrize("cidr", ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0/24"])
def test_a_network_has_a_prefix(cidr: str) -> None:
    assert len(problems("site", {**HEADER, "kubernetes": {"podCidr": cidr}})) == 1


@pytest.mark.parametrize("key", ["apiVersion", "kind", "name", "ring"])
def test_the_header_of_a_site_is_required(key: str) -> None:
    value = {k: v for k, v in HEADER.items() if k != key}
    assert problems("site", value) == [f"$: '{key}' is a required property"]


def test_layers_of_the_fleet_are_typed_and_have_no_header() -> None:
    assert problems("fleet", {**FLEET, "defaults": {"azure": {"region": None}}, "profiles": {"a": {}}}) == []
    wrong = {**FLEET, "defaults": {"name": "x"}, "profiles": {"a": {"gpu": {"modle": "L4"}}}}
    wrong["rings"] = [{"name": "a", "defaults": {"environment": "live"}}]
    assert problems("fleet", wrong) == [
        "$.defaults: Additional properties are not allowed ('name' was unexpected)",
        "$.profiles.a.gpu: Additional properties are not allowed ('modle' was unexpected)",
        "$.rings[0].defaults.environment: 'live' is not one of ['dev', 'test', 'prod', None]",
    ]
    assert problems("fleet", {**FLEET, "rings": []}) == ["$.rings: [] should be non-empty"]


def test_nothing_in_it_takes_any_key() -> None:
    def free(value: Any, path: str) -> list[str]:
        if isinstance(value, list):
            return [found for item in value for found in free(item, path)]
        if not isinstance(value, dict):
            return []
        own = [path] if value.get("additionalProperties") is True else []
        if "properties" in value and value.get("additionalProperties") is not False:
            own.append(path)
        return own + [found for key, item in value.items() for found in free(item, f"{path}.{key}")]

    assert [*free(schema("fleet"), "fleet"), *free(schema("site"), "site")] == []


def test_fields_carry_their_descriptions_in_one_line() -> None:
    site = schema("site")
    count = child(site, child(site, child(site, site, "kubernetes") or {}, "controlPlane") or {}, "count")
    assert count == {"description": "1, 3 or 5 (facts 1.9).", "enum": [1, 3, 5, None]}
    assert "\\n" not in json.dumps(site)


def test_the_command_prints_one_or_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "site"]) == exits.OK
    assert capsys.readouterr().out == schema_text("site")
    assert main(["schema", "--out", str(tmp_path / "s")]) == exits.OK
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"fleet.schema.json", "site.schema.json"}
    assert (tmp_path / "s" / "fleet.schema.json").read_text(encoding="utf-8") == schema_text("fleet")
    assert main(["schema"]) == exits.USAGE
    assert main(["schema", "sites"]) == exits.USAGE
    err = capsys.readouterr().err
    assert "error[ENV020]: name a schema, or --out for both" in err
    assert "error[ENV020]: there is no schema 'sites'\n  = help: one of fleet, site" in err


def test_the_files_of_the_factory_are_all_there() -> None:
    assert {kind_of(path) for path in factory_files()} == {"fleet", "site"}
