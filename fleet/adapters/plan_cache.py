"""Plans of sites for which nothing has changed since, kept in the workspace: `cache/plans/SITE.json`.

A plan is valid for one key: a digest of the site's inputs and of the toolkit. A file that is old, damaged or
of another key is passed over, and replaced when the site is planned again. Plans that failed are not kept.
Whether the passphrase of the state's secrets is right is no part of a plan, and no digest of it is kept.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet.adapters.workspace_folder import made_workspace
from fleet.plan.plan_file import SiteInputs
from fleet.plan.site_plan import FileChanges, PlannedChange, SitePlan

_VERSION = 1


@dataclass(frozen=True)
class PlanCache:
    """The plans that the workspace at `root` remembers, made by one toolkit."""

    root: Path
    toolkit: str

    def get(self, site: str, inputs: SiteInputs) -> SitePlan | None:
        """The site's plan if it was made from these inputs; None otherwise."""
        try:
            head, _, body = self._path(site).read_bytes().partition(b"\n")
            version, key, digest = json.loads(head)
            if (version, key, digest) != (_VERSION, self.key(site, inputs), _digest(body)):
                return None
            return _plan(json.loads(body))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def put(self, plan: SitePlan, inputs: SiteInputs) -> None:
        """Keep a plan, without a word where that can't be: a cache costs time and nothing else."""
        if plan.error is not None:
            return
        body = json.dumps(asdict(plan), separators=(",", ":")).encode()
        head = json.dumps([_VERSION, self.key(plan.site, inputs), _digest(body)]).encode()
        try:
            made_workspace(self.root)
            _replace(self._path(plan.site), head + b"\n" + body)
        except OSError:
            return

    def key(self, site: str, inputs: SiteInputs) -> str:
        """What a plan is valid for."""
        return _digest(json.dumps([self.toolkit, site, *asdict(inputs).values()]).encode())

    def _path(self, site: str) -> Path:
        return self.root / "cache" / "plans" / f"{site}.json"


def _replace(path: Path, data: bytes) -> None:
    """Write whole or not at all; not synced, since after a power cut the digest would not fit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _plan(value: dict[str, Any]) -> SitePlan:
    files = {name: tuple(paths) for name, paths in value["files"].items()}
    changes = tuple(PlannedChange(c["op"], c["type"], c["name"], tuple(c["paths"])) for c in value["changes"])
    rest = {"pending": tuple(value["pending"]), "ignored": tuple(value["ignored"])}
    return SitePlan(**{**value, **rest, "changes": changes, "files": FileChanges(**files)})


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
