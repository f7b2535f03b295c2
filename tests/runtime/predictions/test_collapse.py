"""`PredictionMonitor` and `ModeGapMonitor`: counting, merging, judging."""

import pickle
from functools import reduce
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from bnlint import ModeGapMonitor, PredictionMonitor
from bnlint.findings import Confidence
from bnlint.runtime.predictions.collapse import Thresholds

SCORES = st.floats(-4, 4, width=32) | st.just(float("nan"))
ROW = st.tuples(SCORES, SCORES, SCORES, st.integers(0, 2))


def arrays(rows: list[tuple[float, float, float, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    return table[:, :3].astype(np.float32), table[:, 3].astype(np.int64)


def monitor_of(rows: list[tuple[float, float, float, int]], **settings: Any) -> PredictionMonitor:
    monitor = PredictionMonitor(**settings)
    if rows:
        monitor.update(*arrays(rows))
    return monitor


@given(st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=5))
def test_merged_chunks_equal_a_single_pass(chunks: list[list[tuple]]) -> None:
    whole = monitor_of([row for chunk in chunks for row in chunk])
    parts = [monitor_of(chunk) for chunk in chunks]
    streamed = PredictionMonitor()
    for chunk in chunks:
        if chunk:
            streamed.update(*arrays(chunk))
    assert reduce(PredictionMonitor.merge, parts).report() == whole.report() == streamed.report()


@given(st.lists(st.lists(ROW, max_size=6), min_size=3, max_size=3))
def test_merge_is_associative_and_commutative(chunks: list[list[tuple]]) -> None:
    a, b, c = (monitor_of(chunk) for chunk in chunks)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b)


@given(st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=4))
def test_merged_gap_monitors_equal_a_single_pass(chunks: list[list[tuple]]) -> None:
    def gap_of(rows: list[tuple]) -> ModeGapMonitor:
        monitor = ModeGapMonitor()
        if rows:
            scores, labels = arrays(rows)
            monitor.update(scores, -scores, labels)
        return monitor

    whole = gap_of([row for chunk in chunks for row in chunk])
    assert reduce(ModeGapMonitor.merge, map(gap_of, chunks)) == whole


def test_statistics_of_a_small_example() -> None:
    monitor = PredictionMonitor(num_classes=4)
    monitor.update([0, 0, 0, 1], [0, 0, 1, 1])
    report = monitor.report()
    assert report.rows == 4 and report.top_class == 0 and report.top_share == 0.75
    assert report.entropy_bits == pytest.approx(0.8112781)
    assert report.expected_effective_classes == 2.0
    assert report.accuracy == 0.75
    assert [row.recall for row in report.classes] == [1.0, 0.5, None, None]
    assert [row.name for row in report.classes] == [0, 1, 2, 3]


def test_collapse_with_labels_is_a_finding_of_high_confidence() -> None:
    monitor = PredictionMonitor()
    labels = np.arange(500) % 10
    monitor.update(np.full(500, 3), labels)
    (finding,) = monitor.report().findings("predictions.npy")
    assert finding.code == "BN601" and finding.confidence is Confidence.HIGH
    assert "100.0% of 500 rows are class 3" in finding.message
    assert "10.00 are expected" in finding.message


def test_good_predictions_are_no_finding() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 1000)
    wrong = random.random(1000) < 0.2
    monitor = PredictionMonitor()
    monitor.update(np.where(wrong, random.integers(0, 10, 1000), labels), labels)
    assert monitor.report().findings("x") == []


def test_more_diverse_predictions_than_labels_are_no_collapse() -> None:
    monitor = PredictionMonitor(num_classes=10)
    monitor.update(np.arange(1000) % 10, np.zeros(1000, int))
    report = monitor.report()
    assert report.test is not None and report.test.alarm
    assert not report.collapsed and report.findings("x") == []


