"""How long `fit` trains, and on batches of how many examples."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Value, constant
from bnlint.program.events import KerasRun


def measure_training(tf: TensorFlow, run: KerasRun, call: Call) -> None:
    """Notes steps and batch size of a training, where the call says them."""
    run.steps = _steps(tf, call)
    run.batch_size = _number(call.get("batch_size"))


def _steps(tf: TensorFlow, call: Call) -> int | None:
    """Steps of all rounds of the loops around it; None if something of that is not known."""
    rounds = tf.interpreter.loop_steps() if tf.interpreter.loop_sizes else 1
    if call.api.endswith("train_on_batch"):
        return rounds if tf.interpreter.loop_sizes else None
    epochs = 1 if call.get("epochs") is None else _number(call.get("epochs"))
    each = _number(call.get("steps_per_epoch"))
    if rounds is None or epochs is None or each is None or call.rest is not None:
        return None
    return rounds * epochs * each


def _number(value: Value | None) -> int | None:
    known: int | None = constant(value, int)
    return known
