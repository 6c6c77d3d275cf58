"""What a pull request is told of a plan, and what two revisions of an inventory are found to differ in."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleet.app.compare import field_changes
from fleet.cli import exits
from fleet.cli.main import main
from fleet.cli.plan_markdown import LIMIT, Heading, code, errors_markdown, plan_markdown
from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.plan.comparison import FieldChange, SiteComparison, leaf_changes
from fleet.plan.site_plan import FileChanges, PlannedChange, SitePlan
from tests.factory import FACTORY, factory_inventory


def comparison(site: str, *changes: PlannedChange, fields: tuple[FieldChange, ...] = ()) -> SiteComparison:
    plan = SitePlan(
        site, "broad", "sha256:1", "sha256:2", changes, 3, FileChanges(changed=(f"sites/{site}.yaml",))
    )
    return SiteComparison("changed", plan, fields)


def test_sites_in_which_the_same_changes_are_one_entry() -> None:
    many = [comparison(f"s{n}", PlannedChange("update", "t", f"s{n}-aks", ("a.b",))) for n in range(9_999)]
    other = comparison("odd", PlannedChange("delete", "t", "odd-aks"))
    text = plan_markdown([other, *many], 10_000, Heading("base"))
    assert text.count("<details>") == 2
    assert "<summary>9,999 sites like s0: 1 update, ~1 manifests</summary>" in text
    assert "<summary>odd (broad): 1 delete, ~1 manifests</summary>" in text
    assert "| update | 9,999 resources | 9999 |" in text
    assert "| **delete** | 1 resource | 1 |" in text
    assert "and 9979 more" in text
    assert text.index("9,999 sites like") < text.index("odd (broad)")


def test_it_is_never_longer_than_a_comment_may_be() -> None:
    changes = tuple(PlannedChange("update", "t" * 300, "n" * 300 + str(n), ("p" * 300,)) for n in range(500))
    many = [comparison(f"s{n}", *changes[n:]) for n in range(400)]
    text = plan_markdown(many, 400, Heading("base", removed=tuple(f"gone-{n}" for n in range(5_000))))
    assert len(text) <= LIMIT < 65_536
    assert text.count("<details>") == text.count("</details>") >= 1
    left = re.search(r"… and (\d+) more, which did not fit here", text)
    assert left is not None
    assert int(left[1]) + text.count("<details>") == 400


def test_all_failed_still_fits() -> None:
    failed = [
        SiteComparison("changed", SitePlan(f"s{n}", "r", "", "", error="E" * 5_000)) for n in range(900)
    ]
    text = plan_markdown(failed, 900, Heading())
    assert len(text) <= LIMIT
    assert "**900 sites could not be planned:**" in text
    assert "0 of 900 sites would change" in text


@pytest.mark.parametrize(
    "hostile",
    [
        "`",
        "``",
        "a`b",
        "![x](https://evil.example/p.png)",
        "@everyone",
        "</details>",
        "|",
        "x\n\n# heading",
        "\x1b[31m",
    ],
)
def test_words_of_an_inventory_stay_in_their_code_span(hostile: str) -> None:
    field = FieldChange("labels.x", hostile, None)
    text = plan_markdown([comparison("graz", fields=(field,))], 1, Heading("base"))
    (line,) = [line for line in text.splitlines() if line.startswith("- `labels.x`: ")]
    value = line.removeprefix("- `labels.x`: ").removesuffix(" → not set")
    fence = re.match("`+", value)[0]  # type: ignore[index]
    assert value.endswith(fence)
    assert fence not in value[len(fence) : -len(fence)]
    assert "\x1b" not in text
    assert text.count("</details>") - (hostile == "</details>") == 1


def test_a_code_span_is_one_short_line() -> None:
    assert code("a\n  b") == "`a b`"
    assert code("") == "` `"
    assert len(code("x" * 1_000)) < 130


def test_errors_are_told_with_place_and_help() -> None:
    found = [
        Diagnostic("NET003", "error", "an `address` is taken", Span("sites/a.yaml", 15, 3, 15, 9), "move it"),
        Diagnostic("NET009", "warning", "narrow", Span("sites/a.yaml", 16, 3, 16, 9)),
    ]
    text = errors_markdown(found)
    assert "the inventory has 1 error\n" in text
    assert "- `sites/a.yaml:15` **NET003** ``an `address` is taken``<br>help: `move it`" in text
    assert "NET009" not in text
    assert len(errors_markdown(found * 2_000)) <= LIMIT


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, None)]),
        ({}, {"a": {"b": 1}}, [("a", None, {"b": 1})]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("a[1]", 2, 3)]),
        ({"a": [1]}, {"a": [0, 1]}, [("a", [1], [0, 1])]),
        ({"a": 1}, {"a": "1"}, [("a", 1, "1")]),
    ],
)
def test_leaves_that_differ(
    before: object, after: object, expected: list[tuple[str, object, object]]
) -> None:
    assert [(c.path, c.before, c.after) for c in leaf_changes(before, after)] == expected


def test_a_secret_that_a_change_takes_away_is_not_shown() -> None:
    site = factory_inventory().sites[0].spec
    secret = "sk-" + "abcdefghij" * 3
    leaky = site.model_copy(update={"labels": {"note": secret}})
    (change, *_) = [c for c in field_changes(leaky, site) if c.path.startswith("labels.note")]
    assert (change.before, change.after) == ("[secret]", None)


# --- the command


@pytest.fixture
def revisions(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("base", "head"):
        shutil.copytree(FACTORY, tmp_path / name)
    return tmp_path / "base", tmp_path / "head"


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def plan(revisions: tuple[Path, Path], *arguments: str) -> int:
    base, head = revisions
    return main(["plan", "-i", str(head), "--base", str(base), "-j", "1", *arguments])


def test_nothing_differs(revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(revisions, "-o", "markdown", "--detailed-exitcode") == exits.OK
    text = capsys.readouterr().out
    assert "0 of 3 sites would change" in text
    assert "<details>" not in text


def test_a_changed_a_new_and_a_removed_site(
    revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, head = revisions
    edit(head, "fleet.yaml", "version: 1.30.4", "version: 1.30.9")
    (base / "sites" / "turin.yaml").unlink()
    (head / "sites" / "narvik.yaml").unlink()
    assert plan(revisions, "-o", "json", "--detailed-exitcode") == exits.CHANGES
    document = json.loads(capsys.readouterr().out)
    sites = {site["site"]: site for site in document["sites"]}
    assert document["removed"] == ["narvik"]
    assert (sites["turin"]["standing"], sites["graz"]["standing"]) == ("new", "changed")
    assert sites["graz"]["fields"] == [{"path": "kubernetes.version", "before": "1.30.4", "after": "1.30.9"}]
    (change,) = sites["graz"]["changes"]
    assert (change["op"], change["name"]) == ("update", "provisioned-cluster")
    assert {change["op"] for change in sites["turin"]["changes"]} == {"create"}
    assert plan(revisions, "-o", "markdown") == exits.OK
    text = capsys.readouterr().out
    assert "2 of 2 sites would change" in text
    assert "**1 site no longer in the inventory:** `narvik`" in text
    assert "new site, " in text


def certificate(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_file_beside_the_inventory_that_differs_is_seen(
    revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in revisions:
        edit(folder, "sites/graz.yaml", "registry: {host: ", "registry: {caFile: ca.pem, host: ")
        (folder / "ca.pem").write_bytes(certificate("one"))
    (revisions[0] / "ca.pem").write_bytes((revisions[1] / "ca.pem").read_bytes())
    assert plan(revisions, "-o", "json") == exits.OK
    assert json.loads(capsys.readouterr().out)["sites"] == []
    (revisions[1] / "ca.pem").write_bytes(certificate("another"))
    assert plan(revisions, "-o", "json") == exits.OK
    (graz,) = json.loads(capsys.readouterr().out)["sites"]
    assert (graz["site"], graz["fields"]) == ("graz", [])
    assert [(c["op"], c["name"]) for c in graz["changes"]] == [("update", "flux-configuration")]


def test_an_earlier_revision_with_errors_is_compared_as_far_as_it_goes(
    revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(revisions[0], "sites/graz.yaml", "kind: Site", "kind: Site\nunknown: 1")
    assert plan(revisions, "-o", "markdown") == exits.OK
    assert "> the earlier revision has errors" in capsys.readouterr().out
    (revisions[0] / "fleet.yaml").write_text("{")
    assert plan(revisions, "-o", "markdown") == exits.OK
    text = capsys.readouterr().out
    assert "> the earlier revision has errors" in text
    assert "3 of 3 sites would change" in text


def test_an_earlier_revision_that_is_not_there(
    revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(revisions[0])
    assert plan(revisions) == exits.USAGE
    assert "ENV001" in capsys.readouterr().err


def test_where_there_is_no_plan_the_errors_are_told(
    revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(revisions[1], "sites/graz.yaml", "ip: 10.30.1.12", "ip: 10.30.1.100")
    assert plan(revisions, "-o", "markdown") == exits.VALIDATION
    text = capsys.readouterr().out
    assert "none, the inventory has 1 error" in text
    assert "**NET003**" in text


def test_without_state_it_says_that_everything_counts_as_new(
    revisions: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "plan",
        "-i",
        str(revisions[1]),
        "--workspace",
        str(tmp_path / "none"),
        "-j",
        "1",
        "-o",
        "markdown",
    ]
    assert main(arguments) == exits.OK
    text = capsys.readouterr().out
    assert "No state is recorded where this ran, so **everything counts as new**" in text
    assert "3 of 3 sites would change" in text


def test_a_table_of_what_differs(revisions: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    edit(revisions[1], "sites/graz.yaml", "ip: 10.30.1.12", "ip: 10.30.1.14")
    assert plan(revisions, "graz") == exits.OK
    captured = capsys.readouterr()
    assert "graz" in captured.out
    assert "turin" not in captured.out
    assert "1 of 1 sites differ" in captured.err