def test_without_labels_the_confidence_is_low() -> None:
    monitor = PredictionMonitor()
    monitor.update(np.zeros(1000, int))
    (finding,) = monitor.report().findings("x")
    assert finding.confidence is Confidence.LOW


def test_an_expected_distribution_replaces_labels() -> None:
    monitor = PredictionMonitor(expected={"cat": 2, "dog": 1, "newt": 1})
    monitor.update(["cat"] * 300)
    report = monitor.report()
    assert report.collapsed and report.against == "the expected distribution"
    assert [row.name for row in report.classes] == ["cat", "dog", "newt"]


def test_nan_rows_are_counted_and_reported_but_never_argmaxed() -> None:
    scores = np.eye(3)[[0, 1, 2, 0]]
    scores[1, 2] = np.nan
    monitor = PredictionMonitor()
    monitor.update(scores, [0, 1, 2, 0])
    report = monitor.report()
    assert (report.rows, report.nan_rows, report.accuracy) == (3, 1, 1.0)
    (finding,) = report.findings("x")
    assert "1 of 4 rows of scores hold NaN" in finding.message


def test_all_nan() -> None:
    monitor = PredictionMonitor()
    monitor.update(np.full((5, 3), np.nan))
    report = monitor.report()
    assert report.rows == 0 and report.test is None and report.top_class is None
    assert len(report.findings("x")) == 1


def test_ties_are_counted() -> None:
    monitor = PredictionMonitor()
    monitor.update([[0.0, 0.0], [1.0, 0.0]])
    assert monitor.report().tied_rows == 1


@pytest.mark.parametrize(
    "predictions",
    [
        np.array([1, 2, 1], np.uint8),
        np.array([1.0, 2.0, 1.0], np.float16),
        np.array([[1], [2], [1]]),
        np.eye(3)[[1, 2, 1]],
        np.array([[-3.0, 5.0, -np.inf], [0.0, 1.0, 2.0], [0.0, 1.0, 0.5]]),
        [1, 2, 1],
    ],
    ids=["uint8", "float16", "column", "one-hot", "logits", "list"],
)
def test_kinds_of_predictions(predictions: Any) -> None:
    monitor = PredictionMonitor()
    monitor.update(predictions)
    assert dict(monitor.predicted) == {1: 2, 2: 1}


@pytest.mark.parametrize(
    "names",
    [["a", "b"], np.array(["a", "b"]), np.array([b"a", b"b"]), np.array([b"a", "b"], object)],
    ids=["list", "unicode", "bytes", "tensorflow"],
)
def test_class_names(names: Any) -> None:
    monitor = PredictionMonitor()
    monitor.update(names, ["a", "a"])
    assert dict(monitor.predicted) == {"a": 1, "b": 1}
    assert monitor.report().accuracy == 0.5


def test_binary_scores_with_a_threshold() -> None:
    monitor = PredictionMonitor(threshold=0.5)
    monitor.update([0.1, 0.9, np.nan, 0.5])
    assert dict(monitor.predicted) == {0: 2, 1: 1} and monitor.nan_rows == 1
    monitor.update([[0.9]])
    assert monitor.predicted[1] == 2


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        ([0.5, 0.25], None, "not class ids"),
        ([1e300, 0.0], None, "not class ids"),
        ([0.0, np.nan], None, "NaN or infinite"),
        (["a", ""], None, "missing"),
        (np.array(["a", None], object), None, "missing"),
        (np.zeros((2, 3, 4)), None, "shape"),
        (np.zeros((2, 0)), None, "shape"),
        (np.zeros(2, complex), None, "neither class ids nor scores"),
        ([0, 1], [0], "2 predictions, but 1 labels"),
        ([0, 1], ["a", "b"], "names"),
        ([0, 1], [[0, 1], [0, 0]], "no single largest"),
        ([0, 1], [0.0, np.nan], "labels: a class id is NaN"),
    ],
)
def test_bad_chunks_leave_the_monitor_unchanged(
    predictions: Any, labels: Any, message: str
) -> None:
    monitor = PredictionMonitor()
    monitor.update([0, 1], None if labels is None else [0, 1])
    before = pickle.dumps(monitor)
    with pytest.raises(ValueError, match=message):
        monitor.update(predictions, labels)
    assert pickle.loads(before) == monitor


