"""Diagnostics as SARIF 2.1.0, which code scanning services read.

"§" is a section of the OASIS standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0
Plus Errata 01".
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fleet.diagnostics.diagnostic import Diagnostic, Span
from fleet.diagnostics.explain import Explanation
from fleet.diagnostics.suppress import Report, Suppressed

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(report: Report, known: Mapping[str, Explanation], version: str) -> dict[str, Any]:
    """A JSON-able SARIF log with one run of `fleet` in `version`, suppressed findings among the others."""
    entries: list[tuple[Diagnostic, Suppressed | None]] = [(d, None) for d in report.found]
    entries += [(s.diagnostic, s) for s in report.suppressed]
    entries.sort(key=lambda entry: entry[0].sort_key)
    findings = [diagnostic for diagnostic, _ in entries]
    codes = sorted({d.code for d in findings})
    severities = {d.code: d.severity for d in findings}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "fleet",
                        "version": version,
                        "rules": [_rule(code, severities[code], known.get(code)) for code in codes],
                    }
                },
                "columnKind": "utf16CodeUnits",
                "results": [
                    _result(diagnostic, suppressed, codes.index(diagnostic.code), fingerprint)
                    for (diagnostic, suppressed), fingerprint in zip(
                        entries, fingerprints(findings), strict=True
                    )
                ],
            }
        ],
    }


def _rule(code: str, severity: str, explanation: Explanation | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code, "defaultConfiguration": {"level": severity}}
    if explanation is not None:
        page = explanation.page or explanation.summary
        rule["shortDescription"] = {"text": explanation.summary}
        rule["help"] = {"text": page, "markdown": page}
    return rule


def _result(
    diagnostic: Diagnostic, suppressed: Suppressed | None, rule_index: int, fingerprint: str
) -> dict[str, Any]:
    text = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule_index,
        "level": diagnostic.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(diagnostic)}],
        "partialFingerprints": {"fleetFinding/v1": fingerprint},
        # §3.27.23: empty says "not suppressed", absent would say "unknown".
        "suppressions": [],
    }
    if diagnostic.sites:
        result["properties"] = {"sites": list(diagnostic.sites)}
    if suppressed is not None:
        result["suppressions"] = [
            {"kind": "inSource", "status": "accepted", "justification": suppressed.reason}
        ]
    return result


def _location(diagnostic: Diagnostic) -> dict[str, Any]:
    location: dict[str, Any] = {
        "artifactLocation": artifact(diagnostic.span.path),
        "region": _region(diagnostic.span, diagnostic.source_line),
    }
    if diagnostic.source_line is not None and diagnostic.span.end_line == diagnostic.span.line:
        location["contextRegion"] = {
            "startLine": diagnostic.span.line,
            "snippet": {"text": diagnostic.source_line},
        }
    return location


def artifact(path: str) -> dict[str, str]:
    """Where a file is (§3.4): below the sources' root by a relative URI, elsewhere by a file URI."""
    uri = quote(path, errors="surrogateescape")  # a file's name need not be UTF-8
    if path.startswith("/"):
        return {"uri": "file://" + uri}
    if ".." in path.split("/"):  # outside the root, so that the root does not lead to it
        return {"uri": uri}
    return {"uri": uri, "uriBaseId": "%SRCROOT%"}


def _region(span: Span, line: str | None) -> dict[str, int]:
    """§3.30, with columns in UTF-16 code units; lines alone where the text to count in is not shown."""
    region = {"startLine": span.line}
    if span.end_line != span.line:
        region["endLine"] = span.end_line
    if line is None or span.column > len(line) + 1:
        return region
    region["startColumn"] = _utf16(line[: span.column - 1]) + 1
    if span.end_line == span.line:
        region["endColumn"] = _utf16(line[: span.end_column - 1]) + 1
    return region


def _utf16(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def fingerprints(findings: Sequence[Diagnostic]) -> list[str]:
    """What stays the same when lines move: code, file and message, and which of several alike it is."""
    seen: Counter[tuple[str, str, str]] = Counter()
    result = []
    for d in findings:
        identity = (d.code, d.span.path, d.message)
        seen[identity] += 1
        text = "\0".join((*identity, str(seen[identity])))
        result.append(hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32])
    return result
