"""What is kept between runs never changes what is found, and only what changed is looked at again."""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.adapters import inventory_files
from fleet.adapters.inventory_files import InventoryFolder, SiteFileOnDisk, read_inventory
from fleet.adapters.validation_cache import ValidationCache, cache_key, cache_path
from fleet.app.check_files import Checked, SiteResult, check_files
from fleet.app.validate import report
from fleet.cli import exits, inventory_commands
from fleet.cli.main import main
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.joins import Range, disjoint, one_site_each
from fleet.inventory.rule import Across, Finding, FleetFacts, Rule, check, installed_rules
from fleet.inventory.source import SourceFile
from tests.bench.generate_fleet import generate
from tests.factory import factory_inventory

LATER = 10_000_000_000
"""Nanoseconds after which the times of a file tell whether it changed."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    generate(8, folder)
    return folder


@pytest.fixture
def fleet(generated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated, tmp_path / "fleet"))


def cached(folder: Path, rules: tuple[Rule, ...], *, after: int = 0) -> Checked:
    """A run with what earlier ones kept in the folder beside it; `after` is added to its clock."""
    place = InventoryFolder.at(folder)
    source = place.fleet_file()
    assert isinstance(source, SourceFile)
    key = cache_key(source, rules)
    assert key is not None
    path = cache_path(folder.parent / "ws", place.fleet_path)
    now = max((p.lstat().st_ctime_ns for p in folder.rglob("*")), default=0) + after
    cache = ValidationCache(path, key, source.path, lambda: now)
    files, unlisted = place.site_files()
    checked = check_files(source, files, rules, cache, unlisted)
    cache.save()
    return checked


def assert_same_as_without(folder: Path, checked: Checked, rules: tuple[Rule, ...]) -> None:
    inventory, shape = read_inventory(folder)
    assert checked.report == report(inventory, shape, rules)
    assert len(checked.files) == (inventory.site_files if inventory else 0)
    assert list(checked.sites) == ([site.name for site in inventory.sites] if inventory else [])


# --- edits


def sites(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "sites").rglob("*.yaml") if path.is_file())


def text(path: Path) -> str:
    return path.read_text(errors="surrogateescape")


def write(path: Path, new: str) -> None:
    path.write_text(new, errors="surrogateescape")


def replaced(path: Path, old: str, new: str) -> None:
    write(path, text(path).replace(old, new, 1))


def line_of_another(folder: Path, choose: random.Random) -> None:
    """A site takes a name, a vault or a network from another one."""
    one, other = choose.choice(sites(folder)), choose.choice(sites(folder))
    key = choose.choice(["name: ", "keyVault: ", "cidr: ", "clusterName: ", "registry: ", "ring: "])
    theirs = [line for line in text(other).splitlines() if key in line]
    own = [line for line in text(one).splitlines() if key in line]
    if theirs and own:
        replaced(one, choose.choice(own), choose.choice(theirs))


def one_vault_for_all(folder: Path, choose: random.Random) -> None:
    comment = choose.choice(["", "  # fleet: ignore[FLT003] why", "  # fleet: ignore[FLT003]"])
    for path in choose.sample(sites(folder), 3):
        replaced(path, "keyVault: ", f"keyVault: kv-fleet{comment}  # ")


def word_in_a_site(folder: Path, choose: random.Random) -> None:
    old, new = choose.choice(
        [
            ("ring: ", "ring: x"), ("vip: 10", "vip: 11"), ("azureLocal", "azureLokal"), ("ip: ", "ip: x"),
            ("kubernetes:\n", "kubernetes:\n  version: 1.2\n"), ("10.0.", "10.1."), (": {", ": }"),
            ("tools:", "agents: {maf-agent-api: {replicas: 100000000}}\ntools:"), ("profile: ", "profile: no-"),
            ("profile: pilot", "profile: gpu-cluster"), ("clusterName: ", "clusterName: password="),
        ]
    )  # fmt: skip
    replaced(choose.choice(sites(folder)), old, new)


def comment_in_a_site(folder: Path, choose: random.Random) -> None:
    path = choose.choice(sites(folder))
    lines = text(path).splitlines() or [""]
    comment = choose.choice(["NET010] why", "NET010, K8S002, FLT003] why", "XYZ] why", "NET010]"])
    lines.insert(choose.randrange(len(lines)), f"# fleet: ignore[{comment}")
    write(path, "\n".join(lines) + "\n")


def other_bytes(folder: Path, choose: random.Random) -> None:
    choose.choice(sites(folder)).write_bytes(
        choose.choice([b"", b"\xff\xfe", b"a: [", b"- 1\n", b"a: 1\na: 2\n"])
    )


def files(folder: Path, choose: random.Random) -> None:
    path = choose.choice(sites(folder))
    target = path.parent / choose.choice(["", "more"]) / f"{choose.randrange(20)}.yaml"
    target.parent.mkdir(exist_ok=True)
    action = choose.choice(["copy", "rename", "remove", "touch", "link", "folder"])
    if action == "remove" and len(sites(folder)) > 4:
        path.unlink()
    elif action == "touch":
        os.utime(path)
    elif not target.exists():
        match action:
            case "copy":
                shutil.copy(path, target)
            case "rename":
                path.rename(target)
            case "link":
                target.symlink_to(path)
            case "folder" if not list(folder.rglob("folder.yaml")):
                (path.parent / "folder.yaml").mkdir()


def fleet_file(folder: Path, choose: random.Random) -> None:
    old, new = choose.choice(
        [
            ("# ", "# more\n# "), ("region: westeurope", "region: eastus"), ("count: 1", "count: 2"),
            ("  - name: last", "  - name: spare\n  - name: last"), ("soakMinutes: 60", "soakMinutes: 5"),
            ("linkMbps: 50", "linkMbps: 1"), ("rings:", "rinks:"), ("environment: prod", "environment: dev"),
            ("region: ", "regoin: "), ("storageGib: 500", "storageGib: 5  # fleet: ignore[CAP001] why"),
        ]
    )  # fmt: skip
    replaced(folder / "fleet.yaml", old, new)


def undo(original: Path, folder: Path, choose: random.Random) -> None:
    """Most files as they were, and some of the new ones gone."""
    for path in (folder / "sites").rglob("*.yaml"):
        first = original / "sites" / path.name
        if choose.random() < 0.8 and not path.is_dir():
            path.unlink()
            if first.exists():
                shutil.copy(first, path)
    for first in sites(original):
        if len(sites(folder)) < 6:
            shutil.copy(first, folder / "sites" / first.name)
    shutil.copy(original / "fleet.yaml", folder / "fleet.yaml")


EDITS = (
    line_of_another, line_of_another, one_vault_for_all, word_in_a_site, comment_in_a_site, other_bytes, files,
    files, fleet_file,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_whatever_changes_the_same_is_found_with_and_without_a_cache(
    seed: int, generated: Path, fleet: Path
) -> None:
    choose, rules = random.Random(seed), installed_rules()
    seen = set()
    for step in range(50):
        for edit in choose.choices(EDITS, k=choose.randint(0, 3)):
            edit(fleet, choose)
        if step % 3 == 2:
            undo(generated, fleet, choose)
        checked = cached(fleet, rules, after=choose.choice([0, LATER]))
        assert_same_as_without(fleet, checked, rules)
        seen |= {d.code for d in checked.report.found}
        seen |= {f"-{s.diagnostic.code}" for s in checked.report.suppressed}
    # The edits reach what they are meant to.
    assert {"INV010", "INV014", "FLT003", "-FLT003"} <= seen


@pytest.mark.parametrize("output", ["text", "json", "sarif", "junit", "github", "azure"])
def test_every_format_is_the_same_to_the_byte(
    output: str, fleet: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_commands, "LEAST_CACHED", 1)
    for path in sites(fleet)[:2]:
        replaced(path, "keyVault: ", "keyVault: kv-same # ")
    command = ["validate", "-i", str(fleet), "-o", output, "--workspace", str(fleet.parent / "ws")]
    printed = []
    for more in ([], [], ["--no-cache"]):
        assert main([*command, *more]) == exits.VALIDATION
        printed.append(capfdbinary.readouterr())
    assert printed[0] == printed[1] == printed[2]
    assert list((fleet.parent / "ws" / "cache").iterdir())


def test_a_small_fleet_leaves_nothing_behind(fleet: Path) -> None:
    assert main(["validate", "-i", str(fleet), "--workspace", str(fleet.parent / "ws")]) == exits.OK
    assert not (fleet.parent / "ws").exists()


# --- what is read


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The site files that are read from now on."""
    names: list[str] = []
    read = inventory_files._read

    def counted(path: str | Path, shown: str, refused: str | None = None) -> SourceFile | Diagnostic:
        names.append(Path(path).name)
        return read(path, shown)

    monkeypatch.setattr(inventory_files, "_read", counted)
    return names


