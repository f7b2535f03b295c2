"""The tests behind BN601 and BN602: false-alarm rates by simulation, power, and arithmetic."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("scipy")

from bnlint.registry import all_rules
from bnlint.runtime.predictions.statistics import (
    TestResult,
    accuracy_gap_test,
    distribution_test,
    effective_classes,
    entropy_bits,
    few_classes_test,
    paired_distribution_test,
    top_share_test,
    total_variation,
)

MARGIN = 0.3
RUNS = 2000


def counts(sample: np.ndarray) -> Counter:
    names, numbers = np.unique(sample, return_counts=True)
    return Counter(dict(zip(names.tolist(), numbers.tolist(), strict=True)))


def on_the_boundary(expected: np.ndarray, margin: float) -> np.ndarray:
    """A distribution at a total variation distance of just `margin`, with mass moved to class 0."""
    moved = expected.copy()
    left = margin
    for index in range(len(moved) - 1, 0, -1):
        taken = min(left, moved[index])
        moved[index] -= taken
        left -= taken
    assert math.isclose(left, 0, abs_tol=1e-12)
    moved[0] += margin
    return moved


def false_alarms(experiment: Callable[[np.random.Generator], TestResult]) -> float:
    random = np.random.default_rng(20240917)
    return sum(experiment(random).alarm for _ in range(RUNS)) / RUNS


@pytest.mark.parametrize("alpha", [0.1, 0.01])
@pytest.mark.parametrize("rows", [20, 500])
@pytest.mark.parametrize("classes", [2, 10])
def test_false_alarm_rate_against_exact_expectations(classes: int, rows: int, alpha: float) -> None:
    expected = np.full(classes, 1 / classes)
    truth = on_the_boundary(expected, MARGIN)
    shares = dict(enumerate(expected))

    def experiment(random: np.random.Generator) -> TestResult:
        sample = counts(random.choice(classes, rows, p=truth))
        return distribution_test(sample, shares, margin=MARGIN, alpha=alpha)

    assert false_alarms(experiment) <= alpha


def test_false_alarm_rate_when_the_moved_mass_lies_in_many_unexpected_classes() -> None:
    def experiment(random: np.random.Generator) -> TestResult:
        inside = random.integers(0, 2, 50)
        sample = np.where(random.random(50) < MARGIN, random.integers(2, 1000, 50), inside)
        return distribution_test(counts(sample), {0: 0.5, 1: 0.5}, margin=MARGIN, alpha=0.1)

    assert false_alarms(experiment) <= 0.1


def test_false_alarm_rate_against_the_labels_of_the_same_rows() -> None:
    """A weak model: it takes 30 % of the rows, whatever they are, for class 0."""

    def experiment(random: np.random.Generator) -> TestResult:
        labels = random.integers(1, 6, 200)
        predicted = np.where(random.random(200) < MARGIN, 0, labels)
        shares = {name: count / 200 for name, count in counts(labels).items()}
        return distribution_test(counts(predicted), shares, margin=MARGIN, alpha=0.1)

    assert false_alarms(experiment) <= 0.1


def test_false_alarm_rate_against_expectations_counted_on_other_rows() -> None:
    expected = np.array([0.4, 0.3, 0.2, 0.1])
    truth = on_the_boundary(expected, MARGIN)

    def experiment(random: np.random.Generator) -> TestResult:
        counted = counts(random.choice(4, 60, p=expected))
        shares = {name: count / 60 for name, count in counted.items()}
        sample = counts(random.choice(4, 40, p=truth))
        return distribution_test(sample, shares, margin=MARGIN, alpha=0.1, expected_rows=60)

    assert false_alarms(experiment) <= 0.1


def test_classes_that_were_never_counted_on_the_other_rows_are_no_surplus() -> None:
    """A thousand classes and 500 rows to learn their shares from: most of them were never seen."""

    def experiment(random: np.random.Generator) -> TestResult:
        counted = counts(random.integers(0, 1000, 500))
        shares = {name: count / 500 for name, count in counted.items()}
        sample = counts(random.integers(0, 1000, 200))
        return distribution_test(sample, shares, margin=MARGIN, alpha=0.1, expected_rows=500)

    random = np.random.default_rng(0)
    assert not any(experiment(random).alarm for _ in range(100))


@pytest.mark.parametrize("alpha", [0.1, 0.01])
@pytest.mark.parametrize("rows", [10, 59, 100, 1000])
def test_false_alarm_rate_of_the_top_share(rows: int, alpha: float) -> None:
    def experiment(random: np.random.Generator) -> TestResult:
        sample = counts((random.random(rows) < 0.95).astype(int))
        return top_share_test(sample, ceiling=0.95, alpha=alpha)

    rate = false_alarms(experiment)
    # The test is exact: RUNS runs scatter around a rate of at most alpha.
    assert rate <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / RUNS)


def test_false_alarm_rate_of_the_accuracy_gap() -> None:
    def experiment(random: np.random.Generator) -> TestResult:
        lost = random.random(100) < 0.1  # right in training mode only: a gap of just the margin
        return accuracy_gap_test(100, 100 - int(lost.sum()), 100, margin=0.1, alpha=0.1)

    assert false_alarms(experiment) <= 0.1


@pytest.mark.parametrize("rows", [30, 400])
def test_false_alarm_rate_of_paired_distributions(rows: int) -> None:
    expected = np.full(5, 0.2)
    moved = on_the_boundary(expected, MARGIN)

    def experiment(random: np.random.Generator) -> TestResult:
        # Independent modes scatter the most.
        train = counts(random.choice(5, rows, p=expected))
        evaluation = counts(random.choice(5, rows, p=moved))
        return paired_distribution_test(train, evaluation, margin=MARGIN, alpha=0.1, classes=5)

    assert false_alarms(experiment) <= 0.1


@pytest.mark.parametrize("images", [10, 40])
def test_false_alarm_rate_of_pixels_that_depend_on_each_other(images: int) -> None:
    """Whole images move to another class, as many as the margin allows."""
    shares = dict.fromkeys(range(4), 0.25)

    def experiment(random: np.random.Generator) -> TestResult:
        whole = random.random(images) < MARGIN
        sample = np.where(whole[:, None], 0, random.integers(0, 4, (images, 25)))
        options = {"margin": MARGIN * 0.75, "alpha": 0.1, "units": images}
        return distribution_test(counts(sample), shares, **options)

    assert false_alarms(experiment) <= 0.1


def test_pixels_taken_for_rows_would_give_false_alarms() -> None:
    """What the test of images is for: this fails where an image's pixels are independent."""
    shares = dict.fromkeys(range(4), 0.25)

    def experiment(random: np.random.Generator) -> TestResult:
        whole = random.random(10) < MARGIN
        sample = np.where(whole[:, None], 0, random.integers(0, 4, (10, 25)))
        return distribution_test(counts(sample), shares, margin=MARGIN * 0.75, alpha=0.1)

    assert false_alarms(experiment) > 0.1


