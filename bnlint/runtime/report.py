"""What an inspection has to say: the batch norms, the train ops and the findings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bnlint.findings import Report
from bnlint.runtime.stored.statistics import Measured

Kind = Literal["fused", "unfused", "keras", "stored"]
Mode = Literal["train", "infer", "switched", "unknown"]


@dataclass(frozen=True)
class Spread:
    """The smallest, the middle and the largest value of a vector."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Any) -> Spread | None:
        """None where there are no values."""
        import numpy as np

        if values is None or not values.size:
            return None
        return cls(float(np.min(values)), float(np.median(values)), float(np.max(values)))


@dataclass(frozen=True)
class BatchNormInfo:
    """One batch normalization, as a graph, checkpoint or model shows it.

    Attributes:
      name: the normalizing op ("net/bn/FusedBatchNormV3") or the Keras layer's name.
      kind: "fused" (FusedBatchNorm op), "unfused" (`tf.nn.batch_normalization` arithmetic)
        or "keras" (a layer, seen without a graph), "stored" (variables, seen without either).
      mode: "train" normalizes with batch statistics, "infer" with moving statistics,
        "switched" with either, as tensor `switch` says.
      switch: name of the tensor that decides between training and inference, e.g. "is_training:0".
      default: the mode's value (True: training) when nothing feeds `switch`; None: it must be fed.
      moving_mean, moving_variance: names of the variables (or constants, in a frozen graph);
        "" where the graph shows none.
      update_ops: names of the ops that assign the moving statistics.
      gamma, beta: names of the scale and offset variables; "" where there is none.
      input: name of the tensor that is normalized ("" for a Keras layer).
      epsilon: added to the variance; None when not readable.
      decay: weight of the old moving value per update (Keras: momentum); None when not readable.
      function: the library function whose body holds it; "" in the main graph.
      reached: whether a train op runs its updates; None where there is neither.
      mean, variance: of the stored moving statistics; None where they are not stored.
    """

    name: str
    kind: Kind
    mode: Mode = "unknown"
    switch: str = ""
    default: bool | None = None
    moving_mean: str = ""
    moving_variance: str = ""
    update_ops: tuple[str, ...] = ()
    gamma: str = ""
    beta: str = ""
    input: str = ""
    epsilon: float | None = None
    decay: float | None = None
    function: str = ""
    reached: bool | None = None
    mean: Spread | None = None
    variance: Spread | None = None

    @property
    def mode_text(self) -> str:
        """The mode in words: "train", "infer" or "switched on is_training:0, default False"."""
        if self.mode != "switched":
            return self.mode
        default = "must be fed" if self.default is None else f"default {self.default}"
        return f"switched on {self.switch or 'an unknown tensor'}, {default}"


@dataclass
class GraphReport(Report):
    """A Report that also says what was found in the graph, checkpoint or model.

    Attributes:
      batch_norms: every batch norm, in graph order.
      train_ops: names of the ops that run an optimizer (as named, or found).
      reached_updates: train op -> the batch-norm update ops that running it also runs.
      missed_updates: train op -> the update ops of batch norms that it trains, and that no train
        op runs.
      measured: moving and batch statistics, where data was given to measure them on.
      serves: the graph is an export, so it need not have a train op.
    """

    batch_norms: tuple[BatchNormInfo, ...] = ()
    train_ops: tuple[str, ...] = ()
    reached_updates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missed_updates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    measured: tuple[Measured, ...] = ()
    serves: bool = False

    def details(self) -> dict[str, Any]:
        """What was looked at, for JSON."""
        return {
            "batch_norms": [asdict(one) for one in self.batch_norms],
            "train_ops": [
                {
                    "name": name,
                    "runs_updates": list(self.reached_updates.get(name, ())),
                    "misses_updates": list(self.missed_updates.get(name, ())),
                }
                for name in self.train_ops
            ],
        }
