"""The folder that `fleet render --all --out` writes: a tree a site, and a list of what each was made from.

What holds after a kill at any moment: a site's folder is there in one version, or is not there; the list
never names a version that is not. So the next run writes again what was under way. How:

1. What changed is rendered into a folder beside the sites (`.fleet-new`). A failure ends here, and the sites
   are as they were.
2. The list is written without the sites that will change.
3. Each of these is moved away and its new folder moved into its place: two renames.
4. The list is written whole, and what was moved away is deleted.

A folder that is not there yet is made under another name and moved as a whole. Nothing is synced to the disk:
after a power cut, `--no-cache` writes everything again.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.diagnostics.diagnostic import FleetError

MARK = ".fleet-render"
"""The list, which also says that `fleet render` wrote the folder and may replace what is in it."""
_NEW = ".fleet-new"
_TOP = ("clusters", "observability", "platform", "workloads")
"""What a site's tree begins with."""
_VERSION = 2
_FOLDER_MODE = 0o755
EXIT_USAGE, EXIT_LOCKED = 2, 12


@dataclass(frozen=True, slots=True)
class SiteTree:
    """A site's folder, and what it was made from, by digests."""

    file: str
    """Of the site's file."""
    spec: str
    """Of the resolved site."""
    tree: str
    """Of the paths and texts in the folder."""
    files: int
    """How many files are in it."""
    left_out: tuple[str, ...] = ()
    """Fields that the site sets and nothing acts on."""
    brought: tuple[str, ...] = ()
    """Secrets that whoever runs the site puts there, `NAMESPACE/NAME`."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What every tree of a folder was made from beside its site's file."""

    toolkit: str
    """Of fleet's code and templates."""
    fleet: str
    """Of `fleet.yaml`."""


class TreeFolder:
    """The folder while it is locked for one run; made by `tree_folder`."""

    def __init__(self, root: Path, inputs: Inputs) -> None:
        self._root, self._inputs = root, inputs
        self._before, before, self._sites = _read(root / MARK)
        self.same_toolkit = before is not None and before.toolkit == inputs.toolkit
        """What was made from the same spec is the same now."""
        self._same = before == inputs
        self._there = {entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)}
        shutil.rmtree(root / _NEW, ignore_errors=True)
        self._there.discard(_NEW)

    def forget(self) -> None:
        """Take nothing for known: everything is to be written again."""
        self._sites = {}

    def known(self, site: str) -> SiteTree | None:
        """What is in the folder of a site; None when it is not there or nobody knows."""
        return self._sites.get(site) if site in self._there else None

    def current(self, site: str, file: str) -> SiteTree | None:
        """The site's tree if it was made from all that is there now; `file` is the digest of its file."""
        known = self.known(site) if self._same else None
        return known if known is not None and known.file == file else None

    @property
    def staging(self) -> Path:
        """Where trees are written that `commit` puts in place, each in a folder named as its site."""
        return self._root / _NEW / "in"

    def commit(self, kept: Mapping[str, SiteTree], new: Mapping[str, SiteTree]) -> None:
        """Put the new trees in place, take away those of sites that are in neither, and write the list.

        Only folders that hold a site's tree are taken away.
        """
        gone = [
            name for name in self._there
            if name not in kept and name not in new and (self._root / name / "clusters" / name).is_dir()
        ]  # fmt: skip
        listed = _list(self._inputs, {**kept, **new})
        if not new and not gone and listed == self._before:
            return
        if new or gone:
            _write(self._root / MARK, _list(self._inputs, kept))
        away = self._root / _NEW / "out"
        away.mkdir(parents=True, exist_ok=True)
        for name in gone:
            (self._root / name).rename(away / name)
        for name in new:
            if name in self._there:
                (self._root / name).rename(away / name)
            (self.staging / name).rename(self._root / name)
        _write(self._root / MARK, listed)
        shutil.rmtree(self._root / _NEW)


