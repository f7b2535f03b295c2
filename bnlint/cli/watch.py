"""`bnlint --watch`: lint again whenever a file changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import click
from watchfiles import Change, DefaultFilter, watch

from bnlint.reporting.escapes import printable
from bnlint.sources.files import SUFFIXES

MOMENT = 200  # milliseconds
SETTINGS = ("pyproject.toml", "bnlint.toml", ".gitignore")


class LintedFiles(DefaultFilter):
    """Changes that a lint run can see: sources and settings, outside caches and environments."""

    def __call__(self, change: Change, path: str) -> bool:
        """Whether to lint again for this change."""
        linted = path.endswith(SUFFIXES) or os.path.basename(path) in SETTINGS
        return linted and super().__call__(change, path)


def watch_and_lint(paths: tuple[str, ...], run: Callable[[], int]) -> None:
    """Calls `run` now and after every change below `paths`, until Ctrl-C.

    Args:
      run: one lint run; its exit code is not used, for a watch has none.
    """
    changes = _changes(paths)
    next(changes)  # watching has begun, so no change from here on is missed
    try:
        run()
        click.echo("Watching for changes, Ctrl-C ends.", err=True)
        for changed in filter(None, changes):
            click.echo(f"\n--- {printable(changed)} ---", err=True)
            run()
    except KeyboardInterrupt:
        return


def _changes(paths: tuple[str, ...]) -> Iterator[str]:
    """What changed, in a few words; "" each time that nothing did for a moment.

    A file is watched through its folder: editors replace files.
    """
    folders = {path if os.path.isdir(path) else os.path.dirname(path) or "." for path in paths}
    watched = watch(
        *sorted(folders), watch_filter=LintedFiles(), rust_timeout=MOMENT, yield_on_timeout=True
    )
    for changes in watched:
        names = sorted({os.path.relpath(path) for _, path in changes})
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield ", ".join(names[:3]) + more
