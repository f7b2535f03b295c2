"""JSON, GitHub, GitLab and JUnit output."""

from __future__ import annotations

import hashlib
import os
import xml.etree.ElementTree as ET
from dataclasses import asdict
from typing import Any

from bnlint.findings import Finding, Location, Report, Severity
from bnlint.reporting import escapes
from bnlint.reporting.escapes import printable
from bnlint.reporting.replacements import Repairs
from bnlint.version import rule_page


def tool_path(path: str) -> str:
    """A path as services match it with their own: from the current folder, with slashes, no "./".

    A path outside the current folder stays absolute.
    """
    here = os.path.abspath(path)
    inside = here.startswith(os.getcwd() + os.sep)
    return (os.path.relpath(here) if inside else os.path.normpath(path)).replace(os.sep, "/")


def in_cell(location: Location) -> str:
    """Where in a notebook a place is, for formats that only know lines of the file; else ""."""
    return f"cell {location.cell}, line {location.line}: " if location.cell else ""


def location_record(location: Location) -> dict[str, Any]:
    """A Location as JSON: path, line, column, end_line, end_column, and cell and node if set."""
    record: dict[str, Any] = {
        "path": location.path,
        "line": location.line,
        "column": location.column,
        "end_line": location.end_line,
        "end_column": location.end_column,
    }
    if location.cell:
        record["cell"] = location.cell
    if location.node:
        record["node"] = location.node
    return record


def fingerprint(finding: Finding, line: str = "", repeat: int = 0) -> str:
    """Identity of a finding that survives shifted lines: code, path, node and line text."""
    place = finding.location
    key = "\0".join([finding.code, tool_path(place.path), place.node, line.strip(), str(repeat)])
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def to_json(report: Report, repairs: Repairs) -> str:
    """One object: version 1, findings, errors, files, suppressed, left, checked, not_understood.

    `checked` is null in reports that are not the linter's; those of an inspection also have
    batch_norms and train_ops. A finding's `fix` has what it replaces as `edits`, none where the
    repair cannot be made in a text (as in notebooks).
    """
    findings = [_finding_record(finding, repairs) for finding in report.findings]
    errors = [
        {
            "path": error.path,
            "line": error.line,
            "column": error.column,
            "fatal": error.fatal,
            "message": error.message,
            **({"cell": error.cell} if error.cell else {}),
        }
        for error in report.errors
    ]
    record = {
        "version": 1,
        "findings": findings,
        "errors": errors,
        "files": report.files,
        "suppressed": report.suppressed,
        "left": [
            {"path": item.path, "entry": item.entry, "reason": item.reason} for item in report.left
        ],
        "checked": None if report.checked is None else asdict(report.checked),
        "not_understood": report.not_understood,
        **report.details(),
    }
    return escapes.to_json(record)


def _finding_record(finding: Finding, repairs: Repairs) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "location": location_record(finding.location),
        "related": [
            {"message": related.message, "location": location_record(related.location)}
            for related in finding.related
        ],
        "help": finding.help,
        "url": rule_page(finding.code) or None,
        "fix": _fix_record(finding, repairs),
    }


def _fix_record(finding: Finding, repairs: Repairs) -> dict[str, Any] | None:
    if finding.fix is None:
        return None
    edits = [
        {"location": location_record(edit.location), "text": edit.text}
        for edit in repairs.get(finding, ())
    ]
    return {"message": finding.fix.message, "safe": finding.fix.safe, "edits": edits}


def _escape(text: str, is_property: bool = False) -> str:
    """GitHub workflow command escaping."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    text = printable(text)
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text


def to_github(report: Report) -> str:
    """GitHub workflow commands, one line a finding: what is wrong, the repair, the rule's page."""
    level = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    lines = []
    for finding in report.findings:
        place = finding.location
        properties = [f"title={_escape(f'bnlint {finding.code} {finding.name}', True)}"]
        properties.append(f"file={_escape(tool_path(place.path), True)}")
        if place.line and not place.cell:
            properties += [f"line={place.line}", f"col={place.column}"]
        if place.end_line > place.line and not place.cell:
            properties.append(f"endLine={place.end_line}")
        message = f"{place}: {finding.code} {finding.message}"
        text = _escape("\n".join(filter(None, [message, finding.help, rule_page(finding.code)])))
        lines.append(f"::{level[finding.severity]} {','.join(properties)}::{text}")
    for error in report.errors:
        place_text = f"file={_escape(tool_path(error.path), True)}"
        level_name = "error" if error.fatal else "notice"
        text = _escape(in_cell(error.location) + error.message)
        lines.append(f"::{level_name} {place_text}::{text}")
    return "".join(line + "\n" for line in lines)


def to_gitlab(report: Report) -> str:
    """GitLab code quality: a list of issues."""
    level = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.INFO: "info"}
    seen: dict[str, int] = {}
    issues = []
    for finding in report.findings:
        place = finding.location
        key = f"{finding.code}{place.path}{finding.message}{place.node}"
        seen[key] = seen.get(key, 0) + 1
        issues.append(
            {
                "type": "issue",
                "check_name": f"{finding.code} {finding.name}",
                "description": in_cell(place) + finding.message,
                "severity": level[finding.severity],
                "fingerprint": fingerprint(finding, finding.message, seen[key]),
                "location": {
                    "path": tool_path(place.path),
                    "lines": {"begin": 1 if place.cell else max(place.line, 1)},
                },
            }
        )
    return escapes.to_json(issues)


def _xml_text(text: str) -> str:
    """XML 1.0 has neither control characters nor U+FFFE; of both only line ends are kept."""
    return "\n".join(map(printable, text.split("\n")))


def to_junit(report: Report) -> str:
    """JUnit XML: a test case per finding (failure) and per file error (error)."""
    suite = ET.Element(
        "testsuite", name="bnlint", tests=str(len(report.findings) + len(report.errors) or 1),
        failures=str(len(report.findings)), errors=str(len(report.errors)),
    )  # fmt: skip
    for finding in report.findings:
        place = finding.location
        name = f"{finding.code} {place}"
        case = ET.SubElement(
            suite, "testcase", name=_xml_text(name), classname=_xml_text(place.path)
        )
        failure = ET.SubElement(case, "failure", message=_xml_text(finding.message))
        failure.text = _xml_text(finding.help)
    for error in report.errors:
        path = _xml_text(error.path)
        case = ET.SubElement(suite, "testcase", name=path, classname=path)
        ET.SubElement(case, "error", message=_xml_text(in_cell(error.location) + error.message))
    if not len(suite):
        ET.SubElement(suite, "testcase", name="no findings", classname="bnlint")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
