"""`bnlint check`: lint files and folders."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from bnlint.lint.config import Config, ConfigError, Settings, check_selectors, matches
from bnlint.lint.importers import around
from bnlint.lint.run import LintRun, Stdin, collect, lint
from bnlint.reporting import FORMATS, WITH_REPAIRS, render
from bnlint.reporting.escapes import printable
from bnlint.reporting.replacements import Repairs
from bnlint.sources.files import MAX_BYTES, Source, source_from_bytes


def _selectors(values: Sequence[str], option: str) -> tuple[str, ...]:
    """What an option names, repeated or separated by commas."""
    items = [item.strip() for value in values for item in value.split(",")]
    return check_selectors([item for item in items if item], option)


def _rules(option: str, help: str) -> Callable[[Any], Any]:
    return click.option(option, multiple=True, shell_complete=complete_rule, help=help)


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
@click.option("--fix", is_flag=True, help="Repair what can be repaired safely.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: repair more.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
@_rules("--select", "Codes, prefixes or names to report, separated by commas; may be repeated.")
@_rules("--extend-select", "More to report, besides what the settings select.")
@_rules("--ignore", "Codes, prefixes or names to leave out.")
@_rules("--fixable", "Rules whose repairs --fix makes (default: all).")
@_rules("--unfixable", "Rules whose repairs --fix does not make.")
@click.option("--confidence", type=click.Choice(["low", "medium", "high"]),
              help="Least confidence to report (default: medium).")  # fmt: skip
@click.option("--exclude", "--extend-exclude", multiple=True,
              help="Pattern (gitignore syntax) to leave out, besides the settings'.")  # fmt: skip
@click.option("--force-exclude", is_flag=True,
              help="Leave out named files, too, in caches and environments.")  # fmt: skip
@click.option("--importers/--no-importers", default=True,
              help="Also follow what imports the files that are named (default).")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", help="Output.")
@click.option("--output-file", help="Write the report to this file.")
@click.option("--report", "reports", multiple=True, metavar="FORMAT=FILE", callback=_reports,
              help="Also write the report to this file, in one run; may be repeated.")  # fmt: skip
@click.option("--statistics", is_flag=True, help="Count the findings of each rule.")
@click.option("--verbose", "-v", is_flag=True,
              help="Name the programs that were not followed to their end.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Print findings and errors, nothing else.")
@click.option("--show-files", is_flag=True, help="Print which files would be linted.")
@click.option("--show-settings", is_flag=True, help="Print the settings of each path.")
@click.option("--baseline", help="File of known findings, which are not reported.")
@click.option("--write-baseline", is_flag=True, help="Write today's findings to the baseline.")
@click.option("--add-ignore", is_flag=True,
              help="Silence today's findings by comments on their lines.")  # fmt: skip
@click.option("--exit-zero", is_flag=True, help="Exit 0 even if there are findings.")
@click.option("--exit-non-zero-on-fix", is_flag=True, help="Exit 1 if --fix changed something.")
@click.option("--config", "config_file",
              help="A pyproject.toml or bnlint.toml (default: each file's nearest).")  # fmt: skip
@click.option("--isolated", is_flag=True, help="Ignore all files of settings.")
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
    settings = _settings(options)
    for path in paths:
        settings.check("." if path == "-" else path)
    if options["show_settings"]:
        return _show_settings(paths, settings)
    stdin = _read_stdin(options["stdin_filename"]) if "-" in paths else None
    if options["show_files"]:
        with progress_bar() as progress:
            sources, errors = _read(paths, settings, options, stdin, progress)
        click.echo("".join(f"{printable(source.path)}\n" for source in sources), nl=False)
        return _told(errors)
    return _linted(paths, settings, options, stdin)


def _linted(
    paths: tuple[str, ...], settings: Settings, options: dict[str, Any], stdin: Stdin | None
) -> int:
    root = settings.of(_first(paths)).root
    with contextlib.ExitStack() as ending:
        with progress_bar() as progress:
            sources, errors = _read(paths, settings, options, stdin, progress)
            others = around(sources, paths, settings) if options["importers"] else []
            cache = ending.enter_context(contextlib.closing(_cache(root, options)))
            engine = ending.enter_context(contextlib.closing(open_engine(options, len(sources))))
            run = lint(sources, settings, errors, progress, cache, engine, others)
        run.report.errors += settings.errors
        if not (sources or errors):
            _warn(f"nothing to lint: no Python file or notebook in {', '.join(paths)}", options)
        if options["write_baseline"]:
            return _write_baseline(run, settings, paths)
        _leave_out_known(run, settings, options)
        if options["add_ignore"]:
            from bnlint.cli.fix import add_ignores

            return _told(add_ignores(run, [root, *_folders(paths)]))
        if options["fix"] or options["diff"]:
            from bnlint.cli.fix import Tree, fix

            _keep_fixable(run, options)
            before = run
            run = fix(run, Tree(settings, [root, *_folders(paths)], cache, stdin), options)
            changed = run is not before
        else:
            changed = False
        code = _finish(run, options, stdin is not None)
        return max(code, 1) if changed and options["exit_non_zero_on_fix"] else code


def _cache(root: str, options: dict[str, Any]) -> Cache:
    if options["no_cache"]:
        return Cache()
    return Cache(options["cache_dir"] or user_folder(), root)


def _first(paths: tuple[str, ...]) -> str:
    return "." if paths[0] == "-" else paths[0]


def _warn(text: str, options: dict[str, Any]) -> None:
    if not options["quiet"]:
        click.echo(f"warning: {printable(text)}", err=True)


def _told(errors: Sequence[FileError]) -> int:
    """Prints what could not be read or written; the exit code."""
    for error in errors:
        click.echo(f"error: {printable(f'{error.location}: {error.message}')}", err=True)
    return 2 if errors else 0


def _keep_fixable(run: LintRun, options: dict[str, Any]) -> None:
    """Only the chosen rules' repairs are made."""
    fixable = _selectors(options["fixable"], "--fixable")
    unfixable = _selectors(options["unfixable"], "--unfixable")
    run.report.findings = [
        finding
        if (not fixable or matches(finding.code, fixable)) and not matches(finding.code, unfixable)
        else replace(finding, fix=None)
        for finding in run.report.findings
    ]


