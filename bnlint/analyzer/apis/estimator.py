"""tf.estimator: a model_fn is followed in each of its modes (see follow.py)."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import Kind, api
from bnlint.analyzer.apis.sessions import record_length
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import UNKNOWN, Value, constant, symbol_of


class Estimator(Kind):
    """A tf.estimator.Estimator."""


class EstimatorSpec(Kind):
    """What a model_fn returns; it holds its ops."""


class TrainSpec(Kind):
    """A tf.estimator.TrainSpec."""


@api(
    "tf.estimator.EstimatorSpec", "tf.estimator.tpu.TPUEstimatorSpec",
    "tf.contrib.tpu.TPUEstimatorSpec", trains=True, evaluates=True, makes_spec=True,
)  # fmt: skip
def estimator_spec(tf: TensorFlow, call: Call) -> Value:
    tf.program.uses_estimator = True
    mode = constant(call.mode, str)
    if mode in (None, "train") and call.train_op is not None:
        # The Estimator's hooks may feed.
        tf.recorder.runs.add(call.node, call.train_op, None, others_may_feed=True)
    outputs = symbol_of(*call.values())
    if mode in ("eval", "infer"):
        norms = sorted(outputs.batch_norms, key=lambda norm: norm.time)
        kind = "estimator eval" if mode == "eval" else "estimator predict"
        if norms:
            tf.recorder.evaluation(tf.recorder.here(call.node), kind, norms)
    return EstimatorSpec(symbol=outputs)


api("tf.contrib.learn.ModelFnOps", makes_spec=True)(estimator_spec)


@api(
    "tf.estimator.Estimator", "tf.estimator.tpu.TPUEstimator", "tf.contrib.tpu.TPUEstimator",
    "tf.contrib.learn.Estimator", trains=True, evaluates=True,
)  # fmt: skip
def estimator(tf: TensorFlow, call: Call) -> Value:
    tf.program.uses_estimator = True
    if call.model_fn is not None:
        tf.model_fns.append((call.model_fn, call.params or UNKNOWN))
    return Estimator()


@api("tf.estimator.TrainSpec")
def train_spec(tf: TensorFlow, call: Call) -> Value:
    record_length(tf, call.max_steps, call.node)
    return TrainSpec()
