"""Variables, moving averages and tf.nn's functions: what batch norms are written by hand with."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.keras_copies import record_copy
from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import Kind, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.values import (
    TENSOR,
    Choice,
    Const,
    ListValue,
    Statistics,
    Symbol,
    Value,
    constant,
    leaves,
)
from bnlint.program.events import BatchNorm, Flag, FlagKind

# --- variables and their averages ------------------------------------------------------------


@api("tf.Variable", "tf.get_local_variable")
def variable(tf: TensorFlow, call: Call) -> Value:
    return _variable(tf, call, f"variable{tf.interpreter.tick()}")


@api("tf.get_variable")
def get_variable(tf: TensorFlow, call: Call) -> Value:
    """One of a name in a known scope is the same variable wherever it is asked for."""
    name, path = constant(call.name, str), tf.recorder.scopes.path
    if name is None or path is None:
        return variable(tf, call)
    return _variable(tf, call, f"variable{tf.recorder.graph}:{path}/{name}")


def _variable(tf: TensorFlow, call: Call, key: str) -> Symbol:
    flag = Flag(FlagKind.TENSOR, True, tf.recorder.here(call.node), key)
    trains = call.trainable is None or constant(call.trainable, bool) is True
    known = None if trains else Statistics(moving=frozenset([key]))
    return TENSOR.replace(key=key, flag=flag, made=flag.location, statistics=known)


@api("tf.assign", "tf.assign_add", "tf.assign_sub")
def assign(tf: TensorFlow, call: Call) -> Value:
    return _assigned(tf, call.ref, call.value, call)


@api("moving_averages.assign_moving_average")
def assign_moving_average(tf: TensorFlow, call: Call) -> Value:
    written = tf.recorder.hand_written
    known = written.statistics_of(call.value)
    if known is not None and not written.is_switched(tf.recorder, call.decay, known):
        written.unswitched.update(id(norm) for norm in known.batch)
    return _assigned(tf, call.variable, call.value, call)


@any_method("tf.Variable.assign", "tf.Variable.assign_add", "tf.Variable.assign_sub")
def assign_method(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    if not isinstance(receiver, Symbol):
        return None
    return _assigned(tf, receiver, call.first, call)


@any_method("tf.Variable.load")
def load(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    if isinstance(receiver, Symbol):
        tf.program.assigns_variables = True
    return None


def _assigned(tf: TensorFlow, target: Value | None, value: Value | None, call: Call) -> Symbol:
    """An update of a moving average, if `value` comes from the moments of a batch."""
    result = tf.op(target, *call.values())
    record_copy(tf, target, value, call.node)
    known = tf.recorder.hand_written.statistics_of(value)
    if known is None or not known.batch or not isinstance(target, Symbol):
        tf.program.assigns_variables = True
        return result
    written = tf.recorder.hand_written
    written.average_into(target.key, known.batch)
    if target.statistics is None:
        written.trainable.add(target.key)
    moving = frozenset([target.key])
    return result.replace(
        runs=result.runs | known.batch, statistics=Statistics(known.batch, moving)
    )


class MovingAverage(Kind):
    """A tf.train.ExponentialMovingAverage."""

    def __init__(self, decay: Value | None) -> None:
        super().__init__()
        self.decay = decay

    @method("tf.train.ExponentialMovingAverage.apply", signature="var_list=None")
    def apply(self, tf: TensorFlow, call: Call) -> Value:
        result = tf.op(call.var_list)
        runs: frozenset[BatchNorm] = frozenset()
        written = tf.recorder.hand_written
        for item in leaves((call.var_list,)):
            batch = self._batch(tf, item)
            known = written.statistics_of(item)
            if known is not None and not written.is_switched(tf.recorder, self.decay, known):
                written.unswitched.update(id(norm) for norm in known.batch)
            written.average_into(self._shadow(tf, item, batch), batch)
            runs |= batch
        return result.replace(runs=result.runs | runs)

    @method("tf.train.ExponentialMovingAverage.average", signature="var")
    def average(self, tf: TensorFlow, call: Call) -> Value:
        """The shadow of a variable or tensor."""
        names = set()
        for item in leaves((call.var,)):
            batch = self._batch(tf, item)
            name = self._shadow(tf, item, batch)
            names.add(name)
            tf.recorder.hand_written.average_into(name, batch)
        return TENSOR.replace(statistics=Statistics(moving=frozenset(names)))

    def _batch(self, tf: TensorFlow, item: Symbol) -> frozenset[BatchNorm]:
        known = tf.recorder.hand_written.statistics_of(item)
        if known is None:
            return frozenset()
        owners = (tf.recorder.hand_written.averages.get(name, ()) for name in known.moving)
        return known.batch.union(*owners)

    def _shadow(self, tf: TensorFlow, item: Symbol, batch: frozenset[BatchNorm]) -> str:
        begun = tf.recorder.hand_written.begun
        first = min((begun.index(norm) for norm in batch), default=-1)
        return f"{item.key or first}@average{self.number}"


@api("tf.train.ExponentialMovingAverage", "moving_averages.ExponentialMovingAverage")
def exponential_moving_average(tf: TensorFlow, call: Call) -> Value:
    return MovingAverage(call.decay)


# --- moments and normalization ---------------------------------------------------------------


@api("tf.nn.moments", makes_batch_norm=True)
def moments(tf: TensorFlow, call: Call) -> Value:
    """Mean and variance over the batch; those of single examples or of a weight are no batch's."""
    result = tf.op(call.x)
    inputs = call.x
    of_weights = isinstance(inputs, Symbol) and inputs.key.startswith("variable")
    if not isinstance(inputs, Symbol) or of_weights or not _over_batch(call.axes):
        return ListValue((result, result))
    norm = tf.recorder.hand_written.begin(tf.recorder, inputs, tf.recorder.here(call.node))
    part = result.replace(statistics=Statistics(frozenset([norm])))
    return ListValue((part, part))


