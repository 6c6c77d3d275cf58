"""Diagnostics for a terminal: styled pieces, so that the colours are the caller's business."""

import unicodedata
from collections.abc import Iterator, Sequence

from fleet.diagnostics.diagnostic import Diagnostic

Piece = tuple[str, str]
"""A style name (`error`, `warning`, `code`, `dim`, `bold`, `help` or empty) and a text."""

MAX_WIDTH = 120
"""Longer source lines are shown around the place that matters."""


def visible(text: str) -> str:
    """The text with control characters replaced: a hostile file must not drive the terminal."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c).startswith("C") else c for c in text
    )


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a long line around `column`, and the column in that part."""
    line = line.replace("\t", " ")
    if len(line) <= MAX_WIDTH:
        return line, column
    start = max(0, column - 1 - MAX_WIDTH // 3)
    part = line[start : start + MAX_WIDTH]
    before, after = "…" if start else "", "…" if start + MAX_WIDTH < len(line) else ""
    return before + part + after, column - start + len(before)


def diagnostic_pieces(diagnostic: Diagnostic) -> Iterator[Piece]:
    """One diagnostic as rustc and ruff show theirs: message, place, underlined source line, help."""
    span = diagnostic.span
    yield diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]"
    yield "bold", f": {visible(diagnostic.message)}\n"
    gutter = " " * len(str(span.line))
    yield "dim", f"{gutter}--> "
    yield "", f"{visible(span.path)}:{span.line}:{span.column}\n"
    if diagnostic.source_line is not None:
        shown, column = _window(diagnostic.source_line, span.column)
        end = span.end_column if span.end_line == span.line else len(diagnostic.source_line) + 1
        width = max(1, min(end - span.column, MAX_WIDTH - min(column, MAX_WIDTH - 1)))
        yield "dim", f"{gutter} |\n{span.line} | "
        yield "", f"{visible(shown.rstrip())}\n"
        yield "dim", f"{gutter} | "
        yield diagnostic.severity, f"{' ' * (column - 1)}{'^' * width}\n"
    if diagnostic.help:
        yield "dim", f"{gutter} = "
        yield "help", f"help: {visible(diagnostic.help)}\n"
    if len(diagnostic.sites) > 1:
        shown_sites = ", ".join(diagnostic.sites[:5]) + (" and more" if len(diagnostic.sites) > 5 else "")
        yield "dim", f"{gutter} = at {len(diagnostic.sites)} sites: {shown_sites}\n"


def summary(diagnostics: Sequence[Diagnostic], sites: int | None, usable: int, suppressed: int = 0) -> str:
    """`3 sites: 2 errors, 1 warning; 4 suppressed`, and how many could be checked where not all could.

    `sites` is None where what they share can't be used, so that none was looked at.
    """
    errors = sum(d.severity == "error" for d in diagnostics)
    warnings = len(diagnostics) - errors
    words = [
        f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((errors, "error"), (warnings, "warning")) if n
    ]
    checked = "" if usable == sites else f", {usable} of them complete enough to be checked"
    aside = f"; {suppressed} suppressed" if suppressed else ""
    if sites is None:
        return f"no site was looked at: {', '.join(words) or 'no problems found'}{aside}"
    return (
        f"{sites} site{'' if sites == 1 else 's'}{checked}: {', '.join(words) or 'no problems found'}{aside}"
    )
