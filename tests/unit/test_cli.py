"""The command line: what it prints, where, and its exit codes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.cli import exits
from fleet.cli.main import main
from tests.bench.generate_fleet import generate
from tests.factory import FACTORY, ROOT


@pytest.fixture
def fleet_folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FACTORY, tmp_path / "fleet"))


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The real program in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLEET_")}
    return subprocess.run(
        [sys.executable, "-m", "fleet.cli.main", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**environment, "COLUMNS": "200", **(env or {})},
    )  # fmt: skip


def test_validate_says_nothing_on_stdout_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-i", str(FACTORY)]) == exits.OK
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 sites: no problems found" in captured.err


def test_validate_shows_place_source_line_and_help(
    fleet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graz = fleet_folder / "sites" / "graz.yaml"
    graz.write_text(graz.read_text().replace("ip: 10.30.1.12", "ip: 10.30.1.100"))
    assert main(["validate", "-i", str(fleet_folder)]) == exits.VALIDATION
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("error[NET003]: graz-n2's address 10.30.1.100 is inside")
    assert lines[1].endswith("sites/graz.yaml:15:27")
    assert lines[4].strip(" |") == "^" * len("10.30.1.100")
    assert lines[3].index("10.30.1.100") == lines[4].index("^")
    assert "= help: move the pool or the node" in lines[5]


def test_validate_as_json(fleet_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graz = fleet_folder / "sites" / "graz.yaml"
    graz.write_text(graz.read_text().replace("ip: 10.30.1.12", "ip: 10.30.1.100"))
    assert main(["validate", "-i", str(fleet_folder), "-o", "json"]) == exits.VALIDATION
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["errors"], document["sites"]) == (1, 1, 3)
    found = document["diagnostics"][0]
    assert (found["code"], found["line"], found["column"], found["endColumn"]) == ("NET003", 15, 27, 38)


BAD_FILES = {
    "empty": (b"", "INV004", ":1:1", "the file is empty"),
    "truncated": (
        FACTORY.joinpath("sites/graz.yaml").read_bytes().partition(b"graz-n2")[0],
        "INV005",
        ":15:",
        "not YAML",
    ),
    "binary": (bytes(range(256)) * 40, "INV003", ":", "not text"),
    "cyclic anchors": (
        b"apiVersion: fleet/v1\nlabels: &a\n  again: *a\n",
        "INV007",
        ":3:10",
        "inside its own anchor",
    ),
    "terminal codes": (b'name: "\\e[31m"\nkind: \x1b[31mred\n', "INV003", ":", "not text"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_site_file_gives_one_clear_diagnostic_and_no_traceback(kind: str, fleet_folder: Path) -> None:
    content, code, place, message = BAD_FILES[kind]
    (fleet_folder / "sites" / "graz.yaml").write_bytes(content)
    result = run("validate", "-i", str(fleet_folder))
    assert result.returncode == exits.VALIDATION
    assert result.stdout.count("error[") == 1
    assert f"error[{code}]" in result.stdout
    assert f"graz.yaml{place}" in result.stdout
    assert message in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("name", ["fleet.yaml", "sites/graz.yaml"])
def test_a_file_of_100_mb_is_refused_without_being_read(name: str, fleet_folder: Path) -> None:
    with (fleet_folder / name).open("wb") as stream:
        stream.truncate(100_000_000)
    result = run("validate", "-i", str(fleet_folder))
    assert result.returncode == exits.VALIDATION
    assert "error[INV002]: larger than 10 MB" in result.stdout
    assert result.stdout.count("error[") == 1


def test_a_secret_is_found_and_not_shown(fleet_folder: Path) -> None:
    secret = "hunter2-correct-horse"
    fleet = fleet_folder / "fleet.yaml"
    fleet.write_text(
        fleet.read_text().replace("localAdmin: {env: FLEET_LOCAL_ADMIN}", f"localAdmin: {secret}")
    )
    for output in ("text", "json"):
        result = run("validate", "-i", str(fleet_folder), "-o", output)
        assert result.returncode == exits.VALIDATION
        assert "SEC001" in result.stdout
        assert secret not in result.stdout + result.stderr


def test_unreadable_and_missing_inventories(tmp_path: Path) -> None:
    result = run("validate", "-i", str(tmp_path))
    assert result.returncode == exits.USAGE
    assert "error[ENV001]: there is no fleet.yaml at" in result.stderr
    (tmp_path / "fleet.yaml").mkdir()
    result = run("validate", "-i", str(tmp_path))
    assert result.returncode == exits.VALIDATION
    assert "error[INV001]: can't be read: a folder" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("bogus",), exits.USAGE, "No such command 'bogus'"),
        (
            ("show", "gratz"),
            exits.USAGE,
            "error[ENV004]: there is no site 'gratz'\n  = help: did you mean 'graz'?",
        ),
        (("validate", "-o", "xml"), exits.USAGE, "error[ENV002]: no output format 'xml' here"),
        (("explain", "NET00"), exits.USAGE, "error[ENV005]: there is no code 'NET00'"),
        (("render",), exits.USAGE, "error[ENV006]: name one site, or --all"),
        (("up", "graz", "--engine", "local"), exits.MISSING, "error[ENV003]: no sandbox runs here"),
        (
            ("up", "graz", "--engine", "terraform"),
            exits.USAGE,
            "error[ENV008]: there is no engine 'terraform'",
        ),
        (("rollout", "start", "--yes"), exits.MISSING, "error[ENG006]"),
        (("rollout", "resume", "--engine", "local"), exits.MISSING, "error[ENV003]"),
        (("status",), exits.USAGE, "error[ROL010]: there was no rollout"),
        (("report",), exits.USAGE, "error[ROL010]: there was no rollout"),
        (("rollout", "pause"), exits.USAGE, "error[ROL010]: there was no rollout"),
    ],
)
def test_what_can_not_be_done_is_said_with_its_exit_code(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    env = {"FLEET_INVENTORY": str(FACTORY), "FLEET_WORKSPACE": str(tmp_path / "w")}
    result = run(*arguments, env=env)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_the_pulumi_engine_is_refused_where_there_is_no_cli(tmp_path: Path) -> None:
    env = {"FLEET_INVENTORY": str(FACTORY), "FLEET_WORKSPACE": str(tmp_path), "PATH": str(tmp_path)}
    result = run("up", "graz", env=env)
    assert result.returncode == exits.MISSING
    assert (
        "error[ENG006]: the pulumi engine needs the Pulumi CLI, and no `pulumi` is on PATH" in result.stderr
    )


def test_show_with_provenance_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "graz", "-i", str(FACTORY), "--provenance", "-o", "json"]) == exits.OK
    rows = {row["path"]: row for row in json.loads(capsys.readouterr().out)}
    count = rows["kubernetes.controlPlane.count"]
    assert (count["value"], count["layer"]) == (3, "profile gpu-cluster")
    assert count["file"].endswith("fleet.yaml")
    assert "count: 3" in FACTORY.joinpath("fleet.yaml").read_text().splitlines()[count["line"] - 1]


def test_show_as_yaml_says_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "narvik", "-i", str(FACTORY)]) == exits.OK
    out = capsys.readouterr().out
    assert out.startswith("# sha256:")
    assert "mode: disconnected" in out


def test_explain_names_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "net002"]) == exits.OK
    assert "AzStackHci_Network_Test_InfraIpPoolReadiness" in capsys.readouterr().out


def test_render_replaces_its_own_folder_and_no_other(fleet_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "gitops"
    assert main(["render", "graz", "-i", str(fleet_folder), "--out", str(out)]) == exits.OK
    stale = out / "workloads" / "stale.yaml"
    stale.write_text("left over\n")
    assert main(["render", "graz", "-i", str(fleet_folder), "--out", str(out), "--no-cache"]) == exits.OK
    assert not stale.exists()
    assert (out / "clusters" / "graz" / "parts.yaml").exists()
    (out / "mine.yaml").write_text("beside the tree's own folders\n")
    assert main(["render", "graz", "-i", str(fleet_folder), "--out", str(out)]) == exits.USAGE
    assert (out / "mine.yaml").exists()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work\n")
    assert main(["render", "graz", "-i", str(fleet_folder), "--out", str(mine)]) == exits.USAGE
    assert (mine / "thesis.txt").read_text() == "years of work\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fleet", "gitops", "mine"]


def test_render_of_a_broken_inventory_writes_nothing(fleet_folder: Path, tmp_path: Path) -> None:
    (fleet_folder / "sites" / "graz.yaml").write_text("name: graz\n")
    assert (
        main(["render", "turin", "-i", str(fleet_folder), "--out", str(tmp_path / "out")]) == exits.VALIDATION
    )
    assert not (tmp_path / "out").exists()


def test_render_as_an_oci_layout_pins_the_digest_that_a_plan_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "graz", "-i", str(FACTORY), "--oci", str(tmp_path / "oci")]) == exits.OK
    index = json.loads((tmp_path / "oci" / "index.json").read_text())
    digest = index["manifests"][0]["digest"]
    assert (tmp_path / "oci" / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()
    capsys.readouterr()
    main(["plan", "graz", "-i", str(FACTORY), "--workspace", str(tmp_path / "w"), "-o", "json"])
    assert json.loads(capsys.readouterr().out)["sites"][0]["artifact_digest"] == digest


def test_plan_touches_nothing_and_needs_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = tmp_path / "w"
    code = main(
        ["plan", "-i", str(FACTORY), "--workspace", str(workspace), "-o", "json", "--detailed-exitcode"]
    )
    assert code == exits.CHANGES
    sites = {site["site"]: site for site in json.loads(capsys.readouterr().out)["sites"]}
    assert sites.keys() == {"graz", "narvik", "turin"}
    assert all(change["op"] == "create" for site in sites.values() for change in site["changes"])
    types = {change["type"] for change in sites["turin"]["changes"]}
    assert "azure-native:authorization:RoleAssignment" in types
    assert not workspace.exists()


def test_help_is_plain_and_lists_the_verbs() -> None:
    result = run("--help")
    assert result.returncode == 0
    for verb in (
        "validate",
        "explain",
        "show",
        "render",
        "plan",
        "up",
        "rollout",
        "status",
        "report",
        "sandbox",
        "demo",
    ):
        assert f"\n  {verb} " in result.stdout


def test_an_unexpected_error_is_a_bug_report_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("fleet.cli.inventory_commands.run_validate", broken)
    assert main(["validate"]) == exits.UNEXPECTED
    err = capsys.readouterr().err
    assert "this is a bug in fleet (RuntimeError)" in err
    assert "Traceback" not in err
    path = Path(err.split("please report it, with ")[1].strip())
    assert "RuntimeError" in path.read_text()
    path.unlink()


def test_a_demo_does_not_empty_a_folder_that_no_demo_wrote(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work\n")
    assert main(["demo", "-i", str(FACTORY), "--workspace", str(tmp_path)]) == exits.USAGE
    assert (tmp_path / "thesis.txt").read_text() == "years of work\n"


def test_soak_minutes_are_minutes() -> None:
    from fleet.cli.rollout_commands import rollout_spec
    from tests.factory import factory_inventory

    inventory = factory_inventory({"fleet.yaml": [("soakMinutes: 0", "soakMinutes: 5")]})
    assert [ring.soak_seconds for ring in rollout_spec(inventory, "2", 0, 1.0).rings] == [300, 0]


POLICY = """package fleet.site.owner

