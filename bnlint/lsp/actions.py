"""Quick fixes: a rule's own repair as the protocol's edits."""

from __future__ import annotations

from collections.abc import Iterable

from lsprotocol import types

from bnlint.findings import lines_of
from bnlint.lint.repairs import LineEdit


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
