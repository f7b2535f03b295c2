"""BN209: a Keras batch norm that is called with a fixed training flag."""

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN209",
    name="keras-training-flag",
    severity=Severity.WARNING,
    summary="a Keras batch norm that is called with a fixed training flag",
    why="""Keras decides by itself: `fit` trains, `evaluate` and `predict` do not. A flag that is written into
the model (`training=True` in the functional call) overrules that, and prediction then normalises
with the statistics of the batch at hand.""",
    help="Call the layer without `training`, and pass `training=` to the model in custom loops.",
    runtime_only=True,
)
