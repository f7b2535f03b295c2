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
from bnlint.limits import settled, too_short
from bnlint.registry import all_rules
from bnlint.runtime.moving_statistics import (
    Statistics,
    distance,
    distance_limit,
    distance_text,
)

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 10
"""Training steps at the initial values, bit for bit, after which nothing seems to update them."""

PAIRS_KEPT = 8
_EXAMPLES_PER_BATCH = 2  # at least: a batch of one has no variance to normalize by
MAX_LAYERS = 16


class BatchNormWarning(UserWarning):
    """A batch-norm finding about a running training."""


def warn(finding: Finding) -> None:
    """Reports a finding as a Python warning; the default of `on_finding`."""
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
    return Statistics(before.name, mean, np.maximum(variance, 0.0))


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
            if now.invalid:
                problems.append(_Problem("BN502", name, now.invalid))
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
        return Statistics(name, mean, np.mean([pair.variance for pair in pairs], axis=0))

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
            if first.at_initial_values and not settled(layer.decay, steps):
                if too_short(layer.decay, steps):
                    problems.append(_too_short(layer.decay, name, steps))
            else:
                problems += self._far(name, moving)
        return self._findings(problems)

    def _far(self, name: str, moving: Statistics) -> list[_Problem]:
        batch = self.batch(name)
        if batch is None:
            return []
        far = distance(moving, batch)
        if far <= distance_limit(len(self._pairs[name]) * _EXAMPLES_PER_BATCH):
            return []
        message = f"moving statistics and those of the last steps' batches are {distance_text(far)}"
        return [_Problem("BN503", name, message, Confidence.MEDIUM)]

    def _still(self, name: str, steps: int, now: Statistics) -> _Problem:
        message = (
            f"moving statistics are still at their initial 0 and 1 after {steps} training steps:"
            " nothing updates them"
        )
        confidence = Confidence.HIGH if now.has_affine else Confidence.MEDIUM
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


def _too_short(decay: float, name: str, steps: int) -> _Problem:
    message = (
        f"after {steps} steps with decay {decay:g} the moving statistics still"
        f" hold {decay**steps:.0%} of their initial values"
    )
    return _Problem("BN303", name, message, Confidence.MEDIUM)


def _never_updated(first: Statistics, now: Statistics) -> bool:
    """Whether a layer that is trained never had its statistics updated.

    Pretrained statistics may be kept on purpose, and a layer whose gamma and beta don't move
    takes no part in this training: neither is a mistake.
    """
    if not (first.at_initial_values and now.equals(first)):
        return False
    return not first.has_affine or not first.same_affine(now)


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
