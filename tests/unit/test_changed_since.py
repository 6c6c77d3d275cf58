"""`fleet validate --changed-since`: what a change touches and can affect is reported, and nothing else."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.cli import exits, inventory_commands
from fleet.cli.main import main
from tests.bench.generate_fleet import generate

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git program here")


def git(folder: Path, *arguments: str) -> str:
    """Run git with nothing of this machine's configuration."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.example",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.example",
    }  # fmt: skip
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose folder `fleet` has eight sites, of which one (the last) has a finding of its own."""
    root = tmp_path_factory.mktemp("repository")
    generate(8, root / "fleet")
    last = sites(root / "fleet")[-1]
    replaced(last, "vip: ", "vip: 192.0.2.9} # ")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def folder(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inventory in a copy of that repository; git looks for no configuration outside."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return Path(shutil.copytree(committed, tmp_path / "repo")) / "fleet"


def sites(folder: Path) -> list[Path]:
    return sorted((folder / "sites").glob("*.yaml"))


def replaced(path: Path, old: str, new: str) -> None:
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))


Since = Callable[..., tuple[int, dict[str, object], str]]


@pytest.fixture
def since(folder: Path, capsys: pytest.CaptureFixture[str]) -> Since:
    """Exit code, JSON and words of `fleet validate --changed-since`."""

    def run(revision: str = "main", *more: str) -> tuple[int, dict[str, object], str]:
        code = main(
            ["validate", "-i", str(folder), "-o", "json", "--no-cache", "--changed-since", revision, *more]
        )
        printed = capsys.readouterr()
        return code, json.loads(printed.out or "{}"), printed.err

    return run


def found(document: dict[str, object]) -> list[tuple[str, str]]:
    """Each diagnostic's code and file."""
    listed = document["diagnostics"]
    assert isinstance(listed, list)
    return [(item["code"], Path(item["path"]).stem) for item in listed]


def test_nothing_changed_is_nothing_to_report(
    folder: Path, since: Since, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "-i", str(folder), "--no-cache"]) == exits.VALIDATION
    assert "NET006" in capsys.readouterr().out
    code, document, words = since()
    assert code == exits.OK
    assert found(document) == []
    assert document["changedSince"] == {"revision": "main", "checked": 0, "of": 8}
    assert "checked 0 of 8 sites: what changed since main" in words


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_site_is_checked_and_no_other(staged: bool, folder: Path, since: Since) -> None:
    first = sites(folder)[0]
    replaced(first, "vip: ", "vip: 192.0.2.8} # ")
    if staged:
        git(folder, "add", ".")
    code, document, words = since()
    assert code == exits.VALIDATION
    assert found(document) == [("NET006", first.stem)]
    assert "checked 1 of 8 sites" in words


@pytest.mark.parametrize("ignored", [False, True])
def test_a_new_site_is_checked_whether_git_was_told_or_is_to_ignore_it(
    ignored: bool, folder: Path, since: Since
) -> None:
    new = folder / "sites" / "new" / "newå.yaml"
    new.parent.mkdir()
    shutil.copy(sites(folder)[0], new)
    replaced(new, f"name: {sites(folder)[0].stem}", "name: newest")
    if ignored:
        (folder.parent / ".gitignore").write_text("new/\n")
    code, document, _ = since()
    assert code == exits.VALIDATION
    assert document["changedSince"] == {"revision": "main", "checked": 1, "of": 8 + 1}
    # What the two have in common is shown at one of them: both have to do with it.
    assert {"FLT003", "NET010"} <= {code for code, _ in found(document)}
    assert {file for _, file in found(document)} <= {"newå", sites(folder)[0].stem}


def test_a_renamed_file_is_a_changed_one(folder: Path, since: Since) -> None:
    last = sites(folder)[-1]
    git(folder, "mv", f"sites/{last.name}", "sites/z.yaml")
    _, document, _ = since()
    assert found(document) == [("FLT018", "z"), ("NET006", "z")]  # the first: not named as its site


