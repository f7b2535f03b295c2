"""`# bnlint: ignore[BN101]` comments: which findings they silence, and which silence nothing."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, field

from bnlint.findings import Confidence, Finding, Location, Severity

UNUSED = "BN001"
_COMMENT = re.compile(
    r"#\s*bnlint:\s*(?P<kind>ignore-file|ignore)\b\s*(?:\[(?P<codes>[^\]]*)\])?", re.IGNORECASE
)


@dataclass
class Suppression:
    """One comment. Empty `codes` silence every rule; `lines` None means the whole file."""

    codes: tuple[str, ...]
    lines: range | None
    line: int
    column: int
    end_column: int
    used: set[str] = field(default_factory=set)

    def covers(self, finding: Finding) -> bool:
        """It silences this finding."""
        if self.codes and finding.code not in self.codes:
            return False
        first, last = finding.location.line, finding.location.end_line
        if self.lines is None:
            return True
        # A comment counts on any line of the finding's expression or of its logical line.
        return self.lines.start <= max(last, first) and first < self.lines.stop


def find_suppressions(text: str) -> list[Suppression]:
    """Every suppression comment of a file; none if it cannot be tokenized."""
    if "bnlint:" not in text.lower():
        return []
    found: list[Suppression] = []
    comments: list[tokenize.TokenInfo] = []
    start = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                comments.append(token)
            elif token.type in (tokenize.NEWLINE, tokenize.NL) and token.type == tokenize.NEWLINE:
                found += _of_line(comments, start, token.end[0])
                comments, start = [], 0
            elif token.type not in (tokenize.INDENT, tokenize.DEDENT, tokenize.NL) and not start:
                start = token.start[0]
                found += _of_line(comments, 0, 0)  # comments on lines of their own
                comments = []
    except (tokenize.TokenError, SyntaxError):  # the parser reports what is wrong
        pass
    found += _of_line(comments, 0, 0)
    return found


def _of_line(comments: list[tokenize.TokenInfo], start: int, end: int) -> list[Suppression]:
    """Suppressions of a logical line from `start` to `end` (0: comments that stand alone)."""
    found = []
    for token in comments:
        match = _COMMENT.search(token.string)
        if match is None:
            continue
        codes = tuple(code.strip().upper() for code in (match["codes"] or "").split(",") if code)
        row = token.start[0]
        lines: range | None = range(start or row, (end or row) + 1)
        if match["kind"].lower() == "ignore-file":
            lines = None
        column = token.start[1] + match.start() + 1
        found.append(Suppression(codes, lines, row, column, token.start[1] + match.end() + 1))
    return found


def suppress(
    findings: Iterable[Finding], text: str, path: str, enabled: bool = True
) -> tuple[list[Finding], int]:
    """(findings that stay, with a BN001 for each unused suppression; how many were silenced).

    Args:
      findings: of this one file, in text coordinates. enabled: BN001 is to be reported.
    """
    suppressions = find_suppressions(text)
    kept: list[Finding] = []
    silenced = 0
    for finding in findings:
        covering = [item for item in suppressions if item.covers(finding)]
        for item in covering:
            item.used.add(finding.code)
        silenced += bool(covering)
        if not covering:
            kept.append(finding)
    if enabled:
        kept += [_unused(item, path) for item in suppressions if not _is_used(item)]
    return kept, silenced


def _is_used(item: Suppression) -> bool:
    return bool(item.used) and set(item.codes) <= item.used


def _unused(item: Suppression, path: str) -> Finding:
    idle = [code for code in item.codes if code not in item.used]
    what = ", ".join(idle) if idle else "any rule"
    return Finding(
        code=UNUSED,
        name="unused-suppression",
        message=f"this comment suppresses {what}, but there is no such finding here",
        location=Location(path, item.line, item.column, item.line, item.end_column),
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        help="Remove the comment, or the codes that are not needed.",
    )