@contextmanager
def tree_folder(out: Path, inputs: Inputs) -> Iterator[TreeFolder]:
    """The folder `out`, locked. Where it raises, `out` is as it was.

    Raises `FleetError`: ENV007 when it holds anything that fleet did not write, ENV022 when another run is
    writing it.
    """
    out = out.resolve()
    if holds_sites(out):
        with _locked(out):
            folder = TreeFolder(out, inputs)
            try:
                yield folder
            finally:
                shutil.rmtree(out / _NEW, ignore_errors=True)
        return
    refuse_others(out)
    fresh = out.with_name(f".{out.name}{_NEW}")
    fresh.mkdir(parents=True, exist_ok=True)
    with _locked(fresh):
        for entry in os.scandir(fresh):  # of a run that was killed
            _remove(Path(entry.path))
        fresh.chmod(_FOLDER_MODE)
        try:
            yield TreeFolder(fresh, inputs)
            replace_folder(out, fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def refuse_others(out: Path) -> None:
    """Raises `FleetError` (ENV007) when `out` holds anything that `fleet render` did not write: it would be
    gone with the folder, a `.git` too."""
    if not out.exists():
        return
    others = [entry.name for entry in os.scandir(out) if not _rendered(entry)] if out.is_dir() else [""]
    if others or not ((out / MARK).exists() or not any(out.iterdir())):
        raise FleetError(
            "ENV007",
            f"{out} holds files that fleet did not write" + (f", such as {min(others)}" if others[0] else ""),
            "name an empty or a new folder",
            EXIT_USAGE,
        )


def _rendered(entry: os.DirEntry[str]) -> bool:
    """Whether it is of a tree, of a folder of trees, or our own."""
    if not entry.is_dir(follow_symlinks=False):
        return entry.name in (MARK, f"{MARK}.new")
    return entry.name in (_NEW, *_TOP) or Path(entry.path, "clusters", entry.name).is_dir()


def write_tree(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts by their POSIX paths below `folder`, which is made."""
    root = str(folder)
    for below in sorted({path.rpartition("/")[0] for path in files}):
        os.makedirs(f"{root}/{below}", _FOLDER_MODE, exist_ok=True)  # noqa: PTH103 - thousands of them
    for path, text in files.items():
        with open(f"{root}/{path}", "wb") as stream:  # noqa: PTH123 - a Path a file takes longer than it
            stream.write(text.encode())


def replace_folder(out: Path, fresh: Path) -> None:
    """Put the folder `fresh` in the place of `out`: two renames when that is there."""
    old = fresh.with_name(fresh.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def holds_sites(out: Path) -> bool:
    """Whether it is a folder with a tree a site and their list, of this version or another: what else is in
    it (a `.git`, a README) stays."""
    try:
        return isinstance(json.loads((out / MARK).read_bytes().partition(b"\n")[0]), list)
    except (OSError, ValueError):
        return False


def _read(path: Path) -> tuple[bytes | None, Inputs | None, dict[str, SiteTree]]:
    """The list's bytes, None when it is not one; its inputs and sites, none where it was cut or changed."""
    try:
        data = path.read_bytes()
        head, _, body = data.partition(b"\n")
        version, toolkit, fleet, digest = json.loads(head)
        if version != _VERSION:
            return None, None, {}
    except (OSError, ValueError, TypeError):
        return None, None, {}
    if digest != hashlib.sha256(body).hexdigest():
        return data, None, {}
    rows: list[Sequence[Any]] = json.loads(b"[" + b",".join(body.splitlines()) + b"]")
    sites = {
        name: SiteTree(file, spec, tree, files, tuple(left), tuple(secrets))
        for name, file, spec, tree, files, left, secrets in rows
    }
    return data, Inputs(toolkit, fleet), sites


def _list(inputs: Inputs, sites: Mapping[str, SiteTree]) -> bytes:
    """A line a site, so that a reviewer sees which changed; nothing of the machine, so that it can be kept in
    Git beside the trees."""
    rows = (
        [name, t.file, t.spec, t.tree, t.files, t.left_out, t.brought] for name, t in sorted(sites.items())
    )
    body = "".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows).encode()
    head = [_VERSION, inputs.toolkit, inputs.fleet, hashlib.sha256(body).hexdigest()]
    return json.dumps(head).encode() + b"\n" + body


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """No two runs write one folder; the lock ends with the process, however that ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FleetError(
                "ENV022",
                f"another run is writing {folder}",
                "wait for it, or name another folder",
                EXIT_LOCKED,
            ) from None
        yield
    finally:
        os.close(handle)
