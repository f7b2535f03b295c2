"""Limits that the linter and the inspector share: a rule has one, wherever it is checked."""

from __future__ import annotations

import math

INITIAL_SHARE = 0.1
"""Share of its initial value that a settled moving average may still hold (BN303)."""

SMOKE_TEST = 50
"""A training of fewer steps tries a program out: nobody expects trained statistics (BN303).

Stored models are judged however few their steps: they were kept to be used."""


def settled(decay: float, steps: int) -> bool:
    """So many updates leave at most INITIAL_SHARE of a moving average's initial value.

    After n updates with decay d its weight is d^n: `moving = d * moving + (1 - d) * batch`.
    """
    return decay**steps <= INITIAL_SHARE


def too_short(decay: float, steps: int) -> bool:
    """A training, not a smoke test, that ends before its moving averages settle (BN303)."""
    return steps >= SMOKE_TEST and not settled(decay, steps)


def steps_to_settle(decay: float) -> int:
    """Updates after which at most INITIAL_SHARE of the initial value is left; 0 < decay < 1."""
    return math.ceil(math.log(INITIAL_SHARE) / math.log(decay))
