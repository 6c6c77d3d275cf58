"""`fleet validate`, `fleet explain` and `fleet show`."""

import gc
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import typer
import yaml
from rich.table import Table
from rich.text import Text

from fleet.adapters.git import Difference, GitFolder
from fleet.adapters.inventory_files import InventoryFolder, read_inventory
from fleet.adapters.rules import POLICIES, rules_for
from fleet.app.changed import narrowed
from fleet.app.check_files import check_files
from fleet.app.explain import explanations
from fleet.app.policies import is_policy
from fleet.app.validate import validate
from fleet.cli import exits
from fleet.cli.console import err, out, print_json, say, styled
from fleet.diagnostics.diagnostic import Diagnostic, FleetError, has_errors
from fleet.diagnostics.explain import near_code
from fleet.diagnostics.machine import diagnostics_json
from fleet.diagnostics.suppress import Report
from fleet.diagnostics.text import diagnostic_pieces, summary
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Rule, installed_rules
from fleet.inventory.shape import did_you_mean, nearest
from fleet.inventory.source import SourceFile

if TYPE_CHECKING:
    from fleet.adapters.validation_cache import ValidationCache


def choose(output: str, *known: str) -> str:
    """The chosen output format. Raises `FleetError` (ENV002) when there is no such format here."""
    if output not in known:
        raise FleetError(
            "ENV002", f"no output format {output!r} here", f"one of {', '.join(known)}", exits.USAGE
        )
    return output


FORMATS = ("text", "json", "sarif", "junit", "github", "azure", "gitlab")


LEAST_CACHED = 100
"""Smaller fleets are checked in less time than a cache would save, and leave no file behind."""


def run_validate(
    folder: Path,
    output: str,
    workspace: Path | None = None,
    changed_since: str | None = None,
    policies: Path | None = None,
) -> int:
    """Exit code of `fleet validate`; without a workspace nothing is kept between runs."""
    choose(output, *FORMATS)
    place = InventoryFolder.at(folder)
    try:
        rules = rules_for(place.root, policies)
    except FleetError as error:
        wrong: tuple[Diagnostic, ...] = getattr(error, "diagnostics", ())
        if not wrong:
            raise
        # Every one at its line, also where no person reads: a policy is code that is checked too.
        _shown(Report(wrong), None, 0, installed_rules(), output, {})
        return error.exit_code
    with _collector_paused():
        return _validate(place, rules, output, workspace, changed_since, policies)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Hundreds of thousands of small values are made and few cycles: looking for these is half the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _validate(
    place: InventoryFolder,
    rules: Sequence[Rule],
    output: str,
    workspace: Path | None,
    changed_since: str | None,
    policies: Path | None,
) -> int:
    fleet_file = place.fleet_file()
    if isinstance(fleet_file, Diagnostic):
        return _shown(Report((fleet_file,)), None, 0, rules, output, {})
    cache = _cache(place, fleet_file, rules, workspace) if workspace is not None else None
    files, unlisted = place.site_files()
    if not files and not unlisted:
        say(_no_sites(place.root), "warning")
    if len(files) < LEAST_CACHED:
        cache = None
    by_key = {file.key: file for file in files}
    # Asked before anything is checked: a revision that is not there is told at once.
    _refuse_range(changed_since)
    difference = GitFolder(place.root).since(changed_since, by_key) if changed_since is not None else None
    policies_differ = difference is not None and _policies_differ(place.root, policies, difference)
    checked = check_files(fleet_file, files, rules, cache, unlisted)
    if cache is not None:
        cache.save()
    looked = len(checked.files) if checked.fleet is not None else None
    if difference is None:
        return _shown(checked.report, looked, len(checked.sites), rules, output, {})

    name = place.fleet_path.name
    before: SourceFile | None = fleet_file
    if place.fleet_path.is_symlink():
        before = None
    elif name in difference.files:
        content = GitFolder(place.root).content(difference.commit, name)
        before = SourceFile(fleet_file.path, content) if content is not None else None
    # Git tells of a link, not of the file that it leads to: that may have changed.
    changed = difference.files | {file.key for file in files if file.link}
    part = narrowed(checked, by_key, changed, before, policies_differ=policies_differ)
    since = {"changedSince": {"revision": changed_since, "checked": part.sites, "of": part.of}}
    if looked is None:
        return _shown(part.report, None, 0, rules, output, since)
    say(f"checked {part.sites} of {part.of} sites: what changed since {changed_since}, and what that changes")
    usable = sum(key in part.files for key in checked.sites.values())
    return _shown(part.report, part.sites, usable, rules, output, since)


