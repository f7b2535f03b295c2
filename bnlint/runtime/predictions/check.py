"""Run the prediction monitors over files: what `bnlint predictions` does, without the terminal."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bnlint.findings import FileError, Report
from bnlint.runtime.predictions.collapse import (
    DEFAULT_THRESHOLDS,
    PredictionMonitor,
    PredictionReport,
    Thresholds,
    add_classes,
    to_classes,
)
from bnlint.runtime.predictions.files import (
    LABEL_NAMES,
    PredictionFileError,
    Source,
    aligned,
    names_in,
    read_chunks,
)
from bnlint.runtime.predictions.mode_gap import GapReport, ModeGapMonitor
from bnlint.runtime.predictions.shards import ShardError, count_shards, monitor_shards

if TYPE_CHECKING:
    import numpy as np

    from bnlint.execution.executor import Engine
    from bnlint.runtime.predictions.statistics import ClassId

T = TypeVar("T")


class OptionsError(ValueError):
    """Options that don't go together, or not with that many files."""


@dataclass(frozen=True)
class CheckOptions:
    """What to read and how to judge it.

    Attributes:
      labels: a column or array of each predictions file, or a file of labels for the same rows;
        a tuple has one of them for each predictions file.
      columns: columns, or patterns of columns (or the `.npz` array), that hold the predictions.
      train: file with the same rows predicted in training mode, for BN602; a tuple has one for
        each predictions file.
      expected: "uniform", or a file of labels of other rows (the training set's, say).
      merge: the files hold the rows of one evaluation: one result for all of them.
      num_classes, threshold, thresholds: as for `PredictionMonitor`.
    """

    labels: str | tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    train: Path | tuple[Path, ...] | None = None
    expected: str | None = None
    merge: bool = False
    num_classes: int | None = None
    threshold: float | None = None
    thresholds: Thresholds = DEFAULT_THRESHOLDS


@dataclass(frozen=True)
class FileResult:
    """What one predictions file, a pair of them, or the files of one evaluation look like.

    Attributes:
      path: the file; of several, the first that could be read.
      predictions: its statistics.
      gap: the comparison with training mode, if there was one.
      more: the other files, with `CheckOptions.merge`.
    """

    path: str
    predictions: PredictionReport
    gap: GapReport | None = None
    more: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The path, and how many files more there are."""
        return f"{self.path} and {len(self.more)} more" if self.more else self.path


@dataclass
class PredictionsReport(Report):
    """A Report with the statistics of every file."""

    results: list[FileResult] = field(default_factory=list)

    def add(self, result: FileResult) -> None:
        """A result, and its findings; those of several files say how many were counted."""
        self.files += 1 + len(result.more)
        self.results.append(result)
        found = result.predictions.findings(result.path)
        if result.gap is not None:
            found += result.gap.findings(result.path)
        if result.more:
            note = f"; {1 + len(result.more)} files counted together"
            found = [replace(finding, message=finding.message + note) for finding in found]
        self.findings += found


def check_predictions(
    paths: Sequence[Path], options: CheckOptions, engine: Engine | None = None
) -> PredictionsReport:
    """Check every file, or the rows of all files together (`options.merge`).

    Args:
      paths: files of any kind that `read_chunks` knows, of class ids of shape (rows,) or scores of
        shape (rows, classes); or images of them, (images, height, width) and with classes.
      options: what to read and how to judge it.
      engine: where the files are read and counted (default: in this process), one by one, by
        workers that find them at the same place. The report is the same for any engine.

    Returns:
      The report. A file that can't be read, or whose readers die, becomes a FileError; the rest
      goes on.

    Raises:
      OptionsError: `labels` or `train` are not one for each path, or "uniform" comes without
        `num_classes`.
      ModuleNotFoundError: NumPy, SciPy or PyArrow is not installed.
    """
    pieces = _pieces(paths, options)
    report = PredictionsReport()
    try:
        empty = _empty(options)
    except (PredictionFileError, ValueError) as error:
        report.errors.append(FileError(str(options.expected), str(error)))
        return report
    count = functools.partial(_count_file, empty, options)
    if options.merge:
        _check_together(report, count, pieces, engine)
        return report
    for piece, counted in zip(pieces, count_shards(count, pieces, engine), strict=True):
        if isinstance(counted, ShardError):
            report.errors.append(FileError(str(piece.path), counted.message))
        else:
            _add(report, counted, [str(piece.path)])
    return report


@dataclass(frozen=True)
class _Piece:
    """One file to count.

    Attributes:
      folder: where relative paths start from, which is elsewhere for a worker.
      path, labels, train: see CheckOptions.
      own_labels: the labels can't be a file: its rows would be those of one piece only.
    """

    folder: Path
    path: Path
    labels: str | None
    train: Path | None
    own_labels: bool


def _pieces(paths: Sequence[Path], options: CheckOptions) -> list[_Piece]:
    if options.expected == "uniform" and options.num_classes is None:
        raise OptionsError("--expected uniform needs --num-classes")
    labels: list[str | None] = _one_each(options.labels, paths, "labels")
    train = (options.train,) if isinstance(options.train, Path) else options.train
    trains: list[Path | None] = _one_each(train, paths, "train")
    folder = Path.cwd()
    own = options.merge and isinstance(options.labels, str) and len(paths) > 1
    return [_Piece(folder, *one, own) for one in zip(paths, labels, trains, strict=True)]


def _one_each(given: T | tuple[T, ...] | None, paths: Sequence[Path], name: str) -> list[T | None]:
    if not isinstance(given, tuple):
        return [given] * len(paths)
    if len(given) != len(paths):
        raise OptionsError(
            f"--{name} belongs to one FILE each: {len(given)} given for {len(paths)} files"
        )
    return list(given)


@dataclass
class _Counts:
    """Both monitors of the same rows."""

    predictions: PredictionMonitor
    gap: ModeGapMonitor | None = None

    def fresh(self) -> _Counts:
        """The same settings, nothing counted: `replace` leaves the counts out."""
        return _Counts(replace(self.predictions), self.gap and replace(self.gap))

    def merge(self, other: _Counts) -> _Counts:
        """See the monitors' own."""
        gap = self.gap.merge(other.gap) if self.gap and other.gap else None
        return _Counts(self.predictions.merge(other.predictions), gap)


