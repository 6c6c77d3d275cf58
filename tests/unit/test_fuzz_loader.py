"""Hostile inventories: whatever the files hold, what comes out is findings, each in its place.

A run is short and always the same. `FLEET_FUZZ=20000 pytest tests/unit/test_fuzz_loader.py` tries as many new
examples of each kind (docs/yaml.md); an example that fails is printed, and kept in `.hypothesis/`.
"""

import copy
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fleet.app.explain import explanations
from fleet.app.validate import report
from fleet.diagnostics.annotations import azure, github
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.junit import junit
from fleet.diagnostics.machine import diagnostics_json
from fleet.diagnostics.sarif import sarif
from fleet.diagnostics.text import diagnostic_pieces
from fleet.inventory.edit import EditError, formatted
from fleet.inventory.load import load_inventory
from fleet.inventory.rule import installed_rules
from fleet.inventory.schema import schema
from fleet.inventory.source import SourceFile, YamlError
from tests.factory import factory_files

EXAMPLES = int(os.environ.get("FLEET_FUZZ", "0"))
fuzz = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Without Phase.explain: it runs a failing example many times over.
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
)
# Formatting is ten times as slow as loading.
fuzz_formatting = settings(fuzz, max_examples=EXAMPLES or 15)

RULES = installed_rules()
KNOWN = explanations(RULES)
SCHEMAS = {name: schema("fleet" if name == "fleet.yaml" else "site") for name in factory_files()}
SECRET = "sk-" + "a1B2" * 8


# --- what must hold of any files


def check_files(files: Mapping[str, bytes]) -> None:
    """Load, validate and print `files`, and assert what must hold of the findings whatever the files are."""
    sources = {path: SourceFile(path, content) for path, content in files.items()}
    sites = [source for path, source in sources.items() if path != "fleet.yaml"]
    inventory, shape = load_inventory(sources["fleet.yaml"], sites)
    told = report(inventory, shape, RULES)
    for diagnostic in (*told.found, *(s.diagnostic for s in told.suppressed)):
        check_place(diagnostic, files)

    for document in (
        diagnostics_json(told.found, len(sites), told.suppressed),
        sarif(told, KNOWN, "1.0"),
    ):
        text = json.dumps(document, allow_nan=False)
        assert json.loads(text) == document
        assert SECRET not in text
    xml = junit(told)
    ET.fromstring(xml.encode())
    for output in (xml, *github(told.found), *azure(told.found)):
        assert SECRET not in output
        output.encode()
    for line in github(told.found):
        assert re.fullmatch("::(error|warning) [^\r\n]*::[^\r\n]*", line)
    for line in azure(told.found):
        assert re.fullmatch(r"##vso\[task\.logissue [^\]\r\n]*\][^\r\n]*", line)
    shown = "".join(text for d in told.found for _, text in diagnostic_pieces(d))
    assert not any(unicodedata.category(c).startswith("C") for c in shown if c != "\n")
    assert SECRET not in shown


def check_place(d: Diagnostic, files: Mapping[str, bytes]) -> None:
    assert d.code in KNOWN, d
    assert d.message
    assert len(d.message) < 2000
    assert len(d.help or "") < 2000
    assert d.span.path in files, d
    lines = re.split("\r\n|\r|\n", files[d.span.path].decode(errors="replace").removeprefix("\ufeff"))
    assert 1 <= d.span.line <= d.span.end_line <= len(lines), d
    assert d.span.column >= 1
    assert (d.span.line, d.span.column) <= (d.span.end_line, d.span.end_column), d
    assert d.span.column <= len(lines[d.span.line - 1]) + 1, d
    if d.source_line is not None:
        assert d.source_line == lines[d.span.line - 1][:1000], d


def check_formatting(name: str, content: bytes) -> None:
    """What `fleet fmt` must hold: it refuses, or gives a file with the same values that it leaves alone."""
    source = SourceFile(name, content)
    try:
        values, found = source.load()
    except YamlError:
        with pytest.raises(YamlError):
            formatted(source, SCHEMAS[name])
        return
    try:
        text = formatted(source, SCHEMAS[name])
    except EditError:
        return
    except YamlError:
        assert found  # a key that is given twice
        return
    again = SourceFile(name, text.encode())
    assert json.dumps(again.load()[0], sort_keys=True) == json.dumps(values, sort_keys=True)
    assert formatted(again, SCHEMAS[name]) == text


