"""`render_report`, a pure function from a `Report` to one HTML file, and what its template shows.

The page holds its own style, loads nothing from anywhere, and is complete without JavaScript.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fleet.plan.site_plan import PlannedChange
from fleet.rollout.events import RunState, Verdict
from fleet.rollout.progress import RingState, SiteState, StepState
from fleet.web import report_text as text
from fleet.web.report import (
    SITE_TONE,
    FailureReport,
    Report,
    RingReport,
    SiteReport,
    Tone,
    state_word,
    verdict_sentence,
    verdict_tone,
)

# A page for 1,000 sites stays under 2 MB, which a phone opens and a mail server takes.
DETAIL_LIMIT = 200
"""Sites with details of their own; a larger fleet shows those that failed or changed, the failed first."""
DETAIL_LINES = 4000
"""Changed resources (and, as many again, files) on the whole page, shared by the sites with details."""
TABLE_LIMIT = 1500
RING_SITES_LIMIT = 24
TIMELINE_LIMIT = 20
NAMES_LIMIT = 60
MESSAGES_LIMIT = 3

OPS = (
    ("replace", "Replaced"),
    ("delete", "Deleted"),
    ("update", "Updated"),
    ("create", "Created"),
)
"""In the order of the risk that they carry."""

_ATTENTION = {SiteState.FAILED: 0, SiteState.STUCK: 1}


@dataclass
class Failures:
    """Sites that failed for the same reason, so that one cause at 40 sites reads as one."""

    tone: Tone
    title: str
    code: str
    next_step: str
    cases: list[tuple[SiteReport, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Number:
    """One key number with its label and a remark."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "idle"


@dataclass(frozen=True)
class Bar:
    """A part of a bar; `share` is its width in percent of the scale."""

    tone: str
    share: float
    title: str


@dataclass(frozen=True)
class TimelineRow:
    """One site's bar."""

    site: SiteReport
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Timeline:
    """Time spent by site and step, on one scale."""

    rows: tuple[TimelineRow, ...]
    hidden: int
    marks: tuple[tuple[str, float], ...]
    kinds: tuple[tuple[str, str], ...]

    @property
    def failed(self) -> bool:
        """Whether a bar shows a step that failed."""
        return any("failed" in bar.tone for row in self.rows for bar in row.bars)


@dataclass(frozen=True)
class NotDone:
    """Something that was not done, and where."""

    what: str
    sites: tuple[str, ...] = ()


def render_report(report: Report) -> str:
    """The page as one self-contained HTML document; equal reports give equal bytes."""
    sites = report.ordered_sites
    detailed = _detailed(sites)
    by_name = {site.name: site for site in sites}
    index = {site.name: number for number, site in enumerate(sites, 1)}
    values: dict[str, Any] = {
        "report": report,
        "run": report.run,
        "sites": sites,
        "verdict": verdict_sentence(report),
        "tone": verdict_tone(report),
        "numbers": _numbers(report),
        "failures": _failures(sites),
        "halted": report.run.state in (RunState.STOPPED, RunState.PAUSED, RunState.ABORTED),
        "timeline": _timeline(sites),
        "table_sites": _attention_first(sites)[:TABLE_LIMIT] if len(sites) > TABLE_LIMIT else sites,
        "detailed": detailed,
        "anchors": {site.name: f"s{index[site.name]}" for site in detailed},
        "line_limit": max(12, min(200, DETAIL_LINES // max(1, len(detailed)))),
        "not_done": _not_done(report),
        "named": lambda names: [by_name[name] for name in names],
        "ring_badge": lambda ring: _ring_badge(
            ring, [by_name[name].state for name in ring.sites], report.run.state
        ),
        "word": lambda state: state_word(state, report.run.state),
        "ring_place": {ring.name: place for place, ring in enumerate(report.ordered_rings, 1)},
    }
    return _environment().get_template("report.html.j2").render(values).strip() + "\n"


def _load(name: str) -> str | None:
    file = resources.files("fleet.web").joinpath(name)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _clean(value: Any) -> Any:
    return text.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_load),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=text.duration,
        short_duration=text.short_duration,
        prose=text.prose,
        utc=text.utc,
        utc_iso=text.utc_iso,
        plural=text.plural,
        by_op=by_op,
    )
    environment.globals.update(
        site_tone=SITE_TONE,
        step_tone=_STEP_TONE,
        verdict_tone=_VERDICT_TONE,
        state_counts=state_counts,
        counts_text=counts_text,
        files_text=files_text,
        RING_SITES_LIMIT=RING_SITES_LIMIT,
        NAMES_LIMIT=NAMES_LIMIT,
        MESSAGES_LIMIT=MESSAGES_LIMIT,
        DETAIL_LIMIT=DETAIL_LIMIT,
    )
    return environment


