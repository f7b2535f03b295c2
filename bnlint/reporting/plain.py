"""Text without colors: what a file, a pipe or an editor gets. rich is not loaded for it."""

from __future__ import annotations

import os
from typing import IO, Protocol

# A part of a line, with its style (as rich writes them).
Part = tuple[str, str] | str


class Lines(Protocol):
    """Where the lines of a report go."""

    def write_line(self, *parts: Part) -> None:
        """Writes one line."""

    def write_prose(self, *parts: Part, hang: int = 2) -> None:
        """Writes a sentence, on a terminal in lines that end between words.

        Args:
          hang: how far the lines after the first are indented.
        """


class Plain:
    """A stream that shows no styles."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write_line(self, *parts: Part) -> None:
        """See Lines."""
        texts = (part if isinstance(part, str) else part[0] for part in parts)
        self._stream.write("".join(texts) + "\n")

    def write_prose(self, *parts: Part, hang: int = 2) -> None:
        """See Lines."""
        self.write_line(*parts)


def shows_styles(stream: IO[str], color: bool | None) -> bool:
    """The stream is a terminal, or is to be taken for one (see rich.console.Console)."""
    if color is not None:
        return color
    if any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")):
        return True  # rich knows what they mean
    if is_forced():
        return True
    return bool(getattr(stream, "isatty", lambda: False)())


def is_forced() -> bool:
    """CLICOLOR_FORCE asks for colors, which rich does not know (https://bixense.com/clicolors)."""
    return os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
