"""Quick fixes: a rule's own repair, and comments that silence one finding."""

from __future__ import annotations

import difflib
import io
import re
import tokenize
from collections.abc import Iterable, Sequence

from lsprotocol import types

from bnlint.findings import Edit, Finding, lines_of
from bnlint.lint.fixes import CannotFix, apply_edits

_EXISTING = re.compile(r"#\s*bnlint:\s*ignore\s*\[(?P<codes>[^\]]*)(?=\])", re.IGNORECASE)

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


def ignored_text(text: str, line: int, code: str) -> str | None:
    """`text` with a comment that silences `code` on the logical line at 1-based `line`.

    A comment that silences other codes there gets one more; None if the text has no such line.
    """
    tokens = _tokens_of_line(text, line)
    if not tokens:
        return None
    lines = lines_of(text)
    for token in tokens:
        match = _EXISTING.search(token.string) if token.type == tokenize.COMMENT else None
        if match:
            place = token.start[1] + match.end()
            return _inserted(lines, token.start[0], place, f", {code}")
    end = tokens[-1].start[0]  # the NEWLINE token: a comment before it stays where it is
    stripped = lines[end - 1].rstrip()
    return _inserted(lines, end, len(stripped), f"  # bnlint: ignore[{code}]")


def _inserted(lines: Sequence[str], number: int, column: int, text: str) -> str:
    line = lines[number - 1]
    return "".join([*lines[: number - 1], line[:column] + text + line[column:], *lines[number:]])


def _tokens_of_line(text: str, line: int) -> list[tokenize.TokenInfo]:
    """The tokens of the logical line that holds physical line `line`, up to its NEWLINE."""
    tokens: list[tokenize.TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.INDENT, tokenize.DEDENT):
                continue
            if token.type == tokenize.NL and len(tokens) == sum(
                item.type == tokenize.COMMENT for item in tokens
            ):
                tokens = []  # a blank line or a comment of its own
                continue
            tokens.append(token)
            if token.type == tokenize.NEWLINE:
                if token.end[0] >= line:
                    return tokens if tokens[0].start[0] <= line else []
                tokens = []
    except (tokenize.TokenError, SyntaxError):
        pass
    return []
