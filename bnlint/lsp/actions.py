"""Quick fixes: a rule's own repair as the protocol's edits."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lsprotocol import types

from bnlint.findings import Edit, Finding, lines_of
from bnlint.lint.fixes import CannotFix, apply_edits

# (first line, end line) to replace, 0-based and end exclusive, and the new text.
LineEdit = tuple[int, int, str]


def fixed_texts(finding: Finding, texts: dict[str, str]) -> dict[str, str] | None:
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


def text_edits(edits: Iterable[LineEdit], before: str) -> list[types.TextEdit]:
    """LineEdits as the protocol has them. A last line without a newline ends at its own end."""
    count = len(lines_of(before))
    unended = bool(before) and not before.endswith(("\n", "\r"))
    result = []
    for first, last, text in edits:
        end = types.Position(last, 0)
        if last == count and unended:
            end = types.Position(max(count - 1, 0), 2**31 - 1)  # clients stop at the line's end
        if first == count and unended:
            result.append(types.TextEdit(types.Range(end, end), "\n" + text))
        else:
            result.append(types.TextEdit(types.Range(types.Position(first, 0), end), text))
    return result
