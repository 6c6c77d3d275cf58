"""What a failed step prints, and its exit code, without a sandbox."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from fleet.adapters.inventory_files import read_inventory
from fleet.app.site import CONSEQUENCE
from fleet.cli import exits
from fleet.cli.failures import AGAIN, SHOWN, inventory_path, report_resources, report_step
from fleet.inventory.inventory import Site
from fleet.ports.engine import StackRef, StateLocked
from tests.factory import FACTORY


@pytest.fixture
def graz(tmp_path: Path) -> Site:
    inventory, _ = read_inventory(Path(shutil.copytree(FACTORY, tmp_path / "fleet")))
    assert inventory is not None
    site = inventory.site("graz")
    assert site is not None
    return site


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_known_failure_is_at_its_line(graz: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_resources(graz, [("witness", "StorageAccountAlreadyTaken", "taken")]) == exits.SITES_FAILED
    lines = said(capsys).splitlines()
    assert lines[0].startswith(
        "error[StorageAccountAlreadyTaken]: witness: somebody else in Azure has this name"
    )
    assert "/sites/graz.yaml:" in lines[1]
    assert "witness: {storageAccount: fleetwitnessgraz}" in lines[3]
    assert lines[-1] == "  = in full: taken"


def test_an_unknown_failure_is_azures_words_and_the_way_on(
    graz: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_resources(graz, [("no-such-resource", "Odd", "it is \x1b[31modd")]) == exits.SITES_FAILED
    text = said(capsys)
    assert (
        text == f"error[Odd]: no-such-resource: it is \N{REPLACEMENT CHARACTER}[31modd\n  = help: {AGAIN}\n"
    )


def test_one_reason_is_explained_once_and_a_consequence_not_at_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = [
        ("a-secret", CONSEQUENCE, "an input of it is still unknown"),
        ("role-1", "AuthorizationFailed", "no"),
        ("role-2", "AuthorizationFailed", "no"),
        ("vault", "VaultAlreadyExists", "taken"),
    ]
    assert report_resources(None, failures) == exits.SITES_FAILED
    text = said(capsys)
    assert text.count("error[") == 2
    assert "  = so did: role-2\n" in text
    assert "a-secret" not in text
    assert "  1 more failed, some for want of these" in text


def test_a_consequence_alone_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report_resources(None, [("a-secret", CONSEQUENCE, "an input of it is still unknown")])
    assert said(capsys).startswith(f"error[{CONSEQUENCE}]: a-secret: an input of it is still unknown\n")


def test_not_more_than_a_screen_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    failures = [(f"r{number}", "Odd", f"reason {number}") for number in range(SHOWN + 7)]
    report_resources(None, failures)
    text = said(capsys)
    assert text.count("error[Odd]") == SHOWN
    assert "  7 more failed" in text


def test_a_sign_in_is_another_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    mixed = [("a", "Odd", "x"), ("b", "ExpiredAuthenticationToken", "x")]
    assert report_resources(None, mixed) == exits.MISSING
    assert report_resources(None, mixed[:1]) == exits.SITES_FAILED
    said(capsys)


@pytest.mark.parametrize(
    ("detail", "code"),
    [
        ({"help": "do this", "exitCode": exits.LOCKED}, exits.LOCKED),
        ({"help": "do this", "exitCode": exits.UNEXPECTED}, exits.SITES_FAILED),
        ({"help": "do this"}, exits.SITES_FAILED),
    ],
)
def test_a_step_that_could_not_run_has_its_own_exit_code(
    detail: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_step(None, "ENG003", "it is locked; do this", detail) == code
    assert said(capsys) == "error[ENG003]: it is locked\n  = help: do this\n"


def test_a_lock_names_its_holder_and_age() -> None:
    error = StateLocked(StackRef("fleet", "graz"), "ops-vm pid 7", 63.4)
    assert error.message == "stack fleet/graz is locked by ops-vm pid 7 for 63 s"
    assert error.exit_code == exits.LOCKED


def test_paths_have_names_and_numbers(graz: Site) -> None:
    assert inventory_path(graz.spec, "edge-device-graz-n2") == ("azureLocal", "nodes", 1)
    assert inventory_path(graz.spec, "node-pool-inference") == ("kubernetes", "nodePools", "inference")
    assert inventory_path(graz.spec, "no-such-resource") is None
