"""Diagnostics as GitLab's code quality report, which a merge request shows on its lines.

The fields are those that GitLab's documentation of `artifacts:reports:codequality` asks for: description,
check_name, fingerprint, location.path, location.lines.begin, severity.
"""

import json

from fleet.diagnostics.sarif import fingerprints
from fleet.diagnostics.suppress import Report

SEVERITIES = {"error": "major", "warning": "minor"}


def code_quality(report: Report) -> str:
    """The report, a JSON list; what is suppressed is not in it."""
    entries = [
        {
            "description": d.message + (f" (help: {d.help})" if d.help else ""),
            "check_name": d.code,
            "fingerprint": fingerprint,
            "severity": SEVERITIES.get(d.severity, "info"),
            "location": {"path": d.span.path, "lines": {"begin": d.span.line}},
        }
        for d, fingerprint in zip(report.found, fingerprints(report.found), strict=True)
    ]
    return json.dumps(entries, indent=1) + "\n"
