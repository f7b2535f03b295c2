"""`bnlint inspect`: batch norm in graphs, SavedModels, checkpoints and Keras files."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from bnlint.reporting import FORMATS
from bnlint.runtime.native_logs import import_tensorflow
from bnlint.sources.atomic_write import write_atomically

if TYPE_CHECKING:
    from bnlint.runtime.predictions.check import PredictionsReport
    from bnlint.runtime.report import GraphReport


class _CannotWrite(click.ClickException):
    """Ends the command as files that can't be read do."""

    exit_code = 2


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option(
    "--train-op", multiple=True, help="Name of a train op (default: ops that run an optimizer)."
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False),
    help="Inputs (.npz) to measure the batch norms' statistics on (BN503). Runs the model.",
)
@click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True
)
@click.option("--save-to", type=click.Path(dir_okay=False), help="Write the report to this file.")
@click.option(
    "--html", type=click.Path(dir_okay=False), help="Also write a page with drawings to this file."
)
@click.option(
    "--predictions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Predictions to check too (as `bnlint predictions` does), with a histogram in --html.",
)
@click.option("--labels", help="Labels of the predictions: a file, or a column of their file.")
@click.option(
    "--list", "show_list", is_flag=True, help="List every batch norm, and not the first ones only."
)
@click.pass_context
def inspect(
    context: click.Context,
    paths: tuple[str, ...],
    train_op: tuple[str, ...],
    data: str | None,
    output_format: str,
    save_to: str | None,
    html: str | None,
    predictions: tuple[Path, ...],
    labels: str | None,
    show_list: bool,
) -> None:
    """Say what is wrong with batch norm in graphs and stored models.

    PATHS are .meta, .pb and .pbtxt graphs, SavedModel folders, checkpoints (.index, prefix or
    folder) and .keras or .h5 files. Nothing in them is run, unless --data is given. The text names
    the batch norms and train ops that were recognized, before what is wrong with them. Exit codes:
    0 clean, 1 findings, 2 a path can't be read.
    """
    from bnlint.reporting import render

    try:
        if data is not None:
            import_tensorflow()
        from bnlint.runtime.inspect import inspect_path

        reports = [(path, inspect_path(path, list(train_op) or None, data)) for path in paths]
        predicted = _check_predictions(predictions, labels)
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"inspecting needs {error.name}: install bnlint with its extra `runtime`"
        ) from error
    total = _total([report for _, report in reports], predicted)
    stream = io.StringIO() if save_to else sys.stdout
    if output_format == "text":
        _outline(reports, show_list, stream)
    render(total, output_format, stream)
    if save_to and isinstance(stream, io.StringIO):
        _write(save_to, stream.getvalue())
    if html:
        from bnlint.runtime.html import render_html

        _write(html, render_html(reports, predicted))
    context.exit(total.exit_code)


def _check_predictions(paths: tuple[Path, ...], labels: str | None) -> PredictionsReport | None:
    if not paths:
        return None
    from bnlint.runtime.predictions.check import CheckOptions, check_predictions

    return check_predictions(list(paths), CheckOptions(labels=labels))


def _total(reports: list[GraphReport], predicted: PredictionsReport | None) -> GraphReport:
    from bnlint.findings import sorted_findings
    from bnlint.runtime.report import GraphReport

    parts = [*reports, *([predicted] if predicted else [])]
    return GraphReport(
        findings=sorted_findings(one for part in parts for one in part.findings),
        errors=list(dict.fromkeys(error for part in parts for error in part.errors)),
        files=len(reports) + (predicted.files if predicted else 0),
        batch_norms=tuple(one for report in reports for one in report.batch_norms),
        train_ops=tuple(one for report in reports for one in report.train_ops),
        reached_updates=_joined([report.reached_updates for report in reports]),
        missed_updates=_joined([report.missed_updates for report in reports]),
    )


def _joined(parts: list[dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    return {name: updates for part in parts for name, updates in part.items()}


def _outline(reports: list[tuple[str, GraphReport]], every: bool, stream: IO[str]) -> None:
    """What was recognized. Lines are never cut: a terminal wraps them."""
    from bnlint.reporting.escapes import printable
    from bnlint.runtime.outline import outline

    for path, report in reports:
        if report.batch_norms or report.train_ops:
            for line in outline(report, path, every):
                stream.write(f"{printable(line)}\n")
            stream.write("\n")


def _write(path: str, text: str) -> None:
    try:
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise _CannotWrite(f"{path}: {error.strerror or error}") from error
