"""Commands that write an inventory: `schema`, `fmt`, `init`, `site add` and `import csv`."""

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import get_args

from rich.text import Text

from fleet.adapters.oci_layout import write_atomically
from fleet.adapters.rules import rules_for
from fleet.app import init
from fleet.app.import_csv import import_csv
from fleet.app.site_draft import (
    SiteRequest,
    claims,
    draft_site,
    inherited,
    overlaps,
    problem,
    request_claims,
    with_checks,
    wrong_value,
)
from fleet.app.validate import validate
from fleet.cli import exits
from fleet.cli.console import err, out, say, styled
from fleet.diagnostics.diagnostic import Diagnostic, FleetError, has_errors
from fleet.diagnostics.text import diagnostic_pieces, summary
from fleet.inventory.edit import EditError, formatted, new_text
from fleet.inventory.inventory import Inventory
from fleet.inventory.load import load_inventory
from fleet.inventory.schema import Kind, schema, schema_text
from fleet.inventory.source import MAX_BYTES, SourceFile, YamlError


@dataclass(frozen=True)
class Files:
    """The files of an inventory, as they are on disk."""

    folder: Path
    fleet: SourceFile
    sites: Mapping[Path, SourceFile]

    def by_name(self) -> dict[str, Path]:
        """The file of each site, also of one that does not resolve; a file without a name is left out."""
        found: dict[str, Path] = {}
        for path, file in self.sites.items():
            try:
                name = file.load()[0].get("name")
            except YamlError:
                continue
            if isinstance(name, str):
                found.setdefault(name, path)
        return found

    def place_of(self, name: str) -> Path:
        """Where the file of a new site goes."""
        return self.folder / "sites" / f"{name}.yaml"

    def checked(self, texts: Mapping[Path, str]) -> tuple[Diagnostic, ...]:
        """Everything found in the fleet as it would be with these texts."""
        sites = {
            **self.sites,
            **{path: SourceFile(path.as_posix(), text.encode()) for path, text in texts.items()},
        }
        inventory, shape = load_inventory(self.fleet, list(sites.values()))
        return validate(inventory, shape, rules_for(self.folder))