def _refuse_range(revision: str | None) -> None:
    """Raises `FleetError` (GIT003) for `A..B`: files are compared as they are, which is no revision."""
    if revision is None or ".." not in revision:
        return
    begin, _, end = revision.partition("..")
    three = end.startswith(".")
    begin, end = begin or "HEAD", end.removeprefix(".") or "HEAD"
    since = f"$(git merge-base {begin} {end})" if three else begin
    raise FleetError(
        "GIT003",
        f"{revision!r} is a range: a revision is compared with the files as they are",
        f"check out {end}, and --changed-since {since}",
        exits.USAGE,
    )


def _no_sites(root: Path) -> str:
    """What is said where there is no site file at all, which is seldom meant."""
    folder = root / "sites"
    if folder.is_dir():
        return f"there is no site: {folder} holds no file NAME.yaml; `fleet site add` writes one"
    others = [path.name for path in root.iterdir() if path.is_dir() and any(path.glob("*.y*ml"))]
    near = (
        f"; is it {(root / nearest_name).as_posix()}?" if (nearest_name := nearest("sites", others)) else ""
    )
    return f"there is no site: the folder {folder} is not there{near}"


def _policies_differ(root: Path, named: Path | None, difference: Difference) -> bool:
    """Whether a policy file differs, is new or is gone since the revision; also True when git can't tell.

    `named` is the folder of `--policies`, `difference` that of the inventory in `root`.
    """
    folder = named if named is not None else root / POLICIES
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*.rego")
        if is_policy(path.relative_to(folder))
    }
    # Git tells of a link, not of what it leads to.
    if any(path.is_symlink() for path in (folder, *files.values())):
        return True
    # Asked of the inventory's own folder where it can be: `policies` may be gone.
    asked, above = (folder, "") if named is not None else (root, POLICIES + "/")
    try:
        # The commit, not the revision's name: another repository has a `main` too, and not this commit.
        differs = GitFolder(asked).since(difference.commit, {above + name for name in files}).files
    except FleetError:  # the folder is in no repository, or in another one
        return True
    return any(
        is_policy(PurePosixPath(name.removeprefix(above))) for name in differs if name.startswith(above)
    )


def _cache(
    place: InventoryFolder, fleet_file: SourceFile, rules: Sequence[Rule], workspace: Path
) -> "ValidationCache | None":
    from fleet.adapters.validation_cache import ValidationCache, cache_key, cache_path

    key = cache_key(fleet_file, rules)
    if key is None:
        return None
    return ValidationCache(cache_path(workspace, place.fleet_path), key, fleet_file.path)


def _shown(
    report: Report,
    sites: int | None,
    usable: int,
    rules: Sequence[Rule],
    output: str,
    more: Mapping[str, Any],
) -> int:
    """Print the report, in `output`; `more` goes into the JSON; `sites` is None where none was looked at.

    The exit code.
    """
    if output == "text":
        for diagnostic in report.found:
            out().print(styled(diagnostic_pieces(diagnostic)))
    elif output == "json":
        document = {**diagnostics_json(report.found, sites or 0, report.suppressed), **more}
        print_json(document)
    else:
        # Bytes: these formats are UTF-8 whatever the terminal is, and nothing may wrap or colour them.
        typer.echo(_for_ci(report, rules, output).encode(), nl=False)
    if output in ("text", "github", "azure"):
        words = summary(report.found, sites, usable, len(report.suppressed))
        say(words, "error" if has_errors(report.found) else "ok")
    return exits.VALIDATION if has_errors(report.found) else exits.OK


def _for_ci(report: Report, rules: Sequence[Rule], output: str) -> str:
    from fleet.diagnostics.annotations import azure, github
    from fleet.diagnostics.gitlab import code_quality
    from fleet.diagnostics.junit import junit
    from fleet.diagnostics.sarif import sarif

    if output == "sarif":
        log = sarif(report, explanations(rules), importlib.metadata.version("fleet-toolkit"))
        return json.dumps(log, indent=1) + "\n"
    if output == "junit":
        return junit(report)
    if output == "gitlab":
        return code_quality(report)
    annotate = github if output == "github" else azure
    return "".join(line + "\n" for line in annotate(report.found))


