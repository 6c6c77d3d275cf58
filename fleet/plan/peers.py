"""Which sites have other settings than the rest of their ring, and where."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.model.site import SiteSpec

LEAST_PEERS = 3
"""Of fewer sites nobody can say which one is the odd one."""
COUNT = " (count)"


@dataclass(frozen=True)
class OddField:
    """A field in which sites differ from more than half of their peers: those of one ring and profile.

    Values are JSON; None where the field is not set. `shared_by` is how many of the `peers` have `usual`.
    """

    ring: str
    profile: str | None
    path: str
    usual: Any
    found: Any
    sites: tuple[str, ...]
    shared_by: int
    peers: int


def odd_fields(
    specs: Sequence[SiteSpec], shown: Callable[[Any], Any] = lambda value: value
) -> list[OddField]:
    """The fields in which a site is alone among its peers, in the order of rings, profiles and paths.

    A field whose value no majority shares (names, addresses) tells nothing and is left out by itself. Sites
    of another profile are meant to differ, and so are not peers. `shown` is applied to values before they
    are returned: it masks what must not be shown.
    """
    peers: dict[tuple[str, str | None], list[SiteSpec]] = defaultdict(list)
    for spec in specs:
        peers[spec.ring, spec.profile].append(spec)
    return [odd for (ring, profile), some in peers.items() for odd in _odd(ring, profile, some, shown)]


def _odd(
    ring: str, profile: str | None, specs: Sequence[SiteSpec], shown: Callable[[Any], Any]
) -> Iterator[OddField]:
    if len(specs) < LEAST_PEERS:
        return
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for spec in specs:
        for path, value in _leaves(spec):
            counts[path][value] += 1
    half = len(specs) / 2
    usual: dict[str, tuple[str | None, int]] = {}
    for path, values in counts.items():
        absent = len(specs) - values.total()
        most, count = values.most_common(1)[0]
        if half < count < len(specs):
            usual[path] = (most, count)
        elif absent > half and not _in_list(path):
            usual[path] = (None, absent)
    if not usual:
        return
    found: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for spec in specs:
        own = dict(_leaves(spec))
        for path, (expected, _) in usual.items():
            if own.get(path) != expected and (path in own or not _in_list(path)):
                found[path, own.get(path)].append(spec.name)
    for (path, other), sites in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        common, count = usual[path]
        values_shown = shown(_value(common)), shown(_value(other))
        yield OddField(ring, profile, path, *values_shown, tuple(sites), count, len(specs))  # fmt: skip


def _in_list(path: str) -> bool:
    """Whether the path leads through a list, whose length is compared as a field of its own."""
    return "[" in path


def _leaves(spec: SiteSpec) -> Iterator[tuple[str, str]]:
    """Dotted paths and JSON texts of a site's values. A list of mappings is its length and its items; any
    other list is one value."""
    yield from _walk(spec.model_dump(mode="json", by_alias=True, exclude_none=True), "")


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        yield path + COUNT, str(len(value))
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False, sort_keys=True)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