def test_a_site_that_is_gone_is_told_by_its_ring(folder: Path, since: Since) -> None:
    ring = next(path for path in sites(folder) if "ring: canary" in path.read_text())
    ring.unlink()
    code, document, _ = since()
    assert code == exits.VALIDATION
    assert found(document) == [("RNG001", "fleet")]
    assert document["changedSince"] == {"revision": "main", "checked": 0, "of": 7}


def test_another_site_in_a_finding_across_sites_is_reported(folder: Path, since: Since) -> None:
    """Shown at the later of the two, which did not change; the earlier one did."""
    first, later = sites(folder)[0], sites(folder)[4]
    vault = next(line for line in later.read_text().splitlines() if "keyVault" in line)
    own = next(line for line in first.read_text().splitlines() if "keyVault" in line)
    replaced(first, own, vault)
    _, document, _ = since()
    assert found(document) == [("FLT003", later.stem)]


def test_a_name_taken_from_an_unchanged_file_is_reported_there(folder: Path, since: Since) -> None:
    first, later = sites(folder)[0], sites(folder)[4]
    replaced(first, f"name: {first.stem}", f"name: {later.stem}")
    _, document, _ = since()
    assert ("INV014", later.stem) in found(document)


def test_a_changed_layer_reaches_the_sites_that_inherit_it(folder: Path, since: Since) -> None:
    using = [path for path in sites(folder) if "profile: gpu-cluster" in path.read_text()]
    assert 0 < len(using) < 8
    replaced(folder / "fleet.yaml", "linkMbps: 50", "linkMbps: 51")
    _, document, _ = since()
    assert document["changedSince"] == {"revision": "main", "checked": len(using), "of": 8}
    # One that says it for itself inherits nothing of the change.
    replaced(using[0], "kubernetes:", "connectivity: {linkMbps: 51}\nkubernetes:")
    git(folder, "checkout", "-q", "--", "fleet.yaml")
    git(folder, "commit", "-qam", "own")
    replaced(folder / "fleet.yaml", "linkMbps: 50", "linkMbps: 52")
    _, document, _ = since()
    assert document["changedSince"] == {"revision": "main", "checked": len(using) - 1, "of": 8}


def test_a_comment_in_fleet_yaml_reaches_no_site(folder: Path, since: Since) -> None:
    replaced(folder / "fleet.yaml", "rings:", "# a remark\nrings:")
    _, document, _ = since()
    assert document["changedSince"] == {"revision": "main", "checked": 0, "of": 8}


def test_what_is_no_layer_reaches_every_site(folder: Path, since: Since) -> None:
    replaced(folder / "fleet.yaml", "soakMinutes: 60", "soakMinutes: 61")
    _, document, _ = since()
    assert document["changedSince"] == {"revision": "main", "checked": 8, "of": 8}


def test_findings_in_fleet_yaml_are_always_reported(folder: Path, since: Since) -> None:
    replaced(folder / "fleet.yaml", "  - name: last", "  - name: nobody\n  - name: last")
    git(folder, "commit", "-qam", "an empty ring")
    _, document, _ = since()
    assert set(found(document)) == {("RNG001", "fleet"), ("RNG003", "fleet")}


POLICY = """\
package fleet.site

# METADATA
# title: A title
# custom: {code: ORG001}
deny contains "no" if input.name == "nobody"
"""


def write_policy(path: Path, text: str = POLICY) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_new_policy_reaches_every_site(ignored: bool, folder: Path, since: Since) -> None:
    write_policy(folder / "policies" / "a.rego", POLICY.replace(' if input.name == "nobody"', ""))
    if ignored:
        (folder.parent / ".gitignore").write_text("policies/\n")
    code, document, words = since()
    assert code == exits.VALIDATION
    assert document["changedSince"] == {"revision": "main", "checked": 8, "of": 8}
    assert [code for code, _ in found(document)].count("ORG001") == 8
    assert "checked 8 of 8 sites" in words


