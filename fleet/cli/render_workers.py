"""Rendering many sites: each from its file to a folder, in a pool of processes."""

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.adapters.inventory_files import SiteFileOnDisk
from fleet.adapters.tree_folder import SiteTree, write_tree
from fleet.adapters.validation_cache import content_digest
from fleet.diagnostics.diagnostic import Diagnostic, FleetError
from fleet.inventory.inventory import Site
from fleet.inventory.load import Fleet, load_fleet, load_site
from fleet.inventory.source import SourceFile
from fleet.render.faults import rendered
from fleet.render.secrets import brought
from fleet.render.unrendered import unrendered

INLINE = 16
"""Up to so many sites are rendered in this process: starting workers would take longer."""
_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Job:
    """A site to render: its file, what that must hold, and what its folder has now."""

    name: str
    file: SiteFileOnDisk
    digest: str
    staging: Path
    known: SiteTree | None
    """What the site's folder holds, where the same spec would give the same tree."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A site's tree; it is in the staging folder unless it is the one that was there."""

    name: str
    tree: SiteTree
    written: bool


def render_jobs(fleet_file: SourceFile, jobs: Sequence[Job], processes: int) -> Iterator[Outcome]:
    """The outcomes, in the order of the jobs. Raises `FleetError` with the first site that fails."""
    if processes == 1 or len(jobs) <= INLINE:
        _start(fleet_file)
        yield from map(_render, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    # From a server that has everything imported: a worker costs a fork and shares that memory.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(min(processes, len(jobs)), context, _start_worker, (fleet_file,)) as pool:
        try:
            yield from pool.map(_render, jobs, chunksize=_CHUNK)
        except BrokenProcessPool:
            raise FleetError(
                "ENG001", "a process that renders sites ended before its work", "if memory is short: -j 1"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_fleet: Fleet | None = None
"""Of this process."""


def _start(fleet_file: SourceFile) -> None:
    global _fleet
    _fleet, _ = load_fleet(fleet_file)


def _start_worker(fleet_file: SourceFile) -> None:
    gc.disable()  # hundreds of thousands of small values, and few cycles
    _start(fleet_file)


def load_validated(file: SiteFileOnDisk, digest: str) -> Site:
    """The site of a file that was validated. Raises `FleetError` (ENV021) when it is another one by now."""
    assert _fleet is not None
    source = file.read()
    if isinstance(source, Diagnostic) or content_digest(source.content) != digest:
        raise FleetError("ENV021", f"{file.path} was changed after it was validated", "run it again")
    site = load_site(_fleet, source).site
    assert site is not None  # it was validated
    return site


def _render(job: Job) -> Outcome:
    site = load_validated(job.file, job.digest)
    spec = site.spec
    known = job.known
    if known is not None and known.spec == spec.digest:
        return Outcome(job.name, replace(known, file=job.digest), written=False)
    tree = rendered(site)
    write_tree(job.staging / job.name, tree.files)
    made = SiteTree(
        job.digest, spec.digest, tree.digest, len(tree.files), tuple(unrendered(spec)), brought(spec)
    )
    return Outcome(job.name, made, written=True)
