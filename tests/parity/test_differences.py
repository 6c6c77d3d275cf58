"""What differs between two property maps, and what `ignoreChanges` puts back: ours beside Pulumi's own code."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from fleet.engine.local.diff import format_path, ignore_changes, parse_path, property_changes
from tests.parity.judge import ask

KINDS = {"add": "add", "delete": "remove", "update": "update"}
KEYS = ("a", "b", "plain", "with.dot", 'with"quote', "[0]", "with-dash", "with\\backslash", "*")
LEAVES = ("x", "y", "", 0, 1, 1.5, True, False)


def value(chance: random.Random, depth: int) -> Any:
    kind = chance.random() if depth else 0
    if kind < 0.6:
        return chance.choice(LEAVES)
    if kind < 0.8:
        return [value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return bag(chance, depth - 1)


def bag(chance: random.Random, depth: int) -> dict[str, Any]:
    return {key: value(chance, depth) for key in chance.sample(KEYS, chance.randint(0, 4))}


def varied(chance: random.Random, old: Any) -> Any:
    """A value near to another one."""
    if chance.random() < 0.15:
        return value(chance, 1)
    if isinstance(old, dict):
        kept = {key: varied(chance, item) for key, item in old.items() if chance.random() < 0.9}
        return kept | (bag(chance, 1) if chance.random() < 0.2 else {})
    if isinstance(old, list):
        return [varied(chance, item) for item in old][: chance.randint(0, 4)]
    return old


def pairs(count: int) -> list[dict[str, Any]]:
    chance = random.Random(1)
    made = []
    for _ in range(count):
        old = bag(chance, 3)
        made.append({"old": old, "new": varied(chance, old)})
        if not isinstance(made[-1]["new"], dict):
            made[-1]["new"] = bag(chance, 2)
    return made


def test_the_leaves_that_differ_are_pulumis() -> None:
    questions = pairs(400)
    for question, verdict in zip(questions, ask("diff", question=questions), strict=True):
        ours = {c.path: c.kind for c in property_changes(question["old"], question["new"])}
        theirs = {path: KINDS[kind] for path, kind in verdict["changes"].items()}
        assert ours == theirs, json.dumps(question)


def test_the_pairs_are_not_all_alike() -> None:
    verdicts = ask("diff", question=pairs(400))
    kinds = {kind for v in verdicts for kind in v["changes"].values()}
    assert kinds == {"add", "delete", "update"}
    assert sum(bool(v["changes"]) for v in verdicts) > 200


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path into a value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from places(item, (*path, step))


def with_ignored(count: int) -> list[dict[str, Any]]:
    chance = random.Random(2)
    questions = []
    for question in pairs(count):
        # In a path `*` is any key, which Pulumi takes in no order; it is below, by hand.
        everywhere = {*places(question["old"]), *places(question["new"])}
        found = sorted((path for path in everywhere if "*" not in path), key=str)
        if found:
            questions.append({**question, "ignore": [format_path(chance.choice(found))]})
    return questions


def test_ignore_changes_puts_back_what_pulumi_does() -> None:
    questions = with_ignored(600)
    refused = 0
    for question, verdict in zip(questions, ask("diff", question=questions), strict=True):
        refused += bool(verdict["refused"])
        ours = ignore_changes(question["old"], question["new"], question["ignore"])
        assert ours == verdict["ignored"], json.dumps(question)
    assert 0 < refused < 300


IGNORED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "what holds the path is gone from the new map": ({"plain": {"b": 1, "c": 2}}, {}, "plain.b"),
    "what holds the path is new": ({}, {"plain": {"b": 1, "c": 2}}, "plain.b"),
    "any element of what is no list before": ({"a": [1]}, {"a": {"b": 1}}, "a[*]"),
    "any element of what was not there before": ({}, {"a": {"b": 1}}, "a[*]"),
    "any element of what is not there any more": ({"a": {"b": 1}}, {}, "a[*]"),
    "any key": ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "d": 4}}, "a.*"),
    "any element of a longer list": ({"a": [1, 2, 3]}, {"a": [4, 5]}, "a[*]"),
    "below any element of a shorter list": ({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"b": 3}]}, "a[*].b"),
    "below any element, one is no map": ({"a": [1, {"b": 1}]}, {"a": [{"b": 2}, {"b": 3}]}, "a[*].b"),
    "below any key": ({"a": {"x": {"b": 1}}}, {"a": {"x": {"b": 2, "c": 3}}}, "a.*.b"),
    "below any key, one is new": ({"a": {"x": {"b": 1}}}, {"a": {"x": {"b": 2}, "y": {"b": 3}}}, "a.*.b"),
    "everything": ({"a": 1}, {"b": 2}, "*"),
    "an element that is new": ({"a": [1]}, {"a": [2, 3]}, "a[1]"),
    "an element of what is no list any more": ({"a": [1]}, {"a": "x"}, "a[0]"),
}


@pytest.mark.parametrize("what", IGNORED)
def test_ignored_paths_by_hand(what: str) -> None:
    old, new, path = IGNORED[what]
    (verdict,) = ask("diff", question=[{"old": old, "new": new, "ignore": [path]}])
    assert ignore_changes(old, new, [path]) == verdict["ignored"]


@pytest.mark.parametrize("key", ["*", "a-b", "a b", "a$", "é", "a/b", "a\\b", "1"])
def test_a_key_is_quoted_where_pulumi_quotes_it(key: str) -> None:
    old, new = {"a": {"b": 1}}, {"a": {"b": 1, key: 1}}
    (verdict,) = ask("diff", question=[{"old": old, "new": new}])
    assert [c.path for c in property_changes(old, new)] == list(verdict["changes"])


@pytest.mark.parametrize("text", ["a", "a.b", "a[0].b", 'a["b.c"]', '["a"].b', "a[0][1]", "a.b[2]"])
def test_paths_are_read_as_pulumi_reads_them(text: str) -> None:
    """A path that both understand restores the same leaf, and is written back the same."""
    old: Any = "old"
    new: Any = "new"
    for step in reversed(parse_path(text)):
        if isinstance(step, int):
            old, new = ["same"] * step + [old], ["same"] * step + [new]
        else:
            old, new = {step: old}, {step: new}
    (verdict,) = ask("diff", question=[{"old": old, "new": new, "ignore": [text], "replace": [text]}])
    assert verdict["replaces"] == [format_path(parse_path(text))] == list(verdict["changes"])
    assert [c.path for c in property_changes(old, new)] == verdict["replaces"]
