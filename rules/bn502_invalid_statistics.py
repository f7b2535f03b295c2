"""BN502: moving statistics that cannot be statistics."""

from __future__ import annotations

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN502",
    name="invalid-statistics",
    severity=Severity.ERROR,
    summary="a moving mean or variance is NaN or infinite, or a variance is negative",
    symptoms=(
        "moving_variance is NaN",
        "moving_variance is negative",
    ),
    why="""
One batch with a NaN or an overflow is enough: the moving average keeps it for ever, since
`old * decay + NaN` is NaN. Training goes on undisturbed, because it normalizes with the
batch's own statistics; in inference every output is NaN, and `argmax` of NaN is class 0. A
negative variance makes `rsqrt(variance + epsilon)` NaN as well.

A variance counts as negative below -1e-6: smaller amounts are rounding of float32 and far
inside any usual epsilon.
""",
    help="Find the batch that was not finite (a loss of log(0), half precision, bad input), then"
    " restore an older checkpoint or recompute the statistics.",
    found_by=("inspect",),
)
