"""An organisation's own policies in Rego: read from a folder, compiled once, and asked for each site.

How policies are written is in docs/policies.md; what their comments mean is in
`fleet.app.policies`, the engine in `fleet.adapters.rego_engine`.
"""

import hashlib
import importlib.metadata
import json
import weakref
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.adapters.rego_engine import UNREADABLE, Failure, PolicyError
from fleet.adapters.rego_process import Engine
from fleet.app.policies import PolicyFile, Question, Scope, is_policy, read_policies, site_fields
from fleet.app.policy_answers import FAILED, RUNTIME_CODES, Found, problem, read_answer
from fleet.diagnostics.diagnostic import Diagnostic, FleetError, Span
from fleet.diagnostics.explain import built_in
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule, installed_rules
from fleet.model.site import SiteSpec

EXIT_USAGE = 2
MAX_BYTES = 1_000_000
"""Of one file; a policy is a page or two."""


@dataclass(frozen=True, slots=True)
class PolicyRule(Rule):
    """A rule that a policy declares; `page` is its explanation in markdown."""

    page: str | None = None


def policy_rules(folder: Path) -> tuple[Rule, ...]:
    """A rule for each code that the policies in `folder` declare, and for what goes wrong while they run.

    The files are read and compiled here, once; the sites are evaluated when the rules run, each site once
    however many codes there are. Raises `PolicyError` (POL001 to POL004) with every diagnostic about the
    files, and `FleetError` when there is no policy in `folder` (POL010) or no engine (POL009).
    """
    files = _read(folder)
    pages = built_in()
    reserved = pages.keys() | {rule.code for rule in installed_rules()}
    policies = read_policies(files, reserved)
    engine = Engine(files, policies.questions, policies.wrong)
    evaluation = _Evaluation(engine, policies.questions, policies.site_keys)
    rules: list[Rule] = []
    version = _digest(files)
    for d in policies.declared:
        scope = next(q.scope for q in policies.questions if d.code in q.codes)
        check = _Check(d.code, evaluation)
        site = check.site if scope == "site" else None
        fleet = check.fleet if scope == "fleet" else None
        rules.append(
            PolicyRule(
                d.code,
                d.summary,
                d.source,
                d.severity,
                check_site=site,
                check_fleet=fleet,
                version=version,
                page=d.page,
            )
        )
    scopes = {q.scope for q in policies.questions}
    for code, summary in RUNTIME_CODES.items():
        # A rule about the fleet needs every site at hand: only where a policy asks for it.
        check = _Check(code, evaluation)
        site = check.site if "site" in scopes else None
        fleet = check.fleet if "fleet" in scopes else None
        page = pages[code].page
        rules.append(
            PolicyRule(
                code,
                summary,
                "docs/policies.md",
                check_site=site,
                check_fleet=fleet,
                version=version,
                page=page,
            )
        )
    return tuple(rules)


def policy_digest(folder: Path) -> str:
    """What findings by policies depend on besides the inventory: the files that count, and the engine.

    Raises as `policy_rules` does for files that can't be read; needs no engine.
    """
    return _digest(_read(folder))


