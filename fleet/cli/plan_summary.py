"""A plan of many sites for a reviewer: kinds of change, groups of sites, and who differs from its ring."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fleet.diagnostics.text import visible
from fleet.inventory.secret_shapes import literal_secrets
from fleet.model.site import SiteSpec
from fleet.plan.comparison import SiteComparison
from fleet.plan.grouping import (
    ChangeGroup,
    Deviation,
    Line,
    deviations,
    grouped,
    kinds,
    own_words,
    without_majority,
)
from fleet.plan.peers import OddField, odd_fields
from fleet.ports.engine import SECRET

MANY = 20
"""Of more sites a line each is no longer read: they are summarised."""
MAX_GROUPS = 12
MAX_LINES = 8
"""Of one group, or one deviation."""
MAX_NAMES = 6
MAX_VALUE = 60
SIGNS = {"add": "+", "change": "~", "remove": "-"}
OP_STYLES = {"create": "green", "add": "green", "update": "yellow", "change": "yellow", "same": "dim"}


@dataclass(frozen=True)
class Summary:
    """What `summarise` found; `ring_sizes` are the sites planned, by ring, in the order of the rollout."""

    sites: int
    changed: int
    failed: tuple[str, ...]
    ring_sizes: Mapping[str, int]
    kinds: Mapping[tuple[str, str], tuple[int, int]]
    groups: tuple[ChangeGroup, ...]
    deviations: tuple[Deviation, ...]
    without_majority: tuple[str, ...]
    odd: tuple["OddSites", ...]


@dataclass(frozen=True)
class OddSites:
    """Sites of one ring and profile that differ from their peers in the same fields, in the same way."""

    ring: str
    profile: str | None
    sites: tuple[str, ...]
    fields: tuple[OddField, ...]


def summarise(comparisons: Sequence[SiteComparison], specs: Sequence[SiteSpec]) -> Summary:
    """`comparisons` of the sites that were planned, `specs` of the same sites."""
    words = {spec.name: own_words(spec) for spec in specs}
    good = [c for c in comparisons if c.plan.error is None]
    groups = grouped((c for c in good if c.plan.changed or c.fields), words)
    sizes = Counter(c.plan.ring for c in good)
    ring_sizes = {ring: sizes[ring] for ring in dict.fromkeys(spec.ring for spec in specs) if sizes[ring]}
    together: dict[tuple[str, str | None, tuple[str, ...]], list[OddField]] = {}
    for field in odd_fields(specs, _masked):
        together.setdefault((field.ring, field.profile, field.sites), []).append(field)
    odd = [OddSites(*key, tuple(fields)) for key, fields in together.items()]
    return Summary(
        sites=len(comparisons),
        changed=sum(len(group.plans) for group in groups),
        failed=tuple(c.plan.site for c in comparisons if c.plan.error is not None),
        ring_sizes=ring_sizes,
        kinds=kinds(groups),
        groups=tuple(groups),
        deviations=tuple(deviations(groups, ring_sizes)),
        without_majority=tuple(without_majority(groups, ring_sizes)),
        odd=tuple(odd),
    )


def summary_json(summary: Summary) -> dict[str, Any]:
    """The summary as JSON values; `version` is raised when a field changes its meaning or goes."""
    return {
        "version": 1,
        "sites": summary.sites,
        "changed": summary.changed,
        "failed": list(summary.failed),
        "rings": dict(summary.ring_sizes),
        "kinds": [
            {"op": op, "type": kind, "resources": resources, "sites": sites}
            for (op, kind), (resources, sites) in summary.kinds.items()
        ],
        "groups": [
            {"sites": list(group.sites), "rings": dict(group.rings), "changes": _lines_json(group.lines)}
            for group in summary.groups
        ],
        "differ": [
            {
                "ring": d.ring,
                "sites": list(d.sites),
                "majority": d.of,
                "more": _lines_json(d.more),
                "less": _lines_json(d.less),
            }
            for d in summary.deviations
        ],
        "ringsWithoutMajority": list(summary.without_majority),
        "settings": [
            {
                "ring": odd.ring,
                "profile": odd.profile,
                "sites": list(odd.sites),
                "fields": [
                    {
                        "path": f.path,
                        "usual": f.usual,
                        "found": f.found,
                        "sharedBy": f.shared_by,
                        "of": f.peers,
                    }
                    for f in odd.fields
                ],
            }
            for odd in summary.odd
        ],
    }


def summary_view(summary: Summary) -> RenderableType:
    """The summary for a terminal."""
    parts: list[RenderableType] = []
    if summary.kinds:
        parts += [_kinds_table(summary), Text("")]
    if summary.groups:
        parts += [_groups_table(summary)]
        parts += _group_details(summary)
    if summary.deviations:
        parts += [Text("\nsites that do not change as most of their ring does", "bold")]
        for d in islice(summary.deviations, MAX_GROUPS):
            where = f"{names(d.sites)} ({d.ring}; {d.of} of {summary.ring_sizes[d.ring]} change alike)"
            parts += [Text(where), _lines_table([*_signed(d)])]
        parts += _left(len(summary.deviations) - MAX_GROUPS, "kinds of deviation")
    for ring in summary.without_majority:
        parts += [Text(f"\nin {ring} no change is shared by more than half of its sites", "dim")]
    if summary.odd:
        parts += [Text("\nsites with other settings than most of their ring and profile", "bold")]
        for odd in islice(summary.odd, MAX_GROUPS):
            who = odd.ring if odd.profile is None else f"{odd.ring}, {odd.profile}"
            parts += [Text(f"{names(odd.sites)} ({who})")]
            lines = [Text(odd_line(field)) for field in islice(odd.fields, MAX_LINES)]
            parts += [Padding(line, (0, 0, 0, 2), expand=False) for line in lines]
            parts += _left(len(odd.fields) - MAX_LINES, "fields")
        parts += _left(len(summary.odd) - MAX_GROUPS, "groups of sites")
    return Group(*parts)


def odd_line(field: OddField) -> str:
    """`gpu.sharing: "mig", where 38 of 40 have "none"`."""
    return f"{field.path}: {value_text(field.found)}, where {field.shared_by} of {field.peers} have " + (
        "nothing" if field.usual is None else value_text(field.usual)
    )


def value_text(value: Any) -> str:
    """A value on one line, cut."""
    text = "not set" if value is None else visible(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def names(sites: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(sites) - MAX_NAMES:,} more" if len(sites) > MAX_NAMES else ""
    return ", ".join(sites[:MAX_NAMES]) + more


def short(lines: Mapping[Line, int]) -> str:
    """`2 update, ~1 manifests`: how much of each operation, what destroys first."""
    counts: Counter[tuple[str, bool]] = Counter()
    for (op, kind, _, _), times in sorted(lines.items(), key=_loudest):
        counts[op, kind == "manifest"] += times
    parts = (
        f"{SIGNS.get(op, op)}{count} manifests" if manifest else f"{count} {op}"
        for (op, manifest), count in counts.items()
    )
    return ", ".join(parts) or "settings only"


def line_text(line: Line) -> str:
    """What changes: name, type, properties."""
    _, kind, name, paths = line
    if not name:
        return kind.removeprefix("azure-native:")
    what = f": {', '.join(paths[:4])}{', …' if len(paths) > 4 else ''}" if paths else ""
    return f"{name} ({kind.removeprefix('azure-native:')}){what}"


def _lines_json(lines: Mapping[Line, int]) -> list[dict[str, Any]]:
    return [
        {"op": op, "type": kind, "name": name, "paths": list(paths), "times": times}
        for (op, kind, name, paths), times in sorted(lines.items())
    ]


def _signed(deviation: Deviation) -> Iterator[tuple[str, Line, int]]:
    for sign, lines in (("also ", deviation.more), ("not ", deviation.less)):
        yield from ((sign, line, times) for line, times in _readable(lines))


def _kinds_table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("change")
    table.add_column("of", overflow="fold")
    table.add_column("resources", justify="right")
    table.add_column("sites", justify="right")
    for (op, kind), (resources, sites) in summary.kinds.items():
        what = kind.removeprefix("azure-native:")
        table.add_row(Text(op, _style(op)), what, f"{resources:,}", f"{sites:,}")
    return table


def _groups_table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("group", justify="right")
    table.add_column("sites", justify="right")
    table.add_column("the same change", overflow="fold")
    for ring in summary.ring_sizes:
        table.add_column(ring, justify="right", no_wrap=True)
    for number, group in enumerate(summary.groups[:MAX_GROUPS], 1):
        counts = (group.rings.get(ring, 0) for ring in summary.ring_sizes)
        table.add_row(
            str(number),
            f"{len(group.plans):,}",
            short(group.lines),
            *(Text(f"{n:,}" if n else "·", "" if n else "dim") for n in counts),
        )
    if rest := summary.groups[MAX_GROUPS:]:
        table.add_row("…", f"{sum(len(g.plans) for g in rest):,}", f"in {len(rest):,} smaller groups")
    return table


def _group_details(summary: Summary) -> Iterator[RenderableType]:
    for number, group in enumerate(summary.groups[:MAX_GROUPS], 1):
        yield Text(f"\ngroup {number}: {names(group.sites)}", "bold")
        yield _lines_table([("", line, times) for line, times in _readable(group.lines)])


def _lines_table(rows: Sequence[tuple[str, Line, int]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for sign, line, times in rows[:MAX_LINES]:
        often = f"{times} × " if times > 1 else ""
        table.add_row(Text(sign + line[0], _style(line[0])), Text(often + line_text(line)))
    if len(rows) > MAX_LINES:
        table.add_row("", Text(f"… and {len(rows) - MAX_LINES} more", "dim"))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _readable(lines: Mapping[Line, int]) -> list[tuple[Line, int]]:
    """What destroys stands first: it must not hide behind `and 20 more`. Of many new things, how many of each
    type is enough."""
    new = {line: times for line, times in lines.items() if line[0] in ("create", "add")}
    if len(new) > MAX_LINES:
        types: Counter[Line] = Counter()
        for (op, kind, _, _), times in new.items():
            types[op, kind, "", ()] += times
        new = dict(types)
    old = {line: times for line, times in lines.items() if line[0] not in ("create", "add")}
    return sorted((old | new).items(), key=_loudest)


def _loudest(item: tuple[Line, int]) -> tuple[int, Line]:
    order = ("delete", "replace", "retain", "update", "create", "remove", "change", "add")
    op = item[0][0]
    return (order.index(op) if op in order else 0), item[0]


def _left(count: int, what: str) -> list[RenderableType]:
    return [Text(f"… and {count:,} more {what}; fleet plan -o json has all", "dim")] if count > 0 else []


def _style(op: str) -> str:
    return OP_STYLES.get(op, "red")


def _masked(value: Any) -> Any:
    return SECRET if any(literal_secrets(value)) else value
