"""What one run knows already: its baselines, read, applied and written."""

from __future__ import annotations

import os

from bnlint.findings import Finding
from bnlint.lint.baseline import Entry, entries_of, read_baseline, unknown, write_baseline
from bnlint.lint.config import Config, Settings
from bnlint.lint.run import LintRun


def apply_baselines(run: LintRun, settings: Config | Settings) -> list[str]:
    """Takes known findings out of a run's report, by the baseline of each file's settings.

    Returns:
      a sentence for each baseline with entries that are stale: their file was linted or is gone,
      their rule is on, and there is no such finding any more.

    Raises:
      ConfigError: a baseline cannot be read or is not one.
    """
    texts = run.texts()
    kept: list[Finding] = []
    notes = []
    for path, findings in _by_baseline(run, settings).items():
        if not path:
            kept += findings
            continue
        new, left = unknown(path, findings, texts)
        run.report.suppressed += len(findings) - len(new)
        kept += new
        stale = [entry for entry in left if _is_judged(entry, path, run, settings)]
        if stale:
            shown = ", ".join(f"{entry.code} in {entry.path}" for entry in stale[:3])
            more = f" and {len(stale) - 3} more" if len(stale) > 3 else ""
            notes.append(f"{path}: no longer found: {shown}{more}; --write-baseline takes them out")
    found = set(kept)
    run.report.findings = [finding for finding in run.report.findings if finding in found]
    return notes


def _by_baseline(run: LintRun, settings: Config | Settings) -> dict[str, list[Finding]]:
    """The findings by baseline ("" for none). The baseline of a file without findings counts, too:
    all its entries may be stale."""
    grouped = {settings.of(path).baseline: list[Finding]() for path in run.sources}
    for finding in run.report.findings:
        grouped.setdefault(settings.of(finding.location.path).baseline, []).append(finding)
    return grouped


def _is_judged(entry: Entry, baseline: str, run: LintRun, settings: Config | Settings) -> bool:
    """This run says whether the entry's finding is still there: its file was linted or is gone, and
    its rule is on."""
    path = os.path.normpath(os.path.join(os.path.dirname(baseline) or ".", entry.path))
    linted = {os.path.normpath(source) for source in run.sources}
    if path not in linted and os.path.lexists(path):
        return False
    return settings.of(path).enabled(entry.code)


def renew_baselines(run: LintRun, settings: Config | Settings) -> dict[str, int]:
    """Writes the findings of a run into the baselines of their files' settings.

    Entries of files that were not linted, and of rules that are off in this run, stay.

    Returns:
      baseline -> how many findings it has now.

    Raises:
      ConfigError: a baseline cannot be read or written.
    """
    counts = {}
    texts = run.texts()
    for path, findings in _by_baseline(run, settings).items():
        if not path:
            continue
        old = read_baseline(path) if os.path.lexists(path) else []
        stay = [entry for entry in old if not _is_judged(entry, path, run, settings)]
        entries = [*stay, *entries_of(path, findings, texts)]
        entries.sort(key=lambda entry: (entry.path, entry.code, entry.text))
        write_baseline(path, entries)
        counts[path] = sum(entry.count for entry in entries)
    return counts