# --- trees: the example's values with parts deleted, doubled, swapped, renamed and replaced


@dataclass(frozen=True)
class Raw:
    """YAML that is written as it is."""

    text: str


HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, -(2**63) + 1, 0.5, -0.0, 1e308, 5e-324,
    "", " ", "\n", "a\u202eb", "💥", "x" * 5000, "²", "٣", "9" * 5000, "é", "ﬀ", "\ufffd", "%s{0}", "{{ 7 * 7 }}",
    "0.0.0.0", "255.255.255.255", "10.0.0.1", "10.0.0.0/0", "0.0.0.0/0", "10.0.0.1/32", "255.255.255.255/32", "::1",
    "10.20.1.0/33", "10.20.1", "1" * 40, "../../etc/passwd", "/", "-", "--", "none", "no", "a.b", "a/b", "a:b", "a@b",
    "00000000-0000-0000-0000-000000000000", SECRET, f"https://me:{SECRET}@x", "http://", "http://[", "https://a:99999999",
    "r.example/a:1@sha256:" + "0" * 64, "@sha256:", ":", "http://[::1]:http/", "2026-02-30", "24:00", "Europe/Nowhere",
    [], {}, [None], [[]], [{}], {"": None}, {"name": None}, {"a": "b"}, ["a", "a"], [1, "1", True], {SECRET: SECRET}, {"x" * 300: 1},
    *map(Raw, (
        "*nowhere", "!!python/object:os.system x", "!!binary aGk=", "!foo%ed%a0%80 x", "&a [*a]", "010", "0o10", "1_000", "22:30",
        "1e400", "1.10", ".nan", "-.inf", "2026-11-21", "{<<: 3}", "{? [a] : b}", "no", "~", "<<", "9" * 5000, "0x7fffffffffffffff",
        "'cut off", "[", "}", "@", "`", "%", "|\n", "a: b", "a #b", "&x &y z", '"\\0"', '"\\ud800"', '"\\x85"', "!!str 1",
        "{a: 1, a: 2}", "[*anchor, &anchor 1]", "a\tb", "\ta", "? a", "- a", "x\n---\ny: 1", "x\r  y", "# fleet: ignore[NET001] why",
        "1  # fleet: ignore[NET001, INV011, XYZ999] why", "1  # fleet: ignore", "1  # fleet: ignore[] \x1b",
    )),
)  # fmt: skip
KEYS = (
    "",
    " ",
    "~",
    "1",
    "true",
    "<<",
    "x" * 300,
    "é",
    "a.b",
    "a:b",
    "name",
    "Name",
    "nodes ",
    "-",
    "#",
    SECRET,
    "💥",
    "\u200b",
)


def written(value: Any, indent: int = 0) -> str:
    """`value` as block YAML, behind its key or dash."""
    pad = " " * indent
    if isinstance(value, Raw):
        return f" {value.text}\n"
    if isinstance(value, dict) and value:
        return "\n" + "".join(
            f"{pad}{json.dumps(k, ensure_ascii=False) if not re.fullmatch('[a-zA-Z0-9-]+', k) else k}:{written(v, indent + 2)}"
            for k, v in value.items()
        )
    if isinstance(value, list) and value:
        return "\n" + "".join(f"{pad}-{written(v, indent + 2)}" for v in value)
    return f" {json.dumps(value, ensure_ascii=False)}\n"


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a tree with each of its keys or indexes."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            found += spots(value[key])
    return found


NUMBERS = (0, 1, -1, 2, 3, 7, 64, 255, 256, 1000, 4094, 65535, 65536, 10**6, 2**31, 2**63 - 1)
ADDRESSES = ("0.0.0.0", "255.255.255.255", "10.0.0.0", "10.30.1.100", "10.30.2.16", "10.20.1.1", "127.0.0.1", "224.0.0.1")  # fmt: skip
NETWORKS = ("0.0.0.0/0", "10.0.0.0/8", "10.30.0.0/16", "10.30.1.0/24", "10.30.2.0/31", "10.96.0.0/12", "255.255.255.255/32")  # fmt: skip


