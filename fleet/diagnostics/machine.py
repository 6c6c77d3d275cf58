"""Diagnostics for programs."""

from collections.abc import Sequence
from typing import Any

from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.suppress import Suppressed


def diagnostics_json(
    diagnostics: Sequence[Diagnostic], sites: int, suppressed: Sequence[Suppressed] = ()
) -> dict[str, Any]:
    """A JSON-able document, version 1: every diagnostic with its place, what is suppressed, and totals."""
    return {
        "version": 1,
        "sites": sites,
        "errors": sum(d.severity == "error" for d in diagnostics),
        "warnings": sum(d.severity == "warning" for d in diagnostics),
        "diagnostics": [_diagnostic_json(d) for d in diagnostics],
        "suppressed": [{**_diagnostic_json(s.diagnostic), "reason": s.reason} for s in suppressed],
    }


def _diagnostic_json(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "path": span.path,
        "line": span.line,
        "column": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
        "sites": list(diagnostic.sites),
    }
