"""`bnlint show`: what bnlint understands of programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bnlint.analyzer.analysis import describe
from bnlint.analyzer.cache import Cache, user_folder
from bnlint.cli.engine import engine_options, open_engine
from bnlint.cli.last_resort import debug_option
from bnlint.findings import Location
from bnlint.lint.config import Config, ConfigError, Settings
from bnlint.lint.run import collect
from bnlint.program.outline import Overview
from bnlint.reporting.escapes import printable
from bnlint.reporting.programs import render_overview
from bnlint.sources.files import Source


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
@click.option("--entry", default="",
              help="Only programs whose entry point has this in its name or path.")  # fmt: skip
@click.option("--exclude", multiple=True, help="Pattern (gitignore syntax) to leave out.")
@click.option("--config", "config_file", help="A pyproject.toml (default: the nearest).")
@engine_options
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option("--cache-dir", envvar="BNLINT_CACHE_DIR",
              help="Where results are kept (default: the user's cache folder).")  # fmt: skip
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto")
@debug_option
def show(paths: tuple[str, ...], **options: Any) -> None:
    """Print each program below PATHS as bnlint understands it.

    A program begins at a script, at a function that nobody calls or at a model_fn. Shown are its
    batch norms with their mode, train ops and the updates they run, session runs, evaluations,
    savers and Keras models, and where knowledge was lost and why. Exit codes: 0, or 2 if a file
    could not be read.
    """
    try:
        overview, sources = _described(paths or (".",), options)
    except ConfigError as error:
        raise click.UsageError(printable(str(error))) from error
    wanted = options["entry"]
    overview.programs = [
        program
        for program in overview.programs
        if wanted in program.entry.name or wanted in program.entry.location.path
    ]
    if wanted:
        overview.idle = 0

    def place(location: Location) -> Location:
        source = sources.get(location.path)
        return source.to_cell(location) if source is not None else location

    color = {"always": True, "never": False, "auto": None}[options["color"]]
    render_overview(overview, options["format_"], sys.stdout, place=place, color=color)
    sys.exit(2 if any(error.fatal for error in overview.errors) else 0)


def _described(
    paths: tuple[str, ...], options: dict[str, Any]
) -> tuple[Overview, dict[str, Source]]:
    settings = _settings(options)
    for path in paths:
        settings.check(path)
    sources, errors = collect(paths, settings)
    errors += settings.errors
    cache = Cache()
    if not options["no_cache"]:
        cache = Cache(options["cache_dir"] or user_folder(), settings.of(paths[0]).root)
    engine = open_engine(options, len(sources))
    try:
        overview = describe(sources, cache=cache, engine=engine)
    finally:
        engine.close()
        cache.close()
    overview.errors[:0] = errors
    return overview, {source.path: source for source in sources}


def _settings(options: dict[str, Any]) -> Settings:
    file = options["config_file"]

    def override(config: Config) -> Config:
        return config.but(exclude=(*config.exclude, *options["exclude"]))

    return Settings(override, Path(file) if file else None)
