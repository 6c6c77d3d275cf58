"""The rollout report: one HTML file that says how a rollout went, for a manager and for an operator.

`Report` is all that the page shows; `fleet.web.report_page` renders it.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from fleet.diagnostics.diagnostic import Severity
from fleet.plan.site_plan import FileChanges, PlannedChange
from fleet.rollout.events import RunState, Verdict
from fleet.rollout.progress import RingState, SiteState, StepState
from fleet.web.report_text import names, plural

Tone = Literal["ok", "bad", "warn", "live", "idle"]
"""What a state means to a reader; each has a colour and an icon, and always stands beside a word."""

SITE_TONE: dict[SiteState, Tone] = {
    SiteState.HEALTHY: "ok",
    SiteState.FAILED: "bad",
    SiteState.STUCK: "warn",
    SiteState.RUNNING: "live",
    SiteState.APPLIED: "live",
    SiteState.SKIPPED: "idle",
    SiteState.PENDING: "idle",
}


class ReportError(ValueError):
    """The report contradicts itself; the message names the site or ring."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model that the site serves, e.g. phi-4-mini by foundry-local on cpu."""

    name: str
    runtime: str
    accelerator: str
    replicas: int


@dataclass(frozen=True, slots=True)
class ResourceCounts:
    """How many resources saw which operation; for a site that was not touched, how many would."""

    create: int = 0
    update: int = 0
    delete: int = 0
    replace: int = 0
    same: int = 0

    @property
    def changed(self) -> int:
        """All but the unchanged."""
        return self.create + self.update + self.delete + self.replace


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step: `attempt` counts from 1 (0: never started); `seconds` is None until it has ended."""

    kind: str
    state: StepState
    attempt: int
    seconds: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class FailureReport:
    """Why a site failed: a stable code, what happened, and what the operator does next."""

    code: str
    message: str
    next_step: str


@dataclass(frozen=True, slots=True)
class SiteReport:
    """One site of the rollout.

    gpu: such as `2 x NVIDIA L4 a node`, empty without one. nodes: physical machines.
    changes, counts, files: what was done; where the site is pending, what the plan would do.
    verdict: the last health verdict, None where the site was not probed.
    notes: what was not done at this site, and why.
    """

    name: str
    ring: str
    canary: bool
    topology: str
    connectivity: str
    nodes: int
    gpu: str
    models: tuple[ModelReport, ...]
    agents: tuple[str, ...]
    state: SiteState
    spec_digest: str
    manifests_digest: str
    counts: ResourceCounts = ResourceCounts()
    changes: tuple[PlannedChange, ...] = ()
    files: FileChanges = field(default_factory=FileChanges)
    steps: tuple[StepReport, ...] = ()
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    failure: FailureReport | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Time spent in steps, None where no step has ended."""
        spent = [step.seconds for step in self.steps if step.seconds is not None]
        return sum(spent) if spent else None

    @property
    def changed(self) -> bool:
        """Whether there is any change to show."""
        return bool(self.counts.changed or self.changes or self.files)

    @property
    def failed_at(self) -> str:
        """The kind of the step that failed, `health check` where that did, empty if nothing failed."""
        if self.state is not SiteState.FAILED:
            return ""
        failed = [step.kind for step in self.steps if step.state is StepState.FAILED]
        return failed[-1] if failed else "health check" if self.verdict is Verdict.UNHEALTHY else ""