_RING_WORD = {
    RingState.WAITING: "not begun",
    RingState.CANARY: "canary site in change",
    RingState.RUNNING: "in change",
    RingState.SOAKING: "soaking",
    RingState.GATED: "health being judged",
    RingState.DONE: "done",
}
_STEP_TONE: dict[StepState, Tone] = {
    StepState.PENDING: "idle",
    StepState.RUNNING: "live",
    StepState.DONE: "ok",
    StepState.FAILED: "bad",
}
_VERDICT_TONE: dict[Verdict, Tone] = {
    Verdict.HEALTHY: "ok",
    Verdict.UNHEALTHY: "bad",
    Verdict.INCONCLUSIVE: "warn",
}


def _ring_badge(ring: RingReport, states: Sequence[SiteState], run: RunState) -> tuple[Tone, str]:
    failed = sum(state is SiteState.FAILED for state in states)
    if ring.state is RingState.DONE:
        return ("bad", f"done, {failed:,} failed") if failed else ("ok", "done")
    if ring.state is RingState.WAITING:
        return "idle", _RING_WORD[ring.state]
    if run is RunState.RUNNING:
        return "live", _RING_WORD[ring.state]
    return "bad" if failed or run is RunState.STOPPED else "warn", run.value


def state_counts(sites: Iterable[SiteReport]) -> list[tuple[SiteState, int]]:
    """How many sites are in which state, what needs attention first."""
    count = Counter(site.state for site in sites)
    order = [SiteState.FAILED, SiteState.STUCK, SiteState.HEALTHY, SiteState.SKIPPED, SiteState.APPLIED]
    order += [SiteState.RUNNING, SiteState.PENDING]
    return [(state, count[state]) for state in order if count[state]]


def by_op(changes: Sequence[PlannedChange], limit: int) -> list[tuple[str, int, list[PlannedChange]]]:
    """Changes as (heading, how many, the first of them), the riskiest operation first, `limit` in all."""
    known = {op for op, _ in OPS}
    others = tuple((op, op.capitalize()) for op in sorted({change.op for change in changes} - known))
    groups = []
    for op, heading in (*OPS, *others):
        if members := [change for change in changes if change.op == op]:
            groups.append((heading, len(members), members[: max(0, limit)]))
            limit -= len(members)
    return groups


def counts_text(site: SiteReport) -> str:
    """A site's changes in a few words: `12 created, 1 updated`, empty for none."""
    counts = site.counts
    parts = (
        (counts.replace, "replaced"),
        (counts.delete, "deleted"),
        (counts.update, "updated"),
        (counts.create, "created"),
    )
    return ", ".join(f"{number:,} {word}" for number, word in parts if number)


def files_text(site: SiteReport) -> str:
    """A site's changed manifests in a few words: `3 files changed`, empty for none."""
    number = len(site.files.added) + len(site.files.changed) + len(site.files.removed)
    return text.plural(number, "manifest") if number else ""


def _attention_first(sites: Iterable[SiteReport]) -> tuple[SiteReport, ...]:
    return tuple(sorted(sites, key=lambda site: _ATTENTION.get(site.state, 2 if site.changed else 3)))


def _detailed(sites: tuple[SiteReport, ...]) -> tuple[SiteReport, ...]:
    if len(sites) <= DETAIL_LIMIT:
        return sites
    worth = [site for site in sites if site.state in _ATTENTION or site.changed]
    chosen = {site.name for site in _attention_first(worth)[:DETAIL_LIMIT]}
    return tuple(site for site in sites if site.name in chosen)


def _numbers(report: Report) -> list[Number]:
    sites, run = report.sites, report.run
    count = Counter(site.state for site in sites)
    failed, stuck, pending = (count[s] for s in (SiteState.FAILED, SiteState.STUCK, SiteState.PENDING))
    touched = [site for site in sites if site.state is not SiteState.PENDING]
    ops = {op: sum(getattr(site.counts, op) for site in touched) for op, _ in OPS}
    same = sum(site.counts.same for site in touched)
    done = ", ".join(f"{ops[op]:,} {word.lower()}" for op, word in OPS if ops[op])
    files = [
        (sum(len(getattr(site.files, kind)) for site in touched), kind)
        for kind in ("added", "changed", "removed")
    ]
    end = run.finished if run.finished is not None else report.generated_at
    unchanged = count[SiteState.SKIPPED]
    numbers = [
        Number(
            "Sites healthy",
            f"{count[SiteState.HEALTHY]:,} of {len(sites):,}",
            f"{unchanged:,} more left alone: as planned" if unchanged else "judged after the change",
            "ok" if count[SiteState.HEALTHY] else "idle",
        ),
        Number(
            "Sites failed",
            f"{failed:,}",
            f"{stuck:,} stuck in a slow step" if stuck else "none stuck",
            "bad" if failed else "warn" if stuck else "idle",
        ),
        Number(
            "Resources changed",
            f"{sum(ops.values()):,}",
            "; ".join(filter(None, (done, f"{same:,} unchanged" if same else ""))),
        ),
        Number(
            "Manifests changed",
            f"{sum(number for number, _ in files):,}",
            ", ".join(f"{number:,} {kind}" for number, kind in files if number),
        ),
        Number(
            "Time taken" if run.finished is not None else "Time so far",
            text.duration(end - run.started),
            "with soak and waiting",
        ),
        Number(
            "Validation",
            text.plural(report.validation.errors, "error"),
            text.plural(report.validation.warnings, "warning"),
            "bad" if report.validation.errors else "idle",
        ),
    ]
    if pending:
        word = state_word(SiteState.PENDING, run.state)
        numbers.insert(2, Number(f"Sites {word}", f"{pending:,}", "still as they were before"))
    return numbers


