"""`bnlint check`: lint files and folders."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import click

from bnlint.analyzer.cache import Cache, user_folder
from bnlint.cli.completion import complete_rule
from bnlint.cli.engine import engine_options, open_engine
from bnlint.cli.last_resort import debug_option
from bnlint.cli.progress import progress_bar
from bnlint.execution.progress import Progress
from bnlint.findings import Confidence, FileError
from bnlint.lint.config import Config, ConfigError, check_selectors, find_config, load_config
from bnlint.lint.run import LintRun, Stdin, collect, lint
from bnlint.reporting import FORMATS, WITH_REPAIRS, render
from bnlint.reporting.escapes import printable
from bnlint.reporting.replacements import Repairs
from bnlint.sources.files import MAX_BYTES, Source, source_from_bytes


def _split(value: str | None, option: str) -> tuple[str, ...]:
    if value is None:
        return ()
    return check_selectors([item.strip() for item in value.split(",") if item.strip()], option)


def _reports(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str, str]]:
    """(format, file) of each."""
    pairs = [value.partition("=") for value in values]
    for format_, _, file in pairs:
        if format_ not in FORMATS or not file:
            raise click.BadParameter(f"FORMAT=FILE, with one of {', '.join(FORMATS)}")
    return [(format_, file) for format_, _, file in pairs]


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(allow_dash=True))
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", help="Output.")
@click.option(
    "--select",
    shell_complete=complete_rule,
    help="Codes, prefixes or names to report, separated by commas.",
)
@click.option(
    "--ignore", shell_complete=complete_rule, help="Codes, prefixes or names to leave out."
)
@click.option("--exclude", multiple=True, help="Pattern (gitignore syntax) to leave out.")
@click.option("--confidence", type=click.Choice(["low", "medium", "high"]),
              help="Least confidence to report (default: medium).")  # fmt: skip
@click.option("--baseline", help="File of known findings, which are not reported.")
@click.option("--write-baseline", is_flag=True, help="Write today's findings to the baseline.")
@click.option("--statistics", is_flag=True, help="Count the findings of each rule.")
@click.option("--verbose", "-v", is_flag=True,
              help="Name the programs that were not followed to their end.")  # fmt: skip
@click.option("--fix", is_flag=True, help="Repair what can be repaired safely.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: repair more.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 even if there are findings.")
@click.option("--config", "config_file", help="A pyproject.toml (default: the nearest).")
@click.option("--output-file", help="Write the report to this file.")
@click.option("--report", "reports", multiple=True, metavar="FORMAT=FILE", callback=_reports,
              help="Also write the report to this file, in one run; may be repeated.")  # fmt: skip
@click.option("--stdin-filename", default="stdin.py", help="File name for code read from '-'.")
@click.option("--watch", is_flag=True, help="Lint again whenever a file changes.")
@engine_options
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option("--cache-dir", envvar="BNLINT_CACHE_DIR",
              help="Where results are kept (default: the user's cache folder).")  # fmt: skip
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto")
@debug_option
def check(paths: tuple[str, ...], **options: Any) -> None:
    """Lint PATHS (default: the current folder; '-' reads stdin)."""
    paths = paths or (".",)
    if options["watch"]:
        sys.exit(_watch(paths, options))
    sys.exit(_checked(paths, options))


def _checked(paths: tuple[str, ...], options: dict[str, Any]) -> int:
    try:
        return _check(paths, options)
    except ConfigError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        return 2


def _watch(paths: tuple[str, ...], options: dict[str, Any]) -> int:
    if "-" in paths or options["write_baseline"]:
        raise click.UsageError("--watch goes with files and folders, not '-' or --write-baseline")
    try:
        from bnlint.cli.watch import watch_and_lint
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"--watch needs {error.name}: pip install 'bnlint[watch]'"
        ) from error
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise click.UsageError(f"{missing[0]}: no such file or folder")
    watch_and_lint(paths, lambda: _checked(paths, options))
    return 0


def _check(paths: tuple[str, ...], options: dict[str, Any]) -> int:
    config = _settings(paths, options)
    if options["write_baseline"] and not config.baseline:
        raise ConfigError("--write-baseline needs --baseline FILE")
    stdin = _read_stdin(options["stdin_filename"]) if "-" in paths else None
    with contextlib.ExitStack() as ending:
        with progress_bar() as progress:
            sources, errors = _read(paths, config, stdin, progress)
            cache = ending.enter_context(contextlib.closing(_cache(config, options)))
            engine = ending.enter_context(contextlib.closing(open_engine(options, len(sources))))
            run = lint(sources, config, errors, progress, cache, engine)
        if options["write_baseline"]:
            return _write_baseline(run, config)
        if config.baseline:
            from bnlint.lint.baseline import apply_baseline

            apply_baseline(config.baseline, run.report, run.texts())
        if options["fix"] or options["diff"]:
            from bnlint.cli.fix import Tree, fix

            run = fix(run, Tree(config, _roots(paths, config), cache, stdin), options)
        return _finish(run, options, stdin is not None)


def _cache(config: Config, options: dict[str, Any]) -> Cache:
    if options["no_cache"]:
        return Cache()
    return Cache(options["cache_dir"] or user_folder(), config.root)


def _roots(paths: tuple[str, ...], config: Config) -> list[str]:
    """The folders that are linted."""
    named = [path for path in paths if path != "-"]
    folders = [path if os.path.isdir(path) else os.path.dirname(path) or "." for path in named]
    return [config.root, *folders]


def _write_baseline(run: LintRun, config: Config) -> int:
    from bnlint.lint.baseline import write_baseline

    write_baseline(config.baseline, run.report, run.texts())
    click.echo(f"Wrote {len(run.report.findings)} findings to {config.baseline}", err=True)
    return 0


def _finish(run: LintRun, options: dict[str, Any], from_stdin: bool) -> int:
    """Writes the report; the exit code."""
    # A diff is meant for `patch`, repaired code for whoever gave it: the report goes beside it.
    beside = options["diff"] or (options["fix"] and from_stdin)
    _write(run, options, sys.stderr if beside else sys.stdout)
    code = run.report.exit_code
    return 0 if code == 1 and options["exit_zero"] else code


def _settings(paths: tuple[str, ...], options: dict[str, Any]) -> Config:
    if options["config_file"]:
        file: Path | None = Path(options["config_file"])
    else:
        start = Path(paths[0] if paths[0] != "-" else ".")
        file = find_config(str(start if start.is_dir() else start.parent))
    confidence = options["confidence"]
    config = load_config(file)
    return config.but(
        select=_split(options["select"], "--select"),
        ignore=_split(options["ignore"], "--ignore"),
        exclude=(*config.exclude, *options["exclude"]),
        confidence=Confidence(confidence) if confidence else None,
        baseline=options["baseline"],
    )


def _read_stdin(name: str) -> Stdin:
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES} bytes, not read")
    return Stdin(name, data)


def _read(
    paths: tuple[str, ...], config: Config, stdin: Stdin | None, progress: Progress
) -> tuple[list[Source], list[FileError]]:
    sources, errors = collect([path for path in paths if path != "-"], config, progress)
    if stdin is not None:
        sources = [source for source in sources if source.path != stdin.name]
        source = source_from_bytes(stdin.data, stdin.name)
        if isinstance(source, FileError):
            errors.append(source)
        else:
            sources.append(source)
    return sources, errors


def _write(run: LintRun, options: dict[str, Any], stream: TextIO) -> None:
    """Writes the report, and the others that are asked for."""
    color = {"always": True, "never": False, "auto": None}[options["color"]]
    chosen = {name: options[name] for name in ("statistics", "verbose")}
    arguments = {"sources": run.texts(), "color": color, **chosen}
    targets = [(options["format_"], options["output_file"]), *options["reports"]]
    if any(format_ in WITH_REPAIRS for format_, _ in targets):
        arguments["repairs"] = _repairs(run)
    for format_, file in targets:
        if file:
            buffer = io.StringIO()
            render(run.report, format_, buffer, **arguments)
            from bnlint.lint.save import save

            save(file, buffer.getvalue())
        else:
            render(run.report, format_, stream, **arguments)


def _repairs(run: LintRun) -> Repairs:
    """What the findings' repairs replace; the parser is loaded only where there are some."""
    if not any(finding.fix for finding in run.report.findings):
        return {}
    from bnlint.lint.repairs import repairs

    return repairs(run.report, run.texts())
