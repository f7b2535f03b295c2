"""What mode each call of a Keras batch norm has, and what each optimizer step trains.

`bnlint run` and `bnlint.attach` wrap three methods of Keras 3 and tf-keras: a batch norm's `call`,
and where an optimizer applies gradients. That sees GradientTape loops, with and without
`tf.function` (whose bodies are seen once, as they are traced), `fit` and `train_on_batch`.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from bnlint.findings import Confidence, Finding, Location, Related
from bnlint.registry import all_rules

_SHOWN = 10
_SCRATCH = ("keras_graph", "scratch_graph")  # where tf-keras builds functional models


@dataclass
class _Call:
    """A batch norm's latest call.

    Attributes:
      training: its mode.
      taped: a GradientTape recorded it.
      step: how many optimizer steps had been made.
    """

    training: bool
    taped: bool
    step: int


@dataclass
class _Calls:
    """The batch norms called in one function, or outside of all, since the last optimizer step.

    Attributes:
      inferring: those called in inference mode under a tape -> the user's line.
      training: those called in training mode.
      loose: those called in training mode outside of a tape.
      taped: a tape recorded some call.
      applied: an optimizer step is made in the function.
    """

    inferring: dict[Any, Location | None] = field(default_factory=dict)
    training: set[Any] = field(default_factory=set)
    loose: dict[Any, Location | None] = field(default_factory=dict)
    taped: bool = False
    applied: bool = False


class EagerModes:
    """Judges calls and optimizer steps as they come.

    Args:
      tell: called with new findings.
      line_of: the user's line that a frame was called from.

    Attributes:
      steps: optimizer steps seen; a traced function counts once.
      layers: the batch norms seen.
    """

    def __init__(
        self,
        tell: Callable[[list[Finding]], None],
        line_of: Callable[[FrameType | None], Location | None],
    ) -> None:
        self.steps = 0
        self.layers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._tell = tell
        self._line_of = line_of
        self._eager = _Calls()
        self._by_graph: weakref.WeakKeyDictionary[Any, _Calls] = weakref.WeakKeyDictionary()
        self._functions: list[_Calls] = []
        self._last: weakref.WeakKeyDictionary[Any, _Call] = weakref.WeakKeyDictionary()
        self._told: weakref.WeakSet[Any] = weakref.WeakSet()

    def called(self, layer: Any, training: bool | None) -> None:
        """A batch norm is called; `training` None: a tensor decides, or Keras' default."""
        if _is_symbolic():
            return
        calls = self._here()
        if calls is None or (training := _mode(layer, training)) is None:
            return
        self.layers.add(layer)
        taped = _is_taped()
        calls.taped |= taped
        if training:
            calls.training.add(layer)
            if not taped:
                calls.loose[layer] = self._line_of(sys._getframe(1))
        elif taped and layer.trainable and layer not in calls.inferring:
            calls.inferring[layer] = self._line_of(sys._getframe(1))
        self._last[layer] = _Call(training, taped, self.steps)

    def applied(self, variables: Iterable[Any]) -> None:
        """An optimizer applies gradients to `variables`."""
        calls = self._here()
        if calls is None:
            return
        self.steps += 1
        calls.applied = True
        trained = {_identity(one) for one in variables}
        # Gradients may also come out of functions that do not apply them.
        parts = [calls] if calls is not self._eager else [calls, *self._without_step()]
        training = {layer for part in parts for layer in part.training}
        wrong = {
            layer: place
            for part in parts
            for layer, place in part.inferring.items()
            if layer not in training and layer not in self._told and _trains(layer, trained)
        }
        if wrong:
            self._check_training(wrong)
        if calls is self._eager:
            self._eager = _Calls()

    def finish(self) -> None:
        """What only the end shows: calls in training mode that no training step followed."""
        loose: dict[Any, Location | None] = {}
        for part in self._functions:
            if not part.applied and not part.taped:
                loose.update(part.loose)
        for layer, place in self._eager.loose.items():
            last = self._last[layer]
            # Whoever estimates statistics anew calls in inference mode afterwards.
            if last.training and not last.taped and last.step == self.steps:
                loose[layer] = place
        found = {layer: place for layer, place in loose.items() if layer not in self._told}
        if not found:
            return
        message = (
            "in training mode where nothing is trained: predictions depend on the other examples "
            "of the batch, and the moving statistics change"
        )
        confidence = Confidence.MEDIUM if self.steps else Confidence.LOW
        self._report(found, message, confidence)

    def _check_training(self, wrong: dict[Any, Location | None]) -> None:
        """Pretrained statistics may be kept on purpose; initial ones are what nobody wants."""
        initial = {layer: place for layer, place in wrong.items() if _is_initial(layer)}
        if initial:
            message = (
                "in inference mode in a training step: the moving statistics stay at 0 and 1, and "
                "nothing is normalized"
            )
            self._report(initial, message, Confidence.HIGH)

    def _report(
        self, layers: dict[Any, Location | None], message: str, confidence: Confidence
    ) -> None:
        self._told.update(layers)
        count = len(layers)
        places = [_place(layer, place) for layer, place in layers.items()]
        runs = "1 batch norm runs" if count == 1 else f"{count} batch norms run"
        related = [Related(place, "also this batch norm") for place in places[1:_SHOWN]]
        rule = all_rules()["BN209"]
        self._tell(
            [rule.finding(places[0], f"{runs} {message}", related=related, confidence=confidence)]
        )

    def _here(self) -> _Calls | None:
        """The record of the outermost function that is being traced; None in TensorFlow 1's graphs,
        which sessions run.
        """
        if sys.modules["tensorflow.python.eager.context"].executing_eagerly():
            return self._eager
        graph = sys.modules["tensorflow.python.framework.ops"].get_default_graph()
        while getattr(getattr(graph, "outer_graph", None), "building_function", False):
            graph = graph.outer_graph
        if not getattr(graph, "building_function", False) or graph.name in _SCRATCH:
            return None
        if graph not in self._by_graph:
            self._by_graph[graph] = _Calls()
            self._functions.append(self._by_graph[graph])
        return self._by_graph[graph]

    def _without_step(self) -> Iterator[_Calls]:
        return (part for part in self._functions if part.taped and not part.applied)


