"""`bnlint reproduce`: run a mistake and its repair, and see the difference."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bnlint.reproduce.programs import Pair
    from bnlint.reproduce.runner import Comparison

_NEEDED = {
    "tensorflow": "tensorflow",
    "sklearn": "scikit-learn",
    "tf_keras": "tf-keras",
    "wrapt": "wrapt",
    "matplotlib": "matplotlib",
    "jinja2": "jinja2",
}


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Run every pair of programs.")
@click.option("--list", "show_list", is_flag=True, help="List the programs and run nothing.")
@click.option("--png", type=click.Path(dir_okay=False), help="Draw the comparison in this file.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write a page that shows it all.")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text",
    show_default=True,
)  # fmt: skip
def reproduce(
    names: tuple[str, ...],
    everything: bool,
    show_list: bool,
    png: str | None,
    html: str | None,
    output_format: str,
) -> None:
    """Train a broken program and its repaired twin, and compare them.

    NAMES are rules, by code (BN101) or name (missing-update-ops). Each program trains a small
    network on scikit-learn's digits on the CPU, which takes some seconds.
    """
    from bnlint.reproduce.programs import UnknownProgram, all_pairs, find_pair

    if show_list:
        _list(list(all_pairs().values()), output_format)
        return
    if not names and not everything:
        raise click.UsageError("name a rule, or use --all or --list")
    try:
        pairs = list(all_pairs().values()) if everything else [find_pair(name) for name in names]
    except UnknownProgram as error:
        raise click.UsageError(str(error)) from error
    _check_installed()
    comparisons = _run(pairs)
    if output_format == "json":
        click.echo(json.dumps([one.to_dict() for one in comparisons], indent=2))
    else:
        _show(comparisons)
    _write(comparisons, png, html)


def _check_installed() -> None:
    missing = [name for module, name in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise click.UsageError(
            f"`bnlint reproduce` needs {', '.join(missing)}: pip install 'bnlint[reproduce]'"
        )


def _list(pairs: Sequence[Pair], output_format: str) -> None:
    if output_format == "json":
        listed = [
            {"code": pair.code, "name": pair.name, "broken": str(pair.broken),
             "fixed": str(pair.fixed), "story": pair.story("broken")}
            for pair in pairs
        ]  # fmt: skip
        click.echo(json.dumps(listed, indent=2))
        return
    from rich.console import Console

    from bnlint.reproduce.tables import listing

    Console().print(listing(pairs))


def _run(pairs: Sequence[Pair]) -> list[Comparison]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from bnlint.reproduce.runner import ProgramFailed, reproduce

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("importing TensorFlow", total=2 * len(pairs))

        def done(name: str) -> None:
            progress.update(task, advance=1, description=f"{name} is done")

        try:
            return reproduce(pairs, done)
        except ProgramFailed as error:
            click.echo(f"bnlint: {error}", err=True)
            raise SystemExit(2) from error


def _show(comparisons: Sequence[Comparison]) -> None:
    from rich.console import Console

    from bnlint.reproduce.tables import detail, summary

    console = Console(highlight=False)
    console.print(summary(comparisons) if len(comparisons) > 1 else detail(comparisons[0]))


def _write(comparisons: Sequence[Comparison], png: str | None, html: str | None) -> None:
    from bnlint.reproduce.figures import draw
    from bnlint.reproduce.page import page
    from bnlint.sources.atomic_write import write_atomically

    for path, content in ((png, draw), (html, lambda ones: page(ones).encode())):
        if path is None:
            continue
        try:
            write_atomically(path, content(comparisons))
        except OSError as error:
            raise click.FileError(path, error.strerror or str(error)) from error
        click.echo(f"wrote {Path(path)}", err=True)
