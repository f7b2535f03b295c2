"""BN602: training mode and inference mode disagree on the same rows."""

from __future__ import annotations

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN602",
    name="train-eval-mode-gap",
    severity=Severity.WARNING,
    summary="the same rows are predicted very differently in training and in inference mode",
    symptoms=("train mode and eval mode give different predictions",),
    why="""
With healthy moving statistics, batch norm computes nearly the same in both modes: the moving
statistics are an average of the batch statistics. Where the model is right in training mode
and wrong in inference mode on the same rows, the moving statistics are stale or missing
(BN101, BN301, BN302, BN303).

`bnlint predictions EVAL --train TRAIN` reads the predictions of the same rows in both modes. With
labels it tests the null hypothesis that inference mode loses at most 10 percentage points of
accuracy, by Hoeffding's inequality for paired differences: alarm if
gap >= 0.1 + sqrt(2 ln(1 / alpha) / n). Without labels it tests that the total variation
distance of both predicted distributions is at most 0.3: alarm if
TV >= 0.3 + sqrt(2 K / n) / 2 + sqrt(2 ln(1 / alpha) / n). Both keep the false-alarm probability at
most alpha = 0.001 for every n. Rows predicted in training mode must have been fed in many
batches of the usual size, because rows of one batch are not independent in that mode.
""",
    help="Compare moving and batch statistics with `bnlint inspect CHECKPOINT --data rows.npz`,"
    " and make training run the UPDATE_OPS.",
    found_by=("predictions",),
)
