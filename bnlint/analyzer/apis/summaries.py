"""Summaries for TensorBoard: what is fetched with them is computed."""

from __future__ import annotations

from bnlint.analyzer.apis.collections import read_by_library
from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Const, Value, constant, list_of

_SUMMARIES = "summaries"  # tf.GraphKeys.SUMMARIES


@api(
    "tf.summary.scalar", "tf.summary.image", "tf.summary.histogram", "tf.summary.audio",
    "tf.summary.text", "tf.summary.tensor_summary", "tf.scalar_summary", "tf.image_summary",
    "tf.histogram_summary", "tf.audio_summary",
    signature="*args, collections=None, **kwargs",  # TensorFlow 0.x, 1 and 2 differ in the others
)  # fmt: skip
def summary(tf: TensorFlow, call: Call) -> Value:
    symbol = tf.op(*call.more, *call.extra.values()).replace(unknown=False)
    if symbol.batch_norms:  # merged, others compute nothing of interest
        given = list_of(call.collections) if call.given("collections") else [Const(_SUMMARIES)]
        for name in given:
            scope = tf.recorder.scopes.names[-1]
            tf.recorder.collections.add(constant(name, str) or "", symbol, scope)
    return symbol


@api("tf.summary.merge_all", "tf.merge_all_summaries",
     signature=f"key={_SUMMARIES!r}, scope=None, name=None")  # fmt: skip
def merge_all(tf: TensorFlow, call: Call) -> Value:
    return read_by_library(tf, constant(call.key, str) or _SUMMARIES, call.node)
