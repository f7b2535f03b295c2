"""What comes out of Keras layers: which layer made an activation, and of how many axes it is.

Kept by the identity of the symbol: an activation that went through an op that is no layer is a new
symbol, of which nothing is known.
"""

from __future__ import annotations

from bnlint.analyzer.interpreter.values import Const, ListValue, Symbol, Value
from bnlint.program.events import NO_ACTIVATION, Activation

# Axes of what these layers give, batch included; the others keep those of their input.
_RANKS = {
    "Flatten": 2, "GlobalAveragePooling1D": 2, "GlobalAveragePooling2D": 2,
    "GlobalAveragePooling3D": 2, "GlobalMaxPooling1D": 2, "GlobalMaxPooling2D": 2,
    "GlobalMaxPooling3D": 2, "Embedding": 3, "Conv1D": 3, "Conv2D": 4, "Conv2DTranspose": 4,
    "SeparableConv2D": 4, "DepthwiseConv2D": 4, "Conv3D": 5,
}  # fmt: skip
_UNKNOWN = frozenset(("Reshape", "Lambda", "LSTM", "GRU", "InputLayer"))


class Activations:
    """The activations of a program, by symbol."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Symbol, Activation]] = {}

    def of(self, value: Value | None) -> Activation:
        """What is known of a value."""
        _, known = self._known.get(id(value), (value, NO_ACTIVATION))
        return known

    def made(self, output: Symbol, layer: int, kind: str, inputs: Value | None) -> Symbol:
        """`output` is what a layer of this class gives for `inputs`."""
        rank = None if kind in _UNKNOWN else _RANKS.get(kind, self.of(inputs).rank)
        return self._keep(output, Activation(layer, kind, rank))

    def input(self, shape: Value | None) -> Symbol:
        """keras.Input of a shape, which leaves the batch out."""
        known = isinstance(shape, ListValue) and shape.rest is None
        rank = len(shape.items) + 1 if known and isinstance(shape, ListValue) else None
        rank = 2 if isinstance(shape, Const) and isinstance(shape.value, int) else rank
        return self._keep(Symbol(), Activation(0, "Input", rank))

    def _keep(self, output: Symbol, activation: Activation) -> Symbol:
        self._known[id(output)] = output, activation  # the symbol stays alive, so its id is its own
        return output
