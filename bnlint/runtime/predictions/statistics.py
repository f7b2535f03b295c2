"""Statistics of predicted-class counts, and the tests behind BN601 and BN602.

Every test here has a *margin*: its null hypothesis allows a deviation up to the margin, so a
million rows don't raise an alarm over a trivial difference. Every test is exact or an inequality,
so its false-alarm rate is at most `alpha` at every sample size, for every distribution
inside the margin, not only for large samples as with chi-square or G.

The units are taken to be predicted independently of each other, which inference mode ensures for
the examples of a classifier. The pixels of one image are not independent: there the image is the
unit (see `share_tail`). `tests/runtime/predictions/test_statistics.py` measures the false-alarm
rates on the boundary of the null hypotheses, where they are largest, and
`benchmarks/predictions.md` on whole models, with the power.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ClassId = int | str
Counts = Mapping[ClassId, int]

_SINGLE_PART, _OTHERS_PART, _SETS_PART = 0.9, 0.05, 0.05
"""Parts of alpha: for a class that is expected, for all others together, for sets of classes."""
_EXPECTED_PART = 0.1
"""Part of alpha for the chance that the expected shares were counted too low on other rows."""


@dataclass(frozen=True)
class TestResult:
    """Outcome of one test.

    Attributes:
      statistic: the measured deviation, a share in [0, 1].
      margin: the deviation the null hypothesis still allows.
      threshold: the smallest deviation that raises an alarm at this sample size; infinite where
        none does.
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

    @property
    def threshold_text(self) -> str:
        """Where the alarm begins, in words."""
        if math.isinf(self.threshold):
            return "no alarm is possible with so few rows"
        return f"alarm from {self.threshold:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which has no infinity."""
        return vars(self) | {"threshold": None if math.isinf(self.threshold) else self.threshold}


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


def share_tail(surplus: Any, units: float, share: Any, *, exact: bool) -> np.ndarray:
    """Bound of P(a share of at least `surplus` of all rows in a set), if the true share is `share`.

    Exact: the binomial tail. It also bounds rows with shares of their own whose mean is `share`,
    where surplus * units >= share * units + 1 (Hoeffding 1956, "On the distribution of the number
    of successes in independent trials"); elsewhere the bound is 1.

    Otherwise each unit (an image) is a share of its own in [0, 1], whatever its pixels have to do
    with each other: exp(-units * KL(surplus || share)) (Hoeffding 1963, "Probability inequalities
    for sums of bounded random variables", theorem 1). Units of different size count by
    their part of the largest one; the same proof holds, as x ** a is concave.

    Args:
      surplus, share: arrays of the same shape, shares of all rows.
      units: number of independent units; a whole number where `exact`.
    """
    import numpy as np
    from scipy.special import rel_entr
    from scipy.stats import binom

    surplus, share = np.broadcast_arrays(np.asarray(surplus, float), np.asarray(share, float))
    share = np.minimum(share, 1.0)
    if exact:
        count = np.rint(surplus * units)
        tail = np.where(count >= share * units + 1, binom.sf(count - 1, units, share), 1.0)
        return np.where(share >= 1, 1.0, tail)
    distance = rel_entr(surplus, share) + rel_entr(1 - surplus, 1 - share)
    return np.where(surplus > share, np.exp(-units * distance), 1.0)


def _set_penalties(order: np.ndarray) -> np.ndarray:
    """What a p-value is multiplied by for having been the least of all sets (Bonferroni).

    `order` holds the K expected classes and, as K, all others together; the sets are its
    beginnings, without the whole. Each of the C(K + 1, k) sets of k classes gets the same part of
    alpha, and all those of size k > 1 together 2 ** (1 - k) of `_SETS_PART`.
    """
    import numpy as np
    from scipy.special import gammaln

    classes = len(order) - 1
    sizes = np.arange(1, classes + 1)
    log_sets = gammaln(classes + 2) - gammaln(sizes + 1) - gammaln(classes + 2 - sizes)
    log_parts = math.log(_SETS_PART) - (sizes - 1) * math.log(2)
    penalties = np.exp(np.minimum(log_sets - log_parts, 700.0))
    penalties[0] = 1 / _OTHERS_PART if order[0] == classes else classes / _SINGLE_PART
    return penalties


