"""Graphs, variable scopes, tensors that begin a graph, loops."""

from __future__ import annotations

import dataclasses

from bnlint.analyzer.apis.library import TensorFlow, scope_name, text_of
from bnlint.analyzer.apis.registry import Kind, Leave, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    TENSOR,
    UNKNOWN,
    Const,
    Function,
    Method,
    Object,
    Symbol,
    Value,
    constant,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import Flag, FlagKind

# --- graphs --------------------------------------------------------------------------------


class Graph(Kind):
    """A tf.Graph, known by its number."""

    def __init__(self, graph: int) -> None:
        super().__init__()
        self.graph = graph

    @method("tf.Graph.as_default")
    def as_default(self, tf: TensorFlow, call: Call) -> Value:
        return GraphContext(self)


class GraphContext(Kind):
    """`graph.as_default()`."""

    def __init__(self, owner: Graph) -> None:
        super().__init__()
        self.owner = owner

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        return self.owner, make_default(tf, self.owner.graph)


def make_default(tf: TensorFlow, graph: int) -> Leave:
    """Makes a graph the default one; the result puts the outer one back."""
    outer, back = tf.recorder.graph, tf.recorder.scopes.begin_anew()
    tf.recorder.graph = graph

    def leave() -> None:
        tf.recorder.graph = outer
        back()

    return leave


@api("tf.Graph")
def graph(tf: TensorFlow, call: Call) -> Value:
    return Graph(tf.recorder.new_graph())


@api("tf.get_default_graph")
def default_graph(tf: TensorFlow, call: Call) -> Value:
    return Graph(tf.recorder.graph)


