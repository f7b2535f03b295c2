"""Watch moving statistics while a model trains, at a bounded cost.

The hook and the Keras callback read the moving statistics now and then; this module decides when,
and what the values say. It knows NumPy, not TensorFlow.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnlint.findings import Confidence, Finding, Location
from bnlint.rule import all_rules

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 10
"""Training steps without any change, bit for bit, after which statistics count as never updated."""

PAIRS_KEPT = 8
MAX_LAYERS = 16


class BatchNormWarning(UserWarning):
    """A batch-norm finding about a running training."""


def warn(finding: Finding) -> None:
    """The default way to tell: a Python warning."""
    node = f" [{finding.location.node}]" if finding.location.node else ""
    text = f"{finding.code} {finding.message}{node} {finding.help}"
    warnings.warn(text, BatchNormWarning, stacklevel=3)


@dataclass(frozen=True)
class WatchedLayer:
    """One batch norm to watch.

    Attributes:
      name: what findings call it.
      decay: weight of the old moving value per update (Keras: momentum); None if unknown.
      moves: whether training is meant to update its statistics (False for frozen ones).
    """

    name: str
    decay: float | None = None
    moves: bool = True


@dataclass(frozen=True)
class Statistics:
    """Mean and variance per channel: float arrays of shape (channels,)."""

    mean: np.ndarray
    variance: np.ndarray

    def equals(self, other: Statistics) -> bool:
        """Bit for bit."""
        import numpy as np

        return np.array_equal(self.mean, other.mean) and np.array_equal(
            self.variance, other.variance
        )

    @property
    def initial(self) -> bool:
        """Mean 0 and variance 1 in every channel, as batch norm initialises them."""
        return bool((self.mean == 0).all() and (self.variance == 1).all())


def batch_statistics(before: Statistics, after: Statistics, decay: float) -> Statistics:
    """The batch statistics of one step, from the moving statistics around that step.

    Solves `after = decay * before + (1 - decay) * batch`, the update of every batch norm
    without renorm and zero-debias, for `batch`. In float32 the rounding of `before` is amplified
    by 1 / (1 - decay): relative error about 1e-4 for a decay of 0.999.
    """
    import numpy as np

    def solve(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old64: Any = old.astype(np.float64)
        return old64 + (new.astype(np.float64) - old64) / (1 - decay)

    mean, variance = solve(before.mean, after.mean), solve(before.variance, after.variance)
    return Statistics(mean, np.maximum(variance, 0.0))


def distance(moving: Statistics, batch: Statistics, epsilon: float = 1e-3) -> tuple[float, float]:
    """How far moving statistics are from batch statistics, as medians over the channels.

    Returns:
      |difference of means| in batch standard deviations, and the ratio of variances (>= 1).
    """
    import numpy as np

    deviation = np.sqrt(batch.variance + epsilon)
    shift = np.median(np.abs(moving.mean - batch.mean) / deviation)
    log_ratio = np.log((moving.variance + epsilon) / (batch.variance + epsilon))
    return float(shift), float(np.exp(np.median(np.abs(log_ratio))))


class OverheadBudget:
    """Lets work happen only while it costs at most `share` of the time that has passed.

    The first piece of work is free (nothing is known of its cost yet); afterwards a piece is
    allowed when everything spent, and as much again as the last piece took, fits in.
    """

    def __init__(self, share: float = 0.01, clock: Callable[[], float] = time.perf_counter) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must lie in (0, 1], not {share}")
        self.share = share
        self.spent = 0.0
        self._last = 0.0
        self._clock = clock
        self._started = clock()

    def allows(self) -> bool:
        """Whether another piece of work fits in now."""
        return self.spent + self._last <= self.share * (self._clock() - self._started)

    @contextmanager
    def charge(self) -> Iterator[None]:
        """Charges the time of the `with` block."""
        begin = self._clock()
        try:
            yield
        finally:
            self._last = self._clock() - begin
            self.spent += self._last


class StatisticsWatch:
    """Judges the moving statistics of some layers as training goes on.

    Args:
      layers: what to watch.
      path: what findings call the graph or model.
      still_code: the rule that says why statistics that training should update stand still:
        "BN101" for graphs (update ops not run), "BN209" for Keras (training flag).
    """

    def __init__(self, layers: Iterable[WatchedLayer], path: str, still_code: str) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.latest: dict[str, Statistics] = {}
        self._path = path
        self._still_code = still_code
        self._first: dict[str, tuple[int, Statistics]] = {}
        self._latest_step = 0
        self._pairs: dict[str, deque[Statistics]] = {}
        self._told: set[tuple[str, str]] = set()

    def observe(self, step: int, values: Mapping[str, Statistics]) -> list[Finding]:
        """Take the statistics as they are after `step` training steps; return what is new.

        Two calls for successive steps give the batch statistics of the second.
        """
        found: list[Finding] = []
        for name, now in values.items():
            before = self.latest.get(name)
            first_step, first = self._first.setdefault(name, (step, now))
            layer = self.layers[name]
            found += self._broken(name, now)
            if layer.moves and step - first_step >= PATIENCE and now.equals(first):
                found += self._still(name, step - first_step)
            elif before is not None and step == self._latest_step + 1:
                self._add_pair(layer, before, now)
        self.latest.update(values)
        self._latest_step = step
        return found

    def _add_pair(self, layer: WatchedLayer, before: Statistics, now: Statistics) -> None:
        if layer.decay is None or not 0 < layer.decay < 1 or now.equals(before):
            return
        pairs = self._pairs.setdefault(layer.name, deque(maxlen=PAIRS_KEPT))
        pairs.append(batch_statistics(before, now, layer.decay))

    def batch(self, name: str) -> Statistics | None:
        """Mean of the layer's latest batch statistics, over at most PAIRS_KEPT batches."""
        import numpy as np

        pairs = self._pairs.get(name)
        if not pairs:
            return None
        mean = np.mean([pair.mean for pair in pairs], axis=0)
        return Statistics(mean, np.mean([pair.variance for pair in pairs], axis=0))

    def conclude(self) -> list[Finding]:
        """What there is to say at the end: statistics that did not catch up with the batches."""
        found: list[Finding] = []
        for name, moving in self.latest.items():
            first_step, first = self._first[name]
            layer = self.layers[name]
            steps = self._latest_step - first_step
            if layer.decay is None or not layer.moves or steps < 1 or moving.equals(first):
                continue
            left = layer.decay**steps
            if first.initial and left > 0.1:
                message = (
                    f"after {steps} steps with decay {layer.decay:g} the moving statistics still"
                    f" hold {left:.0%} of their initial values"
                )
                found += self._tell("BN303", name, message)
            elif len(self._pairs.get(name, ())) >= 3:
                found += self._far(name, moving)
        return found

    def _far(self, name: str, moving: Statistics) -> list[Finding]:
        batch = self.batch(name)
        assert batch is not None
        shift, ratio = distance(moving, batch)
        if shift <= 2 and ratio <= 8:
            return []
        message = (
            f"moving statistics are far from the batches' of the last steps: means differ by"
            f" {shift:.1f} standard deviations, variances by a factor of {ratio:.1f} (medians"
            " over the channels)"
        )
        return self._tell("BN503", name, message, Confidence.MEDIUM)

    def _broken(self, name: str, now: Statistics) -> list[Finding]:
        import numpy as np

        if not (np.isfinite(now.mean).all() and np.isfinite(now.variance).all()):
            return self._tell("BN502", name, "moving statistics hold NaN or infinity")
        if (now.variance < 0).any():
            return self._tell("BN502", name, "a moving variance is negative")
        return []

    def _still(self, name: str, steps: int) -> list[Finding]:
        message = (
            f"moving statistics did not change at all in {steps} training steps: their updates"
            " are not run"
        )
        return self._tell(self._still_code, name, message)

    def _tell(
        self, code: str, name: str, message: str, confidence: Confidence = Confidence.HIGH
    ) -> list[Finding]:
        if (code, name) in self._told:
            return []
        self._told.add((code, name))
        place = Location(self._path, node=name)
        return [all_rules()[code].finding(place, message, confidence=confidence)]


class Schedule:
    """When to read: as often as the budget allows, two successive steps each time."""

    def __init__(self, budget: OverheadBudget) -> None:
        self._budget = budget
        self._second_of_pair = False

    def due(self) -> bool:
        """Whether to read after this step. Call once a step."""
        if self._second_of_pair:
            self._second_of_pair = False
            return True
        self._second_of_pair = self._budget.allows()
        return self._second_of_pair


def spread(names: list[str], limit: int = MAX_LAYERS) -> list[str]:
    """At most `limit` names, evenly spread, the first and the last among them."""
    if len(names) <= limit:
        return names
    return [names[round(index * (len(names) - 1) / (limit - 1))] for index in range(limit)]
