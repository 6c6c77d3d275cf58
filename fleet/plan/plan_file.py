"""`plan.json`: what was planned for which input, so that a rollout can refuse what it was not planned for.

Its digest finds a change by hand or a cut file. It is no signature: whoever can write the file can write the
digest too. Where that matters, sign the file; a rollout compares what it would do with the plan anyway.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.plan.site_plan import SitePlan, steps_of
from fleet.rollout.spec import canonical_json

KIND = "fleet-plan"
VERSION = 1
NONE = "none"
"""Stands for the digest of what is not there: no state yet, nothing published."""
OPS = ("create", "update", "replace", "delete", "retain")


class PlanFileError(ValueError):
    """The file is not a plan of this version; the message says why."""


class PlanAlteredError(PlanFileError):
    """The file is not what was written: it was changed by hand, or cut."""


@dataclass(frozen=True)
class SiteInputs:
    """Digests of all that a site's plan depends on, beside the toolkit itself.

    spec: the resolved site. program: what the Pulumi program is given besides (the registry's authority, what
    was adopted). state: the bytes of its state file (Pulumi's deployment format has no serial number).
    published: the manifests that its cluster has been given.
    """

    spec: str
    program: str
    state: str
    published: str


@dataclass(frozen=True)
class PlannedSite:
    """A site in a plan file. `error` says why it could not be planned."""

    site: str
    ring: str
    inputs: SiteInputs
    artifact: str
    steps: str
    """The digest of the rollout's steps (`SiteSteps.digest`)."""
    summary: Mapping[str, int]
    """How many resources would see each operation, `same`, and how many manifests `files`."""
    error: str | None = None


@dataclass(frozen=True)
class PlanFile:
    """A plan of some sites, or of `complete` fleet, by one version of the toolkit.

    `rings` are names and soak times in seconds, in order.
    """

    toolkit: str
    complete: bool
    rings: tuple[tuple[str, float], ...]
    sites: tuple[PlannedSite, ...]

    @property
    def failed(self) -> tuple[PlannedSite, ...]:
        """Sites that could not be planned."""
        return tuple(site for site in self.sites if site.error is not None)


@dataclass(frozen=True)
class Stale:
    """Why a plan holds no more; `site` is None where it is not one site's matter."""

    site: str | None
    reason: str


def planned_site(plan: SitePlan, inputs: SiteInputs) -> PlannedSite:
    """A plan as it stands in a plan file: digests and numbers, none of the site's values."""
    files = plan.files
    summary = {op: plan.count(op) for op in OPS} | {
        "same": plan.unchanged,
        "files": len(files.added) + len(files.changed) + len(files.removed),
        "pending": len(plan.pending),
    }
    steps = steps_of(plan.site, plan.spec_digest, plan.artifact_digest).digest if plan.artifact_digest else ""
    return PlannedSite(plan.site, plan.ring, inputs, plan.artifact_digest, steps, summary, plan.error)


def plan_file_text(plan: PlanFile) -> str:
    """The file: the same plan, the same bytes."""
    content = _content(plan)
    return json.dumps(content | {"digest": _digest(content)}, indent=1, sort_keys=True) + "\n"


def read_plan_file(text: str | bytes) -> PlanFile:
    """Raises `PlanFileError` for no plan of this version, `PlanAlteredError` for one that was changed."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanAlteredError(f"it is not whole JSON ({error})") from error
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise PlanFileError(f"it is not a plan: it has no kind {KIND!r}")
    if value.get("version") != VERSION or isinstance(value.get("version"), bool):
        raise PlanFileError(f"it is of version {value.get('version')!r}; this fleet reads {VERSION}")
    digest = value.pop("digest", None)
    try:
        right = digest == _digest(value)
    except (TypeError, ValueError) as error:  # NaN
        raise PlanAlteredError(f"it holds a value that no plan holds ({error})") from error
    if not right:
        raise PlanAlteredError("its digest is not that of its content")
    try:
        plan = PlanFile(
            value["toolkit"],
            value["complete"],
            tuple((ring["name"], float(ring["soakSeconds"])) for ring in value["rings"]),
            tuple(_site(site) for site in value["sites"]),
        )
        twice = len({site.site for site in plan.sites}) != len(plan.sites)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise PlanAlteredError(f"it lacks what every plan has ({error})") from error
    if json.loads(canonical_json(_content(plan))) != value:
        raise PlanAlteredError("it holds what no plan holds")
    if twice:
        raise PlanAlteredError("it names a site twice")
    return plan


def stale(
    plan: PlanFile,
    toolkit: str,
    rings: Iterable[tuple[str, float]],
    now: Mapping[str, SiteInputs],
    names: Sequence[str],
) -> list[Stale]:
    """What has changed since the plan was made; empty when it holds.

    `now` has the inputs of the plan's sites as far as the inventory still has them, `names` are all sites of
    the inventory.
    """
    found = []
    if plan.toolkit != toolkit:
        found.append(Stale(None, "it was made by another version of fleet, its templates or its libraries"))
    used = {site.ring for site in plan.sites}
    before, after = (
        [ring for ring in some if plan.complete or ring[0] in used] for some in (plan.rings, rings)
    )
    if before != after:
        found.append(Stale(None, "the fleet's rings, their order or their soak times changed"))
    for site in plan.sites:
        if site.site not in now:
            found.append(Stale(site.site, "it is no longer in the inventory"))
            continue
        inputs = now[site.site]
        for name, reason in (
            ("spec", "what the inventory says of it changed"),
            ("program", "a file beside the inventory that it names changed"),
            ("state", "its recorded state changed: something was done there since"),
            ("published", "other manifests were published for it since"),
        ):
            if getattr(site.inputs, name) != getattr(inputs, name):
                found.append(Stale(site.site, reason))
    if plan.complete:
        known = {site.site for site in plan.sites}
        found += [Stale(name, "it was added to the inventory") for name in names if name not in known]
    return found


def _content(plan: PlanFile) -> dict[str, Any]:
    return {
        "kind": KIND,
        "version": VERSION,
        "toolkit": plan.toolkit,
        "complete": plan.complete,
        "rings": [{"name": name, "soakSeconds": soak} for name, soak in plan.rings],
        "sites": [asdict(site) for site in plan.sites],
    }


def _site(value: Mapping[str, Any]) -> PlannedSite:
    return PlannedSite(**{**value, "inputs": SiteInputs(**value["inputs"])})


def _digest(content: Mapping[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(content).encode()).hexdigest()
