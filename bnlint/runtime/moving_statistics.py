"""Moving mean and variance of a batch norm, and how far they are from those of some data.

The stored files, the graphs and the running trainings that the inspector looks at are all judged by
what is written here. It knows NumPy, not TensorFlow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

MIN_EXAMPLES = 8
"""Fewer examples say too little about a batch norm's input to judge by (BN503)."""

_NEGATIVE = -1e-6  # variances above this are 0, rounded


@dataclass
class Statistics:
    """One batch norm's vectors, float arrays of shape [channels]; None where absent or unknown.

    Attributes:
      name: what findings call the batch norm.
      mean, variance: of the moving averages, or of some data.
      gamma, beta: what it is scaled and shifted by.
      decay: weight of the old moving value per update (Keras: momentum).
      is_batch_norm: it is known to be one; otherwise gamma and beta alone could be another
        normalization's.
    """

    name: str = ""
    mean: Any = None
    variance: Any = None
    gamma: Any = None
    beta: Any = None
    decay: float | None = None
    is_batch_norm: bool = True

    @property
    def at_initial_values(self) -> bool:
        """Mean exactly 0 and variance exactly 1, in every channel."""
        return (
            self.mean is not None
            and self.variance is not None
            and self.mean.size > 0
            and bool((self.mean == 0).all())
            and bool((self.variance == 1).all())
        )

    @property
    def has_affine(self) -> bool:
        """It has gamma or beta."""
        return self.gamma is not None or self.beta is not None

    @property
    def affine_was_trained(self) -> bool:
        """Gamma or beta has left its initial 1 or 0."""
        moved_gamma = self.gamma is not None and bool((self.gamma != 1).any())
        return moved_gamma or (self.beta is not None and bool((self.beta != 0).any()))

    def in_order(self) -> Statistics:
        """With mean and variance exchanged where only that makes sense: variances are not negative,
        and start at 1. (Names of people's own do not always say which is which.)
        """
        if self.mean is None or self.variance is None or not self.mean.size:
            return self
        fresh = bool((self.mean == 1).all() and (self.variance == 0).all())
        if fresh or ((self.variance < _NEGATIVE).any() and (self.mean >= 0).all()):
            return replace(self, mean=self.variance, variance=self.mean)
        return self

    def equals(self, other: Statistics) -> bool:
        """Mean and variance are the same bit for bit."""
        return _same(self.mean, other.mean) and _same(self.variance, other.variance)

    def same_affine(self, other: Statistics) -> bool:
        """Gamma and beta are the same bit for bit."""
        return _same(self.gamma, other.gamma) and _same(self.beta, other.beta)

    @property
    def invalid(self) -> str:
        """What is wrong with values that no training gives; "" if nothing is (BN502)."""
        import numpy as np

        for what, values in (("mean", self.mean), ("variance", self.variance)):
            if values is None:
                continue
            bad = int(values.size - np.isfinite(values).sum())
            if bad:
                return f"{bad} of {values.size} moving {what} values are NaN or infinite"
        if self.variance is not None and (count := int((self.variance < _NEGATIVE).sum())):
            return f"{count} of {self.variance.size} moving variances are negative"
        return ""


class Moments:
    """Mean and variance per channel over batches, summed in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def add(self, count: int, mean: Any, variance: Any) -> None:
        """Merge `count` values per channel (Chan et al., 1979)."""
        total = self.count + count
        shift = mean - self.mean
        self.squares = self.squares + variance * count + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def statistics(self) -> Statistics:
        """Mean and (biased) variance of everything added."""
        return Statistics(mean=self.mean, variance=self.squares / max(self.count, 1))


def _same(one: Any, other: Any) -> bool:
    import numpy as np

    if one is None or other is None:
        return one is other
    return bool(np.array_equal(one, other))


def mean_shift(moving: Statistics, batch: Statistics, epsilon: float = 1e-3) -> Any:
    """|M - m| / sqrt(v + epsilon): of shape [channels], in standard deviations."""
    import numpy as np

    variance = np.maximum(np.asarray(batch.variance, np.float64), 0) + epsilon
    return np.abs(np.asarray(moving.mean, np.float64) - batch.mean) / np.sqrt(variance)


def variance_log_ratio(moving: Statistics, batch: Statistics, epsilon: float = 1e-3) -> Any:
    """|ln((V + epsilon) / (v + epsilon))|: array of shape [channels]."""
    import numpy as np

    old = np.maximum(np.asarray(moving.variance, np.float64), 0) + epsilon
    new = np.maximum(np.asarray(batch.variance, np.float64), 0) + epsilon
    return np.abs(np.log(old / new))


def distance(moving: Statistics, batch: Statistics, epsilon: float = 1e-3) -> float:
    """How far moving statistics (M, V) are from batch statistics (m, v): the median over channels
    of max(|M - m| / sqrt(v + epsilon), |ln((V + epsilon) / (v + epsilon))| / ln 4).

    1 is one standard deviation in the mean, or a factor of 4 in the variance. Half of the channels
    must be off before the median is, so a few dead or rare channels do not count. 0.0 when the
    shapes differ, or nothing is finite.
    """
    import numpy as np

    if (
        moving.mean is None
        or moving.variance is None
        or np.shape(moving.mean) != np.shape(batch.mean)
    ):
        return 0.0
    scale = variance_log_ratio(moving, batch, epsilon) / math.log(4)
    channels = np.maximum(mean_shift(moving, batch, epsilon), scale)
    channels = channels[np.isfinite(channels)]
    return float(np.median(channels)) if channels.size else 0.0


def distance_limit(examples: int) -> float:
    """The distance from which BN503 is reported; few examples are noisy, so more for them.

    1 + 3 / sqrt(n): three standard errors of a mean of n examples.
    """
    return 1 + 3 / math.sqrt(examples) if examples >= MIN_EXAMPLES else math.inf


def distance_text(distance: float) -> str:
    """A distance in words."""
    return (
        f"{distance:.1f} away (median over channels; 1 is one standard deviation, or a factor of "
        "4 in the variance)"
    )
