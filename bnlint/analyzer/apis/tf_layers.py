"""tf.layers: batch norm as a function and as a class, dense and convolution."""

from __future__ import annotations

from bnlint.analyzer.apis.batch_norms import activated, is_none, mark_rebuilt, training_flag
from bnlint.analyzer.apis.graphs_and_scopes import reuse_flag
from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import Kind, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Value, constant, symbol_of
from bnlint.findings import Location
from bnlint.program.events import UPDATE_OPS, BatchNorm


@api("tf.layers.batch_normalization", makes_batch_norm=True)
def batch_normalization(tf: TensorFlow, call: Call) -> Value:
    name, unknown = scope_name(call.name)
    norm, output = tf.recorder.norms.add(
        call.node, symbol_of(call.inputs), api="tf.layers",
        training=training_flag(call.training, "argument", call.rest, default=False),
        collection=UPDATE_OPS, collection_known=True,
        scope=tf.recorder.scopes.full_path(name, "batch_normalization", unknown),
        trainable=constant(call.trainable, bool), decay=call.number("momentum"),
        reuse=reuse_flag(call.reuse, tf.recorder.scopes.reuse),
    )  # fmt: skip
    mark_rebuilt(tf, norm)
    return output


class LayersBatchNormalization(Kind):
    """A tf.layers.BatchNormalization; its first call makes its variables."""

    def __init__(
        self,
        made: Location,
        name: Value | None,
        trainable: bool | None,
        momentum: float | None,
    ) -> None:
        super().__init__()
        self.made = made
        self.name = name
        self.trainable = trainable
        self.momentum = momentum
        self.norm: BatchNorm | None = None

    @method("tf.layers.BatchNormalization.call", called="__call__ apply")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        scope, reuse = None, tf.recorder.scopes.reuse
        if self.norm is None:
            name, unknown = scope_name(self.name)
            scope = tf.recorder.scopes.full_path(name, "batch_normalization", unknown)
        norm, output = tf.recorder.norms.add(
            call.node, symbol_of(call.inputs), api="tf.layers",
            training=training_flag(call.training, "argument", call.rest, default=False),
            collection=UPDATE_OPS, collection_known=True, scope=scope, trainable=self.trainable,
            decay=self.momentum, reuse=reuse, reuses=self.norm, definition=self.made,
        )  # fmt: skip
        mark_rebuilt(tf, norm)
        self.norm = self.norm or norm
        return output


@api("tf.layers.BatchNormalization", makes_batch_norm=True)
def batch_normalization_class(tf: TensorFlow, call: Call) -> Value:
    trainable = constant(call.trainable, bool)
    here = tf.recorder.here(call.node)
    return LayersBatchNormalization(here, call.name, trainable, call.number("momentum"))


@api("tf.layers.dense", "tf.layers.conv2d", "tf.layers.conv1d", makes_layer=True)
def plain_layer(tf: TensorFlow, call: Call) -> Value:
    output = tf.op(call.inputs)
    if call.activation is None or is_none(call.activation):
        return output.replace(linear="logits", made=tf.recorder.here(call.node))
    return activated(tf, call.activation, output, call.node)
