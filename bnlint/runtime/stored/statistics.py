"""Judge stored moving statistics: those of a checkpoint, a frozen graph or a Keras file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bnlint.findings import Confidence, Finding, Location, Related
from bnlint.registry import all_rules

MAX_ELEMENTS = 1 << 24
"""Longest vector that is read: no batch norm has that many channels."""

MAX_TOTAL = 1 << 26
"""Most elements that are read of one file: 512 MiB of them."""

_PARTS = {
    "moving_mean": "mean",
    "moving_variance": "variance",
    "moving_var": "variance",
    "gamma": "gamma",
    "beta": "beta",
}
_STEP_NAMES = frozenset({"global_step", "iter", "iteration", "iterations", "_iterations"})
_SCOPE = re.compile(r"(^|[/_.])(sync_?)?(batch_?norm(alization)?(_v\d)?|bn)([_\d./]|$)", re.I)
_NEGATIVE = -1e-6
_REMAINING = 0.05  # share of the initial value that a settled moving average may still have
_MIN_EXAMPLES = 8
_SHOWN = 10  # batch norms named in one finding


@dataclass
class Statistics:
    """One batch norm's stored vectors, float arrays of shape [channels]; None where absent."""

    name: str
    mean: Any = None
    variance: Any = None
    gamma: Any = None
    beta: Any = None
    decay: float | None = None


def group_variables(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Batch-norm variables by scope: {"net/bn": {"mean": "net/bn/moving_mean", ...}}.

    Only the last part of a name decides, so layer norms' gamma and beta are grouped too.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        scope, _, last = name.removesuffix(":0").rpartition("/")
        if last in _PARTS:
            groups.setdefault(scope, {})[_PARTS[last]] = name
    return groups


def step_names(names: Iterable[str]) -> list[str]:
    """The variables that count training steps."""
    return [name for name in names if name.removesuffix(":0").rpartition("/")[2] in _STEP_NAMES]


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
    invalid = [(one, why) for one in with_statistics if (why := _invalid(one))]
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
        and _SCOPE.search(one.name)
        # A layer that a model holds and never calls has no variables at all.
        and (one.gamma is not None or one.beta is not None)
    ]
    if missing:
        yield _finding("BN301", missing, path, Confidence.HIGH)


def _invalid(one: Statistics) -> str:
    import numpy as np

    for what, values in (("mean", one.mean), ("variance", one.variance)):
        if values is None:
            continue
        bad = int(values.size - np.isfinite(values).sum())
        if bad:
            return f"{one.name!r}: {bad} of {values.size} moving {what} values are NaN or infinite"
    if one.variance is not None and (negative := int((one.variance < _NEGATIVE).sum())):
        return f"{one.name!r}: {negative} of {one.variance.size} moving variances are negative"
    return ""


def at_initial_values(one: Statistics) -> bool:
    """Mean exactly 0 and variance exactly 1, in every channel."""
    return (
        one.mean is not None
        and one.variance is not None
        and one.mean.size > 0
        and bool((one.mean == 0).all())
        and bool((one.variance == 1).all())
    )


def _trained(one: Statistics) -> bool:
    """Gamma or beta has left its initial value."""
    moved_gamma = one.gamma is not None and bool((one.gamma != 1).any())
    return moved_gamma or (one.beta is not None and bool((one.beta != 0).any()))


def _initial(groups: Sequence[Statistics], path: str, steps: int | None) -> Iterator[Finding]:
    stuck, unsure = [], []
    for one in groups:
        if not at_initial_values(one):
            continue
        message = f"{one.name!r} has moving mean 0 and moving variance 1 in every channel"
        if _trained(one):
            stuck.append((one, message + ", though its gamma or beta was trained"))
        elif one.gamma is None and one.beta is None and steps:
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
        if one.decay is None or not 0 < one.decay < 1 or at_initial_values(one):
            continue
        share = one.decay**steps
        if share > _REMAINING and _may_have_started_at_one(one, share):
            needed = math.ceil(math.log(_REMAINING) / math.log(one.decay))
            message = (
                f"{one.name!r}: after {steps} steps of decay {one.decay:g}, {share:.0%} of the "
                f"moving statistics is still the initial value ({needed} steps bring it to 5%)"
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
        """See `statistics_distance`."""
        return statistics_distance(self.stored, self.batch, self.epsilon)

    @property
    def limit(self) -> float:
        """The distance from which BN503 is reported; few examples are noisy, so more for them."""
        return 1 + 3 / math.sqrt(self.examples) if self.examples >= _MIN_EXAMPLES else math.inf


def check_measured(measured: Iterable[Measured], path: str) -> Iterator[Finding]:
    """BN503: moving statistics against the batch statistics of some data."""
    far = []
    for one in measured:
        if one.distance > one.limit:
            message = (
                f"{one.stored.name!r}: the moving statistics are {one.distance:.1f} away from the "
                f"batch statistics of {one.examples} examples (median over channels; 1 is one "
                "standard deviation, or a factor of 4 in the variance)"
            )
            far.append((one.stored, message))
    if far:
        yield _finding("BN503", far, path, Confidence.MEDIUM)


def statistics_distance(stored: Statistics, batch: Statistics, epsilon: float = 1e-3) -> float:
    """How far moving statistics are from batch statistics: the median over channels of
    max(|M - m| / sqrt(v + epsilon), |ln((V + epsilon) / (v + epsilon))| / ln 4).

    Half of the channels must be off before the median is, so a few dead or rare channels
    do not count. 0.0 when the shapes differ, or nothing is finite.
    """
    import numpy as np

    if (
        stored.mean is None
        or stored.variance is None
        or np.shape(stored.mean) != np.shape(batch.mean)
    ):
        return 0.0
    variance = np.maximum(np.asarray(batch.variance, np.float64), 0) + epsilon
    moving = np.maximum(np.asarray(stored.variance, np.float64), 0) + epsilon
    shift = np.abs(np.asarray(stored.mean, np.float64) - batch.mean) / np.sqrt(variance)
    scale = np.abs(np.log(moving / variance)) / math.log(4)
    distance = np.maximum(shift, scale)
    distance = distance[np.isfinite(distance)]
    return float(np.median(distance)) if distance.size else 0.0


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
