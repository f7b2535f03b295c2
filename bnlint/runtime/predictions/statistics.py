"""Statistics of predicted-class counts, and the tests behind BN601 and BN602.

Every test here has a *margin*: its null hypothesis allows a deviation up to the margin, so a
million rows don't raise an alarm over a trivial difference. Every test is a concentration
inequality, so its false-alarm rate is at most `alpha` at every sample size, for every
distribution inside the margin, not only for large samples as with chi-square or G. The price
is power on small samples, which suits a tool where a false alarm costs more than a missed one.
The rows are taken to be predicted independently of each other, which inference mode ensures.
`tests/runtime/predictions/test_statistics.py` measures the false-alarm rates on the boundary of the
null hypotheses, where they are largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ClassId = int | str
Counts = Mapping[ClassId, int]


@dataclass(frozen=True)
class TestResult:
    """Outcome of one test.

    Attributes:
      statistic: the measured deviation, a share in [0, 1].
      margin: the deviation the null hypothesis still allows.
      threshold: the smallest deviation that raises an alarm at this sample size.
      p_value: upper bound of the null probability of a deviation at least this large.
      alarm: whether `p_value` <= alpha.
    """

    __test__ = False  # not a pytest class

    statistic: float
    margin: float
    threshold: float
    p_value: float
    alarm: bool

    @property
    def p_text(self) -> str:
        """The bound in words, for messages: "p <= 4e-38"."""
        return f"p <= {self.p_value:.2g}" if self.p_value > 1e-99 else "p < 1e-99"


def entropy_bits(weights: Iterable[float]) -> float:
    """Shannon entropy in bits of counts or shares (plug-in estimate); 0 where all are 0."""
    values = [weight for weight in weights if weight > 0]
    total = math.fsum(values)
    return math.fsum(value / total * math.log2(total / value) for value in values)


def effective_classes(weights: Iterable[float]) -> float:
    """exp(entropy): how many equally used classes have that entropy (Hill number of order 1)."""
    return 2.0 ** entropy_bits(weights)


def shares(counts: Counts) -> dict[ClassId, float]:
    """Counts divided by their sum."""
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def total_variation(first: Mapping[ClassId, float], second: Mapping[ClassId, float]) -> float:
    """Half the L1 distance of two share tables: the share of rows that would have to move."""
    names = set(first) | set(second)
    return math.fsum(abs(first.get(name, 0.0) - second.get(name, 0.0)) for name in names) / 2


def _test(statistic: float, margin: float, bias: float, scale: float, alpha: float) -> TestResult:
    """One-sided test with P(statistic >= margin + bias + t) <= exp(-t^2 / scale) under the null."""
    excess = max(0.0, statistic - margin - bias)
    p_value = math.exp(-(excess**2) / scale)
    threshold = margin + bias + math.sqrt(scale * math.log(1 / alpha))
    return TestResult(statistic, margin, threshold, p_value, statistic >= threshold)


def distribution_test(
    counts: Counts,
    expected: Mapping[ClassId, float],
    *,
    margin: float,
    alpha: float,
    expected_rows: int | None = None,
) -> TestResult:
    """Is the predicted distribution farther than `margin` from the expected one?

    Null hypothesis: the total variation distance of the classifier's true prediction
    distribution to the true expected one is at most `margin`. The empirical distance exceeds
    the true one by at most the distance of sample and truth. Its mean is at most
    0.5 * sqrt((K - 1) / n) (Cauchy-Schwarz over the K classes' standard deviations), and
    one row changes it by at most 1 / n, so McDiarmid's inequality (McDiarmid 1989, "On the
    method of bounded differences") gives P(excess >= t) <= exp(-2 n t^2).

    K must not depend on the predictions. Classes that are not expected all add their whole share
    to the distance, so they count as one class: K is the number of expected classes plus one.

    Args:
      counts: predicted rows per class.
      expected: expected share per class; sums to 1.
      margin, alpha: see the module's docstring.
      expected_rows: number of rows the expected shares were counted on, where those are other
        rows than the predicted ones; every class is then taken to occur among them. None: the
        shares are exact, or they are those of the very rows that were predicted (the test then is
        conditional on the labels).
    """
    rows = sum(counts.values())
    classes = 1 + sum(share > 0 for share in expected.values())
    statistic = total_variation(shares(counts), expected)
    per_sample = [rows] if expected_rows is None else [rows, expected_rows]
    bias = sum(0.5 * math.sqrt((classes - 1) / size) for size in per_sample)
    scale = sum(1 / size for size in per_sample) / 2
    return _test(statistic, margin, bias, scale, alpha)


def top_share_test(counts: Counts, *, ceiling: float, alpha: float) -> TestResult:
    """Is one class predicted for more than `ceiling` of the rows? Needs no expected distribution.

    Null hypothesis: no class has a true share above `ceiling` (> 0.5). The tail probability
    P(Binomial(n, q) >= t) is convex in q below (t - 1) / (n - 1), hence its sum over all classes
    is largest for the shares (ceiling, 1 - ceiling): the exact p-value is the sum of those two
    binomial tails, and nothing is lost by having picked the top class after the fact. (Where
    t <= ceiling * (n - 1) + 1 the sum is no upper bound, but it is above 0.1 and raises no alarm.)
    """
    from scipy.stats import binom

    rows, top = sum(counts.values()), max(counts.values())
    p_value = float(binom.sf(top - 1, rows, ceiling) + binom.sf(top - 1, rows, 1 - ceiling))
    threshold = (float(binom.isf(alpha, rows, ceiling)) + 1) / rows
    return TestResult(top / rows, ceiling, threshold, p_value, p_value <= alpha)


def accuracy_gap_test(
    train_right: int, eval_right: int, rows: int, *, margin: float, alpha: float
) -> TestResult:
    """Is training mode more accurate than inference mode by more than `margin`, on the same rows?

    Each row contributes +1 (right in training mode only), -1 (right in inference mode only) or
    0 to the gap, so Hoeffding's inequality for values in [-1, 1] (Hoeffding 1963) gives
    P(gap - truth >= t) <= exp(-n t^2 / 2).
    """
    return _test((train_right - eval_right) / rows, margin, 0.0, 2 / rows, alpha)


def paired_distribution_test(
    train: Counts, evaluation: Counts, *, margin: float, alpha: float, classes: int = 0
) -> TestResult:
    """Do both modes' predicted distributions on the same n rows differ by more than `margin`?

    As `distribution_test`, but one row changes the distance by at most 2 / n, and the mean
    of the sampling distance is at most sqrt(2 K / n) / 2, because the difference of a row's two
    indicators of a class has a second moment of at most the class's shares in both modes.

    Args:
      train, evaluation: predicted rows per class in each mode.
      margin, alpha: see the module's docstring.
      classes: number of classes K; at least those that were predicted in either mode.
    """
    rows = sum(train.values())
    classes = max(classes, len(set(train) | set(evaluation)))
    statistic = total_variation(shares(train), shares(evaluation))
    return _test(statistic, margin, 0.5 * math.sqrt(2 * classes / rows), 2 / rows, alpha)
