"""Copies of variables from one Keras model to another: `a.assign(b)` over two lists of them."""

from __future__ import annotations

from bnlint.analyzer.apis.keras import KerasModel, parts_of
from bnlint.analyzer.apis.library import TensorFlow, is_keras
from bnlint.analyzer.apis.registry import any_method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Instance, Symbol, Value, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import KerasCopy


def record_copy(
    tf: TensorFlow, target: Value | None, value: Value | None, node: nodes.Call
) -> None:
    """Notes `target.assign(value)` where both are variables of Keras models."""
    if not isinstance(target, Symbol) or target.variables.filtered or target.unknown:
        return
    written, read = target.variables.models, symbol_of(value).variables.models
    for model in written if len(written) == 1 else ():
        for source in sorted(read - written):
            tf.program.keras_copies.append(
                KerasCopy(
                    location=tf.recorder.here(node), model=model, source=source,
                    layers=_layers(tf, model), source_layers=_layers(tf, source),
                    with_statistics=model in target.variables.statistics_of,
                    averages=bool(read & written), conditional=tf.recorder.conditional,
                    time=tf.interpreter.tick(),
                )
            )  # fmt: skip


def _layers(tf: TensorFlow, model: int) -> frozenset[int]:
    parts = tf.recorder.keras.parts.get(model, set())
    return frozenset(parts & tf.recorder.keras.layers.keys())


@any_method("keras.Model.set_weights")
def set_weights(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """Sets every variable of a model, from whatever."""
    if isinstance(receiver, KerasModel) or (
        isinstance(receiver, Instance) and is_keras(receiver.cls)
    ):
        tf.recorder.keras.parts[receiver.number] = parts_of(receiver)
        layers = _layers(tf, receiver.number)
        tf.program.keras_copies.append(
            KerasCopy(
                location=tf.recorder.here(call.node), model=receiver.number, source=0,
                layers=layers, source_layers=frozenset(), with_statistics=True, averages=False,
                conditional=tf.recorder.conditional, time=tf.interpreter.tick(),
            )
        )  # fmt: skip
    return None
