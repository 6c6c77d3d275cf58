"""`fleet import csv`: from a spreadsheet to site files, all rows or none."""

import shutil
from pathlib import Path

import pytest

from fleet.app.csv_table import read_table
from fleet.app.import_csv import Import, import_csv
from fleet.cli import author_commands, exits
from fleet.cli.main import main
from fleet.inventory.source import SourceFile
from tests.factory import FACTORY, factory_files, factory_inventory

HEADERS = "name,ring,profile,management,kubernetes,nodes,dns"
LINZ = "linz,broad,pilot,10.50.1.0/24,10.50.2.0/24,linz-n1=10.50.1.11,10.50.1.4"


def run(text: str | bytes, *, update: bool = False) -> Import:
    """Import into the example fleet."""
    existing = {
        path.removeprefix("sites/").removesuffix(".yaml"): SourceFile(path, content.encode())
        for path, content in factory_files().items()
        if path.startswith("sites/")
    }
    content = text if isinstance(text, bytes) else text.encode()
    return import_csv("sites.csv", content, factory_inventory(), existing, update=update)


def messages(text: str | bytes, *, update: bool = False) -> list[str]:
    """`CODE line:column message | help` for everything found; nothing may be written then."""
    result = run(text, update=update)
    return [
        f"{d.code} {d.span.line}:{d.span.column} {d.message}" + (f" | {d.help}" if d.help else "")
        for d in result.found
    ]


def read(text: str) -> dict[str, object]:
    return dict(SourceFile("x", text.encode()).load()[0])


# --- good input


def test_a_row_with_networks_becomes_a_planned_site() -> None:
    result = run(
        f"{HEADERS},labels.country,azure.resourceGroup,kubernetes.nodePools.agents.count,azureLocal.euLocation\n{LINZ},no,rg-linz,2,FALSE\n"
    )
    assert result.found == []
    assert list(result.created) == ["linz"]
    text = result.created["linz"]
    assert text.startswith("# CHECK: the organisational unit is OU=linz,DC=factory,DC=example\n# CHECK: ")
    site = read(text)
    assert list(site)[:7] == ["apiVersion", "kind", "name", "ring", "profile", "labels", "azure"]
    assert site["labels"] == {"country": "no"}
    assert site["azure"] == {"resourceGroup": "rg-linz"}
    assert "    - {name: linz-n1, ip: 10.50.1.11}\n" in text
    assert "  euLocation: false\n" in text
    assert "  controlPlane: {vip: 10.50.2.16}\n" in text
    assert "agents: {count: 2}" in text


def test_a_row_without_networks_becomes_what_it_says() -> None:
    result = run("Site;Ring;Topology;Azure.Region;kubernetes.adminGroups\nlinz;broad;distributed;010;a b|c\n")
    assert result.found[0].message.startswith(
        "row 2, column 'kubernetes.adminGroups': the text 'a'; expected a GUID"
    )
    result = run("Site;Ring;Topology;Azure.Region;DNS\nlinz;broad;distributed;010;10.0.0.4 | 10.0.0.5\n")
    assert result.found == []
    assert result.created["linz"] == (
        "apiVersion: fleet/v1\nkind: Site\nname: linz\nring: broad\ntopology: distributed\n"
        "azure: {region: '010'}\nazureLocal: {management: {dns: [10.0.0.4, 10.0.0.5]}}\n"
        "kubernetes: {network: {dns: [10.0.0.4, 10.0.0.5]}}\n"
    )