def test_false_alarm_rate_of_few_classes() -> None:
    truth = np.array([0.4, 0.4, *[0.2 / 18] * 18])

    def experiment(random: np.random.Generator) -> TestResult:
        sample = counts(random.choice(20, 100, p=truth))
        return few_classes_test(sample, classes=20, few=2, ceiling=0.8, alpha=0.1)[1]

    assert false_alarms(experiment) <= 0.1


def test_one_class_of_many_is_found_without_labels() -> None:
    sample = dict.fromkeys(range(100), 1) | {7: 900}
    few, result = few_classes_test(sample, classes=1000, few=100, ceiling=0.8, alpha=0.001)
    assert few == 1 and result.alarm


def test_power_on_collapse() -> None:
    """Ten classes, 100 rows, nine in ten predictions in one class: an alarm every time."""
    shares = dict.fromkeys(range(10), 0.1)
    random = np.random.default_rng(1)
    for _ in range(300):
        sample = np.where(random.random(100) < 0.9, 3, random.integers(0, 10, 100))
        assert distribution_test(counts(sample), shares, margin=MARGIN, alpha=0.001).alarm


@pytest.mark.parametrize(("classes", "rows"), [(10, 11), (2, 35), (1000, 12)])
def test_rows_that_a_collapse_needs_are_those_in_the_documentation(classes: int, rows: int) -> None:
    shares = dict.fromkeys(range(classes), 1 / classes)
    found = [
        distribution_test({0: count}, shares, margin=MARGIN, alpha=0.001).alarm
        for count in (rows - 1, rows)
    ]
    assert found == [False, True]
    assert f"from {rows} rows on" in all_rules()["BN601"].why


def test_rows_that_a_collapse_without_labels_needs() -> None:
    assert not top_share_test({7: 134}, ceiling=0.95, alpha=0.001).alarm
    assert top_share_test({7: 135}, ceiling=0.95, alpha=0.001).alarm
    assert "135 rows of one class" in all_rules()["BN601"].why


def test_many_rows_do_not_turn_a_slight_bias_into_an_alarm() -> None:
    shares = dict.fromkeys(range(10), 0.1)
    sample = dict.fromkeys(range(10), 1000000) | {0: 3_000_000}
    result = distribution_test(sample, shares, margin=MARGIN, alpha=0.001)
    assert result.statistic < MARGIN and result.p_value == 1.0 and not result.alarm


def test_the_threshold_is_where_the_p_value_meets_alpha() -> None:
    shares = dict.fromkeys(range(4), 0.25)
    for top in range(100, 400):
        sample = {0: top, 1: 400 - top}
        result = distribution_test(sample, shares, margin=MARGIN, alpha=0.01)
        assert result.alarm == (result.statistic >= result.threshold) == (result.p_value <= 0.01)


def test_entropy_and_effective_classes() -> None:
    assert entropy_bits([1, 1, 1, 1]) == 2.0 and effective_classes([5, 5, 5, 5, 0]) == 4.0
    assert entropy_bits([7]) == 0.0 and entropy_bits([]) == 0.0
    # 3/4 and 1/4: 0.75 log2(4/3) + 0.25 log2(4)
    assert entropy_bits([3, 1]) == pytest.approx(0.8112781244591328)


def test_total_variation() -> None:
    assert total_variation({"a": 1.0}, {"b": 1.0}) == 1.0
    assert total_variation({0: 0.5, 1: 0.5}, {0: 0.8, 1: 0.2}) == pytest.approx(0.3)
