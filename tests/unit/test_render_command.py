"""`fleet render`: what is written again, what is left alone, and what a failure or a kill leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.adapters import tree_folder as folders
from fleet.adapters.tree_folder import MARK, Inputs, SiteTree, tree_folder, write_tree
from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render import limits, templating, tree
from fleet.render.faults import rendered
from fleet.render.limits import RefusedError, check_files
from fleet.render.templating import render_template, to_yaml, yaml_block
from tests.factory import ROOT, factory_files, factory_inventory

NASTY = "a: b\n# 'x' \"y\" {[&*!|>%@`\x85\u2028\ufeff\x7f,]}"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    for path, text in factory_files().items():
        target = tmp_path / "fleet" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return tmp_path / "fleet"


def render(fleet: Path, *more: str) -> int:
    out, workspace = fleet.parent / "out", fleet.parent / "ws"
    return main(
        ["render", "--all", "-i", str(fleet), "--out", str(out), "--workspace", str(workspace), *more]
    )


def edit(fleet: Path, file: str, old: str, new: str) -> None:
    text = (fleet / file).read_text()
    assert old in text
    (fleet / file).write_text(text.replace(old, new, 1))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def inodes(fleet: Path) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(fleet.parent / "out") if entry.is_dir()}


def test_only_the_site_that_changed_is_written_again(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(fleet) == exits.OK
    first = inodes(fleet)
    edit(fleet, "sites/graz.yaml", "ring: broad", "ring: broad # a comment")
    assert render(fleet) == exits.OK
    assert inodes(fleet) == first, "a comment changes no tree"
    edit(fleet, "sites/graz.yaml", "ring: broad", "environment: test\nring: broad")
    assert render(fleet) == exits.OK
    second = inodes(fleet)
    assert {name for name in first if first[name] != second[name]} == {"graz"}
    assert "2 of them unchanged" in capsys.readouterr().err
    one = fleet.parent / "one"
    assert main(["render", "graz", "-i", str(fleet), "--out", str(one)]) == exits.OK
    graz = snapshot(fleet.parent / "out" / "graz")
    assert graz == {path: data for path, data in snapshot(one).items() if path != MARK}


def test_an_unchanged_fleet_leaves_every_byte_and_the_list_alone(fleet: Path) -> None:
    assert render(fleet) == exits.OK
    mark = fleet.parent / "out" / MARK
    before, stat = snapshot(fleet.parent / "out"), mark.stat()
    assert render(fleet) == exits.OK
    assert snapshot(fleet.parent / "out") == before
    assert (mark.stat().st_ino, mark.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert render(fleet, "--no-cache") == exits.OK
    assert snapshot(fleet.parent / "out") == before, "the list says nothing of when or where"


def test_a_site_that_is_gone_is_taken_away_and_what_is_not_ours_stays(fleet: Path) -> None:
    assert render(fleet) == exits.OK
    out = fleet.parent / "out"
    (out / ".git").mkdir()
    (out / "notes").mkdir()
    (fleet / "sites" / "narvik.yaml").unlink()
    assert render(fleet) == exits.OK
    assert {p.name for p in out.iterdir()} == {MARK, ".git", "notes", "graz", "turin"}


def test_a_folder_that_somebody_removed_is_written_again(fleet: Path) -> None:
    assert render(fleet) == exits.OK
    out = fleet.parent / "out"
    before = snapshot(out)
    (out / "graz").rename(fleet.parent / "away")
    assert render(fleet) == exits.OK
    assert snapshot(out) == before


@pytest.mark.parametrize("damage", ["cut", "merged", "old"])
def test_a_damaged_list_costs_time_and_nothing_else(fleet: Path, damage: str) -> None:
    assert render(fleet) == exits.OK
    out = fleet.parent / "out"
    before, text = snapshot(out), (out / MARK).read_text()
    other = {
        "cut": text[:-40],
        "merged": text.replace("\n", "\n<<<<<<< HEAD\n", 1),
        "old": "Written by fleet\n",
    }
    (out / MARK).write_text(other[damage])
    (out / "graz" / "platform" / "namespaces.yaml").write_text("half")
    assert render(fleet) == exits.OK
    assert snapshot(out) == before


def test_a_failure_leaves_the_trees_as_they_were(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(fleet) == exits.OK
    out = fleet.parent / "out"
    before = snapshot(out)
    edit(fleet, "fleet.yaml", "maxRetries: 2", "maxRetries: 1")
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MAX_CONFIG_BYTES", 100)
        patch.setattr(limits, "_LOOKED_AT", 100)
        assert render(fleet) == exits.UNEXPECTED
    error = " ".join(capsys.readouterr().err.split())
    assert "error[TPL005]: graz: " in error
    assert snapshot(out) == before
    assert {p.name for p in fleet.parent.iterdir()} <= {"fleet", "out", "ws"}
    edit(fleet, "fleet.yaml", "maxRetries: 1", "maxRetries: one")
    assert render(fleet) == exits.VALIDATION
    assert snapshot(out) == before


INPUTS = Inputs("t", "f")
TREES = {name: {"clusters/" + name + "/a.yaml": name, "b.yaml": "1"} for name in ("one", "two", "three")}


def put(out: Path, trees: Mapping[str, Mapping[str, str]], inputs: Inputs = INPUTS) -> None:
    with tree_folder(out, inputs) as folder:
        kept, new = {}, {}
        for name, files in trees.items():
            digest = str(sorted(files.items()))
            if (known := folder.current(name, digest)) is not None:
                kept[name] = known
                continue
            write_tree(folder.staging / name, files)
            new[name] = SiteTree(digest, digest, digest, len(files))
        folder.commit(kept, new)


@pytest.mark.parametrize("calls", range(8))
def test_a_kill_at_any_rename_is_repaired_and_mixes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    class Killed(BaseException):
        pass

    old = TREES
    new = {name: {**files, "b.yaml": "2"} for name, files in TREES.items() if name != "three"}
    out = tmp_path / "out"
    put(out, old)
    left = iter(range(calls))

    def counted(real: Any) -> Any:
        def call(*given: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return real(*given)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(folders.Path, "rename", counted(Path.rename))
        patch.setattr(folders.Path, "replace", counted(Path.replace))
        patch.setattr(folders.shutil, "rmtree", lambda *_, **__: None)  # a kill tidies nothing
        try:
            put(out, new)
        except Killed:
            pass
        else:
            assert calls == 7
    for name in TREES:
        if (out / name).exists():
            assert {p: d.decode() for p, d in snapshot(out / name).items()} in (old[name], new.get(name))
    put(out, old)  # what is listed must not be taken for what was there before
    assert {n: {p: d.decode() for p, d in snapshot(out / n).items()} for n in TREES} == old
    put(out, new)
    assert {p.name for p in out.iterdir()} == {MARK, "one", "two"}


def test_a_process_that_is_killed_leaves_no_half_of_a_site(fleet: Path) -> None:
    arguments = [sys.executable, "-m", "fleet.cli.main", "render", "--all", "--no-cache", "-i", str(fleet)]
    out = fleet.parent / "out"
    assert render(fleet) == exits.OK
    whole = snapshot(out)
    for delay in (0.3, 0.5, 0.7):
        process = subprocess.Popen([*arguments, "--out", str(out)], cwd=ROOT, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for name in ("graz", "narvik", "turin"):
            if (out / name).exists():
                mine = {path: data for path, data in whole.items() if path.startswith(f"{name}/")}
                assert {f"{name}/{path}": data for path, data in snapshot(out / name).items()} == mine
    assert render(fleet) == exits.OK
    assert {**snapshot(out), MARK: b""} == {**whole, MARK: b""}


def test_two_runs_do_not_write_one_folder(tmp_path: Path) -> None:
    put(tmp_path / "out", TREES)
    with (
        tree_folder(tmp_path / "out", INPUTS),
        pytest.raises(FleetError) as caught,
        tree_folder(tmp_path / "out", INPUTS),
    ):
        pass
    assert (caught.value.code, caught.value.exit_code) == ("ENV022", exits.LOCKED)


def test_layouts_of_every_site_and_no_push(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts = fleet.parent / "oci"
    assert main(["render", "--all", "-i", str(fleet), "--oci", str(layouts)]) == exits.OK
    assert sorted(p.name for p in layouts.iterdir()) == ["graz", "narvik", "turin"]
    assert main(["render", "graz", "-i", str(fleet), "--oci", "oci://registry.example/x"]) == exits.USAGE
    assert "skopeo copy" in capsys.readouterr().err


# --- bad input ---------------------------------------------------------------------------------------


def site_of(name: str = "graz") -> Any:
    site = factory_inventory().site(name)
    assert site is not None
    return site


def test_a_template_error_names_template_line_site_and_inventory_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = templating._load

    def load(name: str) -> Any:
        loaded = real(name)
        if name != "workloads/tools/tool.yaml.j2" or loaded is None:
            return loaded
        return (loaded[0].replace("{{ tool.replicas }}", "{{ tool.replicaz }}"), *loaded[1:])

    monkeypatch.setattr(templating, "_load", load)
    templating._environment.cache_clear()
    try:
        with pytest.raises(FleetError) as caught:
            rendered(site_of())
    finally:
        templating._environment.cache_clear()
    error = caught.value
    text = factory_files()["fleet.yaml"]
    line = text[: text.index("work-orders:\n")].count("\n") + 1
    assert error.code == "TPL001"
    assert "graz: templates/workloads/tools/tool.yaml.j2:" in error.message
    assert "replicaz" in error.message
    assert f"(fleet.yaml:{line}, while rendering tools.work-orders)" in error.message or (
        "sites/graz.yaml:" in error.message and "tools.work-orders" in error.message
    )


@pytest.mark.parametrize(
    "value", [object(), float("nan"), "\ud800"], ids=["no value of YAML", "not a number", "half a character"]
)
def test_a_value_that_no_yaml_can_say_is_a_template_error(value: object) -> None:
    with pytest.raises(FleetError) as caught:
        render_template("kustomization.yaml.j2", names=[value])
    assert caught.value.code == "TPL001"
    assert "templates/kustomization.yaml.j2:5: " in caught.value.message


@pytest.mark.parametrize("value", [NASTY, *NASTY, "\0", "yes", "1e3", "~", "- x", "😀", "", "a#b", "a: "])
def test_no_text_breaks_out_of_its_place(value: str) -> None:
    flow = f"[{to_yaml(value)}, end]"
    assert yaml.safe_load(flow) == [value, "end"]
    assert yaml.safe_load(f"a: {to_yaml(value)}\nb: end") == {"a": value, "b": "end"}
    assert yaml.safe_load(f"a:\n{yaml_block({'k': value}, 2)}\n") == {"a": {"k": value}}
    assert "\n" not in str(to_yaml(value)), "not even out of a comment"


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("Deployment", "Bad_Name", "not of lower-case"),
        ("Service", "a.b", "not of lower-case"),
        ("Service", "a" * 64, "64 characters, and 63"),
        ("ConfigMap", "a" * 254, "254 characters, and 253"),
        ("Namespace", "-a", "not of lower-case"),
    ],
)
def test_a_name_that_kubernetes_does_not_take_is_refused(kind: str, name: str, why: str) -> None:
    text = f"apiVersion: v1\nkind: {kind}\nmetadata:\n  labels:\n    name: fine\n  name: {to_yaml(name)}\n"
    with pytest.raises(RefusedError) as caught:
        check_files("graz", {"a.yaml": f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: ok\n---\n{text}"})
    assert caught.value.code == "TPL004"
    assert why in caught.value.message


def test_names_at_the_limit_and_of_roles_are_taken() -> None:
    for kind, name in (("Service", "a" * 63), ("ConfigMap", "a" * 253), ("ClusterRole", '"system:x"')):
        check_files("graz", {"a.yaml": f"kind: {kind}\nmetadata:\n  name: {name}\n"})


def test_a_name_made_too_long_leads_to_the_inventorys_line(monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_of()
    spec: SiteSpec = site.spec
    tools = {"a" * 70: spec.tools["work-orders"]}
    monkeypatch.setattr(tree, "TOPICS", [t for t in tree.TOPICS if t.__name__.endswith("tools")])
    site = type(site)(spec.model_copy(update={"tools": tools}), site.layers)
    with pytest.raises(FleetError) as caught:
        rendered(site)
    assert caught.value.code == "TPL004"
    assert f"it comes from tools.{'a' * 70}" in caught.value.message


@pytest.mark.parametrize(("kind", "size", "refused"), [
    ("ConfigMap", 1024 * 1024 - 8, False), ("ConfigMap", 1024 * 1024 + 1, True),
    ("Widget", 1024 * 1024 + 1, False), ("Widget", 1536 * 1024, True),
])  # fmt: skip
def test_an_object_over_the_limits_is_refused(kind: str, size: int, refused: bool) -> None:
    text = f"kind: {kind}\nmetadata:\n  name: big\ndata:\n  lines: {'x' * size}\n"
    if not refused:
        check_files("graz", {"a.yaml": text})
        return
    with pytest.raises(RefusedError) as caught:
        check_files("graz", {"a.yaml": text})
    assert (caught.value.code, "big has" in caught.value.message) == ("TPL005", True)


def test_a_million_lines_are_refused() -> None:
    text = "kind: ConfigMap\nmetadata:\n  name: big\ndata:\n  lines: |\n" + "    line of it\n" * 1_000_000
    with pytest.raises(RefusedError, match="takes 1,048,576"):
        check_files("graz", {"a.yaml": text})


def test_half_a_character_is_found_at_its_line() -> None:
    with pytest.raises(RefusedError, match=r"a.yaml:2 holds U\+D800"):
        check_files("graz", {"a.yaml": "kind: X\nx: \ud800\n"})