def _folders(paths: tuple[str, ...]) -> list[str]:
    """The folders that are linted."""
    named = [path for path in paths if path != "-"]
    return [path if os.path.isdir(path) else os.path.dirname(path) or "." for path in named]


def _write_baseline(run: LintRun, settings: Settings, paths: tuple[str, ...]) -> int:
    if not any(settings.of(path).baseline for path in paths):
        raise ConfigError("--write-baseline needs --baseline FILE")
    from bnlint.lint.known import renew_baselines

    for path, count in renew_baselines(run, settings).items():
        click.echo(f"{path}: {count} known {'finding' if count == 1 else 'findings'}", err=True)
    return 0


def _leave_out_known(run: LintRun, settings: Settings, options: dict[str, Any]) -> None:
    if not any(settings.of(path).baseline for path in run.texts()):
        return
    from bnlint.lint.known import apply_baselines

    for note in apply_baselines(run, settings):
        _warn(note, options)


def _show_settings(paths: tuple[str, ...], settings: Settings) -> int:
    for path in paths:
        config = settings.of("." if path == "-" else path)
        click.echo(f"{printable(path)}: {config.file or 'no file of settings'}")
        for name, value in config.shown().items():
            click.echo(f"  {name} = {printable(str(value))}")
    return 0


def _finish(run: LintRun, options: dict[str, Any], from_stdin: bool) -> int:
    """Writes the report; the exit code."""
    # A diff is meant for `patch`, repaired code for whoever gave it: the report goes beside it.
    beside = options["diff"] or (options["fix"] and from_stdin)
    _write(run, options, sys.stderr if beside else sys.stdout)
    code = run.report.exit_code
    return 0 if code == 1 and options["exit_zero"] else code


def _settings(options: dict[str, Any]) -> Settings:
    confidence = options["confidence"]
    extended = _selectors(options["extend_select"], "--extend-select")
    # A baseline is of all findings: what is written does not depend on what is asked for today.
    narrowed = not options["write_baseline"]
    select = _selectors(options["select"], "--select") if narrowed else ()
    ignore = _selectors(options["ignore"], "--ignore") if narrowed else ()

    def override(config: Config) -> Config:
        selected = select or config.select
        return config.but(
            select=(*selected, *extended) if selected else (),
            ignore=ignore,
            exclude=(*config.exclude, *options["exclude"]),
            confidence=Confidence(confidence) if confidence else None,
            baseline=options["baseline"],
        )

    file = options["config_file"]
    return Settings(override, Path(file) if file else None, options["isolated"])


def _read_stdin(name: str) -> Stdin:
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES} bytes, not read")
    return Stdin(name, data)


def _read(
    paths: tuple[str, ...],
    settings: Settings,
    options: dict[str, Any],
    stdin: Stdin | None,
    progress: Progress,
) -> tuple[list[Source], list[FileError]]:
    named = [path for path in paths if path != "-"]
    sources, errors = collect(named, settings, progress, force_exclude=options["force_exclude"])
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
    chosen = {name: options[name] for name in ("statistics", "verbose", "quiet")}
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
