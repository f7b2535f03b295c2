"""Judging moving statistics as training goes on, and spending a bounded share of its time."""

import numpy as np
import pytest

pytest.importorskip("numpy")

from bnlint.findings import Confidence
from bnlint.runtime.monitor.statistics import (
    OverheadBudget,
    Schedule,
    StatisticsWatch,
    WatchedLayer,
    batch_statistics,
    spread,
)
from bnlint.runtime.moving_statistics import Statistics, distance, distance_limit


def statistics(mean: float, variance: float, gamma: float | None = None) -> Statistics:
    scale = None if gamma is None else np.full(3, gamma, np.float32)
    moments = (np.full(3, value, np.float32) for value in (mean, variance))
    return Statistics("bn", *moments, gamma=scale)


def watch(**options: object) -> StatisticsWatch:
    return StatisticsWatch([WatchedLayer("bn", **options)], "model", "BN209")  # type: ignore[arg-type]


def test_a_trained_layer_with_initial_statistics_is_told_once() -> None:
    observer = watch(decay=0.9)
    assert observer.observe(0, {"bn": statistics(0, 1, gamma=1.0)}) == []
    assert observer.observe(9, {"bn": statistics(0, 1, gamma=1.1)}) == []
    (finding,) = observer.observe(10, {"bn": statistics(0, 1, gamma=1.2)})
    assert finding.code == "BN209" and finding.confidence is Confidence.HIGH
    assert finding.location.node == "bn" and "after 10 training steps" in finding.message
    assert observer.observe(20, {"bn": statistics(0, 1, gamma=1.3)}) == []


@pytest.mark.parametrize(
    ("options", "first", "later"),
    [
        ({"moves": False}, statistics(0, 1, 1.0), statistics(0, 1, 2.0)),
        ({}, statistics(0.4, 2, 1.0), statistics(0.4, 2, 2.0)),
        ({}, statistics(0, 1, 1.0), statistics(0, 1, 1.0)),
        ({}, statistics(0, 1, 1.0), statistics(0.1, 1, 2.0)),
    ],
    ids=["frozen", "pretrained", "takes no part", "updated"],
)
def test_still_statistics_that_are_no_mistake(
    options: dict, first: Statistics, later: Statistics
) -> None:
    observer = watch(decay=0.9, **options)
    assert observer.observe(0, {"bn": first}) == []
    assert observer.observe(100, {"bn": later}) == []


def test_without_gamma_and_beta_the_confidence_is_less() -> None:
    observer = watch()
    observer.observe(0, {"bn": statistics(0, 1)})
    (finding,) = observer.observe(10, {"bn": statistics(0, 1)})
    assert finding.confidence is Confidence.MEDIUM


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (statistics(np.nan, 1), "NaN or infinite"),
        (statistics(0, np.inf), "NaN or infinite"),
        (statistics(0, -1e-3), "negative"),
    ],
)
def test_invalid_statistics(bad: Statistics, text: str) -> None:
    observer = watch()
    (finding,) = observer.observe(0, {"bn": bad})
    assert finding.code == "BN502" and text in finding.message


def test_nothing_more_is_said_of_invalid_statistics() -> None:
    observer = watch(decay=0.9)
    train(observer, 0.9, [(5.0, 9.0)] * 100 + [(np.nan, 1.0)] * 8)
    assert observer.conclude() == []


def test_many_layers_are_one_finding() -> None:
    names = ["a", "b", "c"]
    observer = StatisticsWatch([WatchedLayer(name) for name in names], "model", "BN101")
    (finding,) = observer.observe(0, {name: statistics(np.nan, 1) for name in names})
    assert "and 2 more batch norms" in finding.message
    assert [item.location.node for item in finding.related] == ["b", "c"]


