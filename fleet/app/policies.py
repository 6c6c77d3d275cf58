"""What an organisation's Rego policies declare; docs/policies.md says it to their authors.

The convention is the field's own: `deny` and `warn` sets as conftest and Gatekeeper have them, and OPA's
metadata annotations (openpolicyagent.org/docs/policy-language, "Annotations") to say each rule's code and
title where it is written. Everything here is a pure function of text; `fleet.adapters.rego` reads
the files, and `fleet.app.policy_answers` says what the engine's answers mean.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Any, Literal

import yaml

from fleet.diagnostics.diagnostic import Diagnostic, Severity, Span
from fleet.diagnostics.secret_shapes import secret_shape

Kind = Literal["deny", "warn"]
Scope = Literal["site", "fleet"]

MAX_TEXT = 500
"""Longer titles, messages and help texts are cut: each is one phrase."""

NOT_EVALUATED, UNDECLARED = "POL002", "POL003"

ALWAYS_GIVEN = frozenset({"name", "ring", "environment", "topology", "labels"})
"""What a policy about the fleet gets of each site without asking: giving the engine all of it costs 6 ms of
processor time and 0.5 MB a site (measured with the example's sites)."""


@cache
def site_fields() -> Mapping[str, str]:
    """The outermost keys of a site, as YAML has them, and the model's names for them."""
    from fleet.model.site import SiteSpec  # here, for the engine's process needs no model

    return {field.alias or name: name for name, field in SiteSpec.model_fields.items()}


@cache
def fleet_keys() -> frozenset[str]:
    """The outermost keys of `fleet.yaml`."""
    from fleet.model.fleet import FleetFile

    return frozenset(field.alias or name for name, field in FleetFile.model_fields.items())


_CODE = re.compile(r"[A-Z][A-Z0-9]{1,11}[0-9]{3}")
_PACKAGE = re.compile(r"\s*package\s+([A-Za-z_][\w.]*)\s*(?:#.*)?")
_HEAD = re.compile(r"[ \t]*(deny|warn)[ \t]+contains\b")
_OTHER_HEAD = re.compile(r"(?:default[ \t]+)?(deny|warn|violation|(?:deny|warn)_\w+)\b(?![ \t]+contains\b)")
_FOREIGN_HEAD = re.compile(r"(violation|(?:deny|warn)_\w+)[ \t]+contains\b")
_METADATA = re.compile(r"#[ \t]*METADATA[ \t]*")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A `.rego` file; `path` is as diagnostics name it."""

    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines, numbered as the engine numbers them: by line feeds alone."""
        return [line.removesuffix("\r") for line in self.text.split("\n")]

    def diagnostic(
        self, code: str, message: str, line: int, help_text: str | None = None, column: int = 1
    ) -> Diagnostic:
        """An error at a line and column (from 1), shown to the line's end."""
        line = min(max(line, 1), len(self.lines))
        shown = self.lines[line - 1]
        column = min(max(column, 1), len(shown) + 1)
        span = Span(self.path, line, column, line, max(len(shown.rstrip()) + 1, column + 1))
        return Diagnostic(code, "error", message, span, help_text, None if secret_shape(shown) else shown)


@dataclass(frozen=True, slots=True)
class Declared:
    """A code that a METADATA block above a `deny` or `warn` declares."""

    code: str
    summary: str
    source: str
    page: str
    """Markdown, as `fleet explain` prints it."""
    package: str
    kind: Kind
    file: PolicyFile
    line: int

    @property
    def severity(self) -> Severity:
        """`deny` is an error, `warn` a warning."""
        return "error" if self.kind == "deny" else "warning"


@dataclass(frozen=True, slots=True)
class Question:
    """One set to ask the engine for, and the codes that may come back."""

    package: str
    kind: Kind
    codes: tuple[str, ...]

    @property
    def scope(self) -> Scope:
        """Whether it is asked for each site, or once for the fleet."""
        scope = _scope(self.package)
        assert scope is not None
        return scope

    @property
    def entrypoint(self) -> str:
        """As the engine names it: `fleet/site/deny`."""
        return f"{self.package.replace('.', '/')}/{self.kind}"

    @property
    def name(self) -> str:
        """As a policy's author names it: `data.fleet.site.deny`."""
        return f"data.{self.package}.{self.kind}"


@dataclass(frozen=True, slots=True)
class Policies:
    """What files of policies say of themselves. Anything `wrong` (POL001 to POL003) makes them unusable."""

    declared: tuple[Declared, ...]
    questions: tuple[Question, ...]
    site_keys: frozenset[str]
    """What policies about the fleet get of each site."""
    wrong: tuple[Diagnostic, ...]


def _scope(package: str) -> Scope | None:
    if package == "fleet.site" or package.startswith("fleet.site."):
        return "site"
    if package == "fleet.fleet" or package.startswith("fleet.fleet."):
        return "fleet"
    return None


def is_policy(inside: PurePath) -> bool:
    """Whether a file is evaluated, by its path in the folder of policies: no `*_test.rego`, none hidden."""
    name = inside.name
    hidden = any(part.startswith(".") for part in inside.parts)
    return name.endswith(".rego") and not name.endswith("_test.rego") and not hidden


def read_policies(files: Sequence[PolicyFile], reserved: Collection[str]) -> Policies:
    """What the files declare, and what to ask for.

    `reserved` are the codes that exist already; a policy may use neither them nor their prefixes.
    """
    prefixes = {code.rstrip("0123456789") for code in reserved} | {"POL"}
    declared: dict[str, Declared] = {}
    heads: dict[tuple[str, Kind], tuple[PolicyFile, int]] = {}
    helpers: dict[str, PolicyFile] = {}
    found: list[Diagnostic] = []
    site_keys = set(ALWAYS_GIVEN)
    for file in files:
        package, line = _package(file)
        if package is None:
            found.append(file.diagnostic("POL001", "the file names no package", 1, "package fleet.site.NAME"))
            continue
        wrong = list(_wrong_heads(file, package, line))
        found += wrong
        if wrong or _scope(package) is None:
            continue
        rules, above_package = _rules(file)
        if above_package is not None and _scope(package) == "fleet":
            asked = _asked(file, *above_package)
            found += [asked] if isinstance(asked, Diagnostic) else []
            site_keys |= asked if isinstance(asked, frozenset) else frozenset()
        if not rules:
            helpers.setdefault(package, file)
        for kind, number, block in rules:
            heads.setdefault((package, kind), (file, number))
            if block is None:
                continue
            at = block[1]
            made = _declared(file, package, kind, block, prefixes)
            if isinstance(made, Diagnostic):
                found.append(made)
            elif made is not None and (first := declared.get(made.code)) is not None:
                where = f"{first.file.path}:{first.line}"
                found.append(
                    file.diagnostic(
                        UNDECLARED, f"{made.code} is declared twice; first at {where}", at,
                        "declare a code once; other rules of the same set may give it too",
                    )
                )  # fmt: skip
            elif made is not None:
                declared[made.code] = made
    for package, file in helpers.items():
        if not any(package == used for used, _ in heads):
            found.append(
                file.diagnostic(
                    NOT_EVALUATED, f"package {package} has no deny and no warn, so it checks nothing", 1,
                    "deny contains {…} if {…}; what other policies import is a package outside of fleet",
                )
            )  # fmt: skip
    questions = []
    for (package, kind), (file, number) in sorted(heads.items()):
        codes = tuple(sorted(d.code for d in declared.values() if (d.package, d.kind) == (package, kind)))
        questions.append(Question(package, kind, codes))
        if not codes and not found:
            found.append(
                file.diagnostic(
                    UNDECLARED, f"{kind} of package {package} declares no code", number,
                    "a comment block above it: # METADATA, # title: what holds, # custom: {code: ORG001}",
                )
            )  # fmt: skip
    policies = tuple(declared[code] for code in sorted(declared))
    return Policies(policies, tuple(questions), frozenset(site_keys), tuple(found))


def _package(file: PolicyFile) -> tuple[str | None, int]:
    """The file's package and its line: the first statement of a module."""
    for number, line in enumerate(file.lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            match = _PACKAGE.fullmatch(line)
            return (match[1] if match else None), number
    return None, 1


def _wrong_heads(file: PolicyFile, package: str, package_line: int) -> Iterator[Diagnostic]:
    """Rules that look like policies and would never be asked for: a check that is silently off."""
    scope = _scope(package)
    if scope is None and (package == "fleet" or package.startswith("fleet.")):
        near = difflib.get_close_matches(package, ("fleet.site", "fleet.fleet"), 1, 0.6)
        yield file.diagnostic(
            NOT_EVALUATED, f"package {package} is not evaluated", package_line,
            f"did you mean {near[0]}?" if near else "fleet.site, fleet.fleet, or a package below them",
        )  # fmt: skip
        return
    for number, line in enumerate(file.lines, 1):
        other = _FOREIGN_HEAD.match(line) or _OTHER_HEAD.match(line)
        # Outside of fleet only libraries are meant to stand: what has a head of a policy is misplaced there,
        # such as the `package main` with `deny[msg]` that conftest evaluates.
        if scope is None and (head := _HEAD.match(line) or other):
            yield file.diagnostic(
                NOT_EVALUATED, f"{head[1]} of package {package} is not evaluated", number,
                "package fleet.site (each site) or fleet.fleet (all of them), or a package below them",
            )  # fmt: skip
            return
        if scope is not None and other:
            yield file.diagnostic(
                NOT_EVALUATED, f"a rule {other[1]} of this form is not evaluated", number,
                "deny contains {…} if {…}, or warn contains {…} if {…}",
            )  # fmt: skip


Block = tuple[str, int]
"""The YAML of a METADATA block, and the block's line."""


def _rules(file: PolicyFile) -> tuple[list[tuple[Kind, int, Block | None]], Block | None]:
    """Each `deny` and `warn`, its line and the METADATA block above it; and the block above the package."""
    rules: list[tuple[Kind, int, Block | None]] = []
    above_package: Block | None = None
    block: list[str] | None = None
    at = 0
    in_block = False
    for number, line in enumerate(file.lines, 1):
        if _METADATA.fullmatch(line):
            block, at, in_block = [], number, True
        elif in_block and line.startswith("#"):
            assert block is not None
            block.append(line[1:])
        elif line.strip() and not line.lstrip().startswith("#"):
            whole = ("\n".join(block), at) if block is not None else None
            if head := _HEAD.match(line):
                rules.append(("deny" if head[1] == "deny" else "warn", number, whole))
            elif _PACKAGE.fullmatch(line):
                above_package = whole
            block, in_block = None, False
        else:
            in_block = False
    return rules, above_package


def _custom(file: PolicyFile, block: Block) -> tuple[Mapping[str, Any], Mapping[str, Any]] | Diagnostic:
    """A METADATA block as a mapping, and what stands in it under `custom`: OPA's place for one's own."""
    annotation, line = block
    try:
        data = yaml.safe_load(annotation)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none; depth
        mark = getattr(error, "problem_mark", None)
        at = line + 1 + (mark.line if mark is not None else 0)
        return file.diagnostic(UNDECLARED, "the METADATA block is not YAML", at)
    data = data if isinstance(data, Mapping) else {}
    custom = data.get("custom")
    return data, custom if isinstance(custom, Mapping) else {}


def _asked(file: PolicyFile, annotation: str, line: int) -> frozenset[str] | Diagnostic:
    """What a package about the fleet asks to be given of each site."""
    read = _custom(file, (annotation, line))
    if isinstance(read, Diagnostic):
        return read
    asked = read[1].get("sites", [])
    if not isinstance(asked, list) or not all(isinstance(key, str) for key in asked):
        return file.diagnostic(UNDECLARED, "custom.sites is no list of keys", line, "sites: [azure, gpu]")
    for key in asked:
        if key not in site_fields():
            near = difflib.get_close_matches(key, site_fields(), 1, 0.6)
            help_text = f"did you mean {near[0]!r}?" if near else "docs/inventory.md has the keys of a site"
            return file.diagnostic(UNDECLARED, f"custom.sites: a site has no {key!r}", line, help_text)
    return frozenset(asked)


def _declared(
    file: PolicyFile, package: str, kind: Kind, block: Block, prefixes: Collection[str]
) -> Declared | Diagnostic | None:
    """The code that a METADATA block declares; None for a block that is about something else."""
    read = _custom(file, block)
    if isinstance(read, Diagnostic):
        return read
    data, custom = read
    line = block[1]
    if "code" not in custom:
        return None
    code, title = custom["code"], data.get("title")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return file.diagnostic(
            UNDECLARED, f"{code!r} is no code", line, "capital letters and three digits, such as ORG001"
        )
    if code.rstrip("0123456789") in prefixes:
        return file.diagnostic(
            UNDECLARED, f"{code} begins as fleet's own codes do", line, "choose another prefix, such as ORG"
        )
    if not isinstance(title, str) or not title.strip():
        return file.diagnostic(
            UNDECLARED, f"{code} has no title", line, "# title: what holds where the policy is kept"
        )
    description = str(data.get("description") or "").strip()
    related = data.get("related_resources")
    references = [_reference(item) for item in related] if isinstance(related, list) else []
    title = phrase(title)
    page = f"# {code}: {title}\n" + (f"\n{description}\n" if description else "")
    if references:
        page += "\n" + "".join(f"- {reference}\n" for reference in references)
    source = ", ".join(references) or file.path
    return Declared(code, title, source, page, package, kind, file, line)


def _reference(item: Any) -> str:
    """A related resource as OPA has it: a URL, or `{ref: URL, description: …}`."""
    return str(item.get("ref", "")) if isinstance(item, Mapping) else str(item)


def phrase(text: str) -> str:
    """A text on one line, and not longer than one can read."""
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
