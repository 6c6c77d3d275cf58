"""`fleet diff`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.text import Text

from fleet.adapters.inventory_files import read_inventory
from fleet.app.diff import SameChange, SiteDifference, grouped, lines_of, site_difference
from fleet.cli import exits
from fleet.cli.console import out, say
from fleet.cli.inventory_commands import _collector_paused as collector_paused
from fleet.cli.inventory_commands import choose, find_site, valid_inventory
from fleet.diagnostics.diagnostic import FleetError
from fleet.inventory.inventory import Inventory
from fleet.model.site import SiteSpec
from fleet.render.faults import rendered
from fleet.render.tree import render_site

SHOWN_LINES = 40
"""Lines of one change that are shown in a table; JSON has all."""
SHOWN_SITES = 5
INLINE = 32
"""Up to so many sites are compared in this process."""

Pair = tuple[SiteSpec | None, SiteSpec | None]
"""A site in the earlier and in the later inventory; not both None."""


@dataclass(frozen=True)
class Compared:
    """What is to be compared."""

    folder: Path
    sites: tuple[str, ...]
    base: Path | None
    since: str | None
    until: str | None
    cluster: Path | None
    jobs: int


def run_diff(compared: Compared, output: str, *, detailed: bool) -> int:
    """Exit code of `fleet diff`. Raises `FleetError`: DIF001 when it is not said what to compare with."""
    choose(output, "table", "json")
    chosen = [one for one in (compared.base, compared.since, compared.cluster) if one is not None]
    if len(chosen) != 1 or (compared.until is not None and compared.since is None):
        raise FleetError(
            "DIF001",
            "say what to compare with: one of --base FOLDER, --since REV (and --until REV), --cluster FILE",
            "fleet diff --since main",
            exits.USAGE,
        )
    with collector_paused():
        if compared.cluster is not None:
            differences, refused, of = _with_cluster(compared, compared.cluster)
        else:
            differences, of = _between(compared)
            refused = []
    changes = grouped(differences)
    if output == "json":
        out().print_json(json.dumps(_document(differences, changes, refused, of)))
    else:
        for change in changes:
            out().print(_shown(change, of), soft_wrap=True, end="\n\n")
        for words in refused:
            say(f"the cluster refuses {words}", "error")
        say(f"{len(changes)} different changes at {len(differences)} of {of} sites; nothing was touched")
    if refused:
        return exits.SITES_FAILED
    return exits.CHANGES if detailed and differences else exits.OK


def _between(compared: Compared) -> tuple[list[SiteDifference], int]:
    with ExitStack() as stack:
        before_folder, after_folder = compared.base, compared.folder
        if compared.since is not None:
            before_folder = _revision(stack, compared.folder, compared.since)
        if compared.until is not None:
            after_folder = _revision(stack, compared.folder, compared.until)
        assert before_folder is not None
        after = valid_inventory(after_folder)
        earlier, _ = read_inventory(before_folder)
    before = {site.name: site.spec for site in earlier.sites} if earlier is not None else {}
    if earlier is None or earlier.site_files != len(earlier.sites):
        say("the earlier inventory has errors; a site that can't be read there counts as new", "warning")
    now = {site.name: site.spec for site in after.sites}
    names = _names(compared.sites, after, before)
    pairs = [(before.get(name), now.get(name)) for name in names]
    different = [pair for pair in pairs if _digest(pair[0]) != _digest(pair[1])]
    found = [difference for difference in _each(different, compared.jobs) if difference.hunks]
    return found, len(names)


def _revision(stack: ExitStack, folder: Path, revision: str) -> Path:
    from fleet.adapters.git_tree import write_revision

    root = folder if folder.is_dir() else folder.parent
    into = Path(stack.enter_context(TemporaryDirectory(prefix="fleet-diff-")))
    write_revision(root, revision, into)
    return into


def _names(wanted: Sequence[str], after: Inventory, before: Mapping[str, SiteSpec]) -> list[str]:
    for name in wanted:
        if name not in before:
            find_site(after, name)
    return list(wanted) or sorted(before.keys() | {site.name for site in after.sites})


def _digest(spec: SiteSpec | None) -> str | None:
    return spec.digest if spec is not None else None


def compare_trees(pair: Pair) -> SiteDifference:
    """How a site's trees differ; for a process pool. Raises `FleetError` (TPL codes)."""
    before, after = pair
    spec = after or before
    assert spec is not None
    standing = "new" if before is None else "removed" if after is None else "changed"
    new = {} if after is None else render_site(after).files
    try:
        old = {} if before is None else render_site(before).files
    except FleetError as error:
        words = f"the earlier inventory can't be rendered by this fleet: {error.message}"
        raise FleetError(error.code, words, error.help) from error
    return site_difference(spec, standing, old, new)


