"""A terminal, with colors."""

from __future__ import annotations

from typing import IO

from rich.console import Console
from rich.text import Text

from bnlint.reporting.plain import Part, is_forced


class Terminal(Console):
    """Where a person reads. `color`: None asks the stream. Lines are not cut, nor colored by what
    they hold."""

    def __init__(self, stream: IO[str], color: bool | None) -> None:
        if color is None and is_forced():
            color = True
        # None asks NO_COLOR, which rich does not do where it is told a bool.
        no_color = True if color is False else None
        super().__init__(
            file=stream, force_terminal=color, no_color=no_color, highlight=False, soft_wrap=True
        )

    def write_line(self, *parts: Part) -> None:
        """Writes one line."""
        self.print(Text.assemble(*parts))

    def write_prose(self, *parts: Part, hang: int = 2) -> None:
        """See bnlint.reporting.plain.Lines."""
        text = Text.assemble(*parts)
        if not self.file.isatty() or self.width < 2 * hang:  # colors for a pipe: lines stay whole
            self.print(text)
            return
        # rich has no hanging indentation: every line is as short as those that hang.
        for number, line in enumerate(text.wrap(self, self.width - hang)):
            line.rstrip()
            self.print(Text(" " * hang) + line if number else line)

    def on_broken_pipe(self) -> None:
        """Is called where nobody reads any more; rich would end the process with code 1."""
        raise BrokenPipeError
