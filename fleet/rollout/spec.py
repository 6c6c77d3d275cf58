"""What a rollout is to do: an immutable plan of rings, sites and steps, and its digest.

The spec is snapshotted when a run starts and never altered after (KubeFleet stageupdate_types.go:
"a changed inventory never alters a live run"); a plan that changed is another rollout.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SPEC_VERSION = 1


class SpecError(ValueError):
    """The spec contradicts itself (a site in two rings, a concurrency of 0, ...)."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal bytes.

    Raises ValueError or TypeError for what JSON cannot hold (NaN, objects).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _sha256(value: Any) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """One idempotent piece of work at one site.

    `id` is unique within its site, `kind` names who runs it (`pulumi`, `gitops`, ...), and
    `input_digest` changes exactly when the step's inputs do.
    """

    id: str
    kind: str
    input_digest: str


@dataclass(frozen=True)
class SiteSteps:
    """A site and its steps, in the order in which they run."""

    site: str
    steps: tuple[Step, ...]

    @cached_property
    def digest(self) -> str:
        """What the site is after these steps: sha256 over ids, kinds and input digests, in order."""
        return _sha256([[step.id, step.kind, step.input_digest] for step in self.steps])


@dataclass(frozen=True)
class RingSpec:
    """Sites that change together; the next ring waits for this one's soak and health gate.

    `soak_seconds` runs from the moment when the last site of the ring is ready (Microsoft safe
    deployment practice), and health is judged at its end.
    """

    name: str
    sites: tuple[SiteSteps, ...]
    soak_seconds: float = 0.0


@dataclass(frozen=True)
class RolloutSpec:
    """The whole plan of a run.

    track: cadence to which it belongs; last applied digests are kept per track and site.
    max_concurrency: sites in change at once, a number or a share of the ring ("25%", rounded
        down, at least 1; KubeFleet and Azure Kubernetes Fleet Manager).
    max_failures: failed sites in the whole run that are tolerated; one more stops it.
    stuck_after_seconds: a step that runs longer is flagged, not failed (300 s: KubeFleet execution.go).
    probe_interval_seconds, max_inconclusive: how often an inconclusive health check is asked again,
        and after how many in a row the run pauses (4: consecutiveErrorLimit of Argo Rollouts).

    Raises SpecError where a site or ring occurs twice, a site has no steps, or a number makes no sense.
    """

    rings: tuple[RingSpec, ...]
    max_concurrency: int | str = 1
    max_failures: int = 0
    stuck_after_seconds: float = 300.0
    probe_interval_seconds: float = 30.0
    max_inconclusive: int = 4
    track: str = "platform"

    def __post_init__(self) -> None:
        _refuse_twice("ring", (ring.name for ring in self.rings))
        _refuse_twice("site", (site.site for ring in self.rings for site in ring.sites))
        for ring in self.rings:
            if ring.soak_seconds < 0:
                raise SpecError(f"ring {ring.name}: soak_seconds must not be negative")
            for site in ring.sites:
                if not site.steps:
                    raise SpecError(f"site {site.site} has no steps: leave it out of the rollout")
                _refuse_twice(f"site {site.site}: step", (step.id for step in site.steps))
        concurrency_limit(self.max_concurrency, 1)
        if self.max_failures < 0:
            raise SpecError("max_failures must not be negative")
        if self.max_inconclusive < 1:
            raise SpecError("max_inconclusive must be at least 1")
        if self.stuck_after_seconds <= 0 or self.probe_interval_seconds <= 0:
            raise SpecError("stuck_after_seconds and probe_interval_seconds must be positive")

    @cached_property
    def digest(self) -> str:
        """The plan digest: sha256 over the canonical JSON of everything in the spec."""
        return _sha256(spec_to_json(self))

    @cached_property
    def by_site(self) -> Mapping[str, SiteSteps]:
        """Every site of the rollout by name."""
        return {site.site: site for ring in self.rings for site in ring.sites}


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """What the journal knows of one site in one track, over all runs.

    digest: the site digest that is wholly applied; None while a change is under way or broke off.
    healthy: whether the last health verdict on that digest was healthy.
    good_digest, good_at: last known good, the digest last seen healthy and when (Unix seconds).
    """

    site: str
    digest: str | None
    healthy: bool
    good_digest: str | None = None
    good_at: float | None = None


def unchanged_sites(spec: RolloutSpec, records: Mapping[str, SiteRecord]) -> tuple[str, ...]:
    """Sites that this rollout may skip: the plan's digest is applied there, and was healthy."""
    return tuple(
        name
        for name, site in spec.by_site.items()
        if (known := records.get(name)) is not None and known.healthy and known.digest == site.digest
    )


def concurrency_limit(max_concurrency: int | str, sites: int) -> int:
    """How many of `sites` may be in change at once; raises SpecError for a malformed limit."""
    if isinstance(max_concurrency, str):
        number = max_concurrency.removesuffix("%")
        is_share = number != max_concurrency and number.isascii() and number.isdigit()
        if not is_share or not 1 <= int(number) <= 100:
            raise SpecError(f"max_concurrency {max_concurrency!r} is neither a number nor 1% to 100%")
        return max(1, sites * int(number) // 100)
    if isinstance(max_concurrency, bool) or max_concurrency < 1:
        raise SpecError(f"max_concurrency {max_concurrency!r} must be at least 1")
    return max_concurrency


def spec_to_json(spec: RolloutSpec) -> dict[str, Any]:
    """The spec as plain JSON values; `spec_from_json` is its inverse."""
    return {
        "version": SPEC_VERSION,
        "track": spec.track,
        "max_concurrency": spec.max_concurrency,
        "max_failures": spec.max_failures,
        "stuck_after_seconds": float(spec.stuck_after_seconds),
        "probe_interval_seconds": float(spec.probe_interval_seconds),
        "max_inconclusive": spec.max_inconclusive,
        "rings": [
            {
                "name": ring.name,
                "soak_seconds": float(ring.soak_seconds),
                "sites": [
                    {
                        "site": site.site,
                        "steps": [[step.id, step.kind, step.input_digest] for step in site.steps],
                    }
                    for site in ring.sites
                ],
            }
            for ring in spec.rings
        ],
    }


def spec_from_json(value: Mapping[str, Any]) -> RolloutSpec:
    """Read what `spec_to_json` wrote; raises SpecError for another version or shape."""
    if value.get("version") != SPEC_VERSION:
        raise SpecError(
            f"rollout snapshot of version {value.get('version')!r}: this fleet reads {SPEC_VERSION}"
        )
    try:
        rings = tuple(
            RingSpec(
                ring["name"],
                tuple(SiteSteps(s["site"], tuple(Step(*step) for step in s["steps"])) for s in ring["sites"]),
                ring["soak_seconds"],
            )
            for ring in value["rings"]
        )
        return RolloutSpec(rings=rings, **{k: v for k, v in value.items() if k not in ("version", "rings")})
    except (KeyError, TypeError) as error:
        raise SpecError(f"rollout snapshot is malformed: {error}") from error


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SpecError(f"{what} {name} occurs twice in the rollout")
        seen.add(name)