FORMS = {
    "commas": f"{HEADERS}\n{LINZ}\n".encode(),
    "semicolons": f"{HEADERS}\n{LINZ}\n".replace(",", ";").encode(),
    "tabs": f"{HEADERS}\n{LINZ}\n".replace(",", "\t").encode(),
    "a byte order mark, CRLF": b"\xef\xbb\xbf" + f"{HEADERS}\r\n{LINZ}\r\n".encode(),
    "UTF-16": f"{HEADERS}\n{LINZ}\n".replace(",", "\t").encode("utf-16"),
    "quotes": (
        "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in (HEADERS, LINZ))
    ).encode(),
    "empty rows and notes": f"{HEADERS},,\n,,,\n\n{LINZ},,ask Eva\n,,,,,,,,\n".encode(),
    "spaces and case": f"{HEADERS.upper()}\n{LINZ}\n".replace(",", " , ").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_way_a_spreadsheet_saves_it_is_read(form: str) -> None:
    result = run(FORMS[form])
    assert [d.message for d in result.found] == []
    assert result.created == run(FORMS["commas"]).created


def test_a_quoted_cell_may_hold_line_breaks_and_rows_are_still_counted() -> None:
    table = read_table("x.csv", b'name,note\n"a","one\ntwo"\nb,"say ""hi"""\n')
    assert [(row.number, row.line, row.cells) for row in table.rows] == [
        (2, 2, ("a", "one\ntwo")),
        (3, 4, ("b", 'say "hi"')),
    ]


# --- bad input


BAD_FILES = [
    (b"", "CSV001 1:1 the first row is empty | it names the columns"),
    (b"name,ring\n", "CSV001 1:1 there is no row below the headers | one row a site"),
    (b"name,ring\nlinz,caf\xe9\n", "CSV001 2:1 not text: its bytes are not UTF-8 | save it as 'CSV UTF-8'"),
    (b"PK\x03\x04\0\0\0", "CSV001 1:1 not text: it holds a NUL byte | is it a workbook? save it as CSV"),
    (b'name,ring\nlinz,"broad\n', "CSV001 2:1 row 2 can't be read: unexpected end of data | is a quote left open?"),
    (b"name,rnig\nlinz,broad\n", "CSV002 1:6 no field of a site is named 'rnig' | did you mean 'ring'?"),
    (b"name,ring,kind\nlinz,broad,Site\n", "CSV002 1:11 no field of a site is named 'kind' | "),
    (b"name,ring,azure.resorceGroup\nlinz,broad,\n", "CSV002 1:11 no field of a site is named 'azure.resorceGroup' | did you mean 'azure.resourceGroup'?"),
    (b"name,ring,azureLocal.intents\nlinz,broad,\n", "CSV002 1:11 no field of a site is named 'azureLocal.intents' | "),
    (b"name,ring,Site\nlinz,broad,\n", "CSV002 1:11 the columns 'name' and 'Site' fill the same field | remove one of them"),
    (b"name\nlinz\n", "CSV002 1:1 there is no column 'ring' | add it"),
    (b"ring\nbroad\n", "CSV002 1:1 there is no column 'name' | add it"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), BAD_FILES, ids=lambda v: str(v)[:30])
def test_a_bad_file_or_header_is_said_at_its_place(content: bytes, expected: str) -> None:
    found = messages(content)
    assert len(found) == 1
    assert found[0].startswith(expected)
    result = run(content)
    assert (result.created, result.updated) == ({}, {})


BAD_ROWS = [
    ("name,ring\nLinz,broad", "CSV003 2:1 row 2, column 'name': the text 'Linz'; expected a name of 1 to 63 small letters, digits and dashes, with no dash at either end, such as graz-1"),
    ("name,ring\n,broad", "CSV003 2:1 row 2, column 'name': there is no name | name the site"),
    ("name,ring\nlinz,", "CSV003 2:6 row 2, column 'ring': there is no ring | name the new site's ring"),
    ("name,ring\nlinz,brod", "CSV003 2:6 row 2, column 'ring': there is no ring 'brod' | did you mean 'broad'?"),
    ("name,ring,profile\nlinz,broad,pilt", "CSV003 2:12 row 2, column 'profile': there is no profile 'pilt' | did you mean 'pilot'?"),
    ("name,ring\ngraz,broad", "CSV003 2:1 row 2, column 'name': the site 'graz' is there already | remove the row, or add --update to change the site"),
    ("name,ring\nlinz,broad\nlinz,broad", "CSV003 3:1 row 3, column 'name': 'linz' is in row 2 already | remove one of them"),
    ('name,remarks ,ring\n"linz",x,broad', "CSV002 1:6 no field of a site is named 'remarks' | docs/import-csv.md lists the headers"),
    ('name,ring,azure.tenant\n"linz","broad",mine', "CSV003 2:16 row 2, column 'azure.tenant': the text 'mine'; expected a GUID in small letters, such as 5e0c2f1a-0000-4000-8000-000000000001"),
    ("name,ring,topology\nlinz,broad,pilotnode", "CSV003 2:12 row 2, column 'topology': the text 'pilotnode'; expected 'pilot-node', 'datacenter-cluster' or 'distributed' | did you mean 'pilot-node'?"),
    ("name,ring,connectivity.linkMbps\nlinz,broad,1 000", "CSV003 2:12 row 2, column 'connectivity.linkMbps': the text '1 000' where a whole number is expected"),
    ("name,ring,connectivity.linkMbps\nlinz,broad,0", "CSV003 2:12 row 2, column 'connectivity.linkMbps': input should be greater than 0"),
    ("name,ring,azureLocal.switchless\nlinz,broad,yes", "CSV003 2:12 row 2, column 'azureLocal.switchless': the text 'yes' where true or false is expected | write true"),
    ("name,ring,management\nlinz,broad,10.1.1.0/24", "CSV003 2:1 row 2: a site is planned from both of its networks | give both, or neither"),
    ("name,ring,kubernetes,management\nlinz,broad,10.1.1.0/24,", "CSV003 2:24 row 2, column 'management': a site is planned from both of its networks | give both, or neither"),
    (f"{HEADERS}\n{LINZ.replace('10.50.1.0/24', '10.50.1.9/24')}", "CSV003 2:18 row 2, column 'management': '10.50.1.9/24' names a host inside a network; the network is 10.50.1.0/24"),
    (f"{HEADERS}\n{LINZ.replace('n1=10.50.1.11', 'n1')}", "CSV003 2:44 row 2, column 'nodes': 'linz-n1' is no machine | write graz-n1=10.30.1.11 graz-n2=10.30.1.12"),
    (f"{HEADERS}\n{LINZ.replace('=10.50.1.11', '=10.9.1.11')}", "CSV003 2:1 row 2: linz-n1's address 10.9.1.11 is outside the management network 10.50.1.0/24 | give it an address of that network"),
    (f"{HEADERS}\n{LINZ.replace('pilot', 'gpu-cluster').replace('linz-n1=10.50.1.11', '')}", "CSV003 2:1 row 2: the machines of a datacenter-cluster must be named | --node linz-n1=ADDRESS, once for each"),
    (f"{HEADERS}\n{LINZ.replace('10.50.2.0/24', '10.244.2.0/24')}", "CSV003 2:1 row 2: the Kubernetes network 10.244.2.0/24 overlaps the pods' network, 10.244.0.0/16 | name another"),
    (f"{HEADERS}\n{LINZ.replace('10.50.2.0/24', '10.30.2.0/25')}", "CSV003 2:31 row 2, column 'kubernetes': linz's Kubernetes network 10.30.2.0/25 overlaps graz's Kubernetes network 10.30.2.0/24 | give one of them another network"),
    (f"{HEADERS}\n{LINZ}\n{LINZ.replace('linz', 'wels').replace('10.50.2', '10.51.2')}", "CSV003 3:18 row 3, column 'management': wels's management network 10.50.1.0/24 overlaps linz's management network 10.50.1.0/24 | give one of them another network"),
    ("name,ring\nlinz,broad,,x", "CSV003 2:1 row 2: more cells than headers | a text that holds ',' stands in quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD_ROWS, ids=lambda v: v[-40:])
def test_a_bad_row_is_said_with_row_column_and_what_to_type(text: str, expected: str) -> None:
    assert messages(text + "\n") == [expected]


def test_every_bad_row_is_said_at_once_in_order() -> None:
    text = "name,ring,azureLocal.switchless\nlinz,brod,ja\nwels,broad,true\nx_y,canary,\n"
    assert [message.split(":", 2)[1].split(" ", 1)[1] for message in messages(text)] == [
        "row 2, column 'ring'", "row 2, column 'azureLocal.switchless'", "row 4, column 'name'",
    ]  # fmt: skip


# --- update


def test_update_changes_the_given_fields_and_nothing_else() -> None:
    text = "name,ring,labels.line,profile,connectivity.linkMbps\ngraz,canary,paint,,\nturin,,packaging,pilot,100\nnarvik,broad,,,\n"
    result = run(text, update=True)
    assert result.found == []
    assert (list(result.created), result.unchanged) == ([], ["narvik"])
    files = factory_files()
    assert result.updated["graz"] == files["sites/graz.yaml"].replace("ring: broad", "ring: canary").replace(
        "line: assembly", "line: paint"
    )
    labels = "labels: {country: it, line: packaging}\n"
    turin = files["sites/turin.yaml"].replace(labels, labels + "connectivity: {linkMbps: 100}\n")
    assert result.updated["turin"] == turin


def test_update_also_adds_new_sites() -> None:
    result = run("name,ring\ngraz,canary\nlinz,broad\n", update=True)
    assert (list(result.created), list(result.updated)) == (["linz"], ["graz"])


def test_update_takes_a_name_that_is_nearly_a_sites_for_a_slip() -> None:
    result = run("name,ring\ngratz,broad\n", update=True)
    assert result.created == {}
    assert [(d.code, d.message, d.help) for d in result.found] == [
        (
            "CSV003",
            "row 2, column 'name': there is no site 'gratz'",
            "did you mean 'graz'? A site that is new is imported without --update",
        )
    ]
    assert list(run("name,ring\ngratz,broad\n").created) == ["gratz"], "without --update it is a new site"
    both = run("name,ring\ngratz,broad\ngraz,broad\n", update=True)
    assert list(both.created) == ["gratz"], "graz has a row of its own, so gratz is another"


def test_update_takes_the_next_of_a_series_for_a_new_site() -> None:
    existing = {f"s{n:03}": SourceFile(f"sites/s{n:03}.yaml", b"") for n in range(1, 100)}
    result = import_csv("s.csv", b"name,ring\ns100,canary\n", factory_inventory(), existing, update=True)
    assert result.found == []
    assert list(result.created) == ["s100"]


def test_update_refuses_what_it_could_not_change_alone() -> None:
    existing = {"graz": SourceFile("sites/graz.yaml", b"name:   graz\nring: broad\n")}
    result = import_csv("s.csv", b"name,ring\ngraz,canary\n", factory_inventory(), existing, update=True)
    assert [d.message for d in result.found] == [
        "row 2, column 'name': the site's file can't be changed: it is not in the layout of `fleet fmt`, "
        "and more than the change would differ"
    ]


# --- the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FACTORY, tmp_path / "fleet"))


def sites(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "sites").iterdir()}


def command(folder: Path, text: str, *flags: str) -> int:
    table = folder.parent / "sites.csv"
    table.write_text(text)
    return main(["import", "csv", str(table), "-i", str(folder), *flags])


def test_a_dry_run_says_what_would_be_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sites(folder)
    code = command(folder, f"{HEADERS}\n{LINZ}\n", "--dry-run")
    text = capsys.readouterr().err
    assert code == exits.VALIDATION
    assert f"{folder}/sites/linz.yaml would be created\n" in text
    assert "1 created, 0 updated, 0 unchanged (dry run: nothing was written)" in text
    assert "error[TOL001]" in text, "what would be missing is said before it is written"
    assert sites(folder) == before
    command(folder, f"{HEADERS}\n{LINZ}\n")
    assert set(sites(folder)) - set(before) == {"linz.yaml"}
    capsys.readouterr()
    assert main(["fmt", "--check", "-i", str(folder)]) in (exits.OK, exits.VALIDATION)
    assert "linz.yaml" not in capsys.readouterr().err


def test_one_bad_row_and_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sites(folder)
    assert command(folder, f"{HEADERS}\n{LINZ}\nwels,brod\n") == exits.VALIDATION
    text = capsys.readouterr().err
    assert "error[CSV003]: row 3, column 'ring': there is no ring 'brod'\n" in text
    assert f"{folder.parent}/sites.csv:3:6\n" in text
    assert "3 | wels,brod\n  |      ^^^^\n  = help: did you mean 'broad'?" in text
    assert "nothing was written" in text
    assert sites(folder) == before


def test_a_write_that_fails_takes_back_what_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sites(folder)
    real = author_commands.write_atomically

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        if b"wels" in data:
            raise OSError(28, "No space left on device", str(path))
        real(path, data, mode)

    monkeypatch.setattr(author_commands, "write_atomically", full)
    assert command(folder, "name,ring\ngraz,canary\nlinz,broad\nwels,broad\n", "--update") == exits.USAGE
    assert "nothing was written" in capsys.readouterr().err
    assert sites(folder) == before


def test_a_file_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "csv", str(folder / "no.csv"), "-i", str(folder)]) == exits.USAGE
    assert (
        f"error[ENV021]: {folder}/no.csv can't be read: No such file or directory" in capsys.readouterr().err
    )


def test_a_file_with_another_site_in_it_is_not_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sites" / "linz.yaml").write_text("name: [\n")
    assert command(folder, "name,ring\nlinz,broad\n") == exits.USAGE
    assert "linz.yaml is there already, but gives no site 'linz'" in capsys.readouterr().err
    assert (folder / "sites" / "linz.yaml").read_text() == "name: [\n"
