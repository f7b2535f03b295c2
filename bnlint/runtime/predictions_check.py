"""Run the prediction monitors over files: what `bnlint predictions` does, without the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bnlint.findings import FileError, Report
from bnlint.runtime.predictions import (
    DEFAULT_THRESHOLDS,
    PredictionMonitor,
    PredictionReport,
    Thresholds,
    add_classes,
    label_ids,
)
from bnlint.runtime.predictions_files import (
    LABEL_NAMES,
    PredictionFileError,
    Source,
    aligned,
    names_in,
    read_chunks,
)
from bnlint.runtime.predictions_gap import GapReport, ModeGapMonitor

if TYPE_CHECKING:
    import numpy as np

    from bnlint.runtime.predictions_stats import ClassId


_LABELS_HINT = "call the column of labels 'label'"


@dataclass(frozen=True)
class CheckOptions:
    """What to read and how to judge it.

    Attributes:
      labels: a column or array of each predictions file, or a file of labels for the same rows.
      columns: columns, or patterns of columns (or the `.npz` array), that hold the predictions.
      train: file with the same rows predicted in training mode, for BN602.
      expected: "uniform", or a file of labels of other rows (the training set's, say).
      num_classes, threshold, thresholds: as for `PredictionMonitor`.
    """

    labels: str | None = None
    columns: tuple[str, ...] = ()
    train: Path | None = None
    expected: str | None = None
    num_classes: int | None = None
    threshold: float | None = None
    thresholds: Thresholds = DEFAULT_THRESHOLDS


@dataclass(frozen=True)
class FileResult:
    """What one predictions file, or a pair of them, looks like."""

    path: str
    predictions: PredictionReport
    gap: GapReport | None = None


@dataclass
class PredictionsReport(Report):
    """A Report with the statistics of every file."""

    results: list[FileResult] = field(default_factory=list)


def check_predictions(paths: list[Path], options: CheckOptions) -> PredictionsReport:
    """Check every file; a file that can't be read becomes a FileError and the rest goes on."""
    report = PredictionsReport()
    for path in paths:
        try:
            result = _check_file(path, options)
        except (PredictionFileError, ValueError) as error:
            report.errors.append(FileError(str(path), str(error)))
            continue
        report.files += 1
        report.results.append(result)
        report.findings += result.predictions.findings(result.path)
        if result.gap is not None:
            report.findings += result.gap.findings(result.path)
    return report


def _check_file(path: Path, options: CheckOptions) -> FileResult:
    own_labels = options.labels is not None and options.labels in names_in(path)
    exclude = (options.labels,) if own_labels and options.labels else ()
    sources = [read_chunks(Source(path, options.columns, exclude=exclude))]
    if options.train is not None:
        sources.append(
            _named(options.train, Source(options.train, options.columns, exclude=exclude))
        )
    if options.labels is not None:
        sources.append(_label_chunks(path, options.labels, own_labels))
    monitor = _monitor(options)
    gap = ModeGapMonitor(options.threshold, options.thresholds) if options.train else None
    for chunks in aligned(*sources):
        labels = chunks[-1] if options.labels is not None else None
        monitor.update(chunks[0], labels)
        if gap is not None:
            gap.update(chunks[1], chunks[0], labels)
    report = monitor.report()
    if not report.rows and not report.nan_rows:
        raise PredictionFileError("holds no predictions")
    return FileResult(str(path), report, gap.report() if gap else None)


def _named(path: Path, source: Source) -> Iterator[np.ndarray]:
    """Chunks of a file that is not the one being checked: its errors must name it."""
    try:
        yield from read_chunks(source)
    except PredictionFileError as error:
        raise PredictionFileError(f"{path}: {error}") from error


def _label_chunks(path: Path, labels: str, own: bool) -> Iterator[np.ndarray]:
    if own:
        return read_chunks(Source(path, (labels,)))
    if not Path(labels).exists():
        present = ", ".join(map(repr, names_in(path)[:20])) or "none"
        raise PredictionFileError(
            f"--labels {labels!r} is neither a column of it (it has {present}) nor a file"
        )
    return _named(Path(labels), Source(Path(labels), usual=LABEL_NAMES, hint=_LABELS_HINT))


def _monitor(options: CheckOptions) -> PredictionMonitor:
    expected: dict[ClassId, float] | None = None
    rows = None
    if options.expected == "uniform":
        if options.num_classes is None:
            raise PredictionFileError("--expected uniform needs --num-classes")
        expected = dict.fromkeys(range(options.num_classes), 1.0)
    elif options.expected is not None:
        expected, rows = _expected_counts(Path(options.expected))
    return PredictionMonitor(
        num_classes=options.num_classes,
        expected=expected,
        expected_rows=rows,
        threshold=options.threshold,
        thresholds=options.thresholds,
    )


def _expected_counts(path: Path) -> tuple[dict[ClassId, float], int]:
    from collections import Counter

    counts: Counter[ClassId] = Counter()
    for chunk in _named(path, Source(path, usual=LABEL_NAMES, hint=_LABELS_HINT)):
        add_classes(counts, label_ids(chunk, len(chunk)))
    if not counts:
        raise PredictionFileError(f"{path}: holds no labels")
    return {name: float(count) for name, count in counts.items()}, counts.total()
