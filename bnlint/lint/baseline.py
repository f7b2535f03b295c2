"""Baselines: findings that were there before bnlint came."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from bnlint.findings import Finding, Report, lines_of
from bnlint.lint.config import ConfigError
from bnlint.lint.save import save
from bnlint.reporting.machine import fingerprint
from bnlint.sources.regular import read_regular

MAX_BYTES = 64 * 1024 * 1024  # about a million findings


def _key(finding: Finding, texts: Mapping[str, str], root: str) -> str:
    """The finding's fingerprint over its line's text, so that shifted lines stay known.

    Its path counts from the baseline's folder, however the run was told where to look.
    """
    lines = lines_of(texts.get(finding.location.path, ""))
    number = finding.location.line
    relative = os.path.relpath(finding.location.path, root).replace(os.sep, "/")
    known = replace(finding, location=replace(finding.location, path=relative))
    return fingerprint(known, lines[number - 1].rstrip("\r\n") if 0 < number <= len(lines) else "")


def write_baseline(path: str, report: Report, texts: Mapping[str, str]) -> None:
    """Writes every finding of `report`, with how often each occurs.

    Raises:
      ConfigError: the file cannot be written.
    """
    root = os.path.dirname(path) or "."
    counts = Counter(_key(finding, texts, root) for finding in report.findings)
    record = {"version": 1, "findings": dict(sorted(counts.items()))}
    save(path, json.dumps(record, indent=2) + "\n")


def apply_baseline(path: str, report: Report, texts: Mapping[str, str]) -> None:
    """Takes the findings that the baseline knows out of `report`.

    Raises:
      ConfigError: the file cannot be read or is not a baseline.
    """
    try:
        record = json.loads(read_regular(path, MAX_BYTES).decode("utf-8"))
        left = Counter({str(key): int(count) for key, count in record["findings"].items()})
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise ConfigError(f"{path}: not a bnlint baseline ({error})") from error
    kept = []
    for finding in report.findings:
        key = _key(finding, texts, os.path.dirname(path) or ".")
        if left[key] > 0:
            left[key] -= 1
            report.suppressed += 1
        else:
            kept.append(finding)
    report.findings = kept
