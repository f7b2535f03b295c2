"""BN501: moving statistics of a trained net are still at their initial values."""

from __future__ import annotations

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN501",
    name="statistics-at-initial-values",
    severity=Severity.ERROR,
    summary="a trained net's moving mean is still all 0 and its moving variance all 1",
    symptoms=("moving_mean in the checkpoint is all zero",),
    why="""
A moving average starts at mean 0 and variance 1 and cannot come back to exactly these numbers
once an update has run. A batch norm whose gamma or beta was trained while its statistics
are exactly 0 and 1 was trained without its update ops (BN101) or saved from another copy of the
net. In inference it does not normalize at all: it only scales and shifts.

`bnlint inspect` reads the checkpoint, SavedModel, frozen graph or Keras file. A net whose gamma
and beta are also untouched was never trained, and gets no finding.
""",
    help="Run UPDATE_OPS together with the train op and train again, or recompute the statistics"
    " by running the net in training mode over training data.",
    found_by=("inspect",),
)