def distribution_test(
    counts: Counts,
    expected: Mapping[ClassId, float],
    *,
    margin: float,
    alpha: float,
    expected_rows: int | None = None,
    units: float | None = None,
) -> TestResult:
    """Is the predicted distribution farther than `margin` from the expected one?

    Null hypothesis: the total variation distance of the classifier's true prediction
    distribution to the true expected one is at most `margin`. That distance is the largest surplus
    of any set of classes, so under the null each set's true share is at most its expected share
    plus the margin. The sets of the k classes with the largest surplus are tested, k = 1, 2, ...,
    each by the exact binomial tail of its share (`share_tail`), times the number of sets of that
    size (`_set_penalties`): the Bonferroni inequality over all sets of all sizes.

    The number of sets must not depend on the predictions. All classes that are not expected are
    one class, therefore.

    Where the expected shares were counted on other rows, each is replaced by its upper
    Clopper-Pearson limit (1934), and that of the classes which were not counted at all by
    `_unseen_share`. Both together fail in a tenth of alpha, which is added to the p-value (Berger
    and Boos 1994, "P values maximized over a confidence set for the nuisance parameter").

    Args:
      counts: predicted rows per class.
      expected: expected share per class; sums to 1.
      margin, alpha: see the module's docstring.
      expected_rows: number of rows the expected shares were counted on, where those are other
        rows than the predicted ones. None: the shares are exact, or they are those of the very rows
        that were predicted (the test then is conditional on the labels).
      units: number of independent units, where that is not the number of rows (see `share_tail`).

    Returns:
      The result for the set of classes with the least p-value: `statistic` is its surplus.
    """
    import numpy as np

    rows = sum(counts.values())
    known = [name for name, share in expected.items() if share > 0]
    predicted = np.array([counts.get(name, 0) for name in known] + [0], float)
    predicted[-1] = rows - predicted.sum()
    wanted = np.array([expected[name] for name in known] + [0.0])
    order = np.argsort(wanted - predicted / rows, kind="stable")
    share = predicted[order].cumsum()[:-1] / rows
    usual = wanted[order].cumsum()[:-1]
    penalties = _set_penalties(order)
    limit, spent = usual, 0.0
    if expected_rows is not None:
        spent = _EXPECTED_PART * alpha
        limit = _upper_limits(usual, expected_rows, spent / 2 / penalties)
        has_others = (order == len(known)).cumsum()[:-1]
        limit = limit + has_others * _unseen_share(wanted, expected_rows, spent / 2)
    exact = units is None
    tails = share_tail(share, units or rows, limit + margin, exact=exact)
    values = np.minimum(1.0, penalties * tails + spent)
    best = int(values.argmin()) if values.min() < 1 else int((share - usual).argmax())
    level = (alpha - spent) / penalties[best]
    needed = _needed_share(level, units or rows, float(limit[best]) + margin, exact=exact)
    statistic = float(share[best] - usual[best])
    threshold = needed - float(usual[best])
    return TestResult(
        statistic, margin, threshold, float(values[best]), bool(values[best] <= alpha)
    )


def _unseen_share(shares: np.ndarray, rows: int, level: float) -> float:
    """The limit of the share of all classes that are not among the rows that were counted.

    Good and Turing's estimate, the classes that occur once by the rows, and what it is exceeded by
    with a probability of at most `level` (McAllester and Schapire 2000, "On the convergence rate of
    Good-Turing estimators", theorem 1).
    """
    once = float((abs(shares * rows - 1) < 0.5).sum())
    return once / rows + (2 * math.sqrt(2) + math.sqrt(3)) * math.sqrt(math.log(3 / level) / rows)


def _upper_limits(shares: np.ndarray, rows: int, levels: np.ndarray) -> np.ndarray:
    """Clopper-Pearson: the shares above which `shares` of `rows` would be rarer than `levels`."""
    import numpy as np
    from scipy.stats import beta

    count = np.minimum(np.rint(shares * rows), rows)
    return np.where(count >= rows, 1.0, beta.isf(levels, count + 1, np.maximum(rows - count, 1)))


def _needed_share(level: float, units: float, share: float, *, exact: bool) -> float:
    """The least share of a set of classes whose `share_tail` is at most `level`; inf: none."""
    from scipy.stats import binom

    if exact and share < 1:
        count = max(float(binom.isf(level, units, share)) + 1, math.ceil(share * units + 1))
        return count / units if count <= units else math.inf
    if share >= 1 or float(share_tail(1.0, units, share, exact=False)) > level:
        return math.inf
    low, high = share, 1.0
    for _ in range(60):  # the tail falls in between
        middle = (low + high) / 2
        if float(share_tail(middle, units, share, exact=False)) <= level:
            high = middle
        else:
            low = middle
    return high