def test_only_the_changed_file_is_read_again(fleet: Path, reads: list[str]) -> None:
    rules = installed_rules()
    cached(fleet, rules, after=LATER)
    assert len(reads) == 1 + 8
    path = sites(fleet)[3]
    replaced(path, "line: ", "line: x")
    reads.clear()
    cached(fleet, rules, after=LATER)
    assert set(reads) == {"fleet.yaml", path.name}


def test_a_finding_across_sites_reads_no_more_than_its_site(fleet: Path, reads: list[str]) -> None:
    rules = installed_rules()
    one, other = sites(fleet)[2], sites(fleet)[5]
    cached(fleet, rules, after=LATER)
    vault = next(line for line in other.read_text().splitlines() if "keyVault" in line)
    own = next(line for line in one.read_text().splitlines() if "keyVault" in line)
    replaced(one, own, vault)
    reads.clear()
    checked = cached(fleet, rules, after=LATER)
    assert [(d.code, d.sites) for d in checked.report.found] == [("FLT003", (other.stem,))]
    assert set(reads) == {"fleet.yaml", one.name, other.name}


def test_a_file_that_changed_just_before_is_compared_by_its_content(fleet: Path, tmp_path: Path) -> None:
    """Its size and times may be those of another content: git calls that racily clean."""
    path, state = sites(fleet)[0], (10, 5_000_000_000, 5_000_000_000, 7)
    file = SiteFileOnDisk("shown", "sites/a.yaml", str(path), state, False)
    result = SiteResult("a", None, "canary", (), facts={"X": [("a", 1)]})
    for now, trusted in ((5_000_000_001, False), (5_000_000_000 + LATER, True)):
        cache = ValidationCache(tmp_path / "ws" / "cache" / "c", "key", "fleet.yaml", lambda now=now: now)
        cache.put(file, SourceFile("shown", path.read_bytes()), result)
        cache.save()
        again = ValidationCache(tmp_path / "ws" / "cache" / "c", "key", "fleet.yaml")
        assert again.get(file) == result
        replaced(path, "ring: ", "ring:  ")
        again = ValidationCache(tmp_path / "ws" / "cache" / "c", "key", "fleet.yaml")
        assert (again.get(file) is not None) is trusted


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-9] + b"x" + data[-8:],
        lambda data: data.replace(b"[2,", b"[1,", 1),
        lambda data: b"\xff" * 100,
        lambda data: b"[" * 100_000,
        lambda data: b'{"a": 1}\n[]',
    ],
)
def test_a_damaged_or_old_cache_is_ignored_and_written_anew(
    damage: Callable[[bytes], bytes], fleet: Path, reads: list[str]
) -> None:
    rules = installed_rules()
    cached(fleet, rules, after=LATER)
    [path] = (fleet.parent / "ws" / "cache").iterdir()
    data = path.read_bytes()
    path.write_bytes(damage(data))
    assert path.read_bytes() != data
    reads.clear()
    assert_same_as_without(fleet, cached(fleet, rules, after=LATER), rules)
    assert len(reads) > 8
    assert path.read_bytes() == data


