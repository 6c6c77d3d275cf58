"""A plan as Markdown for a pull request: what kinds of change, at how many sites, details folded.

Read by GitHub, Azure DevOps and GitLab alike. Sites in which the same changes are grouped, so that a change
of a default at 10,000 sites is one entry. Text of an inventory stands in code spans only: there it can be no
markup, link, picture or mention.
"""

import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fleet.cli.plan_summary import Summary, line_text, odd_line
from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.text import visible
from fleet.plan.comparison import FieldChange, SiteComparison
from fleet.plan.grouping import grouped
from fleet.plan.site_plan import PlannedChange, SitePlan

LIMIT = 60_000
"""Characters. GitHub takes comments up to 65,536; the pipelines put a line of their own in front."""
MAX_LINES = 60
"""Of one kind of change in one entry."""
MAX_VALUE = 120
"""Characters of one value or path."""
MAX_NAMES = 20
"""Sites named in one entry."""
MAX_ODD = 20
"""Groups of sites that differ from their ring."""

OPS = {
    "create": "create",
    "update": "update",
    "replace": "**replace**",
    "delete": "**delete**",
    "retain": "retain",
}


@dataclass(frozen=True)
class Heading:
    """What a plan compared with. `base` is what the earlier revision is called, None for recorded state;
    `recorded` is how many sites that state knows; `removed` are sites that are no longer in the inventory.
    """

    base: str | None = None
    recorded: int = 0
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences of ours about what could not be compared."""


def plan_markdown(
    comparisons: Sequence[SiteComparison],
    sites: int,
    heading: Heading,
    limit: int = LIMIT,
    summary: Summary | None = None,
) -> str:
    """The plan of `sites` sites, of which `comparisons` has those that differ or failed. Never over `limit`
    characters (at least 2,000): what did not fit is counted at the end. With a `summary` of the same sites it
    says who differs from its ring.
    """
    failed = [c.plan for c in comparisons if c.plan.error]
    changed = [c for c in comparisons if not c.plan.error]
    blocks = [f"### fleet plan: {len(changed)} of {_count(sites, 'site')} would change\n"]
    if heading.base is not None:
        blocks.append(
            f"Compared with what the revision in {code(heading.base)} declares. Nothing was touched or "
            "looked up: what exists in Azure may differ, and an update may turn out to be a replacement.\n"
        )
    elif heading.recorded:
        blocks.append(f"Compared with the recorded state of {_count(heading.recorded, 'site')}.\n")
    else:
        blocks.append(
            "No state is recorded where this ran, so **everything counts as new**. "
            "`fleet plan --base FOLDER` compares with an earlier revision of the inventory instead.\n"
        )
    blocks += [f"> {note}\n" for note in heading.notes]
    if changed:
        blocks.append(_overview(changed))
    if heading.removed:
        blocks.append(
            f"**{_count(len(heading.removed), 'site')} no longer in the inventory:** "
            f"{_names(heading.removed)}. A rollout does not delete them; `fleet destroy SITE` does.\n"
        )
    if failed:
        lines = (f"- {code(plan.site)}: {code(plan.error or '')}" for plan in failed)
        what = f"**{_count(len(failed), 'site')} could not be planned:**"
        blocks.append(f"{what}\n\n{_list(lines, len(failed))}\n")
    if summary is not None:
        blocks += _differing(summary)
    groups = summary.groups if summary is not None else grouped(changed)
    entries = (_entry(group.sites, group.first) for group in groups)
    return _fitted(blocks, entries, len(groups), limit)


def errors_markdown(found: Sequence[Diagnostic], limit: int = LIMIT) -> str:
    """What to say where there is no plan: the inventory's errors, in the order of the files."""
    errors = [d for d in found if d.severity == "error"]
    blocks = [f"### fleet plan: none, the inventory has {_count(len(errors), 'error')}\n"]
    entries = (
        f"- {code(f'{d.span.path}:{d.span.line}')} **{d.code}** {code(d.message)}"
        + (f"<br>help: {code(d.help)}" if d.help else "")
        for d in errors
    )
    return _fitted(blocks, entries, len(errors), limit)


def code(text: str) -> str:
    """Any text as a code span of one line, shortened. CommonMark §6.1: a span ends at a run of as many
    backticks as began it.
    """
    flat = " ".join(text.split()) or " "
    if len(flat) > MAX_VALUE:
        flat = flat[: MAX_VALUE - 1] + "…"
    flat = visible(flat)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    space = " " if flat[0] == "`" or flat[-1] == "`" else ""
    return f"{fence}{space}{flat}{space}{fence}"


def _fitted(blocks: Iterable[str], entries: Iterable[str], total: int, limit: int) -> str:
    room = limit - 200  # for the last line
    text = "\n".join(blocks)[:room] + "\n"
    for number, entry in enumerate(entries):
        if len(text) + len(entry) + 1 > room:
            more = f"… and {total - number} more, which did not fit here. `fleet plan -o json` has all of it."
            return f"{text}\n{more}\n"
        text += entry + "\n"
    return text


