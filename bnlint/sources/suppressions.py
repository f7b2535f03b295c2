"""`# bnlint: ignore[BN101]` comments: which findings they silence, and which silence nothing."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from bnlint.findings import Confidence, Finding, Location, Severity

UNUSED = "BN001"
_COMMENT = re.compile(r"#\s*bnlint:\s*(?P<kind>ignore-file|ignore)\b(?P<rest>[^#]*)", re.IGNORECASE)
_RULES = re.compile(r"\s*\[(?P<rules>[^\]]*)\]")

# A code, prefix or name -> the codes that it covers; none if there is no such rule.
Covered = Callable[[str], frozenset[str]]


@dataclass
class Suppression:
    """One comment.

    Attributes:
      rules: codes, prefixes and names as they are written; none silence every rule.
      lines: what it is about; None means the whole file.
      line, column, end_column: where it stands.
      malformed: it names rules, but not as `[...]`: it silences nothing.
      used: the rules of `rules` that silenced something ("" for every rule).
    """

    rules: tuple[str, ...]
    lines: range | None
    line: int
    column: int
    end_column: int
    malformed: bool = False
    used: set[str] = field(default_factory=set)

    def silences(self, finding: Finding, covered: Covered) -> bool:
        """It silences this finding."""
        if self.malformed or not self._is_about(finding):
            return False
        if not self.rules:
            self.used.add("")
            return True
        covering = [rule for rule in self.rules if finding.code in covered(rule)]
        self.used.update(covering)
        return bool(covering)

    def _is_about(self, finding: Finding) -> bool:
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
    try:
        for statement in _statements(text):
            found += statement.suppressions()
    except (tokenize.TokenError, SyntaxError):  # the parser reports what is wrong
        pass
    return found


@dataclass
class _Statement:
    """A logical line, or the head of a compound statement, with its comments.

    Attributes:
      above: the comments on the lines directly above it. inside: those on its own lines.
      first, last: its lines; 0 where only comments are left.
    """

    above: list[tokenize.TokenInfo] = field(default_factory=list)
    inside: list[tokenize.TokenInfo] = field(default_factory=list)
    first: int = 0
    last: int = 0

    def suppressions(self) -> Iterator[Suppression]:
        first_above = self.first
        for token in reversed(self.above):  # a comment belongs to the line below it
            row = token.start[0]
            first_above = row if row == first_above - 1 else 0
            lines = range(row, self.last + 1) if first_above else range(row, row + 1)
            yield from _suppression(token, lines)
        for token in self.inside:
            yield from _suppression(token, range(self.first, self.last + 1))


def _statements(text: str) -> Iterator[_Statement]:
    statement = _Statement()
    quiet = (tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            (statement.inside if statement.first else statement.above).append(token)
        elif token.type == tokenize.NEWLINE:
            statement.last = token.end[0]
            yield statement
            statement = _Statement()
        elif token.type not in quiet and not statement.first:
            statement.first = token.start[0]
    yield statement


def _suppression(token: tokenize.TokenInfo, lines: range) -> Iterator[Suppression]:
    match = _COMMENT.search(token.string)
    if match is None:
        return
    rules = _RULES.match(match["rest"])
    names = tuple(name.strip() for name in rules["rules"].split(",")) if rules else ()
    end = match.start("rest") + (rules.end() if rules else len(match["rest"].rstrip()))
    yield Suppression(
        rules=tuple(filter(None, names)),
        lines=None if match["kind"].lower() == "ignore-file" else lines,
        line=token.start[0],
        column=token.start[1] + match.start() + 1,
        end_column=token.start[1] + end + 1,
        # `ignore BN101` and `ignore[]` name no rule, and are not meant for every rule either.
        malformed=bool(match["rest"].strip()) and not any(names),
    )


def suppress(
    findings: Iterable[Finding],
    text: str,
    path: str,
    covered: Covered,
    unused: Callable[[frozenset[str]], bool] | None,
) -> tuple[list[Finding], int]:
    """(findings that stay, with a BN001 for each comment that silences nothing; how many were
    silenced).

    Args:
      findings: of this one file, in text coordinates.
      covered: the codes that a code, prefix or name covers.
      unused: whether a comment that names these codes is to be reported where it silences nothing
        (it is not where these rules are off); None reports no comment at all.
    """
    suppressions = find_suppressions(text)
    kept: list[Finding] = []
    silenced = 0
    for finding in findings:
        # Every comment is asked, so that none of two on a finding counts as unused.
        silencing = [item for item in suppressions if item.silences(finding, covered)]
        if silencing:
            silenced += 1
        else:
            kept.append(finding)
    if unused is not None:
        kept += [
            _unused(item, path, problem)
            for item in suppressions
            if (problem := _problem(item, covered, unused))
        ]
    return kept, silenced


def _problem(item: Suppression, covered: Covered, unused: Callable[[frozenset[str]], bool]) -> str:
    """Why a comment silences nothing, or not all that it names; "" if it does."""
    if item.malformed:
        return (
            "this comment is malformed and suppresses nothing: name the rules in square "
            "brackets, as in `# bnlint: ignore[BN101]`"
        )
    unknown = [rule for rule in item.rules if not covered(rule)]
    if unknown:
        return f"there is no rule {' or '.join(unknown)}: this comment does not suppress it"
    idle = [rule for rule in item.rules if rule not in item.used and unused(covered(rule))]
    if idle or not (item.rules or item.used):
        what = ", ".join(idle) or "any rule"
        return f"this comment suppresses {what}, but there is no such finding here"
    return ""


def _unused(item: Suppression, path: str, problem: str) -> Finding:
    return Finding(
        code=UNUSED,
        name="unused-suppression",
        message=problem,
        location=Location(path, item.line, item.column, item.line, item.end_column),
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        help="Remove the comment, or the rules that are not needed.",
    )
