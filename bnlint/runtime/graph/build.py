"""From tf.Graph, GraphDef and MetaGraphDef to the node table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bnlint.runtime.graph.table import (
    ASSIGN_OPS,
    KEPT_ATTRS,
    PORTS,
    Edge,
    Function,
    Graph,
    GraphError,
    Node,
    Signature,
)

_INIT_KEYS = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
_VARIABLE_COLLECTIONS = frozenset(
    {
        *("variables", "trainable_variables", "local_variables", "model_variables"),
        *("moving_average_variables", "global_step"),
    }
)


def from_graph(graph: Any) -> Graph:
    """The node table of a `tf.Graph`, with its collections of ops, tensors and variables."""
    table = from_graph_def(graph.as_graph_def())
    for name in graph.get_all_collection_keys():
        members = [getattr(one, "name", None) for one in graph.get_collection(name)]
        names = [_op_name(member) for member in members if isinstance(member, str)]
        if isinstance(name, str) and names:
            table.collections[name] = names
    return table


def from_meta_graph(meta_graph: Any) -> Graph:
    """The node table of a MetaGraphDef, with its collections and signatures."""
    table = from_graph_def(meta_graph.graph_def)
    for name, collection in meta_graph.collection_def.items():
        table.collections[name] = _members(name, collection)
    tags = set(meta_graph.meta_info_def.tags)
    for_training = "train" in tags and "serve" not in tags
    table.signatures = [
        _signature(key, signature, for_training)
        for key, signature in sorted(meta_graph.signature_def.items())
    ]
    return table


def from_graph_def(graph_def: Any) -> Graph:
    """The node table of a GraphDef and of the functions in its library.

    Raises:
      GraphError: a name is used twice, or an edge or a call names something that is not there.
    """
    table = Graph()
    library = graph_def.library.function
    returned = {
        one.signature.name: [arg.name for arg in one.signature.output_arg] for one in library
    }
    _add_nodes(table, "", graph_def.node, returned)
    for one in library:
        _declare(table, one, returned)
    _connect(table, "", graph_def.node, returned)
    for one in library:
        _connect(table, one.signature.name, one.node_def, returned)
        _finish(table, one, returned)
    for number, node in enumerate(table.nodes):
        for _, name in node.calls:
            table.functions[name].callers.append(number)
    return table


def _op_name(name: str) -> str:
    return name.removeprefix("^").split(":")[0]


def _add_nodes(
    table: Graph, function: str, nodes: Iterable[Any], functions: Mapping[str, Any]
) -> None:
    for proto in nodes:
        if not proto.name or not proto.op:
            raise GraphError("a node has no name or no op")
        if (function, proto.name) in table.index:
            raise GraphError(f"two nodes are named {proto.name!r}")
        table.index[function, proto.name] = len(table.nodes)
        node = Node(proto.name, proto.op, function)
        _read_attrs(node, proto, functions)
        table.nodes.append(node)


def _read_attrs(node: Node, proto: Any, functions: Mapping[str, Any]) -> None:
    calls = [("", node.op)] if node.op in functions else []
    for key, value in proto.attr.items():
        kind = value.WhichOneof("value")
        if kind == "func":
            calls.append((key, value.func.name))
        elif kind == "list" and value.list.func:
            calls += [(key, one.name) for one in value.list.func]
        elif kind == "tensor" and key == "value":
            node.tensor = value.tensor
        elif key in KEPT_ATTRS and kind is not None:
            found = value.s.decode("utf-8", "replace") if kind == "s" else getattr(value, kind)
            node.attrs[key] = found
    # Graphs may name functions which only the runtime knows (gradients, transforms).
    node.calls = tuple((key, name) for key, name in calls if name in functions)


def _declare(table: Graph, proto: Any, functions: Mapping[str, Any]) -> None:
    name = proto.signature.name
    if name in table.functions or not name:
        raise GraphError(f"two functions are named {name!r}" if name else "a function has no name")
    arguments = []
    for argument in proto.signature.input_arg:
        if (name, argument.name) in table.index:
            raise GraphError(f"function {name!r} has two arguments {argument.name!r}")
        arguments.append(len(table.nodes))
        table.index[name, argument.name] = len(table.nodes)
        table.nodes.append(Node(argument.name, "_Arg", name, attrs={"dtype": argument.type}))
    table.functions[name] = Function(name, tuple(arguments))
    _add_nodes(table, name, proto.node_def, functions)


def _connect(
    table: Graph, function: str, nodes: Iterable[Any], returned: Mapping[str, list[str]]
) -> None:
    for proto in nodes:
        data, controls = [], []
        for text in proto.input:
            if text.startswith("^"):
                controls.append(_edge(table, function, text[1:], proto.name, returned)[0])
            else:
                data.append(_edge(table, function, text, proto.name, returned))
        node = table.nodes[table.index[function, proto.name]]
        node.inputs, node.controls = tuple(data), tuple(controls)


def _edge(
    table: Graph, function: str, text: str, reader: str, returned: Mapping[str, list[str]]
) -> Edge:
    """The edge that an input names: "node", "node:1" or, in functions, "node:output:1"."""
    name, *rest = text.split(":")
    number = table.index.get((function, name))
    if number is None:
        raise GraphError(f"{reader!r} reads {name!r}, which is not in the graph")
    if not rest:
        return number, 0
    if not rest[-1].isdecimal() or len(rest) > 2:
        raise GraphError(f"{reader!r} has the malformed input {text!r}")
    port = int(rest[-1])
    if len(rest) == 2:
        outputs = returned.get(table.nodes[number].op, ())
        port += outputs.index(rest[0]) if rest[0] in outputs else PORTS.get(rest[0], 0)
    return number, port


def _finish(table: Graph, proto: Any, returned: Mapping[str, list[str]]) -> None:
    """Fill in what a function returns and which of its nodes always run."""
    function = table.functions[proto.signature.name]
    name = function.name
    function.returns = tuple(
        _edge(table, name, proto.ret[argument.name], name, returned)
        for argument in proto.signature.output_arg
        if argument.name in proto.ret
    )
    roots = [number for number, _ in function.returns]
    roots += [_edge(table, name, text, name, returned)[0] for text in proto.control_ret.values()]
    if not proto.control_ret:
        # Bodies from before control outputs existed run all their stateful ops.
        for node in proto.node_def:
            number = table.index[name, node.name]
            if node.op in ASSIGN_OPS or table.nodes[number].calls:
                roots.append(number)
    function.roots = tuple(roots)


def _members(name: str, collection: Any) -> list[str]:
    """Names of a CollectionDef's ops or tensors; of variables, their initial name."""
    if collection.WhichOneof("kind") == "node_list":
        return [_op_name(value) for value in collection.node_list.value]
    if collection.WhichOneof("kind") == "bytes_list" and name in _VARIABLE_COLLECTIONS:
        return [_variable_name(value) for value in collection.bytes_list.value]
    return []


def _variable_name(serialized: bytes) -> str:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import variable_pb2

    try:
        return _op_name(variable_pb2.VariableDef.FromString(serialized).variable_name)
    except DecodeError as error:
        raise GraphError("a variable collection holds something else") from error


def _signature(key: str, signature: Any, for_training: bool) -> Signature:
    training = for_training or signature.method_name == "tensorflow/supervised/training"
    return Signature(
        key,
        {name: info.name for name, info in signature.inputs.items()},
        {name: info.name for name, info in signature.outputs.items()},
        serving=key not in _INIT_KEYS and key != "train" and not training,
    )
