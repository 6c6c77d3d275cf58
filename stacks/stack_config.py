"""From a stack's name and configuration to a `SiteProgram`."""

from pathlib import Path

import pulumi

from fleet.inventory.inventory import Inventory
from fleet.model.site import SiteSpec

from .adoption import read_adopted
from .deployment_settings import Phase
from .errors import StackError
from .program import FluxContent, SiteProgram
from .registry_ca import read_ca

_SHOWN_ERRORS = 10


def configured_program(root: Path, stack: str, config: pulumi.Config) -> SiteProgram:
    """The program of the site named as the stack.

    Reads `fleet:inventory` (a folder, relative to `root`), `fleet:phase`, `fleet:contentUrl` and
    `fleet:contentDigest`. Raises `StackError` when one is wrong, the inventory has an error, or no site
    has the stack's name.
    """
    folder = root / (config.get("inventory") or ".")
    spec = _site(_inventory(folder), stack)
    beside = folder if folder.is_dir() else folder.parent
    return SiteProgram(spec, _phase(config), _content(config, spec, folder), read_adopted(beside, spec.name))


def _inventory(folder: Path) -> Inventory:
    # Imported here: `fleet.adapters` is a layer above the rest of this package.
    from fleet.adapters.inventory_files import read_inventory
    from fleet.diagnostics.diagnostic import FleetError
    from fleet.inventory.rule import check, installed_rules

    try:
        inventory, diagnostics = read_inventory(folder)
    except FleetError as error:
        raise StackError(f"{error}; set fleet:inventory to the folder that holds fleet.yaml") from None
    found = [*diagnostics, *(check(inventory, installed_rules()) if inventory else ())]
    errors = [item for item in found if item.severity == "error"]
    if inventory is None or errors:
        lines = [
            f"  {e.span.path}:{e.span.line}:{e.span.column}: {e.code}: {e.message}"
            for e in errors[:_SHOWN_ERRORS]
        ]
        more = len(errors) - _SHOWN_ERRORS
        lines += [f"  and {more} more; fleet validate shows all"] if more > 0 else []
        raise StackError("the inventory has errors, so nothing is declared:\n" + "\n".join(lines))
    return inventory


def _site(inventory: Inventory, stack: str) -> SiteSpec:
    site = inventory.site(stack)
    if site is None:
        known = ", ".join(site.name for site in inventory.sites) or "none"
        raise StackError(f"no site is named {stack!r} as this stack is; the inventory has: {known}")
    return site.spec


def _phase(config: pulumi.Config) -> Phase:
    phase = config.get("phase") or "deploy"
    if phase not in ("validate", "deploy"):
        raise StackError(f"fleet:phase is {phase!r}; it is validate or deploy")
    return "validate" if phase == "validate" else "deploy"


def _content(config: pulumi.Config, spec: SiteSpec, folder: Path) -> FluxContent | None:
    url, digest = config.get("contentUrl"), config.get("contentDigest")
    if url is None and digest is None:
        return None
    if url is None or digest is None:
        raise StackError("fleet:contentUrl and fleet:contentDigest are set together, or not at all")
    try:
        return FluxContent(url, digest, read_ca(folder if folder.is_dir() else folder.parent, spec))
    except ValueError as error:
        raise StackError(f"fleet:contentUrl, fleet:contentDigest: {error}") from None
