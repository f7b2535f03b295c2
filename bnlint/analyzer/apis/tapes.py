"""tf.GradientTape: which models a step trains."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import Kind, Leave, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import Function, Symbol, Value, symbol_of
from bnlint.analyzer.syntax import nodes


class Tape(Kind):
    """A tf.GradientTape."""

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        tf.recorder.keras.tapes.append(self)
        return self, lambda: tf.recorder.keras.tapes.remove(self)

    @method("tf.GradientTape.gradient")
    def gradient(self, tf: TensorFlow, call: Call) -> Value:
        # Gradients with respect to inputs (saliency, gradient penalty) train nothing by themselves;
        # whether these train anything is decided by apply_gradients.
        return symbol_of(*call.values()).replace(tape=self)


@api("tf.GradientTape", trains=True)
def gradient_tape(tf: TensorFlow, call: Call) -> Value:
    return Tape()


def tape_trains(tf: TensorFlow, gradient: Symbol) -> bool:
    """These gradients are a tape's; notes which models it trains."""
    tf.program.differentiated.add(tf.recorder.graph)
    if gradient.tape is None:
        return False
    _note(tf, gradient.tape.number, gradient)
    return True


def minimized_function(tf: TensorFlow, loss: Function, variables: Value | None,
                       node: nodes.Call) -> None:  # fmt: skip
    """`optimizer.minimize(lambda: loss(), var_list)` calls the function under a tape."""
    tape = Tape()
    tf.recorder.keras.tapes.append(tape)
    try:
        tf.call_value(loss, Args(), node)
    finally:
        tf.recorder.keras.tapes.remove(tape)
    if isinstance(variables, Function):
        variables = tf.call_value(variables, Args(), node)
    _note(tf, tape.number, symbol_of(variables))


def minimized_on_tape(
    tf: TensorFlow, loss: Value | None, variables: Value | None, tape: Value | None
) -> bool:
    """`optimizer.minimize(loss, var_list, tape=tape)`: the gradients are taken inside."""
    if not isinstance(tape, Tape) or isinstance(loss, Function):
        return False
    tf.program.differentiated.add(tf.recorder.graph)
    _note(tf, tape.number, symbol_of(variables))
    return True


def _note(tf: TensorFlow, tape: int, trained: Symbol) -> None:
    tf.recorder.keras.trained_by.setdefault(tape, set()).update(trained.variables.models)
