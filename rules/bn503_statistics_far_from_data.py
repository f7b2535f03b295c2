"""BN503: moving statistics that do not describe the data."""

from __future__ import annotations

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN503",
    name="statistics-far-from-data",
    severity=Severity.WARNING,
    summary="moving statistics are far from the batch statistics of the given data",
    symptoms=("moving statistics do not fit the data",),
    why="""
In inference a batch norm divides by its moving statistics. Where they do not describe what
the layer really sees, its output is off by the difference, and so is all that follows. The usual
causes: updates that ran for too few steps (BN303), were never run (BN101) or came from another
net; data preprocessed otherwise than in training.

With `--data`, the net is run in inference mode and the mean and variance of each batch norm's input
are measured. Per channel, with batch mean m, batch variance v, moving mean M and moving variance V,
the distance is the larger of |M - m| / sqrt(v + epsilon) and |ln((V + epsilon) / (v + epsilon))| /
ln 4. A finding means that at least half of the channels are farther than 1 + 3 / sqrt(n) for n
examples: a full standard deviation in the mean or a factor of 4 in the variance, beyond what n
examples can tell. Fewer than 8 examples are not judged. A running training is judged by its last
batches, each of which counts as two examples, the fewest that have a variance.
""",
    help="Feed data preprocessed as in training; if it is, train longer, lower the decay, or"
    " recompute the statistics over training data.",
    found_by=("inspect",),
)