def _over_batch(axes: Value | None) -> bool | None:
    """The axes hold the first one, or may."""
    if isinstance(axes, Choice):
        return any(_over_batch(option) for option in axes.options)
    if isinstance(axes, Const):
        axes = ListValue((axes,))
    if not isinstance(axes, ListValue) or axes.rest is not None:
        return True
    numbers = [constant(item, int) for item in axes.items]
    return 0 in numbers or None in numbers


@api("tf.nn.batch_normalization", makes_batch_norm=True)
def batch_normalization(tf: TensorFlow, call: Call) -> Value:
    return _normalized(tf, call, call.mean, call.variance)


@api("tf.nn.batch_norm_with_global_normalization", makes_batch_norm=True)
def global_normalization(tf: TensorFlow, call: Call) -> Value:
    mean, variance = call.mean or call.get("m"), call.variance or call.get("v")
    return _normalized(tf, call, mean, variance)


def _normalized(tf: TensorFlow, call: Call, mean: Value | None, variance: Value | None) -> Symbol:
    known = tf.recorder.hand_written.statistics_of(mean, variance)
    here = tf.recorder.here(call.node)
    return tf.recorder.hand_written.normalized(tf.recorder, here, tf.op(*call.values()), known)


@api("tf.nn.fused_batch_norm", makes_batch_norm=True)
def fused_batch_norm(tf: TensorFlow, call: Call) -> Value:
    """(output, mean and variance of the batch); the latter two as given when it does not train."""
    written, here, result = tf.recorder.hand_written, tf.recorder.here(call.node), tf.op(call.x)
    flag = flag_of(call.is_training if call.is_training is not None else Const(True))
    if flag.is_false or not isinstance(call.x, Symbol):
        known = written.statistics_of(call.mean, call.variance)
        output = written.normalized(tf.recorder, here, tf.op(*call.values()), known)
        return ListValue((output, TENSOR, TENSOR))
    norm = written.begin(tf.recorder, call.x, here)
    known = Statistics(frozenset([norm]))
    passed = flag if call.is_training is not None else None
    output = written.normalized(tf.recorder, here, tf.op(*call.values()), known, passed)
    part = result.replace(statistics=known)
    return ListValue((output, part, part))


# --- ops on statistics -----------------------------------------------------------------------


@api("tf.cast", "tf.to_float", "tf.expand_dims", "tf.tile", "tf.broadcast_to", "tf.maximum",
     "tf.nn.relu", "tf.abs")  # fmt: skip
def same_statistics(tf: TensorFlow, call: Call) -> Value:
    """The statistics in another type or shape; a flag cast to bool is still the flag."""
    result = tf.recorder.hand_written.keep(tf.op(*call.values()), call.first)
    value = call.first
    if isinstance(value, Symbol) and value.flag is not None and call.api == "tensorflow.cast":
        return result.replace(key=value.key, flag=value.flag, made=value.made)
    return result


def _root(role: str) -> Callable[[TensorFlow, Call], Value]:
    def handler(tf: TensorFlow, call: Call) -> Value:
        known = tf.recorder.hand_written.statistics_of(call.first)
        result = tf.op(*call.values())
        if known is None:
            return result
        known = Statistics(known.batch, known.moving, known.switch, role)
        return result.replace(statistics=known)

    return handler


api("tf.sqrt", "tf.math.sqrt")(_root("deviation"))
api("tf.rsqrt", "tf.math.rsqrt")(_root("inverse"))


def _operator(op: str) -> Callable[[TensorFlow, Call], Value]:
    def handler(tf: TensorFlow, call: Call) -> Value:
        left, right = call.x, call.y
        if left is None or right is None:
            return tf.op(*call.values())
        return tf.convert(left, right, op)

    return handler


api("tf.add", "tf.math.add")(_operator("+"))
api("tf.subtract", "tf.sub", "tf.math.subtract")(_operator("-"))
api("tf.multiply", "tf.mul", "tf.math.multiply")(_operator("*"))
api("tf.divide", "tf.truediv", "tf.div", "tf.realdiv", "tf.math.divide", "tf.math.truediv")(
    _operator("/")
)
