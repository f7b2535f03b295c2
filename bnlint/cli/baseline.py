"""Baselines: findings that were there before bnlint came."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bnlint.analyzer.files import write_atomically
from bnlint.config import ConfigError
from bnlint.findings import Finding, Report
from bnlint.reporting.machine import fingerprint


def _key(finding: Finding, texts: Mapping[str, str]) -> str:
    """The finding's fingerprint over its line's text, so that shifted lines stay known."""
    lines = texts.get(finding.location.path, "").splitlines()
    number = finding.location.line
    return fingerprint(finding, lines[number - 1] if 0 < number <= len(lines) else "")


def write_baseline(path: str, report: Report, texts: Mapping[str, str]) -> None:
    """Writes every finding of `report`, with how often each occurs.

    Raises:
      ConfigError: the file cannot be written.
    """
    counts = Counter(_key(finding, texts) for finding in report.findings)
    record = {"version": 1, "findings": dict(sorted(counts.items()))}
    try:
        write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def apply_baseline(path: str, report: Report, texts: Mapping[str, str]) -> None:
    """Takes the findings that the baseline knows out of `report`.

    Raises:
      ConfigError: the file cannot be read or is not a baseline.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        left = Counter({str(key): int(count) for key, count in record["findings"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not a bnlint baseline ({error})") from error
    kept = []
    for finding in report.findings:
        key = _key(finding, texts)
        if left[key] > 0:
            left[key] -= 1
            report.suppressed += 1
        else:
            kept.append(finding)
    report.findings = kept