def _failure(site: SiteReport) -> FailureReport:
    """Why the site failed or hangs, from its steps where nothing more was reported."""
    if site.failure is not None:
        return site.failure
    if site.state is SiteState.STUCK:
        running = [step.message for step in site.steps if step.state is StepState.RUNNING and step.message]
        message = running[-1] if running else "the step in flight takes longer than it should"
        return FailureReport("", message, "Nothing yet: slow is not failed. Look at the site if it stays so.")
    said = [step.message for step in site.steps if step.state is StepState.FAILED and step.message]
    message = said[-1] if said else "; ".join(site.reasons) or "no reason was reported"
    return FailureReport(
        "", message, "Correct the cause and resume the rollout: steps that are done are not done again."
    )


def _failures(sites: Iterable[SiteReport]) -> list[Failures]:
    groups: dict[tuple[str, str, str, str], Failures] = {}
    for site in sites:
        if site.state not in _ATTENTION:
            continue
        why = _failure(site)
        if site.state is SiteState.STUCK:
            at = next((step.kind for step in site.steps if step.state is StepState.RUNNING), "")
            title, tone = f"Stuck at {at}" if at else "Stuck", SITE_TONE[site.state]
        else:
            at = site.failed_at
            title, tone = f"Failed at {at}" if at else "Failed", SITE_TONE[site.state]
        key = (site.state.value, title, why.code, why.next_step)
        group = groups.setdefault(key, Failures(tone, title, why.code, why.next_step))
        group.cases.append((site, why.message))
    return sorted(groups.values(), key=lambda group: group.tone != "bad")


def _timeline(sites: tuple[SiteReport, ...]) -> Timeline | None:
    timed = [site for site in sites if site.seconds is not None]
    if not timed:
        return None
    shown = timed
    if len(timed) > TIMELINE_LIMIT:
        shown = sorted(timed, key=lambda site: (_ATTENTION.get(site.state, 2), -(site.seconds or 0)))
        shown = sorted(shown[:TIMELINE_LIMIT], key=lambda site: -(site.seconds or 0))
    kinds = list(
        dict.fromkeys(step.kind for site in shown for step in site.steps if step.seconds is not None)
    )
    tone = {kind: f"t{place % 5 + 1}" for place, kind in enumerate(kinds)}
    longest = max(site.seconds or 0 for site in shown)
    scale = text.ticks(longest)
    end = max(longest, 1e-9)
    rows = tuple(
        TimelineRow(
            site,
            tuple(
                Bar(
                    f"{tone[step.kind]} failed" if step.state is StepState.FAILED else tone[step.kind],
                    100 * step.seconds / end,
                    f"{step.kind} {text.duration(step.seconds)}",
                )
                for step in site.steps
                if step.seconds is not None
            ),
        )
        for site in shown
    )
    marks = tuple((text.short_duration(mark), 100 * mark / end) for mark in scale)
    return Timeline(rows, len(timed) - len(shown), marks, tuple(tone.items()))


def _not_done(report: Report) -> list[NotDone]:
    """Everything that was not done: the fleet's notes, sites left out, notes of sites (alike ones as one)."""
    said = [NotDone(note) for note in report.notes]
    if report.stand_in:
        said.insert(0, NotDone("No Azure resource was created or changed: the sandbox stood in for Azure."))
    if waiting := tuple(site.name for site in report.ordered_sites if site.state is SiteState.PENDING):
        word = state_word(SiteState.PENDING, report.run.state)
        why = "the rollout did not come to them" if word == "not touched" else "their turn has not come"
        said.append(NotDone(f"{text.plural(len(waiting), 'site')} {word}: {why}.", waiting))
    if skipped := tuple(site.name for site in report.ordered_sites if site.state is SiteState.SKIPPED):
        what = f"{text.plural(len(skipped), 'site')} left alone: unchanged since last seen healthy."
        said.append(NotDone(what, skipped))
    notes: dict[str, list[str]] = {}
    for site in report.ordered_sites:
        for note in site.notes:
            notes.setdefault(note, []).append(site.name)
    return said + [NotDone(note, tuple(where)) for note, where in notes.items()]
