"""`bnlint inspect`: batch norm in graphs, SavedModels, checkpoints and Keras files."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bnlint.runtime.graph_report import GraphReport

FORMATS = ("text", "concise", "json", "sarif", "github", "junit")


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
@click.option("--list", "show_list", is_flag=True, help="Also list every batch norm found.")
@click.pass_context
def inspect(
    context: click.Context,
    paths: tuple[str, ...],
    train_op: tuple[str, ...],
    data: str | None,
    output_format: str,
    save_to: str | None,
    show_list: bool,
) -> None:
    """Say what is wrong with batch norm in graphs and stored models.

    PATHS are .meta, .pb and .pbtxt graphs, SavedModel folders, checkpoints (.index, prefix or
    folder) and .keras or .h5 files. Nothing in them is run, unless --data is given.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from bnlint.findings import sorted_findings
    from bnlint.reporting import render
    from bnlint.runtime.graph_report import GraphReport

    try:
        from bnlint.runtime.inspect import inspect_path

        reports = [inspect_path(path, list(train_op) or None, data) for path in paths]
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"inspecting needs {error.name}: install bnlint with its extra `runtime`"
        ) from error
    total = GraphReport(
        findings=sorted_findings(one for report in reports for one in report.findings),
        errors=[one for report in reports for one in report.errors],
        files=len(reports),
        batch_norms=tuple(one for report in reports for one in report.batch_norms),
    )
    stream = io.StringIO() if save_to else sys.stdout
    if show_list:
        _list(total)
    render(total, output_format, stream)
    if save_to and isinstance(stream, io.StringIO):
        _write(Path(save_to), stream.getvalue())
    context.exit(total.exit_code)


def _list(report: GraphReport) -> None:
    """A table of the batch norms, on stderr: stdout is the report's."""
    from rich.console import Console
    from rich.table import Table

    table = Table("batch norm", "kind", "mode", "moving mean", "updates", "decay", "epsilon")
    for one in report.batch_norms:
        decay = "" if one.decay is None else f"{one.decay:g}"
        epsilon = "" if one.epsilon is None else f"{one.epsilon:g}"
        updates = "" if one.kind == "keras" else str(len(one.update_ops))
        table.add_row(one.name, one.kind, one.mode_text, one.moving_mean, updates, decay, epsilon)
    Console(stderr=True).print(table)


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, or not at all."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=path.name, delete=False, encoding="utf-8"
        ) as stream:
            stream.write(text)
        os.replace(stream.name, path)
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error
