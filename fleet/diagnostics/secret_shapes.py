"""What literal secrets look like, so that no finding shows one.

The shapes are searched in values of any length that a stranger may have written: each takes linear time.
"""

import re

SHAPES = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}"),
    # Not \b: a dash would begin a new search at each of its own dashes.
    "a JSON web token": re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."),
    "a storage account key": re.compile(r"AccountKey=[A-Za-z0-9+/=]{40,}"),
    "a shared access signature": re.compile(r"[?&]sig=[A-Za-z0-9%+/=]{20,}"),
    # A scheme has a few letters; without a bound, "a.a.a.…" is searched to its end from each dot.
    "a password in a URL": re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^/\s:@]+:[^/\s@]+@"),
    "an age identity": re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
}

_MARKS = {
    "a private key": "PRIVATE KEY",
    "an API key": "sk-",
    "a GitHub token": "_",
    "a JSON web token": "eyJ",
    "a storage account key": "AccountKey=",
    "a shared access signature": "sig=",
    "a password in a URL": "://",
    "an age identity": "AGE-SECRET-KEY-1",
}
"""What each kind holds in any case: most texts are known to be harmless without a search."""


def secret_shape(text: str) -> str | None:
    """What kind of secret `text` holds, or None."""
    return next((name for name, mark in _MARKS.items() if mark in text and SHAPES[name].search(text)), None)


def without_secrets(text: str) -> str:
    """`text` with what looks like a secret, up to the next space or quote, replaced by `…`.

    Of a private key nothing that follows is left. For texts of messages: not linear in its length.
    """
    # Messages quote values as Python does: a letter before may be an escape's, and begin no word.
    for name, shape in (_ANYWHERE if "\\" in text else _WHOLE).items():
        if _MARKS[name] in text:
            text = shape.sub("…", text)
    return text


_BEGIN = re.compile(r"\\b|\(\?<!.*?\)")
"""What says in a shape that a word begins."""


def _whole(name: str, pattern: str) -> re.Pattern[str]:
    return re.compile(f"(?:{pattern})" + (r"(?s:.*)" if name == "a private key" else r"[^\s'\"]*"))


_WHOLE = {name: _whole(name, shape.pattern) for name, shape in SHAPES.items()}
_ANYWHERE = {name: _whole(name, _BEGIN.sub("", shape.pattern)) for name, shape in SHAPES.items()}
