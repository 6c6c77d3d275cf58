"""Secrets are sealed in the state, masked everywhere else, and opened only when they must be."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest
from engine_cloud import PASSPHRASE, STACK, Bench, Thing, ops
from pulumi import ResourceOptions

from fleet.engine.local.secrets import StackSecrets
from fleet.engine.local.values import SealedSecret, Secret
from fleet.ports.engine import PassphraseError, PropertyChange, StackRun

HUSH = "hunter22-and-more"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def secretive(password: str = HUSH, **opts: Any) -> Any:
    def program() -> None:
        thing = Thing("a", password=pulumi.Output.secret(password), opts=ResourceOptions(**opts))
        pulumi.log.info(f"the key is {pulumi.Config().get('key')}")
        pulumi.export("password", thing.password)
        pulumi.export("sentence", pulumi.Output.concat("it is ", thing.password))

    return program


def test_no_plain_text_anywhere(bench: Bench) -> None:
    result = bench.up(secretive(), secret_config={"key": "config-secret-value"})
    assert result.error is None
    assert result.outputs == {"password": "[secret]", "sentence": "[secret]"}
    seen = repr(result) + repr(bench.events)
    for path in bench.store.directory.rglob("*"):
        seen += path.read_text() if path.is_file() else ""
    for text in (HUSH, "config-secret-value", PASSPHRASE):
        assert text not in seen
    assert any("[secret]" in e.message for e in bench.events if e.kind == "diagnostic")
    stored = bench.state_of("a")["inputs"]["password"]
    assert stored["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    assert json.loads((bench.cloud.folder / "a.json").read_text())["password"] == HUSH


def test_failure_messages_are_redacted(bench: Bench) -> None:
    bench.cloud.refuse = {"create a"}
    result = bench.up(secretive("correct horse-value"))
    assert result.error is not None
    assert "correct horse" not in result.error.message
    assert "[secret]" in result.error.message


def test_an_unchanged_secret_keeps_its_ciphertext(bench: Bench) -> None:
    bench.up(secretive())
    before = bench.store.path(STACK).read_bytes()
    assert bench.up(secretive()).counts == {"same": 2}
    assert bench.store.path(STACK).read_bytes() == before


def test_a_changed_secret_is_shown_as_a_secret(bench: Bench) -> None:
    bench.up(secretive())
    result = bench.preview(secretive("another-one"), passphrase=PASSPHRASE)
    change = next(c for c in result.changes if c.name == "a")
    assert change.changes == (PropertyChange("password", "update", "[secret]", "[secret]"),)


def test_additional_secret_outputs(bench: Bench) -> None:
    def program() -> None:
        thing = Thing("a", opts=ResourceOptions(additional_secret_outputs=["link"]))
        pulumi.export("link", thing.link)

    assert bench.up(program).outputs == {"link": "[secret]"}
    assert "https://a.example" not in bench.store.path(STACK).read_text()
    assert bench.up(program).counts == {"same": 2}


def test_preview_with_ignored_secrets_needs_no_passphrase(bench: Bench) -> None:
    def program(password: str) -> Any:
        secret = pulumi.Output.secret
        return lambda: (
            Thing("a", password=secret(password), opts=ResourceOptions(ignore_changes=["password"])) and None
        )

    bench.up(program("first"))

    result = bench.preview(program("second"), passphrase=None)
    assert ops(result) == {"a": "same"}


def test_preview_that_must_compare_a_secret_says_so(bench: Bench) -> None:
    bench.up(secretive())
    with pytest.raises(PassphraseError, match="no passphrase was given"):
        bench.preview(secretive())


def test_a_secret_that_becomes_plain_is_no_change(bench: Bench) -> None:
    """The provider gets the value to compare with; who has no passphrase cannot tell."""
    bench.up(secretive("hunter-two"))
    bench.effects()

    def plain(text: str) -> Any:
        return lambda: Thing("a", password=text) and None

    assert ops(bench.preview(plain("hunter-two"), passphrase=PASSPHRASE)) == {"a": "same"}
    assert ops(bench.preview(plain("hunter-two"), passphrase=None)) == {"a": "update"}
    assert ops(bench.preview(plain("another"), passphrase=PASSPHRASE)) == {"a": "update"}
    assert ops(bench.up(plain("hunter-two"))) == {"a": "same"}
    assert bench.effects() == []
    assert bench.state_of("a")["inputs"]["password"] == "hunter-two"


def test_up_without_a_passphrase_has_no_effect(bench: Bench) -> None:
    def program() -> None:
        first = Thing("first")
        Thing("a", password=pulumi.Output.secret(HUSH), source=first.link)

    with pytest.raises(PassphraseError, match="nothing was changed"):
        bench.engine(None).up(StackRun(STACK, program))
    assert bench.effects() == []
    assert not bench.store.path(STACK).exists()


def test_up_without_secrets_needs_no_passphrase(bench: Bench) -> None:
    assert bench.engine(None).up(StackRun(STACK, lambda: Thing("a") and None)).error is None
    assert "secrets_providers" not in bench.state()["deployment"]


def test_wrong_passphrase(bench: Bench) -> None:
    bench.up(secretive())
    before = bench.store.path(STACK).read_bytes()
    with pytest.raises(PassphraseError, match="not the one"):
        bench.engine("wrong").up(StackRun(STACK, secretive("new")))
    assert bench.store.path(STACK).read_bytes() == before


def test_the_scheme_is_pulumis() -> None:
    """Opened here with nothing but the published scheme: PBKDF2, one million rounds, AES-256-GCM."""
    from hashlib import pbkdf2_hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    secrets = StackSecrets(partial(str, PASSPHRASE))
    sealed = secrets.seal(Secret({"user": "x"}))
    assert secrets.salt_state is not None
    version, salt, check = secrets.salt_state.split(":", 2)
    key = pbkdf2_hmac("sha256", PASSPHRASE.encode(), base64.b64decode(salt), 1_000_000)

    def opened(text: str) -> bytes:
        v1, nonce, data = text.split(":")
        assert v1 == "v1"
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(data), None)

    assert version == "v1"
    assert len(base64.b64decode(salt)) == 8
    assert opened(check) == b"pulumi"
    assert json.loads(opened(sealed.ciphertext)) == {"user": "x"}
    again = StackSecrets(partial(str, PASSPHRASE), secrets.salt_state)
    assert again.open(sealed) == Secret({"user": "x"})


@pytest.mark.parametrize("damaged", ["v1:AAAA", "v2:AAAA:AAAA", "v1:!!:??", "v1:AAAAAAAAAAAAAAAA:AAAA"])
def test_damaged_ciphertext(damaged: str) -> None:
    with pytest.raises(PassphraseError):
        StackSecrets(partial(str, PASSPHRASE)).open(SealedSecret(damaged))


@pytest.mark.parametrize(
    ("message", "redacted"),
    [
        ("sent administrator:Correct-Horse-1", "sent [secret]"),
        ("the password Correct-Horse-1 is weak", "the password [secret] is weak"),
        (r'{"p": "a\"b\u00fccherei"}', '{"p": "[secret]"}'),
        (r'{"p": "a\"bücherei"}', '{"p": "[secret]"}'),
        (r'{"p": "user:line\nbreak-9"} line\nbreak-9', '{"p": "[secret]"} [secret]'),
        ("connect to registry.example:5000 at 5000", "connect to [secret] at 5000"),
    ],
)
def test_what_a_secret_may_look_like_in_a_message(message: str, redacted: str) -> None:
    secrets = StackSecrets(None)
    for text in (
        "administrator:Correct-Horse-1",
        'a"bücherei',
        "user:line\nbreak-9",
        "registry.example:5000",
    ):
        secrets.remember(text)
    assert secrets.redact(message) == redacted
