"""BN210: an evaluation network with batch-norm statistics of its own."""

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN210",
    name="eval-net-without-reuse",
    severity=Severity.ERROR,
    summary="an evaluation network with batch-norm statistics of its own",
    why="""A network that is built a second time without sharing variables has moving statistics (and weights)
of its own, which nothing trains: they stay at 0 and 1.""",
    help="Build the second network with `reuse=True` in the same variable scope, or use one network and a placeholder.",
    runtime_only=True,
)
