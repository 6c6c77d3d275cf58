"""Rules about secrets. None of these is one: they only have the shape, and are put together so that no scanner minds."""

import pytest

from tests.factory import check
from tests.unit.rules.cases import FLEET, GRAZ, Case, Cases, Edits, rule_tests

JWT = "eyJ" + "a" * 10 + ".eyJ" + "b" * 10
SHAPES = {
    "an API key": "sk-" + "aB1_-" * 4,
    "a JSON web token": JWT + ".",
    "a storage account key": "AccountKey=" + "aB1+/" * 7 + "abc==",
    "a shared access signature": "https://a.example/c?sv=1&sig=" + "a%2B=" * 4,
    "a password in a URL": "redis://me:pw@cache.example",
    "an age identity": "AGE-SECRET-" + "KEY-1" + "QZ3X7" * 4,
    "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
}  # fmt: skip


def label(text: str) -> Edits:
    """A label of Graz with this text."""
    return {GRAZ: [("line: assembly", f'line: "{text}"')]}


CASES = {
    "SEC001": Cases(
        fires=[
            *(Case(label(text), f"sites/graz.yaml:6 labels.line holds {kind}") for kind, text in SHAPES.items()),
            *(Case(label(text), "sites/graz.yaml:6 labels.line holds a GitHub token")
              for text in (*(f"gh{kind}_" + "aB1" * 10 for kind in "pousr"), "github_pat_" + "a_B" * 10)),
            Case(label("?" + "sig=" + "a" * 20), "sites/graz.yaml:6 labels.line holds a shared access signature"),
            Case(label("-----BEGIN " + "PRIVATE KEY-----"), "sites/graz.yaml:6 labels.line holds a private key"),
            Case(label("postgresql+psycopg://a:b@c"), "sites/graz.yaml:6 labels.line holds a password in a URL"),
            Case(label("key " + SHAPES["an API key"] + " of ours"), "sites/graz.yaml:6 labels.line holds an API key"),
            # in the shared layers, in lists, and where no site uses it
            Case({FLEET: [("domainFqdn: factory.example", "domainFqdn: https://me:pw123@factory.example")]},
                 "fleet.yaml:{domainFqdn} defaults.azureLocal.domainFqdn holds a password in a URL", also=("AZL023",)),
            Case({FLEET: [("adapters: [ethernet 3, ethernet 4]", f"adapters: [ethernet 3, ethernet 4, {SHAPES['an API key']}]")]},
                 "fleet.yaml:{traffic: [Storage]} defaults.azureLocal.intents.1.adapters.2 holds an API key"),
            Case({FLEET: [("  pilot:\n", f"  unused: {{labels: {{line: {SHAPES['an API key']}}}}}\n  pilot:\n")]},
                 "fleet.yaml:{unused} profiles.unused.labels.line holds an API key"),
        ],
        near=[
            *(label(text[:-1]) for kind, text in SHAPES.items() if kind not in ("a password in a URL",)),
            *(label(f"gh{kind}_" + "aB1" * 9 + "aB") for kind in "pousr"),
            label("ghx_" + "a" * 40),
            label("github_pat_" + "a" * 29),
            label("task-" + "a" * 20),  # the word has another start
            label("eyJ" + "a" * 9 + ".eyJ" + "b" * 10 + "."),
            label("eyJ" + "a" * 10 + ".eyJ" + "b" * 9 + "."),
            label("-----BEGIN PUBLIC KEY-----"),
            label("redis://cache.example:6379/a@b"),
            label("redis://me@cache.example"),
            {FLEET: [("domainFqdn: factory.example", "domainFqdn: me.factory.example")]},
        ],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_no_diagnostic_shows_the_secret_that_it_found(kind: str) -> None:
    for edits in (label(SHAPES[kind]), {FLEET: [("", f'name: "{SHAPES[kind]}"\n')]}):
        found = check(edits)
        assert found
        assert SHAPES[kind] not in repr(found)