# METADATA
# title: A site has an owner
# custom:
#   code: ORG001
deny contains {"code": "ORG001", "msg": "nobody owns it", "path": ["operations", "owner"]} if {
	input.operations.owner != "nobody"
}
"""


@pytest.mark.parametrize("command", ["validate", "plan", "render"])
def test_policies_beside_the_fleet_hold_for_every_command(
    command: str, fleet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fleet_folder / "policies").mkdir()
    (fleet_folder / "policies" / "owner.rego").write_text(POLICY)
    more = {
        "validate": [],
        "plan": ["--workspace", str(tmp_path / "w")],
        "render": ["--all", "--out", str(tmp_path / "r")],
    }
    assert main([command, "-i", str(fleet_folder), *more[command]]) == exits.VALIDATION
    printed = capsys.readouterr()
    assert "error[ORG001]: nobody owns it" in printed.out + printed.err
    assert not (tmp_path / "r").exists()
    assert main(["explain", "ORG001", "-i", str(fleet_folder)]) == exits.OK
    assert capsys.readouterr().out.startswith("ORG001: A site has an owner")


def test_a_folder_of_policies_without_any_is_not_ours(fleet_folder: Path) -> None:
    (fleet_folder / "policies").mkdir()
    (fleet_folder / "policies" / "kyverno.yaml").write_text("a: b")
    assert main(["validate", "-i", str(fleet_folder)]) == exits.OK


def test_a_wrong_policy_stops_everything_and_is_shown_at_its_line(
    fleet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fleet_folder / "policies").mkdir()
    (fleet_folder / "policies" / "owner.rego").write_text(POLICY.replace("deny contains", "deny contain"))
    assert main(["validate", "-i", str(fleet_folder), "-o", "github"]) == exits.POLICY
    assert "owner.rego,line=" in capsys.readouterr().out
    assert main(["plan", "-i", str(fleet_folder)]) == exits.POLICY
    assert main(["explain", "POL001", "-i", str(fleet_folder)]) == exits.OK


def test_a_changed_policy_is_asked_again_of_remembered_sites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet, workspace = tmp_path / "fleet", tmp_path / "w"
    generate(120, fleet)
    policy = fleet / "policies" / "owner.rego"
    policy.parent.mkdir()
    policy.write_text(POLICY.replace("!=", "=="))
    arguments = ["validate", "-i", str(fleet), "--workspace", str(workspace), "-o", "json"]
    assert main(arguments) == exits.OK
    assert list((workspace / "cache").iterdir())
    policy.write_text(POLICY)
    capsys.readouterr()
    assert main(arguments) == exits.VALIDATION
    assert {d["code"] for d in json.loads(capsys.readouterr().out)["diagnostics"]} == {"ORG001"}


def test_what_a_program_reads_is_not_broken_into_lines() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "fleet.cli.main", "show", "graz", "--provenance", "-i", str(FACTORY)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        env={k: v for k, v in os.environ.items() if k != "COLUMNS" and not k.startswith("FLEET_")},
    )  # fmt: skip
    assert sum("connectivity.linkMbps" in line for line in shown.stdout.splitlines()) == 1


def test_the_workspace_is_private_and_kept_out_of_git(tmp_path: Path) -> None:
    fleet, workspace = tmp_path / "fleet", tmp_path / "w"
    generate(110, fleet)
    assert main(["validate", "-i", str(fleet), "--workspace", str(workspace)]) == exits.OK
    assert workspace.stat().st_mode & 0o777 == 0o700
    assert (workspace / ".gitignore").read_text().splitlines()[-1] == "*"
