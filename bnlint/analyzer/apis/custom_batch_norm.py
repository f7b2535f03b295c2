"""Variables, moving averages and tf.nn's functions: what batch norms are written by hand with."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.keras_copies import record_copy
from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.own_optimizers import step
from bnlint.analyzer.apis.registry import Kind, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    TENSOR,
    Choice,
    Const,
    Function,
    Instance,
    ListValue,
    Statistics,
    Symbol,
    Value,
    constant,
    leaves,
)
from bnlint.analyzer.syntax import nodes
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


@any_method("keras.layers.Layer.add_weight", "keras.layers.Layer.add_variable")
def add_weight(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """`self.add_weight(...)` in a Keras layer of the project."""
    if not isinstance(receiver, Instance):
        return None
    return _variable(tf, call, f"variable{tf.interpreter.tick()}")


def _variable(tf: TensorFlow, call: Call, key: str) -> Symbol:
    flag = Flag(FlagKind.TENSOR, True, tf.recorder.here(call.node), key)
    trainable = call.get("trainable")
    trains = trainable is None or constant(trainable, bool) is True
    known = None if trains else Statistics(moving=frozenset([key]))
    if known is not None and _begins_constant(call.node):
        tf.recorder.hand_written.constant.add(key)
    return TENSOR.replace(key=key, flag=flag, made=flag.location, statistics=known)


def _begins_constant(node: nodes.Call) -> bool:
    """A variable whose first value is zeros, ones or a number, as far as its call says."""
    for part in nodes.nodes_in([argument.value for argument in node.args]):
        if isinstance(part, nodes.Call):
            name = nodes.dotted(part.func).rpartition(".")[2]
            given = part.args[0].value if part.args else None
            number = isinstance(given, nodes.Const) and not isinstance(given.value, str)
            if name in _PLAIN or (name in _OF_A_NUMBER and number):
                return True
    return False


_PLAIN = ("zeros", "ones", "zeros_initializer", "ones_initializer")
_OF_A_NUMBER = ("constant_initializer", "constant", "Constant")


@api("tf.assign", "tf.assign_add", "tf.assign_sub")
def assign(tf: TensorFlow, call: Call) -> Value:
    return _assigned(tf, call.ref, call.value, call)


@api("keras.backend.update")
def update(tf: TensorFlow, call: Call) -> Value:
    return _assigned(tf, call.x, call.new_x, call)


@api("moving_averages.assign_moving_average")
def assign_moving_average(tf: TensorFlow, call: Call) -> Value:
    return _averaged(tf, call, call.variable, call.decay)


@api("keras.backend.moving_average_update")
def moving_average_update(tf: TensorFlow, call: Call) -> Value:
    return _averaged(tf, call, call.x, call.momentum)


def _averaged(tf: TensorFlow, call: Call, target: Value | None, decay: Value | None) -> Value:
    written = tf.recorder.hand_written
    known = written.statistics_of(call.value)
    if known is not None and not written.is_switched(tf.recorder, decay, known):
        written.unswitched.update(id(norm) for norm in known.batch)
    return _assigned(tf, target, call.value, call)


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
    trains = step(tf, value, call)
    if trains is not None:
        return trains
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


@api("tf.nn.moments", "keras.ops.moments", makes_batch_norm=True)
def moments(tf: TensorFlow, call: Call) -> Value:
    """Mean and variance over the batch."""
    part = _statistics(tf, call, call.x, call.axes)
    return ListValue((part, part))


@api("tf.reduce_mean", "tf.math.reduce_mean", "tf.math.reduce_variance", "tf.math.reduce_std",
     "tf.reduce_variance", "tf.reduce_std",
     signature="input_tensor, axis=None, keepdims=None, name=None, *args, **kwargs")  # fmt: skip
def reduced(tf: TensorFlow, call: Call) -> Value:
    """Statistics of a batch in a layer that is looked at: elsewhere most are of losses."""
    return _reduced(tf, call, call.input_tensor)


@api("keras.backend.mean", "keras.backend.var", "keras.backend.std",
     "keras.ops.mean", "keras.ops.var", "keras.ops.std")  # fmt: skip
def reduced_by_keras(tf: TensorFlow, call: Call) -> Value:
    return _reduced(tf, call, call.x)


def _reduced(tf: TensorFlow, call: Call, inputs: Value | None) -> Value:
    if not tf.recorder.hand_written.probing:
        return tf.op(*call.values())
    part = _statistics(tf, call, inputs, call.axis)
    deviates = call.api.endswith("std") and part.statistics is not None
    if deviates and part.statistics is not None:
        return part.replace(statistics=Statistics(part.statistics.batch, role="deviation"))
    return part


def _statistics(tf: TensorFlow, call: Call, inputs: Value | None, axes: Value | None) -> Symbol:
    """Statistics over the batch; those of single examples or of a weight are no batch's."""
    result = tf.op(inputs)
    of_weights = isinstance(inputs, Symbol) and inputs.key.startswith("variable")
    if not isinstance(inputs, Symbol) or of_weights or not _over_batch(axes):
        return result
    norm = tf.recorder.hand_written.begin(tf.recorder, inputs, tf.recorder.here(call.node))
    return result.replace(statistics=Statistics(frozenset([norm])))


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


@api("tf.nn.batch_normalization", "keras.ops.batch_normalization", makes_batch_norm=True)
def batch_normalization(tf: TensorFlow, call: Call) -> Value:
    return _normalized(tf, call, call.mean, call.variance)


@api("keras.backend.batch_normalization", makes_batch_norm=True)
def backend_batch_normalization(tf: TensorFlow, call: Call) -> Value:
    return _normalized(tf, call, call.mean, call.var)


@api("keras.backend.normalize_batch_in_training", makes_batch_norm=True)
def normalize_batch_in_training(tf: TensorFlow, call: Call) -> Value:
    """(the output, mean and variance of the batch)"""
    part = _statistics(tf, call, call.x, call.reduction_axes)
    return ListValue((_normalized(tf, call, part, part), part, part))


@api("keras.backend.in_train_phase")
def in_train_phase(tf: TensorFlow, call: Call) -> Value:
    """`x` in training, else `alt`: tensors, or functions that make them."""
    first, second = (
        tf.call_value(value, Args(), call.node) if isinstance(value, Function) else value
        for value in (call.x, call.alt)
    )
    flag = flag_of(call.training)
    if flag.is_true or flag.is_false:
        return (first if flag.is_true else second) or tf.op(*call.values())
    known = tf.recorder.hand_written.selected(flag, first, second)
    return tf.op(first, second).replace(statistics=known)


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


api("tf.sqrt", "tf.math.sqrt", "keras.backend.sqrt", "keras.ops.sqrt")(_root("deviation"))
api("tf.rsqrt", "tf.math.rsqrt", "keras.ops.rsqrt")(_root("inverse"))


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
