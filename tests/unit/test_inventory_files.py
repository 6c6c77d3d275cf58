"""Which files of an inventory are read, and what is said of those that are not."""

import os
import shutil
from pathlib import Path

import pytest

from fleet.adapters.inventory_files import InventoryFolder, read_inventory
from fleet.diagnostics.diagnostic import Diagnostic
from tests.factory import FACTORY


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FACTORY, tmp_path / "fleet"))


def unread(fleet: Path) -> dict[str, str]:
    files, _ = InventoryFolder.at(fleet).site_files()
    return {f.key: item.message for f in files if isinstance(item := f.read(), Diagnostic)}


def test_what_can_not_be_a_site_is_refused_without_being_opened(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("password: hunter2-of-the-runner")
    sites = fleet / "sites"
    (sites / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (sites / "loop.yaml").symlink_to("loop.yaml")
    (sites / "gone.yaml").symlink_to("nothing")
    (sites / "folder.yaml").mkdir()
    os.mkfifo(sites / "pipe.yaml")
    assert unread(fleet) == {
        "sites/out.yaml": "can't be read: a link that leads out of the inventory's folder",
        "sites/loop.yaml": "can't be read: a link that leads to itself",
        "sites/gone.yaml": "can't be read: No such file or directory",
        "sites/folder.yaml": "can't be read: a folder",
        "sites/pipe.yaml": "can't be read: no regular file",
    }
    inventory, found = read_inventory(fleet)
    assert inventory is not None
    assert [site.name for site in inventory.sites] == ["graz", "narvik", "turin"]
    assert "hunter2" not in repr(found)


def test_fleet_yaml_does_not_lead_out_of_its_folder(fleet: Path, tmp_path: Path) -> None:
    (fleet / "fleet.yaml").rename(tmp_path / "elsewhere.yaml")
    (fleet / "fleet.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    inventory, (found,) = read_inventory(fleet)
    assert inventory is None
    assert found.message == "can't be read: a link that leads out of the inventory's folder"


def test_links_inside_the_folder_are_followed(fleet: Path) -> None:
    (fleet / "more").mkdir()
    (fleet / "sites" / "graz.yaml").rename(fleet / "more" / "graz.txt")
    (fleet / "sites" / "graz.yaml").symlink_to("../more/graz.txt")
    inventory, _ = read_inventory(fleet)
    assert inventory is not None
    assert inventory.site("graz") is not None


def test_files_of_editors_are_not_read_and_any_case_is(fleet: Path) -> None:
    sites = fleet / "sites"
    for name in (".#graz.yaml", "graz.yaml~", "graz.yaml.bak", ".git/x.yaml"):
        (sites / name).parent.mkdir(exist_ok=True)
        (sites / name).write_text("no: site")
    (sites / "graz.yaml").rename(sites / "GRAZ.YML")
    files, _ = InventoryFolder.at(fleet).site_files()
    assert [file.key for file in files] == ["sites/GRAZ.YML", "sites/narvik.yaml", "sites/turin.yaml"]
