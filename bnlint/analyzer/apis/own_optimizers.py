"""Optimizers that a project writes itself: variables that are assigned what gradients say."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.apis.variables import scope_of
from bnlint.analyzer.interpreter.values import Symbol, Value, symbol_of


def step(tf: TensorFlow, value: Value | None, call: Call) -> Symbol | None:
    """`variable.assign(variable - rate * gradient)`: a train op, or a part of one.

    The sums of accumulated gradients are the same: it is their assignments that run the network.
    """
    gradient = symbol_of(value)
    if not (gradient.of_gradient and gradient.batch_norms):
        return None
    return tf.recorder.train_ops.add_assignment(
        call.node, gradient, trainable_scope=scope_of(gradient),
        trains_some=gradient.variables.partial,
    )  # fmt: skip
