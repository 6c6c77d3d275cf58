"""What earlier runs of `fleet validate` found, kept in the workspace: `cache/validate-….jsonl`.

A file is known again by its size, times and inode, as git knows it; where these differ, or the file was
changed too shortly before it was looked at for its times to tell (git's "racily clean" files), by a digest of
its content. What is kept is valid for one `fleet.yaml`, one set of rules and one version of fleet. A cache
that is old, damaged or in the way is ignored, and replaced as a whole: two runs at once do no harm.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fleet.adapters.inventory_files import SiteFileOnDisk
from fleet.adapters.workspace_folder import made_workspace
from fleet.app.check_files import SiteFile, SiteResult
from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.inventory.rule import Fact, Rule, rule_packages
from fleet.inventory.source import SourceFile

Told = tuple[str, Sequence[Fact]]
"""What a site told one rule, behind the rule's code."""

_VERSION = 2
_OURS = (
    "fleet.model",
    "fleet.diagnostics",
    "fleet.catalog",
    "fleet.inventory",
    "fleet.app",
    "fleet.adapters",
)
_LIBRARIES = ("pydantic", "pydantic-core", "pyyaml")
"""Their words and readings are in what is kept."""
_RACY_NS = 2_000_000_000
"""Times of files may be this coarse (FAT: 2 seconds), and a server's clock may be a little off."""


class ValidationCache:
    """The results of one inventory (`Results` of fleet/app/check_files.py), read from and saved to one file.

    Make it before the site files are listed: a file changed after that is not taken for unchanged later.
    """

    def __init__(self, path: Path, key: str, fleet_path: str, now: Callable[[], int] = time.time_ns) -> None:
        """`key` is that of `cache_key`, `fleet_path` as diagnostics name `fleet.yaml`, `now` in ns."""
        self._path, self._key, self._fleet_path = path, key, fleet_path
        self._now = now()
        self._common: list[Told] = []
        self._before, self._lines, self._known = self._load()
        self._kept: dict[str, bytes] = {}
        self._new: dict[str, list[Any]] = {}
        self._stale = False

    def get(self, file: SiteFile) -> SiteResult | None:
        """What is known of the file as it is now; None when it changed or is new."""
        assert isinstance(file, SiteFileOnDisk)
        entry = self._known.get(file.key)
        if entry is None or file.state is None:
            return None
        if list(file.state) != entry[1] or max(file.state[1:3]) + _RACY_NS >= self._before:
            source = file.read()
            if isinstance(source, Diagnostic) or content_digest(source.content) != entry[2]:
                return None
            entry[1] = list(file.state)
            self._kept[file.key] = _line(entry)
            self._stale = True
        else:
            self._kept[file.key] = self._lines[file.key]
        return self._result(entry, file.path)

    def put(self, file: SiteFile, source: SourceFile, result: SiteResult) -> None:
        """Keep what was worked out from `source`."""
        assert isinstance(file, SiteFileOnDisk)
        own = {file.path, self._fleet_path}
        if file.state is None or any(d.span.path not in own for d in (*result.shape, *result.found)):
            return
        shape, found = ([self._plain(d, file.path) for d in some] for some in (result.shape, result.found))
        entry = [
            file.key, list(file.state), content_digest(source.content), result.name, result.profile,
            result.ring, result.suppresses, [], [*result.facts.items()], shape, found,
        ]  # fmt: skip
        self._new[file.key] = entry
        self._stale = True

    def digest(self, file: SiteFileOnDisk) -> str | None:
        """Of what was validated in this run, so that a file that did not change need not be read again; None
        where nothing was kept of it. To be asked before `save`."""
        entry = self._new.get(file.key)
        if entry is None and file.key in self._kept:
            entry = self._known[file.key]
        return str(entry[2]) if entry is not None else None

    def save(self) -> None:
        """Write what is known now, when it is not what the file says; without a word where that can't be."""
        if not self._stale and self._kept.keys() == self._lines.keys():
            return
        self._write_new()
        body = b"\n".join((_line(self._common), *self._kept.values()))
        head = [_VERSION, self._key, self._now, content_digest(body)]
        try:
            made_workspace(self._path.parent.parent)
            self._path.parent.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        except OSError:  # a workspace that can't be written costs time, and nothing else
            return
        try:
            # Not synced to the disk: after a power cut the digest does not fit, and the file is ignored.
            with os.fdopen(handle, "wb") as stream:
                stream.write(_line(head) + b"\n" + body)
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)

    def _load(self) -> tuple[int, dict[str, bytes], dict[str, list[Any]]]:
        """When the entries were looked at, their lines, and they themselves; nothing of what is not valid."""
        try:
            head, _, body = self._path.read_bytes().partition(b"\n")
            version, key, before, digest = json.loads(head)
            if (version, key, digest) != (_VERSION, self._key, content_digest(body)) or not body:
                return 0, {}, {}
            common, *lines = body.split(b"\n")
            entries = json.loads(b"[" + b",".join(lines) + b"]")  # at once: half the time of one by one
            self._common = [(code, [*map(tuple, told)]) for code, told in json.loads(common)]
        except (OSError, ValueError, TypeError, RecursionError):
            return 0, {}, {}
        keys = [entry[0] for entry in entries]
        return int(before), dict(zip(keys, lines, strict=True)), dict(zip(keys, entries, strict=True))

    def _write_new(self) -> None:
        """The lines of what was put; facts that many sites tell stand once, in the first line of all."""
        places = {_line(told): number for number, told in enumerate(self._common)}
        lines = {key: [(told, _line(told)) for told in entry[8]] for key, entry in self._new.items()}
        often = Counter(line for told in lines.values() for _, line in told)
        for key, entry in self._new.items():
            own = []
            for told, line in lines[key]:
                if line not in places and often[line] > 1:
                    places[line] = len(self._common)
                    self._common.append(told)
                if line in places:
                    entry[7].append(places[line])
                else:
                    own.append(told)
            entry[8] = own
            self._kept[key] = _line(entry)
        self._new.clear()

    def _result(self, entry: list[Any], path: str) -> SiteResult:
        _, _, _, name, profile, ring, suppresses, common, own, shape, found = entry
        facts = {code: [*map(tuple, told)] for code, told in own}
        for number in common:
            code, told = self._common[number]
            facts[code] = told
        return SiteResult(
            name,
            profile,
            ring,
            tuple([self._diagnostic(item, path) for item in shape]),
            tuple([self._diagnostic(item, path) for item in found]),
            facts,
            suppresses,
        )

    def _plain(self, d: Diagnostic, path: str) -> list[Any]:
        # Paths are shown from the working folder: the next run may be started in another.
        s = d.span
        place = [s.path != path, s.line, s.column, s.end_line, s.end_column]
        return [d.code, d.severity, d.message, place, d.help, d.source_line, d.sites]

    def _diagnostic(self, item: list[Any], path: str) -> Diagnostic:
        code, severity, message, (in_fleet, *place), help_text, line, sites = item
        span = Span(self._fleet_path if in_fleet else path, *place)
        return Diagnostic(code, severity, message, span, help_text, line, tuple(sites))


