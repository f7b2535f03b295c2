"""Has a classifier collapsed? Counting monitors for predictions (BN601) and mode gaps (BN602).

Monitors keep counts only, so that any amount of rows is watched in memory proportional to the
number of classes, and any split of the rows into chunks, processes or machines gives the
same report: `merge` is associative and commutative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bnlint.findings import Confidence, Finding, Location, Severity
from bnlint.registry import all_rules
from bnlint.runtime.predictions.statistics import (
    ClassId,
    TestResult,
    distribution_test,
    effective_classes,
    entropy_bits,
    few_classes_test,
    shares,
    top_share_test,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

MAX_CLASSES = 100_000
"""More distinct ids than this are not classes (ImageNet-21k has 21,841) and would be unbounded."""


@dataclass(frozen=True)
class Thresholds:
    """Limits of the alarms. The defaults are bnlint's choice, explained in rule BN601 and BN602.

    Attributes:
      alpha: largest false-alarm probability of one test, at most 0.1.
      distribution_margin: total variation distance (a share of all rows) between predictions and
        expected classes, or between both modes, that still counts as an imperfect model.
      collapse_ratio: only predictions with fewer effective classes than this times the
        expected number are collapsed; a model that spreads *more* than its labels is not.
      share_ceiling: without labels, the largest share a class of real data is assumed to have.
      note_ceiling: without labels, the share of one class, or of a tenth of all classes, above
        which a note is due: real data may well be that unbalanced, so no alarm can be promised.
      one_class: where one class has this share of the predictions and a surplus, they are collapsed
        however diverse the expected classes are: 95 % of class 0 predicted as 98 % of class 1.
      vanished: a class that is expected for half of the rows has vanished below this share.
      accuracy_margin: accuracy lost between training and inference mode that is still tolerated.
    """

    alpha: float = 0.001
    distribution_margin: float = 0.3
    collapse_ratio: float = 0.85
    share_ceiling: float = 0.95
    note_ceiling: float = 0.8
    one_class: float = 0.8
    vanished: float = 0.05
    accuracy_margin: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.1:
            raise ValueError(f"alpha must lie in (0, 0.1], not {self.alpha}")
        if not 0.5 <= self.share_ceiling < 1:
            raise ValueError(f"share_ceiling must lie in [0.5, 1), not {self.share_ceiling}")
        if not 0.5 <= self.note_ceiling <= self.share_ceiling:
            raise ValueError(
                f"note_ceiling must lie in [0.5, {self.share_ceiling}], not {self.note_ceiling}"
            )


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True)
class ClassRow:
    """Counts of one class: predicted rows, labeled rows, and rows that are both."""

    name: ClassId
    predicted: int
    labeled: int
    correct: int

    @property
    def recall(self) -> float | None:
        """Share of the class's rows that were found; None without labeled rows."""
        return self.correct / self.labeled if self.labeled else None


