"""`fleet render` and `fleet diff` where somebody means harm, or has bad luck: nothing of theirs is lost or told."""

import os
from pathlib import Path

import pytest

from fleet.adapters.tree_folder import MARK
from fleet.cli import exits
from fleet.cli.main import main
from fleet.sandbox.kubernetes_config import KubeconfigError, read_kubeconfig
from tests.factory import factory_files

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: %s}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {token: "%s"}}]
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    for path, text in factory_files().items():
        target = tmp_path / "fleet" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return tmp_path / "fleet"


def render(fleet: Path, out: Path, *what: str) -> int:
    return main(
        ["render", *what, "-i", str(fleet), "--out", str(out), "--workspace", str(fleet.parent / "ws")]
    )


def with_repository(out: Path) -> Path:
    """Trees are kept in Git where they are."""
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return out


def test_a_list_of_another_version_costs_the_repository_beside_the_trees_nothing(
    fleet: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gitops"
    assert render(fleet, out, "--all") == exits.OK
    with_repository(out)
    before = (out / MARK).read_text()
    (out / MARK).write_text(before.replace("[2,", "[1,", 1))
    assert render(fleet, out, "--all") == exits.OK
    assert (out / ".git" / "HEAD").exists()
    assert (out / MARK).read_text() == before
    assert (out / "graz" / "clusters").is_dir()


def test_one_site_is_not_written_over_all_of_them(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gitops"
    assert render(fleet, out, "--all") == exits.OK
    assert render(fleet, out, "graz") == exits.USAGE
    assert "holds all sites" in capsys.readouterr().err
    assert (out / "turin").is_dir()


def test_a_repository_around_one_sites_tree_stays(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "graz"
    assert render(fleet, out, "graz") == exits.OK
    assert render(fleet, out, "graz") == exits.OK
    with_repository(out)
    for what in ("graz", "--all"):
        assert render(fleet, out, what) == exits.USAGE
        assert "such as .git" in capsys.readouterr().err
    assert (out / ".git" / "HEAD").exists()


def test_a_link_leads_to_the_folder_that_is_written(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    assert render(fleet, link, "--all") == render(fleet, link, "--all") == exits.OK
    assert link.is_symlink()
    assert (tmp_path / "real" / "graz").is_dir()


def test_a_folder_without_a_name_is_the_one_that_we_are_in(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert render(fleet, Path(), "--all") == exits.OK
    assert (tmp_path / "here" / "graz").is_dir()


@pytest.mark.parametrize(
    ("server", "token"),
    [("https://127.0.0.1:1", r"se\nkrit"), ("'https://[bad'", "t"), ("'https://a:b'", "t")],
)
def test_a_broken_kubeconfig_is_said_without_its_token(server: str, token: str) -> None:
    with pytest.raises(KubeconfigError) as caught:
        read_kubeconfig(KUBECONFIG % (server, token))
    assert "krit" not in str(caught.value)


def test_a_line_break_behind_a_token_is_none_of_it() -> None:
    assert read_kubeconfig(KUBECONFIG % ("https://127.0.0.1:1", r"sekrit\n")).token == "sekrit"


def test_a_kubeconfig_that_is_not_there(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "graz", "-i", str(fleet), "--cluster", str(fleet / "none")]) == exits.USAGE
    assert "DIF002" in capsys.readouterr().err


def test_no_repository_is_said_in_the_commands_own_words(
    fleet: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    assert main(["diff", "-i", str(fleet), "--since", "HEAD"]) == exits.USAGE
    said = capsys.readouterr().err
    assert "GIT002" in said
    assert "--base" in said
    assert "--changed-since" not in said
