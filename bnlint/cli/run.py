"""`bnlint run`: a training script with the inspector attached."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bnlint.findings import Finding

_FORMATS = ["text", "concise", "json", "sarif", "github", "junit"]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--stop", is_flag=True, help="Stop the training at the first finding.")
@click.option("--format", "output_format", type=click.Choice(_FORMATS), default="text")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write the report there at the end, instead of to stderr at the first finding.",
)
def run(
    script: Path,
    arguments: tuple[str, ...],
    stop: bool,
    output_format: str,
    output: Path | None,
) -> None:
    """Run SCRIPT with ARGUMENTS (after `--`), and check batch norm at its first training step.

    That is the first `Session.run` of a train op, or Keras' `fit`. The exit code is the script's
    own, if that is not 0; else 1 with findings, 2 if the inspection itself failed.
    """
    from bnlint.findings import Report
    from bnlint.reporting import render
    from bnlint.runtime.run_script import run_script

    def tell(findings: list[Finding]) -> None:
        if output is None:
            render(Report(findings=findings, files=1), output_format, sys.stderr)

    if arguments[:1] == ("--",):
        arguments = arguments[1:]
    result = run_script(script, arguments, stop=stop, on_findings=tell)
    for error in result.report.errors:
        click.echo(f"bnlint: {error.path}: {error.message}", err=True)
    if not result.report.files:
        click.echo("bnlint: the script ran no train op and no fit; nothing was checked", err=True)
    if output is not None:
        with output.open("w", encoding="utf-8") as stream:
            render(result.report, output_format, stream)
    raise SystemExit(result.exit_code or result.report.exit_code)