@dataclass(frozen=True)
class PredictionReport:
    """What one set of predictions looks like.

    Attributes:
      rows: rows counted (pixels, for segmentation); rows of scores with a NaN are only in
        `nan_rows`.
      units: independent ones among them: rows, or images of the largest size.
      nan_rows: rows of scores that hold at least one NaN.
      tied_rows: rows of scores whose largest value occurs more than once.
      classes: one row per class that was predicted, labeled or declared, in class order.
      top_class, top_share: most predicted class and its share; None and 0.0 without rows.
      entropy_bits: Shannon entropy of the predicted shares, in bits.
      effective_classes: 2 ** entropy_bits.
      expected_effective_classes: the same of the expected distribution, None without one.
      accuracy: share of labeled rows predicted right, None without labels.
      test: the test for collapse; None where there are no rows.
      against: what the test compared with, in words.
      collapsed: whether the test raised an alarm, and the predictions are less diverse than
        expected, lie in one class, or miss a class.
      vanished: a class that is expected for half of the rows and hardly predicted, if the test
        raised an alarm.
      note: why the predictions are suspicious though no alarm can be promised: without labels, or
        with few images of pixels that depend on each other.
    """

    rows: int
    nan_rows: int
    tied_rows: int
    classes: tuple[ClassRow, ...]
    top_class: ClassId | None
    top_share: float
    entropy_bits: float
    effective_classes: float
    expected_effective_classes: float | None
    accuracy: float | None
    test: TestResult | None
    against: str
    collapsed: bool
    units: float = 0.0
    vanished: ClassId | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        from dataclasses import asdict

        result = asdict(self)
        if self.test is not None:
            result["test"] = self.test.to_dict()
        for row, plain in zip(self.classes, result["classes"], strict=True):
            plain["recall"] = row.recall
        return result

    def findings(self, path: str) -> list[Finding]:
        """BN601 findings at `path` (a file name, or any name for the predictions): rows of NaN,
        and predictions that are collapsed.
        """
        rule, place = all_rules()["BN601"], Location(path)
        found = []
        if self.nan_rows:
            message = f"{self.nan_rows} of {self.rows + self.nan_rows} rows of scores hold NaN"
            found.append(rule.finding(place, f"{message}, which argmax turns into a class"))
        if self.collapsed and self.test:
            certain = self.expected_effective_classes is not None
            confidence = Confidence.HIGH if certain else Confidence.LOW
            message = self._collapse_in_words(self.test)
            found.append(rule.finding(place, message, confidence=confidence))
        elif self.note:
            finding = rule.finding(place, self.note, confidence=Confidence.LOW)
            found.append(replace(finding, severity=Severity.INFO))
        return found

    def _collapse_in_words(self, test: TestResult) -> str:
        message = (
            f"predictions are collapsed: {self.top_share:.1%} of {self.rows} rows are class"
            f" {self.top_class}, {self.effective_classes:.2f} effective classes"
        )
        if self.expected_effective_classes is not None:
            message += (
                f" where {self.expected_effective_classes:.2f} are expected;"
                f" {test.statistic:.1%} of the rows are in surplus"
            )
        if self.vanished is not None:
            message += f"; class {self.vanished}, expected most, has vanished"
        return f"{message} ({test.p_text} against {self.against})"


def _class_key(value: Any) -> ClassId:
    return value if isinstance(value, str) else int(value)


def _ids(values: np.ndarray, what: str) -> np.ndarray:
    """1-D class ids as int64 or str; ValueError where they are neither, or one is missing."""
    import numpy as np

    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{what}: a class id is NaN or infinite")
        if (np.abs(values) > 2**53).any() or (np.trunc(values) != values).any():
            raise ValueError(
                f"{what}: 1-D values with fractions are not class ids; give scores of shape"
                " (rows, classes), or, if these are the scores of one binary class, a threshold:"
                f" {_threshold_hint(values)}"
            )
        return values.astype(np.int64)
    if values.dtype.kind in "USO":
        return _class_names(values, what)
    raise ValueError(f"{what}: {values.dtype} values are neither class ids nor scores")


def _threshold_hint(values: np.ndarray) -> str:
    if values.min() >= 0 and values.max() <= 1:
        return "--threshold 0.5 for probabilities such as a sigmoid's"
    return "--threshold 0 for logits"


def _class_names(values: np.ndarray, what: str) -> np.ndarray:
    """Names as str. TensorFlow hands strings out as bytes (UTF-8)."""
    import numpy as np

    names = [one.decode() if isinstance(one, bytes) else one for one in values.tolist()]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"{what}: a class name is missing, or no text")
    return np.asarray(names, dtype=str)


@dataclass(frozen=True)
class ClassChunk:
    """Classes of a chunk's valid rows, and which those are (`valid`: bool, shape (rows,)).

    For segmentation, each pixel is a row: `per_unit` of them are one image.
    """

    classes: np.ndarray
    valid: np.ndarray
    nan_rows: int = 0
    tied_rows: int = 0
    per_unit: int = 1


def to_classes(values: ArrayLike, threshold: float | None, what: str) -> ClassChunk:
    """Classes of one chunk: ids as they are, scores by argmax or threshold.

    `values` has shape (rows,) or (images, height, width) for ids and for binary scores with a
    threshold, and (rows, classes) or (images, height, width, classes) for scores.
    """
    import numpy as np

    array = np.asarray(values)
    if array.ndim in (2, 4) and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3:
        _check_image_ids(array, threshold, what)
    per_unit = int(np.prod(array.shape[1:3])) if array.ndim in (3, 4) else 1
    if array.ndim in (3, 4):
        array = array.reshape(-1, *array.shape[3:])
    return replace(_classes_of_rows(array, threshold, what), per_unit=max(1, per_unit))


