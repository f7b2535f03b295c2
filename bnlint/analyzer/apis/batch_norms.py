"""What slim and tf.layers share: training flags, collections of updates, activations."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.values import UNKNOWN, Const, External, Symbol, Value, constant
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import UPDATE_OPS, BatchNorm, Flag


def is_none(value: Value | None) -> bool:
    """It was passed, and is None."""
    return isinstance(value, Const) and value.value is None


def training_flag(value: Value | None, via: str, rest: Symbol | None, default: bool) -> Flag:
    """The flag that a batch norm is built with, where its argument was `value` or not passed."""
    if value is None:
        if rest is not None:
            return flag_of(UNKNOWN, via=via)
        return flag_of(Const(default), explicit=False, via=via)
    return flag_of(value, via=via)


def collection_of(value: Value | None, rest: Symbol | None) -> tuple[str | None, bool]:
    """(collection of the updates, known) by `updates_collections`; None means in place."""
    if value is None:
        return (UPDATE_OPS, True) if rest is None else (None, False)
    if is_none(value):
        return None, True
    name = constant(value, str)
    return (name, True) if name is not None else (None, False)


def mark_rebuilt(tf: TensorFlow, norm: BatchNorm) -> None:
    """The flag variable it was built with may have built others before."""
    if norm.training.key:
        tf.recorder.rebindings.built_with(norm)


def activated(tf: TensorFlow, function: Value | None, output: Symbol, node: nodes.Call) -> Symbol:
    """`output` under an activation function."""
    short = function.name.rsplit(".", 1)[-1] if isinstance(function, External) else ""
    if short in ("softmax", "sigmoid"):
        return output.replace(linear="probabilities", made=tf.recorder.here(node))
    return output.replace(linear="")
