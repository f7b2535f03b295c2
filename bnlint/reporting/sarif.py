"""SARIF 2.1.0, as code scanning services read it."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from bnlint.findings import Finding, Location, Report
from bnlint.registry import all_rules
from bnlint.reporting.escapes import to_json
from bnlint.reporting.machine import fingerprint, in_cell, tool_path
from bnlint.rule import Rule
from bnlint.version import version

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def _location(location: Location, message: str = "") -> dict[str, Any]:
    uri = quote(os.fsencode(tool_path(location.path)))
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
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


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.title() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why.strip()},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(finding: Finding, index: dict[str, int], repeat: int) -> dict[str, Any]:
    text = f"{in_cell(finding.location)}{finding.message} {finding.help}".strip()
    record: dict[str, Any] = {
        "ruleId": finding.code,
        "level": finding.severity.value,
        "message": {"text": text},
        "locations": [_location(finding.location)],
        "partialFingerprints": {"bnlint/v1": fingerprint(finding, finding.message, repeat)},
        "properties": {"confidence": finding.confidence.value},
    }
    if finding.code in index:
        record["ruleIndex"] = index[finding.code]
    if finding.related:
        record["relatedLocations"] = [
            {"id": number, **_location(related.location, related.message)}
            for number, related in enumerate(finding.related, 1)
        ]
    return record


def to_sarif(report: Report) -> str:
    """A SARIF log with one run: every rule, the findings, and file errors as notifications."""
    rules = list(all_rules().values())
    index = {rule.code: number for number, rule in enumerate(rules)}
    seen: dict[tuple[str, str, str], int] = {}
    results = []
    for finding in report.findings:
        key = (finding.code, finding.location.path, finding.message)
        seen[key] = seen.get(key, 0) + 1
        results.append(_result(finding, index, seen[key]))
    notifications = [
        {
            "level": "error" if error.fatal else "note",
            "message": {"text": in_cell(error.location) + error.message},
            "locations": [_location(error.location)],
        }
        for error in report.errors
    ]
    driver = {
        "name": "bnlint",
        "version": version(),
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not report.errors,
                "toolExecutionNotifications": notifications,
            }
        ],
        "results": results,
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return to_json(log)