def _check_image_ids(array: np.ndarray, threshold: float | None, what: str) -> None:
    """Three dimensions are images of ids; scores would have four, and boxes are neither."""
    if threshold is not None or array.dtype.kind in "iub":
        return
    if array.dtype.kind == "f" and (array % 1 == 0).all():
        return
    raise ValueError(
        f"{what}: got {array.dtype} values of shape {array.shape}; expected class ids (images,"
        " height, width), scores (images, height, width, classes), or a threshold for binary scores"
    )


def _classes_of_rows(array: np.ndarray, threshold: float | None, what: str) -> ClassChunk:
    import numpy as np

    if array.ndim == 1 and threshold is not None:
        binary: np.ndarray = array.astype(np.float64)
        valid = ~np.isnan(binary)
        return ClassChunk((binary > threshold).astype(np.int64)[valid], valid, int((~valid).sum()))
    if array.ndim == 1:
        return ClassChunk(_ids(array, what), np.ones(len(array), dtype=bool))
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "iubf":
        raise ValueError(
            f"{what}: expected class ids of shape (rows,) or (images, height, width), or scores of"
            f" shape (rows, classes) or (images, height, width, classes), got {array.dtype} values"
            f" of shape {array.shape}"
        )
    valid = ~np.isnan(array).any(axis=1) if array.dtype.kind == "f" else np.ones(len(array), bool)
    scores = array[valid]
    if not len(scores):
        return ClassChunk(np.empty(0, dtype=np.int64), valid, len(array))
    ties = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return ClassChunk(scores.argmax(axis=1), valid, int((~valid).sum()), int(ties.sum()))


def add_classes(counter: Counter[ClassId], classes: np.ndarray) -> None:
    """Add a chunk of ids. Over-long counters are an error: those values are not classes."""
    import numpy as np

    names, counts = np.unique(classes, return_counts=True)
    for name, count in zip(names.tolist(), counts.tolist(), strict=True):
        counter[_class_key(name)] += count
    _check_number(counter)


def merged_classes(one: Counter[ClassId], other: Counter[ClassId]) -> Counter[ClassId]:
    """Both counters' counts. Over-long counters are an error, as for `add_classes`."""
    both = one + other
    _check_number(both)
    return both


def _check_number(counter: Counter[ClassId]) -> None:
    if len(counter) > MAX_CLASSES:
        raise ValueError(f"more than {MAX_CLASSES} distinct values: these are not class ids")


def label_ids(labels: ArrayLike, rows: int) -> np.ndarray:
    """Class ids of `rows` labels, which are ids or one-hot rows; ValueError if they are not."""
    chunk = to_classes(labels, None, "labels")
    if chunk.nan_rows:
        raise ValueError("labels: a label is NaN")
    if chunk.tied_rows:
        raise ValueError("labels: a one-hot row has no single largest value")
    if len(chunk.valid) != rows:
        raise ValueError(f"{rows} predictions, but {len(chunk.valid)} labels")
    return chunk.classes


def check_kinds(*groups: Iterable[ClassId]) -> None:
    """ValueError where some classes are names and others are numbers."""
    if len({type(name) for group in groups for name in group}) > 1:
        raise ValueError("some classes are names and others are numbers")


