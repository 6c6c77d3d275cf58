"""`fleet fmt` and what writes YAML: order, comments, and refusing rather than losing something."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.cli import exits
from fleet.cli.main import main
from fleet.inventory.edit import EditError, formatted, new_text, plain, with_values
from fleet.inventory.schema import schema
from fleet.inventory.source import SourceFile, YamlError
from tests.factory import FACTORY, ROOT

SITE, FLEET = schema("site"), schema("fleet")


def fmt(text: str) -> str:
    return formatted(SourceFile("site.yaml", text.encode()), SITE)


def values(text: str) -> object:
    return SourceFile("site.yaml", text.encode()).load()[0]


MESSY = """\
# This file is about Graz.
# yaml-language-server: $schema=../site.schema.json

name: graz   # as on the map
kind: Site

# Which ring, and why:
# it was the last to be built.
ring: broad
apiVersion: fleet/v1
extra: 1
kubernetes:
    # pinned by the vendor
    version: 1.30.4   # till May

    # the name
    name: graz-aks
    # nothing below here
azure: # the azure
  subscription: 7c1d9a52-0000-4000-8000-0000000000f1
  tenant: 5e0c2f1a-0000-4000-8000-000000000001

# The metal
azureLocal:
  nodes:
  # the first
  - ip: 10.0.0.1
    # its name
    name: n1
  # the second
  - {ip: 10.0.0.2,   name: n2}
  management: {dns: [10.0.0.4], gateway: 10.0.0.1, cidr: 10.0.0.0/24}
  ouPath: >-
    OU=Graz,
    DC=example
labels: {z: "no", a: 'x'}
# the end
"""
NEAT = """\
# This file is about Graz.
# yaml-language-server: $schema=../site.schema.json

apiVersion: fleet/v1
kind: Site
name: graz   # as on the map

# Which ring, and why:
# it was the last to be built.
ring: broad
labels: {z: "no", a: 'x'}
azure: # the azure
  tenant: 5e0c2f1a-0000-4000-8000-000000000001
  subscription: 7c1d9a52-0000-4000-8000-0000000000f1

# The metal
azureLocal:
  ouPath: >-
    OU=Graz,
    DC=example
  nodes:
    # the first
    # its name
    - name: n1
      ip: 10.0.0.1
    # the second
    - {name: n2, ip: 10.0.0.2}
  management: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns: [10.0.0.4]}
kubernetes:
  # the name
  name: graz-aks
  # pinned by the vendor
  version: 1.30.4     # till May
  # nothing below here
