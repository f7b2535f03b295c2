"""Calls of Keras layers and models: the `training` that arrives, and the batch norms applied.

Keras passes `training` on by itself inside `Layer.__call__`, in this order (recorded in
fixtures/oracle/keras, the rows "subclass ..."): what was passed and is not None, what the caller
runs with, the default in `call`'s signature. `self.call(x)` is a plain function call: it passes
nothing on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bnlint.analyzer.apis.batch_norms import is_none
from bnlint.analyzer.apis.clues import branch_clues, data_clues, function_clues, result_clues
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Const,
    Stateful,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import BatchNorm, Clue, Flag, FlagKind, KerasCall

if TYPE_CHECKING:
    from bnlint.analyzer.apis.library import TensorFlow

DEFAULT_OF_CALL = "the default in call's signature"  # key of a flag that nobody passed


def passed_training(training: Value | None, rest: Symbol | None) -> Value | None:
    """The `training` argument of a call; unknown if it may be among unknown arguments."""
    return UNKNOWN if training is None and rest is not None else training


def training_in(tf: TensorFlow, passed: Value | None, default: Value | None = None) -> Value:
    """What a layer that is called here runs with; None where Keras leaves it open."""
    contexts = tf.recorder.keras.contexts
    for value in (passed, contexts[-1] if contexts else None):
        if value is not None and not is_none(value):
            return value
    if isinstance(default, Const) and isinstance(default.value, bool):
        return Const(default.value, default.location, DEFAULT_OF_CALL)
    return NONE


def keras_flag(training: Value) -> Flag:
    """`training` as a flag: None is the learning phase, in TensorFlow 2 False outside of `fit`."""
    if is_none(training):
        return Flag(FlagKind.LEARNING_PHASE, explicit=False)
    flag = flag_of(training)
    return flag_of(training, explicit=False) if flag.key == DEFAULT_OF_CALL else flag


@contextmanager
def applying(tf: TensorFlow) -> Iterator[list[BatchNorm]]:
    """Collects the batch norms that are applied meanwhile; calls inside are no calls of their
    own."""
    norms: list[BatchNorm] = []
    tf.recorder.keras.applied.append(norms)
    try:
        yield norms
    finally:
        tf.recorder.keras.applied.pop()
        if tf.recorder.keras.applied:
            tf.recorder.keras.applied[-1].extend(norms)


@contextmanager
def running_with(tf: TensorFlow, training: Value) -> Iterator[None]:
    """Inside `Layer.__call__`: layers called meanwhile get this `training`."""
    tf.recorder.keras.contexts.append(training)
    try:
        yield
    finally:
        tf.recorder.keras.contexts.pop()


@contextmanager
def outermost_call(
    tf: TensorFlow, owner: Stateful, passed: Value | None, args: Args, node: nodes.Call,
    by: str = "__call__",
) -> Iterator[None]:  # fmt: skip
    """A call of a layer or model; records it unless another one makes it.

    Args:
      tf: the library.
      owner: the layer or model.
      passed: its `training` argument, None without one.
      args: all arguments.
      node: where it is called.
      by: "__call__", or "call" for `self.call(x)`, which tells Keras nothing.
    """
    if tf.recorder.keras.applied or _is_followed_alone(tf):
        yield
        return
    training = keras_flag(passed if passed is not None else NONE)
    event = KerasCall(
        location=tf.recorder.here(node), training=training, by=by,
        in_tape=False, purpose="unknown", batch_norms=[], frames=tuple(tf.interpreter.frames),
        conditional=tf.recorder.conditional, time=tf.interpreter.tick(), model=owner.number,
        clues=_clues(tf, args, node), exported=tf.recorder.keras.exporting,
        steps=tf.interpreter.loop_steps(),
    )  # fmt: skip
    tf.recorder.keras.tapes_of[id(event)] = list(tf.recorder.keras.tapes)
    tf.program.keras_calls.append(event)
    with applying(tf) as norms:
        try:
            yield
        finally:
            event.batch_norms = list(norms)


def _is_followed_alone(tf: TensorFlow) -> bool:
    """The program begins in a layer's `call`, which Keras would have called."""
    active = tf.interpreter.active
    return bool(active) and active[0].name == "call"


def _clues(tf: TensorFlow, args: Args, node: nodes.Call) -> tuple[Clue, ...]:
    """Why the call may be an evaluation; a script's name is none: tests build models, too."""
    found = (
        *data_clues(None, symbol_of(*args.values()), node.args),
        *function_clues(tf.interpreter.frames, ""),
        *result_clues(tf.interpreter.statement, node),
        *branch_clues(tf.interpreter.around, node),
    )
    return tuple(dict.fromkeys(found))
