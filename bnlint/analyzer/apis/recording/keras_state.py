"""What is known of Keras layers, models and tapes while a program is followed."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.analyzer.apis.keras_outputs import Activations
from bnlint.analyzer.interpreter.values import Object, Value
from bnlint.program.events import BatchNorm, KerasCall, Program
from bnlint.program.keras import purpose_of


@dataclass
class KerasState:
    """Keras objects by their numbers.

    Attributes:
      tapes: gradient tapes that record now.
      tapes_of: id of a KerasCall -> the tapes that recorded it.
      trained_by: tape -> the models that its gradients are applied to.
      layers: batch norm layers.
      parts: model -> the layers and models that it consists of.
      applied: Keras calls that are being followed: the batch norms that each applied.
      contexts: the `training` that each of them has.
      exporting: an exported function is being followed.
    """

    tapes: list[Object] = field(default_factory=list)
    tapes_of: dict[int, list[Object]] = field(default_factory=dict)
    trained_by: dict[int, set[int]] = field(default_factory=dict)
    layers: dict[int, Object] = field(default_factory=dict)
    parts: dict[int, set[int]] = field(default_factory=dict)
    applied: list[list[BatchNorm]] = field(default_factory=list)
    contexts: list[Value] = field(default_factory=list)
    exporting: bool = False
    activations: Activations = field(default_factory=Activations)

    def finish(self, program: Program) -> None:
        """Decides which calls of models train them."""
        for call in program.keras_calls:
            tapes = self.tapes_of.get(id(call), [])
            call.in_tape = any(self._trains(tape, call) for tape in tapes)
            call.differentiated = bool(tapes)
            call.purpose = purpose_of(call)

    def _trains(self, tape: Object, call: KerasCall) -> bool:
        """Gradients of `tape` are applied to variables of what is called, or of what it is part
        of."""
        called = {call.model, *(norm.layer for norm in call.batch_norms)}
        trained = self.trained_by.get(tape.number, ())
        return any(called & self.parts.get(owner, set()) for owner in trained)
