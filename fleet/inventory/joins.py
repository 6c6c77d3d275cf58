"""Ready-made checks across sites, for `Rule.across`: a key belongs to one site; ranges do not overlap."""

import functools
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Across, Fact, Finding, FleetFacts
from fleet.inventory.source import Path

Key = tuple[str, ...]
"""A name behind the scope of its uniqueness: `(subscription, resource group, cluster)`. The last is shown."""


def one_site_each(
    what: str, keys: Callable[[Site], Iterable[tuple[Path, Key]]], why: str | None = None
) -> Across:
    """No two sites give the same key; `what` is what it names, `why` the finding's help.

    The first site by name keeps it, and each later one has a finding at its path. A key that one site gives
    twice is not this check's concern.
    """

    @functools.wraps(keys, updated=())  # whose rule it is: `Rule.package`
    def facts(site: Site, _: Inventory) -> Iterator[Fact]:
        for path, key in keys(site):
            yield (len(key), *key, *path)

    def join(fleet: FleetFacts) -> Iterator[Finding]:
        first: dict[Key, str] = {}
        for site, (length, *rest) in fleet.rows:
            key, path = tuple(rest[:length]), tuple(rest[length:])
            owner = first.setdefault(key, site)
            if owner != site:
                yield _taken(what, key, site, owner, path, why)

    return Across(join, facts)


def unique(what: str, path: Path, key_of: Callable[[Site], Key | None], why: str | None = None) -> Across:
    """`one_site_each` for a value at one path; a site where `key_of` is None has none."""

    @functools.wraps(key_of, updated=())  # whose rule it is: `Rule.package`
    def facts(site: Site, _: Inventory) -> Iterator[Fact]:
        key = key_of(site)
        if key is not None:
            yield key

    def join(fleet: FleetFacts) -> Iterator[Finding]:
        first: dict[Key, str] = {}
        for site, key in fleet.rows:
            owner = first.setdefault(key, site)
            if owner != site:
                yield _taken(what, key, site, owner, path, why)

    return Across(join, facts)


def _taken(what: str, key: Key, site: str, owner: str, path: Path, why: str | None) -> Finding:
    message = f"{site}'s {what} {key[-1]!r} is {owner}'s already"
    return Finding(path, message, why, site=site, others=(owner,))


class Range(NamedTuple):
    """Addresses from `first` to `last`, both included, of sites that reach each other within `domain`."""

    domain: str
    first: IPv4Address
    last: IPv4Address
    path: Path
    shown: str
    """As messages name it: `management network 10.0.0.0/24`."""


def disjoint(ranges: Callable[[Site], Iterable[Range]], why: str | None = None) -> Across:
    """No range of a site overlaps one of another site in the same domain; a site's own may.

    A range that ends before it starts is left to another rule. Sorted by first address, a range can only
    overlap one that is still open: n log n in all. Each has one finding at most, against the one before it
    that reaches farthest.
    """

    @functools.wraps(ranges, updated=())
    def facts(site: Site, _: Inventory) -> Iterator[Fact]:
        for item in ranges(site):
            if item.first <= item.last:
                yield (item.domain, int(item.first), int(item.last), item.shown, *item.path)

    def join(fleet: FleetFacts) -> Iterator[Finding]:
        rows = sorted(fleet.rows, key=lambda row: (row[1][0], row[1][1], -row[1][2], row[0]))
        open_site, open_domain, open_last, open_shown = "", "", -1, ""
        for site, (domain, first, last, shown, *path) in rows:
            if domain == open_domain and first <= open_last:
                if site != open_site:
                    message = f"{site}'s {shown} overlaps {open_site}'s {open_shown}"
                    yield Finding(tuple(path), message, why, site=site, others=(open_site,))
                if last <= open_last:
                    continue
            open_site, open_domain, open_last, open_shown = site, domain, last, shown

    return Across(join, facts)
