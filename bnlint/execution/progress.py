"""Who wants to know how far the work is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told about the work, one stage after another."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` items begins; 0: nobody knows how many."""

    def at(self, item: str, count: int = 1) -> None:
        """`count` more are done, and this is the one at hand."""


class Silent:
    """Nobody wants to know."""

    def begin(self, stage: str, total: int) -> None:
        """See Progress."""

    def at(self, item: str, count: int = 1) -> None:
        """See Progress."""
