"""Keras' BatchNormalization: the layer, and what applying it does."""

from __future__ import annotations

from dataclasses import replace

from bnlint.analyzer.apis.keras_calls import (
    DEFAULT_OF_CALL,
    keras_flag,
    outermost_call,
    passed_training,
    training_in,
)
from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import Kind, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Const, Symbol, Value, constant, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import Activation, BatchNorm, Flag, FlagKind


class KerasBatchNormalization(Kind):
    """A keras.layers.BatchNormalization; slots: trainable."""

    classes = frozenset(["keras.layers.BatchNormalization", "keras.layers.Layer"])

    def __init__(self, made: Location, trainable: Value, momentum: float | None) -> None:
        super().__init__(trainable=trainable)
        self.made = made
        self.momentum = momentum
        self.norm: BatchNorm | None = None

    @method("keras.layers.BatchNormalization.call", called="__call__")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        passed = passed_training(call.training, call.rest)
        with outermost_call(tf, self, passed, call.arguments, call.node):
            flag = keras_flag(training_in(tf, passed))
            output = self.apply(tf, call.inputs, flag, call.node)
            kind = "BatchNormalization"
            return tf.recorder.keras.activations.made(output, self.number, kind, call.inputs)

    def apply(
        self, tf: TensorFlow, inputs: Value | None, training: Flag, node: nodes.Node,
        of: Activation | None = None, frozen: bool = False,
    ) -> Symbol:  # fmt: skip
        """The layer's output; its first application makes its variables.

        `frozen`: whoever wrote its class made it run in inference mode for good.
        """
        norm, output = tf.recorder.norms.add(
            node, symbol_of(inputs), api="keras", training=training, collection=None,
            collection_known=True, scope=None, decay=self.momentum,
            trainable=False if frozen else self.trainable, definition=self.made, reuses=self.norm,
            layer=self.number,
        )  # fmt: skip
        norm.reuse_unknown = False
        norm.input = of or tf.recorder.keras.activations.of(inputs)
        self.norm = self.norm or norm
        self._applied(tf, norm)
        return output

    def apply_again(
        self, tf: TensorFlow, norm: BatchNorm, inputs: Symbol, training: Flag, node: nodes.Node
    ) -> Symbol:
        """The output where a functional model of which `norm` is part is called with `training`."""
        flag = _written_or(norm.training, training, tf.program.keras)
        if flag.kind is norm.training.kind and self.trainable is norm.trainable:
            self._applied(tf, norm)
            return symbol_of(inputs, Symbol(batch_norms=frozenset([norm])))
        # Which layer's output it is was said when the graph was built.
        return self.apply(tf, inputs, flag, node, replace(norm.input, layer=0))

    @property
    def trainable(self) -> bool | None:
        known: bool | None = constant(self.slots["trainable"], bool)
        return known

    def _applied(self, tf: TensorFlow, norm: BatchNorm) -> None:
        if tf.recorder.keras.applied:
            tf.recorder.keras.applied[-1].append(norm)


def _written_or(written: Flag, passed: Flag, versions: frozenset[str]) -> Flag:
    """The flag of a layer in a functional model: `written` where the layer was called, `passed`
    to the model.

    Keras 3 follows what is passed, the others what is written (fixtures/oracle/keras, the rows
    "functional | training true" and "nested | training false").
    """
    if passed.kind is FlagKind.LEARNING_PHASE and not passed.explicit:
        return written
    if not written.explicit or written.key == DEFAULT_OF_CALL or versions == {"3"}:
        return passed
    if "3" in versions and written.is_false and passed.is_true:
        return Flag(FlagKind.UNKNOWN)
    return written


@api("keras.layers.BatchNormalization", "keras.layers.SyncBatchNormalization",
     "keras.layers.experimental.SyncBatchNormalization", makes_batch_norm=True)  # fmt: skip
def batch_normalization(tf: TensorFlow, call: Call) -> Value:
    momentum = call.number("momentum")
    layer = KerasBatchNormalization(
        tf.recorder.here(call.node),
        call.extra.get("trainable") or Const(True),
        momentum if momentum is not None else 0.99,
    )
    tf.recorder.keras.layers[layer.number] = layer
    return layer
