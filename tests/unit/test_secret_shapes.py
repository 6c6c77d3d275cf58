"""What looks like a secret: told by its kind, and never shown."""

import pytest

from fleet.diagnostics.diagnostic import MAX_TEXT, Diagnostic, Span
from fleet.diagnostics.secret_shapes import SHAPES, secret_shape, without_secrets
from fleet.inventory.secret_shapes import literal_secrets

EXAMPLES = {
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
    "an API key": "sk-" + "a1B2" * 8,
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    "a storage account key": "AccountKey=" + "a1B2" * 12 + "==",
    "a shared access signature": "https://x.example/c?sig=" + "a1B2" * 8,
    "a password in a URL": "https://me:pw123@x.example",
    "an age identity": "AGE-SECRET-KEY-1" + "A1B2" * 8,
}


def test_each_shape_has_an_example() -> None:
    assert EXAMPLES.keys() == SHAPES.keys()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_secret_is_told_and_taken_out(kind: str) -> None:
    secret = EXAMPLES[kind]
    assert secret_shape(secret) == kind
    assert secret_shape(f"the value '{secret}' is none") == kind
    taken = without_secrets(f"the value '{secret}' is none")
    assert "…" in taken
    assert secret[-12:] not in taken
    assert taken.startswith("the value '")


def test_what_follows_a_secret_stays_but_for_a_private_key() -> None:
    assert without_secrets(f"'{EXAMPLES['an API key']}' is none") == "'…' is none"
    assert without_secrets("-----BEGIN PRIVATE KEY-----\nMIIE\nabc\n") == "…"
    assert without_secrets(f"a {EXAMPLES['a JSON web token']} b") == "a … b"


@pytest.mark.parametrize("before", ["\t", "\n", "\x1b", "\u200b", "\U000e0020"])
def test_a_secret_behind_an_escape_is_taken_out(before: str) -> None:
    """Messages quote values as Python does, so that a letter stands before the secret."""
    for secret in EXAMPLES.values():
        assert secret[-12:] not in without_secrets(repr(before + secret))


@pytest.mark.parametrize(
    "text",
    [
        "task-assessment-of-everything-there-is",
        "eyJ",
        "https://x.example:443/a@b",
        "sk-short",
        "PRIVATE KEY",
        "?sig=1",
    ],
)
def test_words_stay(text: str) -> None:
    assert secret_shape(text) is None
    assert without_secrets(text) == text


def test_a_diagnostic_takes_secrets_out_and_cuts_what_is_long() -> None:
    secret = EXAMPLES["an API key"]
    d = Diagnostic("X", "error", f"{secret} is wrong", Span("x", 1, 1, 1, 2), f"not {secret}")
    assert (d.message, d.help) == ("… is wrong", "not …")
    long = Diagnostic("X", "error", "x" * (MAX_TEXT - 5) + f" {secret}", Span("x", 1, 1, 1, 2))
    assert len(long.message) <= MAX_TEXT
    assert "sk-" not in long.message
    assert len(Diagnostic("X", "error", "x" * 5000, Span("x", 1, 1, 1, 2)).message) == MAX_TEXT


def test_secrets_are_found_in_values_and_in_keys() -> None:
    secret = EXAMPLES["an API key"]
    assert list(literal_secrets({"a": [1, secret], secret: {"b": 1}})) == [
        (("a", 1), "an API key"),
        ((secret,), "an API key"),
    ]
