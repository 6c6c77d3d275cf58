"""Diagnostics for programs."""

from collections.abc import Sequence
from typing import Any

from fleet.diagnostics.diagnostic import Diagnostic


def diagnostics_json(diagnostics: Sequence[Diagnostic], sites: int) -> dict[str, Any]:
    """A JSON-able document, version 1: every diagnostic with its place, and totals."""
    return {
        "version": 1,
        "sites": sites,
        "errors": sum(d.severity == "error" for d in diagnostics),
        "warnings": sum(d.severity == "warning" for d in diagnostics),
        "diagnostics": [
            {
                "code": d.code,
                "severity": d.severity,
                "message": d.message,
                "help": d.help,
                "path": d.span.path,
                "line": d.span.line,
                "column": d.span.column,
                "endLine": d.span.end_line,
                "endColumn": d.span.end_column,
                "sites": list(d.sites),
            }
            for d in diagnostics
        ],
    }
