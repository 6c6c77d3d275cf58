"""Each pattern of the model has words for people, and an example that it takes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fleet.inventory.forms import FORMS, expected_form
from fleet.model.fleet import FleetFile, SiteHeader
from fleet.model.site import SiteSpec


def patterns(node: Any) -> Iterator[str]:
    """Every pattern in a JSON schema, of values and of keys."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        yield from node.get("patternProperties", {})
        for part in node.values():
            yield from patterns(part)
    elif isinstance(node, list):
        for part in node:
            yield from patterns(part)


IN_USE = {p for model in (SiteSpec, FleetFile, SiteHeader) for p in patterns(model.model_json_schema())}


def test_every_pattern_has_words_and_no_words_are_left_over() -> None:
    assert sorted(IN_USE - FORMS.keys()) == [], "say in fleet/inventory/forms.py what it looks like"
    assert sorted(FORMS.keys() - IN_USE) == []


@pytest.mark.parametrize("pattern", sorted(FORMS))
def test_the_example_is_of_the_form(pattern: str) -> None:
    words, example = FORMS[pattern]
    assert re.fullmatch(pattern, example)
    assert expected_form(pattern) == f"{words}, such as {example}"
    assert not set("^$[]*\\") & set(words), "words, and no pattern"


def test_a_pattern_without_words_is_shown_itself() -> None:
    assert expected_form("^a+$") == "a text of the form ^a+$"
