"""`fleet diff`: equal changes of many sites are told once; git revisions; what is refused."""

import json
import subprocess
from pathlib import Path

import pytest

from fleet.adapters.cluster_compare import _text, objects_of
from fleet.app.diff import Hunk, SiteDifference, grouped, hunks, lines_of
from fleet.cli import exits
from fleet.cli.main import main
from tests.factory import factory_files


def write(folder: Path, edits: dict[str, list[tuple[str, str]]] | None = None) -> Path:
    for path, text in factory_files(edits).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def diff(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main(["diff", *arguments, "-o", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_same_change_at_every_site_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "a")
    after = write(tmp_path / "b", {"fleet.yaml": [("maxRetries: 2", "maxRetries: 1")]})
    code, told = diff(capsys, "-i", str(after), "--base", str(before), "--detailed-exitcode")
    assert code == exits.CHANGES
    changes = told["changes"]
    assert isinstance(changes, list)
    (retries,) = [c for c in changes if '  INFERENCE_MAX_RETRIES: "1"' in c["added"]]
    assert retries["removed"] == ['  INFERENCE_MAX_RETRIES: "2"']
    assert retries["sites"] == ["graz", "narvik", "turin"]
    assert sum(retries["rings"].values()) == 3
    digests = [c for c in changes if any("config-digest" in line for line in c["added"])]
    assert [len(c["sites"]) for c in digests] == [3], "a digest over a site's own settings is no other change"
    assert main(["diff", "-i", str(after), "--base", str(before)]) == exits.OK
    shown = capsys.readouterr().out
    assert "the same 1 line at 3 of 3 sites" in shown
    assert '+   INFERENCE_MAX_RETRIES: "1"' in shown


def test_one_site_and_nothing_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "a")
    after = write(tmp_path / "b", {"sites/graz.yaml": [("ring: broad", "environment: test\nring: broad")]})
    code, told = diff(capsys, "-i", str(after), "--base", str(before), "narvik", "--detailed-exitcode")
    assert (code, told["changes"], told["compared"]) == (exits.OK, [], 1)
    code, told = diff(capsys, "-i", str(after), "--base", str(before), "--detailed-exitcode")
    assert code == exits.CHANGES
    assert told["sites"] == [{"site": "graz", "ring": "broad", "standing": "changed"}]
    assert main(["diff", "-i", str(after), "--base", str(before), "nowhere"]) == exits.USAGE


def test_a_site_that_is_new_or_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = write(tmp_path / "a"), write(tmp_path / "b")
    (before / "sites" / "graz.yaml").unlink()
    (after / "sites" / "narvik.yaml").unlink()
    _, told = diff(capsys, "-i", str(after), "--base", str(before))
    assert told["sites"] == [
        {"site": "graz", "ring": "broad", "standing": "new"},
        {"site": "narvik", "ring": "broad", "standing": "removed"},
    ]
    changes = told["changes"]
    assert isinstance(changes, list)
    assert {change["op"] for change in changes} == {"add", "remove"}


def test_between_two_git_revisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "repo" / "fleet")

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    text = (folder / "fleet.yaml").read_text()
    (folder / "fleet.yaml").write_text(text.replace("maxRetries: 2", "maxRetries: 1"))
    git("commit", "-qam", "two")
    (folder / "fleet.yaml").write_text(text.replace("maxRetries: 2", "maxRetries: 0"))
    for more, now in (((), '"0"'), (("--until", "HEAD"), '"1"')):
        _, told = diff(capsys, "-i", str(folder), "--since", "HEAD~1", *more)
        changes = told["changes"]
        assert isinstance(changes, list)
        assert [f"  INFERENCE_MAX_RETRIES: {now}"] in [change["added"] for change in changes]
    assert main(["diff", "-i", str(folder), "--since", "nowhere"]) == exits.USAGE
    assert "GIT003" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--base", "x", "--since", "y"),
        ("--until", "HEAD"),
        ("--cluster", "x"),
        ("a", "b", "--cluster", "x"),
    ],
)
def test_what_is_compared_has_to_be_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(["diff", "-i", str(write(tmp_path)), *arguments]) == exits.USAGE
    assert "DIF001" in capsys.readouterr().err


def test_a_kubeconfig_that_is_none_and_a_cluster_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, config = write(tmp_path / "fleet"), tmp_path / "kubeconfig"
    config.write_text("kind: Config")
    assert main(["diff", "graz", "-i", str(folder), "--cluster", str(config)]) == exits.USAGE
    assert "DIF002" in capsys.readouterr().err
    config.write_text(
        "kind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
        "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: x, user: {token: t}}]\n"
    )
    assert main(["diff", "graz", "-i", str(folder), "--cluster", str(config)]) == exits.MISSING
    assert "DIF003" in capsys.readouterr().err


def test_own_names_are_no_difference_and_half_words_stay() -> None:
    before = {"clusters/graz/a": "site: graz\nother: grazer\nn: 1\n"}
    (found,) = hunks(before, {"clusters/graz/a": "site: graz\nother: grazer\nn: 2\n"}, {"graz": "SITE"})
    assert found == Hunk(
        "clusters/<SITE>/a", "change", ("site: <SITE>", "other: grazer"), ("n: 1",), ("n: 2",)
    )


def test_a_change_from_one_own_word_to_another_is_told() -> None:
    words = {"n1": "NODE", "n2": "NODE"}
    assert hunks({"a": "x: n1\n"}, {"a": "x: n2\n"}, words) == [
        Hunk("a", "change", (), ("x: n1",), ("x: n2",))
    ]


def test_larger_groups_come_first_and_a_site_counts_once() -> None:
    one, two = Hunk("a", "change", ("x",), ("1",), ("2",)), Hunk("b", "change", (), ("1",), ("2",))
    found = grouped(
        [
            SiteDifference("s1", "r1", "changed", (two,)),
            SiteDifference("s2", "r1", "changed", (one, Hunk("a", "change", ("y",), ("1",), ("2",)))),
            SiteDifference("s3", "r2", "changed", (one,)),
        ]
    )
    assert [(c.sites, dict(c.rings)) for c in found] == [
        (("s2", "s3"), {"r1": 1, "r2": 1}),
        (("s1",), {"r1": 1}),
    ]
    assert lines_of(found[0]) == ["  x", "- 1", "+ 2"]


def test_a_secrets_values_and_what_servers_add_are_not_shown() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"key": "c2VjcmV0"},
        "metadata": {
            "name": "x",
            "uid": "1",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "c2VjcmV0"},
            "labels": {"kustomize.toolkit.fluxcd.io/name": "agents", "mine": "yes"},
        },
        "status": {},
    }
    text = _text(live)
    assert "c2VjcmV0" not in text
    assert (
        text
        == "apiVersion: v1\ndata:\n- key\nkind: Secret\nmetadata:\n  labels:\n    mine: 'yes'\n  name: x\n"
    )


def test_lists_of_files_are_no_objects() -> None:
    files = {
        "kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
        "parts.yaml": "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n---\n# nothing\n",
    }
    assert [path for path, _ in objects_of(files)] == ["parts.yaml"]
