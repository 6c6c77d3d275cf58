"""docs/yaml.md, row by row: what is read and what is refused, with code, line and column."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from fleet.inventory.source import MAX_BYTES, MAX_SHOWN, SourceFile, YamlError
from tests.factory import ROOT, check, load, places

Refused = tuple[str, int, int]  # code, line, column
Cases = list[tuple[str | bytes, Any]]


def laughs() -> str:
    names = "abcdefghi"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    return "\n".join(lines)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


# By row of the table: texts, and what each gives: the values, or code, line and column of the refusal.
ANSWERS: dict[str, Cases] = {
    "a file over 10 MB": [(b"a" * (MAX_BYTES + 1), ("INV002", 1, 1))],
    "a very long line": [
        (b"a: " + b"x" * 9_000_000, {"a": "x" * 9_000_000}),
        (b"b: 1\na: [" + b"x" * 9_000_000 + b"\n", ("INV005", 2, 9_000_005)),
    ],
    "more than 200,000 values": [(b"a: [" + b"x," * 200_100 + b"]", ("INV007", 1, 399_999))],
    'a "billion laughs"': [(laughs(), ("INV007", 6, 8))],
    "a long list or text repeated by aliases": [
        ("a: &a [" + "x," * 3000 + "]\nb: [" + "*a," * 3000 + "]\n", ("INV007", 2, 104)),
        ("a: &a " + "x" * 1_000_000 + "\nb: [" + "*a," * 3000 + "]\n", ("INV007", 2, 32)),
        ("a: &a {k: 1}\nb: {<<: [" + "*a," * 60_000 + "]}\n", ("INV007", 2, 150_010)),
    ],
    "64 levels, and 65": [
        ("a: " + "[" * 63 + "1" + "]" * 63, deep(64)),
        ("a: " + "[" * 64 + "1" + "]" * 64, ("INV007", 1, 67)),
        ("a: " + "[" * 100_000, ("INV007", 1, 67)),
        ("".join(" " * n + "a:\n" for n in range(70)), ("INV007", 65, 65)),
        ("a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}}}\n" for n in range(1, 70)), ("INV007", 64, 15)),
    ],
    "a NUL byte": [(b"a: b\nc: d\0e\n", ("INV003", 2, 5)), (b"\0", ("INV003", 1, 1))],
    "other control characters": [
        ("a: b\nc: d\x01e\n", ("INV003", 2, 5)),
        ("a: b # \x1b[31m\n", ("INV003", 1, 8)),
        ("a: \x7f\n", ("INV003", 1, 4)),
        ("a: \x9b\n", ("INV003", 1, 4)),
        ("a: \ufffe\n", ("INV003", 1, 4)),
    ],
    'such characters as escapes (`"\\0"`)': [
        ('a: "x\\0y"\n', ("INV003", 1, 4)),
        ('a: "\\e[31m"\n', ("INV003", 1, 4)),
        ('a: "x\\r\\nSet-Cookie: y"\n', ("INV003", 1, 4)),
        ('"\\x85": 1\n', ("INV003", 1, 1)),
        ('a: "\\t\\n\\u00e9\\U0001F600"\n', {"a": "\t\né😀"}),
        ("a: '\\0'\n", {"a": "\\0"}),
    ],
    "tabs": [
        ("a:\n\tb: 1\n", ("INV005", 2, 1)),
        ("a:\n  b: 1\n\tc: 1\n", ("INV005", 3, 1)),
        ("a:\n  -\tb\n", ("INV005", 2, 4)),
        ("a:\t1\t# x\n", {"a": 1}),
        ("a: x\ty\n", {"a": "x\ty"}),
    ],
    "a byte order mark": [
        (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
        (b"\xef\xbb\xbf\xef\xbb\xbfa: 1\n", ("INV003", 1, 1)),
        ("a: 1\n\ufeffb: 2\n", ("INV003", 2, 1)),
        ("a: x\ufeff\n", ("INV003", 1, 5)),
    ],
    "UTF-16 and UTF-32": [
        ("a: 1\n".encode("utf-16"), ("INV003", 1, 1)),
        (b"\xfe\xff" + "a: 1\n".encode("utf-16-be"), ("INV003", 1, 1)),
        ("a: 1\n".encode("utf-32"), ("INV003", 1, 1)),
        ("a: 1\n".encode("utf-16-le"), ("INV003", 1, 2)),
    ],
    "bytes that are not UTF-8": [
        ("a: 1\r\nb: xxé\n".encode("latin-1"), ("INV003", 2, 6)),
        ("é: ".encode() + b"\xff", ("INV003", 1, 4)),
        (b"a: \xed\xa0\x80\n", ("INV003", 1, 4)),  # half of a pair
        (b"a: \xc0\xaf\n", ("INV003", 1, 4)),  # overlong
        (b"a: \xf4\x90\x80\x80\n", ("INV003", 1, 4)),  # above U+10FFFF
        (b"a: \xf0\x9f\x98", ("INV003", 1, 4)),  # cut off
        ('a: "\\ud83d\\ude00"\n', ("INV005", 1, 7)),  # a pair as escapes, as JSON may have it
    ],
    "CR LF, and CR alone": [
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: 1\rb: 2\r", {"a": 1, "b": 2}),
        ("a: |\r\n  x\r\n  y\r\n", {"a": "x\ny\n"}),
        ("a: 1\r\nb: [\r\n", ("INV005", 2, 5)),
        ("a: 1\rb: [\r", ("INV005", 2, 5)),
    ],
    "U+0085, U+2028, U+2029": [
        ("a: 1\nb: x\x85c: y\n", ("INV003", 2, 5)),
        ("a: 1\nb: x\u2028c: y\n", ("INV003", 2, 5)),
        ('a: 1\nb: "x\u2029"\n', ("INV003", 2, 6)),
        ("a: 1\n# x\u2028\n", ("INV003", 2, 4)),
    ],
    "`no`, `off`, `y`, `NO`": [("a: no\nb: off\nc: y\nd: NO\ne: On\n", {"a": "no", "b": "off", "c": "y", "d": "NO", "e": "On"})],
    "`true`, `True`, `TRUE`": [("a: [true, True, TRUE, false, tRUE]\n", {"a": [True, True, True, False, "tRUE"]})],
    "`~`, `null`, nothing": [("a: ~\nb: null\nc:\nd: nULL\n", {"a": None, "b": None, "c": None, "d": "nULL"})],
    "`010`, `1_000`, `0b1`": [("a: 010\nb: 1_000\nc: 0b1\nd: 00\n", {"a": "010", "b": "1_000", "c": "0b1", "d": "00"})],
    "`0o10`, `0x1F`": [("a: 0o10\nb: 0x1F\nc: 0o8\n", {"a": 8, "b": 31, "c": "0o8"})],
    "`22:30`, `1:30:00`": [("a: 22:30\nb: 1:30:00\n", {"a": "22:30", "b": "1:30:00"})],
    "dates": [("a: 2026-11-21\nb: 2026-11-21T10:00:00Z\nc: 2026-02-30\n", {"a": "2026-11-21", "b": "2026-11-21T10:00:00Z", "c": "2026-02-30"})],
    "`.inf`, `.nan`, `1e400`": [("a: .inf\nb: -.Inf\nc: .nan\nd: 1e400\n", {"a": ".inf", "b": "-.Inf", "c": ".nan", "d": "1e400"})],
    "integers of more than 64 bits": [
        (f"a: {2**63 - 1}\nb: {2**63}\nc: -{2**63 - 1}\nd: 0x{'f' * 16}\ne: {'9' * 5000}\n",
         {"a": 2**63 - 1, "b": str(2**63), "c": -(2**63) + 1, "d": "0x" + "f" * 16, "e": "9" * 5000}),
    ],
    "`1.10`, `1e3`": [("a: 1.10\nb: 1e3\nc: 12e03\nd: 1.2.3\n", {"a": 1.1, "b": 1000.0, "c": 12000.0, "d": "1.2.3"})],
    "an empty file": [
        ("", ("INV004", 1, 1)),
        ("  \n\n", ("INV004", 1, 1)),
        ("# words\n", ("INV004", 1, 1)),
        ("---\n", ("INV004", 1, 1)),
        ("~\n", ("INV004", 1, 1)),
    ],
    "an empty mapping": [("{}\n", {})],
    "not a mapping": [("- a\n", ("INV008", 1, 1)), ("words\n", ("INV008", 1, 1)), ("[]\n", ("INV008", 1, 1))],
    "two documents": [
        ("a: 1\n---\nb: 2\n", ("INV008", 2, 1)),
        ("a: 1\n---\n", ("INV008", 2, 1)),
        ("a: 1\n...\nb: 2\n", ("INV005", 3, 1)),
        ("---\na: 1\n...\n# end\n", {"a": 1}),
    ],
    "`%YAML 1.1`": [
        ("# words\n%YAML 1.1\n---\na: no\n", ("INV005", 2, 1)),
        ("%YAML 1.2\n---\na: no\n", {"a": "no"}),
        ("%YAML 3.0\n---\na: no\n", ("INV005", 1, 1)),
        ("%FOO bar\n---\na: no\n", ("INV005", 1, 5)),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", {"a": 1}),
    ],
    "tags": [
        ("a: !!python/object/apply:os.system [x]\n", ("INV005", 1, 4)),
        ("a: !!binary aGk=\n", ("INV005", 1, 4)),
        ("a:\n  b: !foo x\n", ("INV005", 2, 6)),
        ("a: !!int 1\n", ("INV005", 1, 4)),
        ("a: ! x\n", ("INV005", 1, 4)),
        ("a: !h!x 1\n", ("INV005", 1, 4)),
        ("a: !<tag:yaml.org,2002:map> {}\n", ("INV005", 1, 4)),
        ("a: !foo%ed%a0%80 x\n", ("INV005", 1, 2)),  # half a character, escaped
        ("a: !!str 010\nb: !!str\n", {"a": "010", "b": ""}),
    ],
    "anchors and aliases": [
        ("a: &x [1, {b: 2}]\nc: *x\n", {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}),
        ("a: *x\nb: &x 1\n", ("INV005", 1, 4)),
        ("a: &x [1, *x]\n", ("INV007", 1, 11)),
    ],
    "merge keys": [
        ("b: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\n", {"b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}),
        ("b: &b {x: 1}\nc: {x: 2, <<: *b}\n", {"b": {"x": 1}, "c": {"x": 2}}),
        ("b: &b {x: 1}\nc: &c {x: 2, y: 3}\nd: {<<: [*b, *c]}\n", {"b": {"x": 1}, "c": {"x": 2, "y": 3}, "d": {"x": 1, "y": 3}}),
        ("a: {<<: 3}\n", ("INV005", 1, 5)),
        ("a:\n  <<:\n", ("INV005", 2, 3)),
        ("a: {<<: [{b: 1}, 3]}\n", ("INV005", 1, 5)),
        ("a: &a\n  <<: *a\n", ("INV007", 2, 7)),
        ("'<<': {a: 1}\n", {"<<": {"a": 1}}),
    ],
    "keys that are not text": [
        ("1: a\ntrue: b\n0x10: c\n1.0: d\n~: e\n", {"1": "a", "true": "b", "0x10": "c", "1.0": "d", "~": "e"}),
        ("a: &x b\n*x : c\n", {"a": "b", "b": "c"}),
        ("a: {: b}\n", ("INV005", 1, 5)),
        ("a: &x 1\n*x : c\n", ("INV005", 2, 1)),
    ],
    "complex keys (`? [a]`)": [
        ("? [a]\n: b\n", ("INV005", 1, 3)),
        ("a: {{b: c}: d}\n", ("INV005", 1, 5)),
        ("? a\n: b\n? c\n", {"a": "b", "c": None}),
    ],
    "brackets and braces": [
        ("{a: {b: [1, 'x', {c: d}, ], }}\n", {"a": {"b": [1, "x", {"c": "d"}]}}),
        ("a: [b: 1, c]\n", {"a": [{"b": 1}, "c"]}),
        ("a: [1, 2\nb: 3\n", ("INV005", 2, 2)),
    ],
    "something behind the end": [
        ("{a: 1} x\n", ("INV005", 1, 8)),
        ("a: [1]]\n", ("INV005", 1, 7)),
        ("a: 1\n}\n", ("INV005", 2, 1)),
        ("a: 'b' c\n", ("INV005", 1, 8)),
    ],
    "a text that is cut off": [("a: 'b\n", ("INV005", 1, 6)), ('a: "b', ("INV005", 1, 6)), ("a: [b, c", ("INV005", 1, 9))],
    "`@`, `` ` ``, `%` at the beginning": [("a: @b\n", ("INV005", 1, 4)), ("a: `b`\n", ("INV005", 1, 4)), ("a: %b\n", ("INV005", 1, 4))],
}  # fmt: skip


def answer(text: str | bytes) -> Any:
    source = SourceFile("x.yaml", text.encode() if isinstance(text, str) else text)
    try:
        values, found = source.load()
    except YamlError as error:
        d = error.diagnostic
        assert d.code.startswith("INV")
        assert len(d.message) < 200
        return d.code, d.span.line, d.span.column
    assert found == []
    return values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(*case, id=re.sub("[^a-z0-9]+", "-", f"{row[:24].lower()} {n}"))
        for row, cases in ANSWERS.items()
        for n, case in enumerate(cases)
    ],
)
def test_answer(text: str | bytes, expected: Any) -> None:
    given = answer(text)
    assert type(given) is type(expected)
    same = json.dumps(given, sort_keys=True) == json.dumps(expected, sort_keys=True)  # 1 is not True, nor 1.0
    assert same, str(given)[:500]


def test_the_page_has_a_row_for_each_answer_and_names_its_codes() -> None:
    page = (ROOT / "docs" / "yaml.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| ?(.*?) ?\|$", page, re.MULTILINE)
    told = {row: set(re.findall("INV[0-9]{3}", codes)) for row, _, codes in rows}
    for row, cases in ANSWERS.items():
        codes = {expected[0] for _, expected in cases if isinstance(expected, tuple)}
        assert told.get(row) == codes, row


# --- duplicate keys do not stop the reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", ["4:3 the key 'c' is given twice", "5:1 the key 'a' is given twice"]),
        ("{a: 1, a: 2}\n", ["1:8 the key 'a' is given twice"]),
        ("1: a\n'1': b\n", ["2:1 the key '1' is given twice"]),
        ("a: 1\n? a\n: 2\n", ["2:3 the key 'a' is given twice"]),
        ("é: 1\né: 2\n", ["2:1 the key 'é' is given twice"]),
        # a merged key may be given again, once
        ("b: &b {x: 1}\nc:\n  <<: *b\n  x: 2\n", []),
        ("b: &b {x: 1}\nc:\n  <<: *b\n  x: 2\n  x: 3\n", ["5:3 the key 'x' is given twice"]),
        ("b: &b {x: 1}\nc:\n  x: 0\n  <<: *b\n  x: 2\n", ["5:3 the key 'x' is given twice"]),
        ("b: &b {x: 1}\nc:\n  <<: *b\n  <<: *b\n", ["4:3 '<<' is given twice"]),
    ],
)  # fmt: skip
def test_duplicate_keys(text: str, expected: list[str]) -> None:
    _, found = SourceFile("x.yaml", text.encode()).load()
    assert [f"{d.span.line}:{d.span.column} {d.message}" for d in found] == expected
    assert {d.code for d in found} <= {"INV006"}


def test_a_thousand_findings_of_a_kind_are_a_hundred_and_their_number() -> None:
    _, found = SourceFile("x.yaml", b"a: 1\n" * 1001).load()
    assert [d.code for d in found] == ["INV006"] * MAX_SHOWN + ["INV017"]
    assert (found[-1].span.line, found[-1].message) == (102, "900 more like the one before are not shown")
    edit = ("kind: Site\n", "kind: Site\n" + "".join(f"x{n}: 1\n" for n in range(300)))
    codes = [d.code for d in check({"sites/graz.yaml": [edit]})]
    assert (codes.count("INV010"), codes.count("INV017")) == (MAX_SHOWN, 1)


# --- what the diagnostics say


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_the_line_shown_is_the_line_meant(end: str) -> None:
    source = SourceFile("x.yaml", end.join(["a: 1", "b: |", "  x", "c: 2", "c: 3", ""]).encode())
    _, (found,) = source.load()
    assert (found.span.line, found.source_line) == (5, "c: 3")
    assert (source.locate(("c",)).line, source.line(4)) == (5, "c: 2")


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"], ids=["NEL", "LS", "PS"])
def test_an_end_of_line_for_some_readers_is_refused_in_the_line_of_all(end: str) -> None:
    with pytest.raises(YamlError) as error:
        SourceFile("x.yaml", f"a: 1\r\nb: 2 # so{end}ring: canary\n".encode()).load()
    d = error.value.diagnostic
    assert (d.code, d.span.line, d.span.column) == ("INV003", 2, 10)
    assert f"U+{ord(end):04X}" in d.message


@pytest.mark.parametrize(
    ("text", "help_text"),
    [
        ("a:\n\tb: 1\n", "use spaces"),
        ("a: @b\n", "put a text that begins with @ in quotes"),
        ("a: b: c\n", "put a text that holds ': ' in quotes, or check the indentation here and above"),
        ("a: *b\n", "put & and its name before the value that is meant, or put the text in quotes"),
        ("a: 'b\n", "close the quotation mark"),
        ("a: [b\nc: d\n", "close the bracket, or put a comma between the entries"),
        ("%YAML 1.1\n---\na: 1\n", "remove the line with %YAML"),
    ],
)
def test_the_help_says_what_to_type(text: str, help_text: str) -> None:
    with pytest.raises(YamlError) as error:
        SourceFile("x.yaml", text.encode()).load()
    assert error.value.diagnostic.help == help_text


VERSION = ("    version: 1.30.4\n", "    version: {}\n")


@pytest.mark.parametrize(
    ("written", "message", "help_text"),
    [
        ("1.30", "kubernetes.version is the number 1.30 where text is expected", 'put it in quotes: "1.30"'),
        (
            "12e03",
            "kubernetes.version is the number 12e03 where text is expected",
            'put it in quotes: "12e03"',
        ),
        ("&v 1.30", "kubernetes.version is the number 1.3 where text is expected", "put it in quotes"),
    ],
)
def test_a_number_is_told_as_it_is_written(written: str, message: str, help_text: str) -> None:
    """The value 1.3 in quotes would be another version than the 1.30 that was typed."""
    (found,) = [
        d for d in check({"fleet.yaml": [(VERSION[0], VERSION[1].format(written))]}) if d.code == "INV011"
    ]
    assert (found.message, found.help) == (message, help_text)


@pytest.mark.parametrize("count", ["²", "٣", "9" * 5000], ids=["superscript", "arabic", "5000 digits"])
def test_digits_that_are_no_number_are_a_finding(count: str) -> None:
    edits = {
        "fleet.yaml": [
            (
                "agents: {vmSize: Standard_D8s_v3, count: 2}",
                f"agents: {{vmSize: Standard_D8s_v3, count: '{count}'}}",
            )
        ]
    }
    (found,) = [d for d in check(edits) if d.code == "INV011"]
    assert found.help is None
    assert "where a whole number is expected" in found.message


SECRET = "sk-" + "a1B2" * 8


@pytest.mark.parametrize(
    "edit",
    [
        ("vip: 10.30.2.16", f"vip: {SECRET}"),  # in the words of a type
        ("keyVault:", f"{SECRET}: 1\n  keyVault:"),  # an unknown key
        ("keyVault:", f"{SECRET}: 1\n  {SECRET}: 1\n  keyVault:"),  # given twice
        ("labels: {", f"labels: {{{SECRET}: x, "),
        ("labels: {", f"labels: {{\"\\t{SECRET}\": 1, "),  # quoted, with an escape before it
        ("host: registry.graz.factory.example", f"host: {SECRET}"),
        ("cidr: 10.30.1.0/24", f"cidr: {SECRET}/24"),
    ],
)  # fmt: skip
def test_no_finding_quotes_a_secret(edit: tuple[str, str]) -> None:
    found = check({"sites/graz.yaml": [edit]})
    assert found
    assert SECRET not in repr(found), places(found)


def test_a_value_made_to_be_searched_for_long_is_searched_once() -> None:
    """Quadratic, each of these would be hours."""
    for hostile in ("a." * 500_000, "eyJaaaaaaaaaa-" * 100_000, "a://b:" * 200_000):
        files = {
            "fleet.yaml": f"apiVersion: fleet/v1\nkind: Fleet\nname: x\nrings: [{{name: a}}]\ndefaults: {{labels: {{a: '{hostile}'}}}}\n"
        }
        inventory, _ = load(files)
        assert inventory is not None