def valid_inventory(folder: Path) -> Inventory:
    """The inventory in `folder`. Raises `FleetError` (INV100) when it has errors, having printed them."""
    inventory, shape = read_inventory(folder)
    diagnostics = validate(inventory, shape, rules_for(folder))
    for diagnostic in diagnostics:
        err().print(styled(diagnostic_pieces(diagnostic)))
    if inventory is None or has_errors(diagnostics):
        raise FleetError(
            "INV100", "the inventory has errors", "mend them first; nothing was touched", exits.VALIDATION
        )
    return inventory


def find_site(inventory: Inventory, name: str) -> Site:
    """The site of that name. Raises `FleetError` (ENV004) with the nearest name."""
    site = inventory.site(name)
    if site is None:
        help_text = did_you_mean(name, (s.name for s in inventory.sites)) or ""
        raise FleetError("ENV004", f"there is no site {name!r}", help_text, exits.USAGE)
    return site


def run_explain(code: str | None, folder: Path) -> int:
    """Exit code of `fleet explain`; the policies of the inventory in `folder` are explained too."""
    try:
        rules = {rule.code: rule for rule in rules_for(folder)}
    except FleetError:  # wrong policies must not keep anybody from reading what is wrong with them
        rules = {rule.code: rule for rule in installed_rules([])}
    known = explanations(tuple(rules.values()))
    if code is None:
        for explanation in known.values():
            out().print(Text.assemble((explanation.code, "bold"), "  ", explanation.summary))
        return exits.OK
    if code.upper() not in known:
        raise FleetError("ENV005", f"there is no code {code!r}", near_code(code, known), exits.USAGE)
    explanation = known[code.upper()]
    title, _, body = (explanation.page or f"# {explanation.code}: {explanation.summary}\n").partition("\n")
    text = Text()
    text.append(title.removeprefix("# ") + "\n", style="bold")
    if (rule := rules.get(explanation.code)) is not None:
        text.append(f"{rule.severity}; source: {rule.source}\n", style="dim")
    text.append(body or explanation.advice or "")
    text.rstrip()
    out().print(text)
    return exits.OK


def run_show(folder: Path, name: str | None, provenance: bool, output: str) -> int:
    """Exit code of `fleet show`."""
    choose(output, "yaml", "json", "table")
    inventory, shape = read_inventory(folder)
    if inventory is None or has_errors(shape):
        return run_validate(folder, "text")
    if name is None:
        return _list_sites(inventory, output)
    site = find_site(inventory, name)
    spec = site.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    if provenance:
        rows = [(path, value, site.origin(path)) for path, value in leaves(spec)]
        if output == "json":
            data = [
                {
                    "path": ".".join(map(str, path)),
                    "value": value,
                    "layer": origin.layer,
                    "file": origin.span.path if origin.span else None,
                    "line": origin.span.line if origin.span else None,
                }
                for path, value, origin in rows
            ]
            print_json(data)
            return exits.OK
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("field", "value", "from", "written at"):
            table.add_column(title, overflow="fold")
        for path, value, origin in rows:
            place = f"{origin.span.path}:{origin.span.line}" if origin.span else ""
            table.add_row(
                ".".join(map(str, path)), json.dumps(value, ensure_ascii=False), origin.layer, place
            )
        out().print(table, soft_wrap=False)
        return exits.OK
    if output == "json":
        print_json({"digest": site.spec.digest, "spec": spec})
    else:
        text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=110)
        out().print(Text(f"# {site.spec.digest}\n{text}"), end="")
    return exits.OK


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The scalars (and empty collections) of a nested value with their paths, in order."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = list(enumerate(value))
    if not items:
        yield path, value
    for key, item in items:
        yield from leaves(item, (*path, key))


def _list_sites(inventory: Inventory, output: str) -> int:
    rows = [
        {
            "name": site.name,
            "ring": site.spec.ring,
            "topology": site.spec.topology,
            "connectivity": site.spec.connectivity.mode,
            "nodes": len(site.spec.azure_local.nodes),
            "gpu": site.spec.gpu.model if site.spec.gpu else None,
            "digest": site.spec.digest,
        }
        for site in inventory.sites
    ]
    if output == "json":
        print_json(rows)
        return exits.OK
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("site", "ring", "topology", "connectivity", "nodes", "gpu", "digest"):
        table.add_column(title)
    for row in rows:
        table.add_row(
            *(str(v) if v is not None else "-" for k, v in row.items() if k != "digest"),
            str(row["digest"])[:19],
        )
    out().print(table)
    return exits.OK
