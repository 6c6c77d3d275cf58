"""What differs between two values of the same kind, leaf by leaf, and between two revisions of a site."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fleet.plan.site_plan import SitePlan

Standing = Literal["new", "changed", "same"]

ABSENT = None
"""Stands for a side that has no such field: a resolved site leaves out what is not set."""


@dataclass(frozen=True)
class FieldChange:
    """A field that differs: its dotted path and both values as JSON values, None where there is none."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class SiteComparison:
    """A site of an inventory against the same site of an earlier revision.

    `plan` has what its program and its templates declare differently: `update` there may turn out to be a
    replacement, for that depends on what exists. `fields` are the resolved values that differ; a site that
    is new has none, being new in all.
    """

    standing: Standing
    plan: SitePlan
    fields: tuple[FieldChange, ...] = ()


def leaf_changes(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """The leaves in which two JSON values differ, in the order of their keys.

    A list is compared item by item while both have the same length, and as one value otherwise: an item
    that was put in first would make every later one differ.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from leaf_changes(
                before.get(key, ABSENT), after.get(key, ABSENT), f"{path}.{key}" if path else str(key)
            )
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from leaf_changes(old, new, f"{path}[{index}]")
    elif before != after:
        yield FieldChange(path, before, after)