def train(observer: StatisticsWatch, decay: float, batches: list[tuple[float, float]]) -> None:
    mean, variance = 0.0, 1.0
    observer.observe(0, {"bn": statistics(mean, variance)})
    for step, (batch_mean, batch_variance) in enumerate(batches, 1):
        mean = decay * mean + (1 - decay) * batch_mean
        variance = decay * variance + (1 - decay) * batch_variance
        observer.observe(step, {"bn": statistics(mean, variance)})


def test_statistics_that_followed_the_batches_are_fine() -> None:
    observer = watch(decay=0.9)
    train(observer, 0.9, [(5.0, 9.0)] * 100)
    assert observer.conclude() == []
    batch = observer.batch("bn")
    assert batch is not None and np.allclose(batch.mean, 5, rtol=1e-3)


def test_too_few_steps_for_the_decay() -> None:
    observer = watch(decay=0.999)
    train(observer, 0.999, [(5.0, 9.0)] * 60)
    (finding,) = observer.conclude()
    assert finding.code == "BN303"
    assert "after 60 steps with decay 0.999" in finding.message and "94%" in finding.message


def test_a_smoke_test_is_not_judged() -> None:
    observer = watch(decay=0.999)
    train(observer, 0.999, [(5.0, 9.0)] * 20)
    assert observer.conclude() == []


def test_statistics_far_from_the_last_batches() -> None:
    observer = watch(decay=0.99)
    train(observer, 0.99, [(0.0, 1.0)] * 300 + [(30.0, 1.0)] * 8)
    (finding,) = observer.conclude()
    assert finding.code == "BN503" and "one standard deviation" in finding.message


@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999])
def test_batch_statistics_are_recovered(decay: float) -> None:
    random = np.random.default_rng(3)
    before, batch = (
        Statistics("", random.normal(size=8).astype("f4"), random.uniform(0.5, 2, 8).astype("f4"))
        for _ in range(2)
    )
    after = Statistics(
        "",
        (decay * before.mean + (1 - decay) * batch.mean).astype("f4"),
        (decay * before.variance + (1 - decay) * batch.variance).astype("f4"),
    )
    found = batch_statistics(before, after, decay)
    assert np.allclose(found.mean, batch.mean, atol=1e-3)
    assert np.allclose(found.variance, batch.variance, atol=1e-3)


def test_distance() -> None:
    """The mean's 2 standard deviations count for more than the variance's factor of 4."""
    assert distance(statistics(4, 16), statistics(0, 4), epsilon=0.0) == pytest.approx(2.0)
    assert distance(statistics(1, 64), statistics(0, 4), epsilon=0.0) == pytest.approx(2.0)
    assert distance(statistics(0, 4), Statistics(mean=np.zeros(2), variance=np.ones(2))) == 0.0


def test_fewer_examples_need_a_larger_distance() -> None:
    assert distance_limit(7) == float("inf")
    assert distance_limit(9) == pytest.approx(2.0) and distance_limit(900) == pytest.approx(1.1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("cost", [0.0001, 0.01, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.2])
def test_the_budget_is_kept(cost: float, share: float) -> None:
    clock = Clock()
    budget = OverheadBudget(share, clock)
    schedule, reads = Schedule(budget), 0
    for _ in range(20_000):
        clock.now += 0.05  # a training step
        if schedule.due():
            reads += 1
            with budget.charge():
                clock.now += cost
    # The first pair is free, and every second read of a pair follows its first at once.
    assert budget.spent == pytest.approx(reads * cost)
    assert budget.spent <= share * clock.now + 2 * cost
    assert reads >= 2


def test_cheap_reads_happen_at_every_step() -> None:
    clock = Clock()
    budget = OverheadBudget(0.5, clock)
    schedule = Schedule(budget)
    clock.now = 1.0
    assert all(schedule.due() for _ in range(10))


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_budgets_without_a_meaning(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        OverheadBudget(share)


def test_spread_keeps_both_ends() -> None:
    names = [str(number) for number in range(100)]
    chosen = spread(names, 16)
    assert len(set(chosen)) == 16 and chosen[0] == "0" and chosen[-1] == "99"
    assert spread(names[:5], 16) == names[:5]
