"""`fleet render`."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from fleet.adapters.oci_layout import write_layout
from fleet.app.site import SiteContent, site_content
from fleet.cli import exits
from fleet.cli.console import out as stdout
from fleet.cli.console import say
from fleet.cli.inventory_commands import find_site, valid_inventory
from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.render.unrendered import unrendered

MARK = ".fleet-render"
"""A file that says a folder was written by `fleet render`, and may be replaced by it."""


def run_render(folder: Path, name: str | None, every: bool, out: Path | None, oci: Path | None) -> int:
    """Exit code of `fleet render`."""
    if every == (name is not None):
        raise FleetError("ENV006", "name one site, or --all", "fleet render graz --out gitops", exits.USAGE)
    if oci is not None and every:
        raise FleetError("ENV006", "--oci takes one site", "name the site", exits.USAGE)
    inventory = valid_inventory(folder)
    sites = inventory.sites if name is None else (find_site(inventory, name),)
    contents = [site_content(site.spec) for site in sites]
    say_what_is_left_out(site.spec for site in sites)
    if out is None and oci is None:
        for content in contents:
            for path, text in content.tree.files.items():
                stdout().print(f"# {content.tree.site}/{path}\n{text}", end="", markup=False)
        return exits.OK
    if out is not None:
        write_trees(out, {content.tree.site if every else "": content for content in contents})
        files = sum(len(content.tree.files) for content in contents)
        say(f"{files} files of {len(contents)} site{'s' if len(contents) > 1 else ''} in {out}", "ok")
    if oci is not None:
        write_layout(oci, contents[0].artifact)
        say(
            f"{contents[0].artifact.digest} in {oci}; push it to {contents[0].url.removeprefix('oci://')}",
            "ok",
        )
    return exits.OK


SHOWN = 12
"""Paths that are named; what is more is counted."""


def say_what_is_left_out(specs: Iterable[SiteSpec]) -> None:
    """One line on stderr with what the sites set and nothing acts on yet; none where there is nothing."""
    paths = list(dict.fromkeys(path for spec in specs for path in unrendered(spec)))
    if paths:
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        say(f"not rendered yet: {', '.join(paths[:SHOWN])}{more} (docs/inventory/left-out.md)", "warning")


def write_trees(out: Path, contents: dict[str, SiteContent]) -> None:
    """Replace the folder `out` by the trees, each in the subfolder of its key: all of it or nothing.

    Raises `FleetError` (ENV007) when `out` holds anything that `fleet render` did not write.
    """
    if out.exists() and not (out / MARK).exists() and any(out.iterdir()):
        raise FleetError(
            "ENV007",
            f"{out} holds files that fleet did not write",
            "name an empty or a new folder",
            exits.USAGE,
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        fresh.chmod(0o755)
        (fresh / MARK).write_text(
            "Written by `fleet render`, which replaces this folder as a whole.\n", encoding="utf-8"
        )
        for key, content in contents.items():
            for path, text in content.tree.files.items():
                target = fresh / key / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8", newline="\n")
        if out.exists():
            old = fresh.with_name(fresh.name + ".old")
            out.rename(old)
            fresh.rename(out)
            shutil.rmtree(old)
        else:
            fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
