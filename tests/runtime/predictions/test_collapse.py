"""`PredictionMonitor` and `ModeGapMonitor`: counting, merging, judging."""

import json
import pickle
from functools import reduce
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy.stats")  # slow to import, so before the first test
pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from bnlint import ModeGapMonitor, PredictionMonitor
from bnlint.findings import Confidence, Severity
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
        ([0.5, 0.25], None, "--threshold 0.5"),
        ([0.5, -2.25], None, "--threshold 0 for logits"),
        ([1e300, 0.0], None, "not class ids"),
        ([0.0, np.nan], None, "NaN or infinite"),
        (["a", ""], None, "missing"),
        (np.array(["a", None], object), None, "missing"),
        (np.full((2, 3, 4), 0.5), None, "shape"),
        (np.zeros((2, 3, 4, 5, 6)), None, "shape"),
        (np.zeros((2, 3, 4), int), np.zeros(2, int), "24 predictions, but 2 labels"),
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


@pytest.mark.parametrize("majority", [0.6, 0.8, 0.95])
def test_inverse_collapse(majority: float) -> None:
    """The rare class is predicted nearly always, so that the common one vanishes."""
    labels = (np.arange(1000) >= 1000 * majority).astype(int)
    monitor = PredictionMonitor()
    monitor.update(np.arange(1000) >= 20, labels)
    report = monitor.report()
    assert report.collapsed and report.vanished == 0
    assert "class 0, expected most, has vanished" in report.findings("x")[0].message


def test_a_vanished_class_whose_rows_go_to_several() -> None:
    monitor = PredictionMonitor(num_classes=3)
    labels = np.repeat([0, 1, 2], [900, 50, 50])
    monitor.update(1 + np.arange(1000) % 2, labels)
    report = monitor.report()
    assert report.collapsed and report.vanished == 0
    assert report.top_share == 0.5 and report.effective_classes > 1.9


def test_what_no_test_can_promise_without_labels_is_a_note() -> None:
    """The README's collapse: 97 % of 500 rows. Real data may have that share, too."""
    monitor = PredictionMonitor()
    monitor.update([3] * 486 + [0, 1, 2, 4, 5, 6, 7] * 2)
    report = monitor.report()
    (finding,) = report.findings("x")
    assert not report.collapsed
    assert finding.severity is Severity.INFO and finding.confidence is Confidence.LOW
    assert "97.2% of 500 predictions" in finding.message


def test_few_of_many_classes_without_labels_are_a_note() -> None:
    monitor = PredictionMonitor(num_classes=100)
    monitor.update(np.arange(2000) % 7)
    assert "7 of 100 classes have 100.0%" in monitor.report().note
    healthy = PredictionMonitor(num_classes=100)
    healthy.update(np.arange(2000) % 100)
    assert healthy.report().findings("x") == []


def test_pixels_are_judged_by_images() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 5, (60, 4, 1)), 8, axis=2)
    collapsed = PredictionMonitor()
    collapsed.update(np.eye(5)[np.full((60, 4, 8), 2)], labels)
    report = collapsed.report()
    assert (report.rows, report.units, report.collapsed) == (60 * 32, 60, True)
    few = PredictionMonitor()
    few.update(np.full((4, 4, 8), 2), labels[:4])
    report = few.report()
    assert not report.collapsed and "of the pixels of 4 images" in report.findings("x")[0].message
    right = PredictionMonitor()
    right.update(labels, labels)
    assert right.report().findings("x") == []


def test_images_of_several_sizes_are_merged() -> None:
    monitors = [PredictionMonitor(), PredictionMonitor()]
    for monitor, side in zip(monitors, (8, 4), strict=True):
        monitor.update(np.zeros((10, side, side), int))
    report = monitors[0].merge(monitors[1]).report()
    assert report.rows == 10 * 64 + 10 * 16 and report.units == 12.5


def test_modes_of_segmentation() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (300, 2, 2))
    monitor = ModeGapMonitor()
    monitor.update(np.eye(3)[labels], np.zeros_like(labels), labels)
    report = monitor.report()
    assert report.gap and report.rows == 1200
    with pytest.raises(ValueError, match="shape"):
        monitor.update(labels, labels[:, :1], None)


def test_an_alarm_that_no_share_can_raise_is_plain_json() -> None:
    monitor = PredictionMonitor()
    monitor.update([0, 0, 0], [0, 1, 0])
    plain = monitor.report().to_dict()
    assert plain["test"]["threshold"] is None
    assert json.loads(json.dumps(plain))["rows"] == 3
