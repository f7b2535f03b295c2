"""Repairs as replacements of text, for tools that make them themselves."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from bnlint.findings import Edit, Finding, Location, Report, lines_of
from bnlint.lint.fixes import CannotFix, apply_edits
from bnlint.reporting.replacements import Repairs, Replacement

# (first line, end line) to replace, 0-based and end exclusive, and the new text.
LineEdit = tuple[int, int, str]


def repairs(report: Report, texts: Mapping[str, str]) -> Repairs:
    """Finding -> what its repair replaces, for each that has a repair that fits.

    Args:
      report: findings as they are reported: those in notebooks point at cells, and have no
        repair that is one of their file's text.
      texts: path -> text that they were found in.
    """
    found: Repairs = {}
    for finding in report.findings:
        fixed = None if finding.location.cell else fixed_texts(finding, texts)
        if fixed:
            found[finding] = tuple(
                replacement
                for path, after in fixed.items()
                for replacement in replacements(path, texts[path], after)
            )
    return found


def fixed_texts(finding: Finding, texts: Mapping[str, str]) -> dict[str, str] | None:
    """path -> text of every file that the finding's fix changes; None if it does not fit.

    Args:
      texts: path -> text that the finding was found in.
    """
    if finding.fix is None:
        return None
    by_path: dict[str, list[Edit]] = {}
    for edit in finding.fix.edits:
        by_path.setdefault(edit.location.path, []).append(edit)
    try:
        return {path: apply_edits(texts[path], edits) for path, edits in by_path.items()}
    except (CannotFix, KeyError):
        return None


def line_edits(before: str, after: str) -> list[LineEdit]:
    """The whole lines to replace, so that the rest of the document keeps its marks and folds."""
    old, new = lines_of(before), lines_of(after)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [
        (first, last, "".join(new[start:end]))
        for kind, first, last, start, end in matcher.get_opcodes()
        if kind != "equal"
    ]


def replacements(path: str, before: str, after: str) -> list[Replacement]:
    """What of the text to replace. A last line without a newline ends at its own end."""
    lines = lines_of(before)
    unended = bool(lines) and not lines[-1].endswith(("\n", "\r"))
    result = []
    for first, last, text in line_edits(before, after):
        start, end = (first + 1, 1), (last + 1, 1)
        if last == len(lines) and unended:
            end = (last, len(lines[-1]) + 1)
        if first == len(lines) and unended:
            start, text = end, "\n" + text
        result.append(Replacement(Location(path, *start, *end), text))
    return result