def _mode(layer: Any, training: Any) -> bool | None:
    """The mode that a call really has; None where a tensor decides."""
    resolve = getattr(layer, "_get_training_value", None)  # tf-keras
    if resolve is not None:
        training = resolve(training)
    if training is not None and not isinstance(training, bool | int):
        return None
    return bool(training) and bool(layer.trainable)


def _is_symbolic() -> bool:
    """Keras 3 computes the shapes of a functional model."""
    scope = sys.modules.get("keras.src.backend.common.symbolic_scope")
    return scope is not None and bool(scope.in_symbolic_scope())


def _is_taped() -> bool:
    pywrap_tfe = sys.modules["tensorflow.python.pywrap_tfe"]
    return not pywrap_tfe.TFE_Py_TapeSetIsEmpty()


def _identity(variable: Any) -> int:
    """Keras 3 wraps TensorFlow's variables; programs pass either."""
    return id(getattr(variable, "_value", variable))


def _trains(layer: Any, trained: set[int]) -> bool:
    affine = (getattr(layer, "gamma", None), getattr(layer, "beta", None))
    return any(one is not None and _identity(one) in trained for one in affine)


def _is_initial(layer: Any) -> bool:
    from bnlint.runtime.keras_model import stored_statistics

    with sys.modules["tensorflow"].init_scope():
        return stored_statistics(layer).at_initial_values


def _place(layer: Any, place: Location | None) -> Location:

    return (
        Location("<model>", node=layer.name) if place is None else replace(place, node=layer.name)
    )