@pytest.mark.parametrize("change", ["edit", "remove one", "remove all", "rename", "link"])
def test_a_policy_that_is_another_or_gone_reaches_every_site(change: str, folder: Path, since: Since) -> None:
    policies = folder / "policies"
    write_policy(policies / "a.rego")
    write_policy(policies / "lib" / "b.rego", "package lib.b\n\nx := 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "policies")
    assert since()[1]["changedSince"] == {"revision": "main", "checked": 0, "of": 8}
    if change == "edit":
        replaced(policies / "lib" / "b.rego", "x := 1", "x := 2")
    elif change == "remove one":
        (policies / "lib" / "b.rego").unlink()
    elif change == "remove all":
        shutil.rmtree(policies)
    elif change == "rename":
        (policies / "a.rego").rename(policies / "c.rego")
    else:  # what the link leads to is nothing that git tells of under its name
        policies.rename(folder / "elsewhere")
        policies.symlink_to("elsewhere")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "a link")
    assert since()[1]["changedSince"] == {"revision": "main", "checked": 8, "of": 8}


def test_what_is_no_policy_reaches_no_site(folder: Path, since: Since) -> None:
    write_policy(folder / "policies" / "a.rego")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "policies")
    for name in ("a_test.rego", ".hidden/b.rego", "README.md"):
        write_policy(folder / "policies" / name, "package x\n")
    assert since()[1]["changedSince"] == {"revision": "main", "checked": 0, "of": 8}


def test_policies_elsewhere_in_the_repository(folder: Path, since: Since) -> None:
    named = folder.parent / "ours"
    write_policy(named / "a.rego")
    write_policy(folder / "policies" / "a.rego")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-qm", "policies")
    replaced(folder / "policies" / "a.rego", "nobody", "none")  # not evaluated: others are named
    option = ("--policies", str(named))
    assert since("main", *option)[1]["changedSince"] == {"revision": "main", "checked": 0, "of": 8}
    link = folder.parent / "link"
    link.symlink_to(named)  # it may have led to others before
    for_link = since("main", "--policies", str(link))[1]["changedSince"]
    assert for_link == {"revision": "main", "checked": 8, "of": 8}
    replaced(named / "a.rego", "nobody", "none")
    assert since("main", *option)[1]["changedSince"] == {"revision": "main", "checked": 8, "of": 8}


@pytest.mark.parametrize("repository", [False, True])
def test_policies_outside_of_the_repository_reach_every_site(
    repository: bool, folder: Path, since: Since, tmp_path: Path
) -> None:
    """Another repository's `main` is another revision: nothing can be told of what changed since."""
    outside = tmp_path / "outside"
    write_policy(outside / "a.rego")
    if repository:
        git(outside, "init", "-q", "-b", "main")
        git(outside, "add", ".")
        git(outside, "commit", "-qm", "policies")
    code, document, _ = since("main", "--policies", str(outside))
    assert code == exits.VALIDATION
    assert document["changedSince"] == {"revision": "main", "checked": 8, "of": 8}


def test_a_broken_fleet_yaml_says_so(folder: Path, since: Since) -> None:
    (folder / "fleet.yaml").write_text("a: [")
    code, document, _ = since()
    assert code == exits.VALIDATION
    assert found(document) == [("INV005", "fleet")]


def test_a_fleet_yaml_that_was_broken_reaches_every_site(folder: Path, since: Since) -> None:
    whole = (folder / "fleet.yaml").read_text()
    (folder / "fleet.yaml").write_text("a: [")
    git(folder, "commit", "-qam", "broken")
    (folder / "fleet.yaml").write_text(whole)
    _, document, _ = since()
    assert document["changedSince"] == {"revision": "main", "checked": 8, "of": 8}


def test_a_commit_before_the_inventory_was_there(folder: Path, since: Since) -> None:
    git(folder, "checkout", "-q", "--orphan", "empty")
    git(folder, "rm", "-rq", "--cached", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "empty")
    _, document, _ = since("empty")
    assert document["changedSince"] == {"revision": "empty", "checked": 8, "of": 8}