extra: 1
# the end
"""


def test_keys_go_in_the_order_of_the_model_and_comments_with_them() -> None:
    assert fmt(MESSY) == NEAT
    assert fmt(NEAT) == NEAT
    assert values(NEAT) == values(MESSY)


def test_line_ends_become_one_kind_and_a_byte_order_mark_goes() -> None:
    crlf = b"\xef\xbb\xbf" + MESSY.replace("\n", "\r\n").encode()
    assert formatted(SourceFile("site.yaml", crlf), SITE) == NEAT


@pytest.mark.parametrize("path", sorted((FACTORY / "sites").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_sites_of_the_example_are_formatted(path: Path) -> None:
    assert formatted(SourceFile(path.name, path.read_bytes()), SITE) == path.read_text()


def test_a_fleet_file_is_ordered_down_into_its_layers() -> None:
    text = (
        "kind: Fleet\napiVersion: fleet/v1\nrings:\n  - soakMinutes: 1\n    name: a\n"
        "name: f\nprofiles:\n  p:\n    gpu: {perNode: 1, model: L4}\n    topology: pilot-node\n"
    )
    assert formatted(SourceFile("fleet.yaml", text.encode()), FLEET) == (
        "apiVersion: fleet/v1\nkind: Fleet\nname: f\nrings:\n  - name: a\n    soakMinutes: 1\n"
        "profiles:\n  p:\n    topology: pilot-node\n    gpu: {model: L4, perNode: 1}\n"
    )


SPELLINGS = ("010", "0o17", "0x1F", "1e3", "1.10", ".5", "2024-01-01", "12:30:45", "yes", "~", "Null", '"\\t"',
             "'it''s'", "#no", "a b  c", "-1", "é", '""', "w " * 90 + "w", "|\n  one\n  two", ">-\n  a\n  b")  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda s: s[:12])
def test_a_value_keeps_its_meaning_however_it_is_spelled(spelling: str) -> None:
    text = f"name: x\nextra: {spelling}\n"
    assert json.dumps(values(fmt(text))) == json.dumps(values(text))
    assert fmt(fmt(text)) == fmt(text)


def test_long_texts_are_never_broken_and_long_lists_go_on_in_the_next_line() -> None:
    key = "ssh-ed25519 " + "A" * 120 + " me@example"
    assert fmt(f"kubernetes:\n  sshPublicKey: {key}\n") == f"kubernetes:\n  sshPublicKey: {key}\n"
    addresses = ", ".join(f"10.0.0.{n}" for n in range(1, 30))
    lines = fmt(f"azureLocal:\n  management: {{dns: [{addresses}]}}\n").splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 125


def test_a_mapping_with_a_merge_key_keeps_its_order() -> None:
    text = "labels: &base\n  b: '1'\nextra:\n  <<: *base\n  a: '2'\n"
    assert fmt(text) == text


REFUSED = {
    "a comment in brackets": (
        "labels: {a: x,  # why\n  b: y}\n",
        "the YAML library would lose the comment '# why'; move it to a line above a key",
    ),
    "an alias that would stand before its anchor": (
        "labels: &l {a: x}\nprofile: *l\n",
        "an anchor is given twice, or its alias would stand before it: write the value out",
    ),
    "a text that ends in blank lines": (
        "kind: |+\n  a\n\n\nname: x\nextra: |+\n  b\n\n\n",
        "a value would change: it is written in a way that the YAML library does not keep",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_lost_is_refused(case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(EditError) as error:
        fmt(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2\n", "a: [1\n", "", "- 1\n", "a: *b\n", "x: !!python/name:os 1\n"]
)
def test_what_does_not_load_is_not_formatted(text: str) -> None:
    with pytest.raises(YamlError):
        fmt(text)


_KEYS = [*SITE["properties"], "extra", "other"]
_SCALARS = st.sampled_from(
    ["1", "a", "'b, c'", "[1, 2]", "{b: 1, a: 2}", "010", "", "null", '"x"', "|\n{i}  t"]
)


def _block(indent: int, depth: int) -> st.SearchStrategy[str]:
    comment = st.sampled_from(["", "", "\n", "{i}# c\n", "{i}  # deep\n", "\n{i}# c\n\n"])
    value = _SCALARS.map(lambda text: " " + text)
    if depth:
        value |= _block(indent + 2, depth - 1).map(lambda text: "\n" + text.rstrip("\n"))
        value |= _block(indent + 4, depth - 1).map(
            lambda text: (
                "\n" + " " * indent + "  - " + text.lstrip(" \n").rstrip("\n")
                if text.lstrip(" \n")[0] != "#"
                else " 1"
            )
        )
    entry = st.tuples(comment, st.sampled_from(["", "", "  # eol"]), value)
    keys = st.lists(st.sampled_from(_KEYS), min_size=1, max_size=5, unique=True)
    pad = " " * indent
    return keys.flatmap(
        lambda names: st.tuples(*(entry for _ in names)).map(
            lambda parts: "".join(
                f"{lead}{pad}{name}:{text}{'' if chr(10) in text or not text.strip() else eol}\n".replace(
                    "{i}", pad
                )
                for name, (lead, eol, text) in zip(names, parts, strict=True)
            )
        )
    )


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_block(0, 2))
def test_any_file_keeps_its_values_and_is_formatted_once(text: str) -> None:
    try:
        before = values(text)
        after = fmt(text)
    except (YamlError, EditError):
        return
    assert json.dumps(before, sort_keys=True) == json.dumps(values(after), sort_keys=True)
    assert fmt(after) == after
    assert text.count("#") == after.count("#")


# --- values set, new files


def test_values_are_set_in_place_and_nothing_else_differs() -> None:
    text = NEAT
    changed = with_values(
        SourceFile("graz.yaml", text.encode()),
        {
            ("ring",): "canary",
            ("labels", "a"): "z9",
            ("kubernetes", "controlPlane", "count"): 3,
            ("azureLocal", "clusterName"): "graz-hci",
            ("connectivity", "mode"): "connected",
        },
        SITE,
    )
    removed = [line for line in text.splitlines() if line not in changed.splitlines()]
    added = [line for line in changed.splitlines() if line not in text.splitlines()]
    assert removed == ["ring: broad", "labels: {z: \"no\", a: 'x'}"]
    assert added == [
        "ring: canary", 'labels: {z: "no", a: \'z9\'}', "connectivity: {mode: connected}",
        "  clusterName: graz-hci", "  controlPlane: {count: 3}",
    ]  # fmt: skip


COMMENTED = """\
# top
ring: broad
# about azure
azure:
  # about the region
  region: westeurope
  # nothing else

