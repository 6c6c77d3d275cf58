"""Diagnostics as JUnit XML, which build servers show as test results."""

import re
from itertools import groupby
from xml.etree import ElementTree as ET

from fleet.diagnostics.diagnostic import Diagnostic
from fleet.diagnostics.suppress import Report

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't hold, also escaped (its production 2, Char)."""


def junit(report: Report) -> str:
    """An XML document: a suite for each file, in it a case for each finding.

    Errors are failed cases. JUnit knows no warnings: they pass, with their text as output, as the
    command itself does. Suppressed findings are skipped cases. Without findings one case passes,
    because some servers take a file without cases for a failure.
    """
    entries = [(d, "") for d in report.found] + [(s.diagnostic, s.reason) for s in report.suppressed]
    entries.sort(key=lambda entry: entry[0].sort_key)
    root = ET.Element("testsuites", name="fleet validate")
    for path, group in groupby(entries, key=lambda entry: entry[0].span.path):
        suite = ET.SubElement(root, "testsuite", name=_xml(path))
        for diagnostic, reason in group:
            _case(suite, diagnostic, reason)
        _count(suite)
    if not entries:
        suite = ET.SubElement(root, "testsuite", name="fleet")
        ET.SubElement(suite, "testcase", name="no problems found", classname="fleet")
        _count(suite)
    _count(root)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, diagnostic: Diagnostic, reason: str) -> None:
    span = diagnostic.span
    case = ET.SubElement(
        suite, "testcase", name=f"{diagnostic.code} at {span.line}:{span.column}", classname=_xml(span.path),
        file=_xml(span.path), line=str(span.line),
    )  # fmt: skip
    place = f"{span.path}:{span.line}:{span.column}: {diagnostic.severity}[{diagnostic.code}]"
    text = f"{place}: {diagnostic.message}" + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    if reason:
        ET.SubElement(case, "skipped", message=_xml(f"suppressed: {reason}"))
    elif diagnostic.severity == "error":
        failure = ET.SubElement(case, "failure", message=_xml(diagnostic.message), type=diagnostic.code)
        failure.text = _xml(text)
    else:
        ET.SubElement(case, "system-out").text = _xml(text)


def _count(element: ET.Element) -> None:
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
        element.set(name, str(sum(1 for _ in element.iter(tag))))
    element.set("errors", "0")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
