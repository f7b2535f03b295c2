"""BN601: predictions are collapsed onto few classes."""

from __future__ import annotations

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN601",
    name="prediction-collapse",
    severity=Severity.WARNING,
    summary="predictions are collapsed onto few classes, or are NaN",
    symptoms=(
        "all predictions in one class",
        "model always predicts the same class",
    ),
    why="""
In inference mode batch norm divides by the *moving* statistics. Where those were never updated
(BN101), not saved (BN301) or not restored (BN302), every layer rescales its input by wrong
numbers, the last layer's logits no longer depend on the input as they did in training, and
nearly every row gets the same class. NaN logits end the same way: `tf.argmax` of NaN is class 0.

`bnlint predictions` counts the predicted classes. With labels (or `--expected`), it tests the null
hypothesis that the predicted distribution is within a total variation distance of 0.3 of
the expected one, i.e. that at most 30 % of the rows would have to change class. Then any set of
classes has at most its expected share plus 30 % of the predictions. The surplus of one class, and
of sets of two, three and more, is tested by the exact binomial tail

    sets * P(Binomial(rows, expected share + 0.3) >= predicted rows) <= alpha

where `sets` corrects for the choice of the set (Bonferroni), and `--alpha` is 0.001 by
default. If the expected distribution was counted on other rows, its upper Clopper-Pearson limit
takes its place. An alarm also needs predictions with fewer than 0.85 times the expected effective
number of classes (exp of the entropy), or 80 % of them in one class, or a class with half of the
labels that has less than 5 % of the predictions: it has vanished. Because of the margin, many rows
don't turn a slightly biased model into an alarm; because the test is exact and no approximation, at
most 1 in 1000 checks of a model inside the margin gives a false alarm, at any number of rows
and classes. Two equally frequent classes that collapse onto one are found from 35 rows on, ten
from 11 rows on, a thousand from 12 rows on. Where one class has more than 70 % of the labels, a
collapse onto it is within the margin: it looks like a weak model, and is not reported.

Without labels it tests that no class has a true share above 95 % (exact binomial tail, same
false-alarm rate; 135 rows of one class raise it); since real data may be that unbalanced, that
alarm has low confidence. Where one class, or a tenth of all classes, has more than 80 % (tested the
same way), it is a note: collapsed, unless the data is that unbalanced.

The pixels of a segmented image depend on each other, so images are counted there, not pixels:
exp(-images * KL(share, expected share + 0.3)) takes the place of the binomial tail
(Hoeffding 1963). What only a test of pixels would find is a note.
""",
    help="Check that UPDATE_OPS run in training and that the moving statistics are saved and"
    " restored: run `bnlint inspect` on the checkpoint and `bnlint` on the training script.",
    found_by=("predictions",),
)
