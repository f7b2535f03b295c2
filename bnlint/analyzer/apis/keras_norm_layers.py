"""Batch norm layers of the project: subclasses of Keras' own, and those that are written by hand.

A layer written by hand is followed once in each mode, apart from the program: if it normalizes by
the batch in training, keeps moving averages of that, and normalizes by them otherwise, it is a
batch norm whose mode is its `training`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bnlint.analyzer.apis.keras_batch_norm import KerasBatchNormalization
from bnlint.analyzer.apis.keras_calls import (
    keras_flag,
    outermost_call,
    passed_training,
    training_in,
)
from bnlint.analyzer.apis.keras_methods import default_training, own_method, training_argument
from bnlint.analyzer.apis.library import INSTANCE_ATTRIBUTES, INSTANTIATED, TensorFlow
from bnlint.analyzer.apis.registry import FUNCTIONS, any_method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.calls import call_function
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Const,
    Function,
    Instance,
    Super,
    Symbol,
    Value,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import BatchNorm
from bnlint.program.words import TRAINING_PARAMETER_NAMES

_LAYER = "keras.layers.BatchNormalization"
_CLASSES = frozenset(
    [_LAYER, "keras.layers.SyncBatchNormalization",
     "keras.layers.experimental.SyncBatchNormalization"]
)  # fmt: skip
_SLOT = "(batch norm)"  # of an instance: its KerasBatchNormalization, or None
_BUILT = "(built)"
# A layer without any of these takes no statistics of a batch.
_STATISTICS = frozenset(
    "moments mean var std reduce_mean reduce_variance reduce_std normalize_batch_in_training "
    "fused_batch_norm".split()
)
_AVERAGES = frozenset(
    "assign assign_sub assign_add assign_moving_average moving_average_update update add_update "
    "ExponentialMovingAverage".split()
)


# --- subclasses ----------------------------------------------------------------------------


def is_batch_normalization(instance: Instance) -> bool:
    """Its class descends from Keras' BatchNormalization."""
    return not _CLASSES.isdisjoint(instance.cls.external_bases())


