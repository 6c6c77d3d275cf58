"""YAML text: what is read, what is refused, and where it is."""

from itertools import pairwise

import pytest

from fleet.inventory.source import MAX_BYTES, SourceFile, YamlError


def read(text: str | bytes) -> object:
    return SourceFile("x.yaml", text.encode() if isinstance(text, str) else text).load()[0]


def refusal(text: str | bytes) -> tuple[str, int, int, str]:
    with pytest.raises(YamlError) as caught:
        read(text)
    d = caught.value.diagnostic
    return d.code, d.span.line, d.span.column, d.message


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Y", "Y"), ("true", True), ("False", False),
        ("010", "010"), ("0o10", 8), ("0x1F", 31), ("12", 12), ("-3", -3), ("1_000", "1_000"), ("1:30", "1:30"),
        ("1.5", 1.5), ("1e3", 1000.0), (".inf", ".inf"), ("2026-11-21", "2026-11-21"), ("~", None), ("", None),
        ('"12"', "12"), ("'true'", "true"), ("9" * 5000, "9" * 5000), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_read_by_yaml_1_2(written: str, value: object) -> None:
    assert read(f"key: {written}\n") == {"key": value}


def test_merge_keys_keep_what_is_written_beside_them() -> None:
    assert read("b: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\n") == {
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
    }


def test_a_merged_key_may_be_given_again_and_only_once() -> None:
    source = SourceFile("x.yaml", b"b: &b {x: 1}\nc:\n  <<: *b\n  x: 2\n")
    assert source.load() == ({"b": {"x": 1}, "c": {"x": 2}}, [])
    twice = SourceFile("x.yaml", b"b: &b {x: 1}\nc:\n  <<: *b\n  x: 2\n  x: 3\n")
    assert [(d.code, d.span.line) for d in twice.load()[1]] == [("INV006", 5)]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read(b"\xef\xbb\xbfkey: 1\n") == {"key": 1}


def test_keys_are_text() -> None:
    assert read("1: a\ntrue: b\n") == {"1": "a", "true": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("INV004", 1, 1, "the file is empty")),
        ("# only words\n", ("INV004", 1, 1, "the file is empty")),
        ("- a\n", ("INV008", 1, 1, "the file is not a mapping of keys to values")),
        ("a: [1, 2\nb: 3\n", ("INV005", 2, 2, "not YAML: did not find expected ',' or ']'")),
        ("a:\n\t- b\n", ("INV005", 2, 1, "not YAML: found character that cannot start any token")),
        ("a: 'cut off\n", ("INV005", 1, 12, "not YAML: found unexpected end of stream")),
        (b"a: b\nc: \xff\xfe\n", ("INV003", 2, 1, "not text: its bytes are not UTF-8")),
        (b"a: b\nc: d\0e\n", ("INV003", 2, 1, "not text: it holds a NUL byte")),
        ("a: 1\n---\nb: 2\n", ("INV008", 2, 1, "a second YAML document in one file")),
        ("a: &x [1, *x]\n", ("INV007", 1, 11, "the alias *x stands inside its own anchor")),
        ("a: *nowhere\n", ("INV005", 1, 4, "not YAML: the alias *nowhere has no anchor")),
        (
            "a: !!python/name:os.system x\n",
            ("INV005", 1, 4, "the tag tag:yaml.org,2002:python/name:os.system is not supported"),
        ),
        ("a: " + "[" * 100, ("INV007", 1, 67, "nested deeper than 64 levels")),
        ("? [a]\n: b\n", ("INV005", 1, 5, "a key is text, not a mapping or a sequence")),
        ("a: {<<: 3}\n", ("INV005", 1, 5, "'<<' merges a mapping")),
    ],
)
def test_what_is_not_a_document_of_ours_is_refused_with_its_place(
    text: str | bytes, expected: tuple[str, int, int, str]
) -> None:
    assert refusal(text) == expected


def test_billion_laughs_stop_early() -> None:
    names = "abcdefghi"
    lines = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    assert refusal("\n".join(lines)) == ("INV007", 6, 8, "aliases repeat more than 100,000 values")


def test_a_file_of_100_mb_is_refused_unread() -> None:
    code, line, column, message = refusal(b"a" * (MAX_BYTES + 1))
    assert (code, line, column, message) == ("INV002", 1, 1, "larger than 10 MB")


def test_a_line_of_9_mb_is_read_and_shown_cut() -> None:
    source = SourceFile("x.yaml", b"a: [" + b"x" * 9_000_000 + b"\n")
    with pytest.raises(YamlError) as caught:
        source.load()
    assert caught.value.diagnostic.code == "INV005"
    assert len(source.line(1) or "") == 1000


def test_duplicate_keys_are_all_found() -> None:
    value, found = SourceFile("x.yaml", b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").load()
    assert [(d.code, d.span.line, d.message) for d in found] == [
        ("INV006", 4, "the key 'c' is given twice"),
        ("INV006", 5, "the key 'a' is given twice"),
    ]
    assert value == {"a": 3, "b": {"c": 2}}


def test_places_of_values_and_keys() -> None:
    source = SourceFile("x.yaml", b"a:\n  b: [10, 20]\n  c: {d: e}\n")
    value = source.locate(("a", "b", 1))
    assert (value.line, value.column, value.end_column) == (2, 11, 13)
    key = source.locate(("a", "c", "d"), key=True)
    assert (key.line, key.column) == (3, 7)
    missing = source.locate(("a", "nothing"))
    assert (missing.line, missing.column) == (1, 1)


def test_a_place_behind_an_alias_is_where_the_alias_stands_or_its_inner_value() -> None:
    source = SourceFile("x.yaml", b"base: &b\n  x: 1\nuse: *b\n")
    assert source.locate(("use",)).line == 3
    assert source.locate(("use", "x")).line == 2


def test_lines_that_hold_a_secret_are_not_shown() -> None:
    source = SourceFile("x.yaml", b"a: AccountKey=" + b"A" * 60 + b"\nb: 1\n")
    assert source.line(1) is None
    assert source.line(2) == "b: 1"
