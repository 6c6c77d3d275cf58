"""An organisation's policies in Rego: what they find, and what is said of wrong ones."""

import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest

from fleet.adapters.rego import policy_digest, policy_rules
from fleet.adapters.rego_engine import Failure, PolicyError
from fleet.adapters.rego_process import Engine
from fleet.app.explain import explanations
from fleet.app.policies import PolicyFile, Question, read_policies
from fleet.app.policy_answers import MAX_RESULTS, read_answer
from fleet.app.validate import report
from fleet.diagnostics.diagnostic import Diagnostic, FleetError
from fleet.diagnostics.explain import built_in
from fleet.diagnostics.sarif import sarif
from fleet.inventory.load import load_inventory
from fleet.inventory.rule import check
from fleet.inventory.source import SourceFile
from tests.factory import FACTORY, factory_files, factory_inventory, places

ORG001 = "# METADATA\n# title: A title\n# custom: {code: ORG001}\n"
PAGES = {code: known.page for code, known in built_in().items() if code.startswith("POL") and known.page}
EXAMPLE = re.compile(r"^```rego (wrong|right)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies"


def write(folder: Path, text: str, name: str = "a.rego") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def policy(body: str, package: str = "fleet.site") -> str:
    return f"package {package}\n\n{ORG001}{body}\n"


def found(folder: Path) -> list[Diagnostic]:
    """What the policies find in the example fleet, or what is wrong with them."""
    try:
        rules = policy_rules(folder)
    except PolicyError as error:
        return list(error.diagnostics)
    return sorted(check(factory_inventory(), rules), key=lambda d: d.sort_key)


def test_the_examples_policies_hold_on_the_example_fleet() -> None:
    assert places(found(FACTORY.parent / "policies")) == []
    codes = {rule.code: rule for rule in policy_rules(FACTORY.parent / "policies")}
    assert codes["ORG001"].summary == "A site says in which country it is"
    assert codes["ORG001"].package == codes["POL005"].package == "fleet"


def test_an_example_policy_fires_at_the_line_of_the_value() -> None:
    edits = {"sites/graz.yaml": [("country: at", "country: Austria")]}
    rules = policy_rules(FACTORY.parent / "policies")
    (diagnostic,) = check(factory_inventory(edits), rules)
    assert (diagnostic.code, diagnostic.severity, diagnostic.sites) == ("ORG001", "error", ("graz",))
    assert diagnostic.message == "Austria is no country's two letters in lower case"
    assert (diagnostic.span.path, diagnostic.span.line, diagnostic.span.column) == ("sites/graz.yaml", 6, 19)
    assert diagnostic.source_line == "labels: {country: Austria, line: assembly}"


def test_a_missing_value_is_shown_at_its_nearest_parent() -> None:
    edits = {"sites/graz.yaml": [("country: at, ", "")]}
    (diagnostic,) = check(factory_inventory(edits), policy_rules(FACTORY.parent / "policies"))
    assert places([diagnostic]) == ["ORG001 sites/graz.yaml:6 site graz has no label country"]
    assert diagnostic.help == "labels: {country: at}"


def test_a_finding_can_be_suppressed_explained_and_reported(folder: Path) -> None:
    write(
        folder, policy('deny contains {"msg": "no", "path": ["labels", "country"]} if input.name == "graz"')
    )
    rules = policy_rules(folder)
    files = factory_files({"sites/graz.yaml": [("assembly}", "assembly}  # fleet: ignore[ORG001] agreed")]})
    sources = {path: SourceFile(path, text.encode()) for path, text in files.items()}
    inventory, shape = load_inventory(sources.pop("fleet.yaml"), list(sources.values()))
    result = report(inventory, shape, rules)
    assert result.found == ()
    assert [(s.diagnostic.code, s.reason) for s in result.suppressed] == [("ORG001", "agreed")]
    known = explanations(rules)
    assert known["ORG001"].summary == "A title"
    (rule,) = sarif(result, known, "1")["runs"][0]["tool"]["driver"]["rules"]
    assert (rule["id"], rule["shortDescription"]) == ("ORG001", {"text": "A title"})


def test_warn_is_a_warning_and_a_text_is_a_result(folder: Path) -> None:
    write(folder, policy('warn contains sprintf("%s: \\"so\\"\\n so", [input.name]) if input.name == "graz"'))
    (diagnostic,) = found(folder)
    assert (diagnostic.code, diagnostic.severity) == ("ORG001", "warning")
    assert diagnostic.message == 'graz: "so" so'
    assert diagnostic.span.path == "sites/graz.yaml"


FLEET = """\
# METADATA
# custom: {sites: [azure]}
package fleet.fleet.groups

# METADATA
# title: A region holds one site
# custom: {code: ORG007}
deny contains {
	"msg": sprintf("%d sites are in %s", [count(names), region]),
	"site": min(names),
	"path": ["azure", "region"],
} if {
	some region, names in regions
	count(names) > 1
}

regions[region] contains name if {
	some name, site in input.sites
	region := site.azure.region
}

# METADATA
# title: The fleet has another name
# custom: {code: ORG008}
warn contains {"msg": "the name", "path": ["name"]} if {
	input.fleet.name == "factory"
	not input.sites.graz.kubernetes
}
"""


def test_a_policy_about_the_fleet_sees_all_sites(folder: Path) -> None:
    write(folder, FLEET)
    one, two = found(folder)
    assert (one.code, one.severity, one.span.path, one.source_line) == (
        "ORG008", "warning", "fleet.yaml", "name: factory",
    )  # fmt: skip
    assert (two.code, two.message, two.sites) == ("ORG007", "2 sites are in westeurope", ("graz",))


def test_values_reach_the_policy_as_they_are(folder: Path) -> None:
    odd = 'a"b\\c {{}} `x` # é 😀'
    edits = {"sites/graz.yaml": [("line: assembly", f"line: {json.dumps(odd, ensure_ascii=False)}")]}
    write(
        folder,
        policy(
            f"deny contains input.labels.line if input.labels.line == {json.dumps(odd, ensure_ascii=False)}"
        ),
    )
    assert [d.message for d in check(factory_inventory(edits), policy_rules(folder))] == [odd]


# Ways to look at the input: the engine is given only the keys that its plan takes from it.
LOOKS = {
    "a key": "x := input.name",
    "a key in brackets": 'x := input["name"]',
    "an unknown key": "some k in {name | name := input[_]}; is_string(k); x := k",
    "walk": "walk(input, [p, v]); p == [`name`]; x := v",
    "a function": "x := name_of(input)",
    "object.get": 'x := object.get(input, "name", "none")',
    "an alias": "x := site.name",
    "in": '"graz" in input; x := input.name',
    "every": "every k, v in input { k != `routing` }; x := input.name",
    "a comprehension": "o := {k: v | some k, v in input}; x := o.name",
    "with": 'x := named with input as {"name": input.name}',
    "equality": "i := input; x := i.name",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_input_is_whole_for_every_way_to_look_at_it(folder: Path, look: str) -> None:
    text = f"""\
package fleet.site

import input as site

{ORG001}deny contains {{"msg": sprintf("%v", [x])}} if {{
	count(input.azureLocal.nodes) == 3
	input.name == "graz"
	{look.replace("; ", chr(10) + chr(9))}
}}

name_of(o) := o.name

named := input.name
"""
    write(folder, text)
    assert "graz" in {d.message for d in found(folder)}, places(found(folder))


def test_a_site_that_changed_is_evaluated_again_and_rules_cross_processes(folder: Path) -> None:
    rules = policy_rules(FACTORY.parent / "policies")
    assert check(factory_inventory(), rules) == []
    wrong = factory_inventory({"sites/graz.yaml": [("country: at", "country: Austria")]})
    assert len(check(wrong, rules)) == 1
    assert check(wrong, pickle.loads(pickle.dumps(rules))) == check(wrong, rules)


def test_libraries_and_tests_are_no_policies(folder: Path) -> None:
    helpers = "is_long(n) if count(n) > 3\n\ndenied := [deny | some deny in []]\n\nx := data.y.deny\n"
    write(folder, f"package lib.names\n\n# deny[msg] is no rule here\n{helpers}", "lib/names.rego")
    write(folder, "package fleet.site_test\n\ntest_x if false\n", "a_test.rego")
    write(folder, "this is no rego", ".hidden/b.rego")
    body = 'deny contains "long" if names.is_long(input.name)'
    write(folder, f"package fleet.site\n\nimport data.lib.names\n\n{ORG001}{body}\n")
    assert [d.message for d in found(folder)] == ["long"] * 3


@pytest.mark.parametrize("code", sorted(PAGES))
@pytest.mark.parametrize("kind", ["wrong", "right"])
def test_the_examples_of_the_pages(folder: Path, code: str, kind: str) -> None:
    examples = dict(EXAMPLE.findall(PAGES[code]))
    write(folder, examples[kind])
    codes = {d.code for d in found(folder)}
    assert (code in codes) if kind == "wrong" else (codes == set()), places(found(folder))


def test_the_policies_in_the_documentation_are_policies(folder: Path) -> None:
    text = (FACTORY.parent.parent / "docs" / "policies.md").read_text(encoding="utf-8")
    for number, example in enumerate(re.findall(r"^```rego\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)):
        write(folder, example, f"{number}.rego")
    assert {"ORG001", "ORG020"} <= {rule.code for rule in policy_rules(folder)}
    assert places(found(folder)) == []


REFUSED = {
    "time.now_ns()": "time.now_ns is refused",
    'rand.intn("a", 10)': "rand.intn is refused",
    "opa.runtime().env": "opa.runtime is refused",
    'opa["runtime"]()': "opa.runtime is refused",
    'uuid.rfc4122("a")': "uuid.rfc4122 is refused",
    'http.send({"method": "get", "url": "http://127.0.0.1:9"})': "http.send is refused",
    'net.lookup_ip_addr("localhost")': "net.lookup_ip_addr is refused",
    'io.jwt.decode("a.b.c")': "io.jwt.decode is refused",
    '[y | y := time.now_ns()]': "time.now_ns is refused",
    'f("a") with f as uuid.rfc4122': "uuid.rfc4122 is refused",
    "lib.now(1)": "time.now_ns is refused",
    'net.cidr_contains("10.0.0.0/8", "10.1.0.0/16")': "the engine has no function net.cidr_contains",
    "foo.bar(1)": "the engine has no function foo.bar",
    "foo(1)": "the engine has no function foo",
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED.items(), ids=REFUSED)
def test_what_is_not_the_inventorys_is_refused_before_anything_runs(
    folder: Path, call: str, message: str
) -> None:
    write(
        folder,
        "package lib\n\nnow(x) := time.now_ns()\n" if call.startswith("lib") else "package lib\n",
        "l.rego",
    )
    text = f'package fleet.site\n\nimport data.lib\n\n{ORG001}deny contains {{"msg": x}} if {{\n\tx := {call}\n}}\n\nf(x) := x\n'
    write(folder, text)
    diagnostics = found(folder)
    assert {d.code for d in diagnostics} == {"POL004"}
    assert any(d.message.startswith(message) for d in diagnostics), places(diagnostics)
    if call.startswith("time"):
        assert (diagnostics[0].span.line, diagnostics[0].source_line) == (9, f"\tx := {call}")


BROKEN = {
    "syntax": (policy("deny contains x if {\n\tx := \n}"), "POL001", 7, "invalid assignment operator"),
    "unclosed": (policy("deny contains x if {"), "POL001", None, "can't be compiled"),
    "empty": ("", "POL001", 1, "names no package"),
    "no package": ("deny contains 1\n", "POL001", 1, "names no package"),
    "another package": (policy('deny contains "x"', "main"), "POL002", 6, "deny of package main"),
    "v0 of main": (policy('deny[msg] { msg := "x" }', "main"), "POL002", 6, "deny of package main"),
    "complete in main": (policy('deny := ["x"]', "main"), "POL002", 6, "deny of package main"),
    "default in main": (policy("default deny := false", "main"), "POL002", 6, "deny of package main"),
    "violation in main": (policy('violation contains "x"', "main"), "POL002", 6, "violation of package main"),
    "conftest's in main": (policy('deny_x contains "x"', "main"), "POL002", 6, "deny_x of package main"),
    "near package": (policy('deny contains "x"', "fleet.stie"), "POL002", 1, "fleet.stie is not evaluated"),
    "v0": (policy('deny[msg] { msg := "x" }'), "POL002", 6, "a rule deny of this form"),
    "complete": (policy('deny := ["x"]'), "POL002", 6, "a rule deny of this form"),
    "violation": (policy('violation contains "x"'), "POL002", 6, "a rule violation of this form"),
    "named as in conftest": (policy('deny_x contains "x"'), "POL002", 6, "a rule deny_x of this form"),
    "no rule": ("package fleet.site\n\nx := 1\n", "POL002", 1, "so it checks nothing"),
    "no code": ('package fleet.site\n\ndeny contains "x"\n', "POL003", 3, "declares no code"),
    "our code": (policy('deny contains "x"').replace("ORG001", "NET001"), "POL003", 3, "NET001 begins as"),
    "our prefix": (policy('deny contains "x"').replace("ORG001", "NET999"), "POL003", 3, "NET999 begins as"),
    "no such code": (
        policy('deny contains "x"').replace("ORG001", "org-1"),
        "POL003",
        3,
        "'org-1' is no code",
    ),
    "code a number": (policy('deny contains "x"').replace("ORG001", "17"), "POL003", 3, "17 is no code"),
    "no title": (policy('deny contains "x"').replace("title", "titel"), "POL003", 3, "ORG001 has no title"),
    "bad yaml": (policy('deny contains "x"').replace("{code", "[code"), "POL003", None, "is not YAML"),
    "twice": (policy('deny contains "x"') + f'{ORG001}warn contains "y"\n', "POL003", 7, "declared twice"),
    "sites": (FLEET.replace("[azure]", "[azuer]"), "POL003", 1, "a site has no 'azuer'"),
}


@pytest.mark.parametrize(("text", "code", "line", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_policy_is_told_with_its_line(
    folder: Path, text: str, code: str, line: int | None, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write(folder, text)
    with pytest.raises(PolicyError) as caught:
        policy_rules(folder)
    diagnostics = caught.value.diagnostics
    hit = [d for d in diagnostics if d.code == code and message in d.message]
    assert hit, places(diagnostics)
    assert line is None or hit[0].span.line == line
    assert caught.value.exit_code == 4
    assert "a.rego:" in caught.value.message
    assert capfd.readouterr() == ("", "")  # the engine has a voice of its own


def test_every_broken_file_is_told(folder: Path) -> None:
    write(folder, policy("deny contains x if {\n\tx := \n}"), "a.rego")
    write(folder, policy("deny contains x if {\n\tx := \n}").replace("ORG001", "ORG002"), "b.rego")
    with pytest.raises(PolicyError) as caught:
        policy_rules(folder)
    assert [d.span.path.rpartition("/")[2] for d in caught.value.diagnostics] == ["a.rego", "b.rego"]
    assert caught.value.message.endswith("(and 1 more)")


RESULTS = {
    "a number": ("deny contains 1", "POL006", "a result is a number"),
    "no msg": ('deny contains {"code": "ORG001"}', "POL006", "no msg"),
    "an unknown key": ('deny contains {"msg": "x", "_loc": 1}', "POL006", "a key '_loc'"),
    "a site in a site's": ('deny contains {"msg": "x", "site": "graz"}', "POL006", "a key 'site'"),
    "path a text": ('deny contains {"msg": "x", "path": "labels.country"}', "POL006", "the path"),
    "path of truth": ('deny contains {"msg": "x", "path": [true]}', "POL006", "the path"),
    "an undeclared code": ('deny contains {"code": "ORG002", "msg": "x"}', "POL007", "it gives ORG002"),
    "a builtin code": ('deny contains {"code": "NET001", "msg": "x"}', "POL007", "it gives NET001"),
    "an unknown path": ('deny contains {"msg": "x", "path": ["lables"]}', "POL008", "begins with 'lables'"),
    "a failure": ("deny contains x if x := to_number(input.name)", "POL005", "can't be evaluated here"),
    "a division": ("deny contains x if x := 1 / count(input.azure.tags)", "POL005", "can't be evaluated"),
    "two values": ('deny contains x if x := v\n\nv := "a"\n\nv := "b"', "POL005", "can't be evaluated"),
    "itself": ('deny contains "x" if v\n\nv if w\n\nw if v', "POL005", "Recursion"),
    "cut in an escape": ("deny contains substring(input.labels.cut, 0, 2)", "POL005", "can't be evaluated"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "code", "message"), RESULTS.values(), ids=RESULTS)
def test_a_result_that_cant_be_used_is_a_finding(folder: Path, body: str, code: str, message: str) -> None:
    write(folder, policy(body))
    edits = {"sites/graz.yaml": [("line: assembly", "line: assembly, cut: 'a\"b'")]}
    diagnostics = check(factory_inventory(edits), policy_rules(folder))
    hit = [d for d in diagnostics if d.code == code and message in d.message]
    assert hit, places(diagnostics)
    assert "policy data.fleet.site.deny: " in hit[0].message
    assert (code == "POL008") == ("ORG001" in {d.code for d in diagnostics})  # that finding is kept


def test_a_failure_at_one_site_does_not_hide_the_others(folder: Path) -> None:
    write(folder, policy('deny contains "x" if to_number(input.labels.line) > 0'))
    edits = {"sites/graz.yaml": [("line: assembly", 'line: "7"')]}
    diagnostics = check(factory_inventory(edits), policy_rules(folder))
    assert sorted((d.code, d.sites) for d in diagnostics) == [
        ("ORG001", ("graz",)), ("POL005", ("narvik",)), ("POL005", ("turin",)),
    ]  # fmt: skip


def test_an_input_that_the_engine_does_not_take_is_a_failure(folder: Path) -> None:
    write(folder, policy('deny contains "x"'))
    files = (PolicyFile("a.rego", (folder / "a.rego").read_text()),)
    engine = Engine(files, read_policies(files, ()).questions)
    with pytest.raises(Failure):
        engine.give('{"a": ')
    engine.give('{"a": 1}')
    assert engine.ask(read_policies(files, ()).questions[0]) == ["x"]


def test_a_text_needs_one_declared_code(folder: Path) -> None:
    text = policy('deny contains "x"') + ORG001.replace("ORG001", "ORG002") + 'deny contains "y"\n'
    write(folder, text)
    assert {d.code for d in found(folder)} == {"POL007"}


def test_much_output_is_cut_and_told(folder: Path) -> None:
    write(folder, policy('deny contains sprintf("%d", [n]) if some n in numbers.range(1, 150)'))
    diagnostics = [d for d in found(folder) if d.sites == ("graz",)]
    assert sum(d.code == "ORG001" for d in diagnostics) == MAX_RESULTS
    assert [d.message for d in diagnostics if d.code == "POL006"] == [
        "policy data.fleet.site.deny: it holds 150 results; the first 100 are shown"
    ]
    question = Question("fleet.site", "deny", ("ORG001",))
    ((_, finding),) = read_answer(question, ["x" * 9000], ())
    assert len(finding.message) == 500


def test_a_secret_in_a_message_is_not_shown(folder: Path) -> None:
    key = "AccountKey=" + "a" * 60
    write(folder, policy(f'deny contains "{key}" if input.name == "graz"'))
    (diagnostic,) = found(folder)
    assert key not in repr(diagnostic)


def test_files_that_cant_be_policies(folder: Path, tmp_path: Path) -> None:
    (folder / "latin.rego").write_bytes("package fleet.site # é\n".encode("latin-1"))
    (folder / "nul.rego").write_bytes(b"package fleet.site\n\0")
    (folder / "large.rego").write_bytes(b"#" * 1_000_001)
    (folder / "folder.rego").mkdir()
    (tmp_path / "outside.rego").write_text(policy('deny contains "x"'))
    (folder / "out.rego").symlink_to(tmp_path / "outside.rego")
    (folder / "gone.rego").symlink_to(tmp_path / "gone")
    (folder / "circle.rego").symlink_to(folder / "circle.rego")
    with pytest.raises(PolicyError) as caught:
        policy_rules(folder)
    told = {d.span.path.rpartition("/")[2]: d.message for d in caught.value.diagnostics}
    assert told.keys() == {p.name for p in folder.iterdir()}
    assert "leads out of" in told["out.rego"]
    assert told["latin.rego"] == "not UTF-8"
    with pytest.raises(PolicyError):
        policy_digest(folder)


def test_a_folder_without_policies_is_told(folder: Path) -> None:
    write(folder, "package x\n", "x_test.rego")
    for path in (folder, folder / "none"):
        with pytest.raises(FleetError) as caught:
            policy_rules(path)
        assert (caught.value.code, caught.value.exit_code) == ("POL010", 2)


def test_without_the_engine_one_is_told_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, policy('deny contains "x"'))
    monkeypatch.setitem(sys.modules, "regopy", None)
    with pytest.raises(FleetError) as caught:
        policy_rules(folder)
    assert (caught.value.code, caught.value.exit_code) == ("POL009", 11)
    assert "pip install regopy" in caught.value.help
    assert policy_digest(folder).startswith("sha256:")


def test_the_digest_follows_the_files_that_count(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(FACTORY.parent / "policies", folder)
    before = policy_digest(folder)
    assert policy_digest(folder) == before
    write(folder, "package x\n", "more_test.rego")
    assert policy_digest(folder) == before
    write(folder, (folder / "country.rego").read_text() + "\n", "country.rego")
    assert policy_digest(folder) != before


def test_a_metadata_block_is_about_the_rule_below_it() -> None:
    text = policy('deny contains "x"').replace("# title", "# description: |\n#   Why.\n#\n#   More.\n# title")
    text += "\n# METADATA\n# title: not a policy\nx := 1\n"
    policies = read_policies([PolicyFile("a.rego", text.replace("\n", "\r\n"))], ())
    assert policies.wrong == ()
    (declared,) = policies.declared
    assert declared.page == "# ORG001: A title\n\nWhy.\n\nMore.\n"
    assert declared.source == "a.rego"


def test_grpc_in_the_same_process_does_no_harm(folder: Path) -> None:
    """Both in one process abort it: the engine runs in another."""
    import grpc

    assert grpc.__version__
    write(folder, policy('deny contains "x"'))
    assert len(found(folder)) == 3


def test_an_engine_that_ends_is_a_finding(folder: Path) -> None:
    files = (PolicyFile("a.rego", policy('deny contains "x"')),)
    question = read_policies(files, ()).questions[0]
    engine = Engine(files, (question,))
    engine.give("{}")
    assert engine.ask(question) == ["x"]
    engine._process.kill()
    for _ in range(2):
        with pytest.raises(Failure, match="the engine has ended"):
            engine.ask(question)
