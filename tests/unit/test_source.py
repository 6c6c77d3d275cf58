"""Places in a file's text, and what is shown of it. What is read and refused: test_yaml_answers.py."""

import pytest

from fleet.inventory.source import SourceFile, YamlError


def test_a_line_of_9_mb_is_read_and_shown_cut() -> None:
    source = SourceFile("x.yaml", b"a: [" + b"x" * 9_000_000 + b"\n")
    with pytest.raises(YamlError) as caught:
        source.load()
    assert caught.value.diagnostic.code == "INV005"
    assert len(source.line(1) or "") == 1000


def test_places_of_values_and_keys() -> None:
    source = SourceFile("x.yaml", b"a:\n  b: [10, 20]\n  c: {d: e}\n")
    value = source.locate(("a", "b", 1))
    assert (value.line, value.column, value.end_column) == (2, 11, 13)
    key = source.locate(("a", "c", "d"), key=True)
    assert (key.line, key.column) == (3, 7)
    missing = source.locate(("a", "nothing"))
    assert (missing.line, missing.column) == (1, 1)


def test_what_an_item_of_a_list_does_not_give_is_shown_where_the_item_begins() -> None:
    source = SourceFile("x.yaml", b"# top\nrings:\n  - name: a\n    soak: 1\n  - name: b\n")
    missing = source.locate(("rings", 1, "soak"))
    assert (missing.line, missing.column) == (5, 5)
    assert source.locate(("nothing",)).line == 1


@pytest.mark.parametrize("typed", ["ring:broad", "ring broad"])
@pytest.mark.parametrize("below", ["", "profile: x\n", "\n# a remark\n\nprofile: x\n"])
def test_a_key_without_its_colon_is_shown_and_not_what_stands_below_it(typed: str, below: str) -> None:
    source = SourceFile("x.yaml", f"name: graz\n{typed}\n{below}".encode())
    with pytest.raises(YamlError) as caught:
        source.load()
    found = caught.value.diagnostic
    assert (found.code, found.span.line, found.span.column) == ("INV005", 2, 1)
    assert (found.source_line, found.help) == (typed, "a key is followed by ': ' in its own line")


def test_a_place_behind_an_alias_is_where_the_alias_stands_or_its_inner_value() -> None:
    source = SourceFile("x.yaml", b"base: &b\n  x: 1\nuse: *b\n")
    assert source.locate(("use",)).line == 3
    assert source.locate(("use", "x")).line == 2


def test_lines_that_hold_a_secret_are_not_shown() -> None:
    source = SourceFile("x.yaml", b"a: AccountKey=" + b"A" * 60 + b"\nb: 1\n")
    assert source.line(1) is None
    assert source.line(2) == "b: 1"


def test_a_place_never_leaves_the_text() -> None:
    """libyaml ends a mapping a line further down, also where the last line has no end."""
    for text in (b"a: 1\nb: 2", b"a: 1\nb: 2\n", b"a:\n  - 1", b"a: |\n  x"):
        span = SourceFile("x.yaml", text).locate(())
        assert span.line == 1
        assert span.end_line <= len(text.split(b"\n"))


def test_what_is_written_at_a_place() -> None:
    source = SourceFile("x.yaml", b"a: 1.10\nb: {c: 'x y'}\nd: AccountKey=" + b"A" * 60 + b"\ne:\n  f: 1\n")
    assert source.written(source.locate(("a",))) == "1.10"
    assert source.written(source.locate(("b", "c"))) == "'x y'"
    assert source.written(source.locate(("d",))) is None
    assert source.written(source.locate(())) is None


def test_the_first_value_from_a_line_on() -> None:
    source = SourceFile(
        "x.yaml", b"# top\na: 1\nb:\n  # of c\n  c: [1, 2]\n  d:\n    - 1\n    - {e: 2}\n# end\n"
    )
    paths = [source.first_from(line) for line in range(1, 10)]
    assert paths == [
        ("a",),
        ("a",),
        ("b",),
        ("b", "c"),
        ("b", "c"),
        ("b", "d"),
        ("b", "d", 0),
        ("b", "d", 1),
        None,
    ]


def test_a_secret_behind_an_escape_is_not_shown_either() -> None:
    source = SourceFile("x.yaml", b'a: "\\tsk-' + b"a1B2" * 8 + b'"\n')
    assert source.line(1) is None