def run_schema(kind: str | None, folder: Path | None) -> int:
    """Exit code of `fleet schema`."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    chosen = [known for known in kinds if kind in (None, known)]
    if not chosen or (kind is None and folder is None):
        message = "name a schema, or --out for both" if kind is None else f"there is no schema {kind!r}"
        raise FleetError("ENV020", message, f"one of {', '.join(kinds)}", exits.USAGE)
    for known in chosen:
        if folder is None:
            out().print(schema_text(known), end="", markup=False)
        else:
            path = folder / f"{known}.schema.json"
            write_atomically(path, schema_text(known).encode())
            say(f"wrote {path}", "ok")
    return exits.OK


# --- fmt


def run_fmt(folder: Path, *, check: bool, diff: bool) -> int:
    """Exit code of `fleet fmt`."""
    files = _files(folder)
    changed: dict[Path, str] = {}
    refused = 0
    schemas = {kind: schema(kind) for kind in get_args(Kind)}
    everything = [(files.folder / "fleet.yaml", files.fleet, schemas["fleet"])]
    everything += [(path, file, schemas["site"]) for path, file in files.sites.items()]
    for path, file, known in everything:
        try:
            text = formatted(file, known)
        except YamlError as error:
            _show([error.diagnostic])
            refused += 1
            continue
        except EditError as error:
            _show([Diagnostic("EDT001", "error", f"can't be formatted: {error}", file.start)])
            refused += 1
            continue
        if text.encode() == file.content:
            continue
        changed[path] = text
        if diff:
            lines = difflib.unified_diff(
                file.text.splitlines(keepends=True),
                text.splitlines(keepends=True),
                file.path,
                f"{file.path} (formatted)",
            )
            out().print("".join(lines), end="", markup=False)
        elif check:
            say(f"{file.path} would change")
        else:
            write_atomically(path, text.encode(), path.stat().st_mode & 0o777)
            say(f"{file.path} formatted")
    words = "would change" if check or diff else "formatted"
    say(f"{len(changed)} of {len(everything)} files {words}", "ok" if not changed or not check else "error")
    if refused:
        say(f"{refused} left alone", "error")
    return exits.VALIDATION if refused or (check and changed) else exits.OK


# --- init


def run_init(folder: Path, given: Mapping[str, str | None], *, yes: bool) -> int:
    """Exit code of `fleet init`; `given` are the answers by the keys of `init.QUESTIONS`."""
    there = next((path for path in (folder / "fleet.yaml", folder / "sites") if path.exists()), None)
    if there is not None:
        help_text = "name another folder, or add a site with `fleet site add`"
        raise FleetError("NEW001", f"{there} is there already", help_text, exits.USAGE)
    answers = init.answers_from(given)
    if not yes:
        answers = _asked(answers)
    texts = init.first_fleet(answers)
    write({folder / name: text for name, text in texts.items()})
    found = _files(folder).checked({})
    # What is marked is told by number here, and each with its line by `fleet validate`.
    _show([diagnostic for diagnostic in found if diagnostic.code not in init.TO_REPLACE])
    say(f"a fleet of one site is in {folder}", "ok")
    say("next:", "bold")
    for number, step in enumerate(init.next_steps(texts, folder.as_posix()), 1):
        say(f"  {number}. {step}")
    return exits.VALIDATION if has_errors(found) else exits.OK


def in_terminal() -> bool:
    """Whether there is somebody to ask."""
    return err().is_terminal and sys.stdin.isatty()


def _asked(answers: dict[str, str]) -> dict[str, str]:
    """The answers with those that were not given asked for; Enter takes a default, or its placeholder."""
    missing = [question for question in init.QUESTIONS if question.key not in answers]
    if missing and not in_terminal():
        flags = " ".join(f"--{question.key} …" for question in missing)
        raise FleetError("NEW002", "nobody to ask here", f"{flags}, or --yes for defaults", exits.USAGE)
    for question in missing:
        while True:
            shown = "later" if question.hint else question.default
            try:
                answer = err().input(Text(f"{question.text} [{shown}]: ")).strip()
            except EOFError:
                raise FleetError("NEW002", "the answers ended", "nothing was written", exits.USAGE) from None
            wrong = init.wrong_answer(question, answer) if answer else None
            if wrong is None:
                break
            say(f"{wrong[0]}{f'; {wrong[1]}' if wrong[1] else ''}", "error")
        if answer or not question.hint:
            answers[question.key] = answer or question.default
    return answers


# --- site add


def run_site_add(
    folder: Path,
    name: str,
    ring: str,
    profile: str | None,
    management: str,
    kubernetes: str,
    nodes: Sequence[str],
    dns: Sequence[str],
    labels: Sequence[str],
    *,
    dry_run: bool,
) -> int:
    """Exit code of `fleet site add`."""
    files, inventory = usable(folder)
    path = files.place_of(name)
    if name in files.by_name() or path.exists():
        message = f"the site {name!r} is there already, in {files.by_name().get(name, path)}"
        raise problem(message, "name another", "NEW003")
    request = SiteRequest(
        name,
        ring,
        profile,
        IPv4Network(_field("--management", management, "azureLocal", "management", "cidr")),
        IPv4Network(_field("--kubernetes", kubernetes, "kubernetes", "network", "cidr")),
        [
            (key, IPv4Address(_address("--node", value)))
            for key, value in _pairs("--node", nodes, "n1=10.0.0.11")
        ],
        [IPv4Address(_address("--dns", address)) for address in dns],
        dict(_pairs("--label", labels, "country=at")),
    )
    below = inherited(inventory.raw, ring, profile, name)
    for pair in overlaps([*claims(inventory), *request_claims(request, below)]):
        new = next((claim for claim in pair if claim.site == name), None)
        if new is not None:
            old = pair[0] if new is pair[1] else pair[1]
            message = f"{new.what} {new.network} overlaps {old.what} {old.network}"
            raise problem(message, "name another network", "NEW004")
    draft = draft_site(request, below)
    text = with_checks(new_text(draft.values, schema("site")), draft.assumed)
    if dry_run:
        out().print(text, end="", markup=False)
    else:
        write({path: text})
        say(f"wrote {path}", "ok")
    for phrase in draft.assumed:
        say(f"  check that {phrase}", "warning")
    return verdict(files.checked({path: text}), len(files.sites) + 1)


def _field(option: str, value: str, *path: str) -> str:
    if wrong := wrong_value(path, value):
        raise problem(f"{option}: {wrong[0]}", wrong[1])
    return value


def _address(option: str, value: str) -> str:
    return _field(option, value, "azureLocal", "infraPool", "start")


def _pairs(option: str, texts: Sequence[str], example: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        key, sign, value = text.partition("=")
        if not (key and sign and value):
            raise problem(f"{option} {text!r} is not NAME=VALUE", f"such as {option} {example}")
        yield key, value


# --- import csv


def run_import_csv(folder: Path, table: Path, *, update: bool, dry_run: bool) -> int:
    """Exit code of `fleet import csv`."""
    files, inventory = usable(folder)
    places = files.by_name()
    existing = {name: files.sites[path] for name, path in places.items()}
    result = import_csv(table.as_posix(), _bytes(table), inventory, existing, update=update)
    if result.found:
        _show(result.found)
        say("nothing was written", "error")
        return exits.VALIDATION
    texts = {files.place_of(name): text for name, text in result.created.items()}
    taken = [path for path in texts if path in files.sites]
    if taken:
        raise problem(
            f"{taken[0]} is there already, but gives no site {taken[0].stem!r}", "mend or rename it", "NEW003"
        )
    texts |= {places[name]: text for name, text in result.updated.items()}
    if not dry_run:
        write(texts)
    for words, names in (("created", result.created), ("updated", result.updated)):
        for name in sorted(names):
            say(f"{places.get(name) or files.place_of(name)} {'would be ' if dry_run else ''}{words}")
    counts = (
        f"{len(result.created)} created, {len(result.updated)} updated, {len(result.unchanged)} unchanged"
    )
    say(counts + (" (dry run: nothing was written)" if dry_run else ""), "ok")
    return verdict(files.checked(texts), len(files.sites) + len(result.created))


# --- files


def _files(folder: Path) -> Files:
    """Raises `FleetError` (ENV001) when there is no fleet in the folder."""
    folder = folder.parent if folder.is_file() else folder
    path = folder / "fleet.yaml"
    if not path.exists():
        help_text = "name the folder that holds it with -i, or begin with `fleet init`"
        raise FleetError("ENV001", f"there is no fleet.yaml at {path}", help_text, exits.USAGE)
    sites = sorted(p for p in (folder / "sites").glob("**/*.y*ml") if p.suffix in (".yaml", ".yml"))
    return Files(folder, _source(path), {site: _source(site) for site in sites})


def _source(path: Path) -> SourceFile:
    return SourceFile(path.as_posix(), _bytes(path))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{path} can't be read: {error.strerror}"
        raise FleetError("ENV021", message, "check the path and its permissions", exits.USAGE) from None


def usable(folder: Path) -> tuple[Files, Inventory]:
    """The fleet; its sites may have errors. Raises `FleetError` (INV100) when `fleet.yaml` itself has one."""
    files = _files(folder)
    inventory, found = load_inventory(files.fleet, list(files.sites.values()))
    wrong = [d for d in found if d.severity == "error" and d.span.path == files.fleet.path and not d.sites]
    if inventory is None or wrong:
        _show(wrong or found)
        raise FleetError("INV100", "fleet.yaml has errors", "mend them first", exits.VALIDATION)
    return files, inventory


def write(texts: Mapping[Path, str]) -> None:
    """Write all the files, in their order, or none: what was written before a failure is taken back."""
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    folders = {path.parent for path in texts if path.parent.exists()}
    done: list[Path] = []
    try:
        for path, text in texts.items():
            write_atomically(path, text.encode(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
            done.append(path)
    except BaseException as error:
        for path in done:
            content = before[path]
            if content is None:
                path.unlink()
            else:
                write_atomically(path, content)
        for parent in {path.parent for path in texts} - folders:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(error, OSError):
            message = f"can't be written: {error.strerror}: {error.filename}"
            raise FleetError("ENV021", message, "nothing was written", exits.USAGE) from None
        raise


def _show(found: Sequence[Diagnostic]) -> None:
    for diagnostic in found:
        err().print(styled(diagnostic_pieces(diagnostic)))


def verdict(found: Sequence[Diagnostic], sites: int) -> int:
    """Say what is missing in the fleet; the exit code."""
    _show(found)
    say(summary(found, sites, sites), "error" if has_errors(found) else "ok")
    return exits.VALIDATION if has_errors(found) else exits.OK