# about the cluster
kubernetes: {name: k}
profile:
# the end
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("name",), "x", "ring: broad\n", "name: x\nring: broad\n"),
        (("topology",), "distributed", "ring: broad\n", "ring: broad\ntopology: distributed\n"),
        (("azure", "tenant"), "t", "azure:\n", "azure:\n  tenant: t\n"),
        (("azure", "zone"), "1", "westeurope\n", "westeurope\n  zone: '1'\n"),
        (("tools", "a", "replicas"), 2, "profile:\n", "profile:\ntools: {a: {replicas: 2}}\n"),
        (("kubernetes", "podCidr"), "p", "{name: k}", "{name: k, podCidr: p}"),
        (("kubernetes", "controlPlane", "count"), 3, "{name: k}", "{name: k, controlPlane: {count: 3}}"),
        (("profile",), "p", "profile:\n", "profile: p\n"),
        (("azureLocal", "nodes"), [{"name": "n1", "ip": "i"}], "\n# about the cluster\n",
         "azureLocal: {nodes: [{name: n1, ip: i}]}\n\n# about the cluster\n"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_new_key_parts_no_comment_from_what_it_is_about(
    path: tuple[str, ...], value: object, old: str, new: str
) -> None:
    changed = with_values(SourceFile("x.yaml", COMMENTED.encode()), {path: value}, SITE)
    assert changed == COMMENTED.replace(old, new, 1)


def test_a_file_out_of_layout_is_not_touched_by_a_change() -> None:
    with pytest.raises(EditError, match="it is not in the layout of `fleet fmt`"):
        with_values(SourceFile("x.yaml", b"labels:   {a: b}\n"), {("ring",): "a"}, SITE)


def test_a_new_file_is_formatted_and_reads_as_what_it_was_given() -> None:
    given_values = {
        "labels": {"country": "no", "number": "010", "flag": "true", "empty": "", "odd": "a: b # c"},
        "kind": "Site",
        "azureLocal": {"nodes": [{"name": "n1", "ip": "10.0.0.1"}], "management": {"dns": ["10.0.0.4"]}},
    }
    text = new_text(given_values, SITE)
    assert values(text) == given_values
    assert text.startswith("kind: Site\nlabels:")
    assert 'country: "no"' in text
    assert fmt(text) == text


@pytest.mark.parametrize(
    "text", ["plain", "true", "123", "null", "", "a: b", "#x", "1e3", "010", "- x", "'q", "*a"]
)
def test_a_text_is_quoted_only_where_it_must_be(text: str) -> None:
    assert values(f"key: {plain(text)}\n") == {"key": text}
    assert (plain(text) == text) == (text in ("plain", "010"))


# --- the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(FACTORY, tmp_path / "fleet"))
    main(["fmt", "-i", str(folder)])
    return folder


def test_check_and_diff_change_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", "-i", str(folder)]) == exits.OK
    graz = folder / "sites" / "graz.yaml"
    text = graz.read_text().replace("kind: Site\nname: graz\n", "name: graz\nkind: Site\n")
    graz.write_text(text)
    capsys.readouterr()
    assert main(["fmt", "--check", "-i", str(folder)]) == exits.VALIDATION
    err = capsys.readouterr().err
    assert f"{graz} would change\n1 of 4 files would change\n" in err
    assert main(["fmt", "--diff", "-i", str(folder)]) == exits.OK
    assert "+kind: Site\n name: graz\n-kind: Site\n" in capsys.readouterr().out
    assert graz.read_text() == text
    assert main(["fmt", "-i", str(folder)]) == exits.OK
    assert f"{graz} formatted\n1 of 4 files formatted" in capsys.readouterr().err
    assert main(["fmt", "--check", "-i", str(folder)]) == exits.OK


def test_files_that_can_not_be_formatted_are_said_and_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graz, turin = folder / "sites" / "graz.yaml", folder / "sites" / "turin.yaml"
    graz.write_bytes(b"kind: Site\napiVersion: [\n")
    turin.write_bytes(b"labels: {a: x,  # why\n  b: y}\n")
    capsys.readouterr()
    assert main(["fmt", "-i", str(folder)]) == exits.VALIDATION
    err = capsys.readouterr().err
    assert "error[INV005]: not YAML" in err
    assert f"{graz}:2:" in err
    assert "error[EDT001]: can't be formatted: the YAML library would lose the comment '# why'" in err
    assert "2 left alone" in err
    assert graz.read_bytes() == b"kind: Site\napiVersion: [\n"
    assert turin.read_bytes() == b"labels: {a: x,  # why\n  b: y}\n"


def test_formatting_changes_no_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(FACTORY, tmp_path / "fleet"))
    main(["show", "-i", str(folder), "-o", "json"])
    before = capsys.readouterr().out
    assert main(["fmt", "-i", str(folder)]) == exits.OK
    capsys.readouterr()
    main(["show", "-i", str(folder), "-o", "json"])
    assert capsys.readouterr().out == before
    assert ROOT.joinpath("examples/factory/fleet.yaml").read_text().count("#") == (
        folder / "fleet.yaml"
    ).read_text().count("#")
