"""Does a model behave alike in training and in inference mode? (BN602)"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bnlint.findings import Confidence, Finding, Location
from bnlint.registry import all_rules
from bnlint.runtime.predictions.collapse import (
    DEFAULT_THRESHOLDS,
    Thresholds,
    add_classes,
    check_kinds,
    label_ids,
    merged_classes,
    to_classes,
)
from bnlint.runtime.predictions.statistics import (
    ClassId,
    TestResult,
    accuracy_gap_test,
    paired_distribution_test,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class GapReport:
    """How two modes' predictions of the same rows differ.

    Attributes:
      rows: rows with a class in both modes; nan_rows: rows without, in either mode.
      disagreement: share of rows that get another class in the other mode.
      train_accuracy, eval_accuracy: None without labels.
      train_counts, eval_counts: predicted rows per class in each mode.
      test: of the accuracy gap with labels, else of the distributions; None without rows.
      gap: whether the test raised an alarm.
    """

    rows: int
    nan_rows: int
    disagreement: float
    train_accuracy: float | None
    eval_accuracy: float | None
    train_counts: dict[ClassId, int]
    eval_counts: dict[ClassId, int]
    test: TestResult | None

    @property
    def gap(self) -> bool:
        return self.test is not None and self.test.alarm

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        from dataclasses import asdict

        result = asdict(self)
        for name in ("train_counts", "eval_counts"):
            result[name] = {str(key): count for key, count in result[name].items()}
        result["test"] = self.test and self.test.to_dict()
        return result | {"gap": self.gap}

    def findings(self, path: str) -> list[Finding]:
        """BN602 findings at `path`."""
        if not self.gap:
            return []
        assert self.test is not None
        if self.train_accuracy is not None and self.eval_accuracy is not None:
            what = (
                f"accuracy is {self.train_accuracy:.1%} in training mode but"
                f" {self.eval_accuracy:.1%} in inference mode on the same {self.rows} rows"
            )
            confidence = Confidence.HIGH
        else:
            what = (
                f"training and inference mode predict different classes for"
                f" {self.disagreement:.1%} of the same {self.rows} rows, and their class"
                f" distributions are {self.test.statistic:.1%} apart"
            )
            confidence = Confidence.MEDIUM
        message = f"{what} ({self.test.p_text})"
        return [all_rules()["BN602"].finding(Location(path), message, confidence=confidence)]


@dataclass
class ModeGapMonitor:
    """Compares training-mode with inference-mode predictions of the same rows, by counts.

    Args:
      threshold: for scores of one binary class: class 1 where score > threshold.
      thresholds: limits of the alarm.
    """

    threshold: float | None = None
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    train: Counter[ClassId] = field(default_factory=Counter, init=False)
    evaluation: Counter[ClassId] = field(default_factory=Counter, init=False)
    agree: int = field(default=0, init=False)
    train_right: int = field(default=0, init=False)
    eval_right: int = field(default=0, init=False)
    labeled: int = field(default=0, init=False)
    nan_rows: int = field(default=0, init=False)
    columns: int = field(default=0, init=False)
    per_unit: int = field(default=1, init=False)

    def update(
        self, train: ArrayLike, evaluation: ArrayLike, labels: ArrayLike | None = None
    ) -> None:
        """Count one chunk: the same rows in the same order, predicted in each mode.

        Args:
          train, evaluation: class ids or scores, of shapes that `PredictionMonitor` takes.
          labels: true class ids, or one-hot.

        Raises:
          ValueError: shapes, kinds or lengths that don't fit.
        """
        import numpy as np

        first, second = np.asarray(train), np.asarray(evaluation)
        if len(first) != len(second):
            raise ValueError(f"{len(first)} rows in training mode, but {len(second)} in inference")
        ours = to_classes(first, self.threshold, "training-mode predictions")
        theirs = to_classes(second, self.threshold, "inference-mode predictions")
        if len(ours.valid) != len(theirs.valid):
            raise ValueError(
                f"shape {first.shape} in training mode, but {second.shape} in inference mode"
            )
        both = ours.valid & theirs.valid
        train_ids, eval_ids = ours.classes[both[ours.valid]], theirs.classes[both[theirs.valid]]
        truth = None if labels is None else label_ids(labels, len(both))[both]
        rows_before = self.train.total()
        if rows_before and len(train_ids) and (truth is None) == bool(self.labeled):
            raise ValueError("some chunks came with labels and some without")
        train_counts, eval_counts = Counter(self.train), Counter(self.evaluation)
        add_classes(train_counts, train_ids)
        add_classes(eval_counts, eval_ids)
        check_kinds(train_counts, eval_counts, () if truth is None else truth.tolist())
        self.train, self.evaluation = train_counts, eval_counts
        self.agree += int((train_ids == eval_ids).sum())
        self.nan_rows += int((~both).sum())
        scores = [one.shape[-1] for one in (first, second) if one.ndim in (2, 4)]
        self.columns = max(self.columns, *scores, 0)
        self.per_unit = max(self.per_unit, ours.per_unit)
        if truth is not None:
            self.labeled += len(truth)
            self.train_right += int((train_ids == truth).sum())
            self.eval_right += int((eval_ids == truth).sum())

    def merge(self, other: ModeGapMonitor) -> ModeGapMonitor:
        """A new monitor with both monitors' counts. Associative and commutative.

        Raises:
          ValueError: the monitors were built with different arguments, just one saw labels, one
            saw names and the other numbers, or together they saw more than MAX_CLASSES ids.
        """
        if (self.threshold, self.thresholds) != (other.threshold, other.thresholds):
            raise ValueError("monitors with different settings can't be merged")
        if self.train and other.train and bool(self.labeled) != bool(other.labeled):
            raise ValueError("one monitor saw labels and the other did not")
        check_kinds(self.train, self.evaluation, other.train, other.evaluation)
        merged = ModeGapMonitor(self.threshold, self.thresholds)
        merged.train = merged_classes(self.train, other.train)
        merged.evaluation = merged_classes(self.evaluation, other.evaluation)
        for name in ("agree", "train_right", "eval_right", "labeled", "nan_rows"):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        merged.columns = max(self.columns, other.columns)
        merged.per_unit = max(self.per_unit, other.per_unit)
        return merged

    def report(self) -> GapReport:
        """The comparison of everything counted so far."""
        rows = self.train.total()
        return GapReport(
            rows=rows,
            nan_rows=self.nan_rows,
            disagreement=1 - self.agree / rows if rows else 0.0,
            train_accuracy=self.train_right / rows if self.labeled else None,
            eval_accuracy=self.eval_right / rows if self.labeled else None,
            # In class order, whatever the chunks' was.
            train_counts=dict(sorted(self.train.items())),
            eval_counts=dict(sorted(self.evaluation.items())),
            test=self._test(rows) if rows else None,
        )

    def _test(self, rows: int) -> TestResult:
        limits = self.thresholds
        units = rows / self.per_unit if self.per_unit > 1 else None
        if self.labeled:
            return accuracy_gap_test(
                self.train_right,
                self.eval_right,
                rows,
                margin=limits.accuracy_margin,
                alpha=limits.alpha,
                units=units,
            )
        return paired_distribution_test(
            self.train,
            self.evaluation,
            margin=limits.distribution_margin,
            alpha=limits.alpha,
            classes=self.columns,
            units=units,
        )
