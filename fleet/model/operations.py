"""Who looks after a site, by which rules, and what proves that it works."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.model.base import DnsLabel, Guid, Many, Model, Shared
from fleet.model.schedule import Date


class BreakGlass(Shared):
    """Changing a cluster by hand when there is no other way (requirements C3, N15)."""

    group: Guid
    """Entra group that gets access for a while."""
    hours: Annotated[int, Field(ge=1, le=72)] = 4
    """After which access ends by itself."""
    runbook: str
    """Where the steps are written down."""


class OnCall(Shared):
    """Who is told when something is wrong (requirements Q8, O4)."""

    contact: str
    """A team's address or a page that alerts it; not a person."""
    hours: Literal["business", "extended", "always"] = "business"


class Staffing(Shared):
    """People that look after the platform, as full-time equivalents (requirements A26, O4)."""

    platform_fte: Annotated[float, Field(ge=0, le=1000)]
    """For the fleet's platform, on-call not counted."""
    on_call_fte: Annotated[float, Field(ge=0, le=1000)] = 0


class PreviewAccepted(Shared):
    """A preview component that somebody answers for (requirements A19, P11)."""

    component: Literal[
        "foundry-local",
        "foundry-local-azure-local",
        "gpu-l4",
        "gpu-l40",
        "gpu-l40s",
        "gpu-rtx6000pro",
        "low-capacity",
        "agent-sandbox",
        "mcp-registry",
    ]
    by: str
    """Who accepted it: a role or a team."""
    date: Date
    review: Date | None = None
    """When it is looked at again."""


class Suitability(Shared):
    """Why this runs on premises at all (requirement A18)."""

    reasons: Many[
        Literal["data-on-site", "prompts-stay-local", "latency", "weak-link", "cloud-native-operations"]
    ]
    elastic_peaks: bool = False
    """Unpredictable peaks: a cloud serves them better (requirement A19)."""
    api_stability: bool = False
    """A contract promises production-grade stability, which a preview runtime can't (requirement A19)."""


class Governance(Shared):
    """Rules that the site is under."""

    boundary: Literal["hard", "hybrid"] = "hard"
    """`hard`: no prompt and no tool result leaves the site, whatever fails (requirements P2, M10)."""
    data_regions: Many[str] = ()
    """Countries or regions that data may be kept in."""
    preview: Many[PreviewAccepted] = ()
    suitability: Suitability | None = None
    licences: Many[str] = ()
    """Licences that images and models may have; empty means any that is said (requirement P12)."""
    guardrails: Literal["none", "report", "enforce"] = "none"
    """Prompt-injection and leakage checks in front of agents (requirement P4)."""


class Dataset(Shared):
    """Prompts with known good answers (requirements L1, L4)."""

    artifact: str
    """OCI artifact by digest."""
    rows: Annotated[int, Field(ge=1)]
    reviewed_on: Date
    """A stale set misleads (requirement L4)."""


class EvaluationGates(Shared):
    """What an update must reach before it goes on (requirement L2, the figures for production)."""

    max_hallucination: Annotated[float, Field(ge=0, le=1)] = 0.03
    min_task_completion: Annotated[float, Field(ge=0, le=1)] = 0.95
    min_grounded: Annotated[float, Field(ge=0, le=1)] = 0.98
    max_policy_violations: Annotated[int, Field(ge=0)] = 0
    max_p95_ms: Annotated[int, Field(gt=0)] = 3000


class Evaluation(Shared):
    """What is run after each update of a runtime, a model or an agent (requirement L1)."""

    golden: Dataset
    red_team: Dataset | None = None
    """Attacks, also through files and pages that are read (requirements L5, P20)."""
    load_test: bool = False
    """Representative load before the next ring (requirements L9, N3)."""
    gates: EvaluationGates = EvaluationGates.model_construct()


class Capacity(Shared):
    """What a site's users will ask of it (requirements O2, O3, O7)."""

    users: Annotated[int, Field(ge=1)]
    peak_sessions: Annotated[int, Field(ge=1)]
    """Sessions at once on a usual day's peak."""
    tokens_a_day: Annotated[int, Field(ge=0)] = 0
    """Budget of prompt and answer tokens; 0 is none (requirement O7)."""
    headroom_percent: Annotated[int, Field(ge=0, le=500)] = 20
    """Kept free beside the peak (requirement O8)."""


class Operations(Shared):
    """How the site is run."""

    phase: Literal["foundation", "inference", "tools", "production"] = "production"
    """Of the first thirty days: days 1-3, 4-10, 11-20, 21-30 (requirements Q1 to Q5)."""
    on_call: OnCall | None = None
    break_glass: BreakGlass | None = None
    runbooks: Many[
        Literal[
            "break-glass",
            "rollback",
            "model-swap",
            "runtime-upgrade",
            "disconnected-sync",
            "certificate-renewal",
            "capacity",
            "restore",
        ]
    ] = ()
    """Those that are written for this fleet (requirement Q6)."""
    owner: DnsLabel | None = None
    """The team that answers for the site."""


class Approval(Model):
    """Somebody says yes before a ring starts (requirements C13, N4)."""

    approvers: Annotated[Many[str], Field(min_length=1)]
    """Groups or people; one of them is enough."""
    wait_hours: Annotated[int, Field(ge=1, le=720)] = 72
    """After which the rollout stops by itself."""