@any_method("tf.Graph.get_tensor_by_name")
def get_tensor_by_name(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return tf.recorder.tensors.by_name(constant(call.name, str))


@api("tf.reset_default_graph")
def reset_graph(tf: TensorFlow, call: Call) -> Value:
    tf.recorder.graph = tf.recorder.new_graph()
    return NONE


# --- variable scopes -----------------------------------------------------------------------


class VariableScope(Kind):
    """A scope that was entered, by its path and by what names of ops in it begin with; None when a
    name on the way is not known."""

    def __init__(self, path: str | None, names: str | None) -> None:
        super().__init__()
        self.path = path
        self.names = names

    @method("tf.VariableScope.reuse_variables")
    def reuse_variables(self, tf: TensorFlow, call: Call) -> Value:
        tf.recorder.scopes.open[-1].reuse = True
        return NONE

    def attribute(self, tf: TensorFlow, name: str) -> Value | None:
        if name == "name":
            return Const(self.path) if self.path else UNKNOWN
        if name == "original_name_scope":
            return Const(f"{self.names}/") if self.names else UNKNOWN
        return None


class VariableScopeContext(Kind):
    """What tf.variable_scope(...) gives to `with`."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        scopes = tf.recorder.scopes
        path = self._path(tf)
        leave = scopes.variable_scope(path, reuse_flag(self.call.reuse, scopes.reuse), self._name())
        return VariableScope(path, scopes.names[-1]), leave

    def _name(self) -> str | None:
        """The name scope that it opens: of a scope that was entered before, its last name."""
        given = self.call.name_or_scope
        if isinstance(given, VariableScope):
            return given.path.rpartition("/")[2] if given.path is not None else None
        name, unknown = scope_name(given)
        if name is None and not unknown:
            name, unknown = scope_name(self.call.default_name)
        return None if unknown else name

    def _path(self, tf: TensorFlow) -> str | None:
        call = self.call
        if isinstance(call.name_or_scope, VariableScope):
            return call.name_or_scope.path
        name, unknown = scope_name(call.name_or_scope)
        default, default_unknown = scope_name(call.default_name)
        unknown = unknown or (name is None and default is None) or default_unknown
        # A custom getter decides which variables there are (averages, shared ones).
        unknown = unknown or call.given("custom_getter")
        return tf.recorder.scopes.full_path(name, default or "", unknown)


@api("tf.variable_scope", "tf.variable_op_scope")
def variable_scope(tf: TensorFlow, call: Call) -> Value:
    return VariableScopeContext(call)


@api("tf.get_variable_scope")
def get_variable_scope(tf: TensorFlow, call: Call) -> Value:
    return VariableScope(tf.recorder.scopes.path, tf.recorder.scopes.names[-1])


class NameScope(Kind):
    """What tf.name_scope(...) gives to `with`."""

    def __init__(self, name: str | None, unknown: bool) -> None:
        super().__init__()
        self.name = name
        self.unknown = unknown

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        leave = tf.recorder.scopes.name_scope(self.name, self.unknown)
        full = tf.recorder.scopes.names[-1]
        return (UNKNOWN if full is None else Const(f"{full}/" if full else "")), leave


@api("tf.name_scope", "tf.op_scope", signature="name, default_name=None, values=None")
def name_scope(tf: TensorFlow, call: Call) -> Value:
    name, unknown = scope_name(call.name)
    if name is None and not unknown:
        name, unknown = scope_name(call.default_name)
    return NameScope(name, unknown)


@any_method("tf.Graph.name_scope", signature="name")
def graph_name_scope(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return NameScope(*scope_name(call.name))


def reuse_flag(value: Value | None, outer: bool | None) -> bool | None:
    """True, False, or None for AUTO_REUSE and what is not known."""
    if value is None or (isinstance(value, Const) and value.value is None):
        return outer
    if isinstance(value, Const):
        return bool(value.value) or outer
    return None


class Template(Kind):
    """What tf.make_template gives: calls its function in its scope."""

    def __init__(self, made: Call) -> None:
        super().__init__()
        self.made = made

    @method("tf.make_template", called="__call__", signature="*args, **kwargs")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        function = self.made.func_
        if function is None:
            return UNKNOWN
        name, unknown = scope_name(self.made.name_)
        path = tf.recorder.scopes.full_path(name, "template", unknown)
        with tf.recorder.scopes.opened(path, None, name):
            merged = Args(
                [*self.made.more, *call.arguments.positional],
                {**self.made.extra, **call.arguments.keywords},
            )
            return tf.call_value(function, merged, call.node)


@api("tf.make_template")
def make_template(tf: TensorFlow, call: Call) -> Value:
    return Template(call) if len(call.arguments.positional) >= 2 else UNKNOWN


# --- placeholders and constants --------------------------------------------------------------


@api("tf.placeholder", "keras.backend.placeholder")
def placeholder(tf: TensorFlow, call: Call) -> Value:
    name = constant(call.name, str)
    flag = tf.recorder.tensors.placeholder(FlagKind.PLACEHOLDER, name, call.node)
    return TENSOR.replace(key=flag.key, flag=flag, made=flag.location)


@api("tf.placeholder_with_default")
def placeholder_with_default(tf: TensorFlow, call: Call) -> Value:
    kind = FlagKind.PLACEHOLDER_WITH_DEFAULT
    flag = tf.recorder.tensors.placeholder(kind, constant(call.name, str), call.node)
    default = call.input
    known = constant(default, bool)
    if known is None and isinstance(default, Symbol) and default.flag is not None:
        known = {FlagKind.TRUE: True, FlagKind.FALSE: False}.get(default.flag.kind)
    flag = dataclasses.replace(flag, default=known)
    return symbol_of(default).replace(key=flag.key, flag=flag, made=flag.location)


@api("tf.constant")
def tensor_constant(tf: TensorFlow, call: Call) -> Value:
    known = constant(call.value, bool)
    if known is None:
        return tf.op(*call.values())
    kind = FlagKind.TRUE if known else FlagKind.FALSE
    return TENSOR.replace(flag=Flag(kind, True, tf.recorder.here(call.node)))


@api("tf.logical_and", "tf.math.logical_and", "keras.ops.logical_and",
     signature="x, y, name=None")  # fmt: skip
def logical_and(tf: TensorFlow, call: Call) -> Value:
    """`tf.logical_and(training, self.trainable)`: the flag that the other one leaves."""
    flags = flag_of(call.x), flag_of(call.y)
    for flag, other in (flags, flags[::-1]):
        if flag.is_false or other.is_true:
            return TENSOR.replace(flag=flag, key=flag.key)
    return tf.op(*call.values())


@api("tf.convert_to_tensor")
def convert_to_tensor(tf: TensorFlow, call: Call) -> Value:
    """A tensor stays what it is; a bool is what its caller wrote."""
    if isinstance(call.value, Symbol):
        return call.value
    if constant(call.value, bool) is None:
        return tf.op(*call.values())
    return TENSOR.replace(flag=flag_of(call.value))


@api("tf.stop_gradient", "keras.backend.stop_gradient", "keras.ops.stop_gradient")
def stop_gradient(tf: TensorFlow, call: Call) -> Value:
    tf.program.stops_gradients = True
    return tf.op(*call.values())


# --- functions that are called back --------------------------------------------------------


@api("tf.while_loop", "tf.map_fn", "tf.scan")
def loops(tf: TensorFlow, call: Call) -> Value:
    results: list[Value] = []
    given = call.arguments.positional
    for value in given[:2]:
        if isinstance(value, Function):
            inputs = [symbol_of(*given)] * len(value.definition.params)
            results.append(tf.call_value(value, Args(list(inputs)), call.node))
    return tf.op(*call.values(), *results)


@any_method(
    "tf.data.Dataset.map", "tf.data.Dataset.flat_map", "tf.data.Dataset.interleave",
    "tf.data.Dataset.filter", "tf.data.Dataset.apply", "tf.data.Dataset.batch",
    "tf.data.Dataset.shuffle", "tf.data.Dataset.repeat",
)  # fmt: skip
def dataset_method(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """tf.data pipelines carry no batch norm."""
    if isinstance(receiver, Symbol | Object | Method) and "dataset" in text_of(call.node):
        return Symbol(incomplete=True)
    return None
