"""Judge stored moving statistics: those of a checkpoint, a frozen graph or a Keras file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bnlint.findings import Confidence, Finding, Location, Related
from bnlint.limits import INITIAL_SHARE, settled, steps_to_settle
from bnlint.registry import all_rules
from bnlint.runtime.moving_statistics import Statistics, distance, distance_limit, distance_text

MAX_ELEMENTS = 1 << 24
"""Longest vector that is read: no batch norm has that many channels."""

MAX_TOTAL = 1 << 26
"""Most elements that are read of one file: 512 MiB of them."""

_SHOWN = 10  # batch norms named in one finding


def check_stored(
    groups: Sequence[Statistics], path: str, steps: int | None = None
) -> Iterator[Finding]:
    """BN301, BN303, BN501 and BN502 of stored batch norms.

    Args:
      groups: the stored vectors; gamma and beta without moving statistics included.
      path: the file they come from.
      steps: how many training steps were made; None when not known.
    """
    yield from _missing(groups, path)
    with_statistics = [one for one in groups if one.mean is not None or one.variance is not None]
    invalid = [(one, f"{one.name!r}: {one.invalid}") for one in with_statistics if one.invalid]
    if invalid:
        yield _finding("BN502", invalid, path, Confidence.HIGH)
    yield from _initial(with_statistics, path, steps)
    yield from _too_few_steps(with_statistics, path, steps)


def _missing(groups: Sequence[Statistics], path: str) -> Iterator[Finding]:
    missing = [
        (one, f"{one.name!r} has gamma or beta, but no moving mean and variance")
        for one in groups
        if one.mean is None
        and one.variance is None
        and one.is_batch_norm
        # A layer that a model holds and never calls has no variables at all.
        and (one.gamma is not None or one.beta is not None)
    ]
    if missing:
        yield _finding("BN301", missing, path, Confidence.HIGH)


def _initial(groups: Sequence[Statistics], path: str, steps: int | None) -> Iterator[Finding]:
    stuck, unsure = [], []
    for one in groups:
        if not one.at_initial_values:
            continue
        message = f"{one.name!r} has moving mean 0 and moving variance 1 in every channel"
        if one.affine_was_trained:
            stuck.append((one, message + ", though its gamma or beta was trained"))
        elif steps and not one.has_affine:
            unsure.append((one, f"{message} after {steps} steps"))
    if stuck:
        yield _finding("BN501", stuck, path, Confidence.HIGH)
    if unsure:
        yield _finding("BN501", unsure, path, Confidence.MEDIUM)


def _too_few_steps(groups: Sequence[Statistics], path: str, steps: int | None) -> Iterator[Finding]:
    if not steps:
        return
    slow = []
    for one in groups:
        if one.decay is None or not 0 < one.decay < 1 or one.at_initial_values:
            continue
        share = one.decay**steps
        if not settled(one.decay, steps) and _may_have_started_at_one(one, share):
            needed = steps_to_settle(one.decay)
            message = (
                f"{one.name!r}: after {steps} steps of decay {one.decay:g}, {share:.0%} of the "
                f"moving statistics is still the initial value ({needed} steps bring it to "
                f"{INITIAL_SHARE:.0%})"
            )
            slow.append((one, message))
    if slow:
        yield _finding("BN303", slow, path, Confidence.MEDIUM)


def _may_have_started_at_one(one: Statistics, share: float) -> bool:
    """Batch variances are not negative, so an average that started at 1 has at least `share`
    left. A smaller value proves that training continued from other statistics.
    """
    return one.variance is not None and bool((one.variance >= share * 0.999).all())


@dataclass(frozen=True)
class Measured:
    """A batch norm's moving statistics beside those of its input, in inference mode.

    Attributes:
      stored, batch: moving and measured statistics, arrays of shape [channels].
      examples: rows of data that `batch` comes from.
      epsilon: the batch norm's.
    """

    stored: Statistics
    batch: Statistics
    examples: int
    epsilon: float

    @property
    def distance(self) -> float:
        """See `bnlint.runtime.moving_statistics.distance`."""
        return distance(self.stored, self.batch, self.epsilon)

    @property
    def limit(self) -> float:
        """The distance from which BN503 is reported."""
        return distance_limit(self.examples)


def check_measured(measured: Iterable[Measured], path: str) -> Iterator[Finding]:
    """BN503: moving statistics against the batch statistics of some data."""
    far = []
    for one in measured:
        if one.distance > one.limit:
            message = (
                f"{one.stored.name!r}: the moving statistics and the batch statistics of "
                f"{one.examples} examples are {distance_text(one.distance)}"
            )
            far.append((one.stored, message))
    if far:
        yield _finding("BN503", far, path, Confidence.MEDIUM)


def _finding(
    code: str, members: Sequence[tuple[Statistics, str]], path: str, confidence: Confidence
) -> Finding:
    """One finding for all batch norms with the same trouble."""
    (first, message), others = members[0], members[1:]
    if others:
        message += f" (and {len(others)} more batch norms like it)"
    related = [Related(Location(path, node=one.name), why) for one, why in others[: _SHOWN - 1]]
    return all_rules()[code].finding(
        Location(path, node=first.name), message, related=related, confidence=confidence
    )
