"""Losses, and what tells logits from probabilities."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.collections import read_by_library
from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Symbol, Value, constant
from bnlint.program.events import LogOfTensor


@api("tf.log", "tf.math.log", "keras.backend.log", "keras.ops.log")
def log(tf: TensorFlow, call: Call) -> Value:
    value = call.x
    result = tf.op(value)
    if isinstance(value, Symbol) and value.linear:
        here, time = tf.recorder.here(call.node), tf.interpreter.tick()
        event = LogOfTensor(here, value.linear, value.made, False, time)
        tf.program.logs.append(event)
        return result.replace(logs=result.logs | {event})
    return result


def _activation(range_: str) -> Callable[[TensorFlow, Call], Value]:
    def handler(tf: TensorFlow, call: Call) -> Value:
        return tf.op(call.first).replace(linear=range_, made=tf.recorder.here(call.node))

    return handler


api("tf.nn.softmax", "tf.sigmoid", "tf.nn.sigmoid", "tf.math.sigmoid", "tf.contrib.slim.softmax",
    "keras.activations.softmax", "keras.activations.sigmoid", "tf.math.softmax",
    )(_activation("probabilities"))  # fmt: skip
api("tf.matmul", "tf.linalg.matmul", "tf.nn.bias_add", "tf.nn.xw_plus_b")(_activation("logits"))


LOSSES = "losses"


def _loss(tf: TensorFlow, call: Call) -> Value:
    """tf.losses.*, slim.losses.*: the loss is also put into the collection of losses."""
    result = tf.op(*call.values())
    collection = call.loss_collection
    name = constant(collection, str) if collection is not None else LOSSES
    if name is not None:
        tf.recorder.collections.add(name, result, scope=None)
    return result


for _name in (
    "absolute_difference", "add_loss", "compute_weighted_loss", "cosine_distance", "hinge_loss",
    "huber_loss", "log_loss", "mean_pairwise_squared_error", "mean_squared_error",
    "sigmoid_cross_entropy", "softmax_cross_entropy", "sparse_softmax_cross_entropy",
):  # fmt: skip
    api(f"tf.losses.{_name}", f"tf.contrib.losses.{_name}")(_loss)
# Names of the first versions.
api("tf.contrib.losses.log", "tf.contrib.losses.sum_of_squares",
    "tf.contrib.losses.sum_of_pairwise_squares",
    signature="predictions, labels=None, weights=1.0, scope=None, loss_collection='losses'",
    )(_loss)  # fmt: skip


@api("tf.losses.get_total_loss", "tf.contrib.losses.get_total_loss", "tf.losses.get_losses",
     "tf.contrib.losses.get_losses")  # fmt: skip
def get_losses(tf: TensorFlow, call: Call) -> Value:
    """Everything in the collection of losses (scopes of losses are not known)."""
    return tf.op(read_by_library(tf, LOSSES, call.node))