def varied(value: Any, number: int) -> Any:
    """Another value of the same kind, so that the model takes it more often and the rules see it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return NUMBERS[number % len(NUMBERS)]
    if isinstance(value, str) and re.fullmatch(r"[0-9.]+/[0-9]+", value):
        return NETWORKS[number % len(NETWORKS)]
    if isinstance(value, str) and re.fullmatch(r"([0-9]+\.){3}[0-9]+", value):
        return ADDRESSES[number % len(ADDRESSES)]
    if isinstance(value, str):
        return (value + "x", value[:-1], value.upper(), "a" * 30 + value, value.replace("-", ""))[number % 5]
    return value


# What, at which spot, with which other spot, and with which hostile value.
MUTATION = st.tuples(
    st.sampled_from(
        ("delete", "double", "swap", "copy", "retype", "rename", "insert", *["vary"] * 8, "aside")
    ),
    st.integers(0, 400),
    st.integers(0, 400),
    st.sampled_from(HOSTILE),
    st.sampled_from(KEYS),
)
TREES = {name: SourceFile(name, text.encode()).load()[0] for name, text in factory_files().items()}


def mutated(mutations: Sequence[tuple[str, int, int, Any, str]], of: Sequence[str]) -> dict[str, bytes]:
    """The example's files as bytes; the nth mutation is of the nth file in `of`."""
    trees = {name: {"": copy.deepcopy(tree)} for name, tree in TREES.items()}
    for (what, at, other, hostile, key), name in zip(mutations, of, strict=False):
        places = spots(trees[name])
        container, step = places[at % len(places)]
        if what == "delete" and step != "":
            del container[step]
        elif what == "double" and isinstance(container, list):
            container.insert(step, copy.deepcopy(container[step]))
        elif what in ("swap", "copy"):
            elsewhere, there = places[other % len(places)]
            value = copy.deepcopy(elsewhere[there])
            if what == "swap":
                elsewhere[there] = copy.deepcopy(container[step])
            container[step] = value
        elif what == "retype":
            container[step] = copy.deepcopy(hostile)
        elif what == "vary":
            container[step] = varied(container[step], other)
        elif what == "aside" and isinstance(container[step], (str, int, float)):
            codes = ", ".join(rule.code for rule in RULES[other % len(RULES) :][:20])
            container[step] = Raw(f"{json.dumps(container[step])}  # fleet: ignore[{codes}] so")
        elif what == "rename" and isinstance(container, dict) and step != "":
            items = [(key if k == step else k, v) for k, v in container.items()]
            container.clear()
            container.update(items)
        elif what == "insert" and isinstance(container[step], dict):
            container[step][key] = copy.deepcopy(hostile)
        elif what == "insert" and isinstance(container[step], list):
            container[step].insert(0, copy.deepcopy(hostile))
    return {name: written(tree[""]).lstrip("\n").encode() for name, tree in trees.items()}


FILES = st.lists(st.sampled_from(sorted(TREES)), min_size=6, max_size=6)


@fuzz
@given(st.lists(MUTATION, min_size=1, max_size=6), FILES)
def test_any_tree_gives_findings(mutations: list[tuple[str, int, int, Any, str]], of: list[str]) -> None:
    check_files(mutated(mutations, of))


@fuzz_formatting
@given(st.lists(MUTATION, min_size=1, max_size=3), st.sampled_from(sorted(TREES)))
def test_any_tree_is_formatted_or_refused(mutations: list[tuple[str, int, int, Any, str]], name: str) -> None:
    check_formatting(name, mutated(mutations, [name] * 3)[name])


# --- bytes: the example's text, cut, flipped and spliced

