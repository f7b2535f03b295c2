"""A bar on a terminal for runs that take a while: how much is done, and the file at hand."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bnlint.execution.progress import Progress, Silent
from bnlint.reporting.escapes import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PATIENCE = 0.5  # seconds after which a run needs a bar
_OTHERS = 60  # columns that the bar and the counts take


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error while the block runs; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    """One bar per stage, each in place of the one before; rich is loaded when one is shown."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stage, self._total, self._done = "", 0, 0
        self._shown: RichProgress | None = None
        self._task: TaskID | None = None

    def begin(self, stage: str, total: int) -> None:
        """See Progress."""
        self._stage, self._total, self._done = stage, total, 0
        if self._shown is not None and self._task is not None:
            self._shown.remove_task(self._task)
            self._task = self._add(self._shown)
            self._shown.refresh()

    def at(self, item: str, count: int = 1) -> None:
        """See Progress."""
        self._done += count
        if self._shown is None:
            if time.monotonic() - self._began < PATIENCE:
                return
            self._shown = _rich()
            self._task = self._add(self._shown)
            self._shown.start()
        assert self._task is not None
        width = max(shutil.get_terminal_size().columns - _OTHERS, 10)
        name = printable(item)
        shown = name if len(name) <= width else f"…{name[1 - width :]}"
        self._shown.update(self._task, completed=self._done, item=shown)

    def _add(self, shown: RichProgress) -> TaskID:
        return shown.add_task(self._stage, total=self._total or None, item="")

    def close(self) -> None:
        """Takes the bar away."""
        if self._shown is not None:
            self._shown.stop()


def _rich() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[item]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
