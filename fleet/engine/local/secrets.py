"""Pulumi's passphrase secrets provider: how a stack's secrets are kept in its state.

The scheme is the CLI's (pkg/secrets/passphrase and sdk/go/common/resource/config/crypt.go): a key of 32
bytes from PBKDF2-HMAC-SHA256 with 1,000,000 rounds over the passphrase and the stack's 8-byte salt, and
AES-256-GCM. `pulumi stack import` reads what is written here, with the same passphrase.
"""

import base64
import binascii
import json
import os
import threading
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, Final

from fleet.engine.local.values import UNKNOWN_VALUE, SealedSecret, Secret, leaves, transform
from fleet.ports.engine import PassphraseError

_ROUNDS: Final = 1_000_000
_SALT_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_PASSWORD_CHARACTERS: Final = 8
_SENTINEL: Final = b"pulumi"
"""What the salt's own ciphertext opens to when the passphrase is right."""

Passphrase = Callable[[], str]


class StackSecrets:
    """Opens and seals the secrets of one stack. The key is derived on first need, which takes a while.

    `salt_state` is what the state records (`v1:<salt>:v1:<nonce>:<ciphertext>`), or None for a stack that
    has no secrets yet: then the first secret makes a salt. Safe to use from several threads.
    """

    def __init__(self, passphrase: Passphrase | None, salt_state: str | None = None) -> None:
        self._passphrase = passphrase
        self._salt_state = salt_state
        self._key: bytes | None = None
        self._lock = threading.Lock()
        self._opened: dict[str, Any] = {}
        self._sealed: dict[str, str] = {}
        self.seen: set[str] = set()
        """Every secret text met in this run, for keeping it out of messages."""

    @property
    def salt_state(self) -> str | None:
        """What to record in the state, or None while nothing was sealed."""
        return self._salt_state

    @property
    def available(self) -> bool:
        """Whether a passphrase can be asked for at all. It may still be wrong."""
        return self._passphrase is not None

    def ready(self) -> None:
        """Make sure that secrets can be sealed. Raises `PassphraseError`; call it before an effect."""
        self._derived()

    def seal(self, secret: Secret) -> SealedSecret:
        """Encrypt a secret. The same plain value gives the same ciphertext within a run."""
        plain = json.dumps(secret.plain, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        with self._lock:
            known = self._sealed.get(plain)
        if known is None:
            known = _encrypt(self._derived(), plain.encode())
            with self._lock:
                known = self._sealed.setdefault(plain, known)
                self._opened[known] = secret.plain
        return SealedSecret(known)

    def open(self, sealed: SealedSecret) -> Secret:
        """Decrypt a secret of the state. Raises `PassphraseError`."""
        with self._lock:
            if sealed.ciphertext in self._opened:
                return Secret(self._opened[sealed.ciphertext])
        plain = json.loads(_decrypt(self._derived(), sealed.ciphertext))
        with self._lock:
            self._opened[sealed.ciphertext] = plain
        self.remember(plain)
        return Secret(plain)

    def open_all(self, value: Any) -> Any:
        """Copy a value with every sealed secret opened."""
        return transform(value, lambda leaf: self.open(leaf) if isinstance(leaf, SealedSecret) else leaf)

    def seal_all(self, value: Any) -> Any:
        """Copy a value with every plain secret sealed."""
        return transform(value, lambda leaf: self.seal(leaf) if isinstance(leaf, Secret) else leaf)

    def reuse(self, new: Any, old: Any) -> Any:
        """Copy `new` with each secret that did not change replaced by its sealed form in `old`.

        An unchanged secret keeps its ciphertext, so an unchanged resource is written unchanged.
        """
        if isinstance(new, Secret) and isinstance(old, SealedSecret):
            return old if self.open(old).plain == new.plain else new
        if isinstance(new, dict) and isinstance(old, dict):
            return {key: self.reuse(value, old.get(key)) for key, value in new.items()}
        if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
            return [self.reuse(a, b) for a, b in zip(new, old, strict=True)]
        return new

    def comparable(self, old: Any, new: Any) -> Any:
        """Copy `old` with each sealed secret opened where `new` is plain, to tell whether it is the same.

        Without a passphrase it stays sealed, and so differs.
        """
        if isinstance(old, SealedSecret):
            plain = (
                new is not None and new is not UNKNOWN_VALUE and not isinstance(new, Secret | SealedSecret)
            )
            return self.open(old) if plain and self.available else old
        if isinstance(old, dict) and isinstance(new, dict):
            return {key: self.comparable(value, new.get(key)) for key, value in old.items()}
        if isinstance(old, list) and isinstance(new, list):
            return [self.comparable(a, b) for a, b in zip_longest(old, new[: len(old)])]
        return old

    def remember(self, value: Any) -> None:
        """Note the texts of a plain secret value, so that `redact` can remove them.

        Noted too are the password of a text `user:password`, since a provider may get, and repeat, just
        that, and how each looks inside of JSON.
        """
        for leaf in leaves(value):
            # Shorter texts would turn ordinary words of a message into noise, and guard nothing.
            if isinstance(leaf, str) and len(leaf) >= 4:
                self.seen.update(_forms(leaf))
            elif isinstance(leaf, Secret):
                self.remember(leaf.plain)

    def redact(self, message: str) -> str:
        """Remove every secret met so far from a message."""
        for text in sorted(self.seen, key=len, reverse=True):
            message = message.replace(text, "[secret]")
        return message

    def _derived(self) -> bytes:
        with self._lock:
            if self._key is None:
                self._key = self._derive()
            return self._key

    def _derive(self) -> bytes:
        try:
            passphrase = self._passphrase() if self._passphrase else ""
        except (OSError, UnicodeDecodeError) as error:
            raise PassphraseError(f"the passphrase of the stack's secrets cannot be read: {error}") from None
        if not passphrase:
            raise PassphraseError(
                "this stack has secrets and no passphrase was given; set the passphrase that its state is "
                "encrypted with (or, for a new stack, choose one)"
            )
        if self._salt_state is None:
            salt = os.urandom(_SALT_BYTES)
            key = _derive_key(passphrase, salt)
            self._salt_state = f"v1:{base64.b64encode(salt).decode()}:{_encrypt(key, _SENTINEL)}"
            return key
        try:
            _, salt_text, check = self._salt_state.split(":", 2)
            key = _derive_key(passphrase, base64.b64decode(salt_text, validate=True))
        except (ValueError, binascii.Error):
            raise PassphraseError("the state's encryption salt is damaged") from None
        if _decrypt(key, check) != _SENTINEL:
            raise PassphraseError("the passphrase is not the one that this state was encrypted with")
        return key


def _forms(text: str) -> set[str]:
    """The ways in which a secret text may turn up in a message."""
    password = text.partition(":")[2]
    # A shorter rest may be anything, e.g. the port of an address.
    plain = {text, password} if len(password) >= _PASSWORD_CHARACTERS else {text}
    return plain | {json.dumps(form, ensure_ascii=ascii_)[1:-1] for form in plain for ascii_ in (True, False)}


def _derive_key(passphrase: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    return PBKDF2HMAC(SHA256(), length=32, salt=salt, iterations=_ROUNDS).derive(passphrase.encode())


def _encrypt(key: bytes, plain: bytes) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def _decrypt(key: bytes, ciphertext: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        version, nonce, sealed = ciphertext.split(":")
        if version != "v1":
            raise PassphraseError(f"the state has a secret of an unknown encryption version {version!r}")
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None)
    except InvalidTag:
        raise PassphraseError("the passphrase is not the one that this state was encrypted with") from None
    except (ValueError, binascii.Error):
        raise PassphraseError("the state has a secret that is damaged") from None