TOKENS = (
    b"\0", b"\x1b", b"\x7f", b"\t", b"\r", b"\r\n", b"\n", b"\n\n", b" ", b"  ", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x9f", b"\xf0\x9f\x98\x80", b"\xe2\x80\xae", b"---\n", b"...\n",
    b"%YAML 1.1\n", b"%TAG ! a:b\n", b"!!", b"!", b"!<", b"&a ", b"*a", b"<<: ", b"<<: *a", b"? ", b": ", b"- ", b":", b"[", b"]", b"{",
    b"}", b",", b"#", b" # ", b"'", b'"', b"\\", b"|", b">-", b"|+\n", b"@", b"`", b"null", b"~", b"0x", b"1e9", b"-", b".",
    b"  # fleet: ignore[NET001] because\n", b"# fleet: ignore[", b"# fleet:ignore", b" " + SECRET.encode(), b"x" * 2000,
)  # fmt: skip
EDIT = st.tuples(
    st.sampled_from(("insert", "insert", "delete", "flip", "splice", "cut")),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 40),
    st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=4),
)


def edited(content: bytes, edits: Sequence[tuple[str, float, float, int, bytes]]) -> bytes:
    for what, where, elsewhere, length, token in edits:
        at, other = int(where * len(content)), int(elsewhere * len(content))
        if what == "insert":
            content = content[:at] + token + content[at:]
        elif what == "delete":
            content = content[:at] + content[at + length :]
        elif what == "flip" and at < len(content):
            content = content[:at] + bytes([content[at] ^ (1 << length % 8)]) + content[at + 1 :]
        elif what == "splice":
            content = content[:at] + content[other : other + length] + content[at:]
        elif what == "cut" and length == 1:  # seldom: little is left
            content = content[:at]
    return content


BYTES = {name: text.encode() for name, text in factory_files().items()}


@fuzz
@given(st.sampled_from(sorted(BYTES)), st.lists(EDIT, min_size=1, max_size=6))
def test_any_bytes_give_findings(name: str, edits: list[tuple[str, float, float, int, bytes]]) -> None:
    check_files({**BYTES, name: edited(BYTES[name], edits)})


@fuzz_formatting
@given(st.sampled_from(sorted(BYTES)), st.lists(EDIT, min_size=1, max_size=4))
def test_any_bytes_are_formatted_or_refused(
    name: str, edits: list[tuple[str, float, float, int, bytes]]
) -> None:
    check_formatting(name, edited(BYTES[name], edits))


# --- what long runs have found


FOUND_BY_FORMATTING = (
    # dates and numbers to the YAML library
    "a: 2026-02-30\n", "a: 2026-11-21T25:00:00Z\n", "a: " + "9" * 5000 + "\n",
    # blank lines at the end
    "a: 1\n ", "a: 1\n\t\n\n", "a: |+\n  b\n  ",
)  # fmt: skip


@pytest.mark.parametrize("text", FOUND_BY_FORMATTING, ids=range(len(FOUND_BY_FORMATTING)))
def test_found_by_formatting(text: str) -> None:
    check_formatting("sites/graz.yaml", text.encode())


TOP = b"apiVersion: fleet/v1\nkind: Fleet\nname: a\n"
FOUND_BY_LOADING = {
    "half a character, from libyaml": b"a: !foo%ed%a0%80 x\n",
    "a mapping that ends a line below the text": b"apiVersion: fleet/v1",
    "a digit to isdigit, and not to int": TOP + "rings: [{name: a, soakMinutes: '²'}]\n".encode(),
    "more digits than int takes": TOP + b"rings: [{name: a, soakMinutes: '" + b"9" * 5000 + b"'}]\n",
    "a secret that a rule quotes": BYTES["fleet.yaml"].replace(b"proxy:2.3.1@sha256", b"proxy:2.3.1@sha25\t" + SECRET.encode()),
    "a text that a rule quotes at length": BYTES["fleet.yaml"].replace(b"proxy:2.3.1@sha256", b"proxy" + b"x" * 5000),
    "the last address of all": BYTES["sites/graz.yaml"].replace(b"    cidr: 10.30.2.0/24", b"    cidr: 255.255.255.255/32"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND_BY_LOADING)
def test_found_by_loading(case: str) -> None:
    content = FOUND_BY_LOADING[case]
    check_files({**BYTES, "sites/graz.yaml" if b"kind: Site" in content else "fleet.yaml": content})
