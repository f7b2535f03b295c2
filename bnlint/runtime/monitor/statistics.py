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

from bnlint.findings import Confidence, Finding, Location, Related
from bnlint.registry import all_rules
from bnlint.rules.bn303_decay_too_slow import INITIAL_SHARE, SMOKE_TEST

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 10
"""Training steps at the initial values, bit for bit, after which nothing seems to update them."""

PAIRS_KEPT = 8
_PAIRS_NEEDED = 3
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
    """Mean and variance per channel: float arrays of shape (channels,).

    Attributes:
      affine: gamma and beta, whichever the layer has, as one vector; None where it has neither,
        or they are not watched.
    """

    mean: np.ndarray
    variance: np.ndarray
    affine: np.ndarray | None = None

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

    def __init__(
        self, share: float = 0.005, clock: Callable[[], float] = time.perf_counter
    ) -> None:
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
        problems: list[_Problem] = []
        for name, now in values.items():
            before = self.latest.get(name)
            first_step, first = self._first.setdefault(name, (step, now))
            layer = self.layers[name]
            problems += _broken(name, now)
            if layer.moves and step - first_step >= PATIENCE and _never_updated(first, now):
                problems.append(self._still(name, step - first_step, now))
            elif before is not None and step == self._latest_step + 1:
                self._add_pair(layer, before, now)
        self.latest.update(values)
        self._latest_step = step
        return self._findings(problems)

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
        problems: list[_Problem] = []
        for name, moving in self.latest.items():
            first_step, first = self._first[name]
            layer = self.layers[name]
            steps = self._latest_step - first_step
            if layer.decay is None or not layer.moves or steps < 1 or moving.equals(first):
                continue
            if ("BN502", name) in self._told:
                continue
            if first.initial and layer.decay**steps > INITIAL_SHARE:
                problems += _too_short(layer, steps)
            elif len(self._pairs.get(name, ())) >= _PAIRS_NEEDED:
                problems += self._far(name, moving)
        return self._findings(problems)

    def _far(self, name: str, moving: Statistics) -> list[_Problem]:
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
        return [_Problem("BN503", name, message, Confidence.MEDIUM)]

    def _still(self, name: str, steps: int, now: Statistics) -> _Problem:
        message = (
            f"moving statistics are still at their initial 0 and 1 after {steps} training steps:"
            " nothing updates them"
        )
        confidence = Confidence.MEDIUM if now.affine is None else Confidence.HIGH
        return _Problem(self._still_code, name, message, confidence)

    def _findings(self, problems: list[_Problem]) -> list[Finding]:
        """One finding per rule, about every layer that it has not been told of before."""
        fresh = [one for one in problems if (one.code, one.layer) not in self._told]
        self._told.update((one.code, one.layer) for one in fresh)
        found = []
        for code in dict.fromkeys(one.code for one in fresh):
            first, *more = [one for one in fresh if one.code == code]
            message = first.message + (f" (and {len(more)} more batch norms)" if more else "")
            related = [
                Related(Location(self._path, node=one.layer), "also this batch norm")
                for one in more
            ]
            place = Location(self._path, node=first.layer)
            rule = all_rules()[code]
            found.append(rule.finding(place, message, related=related, confidence=first.confidence))
        return found


@dataclass(frozen=True)
class _Problem:
    code: str
    layer: str
    message: str
    confidence: Confidence = Confidence.HIGH


def _broken(name: str, now: Statistics) -> list[_Problem]:
    import numpy as np

    if not (np.isfinite(now.mean).all() and np.isfinite(now.variance).all()):
        return [_Problem("BN502", name, "moving statistics hold NaN or infinity")]
    if (now.variance < 0).any():
        return [_Problem("BN502", name, "a moving variance is negative")]
    return []


def _too_short(layer: WatchedLayer, steps: int) -> list[_Problem]:
    if layer.decay is None or steps < SMOKE_TEST:
        return []
    message = (
        f"after {steps} steps with decay {layer.decay:g} the moving statistics still"
        f" hold {layer.decay**steps:.0%} of their initial values"
    )
    return [_Problem("BN303", layer.name, message, Confidence.MEDIUM)]


def _never_updated(first: Statistics, now: Statistics) -> bool:
    """Whether a layer that is trained never had its statistics updated.

    Pretrained statistics may be kept on purpose, and a layer whose gamma and beta don't move
    takes no part in this training: neither is a mistake.
    """
    import numpy as np

    if not (first.initial and now.equals(first)):
        return False
    return (
        first.affine is None or now.affine is None or not np.array_equal(first.affine, now.affine)
    )


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


def warn_failure(error: Exception) -> None:
    """Training goes on when watching it fails; this says that it is no longer watched."""
    text = f"bnlint stopped watching the training: {type(error).__name__}: {error}"
    warnings.warn(text, BatchNormWarning, stacklevel=3)


def spread(names: list[str], limit: int = MAX_LAYERS) -> list[str]:
    """At most `limit` names, evenly spread, the first and the last among them."""
    if len(names) <= limit:
        return names
    return [names[round(index * (len(names) - 1) / (limit - 1))] for index in range(limit)]
