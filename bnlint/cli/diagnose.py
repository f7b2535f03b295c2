"""`bnlint diagnose`: why all test images get the same class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnlint.cli.output import write_report
from bnlint.reporting.escapes import printable

if TYPE_CHECKING:
    from rich.console import Console

    from bnlint.diagnosis.causes import Verdict
    from bnlint.diagnosis.report import Diagnosis

_CAUSES = 3
_DIFF_LINES = 14


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--labels", help="Labels of the predictions: a file, or a column of their file.")
@click.option(
    "--train-mode",
    type=click.Path(path_type=Path),
    help="The same rows, predicted in training mode.",
)
@click.option("--column", "columns", multiple=True, help="Column of predictions, or .npz array.")
@click.option("--threshold", type=float, help="Binary scores: class 1 above this.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False),
    help="Inputs (.npz) to measure the model's statistics on. Runs the model.",
)
@click.option(
    "--run",
    "script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A training script to run and watch. Only this is executed.",
)
@click.option("--argument", "arguments", multiple=True, help="For the script; may be repeated.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds until the script is ended.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
@click.option("--html", type=click.Path(dir_okay=False), help="Also write a page with drawings.")
def diagnose(paths: tuple[str, ...], output_format: str, html: str | None, **options: Any) -> None:
    """Say why all test images get the same class, and what to do.

    PATHS are whatever there is: files or folders of code, checkpoints, SavedModels, Keras files
    and .meta graphs, and predictions made in inference mode (files that `bnlint predictions`
    reads). The more there is, the more can be excluded. Exit codes: 0 no cause is likely, 1 one
    is, or the predictions are wrong, 2 something can't be read.
    """
    if not paths and options["script"] is None:
        raise click.UsageError("give code, a model or predictions, or a script to --run")
    diagnosis = _diagnose(paths, options)
    if output_format == "json":
        from bnlint.diagnosis.report import to_dict

        click.echo(json.dumps(to_dict(diagnosis), indent=2))
    else:
        _show(diagnosis)
    if html is not None:
        from bnlint.diagnosis.report import to_html

        write_report(html, to_html(diagnosis))
    raise SystemExit(diagnosis.exit_code)


def _diagnose(paths: tuple[str, ...], options: dict[str, Any]) -> Diagnosis:
    from bnlint.diagnosis.evidence import Inputs, gather
    from bnlint.diagnosis.report import Diagnosis
    from bnlint.lint.config import ConfigError

    try:
        return Diagnosis.of(gather(Inputs(paths, **options)))
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"this needs {error.name}: pip install 'bnlint[runtime,predictions]'"
        ) from error
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def _show(diagnosis: Diagnosis) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    evidence = diagnosis.evidence
    for error in evidence.errors:
        word = "error" if error.fatal else "note"
        click.echo(f"{word}: {printable(error.path)}: {printable(error.message)}", err=True)
    console.print(f"[bold]{_shown(diagnosis.summary)}[/bold]")
    for number, verdict in enumerate(diagnosis.found[:_CAUSES], 1):
        _show_verdict(console, number, verdict, diagnosis)
    if len(diagnosis.found) > _CAUSES:
        rest = ", ".join(one.cause.key for one in diagnosis.found[_CAUSES:])
        console.print(f"\nAlso likely: {rest}")
    _show_excluded(console, diagnosis)
    if evidence.looked_at:
        console.print("\nLooked at:")
        for half, what in evidence.looked_at.items():
            console.print(f"  {half}: {_shown(what)}")
    _show_missing(console, diagnosis)


def _show_verdict(console: Console, number: int, verdict: Verdict, diagnosis: Diagnosis) -> None:
    from bnlint.diagnosis.report import line_of, repair_of

    evidence = diagnosis.evidence
    console.print(f"\n{number}. [bold]{verdict.level.value}[/bold]: {_shown(verdict.cause.title)}")
    for why in verdict.because:
        console.print(f"   - {_shown(why)}")
    for _, finding in verdict.findings[:1]:
        console.print(f"   {_shown(finding.location)}: {finding.code} {_shown(finding.message)}")
        line = line_of(finding, evidence)
        if line:
            console.print(f"       {_shown(line)}")
    repair, diff = repair_of(verdict, evidence)
    console.print(f"   check:  {_shown(verdict.cause.check)}")
    console.print(f"   repair: {_shown(repair)}")
    for line in diff.splitlines()[2 : 2 + _DIFF_LINES] if number == 1 else ():
        console.print(f"       {_shown(line)}")


def _show_excluded(console: Console, diagnosis: Diagnosis) -> None:
    from bnlint.diagnosis.causes import Level

    excluded = diagnosis.at(Level.EXCLUDED)
    if excluded:
        console.print("\nExcluded:")
    for verdict in excluded:
        reasons = "; ".join(verdict.because)
        console.print(f"  {_shown(verdict.cause.key)}: {_shown(reasons)}")


def _show_missing(console: Console, diagnosis: Diagnosis) -> None:
    """What else would help, where nothing is certain."""
    from bnlint.diagnosis.causes import Level
    from bnlint.diagnosis.evidence import CODE, MODEL, PREDICTIONS

    if diagnosis.at(Level.CERTAIN):
        return
    wanted = {
        CODE: "the folder of the training and evaluation code",
        MODEL: "the checkpoint or model",
        PREDICTIONS: "predictions of test images, with --labels and --train-mode",
    }
    missing = [what for half, what in wanted.items() if half not in diagnosis.evidence.looked_at]
    if missing:
        console.print(f"\nMore could be said with {'; '.join(missing)}.")


def _shown(text: object) -> str:
    from rich.markup import escape

    return escape(printable(str(text)))
