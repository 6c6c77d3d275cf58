"""`fleet render`."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.adapters.inventory_files import InventoryFolder, SiteFileOnDisk
from fleet.adapters.oci_layout import write_layout
from fleet.adapters.rules import rules_for
from fleet.adapters.toolkit_digest import digest_of
from fleet.adapters.tree_folder import (
    MARK,
    Inputs,
    SiteTree,
    holds_sites,
    refuse_others,
    replace_folder,
    tree_folder,
    write_tree,
)
from fleet.adapters.validation_cache import ValidationCache, cache_key, cache_path, content_digest
from fleet.app.check_files import check_files
from fleet.cli import exits
from fleet.cli.console import err, say, styled
from fleet.cli.console import out as stdout
from fleet.cli.inventory_commands import LEAST_CACHED, find_site, valid_inventory
from fleet.cli.inventory_commands import _collector_paused as collector_paused
from fleet.diagnostics.diagnostic import Diagnostic, FleetError, has_errors
from fleet.diagnostics.text import diagnostic_pieces
from fleet.inventory.source import SourceFile
from fleet.model.site import SiteSpec
from fleet.render.artifact import artifact_url, tree_artifact
from fleet.render.faults import rendered
from fleet.render.secrets import brought
from fleet.render.tree import RenderedTree
from fleet.render.unrendered import unrendered

LIBRARIES = ("jinja2", "markupsafe", "pyyaml", "pydantic", "pydantic-core")
"""What trees are made with beside our own code."""


@dataclass(frozen=True)
class Wanted:
    """What a render was asked for."""

    folder: Path
    site: str | None
    """None: every site."""
    out: Path | None
    oci: Path | None
    workspace: Path | None
    """Where it is kept what was validated; None: nowhere, and every tree is written again."""
    jobs: int


def run_render(
    folder: Path,
    name: str | None,
    every: bool,
    out: Path | None,
    oci: Path | None,
    workspace: Path | None = None,
    jobs: int = 1,
) -> int:
    """Exit code of `fleet render`. Without a workspace every tree is written again. Raises `FleetError`."""
    if every == (name is not None):
        raise FleetError("ENV006", "name one site, or --all", "fleet render graz --out gitops", exits.USAGE)
    wanted = Wanted(folder, name, out, oci, workspace, jobs)
    if wanted.oci is not None and str(wanted.oci).startswith(("oci:/", "docker:/", "https:/")):
        raise FleetError(
            "ENV006",
            "--oci takes a folder: pushing to a registry is not built yet",
            "push what it writes: skopeo copy oci:FOLDER docker://HOST/REPOSITORY/SITE",
            exits.USAGE,
        )
    with collector_paused():
        if wanted.site is None and wanted.out is not None and wanted.oci is None:
            return _render_fleet(wanted, wanted.out)
        return _render_sites(wanted)


def _render_sites(wanted: Wanted) -> int:
    inventory = valid_inventory(wanted.folder)
    sites = inventory.sites if wanted.site is None else (find_site(inventory, wanted.site),)
    trees = [rendered(site) for site in sites]
    say_what_is_left_out(path for site in sites for path in unrendered(site.spec))
    say_what_to_bring(name for site in sites for name in brought(site.spec))
    if wanted.out is None and wanted.oci is None:
        for tree in trees:
            for path, text in tree.files.items():
                stdout().print(f"# {tree.site}/{path}\n{text}", end="", markup=False)
    if wanted.out is not None:  # of one site, or beside --oci
        write_trees(wanted.out, {tree.site if wanted.site is None else "": tree.files for tree in trees})
        say(f"{_counted(sum(len(tree.files) for tree in trees), len(trees))} in {wanted.out}", "ok")
    if wanted.oci is not None:
        for site, tree in zip(sites, trees, strict=True):
            folder = wanted.oci if wanted.site is not None else wanted.oci / site.name
            _write_layout(folder, site.spec, tree)
    return exits.OK


def _write_layout(folder: Path, spec: SiteSpec, tree: RenderedTree) -> None:
    artifact = tree_artifact(tree)
    write_layout(folder, artifact)
    say(f"{artifact.digest} in {folder}; push it to {artifact_url(spec).removeprefix('oci://')}", "ok")


def _counted(files: int, sites: int) -> str:
    return f"{files} files of {sites} site{'s' if sites != 1 else ''}"


SHOWN = 12
"""Paths that are named; what is more is counted."""
SECRETS_SHOWN = 40
"""Secrets that are named: all of any one site."""


def say_what_is_left_out(fields: Iterable[str]) -> None:
    """One line on stderr with what the sites set and nothing acts on yet; none where there is nothing."""
    if paths := _listed(fields, SHOWN):
        say(f"not rendered yet: {paths} (docs/inventory/left-out.md)", "warning")


def say_what_to_bring(secrets: Iterable[str]) -> None:
    """One line on stderr with the Secrets that no tree and nothing in the cluster makes; their names only."""
    if names := _listed(secrets, SECRETS_SHOWN):
        say(f"secrets that the site must bring: {names} (docs/secrets.md)")


def _listed(words: Iterable[str], most: int) -> str:
    found = list(dict.fromkeys(words))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def write_trees(out: Path, trees: Mapping[str, Mapping[str, str]]) -> None:
    """Replace the folder `out` by the trees, each in the subfolder of its key: all of it or nothing.

    Raises `FleetError` (ENV007) when `out` holds anything that `fleet render` did not write, or all sites and
    one is to be written.
    """
    out = out.resolve()
    refuse_others(out)
    if "" in trees and holds_sites(out):
        raise FleetError(
            "ENV007",
            f"{out} holds all sites, which one would replace",
            "name a folder of its own; or --all, which writes only what changed",
            exits.USAGE,
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        fresh.chmod(0o755)
        words = "Written by `fleet render`, which replaces this folder as a whole.\n"
        (fresh / MARK).write_text(words, encoding="utf-8")
        for key, files in trees.items():
            write_tree(fresh / key, files)
        replace_folder(out, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@dataclass(frozen=True)
class Validated:
    """A fleet without errors: its files, and digests of what was validated."""

    fleet_file: SourceFile
    sites: Mapping[str, tuple[SiteFileOnDisk, str]]
    """By the sites' names, in their order."""


