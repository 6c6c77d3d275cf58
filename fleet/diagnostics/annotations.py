"""Diagnostics as the log commands by which build services put remarks on the lines of a change.

A command is one line. A message may hold what a user or a file says, so everything that could end a
property, the command or the line is escaped as the services' own libraries escape it.
"""

from collections.abc import Iterable, Iterator

from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.text import visible


def github(diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """A workflow command of GitHub Actions for each diagnostic.

    Escapes: actions/toolkit, packages/core/src/command.ts (escapeData, escapeProperty). A column is
    only understood when the remark is on one line.
    """
    for d in diagnostics:
        span = d.span
        properties = [("file", span.path), ("line", str(span.line)), ("endLine", str(span.end_line))]
        if span.line == span.end_line:
            properties += [("col", str(span.column)), ("endColumn", str(span.end_column))]
        properties.append(("title", f"fleet ({d.code})"))
        written = ",".join(
            f"{key}={_escape(value, {**_GITHUB, ':': '%3A', ',': '%2C'})}" for key, value in properties
        )
        yield f"::{d.severity} {written}::{_escape(_text(d), _GITHUB)}"


def azure(diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """A logging command of Azure Pipelines for each diagnostic.

    Escapes: microsoft/azure-pipelines-task-lib, node/taskcommand.ts (escape, escapeData).
    """
    for d in diagnostics:
        properties = {
            "type": d.severity,
            "sourcepath": d.span.path,
            "linenumber": str(d.span.line),
            "columnnumber": str(d.span.column),
            "code": d.code,
        }
        written = "".join(
            f"{key}={_escape(value, {**_AZURE, ']': '%5D', ';': '%3B'})};"
            for key, value in properties.items()
        )
        yield f"##vso[task.logissue {written}]{_escape(_text(d), _AZURE)}"


_GITHUB = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_AZURE = {"%": "%AZP25", "\r": "%0D", "\n": "%0A"}


def _text(diagnostic: Diagnostic) -> str:
    return diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")


def _escape(text: str, escapes: dict[str, str]) -> str:
    """Control characters other than the escaped ones are shown as such: a log may be a terminal."""
    return "".join(escapes.get(character) or visible(character) for character in text)
