"""How numbers, times and names are written in the rollout report; plain functions of what they are given."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup, escape

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

# C0 and C1 controls (tab and newline stay), lone surrogates, and the marks that reorder text on screen:
# a message from a tool may carry any of them, and none may change what a reader believes to read.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TERMINAL_STYLE = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


def clean(text: str) -> str:
    """Text that shows as what it is: no terminal styling, other invisible controls as U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", _TERMINAL_STYLE.sub("", text))


def prose(value: str) -> Markup:
    """Text as HTML, with what stands between `backticks` set as code."""
    parts = clean(value).split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a backtick
        parts[-2:] = ["`".join(parts[-2:])]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 site`, `1,000 sites`; `many` where the plural is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def names(items: Sequence[str], at_most: int = 3) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 5 more`."""
    if len(items) > at_most:
        return f"{', '.join(items[: at_most - 1])} and {len(items) - at_most + 1:,} more"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def duration(seconds: float) -> str:
    """A length of time in seconds, as precise as its size deserves: `0.42 s`, `12.3 s`, `4 min 05 s`."""
    if seconds < 0.995:
        return f"{max(seconds, 0):.2f} s"
    if seconds < _MINUTE - 0.05:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    minutes = round(seconds / _MINUTE)
    if minutes * _MINUTE < _DAY:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def utc(timestamp: float) -> str:
    """Unix seconds as `2026-01-14 09:30:05 UTC`."""
    return f"{datetime.fromtimestamp(timestamp, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


def utc_iso(timestamp: float) -> str:
    """Unix seconds as `2026-01-14T09:30:05Z`, for machines."""
    return f"{datetime.fromtimestamp(timestamp, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"


def ticks(longest: float) -> tuple[float, ...]:
    """Round marks from 0 to `longest`, in seconds: 3 to 7 of them, fewer below 20 ms."""
    steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]
    steps += [minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)]
    steps += [hours * _HOUR for hours in (1, 2, 3, 6, 12, 24, 48, 120, 240)]
    step = next((step for step in steps if longest <= step * 6), max(steps[-1], longest / 5))
    return tuple(step * index for index in range(int(longest / step) + 1))


def short_duration(seconds: float) -> str:
    """A round number of seconds, as short as can be: `0`, `0.2 s`, `15 s`, `5 min`, `1.5 h`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.3g} s" if seconds else "0"
    return f"{seconds / _MINUTE:.3g} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.3g} h"
