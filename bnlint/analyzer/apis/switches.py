"""Ops that select: tf.cond, smart_cond, tf.where. One batch norm may be built in both branches."""

from __future__ import annotations

import dataclasses

import msgspec

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    ListValue,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.program.events import BatchNorm, Flag, FlagKind


@api("tf.cond", "tf.contrib.slim.smart_cond", "tf.python.framework.smart_cond.smart_cond",
     "tf.contrib.layers.utils.smart_cond", "tf.python.layers.utils.smart_cond")  # fmt: skip
def cond(tf: TensorFlow, call: Call) -> Value:
    """Both functions build their ops; the predicate decides which run."""
    predicate = call.pred or UNKNOWN
    flag = flag_of(predicate)
    branches = (call.true_fn or call.get("fn1"), call.false_fn or call.get("fn2"))
    if flag.is_true or flag.is_false:
        return _decided(tf, flag, branches[0] if flag.is_true else branches[1], call)
    start = tf.interpreter.tick()
    tf.recorder.conditions.append(flag)
    try:
        first, trained = _built(tf, branches[0], call)
        second, inferred = _built(tf, branches[1], call)
    finally:
        tf.recorder.conditions.pop()
    _join(tf, flag, trained, inferred)
    _select_networks(flag, first, second, start)
    return _selected(tf, predicate, flag, first, second)


def _built(tf: TensorFlow, branch: Value | None, call: Call) -> tuple[Value, list[BatchNorm]]:
    """(what the branch returns, the batch norms it builds)."""
    before = len(tf.program.batch_norms)
    result = tf.call_value(branch, Args(), call.node) if branch is not None else NONE
    return result, tf.program.batch_norms[before:]


@api("tf.where")
def where(tf: TensorFlow, call: Call) -> Value:
    if call.x is None or call.y is None:
        return tf.op(*call.values())
    flag = flag_of(call.condition)
    _select_networks(flag, call.x, call.y, tf.interpreter.tick())
    return _selected(tf, call.condition or UNKNOWN, flag, call.x, call.y)


def _decided(tf: TensorFlow, flag: Flag, branch: Value | None, call: Call) -> Value:
    """The predicate is a known constant: whoever wrote it decides the mode, not the branch."""
    if branch is None:
        return UNKNOWN
    result, norms = _built(tf, branch, call)
    for norm in norms:
        own = norm.training
        if own.kind is flag.kind and flag.location is not None and not own.key:
            norm.training = flag
    return _with_switch(result, flag)


def _with_switch(value: Value, flag: Flag) -> Value:
    if isinstance(value, ListValue) and value.rest is None:
        return ListValue(tuple(_with_switch(item, flag) for item in value.items))
    known = value.statistics if isinstance(value, Symbol) else None
    if known is None or not isinstance(value, Symbol) or bool(known.batch) is not flag.is_true:
        return value
    return value.replace(statistics=msgspec.structs.replace(known, switch=flag))


def _selected(tf: TensorFlow, predicate: Value, flag: Flag, first: Value, second: Value) -> Value:
    """What the op gives: tuples of the branches stay tuples."""
    if (
        isinstance(first, ListValue)
        and isinstance(second, ListValue)
        and first.rest is None
        and second.rest is None
        and len(first.items) == len(second.items)
    ):
        pairs = zip(first.items, second.items, strict=True)
        return ListValue(tuple(_selected(tf, predicate, flag, *pair) for pair in pairs))
    known = tf.recorder.hand_written.selected(flag, first, second)
    return tf.op(predicate, first, second).replace(statistics=known)


def _join(tf: TensorFlow, flag: Flag, first: list[BatchNorm], second: list[BatchNorm]) -> None:
    """Makes one batch norm of those that the branches build for training and for inference."""
    for trains, infers, predicate in ((first, second, flag), (second, first, flag.negated)):
        training = [norm for norm in trains if norm.training.is_true]
        inference = [norm for norm in infers if norm.training.is_false]
        for index, norm in enumerate(inference):
            same_number = len(training) == len(inference)
            partner = training[index] if same_number else None
            partner = next((one for one in training if _shares(one, norm)), partner)
            if partner is not None:
                partner.training = norm.training = predicate
                partner.conditional = norm.conditional = bool(tf.interpreter.path)
                tf.recorder.hand_written.same[norm] = partner
        for norm in training:
            if norm.training.is_true:  # nothing in the other branch: it runs by the predicate
                kind = predicate.kind if predicate.is_tensor else FlagKind.TENSOR
                norm.training = dataclasses.replace(predicate, kind=kind)


def _shares(norm: BatchNorm, other: BatchNorm) -> bool:
    first = norm.reuses or norm
    second = other.reuses or other
    return first is second


def _select_networks(flag: Flag, first: Value, second: Value, start: int) -> None:
    """Of two networks that were built before, the predicate selects one output; both run."""
    for true, false in ((first, second), (second, first)):
        training = [n for n in symbol_of(true).batch_norms if n.training.is_true and n.time < start]
        inference = [
            n for n in symbol_of(false).batch_norms if n.training.is_false and n.time < start
        ]
        if training and inference:
            for norm in (*training, *inference):
                norm.selected_by = flag if true is first else flag.negated
