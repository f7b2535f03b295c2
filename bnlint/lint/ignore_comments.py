"""Writing comments that silence a finding."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Sequence

from bnlint.findings import lines_of

_EXISTING = re.compile(r"#\s*bnlint:\s*ignore\s*\[(?P<codes>[^\]]*)(?=\])", re.IGNORECASE)


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
