"""What one run of a program gave, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bnlint.runtime.moving_statistics import Statistics, mean_shift, variance_log_ratio

if TYPE_CHECKING:
    import numpy as np

EPSILON = 1e-3
"""Added to variances before they are compared: slim's and Keras' default epsilon."""
LAST_STEPS = 20
"""Steps at the end of training over which the train-mode accuracy is averaged."""


@dataclass(frozen=True)
class Layer:
    """One batch norm of the evaluated network; lists have one value per channel.

    Attributes:
      name: scope of its variables.
      moving_mean, moving_variance: what inference mode normalizes with.
      data_mean, data_variance: of what it was given to normalize, over the test images.
    """

    name: str
    moving_mean: list[float]
    moving_variance: list[float]
    data_mean: list[float]
    data_variance: list[float]

    @classmethod
    def of(cls, moving: Statistics, data: Statistics) -> Layer:
        lists = (moving.mean, moving.variance, data.mean, data.variance)
        return cls(moving.name, *(values.tolist() for values in lists))

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @property
    def mean_distance(self) -> float:
        """|moving - data mean| in standard deviations of the data; median over the channels."""
        return self._distance[0]

    @property
    def variance_ratio(self) -> float:
        """Larger by smaller of the two variances, at least 1; median over the channels."""
        return self._distance[1]

    @property
    def _distance(self) -> tuple[float, float]:
        import numpy as np

        moving = Statistics(mean=self.moving_mean, variance=self.moving_variance)
        data = Statistics(mean=self.data_mean, variance=self.data_variance)
        shift = np.median(mean_shift(moving, data, EPSILON))
        ratio = np.exp(np.median(variance_log_ratio(moving, data, EPSILON)))
        return float(shift), float(ratio)


@dataclass(frozen=True)
class Outcome:
    """One run of a program.

    Attributes:
      kind: "broken" or "fixed".
      loss, train_accuracy: float arrays of shape [steps]; the accuracy is that of each step's
        batch as the training network sees it.
      predictions, labels: int arrays of shape [test images]; the class that evaluation gives.
      layers: the batch norms of the evaluated network.
      findings: codes of what `bnlint run`, `inspect` and `predictions` say about the run.
      seconds: wall time.
    """

    kind: str
    loss: np.ndarray
    train_accuracy: np.ndarray
    predictions: np.ndarray
    labels: np.ndarray
    layers: tuple[Layer, ...] = ()
    findings: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def final_loss(self) -> float:
        """Of the last step."""
        return float(self.loss[-1])

    @property
    def final_train_accuracy(self) -> float:
        """Mean over the last steps."""
        return float(self.train_accuracy[-LAST_STEPS:].mean())

    @property
    def test_accuracy(self) -> float:
        """Share of the test images that evaluation puts in their class."""
        return float((self.predictions == self.labels).mean())

    @property
    def classes(self) -> int:
        return int(max(self.predictions.max(), self.labels.max())) + 1

    @property
    def histogram(self) -> list[int]:
        """Test images per predicted class."""
        import numpy as np

        return [int(count) for count in np.bincount(self.predictions, minlength=self.classes)]

    @property
    def top_class(self) -> int:
        """The class predicted most often."""
        return max(range(self.classes), key=self.histogram.__getitem__)

    @property
    def top_share(self) -> float:
        """Share of the test images that are put in it."""
        return max(self.histogram) / len(self.predictions)

    @cached_property
    def mean_distance(self) -> float | None:
        """The largest of the layers'; None without layers."""
        return max((layer.mean_distance for layer in self.layers), default=None)

    @cached_property
    def variance_ratio(self) -> float | None:
        """The largest of the layers'; None without layers."""
        return max((layer.variance_ratio for layer in self.layers), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; what is NaN or infinite is None."""
        return {
            "loss": [_number(value) for value in self.loss.tolist()],
            "train_accuracy": [_number(value) for value in self.train_accuracy.tolist()],
            "final_loss": _number(self.final_loss),
            "final_train_accuracy": _number(self.final_train_accuracy),
            "test_accuracy": self.test_accuracy,
            "top_class": self.top_class,
            "top_share": self.top_share,
            "histogram": self.histogram,
            "mean_distance": _number(self.mean_distance),
            "variance_ratio": _number(self.variance_ratio),
            "layers": [
                {
                    "name": layer.name,
                    "mean_distance": _number(layer.mean_distance),
                    "variance_ratio": _number(layer.variance_ratio),
                }
                for layer in self.layers
            ],
            "findings": list(self.findings),
            "seconds": round(self.seconds, 1),
        }


def _number(value: float | None) -> float | None:
    import math

    return value if value is not None and math.isfinite(value) else None