@dataclass
class PredictionMonitor:
    """Counts predicted classes chunk by chunk, and tests them for collapse (BN601).

    Args:
      num_classes: number of classes if known, so that classes never seen are listed too (ids
        0..num_classes-1); otherwise the columns of the scores decide.
      expected: expected rows or shares per class (any non-negative weights), or None: then the
        labels given to `update` are what is expected.
      expected_rows: number of rows behind `expected` where it was counted on other rows (the
        training labels, say); None where it is exact.
      threshold: for scores of one binary class: class 1 where score > threshold.
      thresholds: limits of the alarm.
    """

    num_classes: int | None = None
    expected: Mapping[ClassId, float] | None = None
    expected_rows: int | None = None
    threshold: float | None = None
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    predicted: Counter[ClassId] = field(default_factory=Counter, init=False)
    labeled: Counter[ClassId] = field(default_factory=Counter, init=False)
    correct: Counter[ClassId] = field(default_factory=Counter, init=False)
    columns: int = field(default=0, init=False)
    nan_rows: int = field(default=0, init=False)
    tied_rows: int = field(default=0, init=False)
    per_unit: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        weights = list((self.expected or {}).values())
        if self.expected is not None and (
            min(weights, default=0) < 0 or not 0 < sum(weights) < float("inf")
        ):
            raise ValueError("expected: weights must be non-negative, finite and not all zero")

    def update(self, predictions: ArrayLike, labels: ArrayLike | None = None) -> None:
        """Count one chunk.

        Args:
          predictions: class ids of shape (rows,), integers or names; or scores, probabilities or
            logits of shape (rows, classes), whose argmax counts. Rows of scores with a NaN
            are counted as `nan_rows` only. For segmentation, (images, height, width) and
            (images, height, width, classes): each pixel is a row.
          labels: true class ids of shape (rows,) or (images, height, width), or one-hot.

        Raises:
          ValueError: shapes, kinds or lengths that don't fit. The monitor is left unchanged.
        """
        import numpy as np

        array = np.asarray(predictions)
        chunk = to_classes(array, self.threshold, "predictions")
        labels_here = None if labels is None else label_ids(labels, len(chunk.valid))[chunk.valid]
        rows_before = self.predicted.total()
        if rows_before and len(chunk.classes) and (labels is None) == bool(self.labeled):
            raise ValueError("some chunks came with labels and some without")
        predicted, labeled, correct = Counter(self.predicted), Counter(self.labeled), None
        add_classes(predicted, chunk.classes)
        if labels_here is not None:
            add_classes(labeled, labels_here)
            correct = Counter(self.correct)
            add_classes(correct, labels_here[labels_here == chunk.classes])
        check_kinds(predicted, labeled, self.expected or ())
        self._check_range(predicted, labeled)
        self.predicted, self.labeled = predicted, labeled
        self.correct = self.correct if correct is None else correct
        self.nan_rows += chunk.nan_rows
        self.tied_rows += chunk.tied_rows
        self.per_unit = max(self.per_unit, chunk.per_unit)
        if array.ndim in (2, 4):
            self.columns = max(self.columns, array.shape[-1] if array.shape[-1] > 1 else 0)

    def _check_range(self, *groups: Counter[ClassId]) -> None:
        if self.num_classes is None:
            return
        for name in {name for group in groups for name in group}:
            if isinstance(name, int) and not 0 <= name < self.num_classes:
                raise ValueError(f"class id {name} is not in 0..{self.num_classes - 1}")

    def merge(self, other: PredictionMonitor) -> PredictionMonitor:
        """A new monitor with both monitors' counts. Associative and commutative.

        Raises:
          ValueError: the monitors were built with different arguments, just one saw labels, one
            saw names and the other numbers, or together they saw more than MAX_CLASSES ids.
        """
        if self._settings() != other._settings():
            raise ValueError("monitors with different settings can't be merged")
        both_counted = self.predicted.total() and other.predicted.total()
        if both_counted and bool(self.labeled) != bool(other.labeled):
            raise ValueError("one monitor saw labels and the other did not")
        check_kinds(self.predicted, self.labeled, other.predicted, other.labeled)
        merged = PredictionMonitor(*self._settings())
        merged.predicted = merged_classes(self.predicted, other.predicted)
        merged.labeled = merged_classes(self.labeled, other.labeled)
        merged.correct = merged_classes(self.correct, other.correct)
        merged.columns = max(self.columns, other.columns)
        merged.per_unit = max(self.per_unit, other.per_unit)
        merged.nan_rows = self.nan_rows + other.nan_rows
        merged.tied_rows = self.tied_rows + other.tied_rows
        return merged

    def _settings(self) -> tuple[Any, ...]:
        return (
            self.num_classes,
            self.expected,
            self.expected_rows,
            self.threshold,
            self.thresholds,
        )

    def _class_names(self) -> list[ClassId]:
        names = set(self.predicted) | set(self.labeled) | set(self.expected or {})
        if not any(isinstance(name, str) for name in names):
            names |= set(range(self.num_classes or self.columns))
        return sorted(names, key=lambda name: (isinstance(name, str), name))

    def report(self) -> PredictionReport:
        """Statistics and the test for collapse, of everything counted so far."""
        rows = self.predicted.total()
        names = self._class_names()
        classes = tuple(
            ClassRow(name, self.predicted[name], self.labeled[name], self.correct[name])
            for name in names
        )
        top = max(names, key=lambda name: self.predicted[name]) if rows else None
        expected = self._expected_shares()
        effective = effective_classes(self.predicted.values())
        expected_effective = None if expected is None else effective_classes(expected.values())
        test = self._test(expected, self._units()) if rows else None
        alarm = bool(test and test.alarm)
        top_share = self.predicted[top] / rows if top is not None else 0.0
        less_diverse = (
            expected_effective is None
            or effective < self.thresholds.collapse_ratio * expected_effective
            or top_share >= self.thresholds.one_class
        )
        vanished = self._vanished(expected) if alarm and expected is not None else None
        return PredictionReport(
            rows=rows,
            nan_rows=self.nan_rows,
            tied_rows=self.tied_rows,
            classes=classes,
            top_class=top,
            top_share=top_share,
            entropy_bits=entropy_bits(self.predicted.values()),
            effective_classes=effective if rows else 0.0,
            expected_effective_classes=expected_effective,
            accuracy=self.correct.total() / rows if self.labeled else None,
            test=test,
            against=self._against(),
            collapsed=alarm and (less_diverse or vanished is not None),
            units=rows / self.per_unit,
            vanished=vanished,
            note=self._note(expected, len(names)) if rows and less_diverse else "",
        )

    def _vanished(self, expected: Mapping[ClassId, float]) -> ClassId | None:
        """The class that has half of the expected rows, if it is hardly predicted."""
        most = max(expected, key=lambda name: expected[name])
        share = self.predicted[most] / self.predicted.total()
        gone = expected[most] >= 0.5 and share <= self.thresholds.vanished
        return most if gone else None

    def _note(self, expected: Mapping[ClassId, float] | None, classes: int) -> str:
        """What is suspicious, though no test of it can be promised to give few false alarms."""
        if self.per_unit > 1:
            return self._note_by_pixels(expected)
        if expected is not None:
            return ""
        limits = self.thresholds
        few, test = few_classes_test(
            self.predicted,
            classes=max(classes, 2),
            few=max(1, classes // 10),
            ceiling=limits.note_ceiling,
            alpha=limits.alpha,
        )
        if not test.alarm:
            return ""
        what = "one class has" if few == 1 else f"{few} of {classes} classes have"
        return (
            f"{what} {test.statistic:.1%} of {self.predicted.total()} predictions ({test.p_text}"
            f" against {limits.note_ceiling:.0%}): collapsed, unless the data is that unbalanced;"
            " labels or --expected would tell"
        )

    def _note_by_pixels(self, expected: Mapping[ClassId, float] | None) -> str:
        """As if the pixels of an image were independent."""
        test = self._test(expected, None)
        if not test.alarm:
            return ""
        images = self.predicted.total() / self.per_unit
        return (
            f"one class has {max(self.predicted.values()) / self.predicted.total():.1%} of the"
            f" pixels of {images:.0f} images: collapsed ({test.p_text} against {self._against()}),"
            " if pixels were independent; for a test that knows that they are not, the images are"
            " too few"
        )

    def _expected_shares(self) -> dict[ClassId, float] | None:
        if self.expected is not None:
            total = sum(self.expected.values())
            return {name: weight / total for name, weight in self.expected.items()}
        return shares(self.labeled) if self.labeled else None

    def _against(self) -> str:
        if self.expected is not None:
            return "the expected distribution"
        if self.labeled:
            return "the labels"
        return f"a largest class share of {self.thresholds.share_ceiling:.0%} (no labels given)"

    def _test(self, expected: Mapping[ClassId, float] | None, units: float | None) -> TestResult:
        limits = self.thresholds
        if expected is None:
            return top_share_test(
                self.predicted, ceiling=limits.share_ceiling, alpha=limits.alpha, units=units
            )
        return distribution_test(
            self.predicted,
            expected,
            margin=limits.distribution_margin,
            alpha=limits.alpha,
            expected_rows=self.expected_rows if self.expected is not None else None,
            units=units,
        )

    def _units(self) -> float | None:
        """Independent units, where those are images and not rows."""
        return self.predicted.total() / self.per_unit if self.per_unit > 1 else None