def _digest(files: Iterable[PolicyFile]) -> str:
    digest = hashlib.sha256()
    try:
        digest.update(importlib.metadata.version("regopy").encode())
    except importlib.metadata.PackageNotFoundError:
        digest.update(b"none")
    for file in files:
        for part in (file.path.encode(errors="surrogateescape"), file.text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return f"sha256:{digest.hexdigest()}"


def _read(folder: Path) -> tuple[PolicyFile, ...]:
    """The policies below `folder` by path; `*_test.rego` and hidden files are not among them."""
    if not folder.is_dir():
        raise FleetError("POL010", f"{folder} is no folder", "name the folder of the .rego files", EXIT_USAGE)
    root = folder.resolve()
    files, wrong = [], []
    for path in sorted(folder.rglob("*.rego")):
        inside = path.relative_to(folder)
        if not is_policy(inside):
            continue
        shown = _shown(path)
        try:
            if not path.resolve(strict=True).is_relative_to(root):
                raise ValueError("a link that leads out of the folder of policies")
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES // 1000} kB")
            if b"\0" in content:  # the engine is C: it would read no further
                raise ValueError("not a text file")
            files.append(PolicyFile(shown, content.decode("utf-8-sig")))
        except UnicodeDecodeError:
            wrong.append(_unread(shown, "not UTF-8"))
        except OSError as error:
            wrong.append(_unread(shown, f"can't be read: {error.strerror or 'a link in a circle'}"))
        except (ValueError, RuntimeError) as error:
            wrong.append(_unread(shown, str(error)))
    if wrong:
        raise PolicyError(wrong)
    if not files:
        raise FleetError(
            "POL010",
            f"{folder} holds no policies",
            "a policy is a file NAME.rego; NAME_test.rego is a test",
            EXIT_USAGE,
        )
    return tuple(files)


def _unread(shown: str, message: str) -> Diagnostic:
    return Diagnostic(UNREADABLE, "error", message, Span(shown, 1, 1, 1, 2))


def _shown(path: Path) -> str:
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


@dataclass(frozen=True, slots=True)
class _Check:
    """What a rule with one code calls: of everything that is found, what has that code."""

    code: str
    evaluation: "_Evaluation"

    def site(self, site: Site, inventory: Inventory) -> Iterator[Finding]:
        """The findings about a site."""
        return (finding for code, finding in self.evaluation.of_site(site) if code == self.code)

    def fleet(self, inventory: Inventory) -> Iterator[Finding]:
        """The findings about the fleet as a whole."""
        return (finding for code, finding in self.evaluation.of_fleet(inventory) if code == self.code)


class _Evaluation:
    """The findings of all policies; a site is evaluated once, whatever codes are asked for."""

    def __init__(self, engine: Engine, questions: Iterable[Question], fleet_keys: Iterable[str]) -> None:
        self._engine = engine
        self._questions = tuple(questions)
        self._fleet_keys = frozenset(fleet_keys)
        self._site_keys = engine.used_keys  # reading the input is what costs: only what can be looked at
        self._by_site: dict[str, tuple[weakref.ref[SiteSpec], tuple[Found, ...]]] = {}
        self._by_fleet: tuple[weakref.ref[Inventory], tuple[Found, ...]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._engine, self._questions, self._fleet_keys)

    def of_site(self, site: Site) -> tuple[Found, ...]:
        """All findings about a site."""
        known = self._by_site.get(site.name)
        if known is None or known[0]() is not site.spec:
            found = self._evaluate("site", _document(site, self._site_keys), ())
            known = self._by_site[site.name] = weakref.ref(site.spec), found
        return known[1]

    def of_fleet(self, inventory: Inventory) -> tuple[Found, ...]:
        """All findings about the fleet as a whole."""
        known = self._by_fleet
        if known is None or known[0]() is not inventory:
            sites = ",".join(
                f"{json.dumps(site.name)}:{_document(site, self._fleet_keys)}" for site in inventory.sites
            )
            document = f'{{"fleet":{json.dumps(inventory.raw, ensure_ascii=False)},"sites":{{{sites}}}}}'
            found = self._evaluate("fleet", document, {site.name for site in inventory.sites})
            known = self._by_fleet = weakref.ref(inventory), found
        return known[1]

    def _evaluate(self, scope: Scope, document: str, sites: Collection[str]) -> tuple[Found, ...]:
        questions = [question for question in self._questions if question.scope == scope]
        found: list[Found] = []
        try:
            self._engine.give(document)
        except Failure as failure:
            return tuple(_failed(question, failure) for question in questions)
        for question in questions:
            try:
                found += read_answer(question, self._engine.ask(question), sites)
            except Failure as failure:
                found.append(_failed(question, failure))
        return tuple(found)


def _failed(question: Question, failure: Failure) -> Found:
    what = f"it can't be evaluated here: {failure}"
    return problem(FAILED, question, what, "fleet explain POL005 says how to look closer")


def _document(site: Site, keys: Collection[str] | None) -> str:
    """A site as `fleet show -o json` prints it, with all or some of its outermost keys."""
    fields = None if keys is None else {site_fields()[key] for key in keys if key in site_fields()}
    return site.spec.model_dump_json(by_alias=True, exclude_none=True, include=fields)