def _overview(changed: Sequence[SiteComparison]) -> str:
    """A row a kind of change: how many resources, at how many sites."""
    rows = []
    for op, words in OPS.items():
        counts = [n for c in changed if (n := c.plan.count(op))]
        if counts:
            rows.append(f"| {words} | {_count(sum(counts), 'resource')} | {len(counts)} |")
    for words in ("added", "changed", "removed"):
        counts = [n for c in changed if (n := len(getattr(c.plan.files, words)))]
        if counts:
            rows.append(f"| {words} | {_count(sum(counts), 'manifest')} | {len(counts)} |")
    if quiet := sum(not c.plan.changed for c in changed):
        rows.append(f"| settings only | | {quiet} |")
    rings: dict[str, int] = defaultdict(int)
    for comparison in changed:
        rings[comparison.plan.ring] += 1
    where = ", ".join(f"{code(ring)} {count}" for ring, count in sorted(rings.items()))
    new = sum(c.standing == "new" for c in changed)
    also = f"; {new} of them new" if new else ""
    return "| change | what | sites |\n|---|---|---|\n" + "\n".join(rows) + f"\n\nBy ring: {where}{also}.\n"


def _differing(summary: Summary) -> Iterator[str]:
    """Who does not change, or is not set up, as most of its ring."""
    lines = []
    for d in summary.deviations:
        unlike = [("also", line) for line in sorted(d.more)] + [("not", line) for line in sorted(d.less)]
        what = "; ".join(
            f"{word} {OPS.get(line[0], line[0])} {code(line_text(line))}" for word, line in unlike[:4]
        )
        more = f"; and {len(unlike) - 4} more" if len(unlike) > 4 else ""
        alike = f"{d.of} of {summary.ring_sizes[d.ring]} change alike"
        lines.append(f"- {_names(d.sites)} ({code(d.ring)}, {alike}): {what}{more}")
    if lines:
        what = "**Sites that do not change as most of their ring does**"
        yield f"{what}\n\n{_list(lines, len(lines), MAX_ODD)}\n"
    lines = []
    for odd in summary.odd:
        fields = "; ".join(code(odd_line(field)) for field in odd.fields[:4])
        more = f"; and {len(odd.fields) - 4} more" if len(odd.fields) > 4 else ""
        who = code(odd.ring) + (f", {code(odd.profile)}" if odd.profile else "")
        lines.append(f"- {_names(odd.sites)} ({who}): {fields}{more}")
    if lines:
        what = "**Sites with other settings than most of their ring and profile**"
        yield f"{what}\n\n{_list(lines, len(lines), MAX_ODD)}\n"


def _entry(names: Sequence[str], comparison: SiteComparison) -> str:
    plan = comparison.plan
    title = f"{names[0]} ({plan.ring})" if len(names) == 1 else f"{len(names):,} sites like {names[0]}"
    parts = [] if comparison.standing != "new" else ["new site"]
    parts += [f"{n} {op}" for op in OPS if (n := plan.count(op))]
    files = plan.files
    parts += [
        f"{sign}{len(paths)} manifests"
        for sign, paths in (("+", files.added), ("~", files.changed), ("-", files.removed))
        if paths
    ]
    summary = html.escape(f"{title}: {', '.join(parts) or 'settings only'}")
    body = [f"Sites: {_names(names)}\n"] if len(names) > 1 else []
    sections: tuple[tuple[str, Iterable[str], int], ...] = (
        ("Inventory, as resolved", map(_field_line, comparison.fields), len(comparison.fields)),
        ("Resources", map(_change_line, plan.changes), len(plan.changes)),
        ("Manifests", _file_lines(plan), len(files.added) + len(files.changed) + len(files.removed)),
        ("Cut short earlier; the next run settles it", _plain_lines(plan.pending), len(plan.pending)),
        ("Differs and stays", _plain_lines(plan.ignored), len(plan.ignored)),
    )
    for heading, lines, total in sections:
        if total:
            body.append(f"**{heading}**\n\n{_list(lines, total)}\n")
    return f"<details><summary>{summary}</summary>\n\n" + "\n".join(body) + "\n</details>\n"


def _field_line(field: FieldChange) -> str:
    before = "not set" if field.before is None else code(_json(field.before))
    after = "not set" if field.after is None else code(_json(field.after))
    return f"- {code(field.path)}: {before} → {after}"


def _change_line(change: PlannedChange) -> str:
    what = "" if change.op != "update" or not change.paths else f": {code(', '.join(change.paths[:6]))}"
    return f"- {OPS.get(change.op, change.op)} {code(change.name)} ({code(change.type)}){what}"


def _file_lines(plan: SitePlan) -> Iterator[str]:
    files = plan.files
    for op, paths in (("add", files.added), ("change", files.changed), ("remove", files.removed)):
        yield from (f"- {op} {code(path)}" for path in paths)


def _plain_lines(texts: Iterable[str]) -> Iterator[str]:
    return (f"- {code(text)}" for text in texts)


def _list(lines: Iterable[str], total: int, limit: int = MAX_LINES) -> str:
    more = [f"- … and {total - limit} more"] if total > limit else []
    return "\n".join([*islice(lines, limit), *more])


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(code(name) for name in names[:MAX_NAMES]) + more


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
