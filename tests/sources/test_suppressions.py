"""Which findings a comment silences, and which comments are reported."""

import pytest

from bnlint.findings import Confidence, Finding, Location, Severity
from bnlint.lint.config import covered
from bnlint.sources.suppressions import suppress


def at(line: int, code: str = "BN101", last: int = 0) -> Finding:
    place = Location("a.py", line, 1, last or line, 9)
    return Finding(code, "name", "message", place, Severity.ERROR, Confidence.HIGH)


def left(text: str, *findings: Finding, off: tuple[str, ...] = ()) -> list[str]:
    """The codes that stay, and the messages of BN001."""
    kept, _ = suppress(findings, text, "a.py", covered, lambda codes: not codes <= set(off))
    return [item.message if item.code == "BN001" else item.code for item in kept]


@pytest.mark.parametrize(
    "rules", ["BN101", "bn101", "BN1", "missing-update-ops", "BN101, BN101", "ALL"]
)
def test_codes_prefixes_and_names_silence(rules: str) -> None:
    assert left(f"x = 1  # bnlint: ignore[{rules}]\n", at(1)) == []


def test_a_reason_may_follow() -> None:
    assert left("x = 1  # bnlint: ignore[BN101] as in the paper\n", at(1)) == []
    assert left("x = 1  # bnlint: ignore  # all of them\n", at(1), at(1, "BN201")) == []


@pytest.mark.parametrize(
    "rest", ["(BN101)", " BN101", " because of x", ": BN101", "[]", "[ , ]", "[BN101"]
)
def test_a_malformed_comment_silences_nothing_and_says_so(rest: str) -> None:
    code, message = left(f"x = 1  # bnlint: ignore{rest}\n", at(1))
    assert code == "BN101"
    assert "malformed" in message


def test_an_unknown_rule_is_named() -> None:
    code, message = left("x = 1  # bnlint: ignore[BN999]\n", at(1))
    assert code == "BN101"
    assert message == "there is no rule BN999: this comment does not suppress it"


def test_a_comment_above_counts_for_the_statement_below_it() -> None:
    text = "# bnlint: ignore[BN101]\n# a word on why\nx = f(\n  1,\n)\n"
    assert left(text, at(4)) == []


def test_a_comment_above_a_gap_or_another_statement_does_not_count() -> None:
    assert "BN101" in left("# bnlint: ignore[BN101]\n\nx = 1\n", at(3))
    assert "BN101" in left("# bnlint: ignore[BN101]\ny = 2\nx = 1\n", at(3))


@pytest.mark.parametrize("line", [1, 2, 3])
def test_any_line_of_a_statement_holds_the_comment(line: int) -> None:
    lines = ["x = f(", "  1,", ")"]
    lines[line - 1] += "  # bnlint: ignore[BN101]"
    assert left("\n".join(lines) + "\n", at(1, last=3)) == []


def test_a_file_is_silenced_from_anywhere_in_it() -> None:
    assert left("x = 1\ny = 2\n# bnlint: ignore-file[BN1]\n", at(1), at(2, "BN102")) == []


def test_what_silences_nothing_is_reported() -> None:
    (message,) = left("x = 1  # bnlint: ignore[BN101, BN201]\n", at(1))
    assert message == "this comment suppresses BN201, but there is no such finding here"
    (message,) = left("x = 1  # bnlint: ignore\n")
    assert "any rule" in message


def test_a_rule_that_is_off_makes_no_comment_idle() -> None:
    assert left("x = 1  # bnlint: ignore[BN101]\n", off=("BN101",)) == []


def test_of_two_comments_on_a_finding_neither_is_idle() -> None:
    assert left("# bnlint: ignore-file[BN101]\nx = 1  # bnlint: ignore[BN101]\n", at(2)) == []
