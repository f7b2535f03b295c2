"""`bnlint predictions`: is a classifier collapsed, do its two modes agree?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bnlint.runtime.predictions_check import FileResult

_FORMATS = ["text", "concise", "json", "sarif", "github", "junit"]
_LISTED = 20


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--labels", help="Column or array of FILE with the true classes, or a file of them.")
@click.option("--column", "columns", multiple=True, help="Column (or .npz array) of predictions.")
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="The same rows predicted in training mode: compares both modes (BN602).",
)
@click.option("--expected", help='"uniform", or a file of labels of other rows.')
@click.option("--num-classes", type=click.IntRange(min=2), help="Number of classes, if known.")
@click.option("--threshold", type=float, help="Binary scores: class 1 above this.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help="Largest false-alarm probability of a test.",
)
@click.option("--format", "output_format", type=click.Choice(_FORMATS), default="text")
@click.option("--metrics", type=click.Path(path_type=Path), help="Write all statistics as JSON.")
def predictions(
    files: tuple[Path, ...],
    labels: str | None,
    columns: tuple[str, ...],
    train: Path | None,
    expected: str | None,
    num_classes: int | None,
    threshold: float | None,
    alpha: float,
    output_format: str,
    metrics: Path | None,
) -> None:
    """Test predictions in FILES (.npy, .npz, .csv, .parquet) for collapse onto few classes.

    FILES hold class ids, or scores of shape (rows, classes) whose argmax counts, made in
    inference mode. Exit codes: 0 clean, 1 findings, 2 a file can't be read.
    """
    if train is not None and len(files) > 1:
        raise click.UsageError("--train belongs to one FILE")
    from bnlint.reporting import render
    from bnlint.runtime.predictions import Thresholds
    from bnlint.runtime.predictions_check import CheckOptions, check_predictions

    options = CheckOptions(
        labels=labels,
        columns=columns,
        train=train,
        expected=expected,
        num_classes=num_classes,
        threshold=threshold,
        thresholds=Thresholds(alpha=alpha),
    )
    report = check_predictions(list(files), options)
    if output_format == "text":
        for result in report.results:
            _show(result)
    render(report, output_format, sys.stdout)
    if metrics is not None:
        metrics.write_text(json.dumps([_plain(result) for result in report.results], indent=2))
    raise SystemExit(report.exit_code)


def _plain(result: FileResult) -> dict[str, Any]:
    gap = None if result.gap is None else result.gap.to_dict()
    return {"path": result.path, "predictions": result.predictions.to_dict(), "gap": gap}


def _show(result: FileResult) -> None:
    """The statistics as a rich table: the most predicted classes, and the summary above it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    report = result.predictions
    console = Console(highlight=False)
    expected = report.expected_effective_classes
    console.print(f"[bold]{escape(result.path)}[/bold]: {report.rows} rows", end="")
    console.print(f", {report.nan_rows} with NaN, {report.tied_rows} with ties")
    console.print(
        f"  entropy {report.entropy_bits:.3f} bits, {report.effective_classes:.2f} effective"
        + (f" ({expected:.2f} expected)" if expected is not None else "")
        + f", top class {report.top_class} has {report.top_share:.1%}"
    )
    if report.accuracy is not None:
        console.print(f"  accuracy {report.accuracy:.1%}")
    if report.test is not None:
        console.print(
            f"  tested against {report.against}: deviation {report.test.statistic:.3f},"
            f" alarm from {report.test.threshold:.3f}, {report.test.p_text}"
        )
    if result.gap is not None:
        console.print(f"  modes disagree on {result.gap.disagreement:.1%} of the rows")
    table = Table("class", "predicted", "share", "labelled", "recall")
    by_count = sorted(report.classes, key=lambda row: -row.predicted)
    for row in by_count[:_LISTED]:
        share = row.predicted / report.rows if report.rows else 0.0
        recall = "" if row.recall is None else f"{row.recall:.1%}"
        cells = (str(row.predicted), f"{share:.1%}", str(row.labelled or ""), recall)
        table.add_row(escape(str(row.name)), *cells)
    console.print(table)
    if len(by_count) > _LISTED:
        console.print(f"  and {len(by_count) - _LISTED} more classes (--metrics has all)")
