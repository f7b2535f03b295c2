"""SARIF 2.1.0, as code scanning services read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from bnlint.findings import Finding, Location, Report, Severity, line_at
from bnlint.registry import all_rules
from bnlint.reporting.escapes import to_json
from bnlint.reporting.explanation import with_examples
from bnlint.reporting.machine import fingerprint, in_cell, tool_path
from bnlint.reporting.replacements import Repairs, Replacement
from bnlint.rule import Rule
from bnlint.version import DOCUMENTATION, rule_page, version

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PROBLEM = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "recommendation",
}


def to_sarif(report: Report, repairs: Repairs, sources: Mapping[str, str]) -> str:
    """A SARIF log with one run: every rule, the findings, and file errors as notifications.

    Args:
      repairs, sources: see `bnlint.reporting.render`.
    """
    rules = list(all_rules().values())
    index = {rule.code: number for number, rule in enumerate(rules)}
    driver: dict[str, Any] = {
        "name": "bnlint",
        "version": version(),
        "informationUri": DOCUMENTATION,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "results": _results(report, index, repairs, sources),
    }
    return to_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: Rule) -> dict[str, Any]:
    record = {
        "id": rule.code,
        "name": "".join(word.title() for word in rule.name.split("-")),
        "shortDescription": {"text": _sentence(rule.summary)},
        "fullDescription": {"text": rule.why.strip()},
        "help": {"text": _sentence(rule.help), "markdown": with_examples(rule)},
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {
            "tags": ["correctness", "machine-learning", "tensorflow", "batch-normalization"],
            # What is reported by default is to be true nine times out of ten.
            "precision": "high",
            "problem.severity": _PROBLEM[rule.severity],
        },
    }
    if page := rule_page(rule.code):
        record["helpUri"] = page
    return record


def _invocation(report: Report) -> dict[str, Any]:
    notifications = [
        {
            "level": "error" if error.fatal else "note",
            "message": {"text": _sentence(in_cell(error.location) + error.message)},
            "locations": [_location(error.location)],
        }
        for error in report.errors
    ]
    return {
        "executionSuccessful": not any(error.fatal for error in report.errors),
        "toolExecutionNotifications": notifications,
    }


def _results(
    report: Report, index: dict[str, int], repairs: Repairs, sources: Mapping[str, str]
) -> list[dict[str, Any]]:
    seen: dict[tuple[str, str, str], int] = {}
    results = []
    for finding in report.findings:
        key = (finding.code, finding.location.path, finding.message)
        seen[key] = seen.get(key, 0) + 1
        record = _result(finding, seen[key])
        _add_snippet(record, finding.location, sources)
        if finding.code in index:
            record["ruleIndex"] = index[finding.code]
        if finding.fix is not None and repairs.get(finding):
            record["fixes"] = [_fix(finding.fix.message, repairs[finding])]
        results.append(record)
    return results


def _result(finding: Finding, repeat: int) -> dict[str, Any]:
    record: dict[str, Any] = {
        "ruleId": finding.code,
        "level": finding.severity.value,
        "message": {"text": _message(finding)},
        "locations": [_location(finding.location)],
        "partialFingerprints": {"bnlint/v1": fingerprint(finding, finding.message, repeat)},
        "properties": {"confidence": finding.confidence.value},
    }
    if finding.related:
        record["relatedLocations"] = [
            {"id": number, **_location(related.location, related.message)}
            for number, related in enumerate(finding.related, 1)
        ]
    return record


def _add_snippet(record: dict[str, Any], place: Location, sources: Mapping[str, str]) -> None:
    """The text at the place, for viewers that do not have the file."""
    region = record["locations"][0]["physicalLocation"].get("region")
    numbers = range(place.line, max(place.line, place.end_line) + 1)
    lines = [line_at(sources, replace(place, line=number)) for number in numbers]
    known = [line for line in lines if line is not None]
    if region is None or len(known) < len(lines):
        return
    if "endColumn" in region:
        known[-1] = known[-1][: place.end_column - 1]
    known[0] = known[0][max(place.column - 1, 0) :]
    region["snippet"] = {"text": "\n".join(known)}


def _message(finding: Finding) -> str:
    """What is wrong, where else to look (as links to the related locations), and the repair."""
    parts = [_sentence(in_cell(finding.location) + finding.message)]
    if finding.help:
        parts.append(_sentence(finding.help))
    if finding.related:
        parts = [_without_links(part) for part in parts]
        links = [
            f"[{_without_links(related.message)}]({number})"
            for number, related in enumerate(finding.related, 1)
        ]
        parts.insert(1, f"See: {'; '.join(links)}.")
    return "\n".join(parts)


def _without_links(text: str) -> str:
    """Text for a message that has links: its own brackets are none."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _fix(message: str, replacements: tuple[Replacement, ...]) -> dict[str, Any]:
    """SARIF keeps a file's replacements together."""
    changes: dict[str, list[dict[str, Any]]] = {}
    for replacement in replacements:
        place = replacement.location
        region = {"startLine": place.line, "startColumn": place.column,
                  "endLine": place.end_line, "endColumn": place.end_column}  # fmt: skip
        record = {"deletedRegion": region, "insertedContent": {"text": replacement.text}}
        changes.setdefault(_uri(place.path), []).append(record)
    return {
        "description": {"text": _sentence(message)},
        "artifactChanges": [
            {"artifactLocation": {"uri": uri}, "replacements": records}
            for uri, records in changes.items()
        ],
    }


def _uri(path: str) -> str:
    return quote(os.fsencode(tool_path(path)))


def _location(location: Location, message: str = "") -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(location.path)}}
    if location.line and not location.cell:
        region = {"startLine": location.line, "startColumn": max(location.column, 1)}
        if location.end_line >= location.line and location.end_column:
            region |= {"endLine": location.end_line, "endColumn": location.end_column}
        physical["region"] = region
    record: dict[str, Any] = {"physicalLocation": physical}
    if location.node:
        record["logicalLocations"] = [{"fullyQualifiedName": location.node}]
    if message:
        record["message"] = {"text": in_cell(location) + message}
    return record
