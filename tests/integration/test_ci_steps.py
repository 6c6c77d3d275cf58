"""The shell steps of the pipelines, taken from their YAML and run in a git repository.

Stand-ins, since no build service is here: the variables that each service sets, `gh` (a script that keeps
comments in a file), and Azure DevOps' REST API (a server on this machine that curl really talks to). Not run:
actions and tasks, and the install step, which needs a package index. `fleet` is the real command.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.app.ci import GitSource, pipeline
from tests.factory import FACTORY

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("git", "bash", "jq", "curl")),
    reason="needs git, bash, jq and curl, as the services' own machines have",
)

SOURCE = GitSource("https://git.example/fleet.git", "5f" * 20)
BROKEN = ("ip: 10.30.1.12", "ip: 10.30.1.100")
"""In graz: a node inside the pool that the cluster hands out (NET003)."""
BIGGER = ("version: 1.30.4", "version: 1.30.9")
"""In fleet.yaml: concerns every site."""

GH = '''#!{python}
"""A stand-in for GitHub's CLI: comments are kept in a file."""
import json, os, pathlib, subprocess, sys
arguments = sys.argv[1:]
assert arguments.pop(0) == "api", arguments
assert os.environ["GH_TOKEN"] == "the-token"
store = pathlib.Path(os.environ["STAND_IN_COMMENTS"])
if store.name == "refused":
    sys.exit("HTTP 403: Resource not accessible by integration")
comments = json.loads(store.read_text())
def option(name):
    return arguments[arguments.index(name) + 1] if name in arguments else None
method, jq, field = option("--method") or "GET", option("--jq"), option("-F")
path = next(a for a in arguments if a.startswith("repos/"))
if method == "GET":
    assert path == "repos/acme/fleet/issues/7/comments?per_page=100", path
    sys.exit(subprocess.run(["jq", "-r", jq], input=json.dumps(comments), text=True).returncode)
body = pathlib.Path(field.removeprefix("body=@")).read_text()
if method == "PATCH":
    (comment,) = [c for c in comments if path == f"repos/acme/fleet/issues/comments/{{c['id']}}"]
    comment["body"] = body
else:
    assert (method, path) == ("POST", "repos/acme/fleet/issues/7/comments")
    comments.append({{"id": 100 + len(comments), "user": {{"login": "github-actions[bot]"}}, "body": body}})