def top_share_test(
    counts: Counts, *, ceiling: float, alpha: float, units: float | None = None
) -> TestResult:
    """Is one class predicted for more than `ceiling` of the rows? Needs no expected distribution.

    Null hypothesis: no class has a true share above `ceiling` (> 0.5). The tail probability
    P(Binomial(n, q) >= t) is convex in q below (t - 1) / (n - 1), hence its sum over all classes
    is largest for the shares (ceiling, 1 - ceiling): the exact p-value is the sum of those two
    binomial tails, and nothing is lost by having picked the top class after the fact. (Where
    t <= ceiling * (n - 1) + 1 the sum is no upper bound, but it is above 0.1 and raises no alarm.)
    With `units`, `share_tail` of an image's pixels takes the place of both, for two classes.
    """
    from scipy.stats import binom

    rows, top = sum(counts.values()), max(counts.values())
    if units is not None:
        p_value = min(1.0, 2 * float(share_tail(top / rows, units, ceiling, exact=False)))
        needed = _needed_share(alpha / 2, units, ceiling, exact=False)
        return TestResult(top / rows, ceiling, needed, p_value, p_value <= alpha)
    p_value = float(binom.sf(top - 1, rows, ceiling) + binom.sf(top - 1, rows, 1 - ceiling))
    threshold = (float(binom.isf(alpha, rows, ceiling)) + 1) / rows
    return TestResult(top / rows, ceiling, threshold, p_value, p_value <= alpha)


def few_classes_test(
    counts: Counts, *, classes: int, few: int, ceiling: float, alpha: float
) -> tuple[int, TestResult]:
    """Are at most `few` of `classes` classes predicted for more than `ceiling` of the rows?

    Null hypothesis: no set of that many classes has a true share above `ceiling`. The exact
    binomial tail of the k most predicted ones, k = 1, ..., few, times the number of such sets and 2
    ** k (Bonferroni; the last k gets what is left). Returns k, and the result for it.
    """
    import numpy as np
    from scipy.special import gammaln

    rows = sum(counts.values())
    sizes = np.arange(1, few + 1)
    most = sorted(counts.values(), reverse=True)[:few]
    share = np.array([*most, *[0] * (few - len(most))]).cumsum() / rows
    log_sets = gammaln(classes + 1) - gammaln(sizes + 1) - gammaln(classes - sizes + 1)
    halves = np.minimum(sizes, few - 1)
    penalties = np.exp(np.minimum(log_sets + halves * math.log(2), 700.0))
    values = np.minimum(1.0, penalties * share_tail(share, rows, ceiling, exact=True))
    best = int(values.argmin())
    threshold = _needed_share(alpha / penalties[best], rows, ceiling, exact=True)
    p_value = float(values[best])
    return best + 1, TestResult(float(share[best]), ceiling, threshold, p_value, p_value <= alpha)


def accuracy_gap_test(
    train_right: int,
    eval_right: int,
    rows: int,
    *,
    margin: float,
    alpha: float,
    units: float | None = None,
) -> TestResult:
    """Is training mode more accurate than inference mode by more than `margin`, on the same rows?

    Each row contributes +1 (right in training mode only), -1 (right in inference mode only) or
    0 to the gap, so Hoeffding's inequality for values in [-1, 1] (Hoeffding 1963) gives
    P(gap - truth >= t) <= exp(-n t^2 / 2). The mean over an image's pixels lies in [-1, 1], too, so
    with `units` images n is their number.
    """
    return _test((train_right - eval_right) / rows, margin, 0.0, 2 / (units or rows), alpha)


def paired_distribution_test(
    train: Counts,
    evaluation: Counts,
    *,
    margin: float,
    alpha: float,
    classes: int = 0,
    units: float | None = None,
) -> TestResult:
    """Do both modes' predicted distributions on the same n rows differ by more than `margin`?

    As `distribution_test`, but one row changes the distance by at most 2 / n, and the mean
    of the sampling distance is at most sqrt(2 K / n) / 2, because the difference of a row's two
    indicators of a class has a second moment of at most the class's shares in both modes.

    Args:
      train, evaluation: predicted rows per class in each mode.
      margin, alpha: see the module's docstring.
      classes: number of classes K; at least those that were predicted in either mode.
      units: number of images, for pixels: what is said of a row's indicators holds for the shares
        of an image's pixels.
    """
    rows = units or sum(train.values())
    classes = max(classes, len(set(train) | set(evaluation)))
    statistic = total_variation(shares(train), shares(evaluation))
    return _test(statistic, margin, 0.5 * math.sqrt(2 * classes / rows), 2 / rows, alpha)