def test_ids_beyond_the_number_of_classes() -> None:
    monitor = PredictionMonitor(num_classes=10)
    with pytest.raises(ValueError, match="class id 10 is not in"):
        monitor.update([3, 10])
    with pytest.raises(ValueError, match="class id -1 is not in"):
        monitor.update([3, 4], [3, -1])
    assert not monitor.predicted


def test_hashes_are_no_classes() -> None:
    with pytest.raises(ValueError, match="these are not class ids"):
        PredictionMonitor().update(np.arange(100_001))


def test_labels_must_come_with_every_chunk() -> None:
    monitor = PredictionMonitor()
    monitor.update([0], [0])
    with pytest.raises(ValueError, match="some chunks came with labels"):
        monitor.update([0])


def test_what_cannot_be_merged() -> None:
    one, other, names = PredictionMonitor(), PredictionMonitor(), PredictionMonitor()
    one.update([0], [0])
    other.update([0])
    names.update(["a"], ["a"])
    with pytest.raises(ValueError, match="labels"):
        one.merge(other)
    with pytest.raises(ValueError, match="settings"):
        one.merge(PredictionMonitor(num_classes=3))
    with pytest.raises(ValueError, match="names"):
        one.merge(names)


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"alpha": 0.5}, {"share_ceiling": 0.2}])
def test_thresholds_without_a_meaning(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Thresholds(**settings)


@pytest.mark.parametrize("weights", [{}, {0: 0.0}, {0: -1.0, 1: 2.0}, {0: float("nan")}])
def test_expected_weights_without_a_meaning(weights: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PredictionMonitor(expected=weights)


def test_the_gap_between_modes() -> None:
    labels = np.arange(1000) % 10
    gap = ModeGapMonitor()
    gap.update(labels, np.zeros(1000, int), labels)
    report = gap.report()
    assert (report.train_accuracy, report.eval_accuracy) == (1.0, 0.1)
    (finding,) = report.findings("x")
    assert finding.code == "BN602" and finding.confidence is Confidence.HIGH
    assert "100.0% in training mode but 10.0% in inference mode" in finding.message


def test_modes_that_nearly_agree_are_no_gap() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 2000)
    worse = np.where(random.random(2000) < 0.05, 0, labels)
    for truth in (labels, None):
        gap = ModeGapMonitor()
        gap.update(labels, worse, truth)
        assert gap.report().findings("x") == []


def test_the_gap_without_labels_has_less_confidence() -> None:
    gap = ModeGapMonitor()
    gap.update(np.arange(1000) % 10, np.zeros(1000, int))
    (finding,) = gap.report().findings("x")
    assert finding.confidence is Confidence.MEDIUM
    assert gap.report().disagreement == pytest.approx(0.9)


def test_rows_with_nan_in_either_mode_are_left_out_of_the_gap() -> None:
    train, evaluation = np.eye(3), np.eye(3)
    train[0, 0] = evaluation[1, 0] = np.nan
    gap = ModeGapMonitor()
    gap.update(train, evaluation, [0, 1, 2])
    report = gap.report()
    assert (report.rows, report.nan_rows, report.disagreement) == (1, 2, 0.0)


def test_reports_turn_into_plain_values() -> None:
    import json

    monitor = PredictionMonitor()
    monitor.update(["a", "b"], ["a", "a"])
    plain = json.loads(json.dumps(monitor.report().to_dict()))
    assert plain["classes"][0] == {
        "name": "a", "predicted": 1, "labeled": 2, "correct": 1, "recall": 0.5
    }  # fmt: skip
