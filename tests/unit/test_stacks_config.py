"""From a stack's configuration to its program, and what is refused on the way."""

import base64
import runpy
import shutil
from pathlib import Path

import pulumi
import pytest
import yaml
from stacks_recorder import CONTENT, FACTORY, SECRETS, certificate_pem, factory_sites, record

from fleet_stacks.errors import StackError
from fleet_stacks.program import SiteProgram
from fleet_stacks.stack_config import configured_program

ROOT = Path(__file__).parents[2]


def program(stack: str = "turin", root: Path = ROOT, **config: str) -> SiteProgram:
    values = {f"fleet:{key}": value for key, value in config.items()}
    pulumi.runtime.set_all_config({"fleet:inventory": str(FACTORY), **values})
    return configured_program(root, stack, pulumi.Config("fleet"))


def test_the_site_named_as_the_stack_is_taken() -> None:
    got = program("graz", inventory="examples/factory", phase="validate")
    assert (got.spec.name, got.phase, got.content) == ("graz", "validate", None)
    assert program().phase == "deploy"


def test_content_comes_from_the_configuration() -> None:
    got = program(contentUrl=CONTENT.url, contentDigest=CONTENT.digest)
    assert got.content == CONTENT


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"phase": "destroy"}, "validate or deploy"),
        ({"contentUrl": CONTENT.url}, "set together"),
        ({"contentDigest": CONTENT.digest}, "set together"),
        ({"contentUrl": "oci://r.example/fleet:latest", "contentDigest": CONTENT.digest}, "without tag"),
        ({"inventory": "no/such/folder"}, "fleet:inventory"),
    ],
)
def test_a_wrong_setting_is_named(config: dict[str, str], message: str) -> None:
    with pytest.raises(StackError, match=message):
        program(**config)


def test_an_unknown_site_is_answered_with_the_known_ones() -> None:
    with pytest.raises(StackError, match="graz, narvik, turin"):
        program("torino")


def test_an_inventory_with_an_error_declares_nothing(tmp_path: Path) -> None:
    shutil.copytree(FACTORY, tmp_path / "fleet")
    site = tmp_path / "fleet" / "sites" / "graz.yaml"
    site.write_text(site.read_text() + "colour: blue\n")
    with pytest.raises(StackError, match=r"graz\.yaml:\d+:\d+: INV\d+: .*colour"):
        program("turin", tmp_path, inventory="fleet")


def test_a_ca_file_that_cant_be_used_is_named(tmp_path: Path) -> None:
    shutil.copytree(FACTORY, tmp_path / "fleet")
    site = tmp_path / "fleet" / "sites" / "graz.yaml"
    host = "host: registry.graz.factory.example"
    site.write_text(site.read_text().replace(host, f"{host}, caFile: ca.pem"))
    settings = {"contentUrl": CONTENT.url, "contentDigest": CONTENT.digest}
    with pytest.raises(StackError, match=r"ca\.pem"):
        program("graz", tmp_path, inventory="fleet", **settings)
    (tmp_path / "fleet" / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(StackError, match=r"ca\.pem"):
        program("graz", tmp_path, inventory="fleet", **settings)
    pem = certificate_pem()
    (tmp_path / "fleet" / "ca.pem").write_text(pem)
    for inventory in ("fleet", "fleet/fleet.yaml"):
        content = program("graz", tmp_path, inventory=inventory, **settings).content
        assert content is not None and content.ca_certificate == base64.b64encode(pem.encode()).decode()


def test_the_script_that_pulumi_runs_declares_the_site() -> None:
    def script() -> None:
        runpy.run_path(str(ROOT / "stacks"), run_name="__main__")

    settings = {**SECRETS, "fleet:inventory": str(FACTORY), "fleet:phase": "validate"}
    recording = record(factory_sites()["turin"], secrets=settings, program=script)
    assert recording.outputs["clusterId"].endswith("/clusters/turin-hci")
    assert "connected-cluster" not in recording.resources


def test_the_project_file_is_one_that_pulumi_reads() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert project["name"] == "fleet", "the program reads its settings as fleet:…"
    assert (ROOT / project["main"] / "__main__.py").exists()
    assert project["runtime"]["name"] == "python"
