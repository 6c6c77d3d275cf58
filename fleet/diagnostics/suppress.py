"""Suppressions: `# fleet: ignore[NET003] reason`, at the end of a finding's line or alone above it.

A suppression is a decision, so it carries its reason, and one that decides nothing is reported.
"""

import bisect
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import yaml

from fleet.diagnostics.diagnostic import Diagnostic, Span

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAYBE = re.compile(rb"#[ \t]*fleet:[ \t]*ignore")
_SUPPRESSION = re.compile(r"#[ \t]*fleet:[ \t]*ignore\b(?:\[(?P<codes>[^\]]{0,200})\])?(?P<reason>.*)")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What libyaml counts as a line's end; the loader refuses files with one of the last three."""

_HINTS = 100
"""So many findings name the nearest code; looking for it takes time, and a stranger may write any number."""

EXAMPLE = "# fleet: ignore[CODE] why"


class Source(Protocol):
    """What is asked of a file here (`fleet.inventory.source.SourceFile` is one)."""

    @property
    def path(self) -> str:
        """As diagnostics name it."""

    @property
    def content(self) -> bytes:
        """Its bytes."""

    @property
    def text(self) -> str:
        """Its text."""

    def line(self, number: int) -> str | None:
        """A line that may be shown; None where a secret stands in it."""

    def diagnostic(
        self, code: str, message: str, span: Span, help_text: str | None = None, *, redact: bool = False
    ) -> Diagnostic:
        """An error at `span`."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that a comment in its file sets aside, and the reason that the comment gives."""

    diagnostic: Diagnostic
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and what was found and suppressed; both in the order of the files."""

    found: tuple[Diagnostic, ...]
    suppressed: tuple[Suppressed, ...] = ()


@dataclass(slots=True)
class _Suppression:
    source: Source
    span: Span
    target: int  # the line whose findings it is about
    codes: tuple[str, ...]
    reason: str
    used: set[str] = field(default_factory=set)


def suppress(
    diagnostics: Sequence[Diagnostic],
    sources: Iterable[Source],
    known: Collection[str],
    *,
    complete: bool = True,
) -> Report:
    """`diagnostics` parted by the suppressions in `sources`, with what is wrong with these.

    `known` are the codes that a suppression may name. `complete` says that everything was checked;
    otherwise nothing is called unused. Codes: SUP001 malformed or without a reason (it has no
    effect), SUP002 unused (a warning), SUP003 an unknown code, SUP004 a code that can't be suppressed.
    """
    suppressions: dict[tuple[str, int], list[_Suppression]] = {}
    wrong: list[Diagnostic] = []
    for source in sources:
        if _MAYBE.search(source.content):
            for item in _suppressions(source):
                if (problem := _malformed(item)) is not None:
                    wrong.append(problem)
                else:
                    suppressions.setdefault((item.span.path, item.target), []).append(item)
    if not suppressions and not wrong:
        return Report(tuple(diagnostics))

    found: list[Diagnostic] = []
    suppressed: list[Suppressed] = []
    for diagnostic in diagnostics:
        reason = _reason(diagnostic, suppressions)
        if reason is None:
            found.append(diagnostic)
        else:
            suppressed.append(Suppressed(diagnostic, reason))
    for items in suppressions.values():
        for item in items:
            wrong += _useless(item, known, complete, hints=len(wrong) < _HINTS)
    return Report(tuple(sorted(found + wrong, key=lambda d: d.sort_key)), tuple(suppressed))


def unsuppressible(code: str) -> bool:
    """Whether findings of this code stay whatever a comment says: shape, secrets, rules that failed."""
    return code.startswith(("INV", "SUP", "RUL")) or code == "SEC001"


def _reason(diagnostic: Diagnostic, suppressions: dict[tuple[str, int], list[_Suppression]]) -> str | None:
    if unsuppressible(diagnostic.code):
        return None
    span = diagnostic.span
    for line in sorted({span.line, span.end_line}):
        for item in suppressions.get((span.path, line), ()):
            if diagnostic.code in item.codes:
                item.used.add(diagnostic.code)
                return item.reason
    return None


def _malformed(item: _Suppression) -> Diagnostic | None:
    if not item.codes:
        return item.source.diagnostic(
            "SUP001", "a suppression that names no code", item.span, f"write '{EXAMPLE}'"
        )
    if not item.reason:
        codes = ", ".join(item.codes)
        return item.source.diagnostic(
            "SUP001",
            f"the suppression of {codes} gives no reason",
            item.span,
            f"write '# fleet: ignore[{codes}] why'; until then it has no effect",
        )
    return None


def _useless(item: _Suppression, known: Collection[str], complete: bool, hints: bool) -> Iterator[Diagnostic]:
    for code in item.codes:
        if unsuppressible(code):
            yield item.source.diagnostic(
                "SUP004", f"{code} can't be suppressed", item.span, "mend what it reports"
            )
        elif code not in known:
            near = difflib.get_close_matches(code.upper(), known, 1, 0.6) if hints else []
            help_text = f"did you mean {near[0]!r}?" if near else "fleet explain lists the codes"
            yield item.source.diagnostic("SUP003", f"there is no rule {code!r}", item.span, help_text)
        elif complete and code not in item.used:
            unused = item.source.diagnostic(
                "SUP002", f"nothing to suppress: {code} finds nothing here", item.span, "remove it"
            )
            yield replace(unused, severity="warning")


def _suppressions(source: Source) -> Iterator[_Suppression]:
    """The suppressions in a file's comments, well-formed or not."""
    lines = _LINE_BREAK.split(source.text)
    comments = _comments(source.text, lines)
    # A comment alone on its line is about the next line that has something else. From below, once for all.
    targets: dict[int, int] = {}
    for number in sorted(comments, reverse=True):
        alone = not lines[number - 1][: comments[number]].strip()
        targets[number] = targets.get(number + 1, number + 1) if alone else number
    for number, at in comments.items():
        match = _SUPPRESSION.match(lines[number - 1], at)
        if match is None:
            continue
        reason = match["reason"].strip()
        if reason and source.line(number) is None:
            reason = "…"  # a line that may not be shown is not quoted either
        codes = dict.fromkeys(code.strip() for code in (match["codes"] or "").split(",") if code.strip())
        span = Span(source.path, number, at + 1, number, at + len(match[0].rstrip()) + 1)
        yield _Suppression(source, span, targets[number], tuple(codes), reason)


def _comments(text: str, lines: Sequence[str]) -> dict[int, int]:
    """For each line (from 1) that has a comment, where its `#` stands (from 0)."""
    scalars: list[list[tuple[int, int]]] = [[] for _ in lines]  # per line: from and to of each, in order
    try:
        for token in yaml.scan(text, Loader=_LOADER):
            if type(token) is yaml.ScalarToken:
                start, end = token.start_mark, token.end_mark
                # What follows a block's bar on the bar's own line may be a comment.
                first = start.line + 1 if token.style in ("|", ">") else start.line
                for line in range(first, min(end.line + 1, len(lines))):
                    left = start.column if line == start.line else 0
                    right = end.column if line == end.line else len(lines[line])
                    scalars[line].append((left, right))
    except yaml.YAMLError:  # the loader has said so
        return {}
    comments = {}
    for number, (text, here) in enumerate(zip(lines, scalars, strict=True), 1):
        for match in _COMMENT.finditer(text):
            before = bisect.bisect_right(here, (match.start(), len(text))) - 1
            if before < 0 or match.start() >= here[before][1]:
                comments[number] = match.start()
                break
    return comments