def validated_files(folder: Path, workspace: Path | None) -> Validated:
    """The fleet in `folder`, of which only what changed since the last run is read and checked.

    Raises `FleetError` (INV100) when it has errors, having printed them.
    """
    place = InventoryFolder.at(folder)
    rules = rules_for(place.root)
    fleet_file = place.fleet_file()
    if isinstance(fleet_file, Diagnostic):
        raise _invalid([fleet_file])
    cache = None
    if workspace is not None and (key := cache_key(fleet_file, rules)) is not None:
        cache = ValidationCache(cache_path(workspace, place.fleet_path), key, fleet_file.path)
    files, unlisted = place.site_files()
    if len(files) < LEAST_CACHED:
        cache = None
    by_key = {file.key: file for file in files}
    checked = check_files(fleet_file, files, rules, cache, unlisted)
    known = {key: cache.digest(by_key[key]) for key in checked.sites.values()} if cache else {}
    if cache is not None:
        cache.save()
    if checked.fleet is None or has_errors(checked.report.found):
        raise _invalid(checked.report.found)
    for diagnostic in checked.report.found:
        err().print(styled(diagnostic_pieces(diagnostic)))
    sites = {
        name: (by_key[key], known.get(key) or _read_digest(by_key[key]))
        for name, key in checked.sites.items()
    }
    return Validated(fleet_file, sites)


def _read_digest(file: SiteFileOnDisk) -> str:
    source = file.read()
    return content_digest(source.content) if isinstance(source, SourceFile) else ""


def _invalid(found: Iterable[Diagnostic]) -> FleetError:
    for diagnostic in found:
        err().print(styled(diagnostic_pieces(diagnostic)))
    return FleetError(
        "INV100", "the inventory has errors", "mend them first; nothing was touched", exits.VALIDATION
    )


def _render_fleet(wanted: Wanted, out: Path) -> int:
    """Every site into a folder of its own below `out`; only those of which something changed."""
    from fleet.cli.render_workers import Job, render_jobs

    if not holds_sites(out):
        refuse_others(out)
    fleet = validated_files(wanted.folder, wanted.workspace)
    toolkit = digest_of(("fleet", "fleet_templates"), LIBRARIES)
    inputs = Inputs(toolkit, content_digest(fleet.fleet_file.content))
    with tree_folder(out, inputs) as folder:
        if wanted.workspace is None:
            folder.forget()
        kept: dict[str, SiteTree] = {}
        new: dict[str, SiteTree] = {}
        jobs = []
        for name, (file, digest) in fleet.sites.items():
            current = folder.current(name, digest)
            if current is not None:
                kept[name] = current
            else:
                known = folder.known(name) if folder.same_toolkit else None
                jobs.append(Job(name, file, digest, folder.staging, known))
        for outcome in render_jobs(fleet.fleet_file, jobs, wanted.jobs):
            (new if outcome.written else kept)[outcome.name] = outcome.tree
        folder.commit(kept, new)
    trees = {**kept, **new}
    say_what_is_left_out(path for name in fleet.sites for path in trees[name].left_out)
    say_what_to_bring(secret for name in fleet.sites for secret in trees[name].brought)
    files = sum(tree.files for tree in trees.values())
    same = f", {len(kept)} of them unchanged" if kept else ""
    say(f"{_counted(files, len(trees))} in {out}{same}", "ok")
    return exits.OK
