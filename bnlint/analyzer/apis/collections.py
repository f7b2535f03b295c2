"""Graph collections, control dependencies, and ops that bundle others."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import Kind, Leave, any_method, api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.apis.variables import variables
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Const,
    ListValue,
    Symbol,
    Value,
    constant,
    list_of,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import UPDATE_OPS

# --- collections ---------------------------------------------------------------------------


def _read_collection(tf: TensorFlow, key: Value | None, scope: Value | None, call: Call) -> Value:
    name = constant(key, str)
    text, unknown = scope_name(scope)
    if name is None:
        return UNKNOWN
    if name in ("trainable_variables", "variables", "model_variables"):
        return variables(name, text)
    held = tf.recorder.collections.read(call.node, name, None if unknown else text or "")
    return ListValue(rest=held)  # programs append their own ops to it


def read_by_library(tf: TensorFlow, name: str, node: nodes.Call) -> Symbol:
    """A collection that TensorFlow or slim reads by itself: no read of the user's."""
    held = tf.recorder.collections.read(node, name, "")
    tf.program.collection_reads.pop()
    return held.replace(reads=frozenset())


@api("tf.get_collection", "tf.get_collection_ref")
def get_collection(tf: TensorFlow, call: Call) -> Value:
    return _read_collection(tf, call.key, call.scope, call)


@any_method("tf.Graph.get_collection", "tf.Graph.get_collection_ref")
def graph_get_collection(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return _read_collection(tf, call.name, call.get("scope"), call)


@api("tf.contrib.slim.get_update_ops", signature="scope=None")
def get_update_ops(tf: TensorFlow, call: Call) -> Value:
    return _read_collection(tf, Const(UPDATE_OPS), call.scope, call)


def _add(tf: TensorFlow, names: Value | None, value: Value | None) -> Value:
    for item in list_of(names):
        name = constant(item, str)
        if name is not None and value is not None:
            tf.recorder.collections.add(name, symbol_of(value), tf.recorder.scopes.names[-1])
    return NONE


@api("tf.add_to_collection", "tf.add_to_collections")
def add_to_collection(tf: TensorFlow, call: Call) -> Value:
    return _add(tf, call.first, call.value)


@any_method("tf.Graph.add_to_collection", "tf.Graph.add_to_collections")
def graph_add_to_collection(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return _add(tf, call.first, call.value)


# --- control dependencies ------------------------------------------------------------------


class ControlDependencies(Kind):
    """What tf.control_dependencies(...) gives to `with`."""

    def __init__(self, inputs: Value) -> None:
        super().__init__()
        self.inputs = inputs

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        outer = tf.recorder.controls.blocks
        if isinstance(self.inputs, Const) and self.inputs.value is None:
            tf.recorder.controls.blocks = []  # control_dependencies(None) clears what encloses it
        else:
            tf.recorder.controls.blocks = list(outer)
            tf.recorder.controls.open(node, self.inputs)

        def leave() -> None:
            tf.recorder.controls.blocks = outer

        return NONE, leave


@api("tf.control_dependencies")
def control_dependencies(tf: TensorFlow, call: Call) -> Value:
    return ControlDependencies(call.control_inputs or NONE)


@any_method("tf.Graph.control_dependencies")
def graph_control_dependencies(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return control_dependencies(tf, call)


# --- ops of ops ----------------------------------------------------------------------------


@api("tf.group", "tf.tuple")
def group(tf: TensorFlow, call: Call) -> Value:
    values = [value for key, value in call.arguments.keywords.items() if key != "name"]
    symbol = tf.op(*call.arguments.positional, *values, call.rest)
    if symbol.train_ops:
        tf.recorder.controls.bundles.append(symbol)
    return symbol.replace(batch_norms=symbol.batch_norms)


@api("tf.python.ops.control_flow_ops.with_dependencies", "tf.with_dependencies",
     "tf.contrib.framework.with_dependencies")  # fmt: skip
def with_dependencies(tf: TensorFlow, call: Call) -> Value:
    symbol = tf.op(*call.values())
    if symbol.train_ops:
        tf.recorder.controls.bundles.append(symbol)
    return pass_through(call.output_tensor, symbol)


def pass_through(value: Value | None, result: Symbol) -> Symbol:
    """`result` forwards `value`: what it waits for besides is not on the way of gradients."""
    inputs = symbol_of(value)
    known = value.after if isinstance(value, Symbol) else frozenset()
    return result.replace(after=known | (result.runs - inputs.runs))


@api("tf.identity", "tf.squeeze", "tf.reshape", "tf.contrib.slim.flatten")
def keep_range(tf: TensorFlow, call: Call) -> Value:
    value = call.first
    symbol = tf.op(value)
    if isinstance(value, Symbol):
        symbol = symbol.replace(linear=value.linear, made=value.made)
    symbol = tf.recorder.hand_written.keep(symbol, value)
    return pass_through(value, symbol)


@api("tf.no_op")
def no_op(tf: TensorFlow, call: Call) -> Value:
    return tf.op()