store.write_text(json.dumps(comments))
'''


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    )  # fmt: skip
    return done.stdout.strip()


def edit(repository: Path, file: str, old: str, new: str) -> None:
    path = repository / "inventory" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def change(repository: Path, *edits: tuple[str, str, str]) -> None:
    """A pull request with these edits, checked out as the services do: merged into its target."""
    git(repository, "checkout", "--quiet", "-B", "topic", "main")
    for one in edits:
        edit(repository, *one)
    git(repository, "commit", "--quiet", "--all", "-m", "a change")
    git(repository, "checkout", "--quiet", "--detach", "main")
    git(repository, "merge", "--quiet", "--no-ff", "-m", "merged", "topic")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(FACTORY, folder / "inventory")
    git(folder, "init", "--quiet", "-b", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "the fleet")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (
        ("fleet", f'#!/bin/sh\nexec "{sys.executable}" -m fleet.cli.main "$@"\n'),
        ("gh", GH.format(python=sys.executable)),
    ):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return folder


def scripts_of(system: str) -> dict[str, str]:
    """The scripts of a pipeline by the names of their steps."""
    document: Any = yaml.safe_load(pipeline(system, SOURCE, "inventory").text)
    if system == "gitlab":
        return {"Check": document["fleet"]["script"][0]}
    jobs = document["jobs"].values() if system == "github" else document["jobs"]
    steps = [step for job in jobs for step in job["steps"]]
    key, name = ("run", "name") if system == "github" else ("bash", "displayName")
    return {step[name]: step[key] for step in steps if key in step}


def run(
    repository: Path, script: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A script as the services run it: bash, stopping at the first failure."""
    tools = repository.parent / "tools"
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("FLEET_", "GIT_", "GH_", "GITHUB_"))
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=repository, capture_output=True, text=True, timeout=120,
        env={**inherited, "PATH": f"{tools}:{os.environ['PATH']}", "INVENTORY": "inventory",
             "GIT_CONFIG_GLOBAL": os.devnull, **(env or {})},
    )  # fmt: skip


# --- GitHub


@pytest.fixture
def github(repository: Path) -> dict[str, str]:
    (repository.parent / "summary.md").touch()
    (repository.parent / "comments.json").write_text("[]")
    return {
        "GITHUB_STEP_SUMMARY": str(repository.parent / "summary.md"),
        "GITHUB_REPOSITORY": "acme/fleet",
        "PULL_REQUEST": "7",
        "GH_TOKEN": "the-token",
        "STAND_IN_COMMENTS": str(repository.parent / "comments.json"),
    }


def test_github_a_good_change(repository: Path, github: dict[str, str]) -> None:
    change(repository, ("fleet.yaml", *BIGGER))
    steps = scripts_of("github")
    assert run(repository, steps["Validate"], github).returncode == 0
    assert json.loads((repository / "fleet.sarif").read_text())["runs"][0]["results"] == []
    planned = run(repository, steps["Plan"], github)
    assert planned.returncode == 0, planned.stderr
    summary = (repository.parent / "summary.md").read_text()
    assert "3 of 3 sites would change" in summary
    assert '`kubernetes.version`: `"1.30.4"` → `"1.30.9"`' in summary
    assert "create" not in summary, "it is compared with the target branch, not with nothing"


def test_github_a_broken_inventory(repository: Path, github: dict[str, str]) -> None:
    change(repository, ("sites/graz.yaml", *BROKEN))
    steps = scripts_of("github")
    assert run(repository, steps["Validate"], github).returncode == 3
    (result,) = json.loads((repository / "fleet.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "NET003"
    assert run(repository, steps["Plan"], github).returncode == 3
    summary = (repository.parent / "summary.md").read_text()
    assert "the inventory has 1 error" in summary
    assert "`inventory/sites/graz.yaml:15` **NET003**" in summary


def test_github_annotates_the_lines_of_the_change(repository: Path, github: dict[str, str]) -> None:
    edit(repository, "sites/turin.yaml", "kind: Site", "kind: Site\nunknown: true")
    git(repository, "commit", "--quiet", "--all", "-m", "an error that was there")
    change(repository, ("sites/graz.yaml", *BROKEN))
    done = run(repository, scripts_of("github")["Annotate"], github)
    assert done.returncode == 0, done.stderr  # it remarks; Validate judges
    assert "::error file=inventory/sites/graz.yaml,line=15," in done.stdout
    assert "turin" not in done.stdout


def test_github_one_comment_that_is_updated(repository: Path, github: dict[str, str]) -> None:
    store = repository.parent / "comments.json"
    others = [
        {"id": 1, "user": {"login": "somebody"}, "body": "<!-- fleet plan of inventory -->\nmine"},
        {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "another bot's word"},
    ]
    store.write_text(json.dumps(others))
    steps = scripts_of("github")
    change(repository, ("fleet.yaml", *BIGGER))
    for expected in ("3 of 3 sites would change", "the inventory has 1 error"):
        run(repository, steps["Plan"], github)
        commented = run(repository, steps["Comment"], github)
        assert commented.returncode == 0, commented.stderr
        assert "::warning" not in commented.stdout
        comments = json.loads(store.read_text())
        assert comments[:2] == others
        assert len(comments) == 3
        assert comments[2]["body"].startswith("<!-- fleet plan of inventory -->\n### fleet plan")
        assert expected in comments[2]["body"]
        change(repository, ("sites/graz.yaml", *BROKEN))


def test_github_a_comment_that_is_refused_is_a_warning(repository: Path, github: dict[str, str]) -> None:
    (repository / "fleet-plan.md").write_text("### fleet plan\n")
    refused = github | {"STAND_IN_COMMENTS": str(repository / "refused")}
    done = run(repository, scripts_of("github")["Comment"], refused)
    assert done.returncode == 0
    assert "::warning title=fleet::the comment could not be written" in done.stdout


def test_github_the_first_commit_of_a_fleet(repository: Path, github: dict[str, str]) -> None:
    planned = run(repository, scripts_of("github")["Plan"], github)
    assert planned.returncode == 0, planned.stderr
    assert "everything counts as new" in (repository.parent / "summary.md").read_text()


def test_github_a_plan_that_can_not_be_made_says_so(repository: Path, github: dict[str, str]) -> None:
    shutil.rmtree(repository / "inventory")
    assert run(repository, scripts_of("github")["Plan"], github).returncode == 2
    assert "failed with exit code 2" in (repository.parent / "summary.md").read_text()


# --- Azure DevOps


class Threads(BaseHTTPRequestHandler):
    """A stand-in for the threads of one pull request."""

    found: list[dict[str, Any]]
    seen: list[str]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        assert self.headers["Authorization"] == "Bearer the-token"
        base = "/project/_apis/git/repositories/repo/pullRequests/7/threads"
        path, _, query = self.path.partition("?")
        assert path.startswith(base)
        assert query == "api-version=7.1"
        self.seen.append(self.command)
        length = int(self.headers.get("Content-Length", 0))
        sent = json.loads(self.rfile.read(length)) if length else None
        if self.command == "POST":
            self.found.append({"id": 40, "comments": [{"id": 1, "content": sent["comments"][0]["content"]}]})
        elif self.command == "PATCH":
            assert path == f"{base}/40/comments/1"
            self.found[-1]["comments"][0]["content"] = sent["content"]
        body = json.dumps({"value": self.found}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815


@pytest.fixture
def threads() -> Iterator[HTTPServer]:
    system_thread = {"id": 39, "comments": [{"id": 1, "content": None}]}
    Threads.found, Threads.seen = [system_thread], []
    server = HTTPServer(("127.0.0.1", 0), Threads)
    worker = threading.Thread(target=server.serve_forever)
    worker.start()
    yield server
    server.shutdown()
    worker.join()
    server.server_close()


def test_azure(repository: Path, threads: HTTPServer) -> None:
    env = {
        "SYSTEM_ACCESSTOKEN": "the-token",
        "SYSTEM_COLLECTIONURI": f"http://127.0.0.1:{threads.server_port}/",
        "SYSTEM_TEAMPROJECTID": "project",
        "BUILD_REPOSITORY_ID": "repo",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
    }
    steps = scripts_of("azure-devops")
    change(repository, ("fleet.yaml", *BIGGER))
    assert run(repository, steps["Validate"], env).returncode == 0
    for code, expected in ((0, "3 of 3 sites would change"), (3, "the inventory has 1 error")):
        planned = run(repository, steps["Plan"], env)
        assert planned.returncode == code, planned.stderr
        assert planned.stdout.strip() == f"##vso[task.uploadsummary]{repository}/fleet-plan.md"
        commented = run(repository, steps["Comment"], env)
        assert (commented.returncode, commented.stdout) == (0, ""), commented.stderr
        assert len(Threads.found) == 2
        content = Threads.found[1]["comments"][0]["content"]
        assert content.startswith("<!-- fleet plan of inventory -->\n### fleet plan")
        assert expected in content
        change(repository, ("sites/graz.yaml", *BROKEN))
    assert Threads.seen == ["GET", "POST", "GET", "PATCH"]
    assert run(repository, steps["Validate"], env).returncode == 3
    assert "NET003" in (repository / "fleet-junit.xml").read_text()


def test_azure_words_of_an_inventory_are_no_commands(repository: Path) -> None:
    evil = "##vso[task.setvariable variable=PATH]/tmp"
    change(repository, ("sites/graz.yaml", "kind: Site", f'kind: Site\n"{evil}": 1'))
    planned = run(repository, scripts_of("azure-devops")["Plan"])
    assert planned.returncode == 3
    assert "setvariable" in planned.stderr
    assert "##vso[task.setvariable" not in planned.stdout + planned.stderr


def test_azure_a_comment_that_is_refused_is_a_warning(repository: Path) -> None:
    (repository / "fleet-plan.md").write_text("### fleet plan\n")
    env = dict.fromkeys(
        ("SYSTEM_TEAMPROJECTID", "BUILD_REPOSITORY_ID", "SYSTEM_PULLREQUEST_PULLREQUESTID"), "x"
    )
    env |= {"SYSTEM_ACCESSTOKEN": "the-token", "SYSTEM_COLLECTIONURI": "http://127.0.0.1:1/"}
    done = run(repository, scripts_of("azure-devops")["Comment"], env)
    assert done.returncode == 0
    assert "##vso[task.logissue type=warning]the comment could not be written" in done.stdout
    assert "the-token" not in done.stdout + done.stderr


# --- GitLab


@pytest.mark.parametrize(
    ("edits", "code"), [([("fleet.yaml", *BIGGER)], 0), ([("sites/graz.yaml", *BROKEN)], 3)]
)
def test_gitlab(repository: Path, edits: list[tuple[str, str, str]], code: int) -> None:
    change(repository, *edits)
    git(repository, "checkout", "--quiet", "topic")  # GitLab checks out the source branch itself
    env = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": git(repository, "rev-parse", "main")}
    done = run(repository, scripts_of("gitlab")["Check"], env)
    assert done.returncode == code, done.stderr
    expected = "the inventory has 1 error" if code else "3 of 3 sites would change"
    assert expected in (repository / "fleet-plan.md").read_text()
    assert ("NET003" in (repository / "fleet-junit.xml").read_text()) == bool(code)


def test_gitlab_the_first_commit_of_a_branch(repository: Path) -> None:
    done = run(repository, scripts_of("gitlab")["Check"], {"CI_COMMIT_BEFORE_SHA": "0" * 40})
    assert done.returncode == 0, done.stderr
    assert "everything counts as new" in (repository / "fleet-plan.md").read_text()