def cache_path(workspace: Path, fleet_path: Path) -> Path:
    """The file in the workspace that holds the results for the `fleet.yaml` at `fleet_path`."""
    name = hashlib.sha256(os.fsencode(fleet_path.resolve())).hexdigest()[:16]
    return workspace / "cache" / f"validate-{name}.jsonl"


def cache_key(fleet_file: SourceFile, rules: Sequence[Rule]) -> str | None:
    """Changes with whatever a site's findings depend on beside its own file; None when that can't be told.

    That is `fleet.yaml`, every file of the packages that rules come from (an organisation's own too), each
    rule's `version`, fleet's own code, and the versions of the libraries that read files.
    """
    digest = hashlib.sha256()
    parts = [sys.version, *(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)]
    parts += [f"{rule.code} {rule.severity} {rule.version}" for rule in rules]
    for part in parts:
        digest.update(part.encode() + b"\0")
    digest.update(fleet_file.content)
    for package in (*_OURS, *sorted(rule_packages(rules))):
        files = list(_files_of(package))
        if not files:
            return None
        for path in files:
            try:
                content = Path(path).read_bytes()
            except OSError:
                return None
            digest.update(f"\0{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files_of(package: str) -> Iterator[str]:
    """The files of a package but its pages for people, or the one of a module; none when it has none."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        if spec.origin and Path(spec.origin).is_file():
            yield spec.origin
        return
    for root in spec.submodule_search_locations:
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            yield from (f"{folder}/{name}" for name in sorted(names) if not name.endswith((".md", ".pyc")))


def content_digest(content: bytes) -> str:
    """As the cache knows a file's content by."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _line(entry: object) -> bytes:
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode()
