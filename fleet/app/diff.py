"""How sites' trees differ, with equal changes of many sites told once.

Two sites have the same change when the lines are equal once the names that belong to one site alone are taken
out of them (`own_words`), and the file's path too.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from fleet.model.site import SiteSpec
from fleet.plan.grouping import Words, own_words

CONTEXT = 3
"""Unchanged lines above a change that are shown, as `diff -u` does."""
_DIGEST = re.compile(r"(?<![0-9A-Za-z:\"])\"?[0-9a-f]{16}\"?(?![0-9A-Za-z])")
"""A digest that pods carry so that a changed configuration restarts them (16 hex digits, no `sha256:`)."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place of a file that differs. Lines are without the site's own words."""

    path: str
    op: str
    """`add` and `remove` are of a whole file, `change` of lines."""
    above: tuple[str, ...]
    """Unchanged lines above; the same change below other lines is the same one."""
    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What the same change has in common at all sites: not the digests over a site's own settings."""
        removed, added = (tuple(_DIGEST.sub("<digest>", x) for x in y) for y in (self.removed, self.added))
        return self.path, self.op, removed, added


@dataclass(frozen=True, slots=True)
class SiteDifference:
    """What differs at a site."""

    site: str
    ring: str
    standing: str
    """`new`, `removed` or `changed`."""
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class SameChange:
    """A change and the sites that have it; `rings` says how many of them are in which ring."""

    first: Hunk
    example: str
    """The site that `first` was read at."""
    sites: tuple[str, ...]
    rings: Mapping[str, int]


def site_difference(
    spec: SiteSpec, standing: str, before: Mapping[str, str], after: Mapping[str, str]
) -> SiteDifference:
    """How two trees of a site, texts by path, differ."""
    return SiteDifference(spec.name, spec.ring, standing, tuple(hunks(before, after, own_words(spec))))


def hunks(before: Mapping[str, str], after: Mapping[str, str], words: Words) -> list[Hunk]:
    """The places that differ, by path, then by line. `words`: the site's own, and what stands for each."""
    found: list[Hunk] = []
    general = _Generaliser(words)
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        name = general.text(path)
        if old is None or new is None:
            lines = general.lines((old if new is None else new) or "")
            found.append(
                Hunk(name, "add", (), (), lines) if old is None else Hunk(name, "remove", (), lines, ())
            )
            continue
        own, other = general.lines(old), general.lines(new)
        for start, end, start_new, end_new in _changed_ranges(own, other):
            above = own[max(start - CONTEXT, 0) : start]
            found.append(Hunk(name, "change", above, own[start:end], other[start_new:end_new]))
        if own == other:  # one of the site's own words became another one of them
            pairs = zip(old.split("\n"), new.split("\n"), strict=True)
            removed, added = zip(*(pair for pair in pairs if pair[0] != pair[1]), strict=True)
            found.append(Hunk(name, "change", (), removed, added))
    return found


@lru_cache(maxsize=512)
def _changed_ranges(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[tuple[int, int, int, int], ...]:
    # Most sites have the same files and the same change.
    codes = SequenceMatcher(None, before, after, False).get_opcodes()
    return tuple((a, b, c, d) for op, a, b, c, d in codes if op != "equal")


def grouped(differences: Iterable[SiteDifference]) -> list[SameChange]:
    """The changes, those of most sites first, then by path."""
    found: dict[tuple[object, ...], tuple[Hunk, list[SiteDifference]]] = {}
    for difference in differences:
        for hunk in difference.hunks:
            have = found.setdefault((difference.standing, *hunk.key), (hunk, []))[1]
            if not have or have[-1] is not difference:  # twice in one file is one site
                have.append(difference)
    changes = [
        SameChange(hunk, of[0].site, tuple(d.site for d in of), Counter(d.ring for d in of))
        for hunk, of in found.values()
    ]
    return sorted(changes, key=lambda change: (-len(change.sites), change.first.path))


class _Generaliser:
    """Puts what stands for a site's own words into texts. Only whole words: `a` is not found in `aks`."""

    def __init__(self, words: Words) -> None:
        self._words = words
        some = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)
        self._pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{some})(?![A-Za-z0-9])") if some else None

    def text(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: f"<{self._words[match[0]]}>", text)

    def lines(self, text: str) -> tuple[str, ...]:
        return tuple(self.text(text).removesuffix("\n").split("\n"))


def lines_of(change: SameChange) -> Sequence[str]:
    """The change as a unified diff has it, without its head."""
    first = change.first
    above = [f"  {line}" for line in first.above]
    return [*above, *(f"- {line}" for line in first.removed), *(f"+ {line}" for line in first.added)]
