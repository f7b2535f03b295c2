"""Repairs as the formats write them down."""

from __future__ import annotations

from dataclasses import dataclass

from bnlint.findings import Finding, Location


@dataclass(frozen=True)
class Replacement:
    """Text to put in the place of other text.

    Attributes:
      location: what is replaced. Its end is exclusive, and may be the beginning of the line after
        the last; a place that ends where it starts is an insertion.
      text: the new text.
    """

    location: Location
    text: str


Repairs = dict[Finding, tuple[Replacement, ...]]
