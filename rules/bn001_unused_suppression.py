"""BN001: a suppression comment that suppresses nothing."""

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN001",
    name="unused-suppression",
    severity=Severity.INFO,
    summary="a `# bnlint: ignore` comment that suppresses nothing",
    why="""
A suppression that no longer matches a finding hides the next mistake that is made on its line.
It is reported so that it can be removed. (Suppressions are applied after all rules have run, by
`bnlint.sources.suppressions`; this file documents the code.)
""",
    help="Remove the comment, or the codes that are not needed.",
)
