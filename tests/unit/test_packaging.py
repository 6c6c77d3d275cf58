"""What a wheel of the project installs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.factory import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = (
        "from setuptools import build_meta; import sys; "
        f"print(build_meta.build_wheel({str(folder)!r}, {{'--build-option': ['--bdist-dir', {str(folder / 'b')!r}]}}))"
    )
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-c", command], cwd=source, capture_output=True, text=True, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_no_generic_module_is_installed(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "fleet", "fleet_validators", "fleet_stacks", "fleet_templates",
    }  # fmt: skip


def test_data_files_are_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for folder, installed, patterns in (
        ("fleet", "fleet", ("*.yaml", "*.j2", "*.css")),
        ("templates", "fleet_templates", ("*.j2",)),
    ):
        data = [p for pattern in patterns for p in Path(ROOT / folder).rglob(pattern)]
        assert data
        for path in data:
            assert f"{installed}/{path.relative_to(ROOT / folder).as_posix()}" in names


def test_every_module_of_the_checkout_is_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for folder, installed in (
        ("fleet", "fleet"),
        ("validators", "fleet_validators"),
        ("stacks", "fleet_stacks"),
    ):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{installed}/{path.relative_to(ROOT / folder).as_posix()}" in names