def test_a_suppression_of_an_unchanged_site_stays_aside(folder: Path, since: Since) -> None:
    replaced(sites(folder)[-1], "192.0.2.9} #", "192.0.2.9}  # fleet: ignore[NET006] why")
    _, document, _ = since()
    assert found(document) == []
    assert [item["code"] for item in document["suppressed"]] == ["NET006"]  # type: ignore[attr-defined]
    git(folder, "commit", "-qam", "aside")
    assert since()[1]["suppressed"] == []


@pytest.mark.parametrize("output", ["text", "sarif", "junit", "github", "azure"])
def test_every_format_has_only_what_changed(
    output: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_commands, "LEAST_CACHED", 1)
    first, last = sites(folder)[0], sites(folder)[-1]
    replaced(first, "vip: ", "vip: 192.0.2.8} # ")
    command = ["validate", "-i", str(folder), "-o", output, "--workspace", str(folder.parent / "ws")]
    printed = []
    for _ in range(2):
        assert main([*command, "--changed-since", "HEAD"]) == exits.VALIDATION
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]
    assert first.stem in printed[0].out
    assert last.stem not in printed[0].out
    assert "checked 1 of 8 sites" in printed[0].err


# --- what can't be done


@pytest.mark.parametrize("revision", ["nowhere", "main:fleet/fleet.yaml", "HEAD~9", "v 1", "{}"])
def test_an_unknown_revision(revision: str, since: Since) -> None:
    code, _, words = since(revision)
    assert code == exits.USAGE
    assert f"error[GIT003]: git knows no revision {revision!r} here" in " ".join(words.split())
    assert "git fetch" in words


@pytest.mark.parametrize("revision", ["--output=x", "-p", "", " "])
def test_what_can_not_be_a_revision_never_reaches_git(
    revision: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "-i", str(folder), f"--changed-since={revision}"]) == exits.USAGE
    assert "error[GIT003]" in capsys.readouterr().err
    assert not (folder / "x").exists()


def test_a_shallow_clone_says_what_to_fetch(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{folder.parent}", "shallow")
    place = str(tmp_path / "shallow" / "fleet")
    assert main(["validate", "-i", place, "--changed-since", "HEAD~1"]) == exits.USAGE
    assert "fetch --unshallow" in capsys.readouterr().err


def test_no_repository(folder: Path, since: Since, tmp_path: Path) -> None:
    shutil.rmtree(folder.parent / ".git")
    code, _, words = since()
    assert code == exits.USAGE
    assert "error[GIT002]" in words
    assert "leave --changed-since out" in words


def test_an_inventory_outside_of_the_repository(
    folder: Path, since: Since, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    code, _, words = since()
    assert code == exits.USAGE
    assert "error[GIT00" in words


def test_no_git_program(since: Since, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    code, _, words = since()
    assert code == exits.MISSING
    assert "error[GIT001]" in words


@pytest.mark.parametrize(
    ("typed", "help_text"),
    [
        ("main..HEAD", "check out HEAD, and --changed-since main"),
        ("main..", "check out HEAD, and --changed-since main"),
        ("main...topic", "check out topic, and --changed-since $(git merge-base main topic)"),
    ],
)
def test_a_range_is_refused_with_what_to_type(typed: str, help_text: str, since: Since) -> None:
    code, _, words = since(typed)
    assert code == exits.USAGE
    assert f"error[GIT003]: {typed!r} is a range" in words
    assert help_text in words


def test_a_fleet_file_that_cannot_be_used_is_no_fleet_without_sites(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replaced(folder / "fleet.yaml", "kind: Fleet", "kind: Fleeet")
    for more in ([], ["--changed-since", "main"]):
        assert main(["validate", "-i", str(folder), "--no-cache", *more]) == exits.VALIDATION
        assert capsys.readouterr().err == "no site was looked at: 1 error\n"
