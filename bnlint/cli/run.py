"""`bnlint run`: a training script with the inspector attached."""

from __future__ import annotations

import contextlib
import functools
import io
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnlint.cli.output import write_report
from bnlint.reporting import FORMATS, render
from bnlint.reporting.escapes import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bnlint.findings import Finding, Report
    from bnlint.runtime.monitor.run_script import ScriptResult

_AT_ONCE = ("text", "concise", "github")
_RECURSION_LIMIT = 1000  # Python's own; the `bnlint` command raises it for the analyzer


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("-m", "is_module", is_flag=True, help="SCRIPT is a module or package.")
@click.option("--stop", is_flag=True, help="End the script at the first finding.")
@click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True
)
@click.option(
    "--save-to",
    type=click.Path(dir_okay=False),
    help="Write the report to this file at the end, instead of to stderr.",
)
def run(
    script: str,
    arguments: tuple[str, ...],
    is_module: bool,
    stop: bool,
    output_format: str,
    save_to: str | None,
) -> None:
    """Run SCRIPT with ARGUMENTS (after `--`), and check batch norm while it trains.

    The graph or model is inspected at the first `Session.run` of each train op and in Keras' `fit`.
    Training in inference mode and evaluation in training mode are told in sessions, `fit`,
    `train_on_batch` and GradientTape loops. Findings go to stderr while the script runs (text,
    concise, github) or at its end. The exit code is the script's own, if that is not 0; else 1 with
    findings, 2 if the inspection itself failed.
    """
    from bnlint.findings import Report

    try:
        from bnlint.runtime.monitor.run_script import run_module, run_script
    except ModuleNotFoundError as missing:
        raise click.UsageError(
            f"running a script needs {missing.name}: install bnlint with its extra `runtime`"
        ) from missing

    at_once = save_to is None and output_format in _AT_ONCE

    def tell(findings: list[Finding]) -> None:
        if at_once:
            report = Report(findings=findings, files=1)
            sys.stdout.flush()
            render(report, output_format, sys.stderr, sources=_sources(report))

    start = functools.partial(run_module, script) if is_module else _script(script, run_script)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # so is what the script does at SIGTERM
    result = start(arguments[arguments[:1] == ("--",) :], stop=stop, on_findings=tell)
    for error in result.report.errors:
        click.echo(f"bnlint: {printable(error.path)}: {printable(error.message)}", err=True)
    if not result.report.files and not result.report.errors:
        click.echo("bnlint: the script ran no train op and no fit; nothing was checked", err=True)
    if not at_once:
        stream = io.StringIO()
        render(result.report, output_format, stream, sources=_sources(result.report))
        if save_to is None:
            click.echo(stream.getvalue(), err=True, nl=False)
        else:
            write_report(save_to, stream.getvalue())
    raise SystemExit(result.exit_code or result.report.exit_code)


def _script(script: str, run_script: Callable[..., ScriptResult]) -> Callable[..., ScriptResult]:
    if not Path(script).is_file():
        raise click.UsageError(f"no such file: {script} (a module is run with -m)")
    return functools.partial(run_script, Path(script))


def _sources(report: Report) -> dict[str, str]:
    """The files that findings point into, for excerpts."""
    places = [one.location for one in report.findings]
    places += [item.location for one in report.findings for item in one.related]
    texts = {}
    for path in {place.path for place in places if place.line}:
        # The script may have changed or removed it meanwhile.
        with contextlib.suppress(OSError, ValueError):
            texts[path] = Path(path).read_text(encoding="utf-8")
    return texts