@any_method("keras.layers.BatchNormalization.__init__")
def construct(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """`super().__init__(momentum=...)` of a subclass."""
    instance = receiver.instance if isinstance(receiver, Super) else None
    if not isinstance(instance, Instance) or not is_batch_normalization(instance):
        return None
    _make(tf, instance, call.arguments, call.node)
    return NONE


def _make(tf: TensorFlow, instance: Instance, args: Args, node: nodes.Call) -> None:
    made = FUNCTIONS[_LAYER]
    layer = made.handler(tf, made.bind(args, node))
    tf.interpreter.assign_slot(instance.slots, _SLOT, layer)


def _instantiated(tf: TensorFlow, instance: Instance, args: Args, node: nodes.Node) -> None:
    if not is_batch_normalization(instance) or not isinstance(node, nodes.Call):
        return
    layer = instance.slots.get(_SLOT)
    if layer is None:
        _make(tf, instance, args, node)
    elif isinstance(layer, KerasBatchNormalization):
        layer.made = tf.recorder.here(node)


@any_method("keras.layers.BatchNormalization.call")
def call_base(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """`super().call(x, training)`: a function call, to which Keras passes nothing by itself."""
    instance = receiver.instance if isinstance(receiver, Super) else None
    layer = instance.slots.get(_SLOT) if isinstance(instance, Instance) else None
    if not isinstance(layer, KerasBatchNormalization):
        return None
    training = call.training if call.training is not None else NONE
    literal = isinstance(training, Const) and training.value is False and not training.key
    return layer.apply(tf, call.inputs, keras_flag(training), call.node, frozen=literal)


def _trainable(tf: TensorFlow, instance: Instance) -> Value:
    layer = instance.slots.get(_SLOT)
    return layer.slots["trainable"] if isinstance(layer, KerasBatchNormalization) else UNKNOWN


INSTANTIATED.append(_instantiated)
INSTANCE_ATTRIBUTES["trainable"] = _trainable


# --- written by hand -----------------------------------------------------------------------


def build_once(tf: TensorFlow, layer: Instance, node: nodes.Call) -> None:
    """Keras calls `build` before the first call."""
    function = own_method(layer, "build")
    if function is None or _BUILT in layer.slots:
        return
    tf.interpreter.assign_slot(layer.slots, _BUILT, True)
    call_function(tf.interpreter, function, Args([Symbol(incomplete=True)]), node)


def norm_layer(
    tf: TensorFlow, layer: Instance, function: Function | None, node: nodes.Call
) -> KerasBatchNormalization | None:
    """The layer as a batch norm, if Keras or the project's own `call` makes it one.

    A subclass with a `call` of its own is none: what that passes on decides.
    """
    if is_batch_normalization(layer):
        return layer.slots.get(_SLOT) if function is None else None
    if _SLOT not in layer.slots:
        mode = _mode(function) if function is not None and _may_be_one(layer) else ""
        is_one = bool(mode) and function is not None and _is_one(tf, function, mode, node)
        made = KerasBatchNormalization(_place(tf, layer, node), Const(True), None)
        tf.interpreter.assign_slot(layer.slots, _SLOT, made if is_one else None)
        if is_one:
            tf.recorder.keras.layers[made.number] = made
    known: KerasBatchNormalization | None = layer.slots[_SLOT]
    return known


def _mode(function: Function) -> str:
    """The parameter of `call` that says in which mode it runs; "" without one."""
    names = [param.name for param in function.definition.params]
    if "training" in names:
        return "training"
    return next((name for name in names if name in TRAINING_PARAMETER_NAMES), "")


def _may_be_one(layer: Instance) -> bool:
    reads = [
        value.definition.reads
        for cls in layer.cls.lineage()
        for value in cls.slots.values()
        if isinstance(value, Function)
    ]
    return all(
        any(not words.isdisjoint(one) for one in reads) for words in (_STATISTICS, _AVERAGES)
    )


def _is_one(tf: TensorFlow, function: Function, mode: str, node: nodes.Call) -> bool:
    with _apart(tf):
        trained = _built(tf, function, mode, True, node)
        averages = tf.recorder.hand_written.averages.values()
        updated = any(norm in owners for norm in trained for owners in averages)
        inferred = _built(tf, function, mode, False, node)
    return updated and bool(inferred) and all(norm.reuses is not None for norm in inferred)


@contextmanager
def _apart(tf: TensorFlow) -> Iterator[None]:
    """What is followed meanwhile is no part of the program."""
    recorder, program = tf.recorder, tf.program
    graph, assigns = recorder.graph, program.assigns_variables
    recorder.graph, recorder.hand_written.probing = recorder.new_graph(), True
    recorder.keras.applied.append([])
    journal = tf.interpreter.journals.open()
    try:
        yield
    finally:
        journal.undo()
        tf.interpreter.journals.close()
        recorder.keras.applied.pop()
        recorder.graph, recorder.hand_written.probing = graph, False
        program.assigns_variables = assigns


def _built(
    tf: TensorFlow, function: Function, mode: str, training: bool, node: nodes.Call
) -> list[BatchNorm]:
    """The batch norms that `call` builds by hand in one mode."""
    start = len(tf.program.batch_norms)
    args = Args([Symbol()], {mode: Const(training)})
    call_function(tf.interpreter, function, args, node)
    built = tf.program.batch_norms[start:]
    del tf.program.batch_norms[start:]
    return [norm for norm in built if norm.api == "custom"]


def _place(tf: TensorFlow, layer: Instance, node: nodes.Call) -> Location:
    made = layer.slots.get("__made__")
    return made if isinstance(made, Location) else tf.recorder.here(node)


def apply_norm_layer(
    tf: TensorFlow, norm: KerasBatchNormalization, function: Function | None, args: Args,
    node: nodes.Call,
) -> Value:  # fmt: skip
    """Calls the layer; Keras passes on `training`, but no flag of another name."""
    mode = _mode(function) if function is not None else "training"
    passed = passed_training(training_argument(function, args, mode), args.rest)
    default = default_training(tf, function, mode) if function is not None else None
    with outermost_call(tf, norm, passed, args, node):
        own = passed if passed is not None else default if default is not None else UNKNOWN
        training = training_in(tf, passed, default) if mode == "training" else own
        inputs = args.get(0, "inputs", "x")
        output = norm.apply(tf, inputs, keras_flag(training), node)
        return tf.recorder.keras.activations.made(output, norm.number, "BatchNormalization", inputs)