def _count_file(empty: _Counts, options: CheckOptions, piece: _Piece) -> _Counts:
    path = piece.folder / piece.path
    own_labels = piece.labels is not None and piece.labels in names_in(path)
    exclude = (piece.labels,) if own_labels and piece.labels else ()
    sources = [read_chunks(Source(path, options.columns, exclude=exclude))]
    if piece.train is not None:
        source = Source(piece.folder / piece.train, options.columns, exclude=exclude)
        sources.append(_named(str(piece.train), source))
    if piece.labels is not None:
        sources.append(_label_chunks(piece, piece.labels, own_labels))
    counts = empty.fresh()
    for chunks in aligned(*sources):
        labels = chunks[-1] if piece.labels is not None else None
        counts.predictions.update(chunks[0], labels)
        if counts.gap is not None:
            counts.gap.update(chunks[1], chunks[0], labels)
    return counts


def _add(report: PredictionsReport, counts: _Counts, paths: list[str]) -> None:
    statistics = counts.predictions.report()
    if not statistics.rows and not statistics.nan_rows:
        report.errors += [FileError(path, "holds no predictions") for path in paths]
        return
    gap = counts.gap.report() if counts.gap else None
    report.add(FileResult(paths[0], statistics, gap, tuple(paths[1:])))


def _check_together(
    report: PredictionsReport,
    count: Callable[[_Piece], _Counts],
    pieces: list[_Piece],
    engine: Engine | None,
) -> None:
    names = [str(piece.path) for piece in pieces]
    together = monitor_shards(count, pieces, engine)
    for index, message in together.failed.items():
        report.errors.append(FileError(names[index], message))
    if together.monitor is not None:
        read = [name for index, name in enumerate(names) if index not in together.failed]
        _add(report, together.monitor, read)


def _named(name: str, source: Source) -> Iterator[np.ndarray]:
    """Chunks of a file that is not the one being checked: its errors must name it."""
    try:
        yield from read_chunks(source)
    except PredictionFileError as error:
        raise PredictionFileError(f"{name}: {error}") from error


def _label_chunks(piece: _Piece, labels: str, own: bool) -> Iterator[np.ndarray]:
    """Its errors come with the first chunk, after those of the file itself."""
    path, file = piece.folder / piece.path, piece.folder / labels
    if own:
        yield from read_chunks(Source(path, (labels,)))
        return
    if file.exists() and not piece.own_labels:
        yield from _named(labels, _labels_in(file))
        return
    present = ", ".join(map(repr, names_in(path)[:20])) or "none"
    what = f"--labels {labels!r} is neither a column of it (it has {present}) nor a file"
    if piece.own_labels:
        what = (
            f"--labels {labels!r} is no column of it (it has {present}); where the labels are in"
            " other files, repeat --labels: one for each FILE, in their order"
        )
    raise PredictionFileError(what)


def _labels_in(file: Path) -> Source:
    return Source(file, usual=LABEL_NAMES, hint="call the column of labels 'label'")


def _empty(options: CheckOptions) -> _Counts:
    expected: dict[ClassId, float] | None = None
    rows = None
    if options.expected == "uniform":
        expected = dict.fromkeys(range(options.num_classes or 0), 1.0)
    elif options.expected is not None:
        expected, rows = _expected_counts(Path(options.expected))
    monitor = PredictionMonitor(
        num_classes=options.num_classes,
        expected=expected,
        expected_rows=rows,
        threshold=options.threshold,
        thresholds=options.thresholds,
    )
    gap = ModeGapMonitor(options.threshold, options.thresholds) if options.train else None
    return _Counts(monitor, gap)


def _expected_counts(file: Path) -> tuple[dict[ClassId, float], int]:
    counts: Counter[ClassId] = Counter()
    for chunk in read_chunks(_labels_in(file)):
        add_classes(counts, to_classes(chunk, None, "labels").classes)
    if not counts:
        raise PredictionFileError("holds no labels")
    return {name: float(count) for name, count in counts.items()}, counts.total()
