"""`bnlint predictions`: is a classifier collapsed, do its two modes agree?"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from bnlint.cli.engine import engine_options, open_engine
from bnlint.cli.output import write_report
from bnlint.lint.config import ConfigError
from bnlint.reporting import FORMATS, render

if TYPE_CHECKING:
    from bnlint.runtime.predictions.check import (
        CheckOptions,
        FileResult,
        PredictionsReport,
    )
    from bnlint.runtime.predictions.mode_gap import GapReport

_LISTED = 20


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--labels",
    multiple=True,
    help="Column or array of FILE of true classes, or a file of them. Repeated: one for each.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    help="Column of predictions, or .npz array. Scores: repeat it, or give a pattern ('class_*').",
)
@click.option(
    "--train",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The same rows predicted in training mode, for each FILE: compares both modes (BN602).",
)
@click.option("--merge", is_flag=True, help="FILES are parts of one evaluation: one report of all.")
@click.option("--expected", help='"uniform", or a file of labels of other rows.')
@click.option("--num-classes", type=click.IntRange(min=2), help="Number of classes, if known.")
@click.option("--threshold", type=float, help="Binary scores: class 1 above this.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.1, min_open=True),
    default=0.001,
    show_default=True,
    help="Largest false-alarm probability of a test.",
)
@click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True
)
@click.option("--save-to", type=click.Path(dir_okay=False), help="Write the report to this file.")
@click.option(
    "--metrics", type=click.Path(dir_okay=False), help="Write all statistics to this file, as JSON."
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    help="Also write a page with histograms.",
)
@engine_options
def predictions(files: tuple[Path, ...], **options: Any) -> None:
    """Test predictions in FILES for collapse onto few classes.

    FILES (.npy, .npz, .csv, .tsv, .txt, .parquet, .json, .jsonl) hold class ids, or scores of shape
    (rows, classes) whose argmax counts, made in inference mode; or images of shape (images,
    height, width) and (images, height, width, classes). A table starts with column names, unless
    its first line is all numbers.
    Each FILE is reported by itself, unless --merge is given. The workers of a cluster read FILES
    themselves, from a file system that all share. `bnlint explain BN601` states the tests and
    their false-alarm rates. Exit codes: 0 clean, 1 findings, 2 a file can't be read.
    """
    report = _check(files, options)
    save_to, output_format = options["save_to"], options["output_format"]
    stream = io.StringIO() if save_to else sys.stdout
    if output_format == "text":
        for result in report.results:
            _show(result, stream)
    render(report, output_format, stream)
    if save_to and isinstance(stream, io.StringIO):
        write_report(save_to, stream.getvalue())
    if options["metrics"] is not None:
        plain = [_plain(result) for result in report.results]
        write_report(options["metrics"], json.dumps(plain, indent=2) + "\n")
    if options["html"] is not None:
        from bnlint.runtime.html import render_html

        write_report(options["html"], render_html([], report))
    raise SystemExit(report.exit_code)


def _check(files: tuple[Path, ...], options: dict[str, Any]) -> PredictionsReport:
    from bnlint.runtime.predictions.check import OptionsError, check_predictions

    try:
        with contextlib.closing(open_engine(options, len(files))) as engine:
            return check_predictions(files, _check_options(options), engine)
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"reading predictions needs {error.name}: install bnlint with its extra `predictions`"
        ) from error
    except (ConfigError, OptionsError) as error:
        raise click.UsageError(str(error)) from error


def _check_options(options: dict[str, Any]) -> CheckOptions:
    from bnlint.runtime.predictions.check import CheckOptions
    from bnlint.runtime.predictions.collapse import Thresholds

    labels = options["labels"]
    return CheckOptions(
        labels=labels if len(labels) > 1 else next(iter(labels), None),
        columns=options["columns"],
        train=options["train"] or None,
        expected=options["expected"],
        merge=options["merge"],
        num_classes=options["num_classes"],
        threshold=options["threshold"],
        thresholds=Thresholds(alpha=options["alpha"]),
    )


def _plain(result: FileResult) -> dict[str, Any]:
    gap = None if result.gap is None else result.gap.to_dict()
    return {
        "path": result.path,
        "merged": result.more,
        "predictions": result.predictions.to_dict(),
        "gap": gap,
    }


def _show(result: FileResult, stream: IO[str]) -> None:
    """The statistics as a rich table: the most predicted classes, and the summary above it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from bnlint.reporting.escapes import printable

    def shown(name: object) -> str:
        return escape(printable(str(name)))

    report = result.predictions
    console = Console(file=stream, highlight=False, soft_wrap=True)
    console.print(f"[bold]{shown(result.title)}[/bold]: {report.rows} rows", end="")
    console.print(f", {report.nan_rows} with NaN, {report.tied_rows} with ties")
    if report.test is None:
        return
    expected = report.expected_effective_classes
    console.print(
        f"  entropy {report.entropy_bits:.3f} bits,"
        f" {report.effective_classes:.2f} effective classes"
        + (f" ({expected:.2f} expected)" if expected is not None else "")
        + f", top class {shown(report.top_class)} has {report.top_share:.1%}"
    )
    what = "top share" if expected is None else "distance"
    console.print(
        f"  tested against {report.against}: {what} {report.test.statistic:.3f},"
        f" {report.test.threshold_text}, {report.test.p_text}"
    )
    if report.accuracy is not None:
        console.print(f"  accuracy {report.accuracy:.1%}")
    if result.gap is not None:
        console.print(f"  {_gap_text(result.gap)}")
    labeled = report.accuracy is not None
    table = Table("class", "predicted", "share", *(["labeled", "recall"] if labeled else []))
    by_count = sorted(report.classes, key=lambda row: -row.predicted)
    for row in by_count[:_LISTED]:
        cells = [shown(row.name), str(row.predicted), f"{row.predicted / report.rows:.1%}"]
        recall = "" if row.recall is None else f"{row.recall:.1%}"
        table.add_row(*cells, *([str(row.labeled), recall] if labeled else []))
    console.print(table)
    if len(by_count) > _LISTED:
        console.print(f"  and {len(by_count) - _LISTED} more classes (--metrics has all)")


def _gap_text(gap: GapReport) -> str:
    text = f"modes disagree on {gap.disagreement:.1%} of {gap.rows} rows"
    if gap.train_accuracy is not None and gap.eval_accuracy is not None:
        text += (
            f"; accuracy {gap.train_accuracy:.1%} in training, {gap.eval_accuracy:.1%} in inference"
        )
    return text