def test_a_workspace_that_can_not_be_written_costs_nothing_but_time(fleet: Path) -> None:
    (fleet.parent / "ws").write_text("a file where the folder should be")
    assert_same_as_without(fleet, cached(fleet, installed_rules()), installed_rules())


# --- rules


def test_the_key_changes_with_the_code_and_the_policies_of_rules(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lib" / "org_rules_for_a_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def check(site, inventory):\n    return ()\n")
    (package / "limits.yaml").write_text("most: 1\n")
    monkeypatch.syspath_prepend(str(package.parent))
    import org_rules_for_a_test

    source = SourceFile("fleet.yaml", (fleet / "fleet.yaml").read_bytes())
    rule = Rule("ORG001", "s", "s", check_site=org_rules_for_a_test.check)
    keys = [cache_key(source, (rule,)), cache_key(source, (rule,))]
    (package / "limits.yaml").write_text("most: 2\n")
    keys.append(cache_key(source, (rule,)))
    (package / "__init__.py").write_text("def check(site, inventory):\n    return []\n")
    keys.append(cache_key(source, (rule,)))
    keys.append(cache_key(source, (Rule("ORG001", "s", "s", check_site=rule.check_site, version="2"),)))
    keys.append(cache_key(source, (Rule("ORG001", "s", "s", "warning", check_site=rule.check_site),)))
    keys.append(cache_key(SourceFile("fleet.yaml", source.content + b"#"), (rule,)))
    assert None not in keys
    assert keys[0] == keys[1]
    assert len(set(keys)) == 6
    sys.modules.pop("org_rules_for_a_test")


def test_a_rule_whose_code_can_not_be_found_is_never_taken_for_unchanged() -> None:
    def check_site(site: Site, inventory: Inventory) -> Iterable[Finding]:
        return ()

    check_site.__module__ = "no_such_package.rules"
    rule = Rule("ORG001", "s", "s", check_site=check_site)
    assert cache_key(SourceFile("fleet.yaml", b""), (rule,)) is None


def neighbours(site: Site, inventory: Inventory) -> Iterator[Finding]:
    if site.name.startswith("z"):
        yield Finding(("ring",), f"{len(inventory.sites)} sites, {inventory.site_files} files")


def test_a_site_whose_rule_looks_at_others_is_checked_in_every_run(fleet: Path) -> None:
    rules = (Rule("ORG001", "s", "s", check_site=neighbours),)
    first = sites(fleet)[0]
    replaced(first, f"name: {first.stem}", "name: zell")
    for expected in ("8 sites, 8 files", "7 sites, 7 files"):
        checked = cached(fleet, rules, after=LATER)
        assert [d.message for d in checked.report.found] == [expected]
        assert_same_as_without(fleet, checked, rules)
        sites(fleet)[3].unlink()


def whole(inventory: Inventory) -> Iterator[Finding]:
    yield Finding(("rings",), ",".join(s.spec.ring for s in inventory.sites))
    yield Finding(("ring",), "at the last", site=inventory.sites[-1].name)


def test_a_rule_about_the_whole_fleet_sees_it_as_it_is_now(fleet: Path) -> None:
    rules = (Rule("ORG001", "s", "s", check_fleet=whole),)
    for _ in range(2):
        checked = cached(fleet, rules, after=LATER)
        assert len(checked.report.found) == 2
        assert_same_as_without(fleet, checked, rules)
        replaced(sites(fleet)[0], "ring: ", "ring: last # ")


def test_a_fact_that_can_not_be_kept_is_refused() -> None:
    rule = Rule("ORG001", "s", "s", across=Across(lambda f: (), lambda s, i: [(s.name, ("nested",))]))
    inventory = factory_inventory()
    with pytest.raises(TypeError, match=r"ORG001: .*is no fact"):
        rule.facts_of(inventory.sites[0], inventory)


def test_a_key_may_be_given_twice_by_one_site_but_not_by_two() -> None:
    keys = one_site_each(
        "tag", lambda s: [(("name",), (s.name[0],)), (("ring",), ("t",)), (("ring",), ("t",))], "why"
    )
    found = check(factory_inventory(), (Rule("ORG001", "s", "s", across=keys),))
    # graz and turin both are in capital letters elsewhere; each of the three gives "t".
    assert sorted(d.message for d in found) == [
        "narvik's tag 't' is graz's already",
        "narvik's tag 't' is graz's already",
        "turin's tag 't' is graz's already",
        "turin's tag 't' is graz's already",
        "turin's tag 't' is graz's already",
    ]
    assert {d.help for d in found} == {"why"}


rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xy"), st.integers(0, 30), st.integers(-1, 9)),
    max_size=12,
)