def _each(pairs: Sequence[Pair], jobs: int) -> Iterator[SiteDifference]:
    if jobs == 1 or len(pairs) <= INLINE:
        yield from map(compare_trees, pairs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(min(jobs, len(pairs)), context) as pool:
        yield from pool.map(compare_trees, pairs, chunksize=16)


def _with_cluster(compared: Compared, kubeconfig: Path) -> tuple[list[SiteDifference], list[str], int]:
    from fleet.adapters.cluster_compare import compared as objects_compared
    from fleet.sandbox.kubernetes_client import KubernetesClient, KubernetesError
    from fleet.sandbox.kubernetes_config import KubeconfigError, read_kubeconfig

    if len(compared.sites) != 1:
        raise FleetError(
            "DIF001", "--cluster takes one site", "fleet diff graz --cluster graz.kubeconfig", exits.USAGE
        )
    site = find_site(valid_inventory(compared.folder), compared.sites[0])
    tree = rendered(site)
    try:
        client = KubernetesClient(read_kubeconfig(kubeconfig.read_text(encoding="utf-8")))
    except (KubeconfigError, UnicodeDecodeError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise FleetError("DIF002", f"{kubeconfig} can't be used: {why}", "", exits.USAGE) from None
    try:
        before, after, refused = objects_compared(client, tree.files)
    except KubernetesError as error:
        raise FleetError("DIF003", f"the cluster of {site.name}: {error}", "", exits.MISSING) from None
    finally:
        client.close()
    difference = site_difference(site.spec, "changed", before, after)
    return [difference] if difference.hunks else [], refused, 1


def _shown(change: SameChange, of: int) -> Text:
    lines = lines_of(change)
    first, count = change.first, max(len(change.first.removed), len(change.first.added))
    words = {"add": "a new file of", "remove": "a file less, of", "change": "the same"}[first.op]
    if len(change.sites) == 1:
        words = words.replace("the same", "")
    rings = ", ".join(f"{ring} {number}" for ring, number in change.rings.items())
    sites = ", ".join(change.sites[:SHOWN_SITES])
    more = f" and {len(change.sites) - SHOWN_SITES} more" if len(change.sites) > SHOWN_SITES else ""
    where = f"{len(change.sites)} of {of} sites" if of > 1 else "the site"
    text = Text()
    text.append(f"{first.path}: {words} {count} line{'s' if count != 1 else ''} at {where}", style="bold")
    text.append(f" ({rings}): {sites}{more}\n" if of > 1 else "\n")
    for line in lines[:SHOWN_LINES]:
        style = {"-": "red", "+": "green"}.get(line[0], "dim")
        text.append(f"{line}\n", style=style)
    if len(lines) > SHOWN_LINES:
        text.append(f"  … {len(lines) - SHOWN_LINES} more lines: -o json has all\n", style="dim")
    text.rstrip()
    return text


def _document(
    differences: Sequence[SiteDifference], changes: Sequence[SameChange], refused: Sequence[str], of: int
) -> dict[str, object]:
    return {
        "version": 1,
        "compared": of,
        "sites": [{"site": d.site, "ring": d.ring, "standing": d.standing} for d in differences],
        "changes": [
            {
                "path": change.first.path, "op": change.first.op, "removed": change.first.removed,
                "added": change.first.added, "sites": change.sites, "rings": dict(change.rings),
            }
            for change in changes
        ],
        "refused": list(refused),
    }  # fmt: skip
