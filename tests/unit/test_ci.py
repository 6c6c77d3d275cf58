"""`fleet ci init`: pipelines that their systems take, that are safe to copy, and what is said of bad input."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.app.ci import SYSTEMS, GitSource, WheelSource, parse_source, pipeline
from fleet.cli import ci_commands, exits
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import FleetError
from tests.factory import FACTORY, ROOT

COMMIT = "5f" * 20
GIT = GitSource("https://git.example/team/fleet.git", COMMIT)
WHEEL = WheelSource("tools/fleet_toolkit-0.1.0-py3-none-any.whl")
SCHEMAS = {"github": "github-workflows", "azure-devops": "azure-pipelines", "gitlab": "gitlab-ci"}
every_pipeline = pytest.mark.parametrize(
    ("system", "source"),
    [(system, source) for system in SYSTEMS for source in (GIT, WHEEL, GitSource())],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)


def scripts(value: Any) -> Iterator[str]:
    """Every script of a pipeline, wherever it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("run", "bash"):
                yield item
            elif key in ("script", "before_script"):
                yield from item
            else:
                yield from scripts(item)
    elif isinstance(value, list):
        for item in value:
            yield from scripts(item)


@every_pipeline
def test_its_system_takes_it(system: str, source: GitSource | WheelSource, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="it brings the systems' schemas")
    file = tmp_path / "pipeline.yml"
    file.write_text(pipeline(system, source, "fleets/factory").text)
    command = [sys.executable, "-m", "check_jsonschema", "--regex-variant", "nonunicode", "--builtin-schema"]
    done = subprocess.run([*command, f"vendor.{SCHEMAS[system]}", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", [GIT, WHEEL])
def test_the_workflow_passes_an_audit(source: GitSource | WheelSource, tmp_path: Path) -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    if not zizmor.exists():
        pytest.skip("zizmor is not installed")
    file = tmp_path / ".github" / "workflows" / "fleet.yml"
    file.parent.mkdir(parents=True)
    file.write_text(pipeline("github", source).text)
    command = [str(zizmor), "--offline", "--persona", "auditor", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every_pipeline
def test_every_script_is_one_that_bash_can_read(system: str, source: GitSource | WheelSource) -> None:
    found = list(scripts(yaml.safe_load(pipeline(system, source).text)))
    assert len(found) >= 2
    for script in found:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@every_pipeline
def test_nothing_of_a_pull_request_gets_into_a_script(system: str, source: GitSource | WheelSource) -> None:
    text = pipeline(system, source).text
    for script in scripts(yaml.safe_load(text)):
        assert "${{" not in script
        assert "$[" not in script
    assert "pull_request_target" not in text
    assert "secrets." not in text


def test_the_workflow_is_pinned_bounded_and_has_the_least_rights() -> None:
    text = pipeline("github", GIT).text
    used = re.findall(r"uses: (.*)", text)
    assert used
    for line in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "check": {"contents": "read"},
        "comment": {"pull-requests": "write"},
        "code-scanning": {"contents": "read", "security-events": "write"},
    }
    assert all(job["timeout-minutes"] <= 20 for job in jobs.values())
    assert workflow["concurrency"]["group"]
    for step in (step for job in jobs.values() for step in job["steps"]):
        if "checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
    assert "fleet" not in " ".join(scripts(jobs["comment"])).replace("fleet plan", "").replace(
        "fleet-plan.md", ""
    ).replace("title=fleet", ""), "the job that can write runs no fleet"


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_installed_is_pinned_by_hash_or_commit(system: str) -> None:
    for source in (GIT, WHEEL):
        installs = [
            line
            for script in scripts(yaml.safe_load(pipeline(system, source).text))
            for line in script.replace("\\\n", "").splitlines()
            if "pip install" in line
        ]
        assert len(installs) == 2
        assert "--require-hashes" in installs[0]
        assert "--no-index --no-deps" in installs[1]


def test_the_lock_has_what_builds_the_wheel() -> None:
    """The install step cuts one requirement with its hashes out of the lock of fleet's developers."""
    script = next(
        s for s in scripts(yaml.safe_load(pipeline("github", GIT).text)) if s.startswith("# What builds")
    )
    cut = next(line for line in script.splitlines() if line.startswith("sed "))
    command = cut.replace(".fleet-toolkit/", "").partition(">")[0]
    lines = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    assert lines[0].startswith("setuptools==")
    assert len(lines) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_words_give_the_same_bytes(system: str) -> None:
    assert pipeline(system, GIT, "a/b", "trunk") == pipeline(system, GIT, "a/b", "trunk")
    text = pipeline(system, GIT, "a/b", "trunk").text
    assert text.endswith("\n")
    assert "[[" not in text.replace("[[ ", "")
    assert '"a/b"' in text
    assert '"trunk"' in text
    assert COMMIT in text


# --- the command


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(FACTORY, tmp_path / "inventory")
    (tmp_path / "tools").mkdir()
    return tmp_path


def init(repository: Path, *arguments: str) -> int:
    return main(["ci", "init", "--dir", str(repository), "-i", "inventory", *arguments])


SOURCE = ("--from", f"git+{GIT.repository}@{COMMIT}")


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_writes_where_the_system_looks(
    system: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(repository, "--system", system, *SOURCE) == exits.OK
    path = repository / SYSTEMS[system].path
    assert path.read_text() == pipeline(system, GIT, "inventory").text
    assert ("REPLACE" in path.read_text()) == ("put your own values in" in capsys.readouterr().err)


def test_what_is_not_known_is_marked_and_listed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(repository) == exits.OK
    lines = (repository / ".github/workflows/fleet.yml").read_text().splitlines()
    marked = [number for number, line in enumerate(lines, 1) if "# REPLACE: " in line]
    told = [int(n) for n in re.findall(r"fleet\.yml:(\d+)  ", capsys.readouterr().err)]
    assert told == marked
    assert len(marked) == 2


def test_a_dry_run_prints_it_and_writes_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(repository.rglob("*"))
    assert init(repository, "--dry-run", *SOURCE) == exits.OK
    assert capsys.readouterr().out == pipeline("github", GIT, "inventory").text
    assert sorted(repository.rglob("*")) == before


def test_a_pipeline_that_is_there_stays_unless_forced(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "azure-pipelines.yml"
    path.write_text("mine\n")
    assert init(repository, "--system", "azure-devops", *SOURCE) == exits.USAGE
    assert path.read_text() == "mine\n"
    message = capsys.readouterr().err
    assert "NEW001" in message
    assert "--force" in message
    assert init(repository, "--system", "azure-devops", "--force", *SOURCE) == exits.OK
    assert "fleet validate" in path.read_text()


def test_a_wheel_needs_its_lock_beside_it(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(repository, "--from", WHEEL.path) == exits.USAGE
    assert "CIP003" in capsys.readouterr().err
    (repository / WHEEL.path).touch()
    assert init(repository, "--from", WHEEL.path) == exits.USAGE
    assert "requirements.lock" in capsys.readouterr().err
    (repository / "tools/requirements.lock").touch()
    assert init(repository, "--from", WHEEL.path) == exits.OK
    assert WHEEL.path in (repository / ".github/workflows/fleet.yml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--system", "jenkins"], "CIP001"),
        (["-i", "nowhere"], "ENV001"),
        (["-i", ".."], "CIP002"),
        (["--branch", "a'; rm -rf /"], "CIP002"),
        (["--branch", "${{ github.token }}"], "CIP002"),
        (["--from", "git+https://git.example/fleet.git@main"], "CIP003"),
        (["--from", "git+https://git.example/fleet.git@v1.0.0"], "CIP003"),
        (["--from", "git+ssh://git@git.example/fleet.git@" + COMMIT], "CIP003"),
        (["--from", "git+https://me:token@git.example/fleet.git@" + COMMIT], "CIP003"),
        (["--from", "git+https://git.example/$(id)@" + COMMIT], "CIP003"),
        (["--from", "../fleet.whl"], "CIP003"),
        (["--from", "/tmp/fleet.whl"], "CIP003"),
        (["--from", "fleet-toolkit==0.1.0"], "CIP003"),
        (["--dir", "/nonexistent"], "ENV021"),
    ],
)
def test_bad_input_is_refused_in_words(
    arguments: list[str], code: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(repository.rglob("*"))
    assert init(repository, *SOURCE, *arguments) == exits.USAGE
    message = capsys.readouterr().err
    assert f"error[{code}]" in message
    assert "= help:" in message
    assert sorted(repository.rglob("*")) == before


def test_an_inventory_whose_path_a_shell_would_read_is_refused(repository: Path) -> None:
    (repository / "inventory").rename(repository / "my $(id) fleet")
    assert main(["ci", "init", "--dir", str(repository), "-i", "my $(id) fleet", *SOURCE]) == exits.USAGE


def test_a_folder_that_can_not_be_written(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / ".github").write_text("a file\n")
    assert init(repository, *SOURCE) == exits.USAGE
    assert "ENV021" in capsys.readouterr().err


def test_wheels_with_a_local_version_are_known() -> None:
    assert parse_source("./w/fleet_toolkit-0.1.0+acme.1-py3-none-any.whl") == WheelSource(
        "w/fleet_toolkit-0.1.0+acme.1-py3-none-any.whl"
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (json.dumps({"url": GIT.repository, "vcs_info": {"vcs": "git", "commit_id": COMMIT}}), GIT),
        (
            json.dumps({"url": "ssh://git.example/x", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}),
            GitSource(),
        ),
        (json.dumps({"url": "file:///home/me/fleet", "dir_info": {"editable": True}}), GitSource()),
        ("[]", GitSource()),
        ("{", GitSource()),
        (None, GitSource()),
    ],
)
def test_the_fleet_that_runs_is_the_one_that_pipelines_get(
    record: str | None, expected: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return record

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution())
    assert ci_commands.installed_source() == expected


def test_what_a_source_looks_like_is_said() -> None:
    with pytest.raises(FleetError, match="full commit id"):
        parse_source("git+https://git.example/fleet.git")


def test_a_folder_inside_a_repository_is_no_place_for_a_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "inventory"
    shutil.copytree(FACTORY, inner)
    assert main(["ci", "init", "--system", "github", "--dir", str(inner)]) == exits.USAGE
    assert f"fleet ci init --dir {tmp_path} -i inventory" in capsys.readouterr().err
    assert not (inner / ".github").exists()
    assert main(["ci", "init", "--system", "github", "--dir", str(tmp_path), "-i", "inventory"]) == exits.OK