@dataclass(frozen=True, slots=True)
class RingReport:
    """One ring; `order` counts from 1, `sites` are names in the order in which they start."""

    name: str
    order: int
    soak_seconds: float
    state: RingState
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """The run; times in Unix seconds, `finished` None while it goes on."""

    id: str
    track: str
    state: RunState
    reason: str
    started: float
    finished: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of `fleet validate`; `place` such as `sites/graz.yaml:12`."""

    code: str
    message: str
    place: str
    severity: Severity = "warning"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What validation said before the rollout; `findings` may hold fewer than were counted."""

    errors: int = 0
    warnings: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows.

    generated_at: Unix seconds. stand_in: the run was against the sandbox, a stand-in for Azure.
    notes: what was not done in the fleet as a whole, and why; a site's own are in its SiteReport.

    Raises ReportError where a site is not in exactly the ring that it names.
    """

    fleet: str
    generated_at: float
    tool_version: str
    plan_digest: str
    run: RunReport
    stand_in: bool
    rings: tuple[RingReport, ...]
    sites: tuple[SiteReport, ...]
    validation: ValidationReport = ValidationReport()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ring_of: dict[str, str] = {}
        for ring in self.rings:
            for site in ring.sites:
                if site in ring_of:
                    raise ReportError(f"site {site} stands twice in the rings")
                ring_of[site] = ring.name
        seen: set[str] = set()
        for report in self.sites:
            if report.name in seen:
                raise ReportError(f"site {report.name} is reported twice")
            seen.add(report.name)
            if ring_of.get(report.name) != report.ring:
                raise ReportError(f"site {report.name} is not in the ring {report.ring} that it names")
        if missing := sorted(ring_of.keys() - seen):
            raise ReportError(f"site {missing[0]} is in a ring but not reported")

    @property
    def ordered_rings(self) -> tuple[RingReport, ...]:
        """The rings in the order in which they change."""
        return tuple(sorted(self.rings, key=lambda ring: ring.order))

    @property
    def ordered_sites(self) -> tuple[SiteReport, ...]:
        """The sites in the order in which they change."""
        by_name = {site.name: site for site in self.sites}
        return tuple(by_name[name] for ring in self.ordered_rings for name in ring.sites)


def verdict_sentence(report: Report) -> str:
    """How the rollout went, for somebody who reads nothing else."""
    total = len(report.sites)
    if not total:
        return "No site is part of this rollout."
    count = Counter(site.state for site in report.sites)
    healthy = f"{count[SiteState.HEALTHY]:,} of {plural(total, 'site')} healthy"
    failed = _failed_phrase(report)
    match report.run.state:
        case RunState.COMPLETED if count[SiteState.SKIPPED] == total:
            who = "the one site is" if total == 1 else f"all {total:,} sites are"
            return f"Nothing to do: {who} already as planned."
        case RunState.COMPLETED if failed:
            return f"Completed, but {failed}. {_sentence(healthy, *_rest(report, count))}"
        case RunState.COMPLETED:
            return f"{_sentence(healthy, *_rest(report, count))} Nothing failed."
        case RunState.RUNNING:
            parts = [failed] if failed else []
            said = _sentence(*parts, healthy, *_rest(report, count))
            return f"In progress{_where(report)}: {said}{'' if failed else ' Nothing has failed so far.'}"
        case RunState.STOPPED | RunState.PAUSED | RunState.ABORTED:
            cause = failed or report.run.reason.strip().rstrip(".")
            head = f"{report.run.state.value.capitalize()}{_where(report)}"
            rest = "; ".join(_rest(report, count) or [healthy])
            return f"{head}: {cause}; {rest}." if cause else f"{head}: {rest}."


def verdict_tone(report: Report) -> Tone:
    """What the verdict means to a reader."""
    states = {site.state for site in report.sites}
    if SiteState.FAILED in states or report.run.state is RunState.STOPPED:
        return "bad"
    if SiteState.STUCK in states or report.run.state in (RunState.PAUSED, RunState.ABORTED):
        return "warn"
    if report.run.state is RunState.RUNNING:
        return "live"
    # A site that was applied but never judged is not a success.
    return "ok" if states <= {SiteState.HEALTHY, SiteState.SKIPPED} else "warn"


def state_word(state: SiteState, run: RunState) -> str:
    """The word for a site's state; what is pending is waiting only as long as the run may go on."""
    if state is SiteState.PENDING:
        return "waiting" if run in (RunState.RUNNING, RunState.PAUSED) else "not touched"
    return {
        SiteState.SKIPPED: "unchanged",
        SiteState.APPLIED: "applied, not judged",
        SiteState.RUNNING: "in change",
    }.get(state, state.value)


def _sentence(*parts: str) -> str:
    return f"{'; '.join(parts)}."


def _failed_phrase(report: Report) -> str:
    failed = [site for site in report.ordered_sites if site.state is SiteState.FAILED]
    if not failed:
        return ""
    places = {site.failed_at for site in failed}
    place = places.pop() if len(places) == 1 else ""
    how = "failed its health check" if place == "health check" and len(failed) == 1 else "failed"
    where = f" at {place}" if place and how == "failed" else ""
    return f"{names([site.name for site in failed])} {how}{where}"


def _where(report: Report) -> str:
    ring = next((ring for ring in report.ordered_rings if ring.state is not RingState.DONE), None)
    return f" in ring {ring.name}" if ring else ""


def _rest(report: Report, count: Counter[SiteState]) -> list[str]:
    """What is to be said of the sites that are neither healthy nor failed."""
    said = []
    if (number := count[SiteState.SKIPPED]) and report.run.state is RunState.COMPLETED:
        said.append(f"{number:,} already as planned and left alone")
    if number := count[SiteState.APPLIED]:
        said.append(f"{plural(number, 'site')} applied but not judged")
    if number := count[SiteState.RUNNING]:
        said.append(f"{plural(number, 'site')} in change")
    if number := count[SiteState.STUCK]:
        said.append(f"{plural(number, 'site')} stuck in a slow step")
    if number := count[SiteState.PENDING]:
        waits = report.run.state in (RunState.RUNNING, RunState.PAUSED)
        was = "is waiting" if number == 1 else "are waiting"
        if not waits:
            was = "was not touched" if number == 1 else "were not touched"
        said.append(f"{plural(number, 'site')} {was}")
    return said
