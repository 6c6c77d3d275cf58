"""A fleet without a site file: said, with the folder that was probably meant."""

import shutil
from pathlib import Path

import pytest

from fleet.cli import exits
from fleet.cli.main import main
from tests.factory import FACTORY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FACTORY, tmp_path / "fleet"))


def said(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["validate", "-i", str(folder), "--no-cache"]) == exits.VALIDATION
    return capsys.readouterr().err


def test_an_empty_folder_of_sites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "sites")
    (folder / "sites").mkdir()
    assert f"there is no site: {folder}/sites holds no file NAME.yaml" in said(folder, capsys)


def test_a_misnamed_folder_of_sites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sites").rename(folder / "site")
    assert f"the folder {folder}/sites is not there; is it {folder}/site?" in said(folder, capsys)


def test_no_folder_that_could_be_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "sites")
    (folder / "notes").mkdir()
    assert said(folder, capsys).startswith(f"there is no site: the folder {folder}/sites is not there\n")


def test_a_fleet_with_sites_hears_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-i", str(folder), "--no-cache"]) == exits.OK
    assert "there is no site" not in capsys.readouterr().err
