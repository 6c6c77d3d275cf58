"""Planning many sites: what each plan depends on, the cache, and a pool of processes."""

import gc
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from fleet.adapters.plan_cache import PlanCache
from fleet.adapters.toolkit_digest import toolkit_digest
from fleet.app.rollout import prepare_worker
from fleet.app.site import PROJECT
from fleet.cli.wiring import Parts, plan_site, program_of
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.plan.plan_file import NONE, SiteInputs
from fleet.plan.site_plan import SitePlan
from fleet.render.artifact import artifact_url

INLINE = 4
"""Up to so many sites are planned in this process: starting workers would take longer."""
UNREADABLE = "unreadable"
"""Stands for the digest of what can't be read; a plan with it failed, or is not kept."""
_ANY_DIGEST = "sha256:" + "0" * 64
"""Of the tree, which follows from the spec and the toolkit."""
_COLLECT_EVERY = 8
"""Sites between two collections of garbage. The SDK's futures and outputs are cycles: looking for them all
the time takes time of every site (tests/bench/plan.py prints how much), never looking costs memory."""
_PRELOADED = ("fleet_stacks.program", "fleet.engine.local.engine", "fleet.sandbox.azure_provider", __name__)
Given = TypeVar("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PlannedNow:
    """A site's plan, what it was made from, and whether it was remembered."""

    plan: SitePlan
    inputs: SiteInputs
    remembered: bool = False


def plan_fleet(parts: Parts, specs: Sequence[SiteSpec], jobs: int, *, cached: bool) -> Iterator[PlannedNow]:
    """The plans, in the order of the sites. One that fails is a plan with an `error`; others go on.

    With `cached`, a site whose inputs are those of an earlier run is not planned again.
    """
    cache = PlanCache(parts.workspace.root, toolkit_digest()) if cached else None
    inputs = [site_inputs(parts, spec) for spec in specs]
    known = [cache.get(spec.name, own) if cache else None for spec, own in zip(specs, inputs, strict=True)]
    missing = [spec for spec, plan in zip(specs, known, strict=True) if plan is None]
    fresh = each(partial(plan_or_error, parts), missing, jobs)
    for spec, own, plan in zip(specs, inputs, known, strict=True):
        if plan is not None:
            yield PlannedNow(plan, own, remembered=True)
            continue
        made = next(fresh)
        # What changed while it was being planned may or may not be in the plan: that one is not kept.
        if cache is not None and site_inputs(parts, spec) == own:
            cache.put(made, own)
        yield PlannedNow(made, own)


def plan_or_error(parts: Parts, spec: SiteSpec) -> SitePlan:
    """One site's plan; what keeps it from being planned is its error and no other site's concern."""
    try:
        return plan_site(parts, spec)
    except FleetError as error:
        why = f"{error.code}: {error.message}"
    except (OSError, ValueError) as error:
        why = f"ENV021: a file of the workspace can't be read: {error}"
    return SitePlan(spec.name, spec.ring, spec.digest, "", error=why)


def site_inputs(parts: Parts, spec: SiteSpec) -> SiteInputs:
    """Digests of all that the site's plan depends on, as it is now."""
    return SiteInputs(
        spec.digest, _program_digest(parts, spec), _state_digest(parts, spec), _published(parts, spec)
    )


def _program_digest(parts: Parts, spec: SiteSpec) -> str:
    """Of what the program is made with beside the spec: read by the program's own wiring, so that a part
    which is added there is part of this too."""
    try:
        program = program_of(parts.folder, spec, "deploy", artifact_url(spec), _ANY_DIGEST)
    except FleetError as error:
        return _digest(f"{error.code} {error.message}".encode())
    if not is_dataclass(program):
        return UNREADABLE
    rest = {field.name: getattr(program, field.name) for field in fields(program) if field.name != "spec"}
    return _digest(repr(sorted(rest.items())).encode())


def _state_digest(parts: Parts, spec: SiteSpec) -> str:
    path = parts.workspace.state / PROJECT / f"{spec.name}.json"
    try:
        return _digest(path.read_bytes())
    except FileNotFoundError:
        # A backup alone means that the state was lost, not that there is none (fleet/engine/local/store.py).
        return UNREADABLE if path.with_name(path.name + ".bak").exists() else NONE
    except OSError:
        return UNREADABLE


def _published(parts: Parts, spec: SiteSpec) -> str:
    try:
        files = parts.workspace.artifacts.published_files(artifact_url(spec))
    except (OSError, ValueError, AttributeError):
        return UNREADABLE
    return _digest(json.dumps(dict(files), sort_keys=True).encode()) if files else NONE


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def each(function: Callable[[Given], Result], given: Sequence[Given], jobs: int) -> Iterator[Result]:
    """`function` of each, in their order, in up to `jobs` processes.

    Raises `FleetError` (ENG001) when one of these was killed, as for want of memory.
    """
    if jobs == 1 or len(given) <= INLINE:
        try:
            yield from map(_Frugal(function), given)
        finally:
            gc.unfreeze()
        return
    workers = min(jobs, len(given))
    # From a server that has everything imported: a worker costs a fork and shares that memory.
    context = get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    with ProcessPoolExecutor(workers, context, prepare_worker) as pool:
        size = max(1, min(16, len(given) // (workers * 4)))
        try:
            yield from pool.map(_Frugal(function), given, chunksize=size)
        except BrokenProcessPool:
            raise FleetError(
                "ENG001", "a process that plans sites ended before its work", "if memory is short: -j 1"
            ) from None


class _Frugal:
    """Calls a function with the collector of garbage at rest, and lets it work now and then."""

    calls = 0  # of this process

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        _Frugal.calls = 0

    def __call__(self, given: Any) -> Any:
        running = gc.isenabled()
        gc.disable()
        try:
            return self._function(given)
        finally:
            _Frugal.calls += 1
            if _Frugal.calls == 1:
                gc.freeze()  # what is imported by now stays, and need not be looked through again
            elif _Frugal.calls % _COLLECT_EVERY == 0:
                gc.collect()
            if running:
                gc.enable()