@given(rows)
@settings(max_examples=200, deadline=None)
def test_ranges_overlap_exactly_where_each_pair_says_so(given_rows: list[tuple[str, str, int, int]]) -> None:
    """A site has a finding only for a range that overlaps another site's; and none are missed altogether."""
    facts = [
        (site, (domain, first, first + length, f"{first}", "path", number))
        for number, (site, domain, first, length) in enumerate(sorted(given_rows))
        if length >= 0
    ]
    across = disjoint(lambda s: [Range("x", IPv4Address(0), IPv4Address(1), (), "")])
    found = list(across.join(FleetFacts(facts, (), frozenset(), {})))

    def overlapping(one: int, site: str) -> bool:
        a = next(fact for _, fact in facts if fact[5] == one)
        return any(other != site and b[0] == a[0] and b[1] <= a[2] and a[1] <= b[2] for other, b in facts)

    assert all(f.site is not None and overlapping(int(f.path[1]), f.site) for f in found)
    assert bool(found) == any(overlapping(fact[5], site) for site, fact in facts)


def test_the_file_of_the_cache_is_plain_lines_of_json(fleet: Path) -> None:
    cached(fleet, installed_rules())
    [path] = (fleet.parent / "ws" / "cache").iterdir()
    assert (
        len([json.loads(line) for line in path.read_text().splitlines()]) == 2 + 8
    )  # a head, and what sites share
    assert (fleet.parent / "ws").stat().st_mode & 0o777 == 0o700
