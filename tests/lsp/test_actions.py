"""Where the comments that silence a finding go, and how new texts become edits."""

import pytest
from lsprotocol import types

from bnlint.lint.ignore_comments import ignored_text
from bnlint.lint.repairs import line_edits
from bnlint.lsp.actions import text_edits
from bnlint.sources.suppressions import find_suppressions


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a\nb = 1\n", 2, "a\nb = 1  # bnlint: ignore[BN101]\n"),
        ("b = 1", 1, "b = 1  # bnlint: ignore[BN101]"),
        ("b = 1  # why\r\n", 1, "b = 1  # why  # bnlint: ignore[BN101]\r\n"),
        ("f(\n  1,\n)\n", 1, "f(\n  1,\n)  # bnlint: ignore[BN101]\n"),
        ("f(\n  1,\n)\n", 2, "f(\n  1,\n)  # bnlint: ignore[BN101]\n"),
        ("x = 1 + \\\n  2\n", 1, "x = 1 + \\\n  2  # bnlint: ignore[BN101]\n"),
        ("with a:\n    b\n", 1, "with a:  # bnlint: ignore[BN101]\n    b\n"),
        ("s = '''\n#\n'''\n", 1, "s = '''\n#\n'''  # bnlint: ignore[BN101]\n"),
        ("b  # bnlint: ignore[BN2]\n", 1, "b  # bnlint: ignore[BN2, BN101]\n"),
        ("# note\n\nb\n", 3, "# note\n\nb  # bnlint: ignore[BN101]\n"),
    ],
)
def test_the_comment_goes_to_the_end_of_the_logical_line(
    text: str, line: int, expected: str
) -> None:
    after = ignored_text(text, line, "BN101")
    assert after == expected
    (suppression,) = find_suppressions(after)
    assert "BN101" in suppression.rules
    assert suppression.lines is not None and line in suppression.lines


@pytest.mark.parametrize(("text", "line"), [("", 1), ("x = (\n", 1), ("a\n", 5), ("# b\n", 1)])
def test_no_comment_where_there_is_no_logical_line(text: str, line: int) -> None:
    assert ignored_text(text, line, "BN101") is None


def test_only_changed_lines_are_replaced() -> None:
    before, after = "a\nb\nc\n", "a\nB\nc\nd\n"
    edits = line_edits(before, after)
    assert edits == [(1, 2, "B\n"), (3, 3, "d\n")]
    first, second = text_edits(edits, before)
    assert first.range == types.Range(types.Position(1, 0), types.Position(2, 0))
    assert second.range.start == types.Position(3, 0)


def test_a_last_line_without_newline_is_replaced_in_place() -> None:
    (edit,) = text_edits(line_edits("a\nb", "a\nc"), "a\nb")
    assert edit.range.start == types.Position(1, 0)
    assert edit.range.end.line == 1 and edit.new_text == "c"
