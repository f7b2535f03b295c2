"""Run a graph's forward pass in inference mode and measure what its batch norms see (BN503).

This is the only part of the inspector that runs a graph, and only when data is given for it. It
runs a graph of its own making: the nodes that the batch norms' inputs need, if all of them are of
op types that a forward pass is made of. Variables get the values that the checkpoint reader finds;
what the file itself would run to restore or to initialize them is never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bnlint.runtime.graph.batch_norms import BatchNorm, describe, find_batch_norms
from bnlint.runtime.graph.build import from_meta_graph
from bnlint.runtime.graph.forward_ops import FORWARD_OPS
from bnlint.runtime.graph.table import VARIABLE_OPS, Graph
from bnlint.runtime.moving_statistics import Moments, Statistics
from bnlint.runtime.stored.checkpoints import open_checkpoint
from bnlint.runtime.stored.protos import LoadError
from bnlint.runtime.stored.statistics import Measured

_BATCH = 64  # rows run at a time
_TIMEOUT = 120_000  # milliseconds for one batch: a stored loop may have no end
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")


def measure_checkpoint(prefix: str, meta_graph: Any, data: Mapping[str, Any]) -> list[Measured]:
    """The moving and batch statistics of a TF1 checkpoint with its MetaGraphDef.

    Args:
      prefix: of the checkpoint.
      meta_graph: its `.meta` file, read.
      data: arrays of shape [examples, ...] by placeholder name ("x" or "x:0"); a single array
        goes to the only placeholder the batch norms need.

    Raises:
      LoadError: the graph does not take this data, or holds ops that no forward pass needs.
    """
    return _measure(meta_graph, prefix, data)


def measure_saved_model(folder: Path, message: Any, data: Mapping[str, Any]) -> list[Measured]:
    """The same of a SavedModel whose batch norms are in its main graph (as TF1 exports them).

    Raises:
      LoadError: they are in function bodies, or as in `measure_checkpoint`.
    """
    return _measure(message.meta_graphs[0], str(folder / "variables" / "variables"), data)


def _measure(meta_graph: Any, prefix: str, data: Mapping[str, Any]) -> list[Measured]:
    import tensorflow as tf

    graph = from_meta_graph(meta_graph)
    found = [
        one
        for one in find_batch_norms(graph)
        if not graph.nodes[one.node].function
        and not graph.nodes[one.input[0]].function
        and set(one.moving) == {"mean", "variance"}
    ]
    if not found:
        raise LoadError("no batch norm with moving statistics in the main graph to measure")
    needed = _needed(graph, found)
    feeds, switches = _feeds(graph, needed, found, data)
    examples = len(next(iter(feeds.values())))
    try:
        with tf.Graph().as_default() as running, tf.compat.v1.Session(graph=running) as session:
            tf.import_graph_def(_forward_pass(meta_graph.graph_def, graph, needed), name="")
            values = _variables(graph, needed, prefix)
            _assign(running, session, graph, values)
            measured = list(_run(running, session, graph, found, feeds, switches, values))
    except (tf.errors.OpError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, LoadError):
            raise
        text = str(getattr(error, "message", error)).strip().partition("\n")[0]
        raise LoadError(f"the graph does not run on this data: {text}") from error
    return [
        Measured(stored, batch, examples, 1e-3 if one.epsilon is None else one.epsilon)
        for one, stored, batch in measured
    ]


def _needed(graph: Graph, found: Sequence[BatchNorm]) -> list[int]:
    """Ids of the nodes that a forward pass runs, those in bodies of called functions included.

    Raises:
      LoadError: one of them is of an op type that is not run.
    """
    reached = graph.reach(
        number for one in found for number in (one.input[0], *one.moving.values())
    )
    called = {graph.nodes[number].function for number, hit in enumerate(reached) if hit} - {""}
    # Of a function TensorFlow may run what its results do not need, too.
    needed = [
        number
        for number, node in enumerate(graph.nodes)
        if reached[number] or node.function in called
    ]
    refused = sorted({graph.nodes[number].op for number in needed} - FORWARD_OPS - called)
    if refused:
        raise LoadError(f"a measured check does not run {', '.join(refused)} ops")
    return needed


def _forward_pass(graph_def: Any, graph: Graph, needed: Sequence[int]) -> Any:
    """A GraphDef of the needed nodes, without devices and hints (attributes that begin with _)."""
    from tensorflow.core.framework import graph_pb2

    # TensorFlow takes messages of its own classes only.
    graph_def = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    nodes = {graph.nodes[number].name for number in needed if not graph.nodes[number].function}
    functions = {graph.nodes[number].function for number in needed}
    result = graph_pb2.GraphDef()
    result.versions.CopyFrom(graph_def.versions)
    result.node.extend(node for node in graph_def.node if node.name in nodes)
    result.library.function.extend(
        function for function in graph_def.library.function if function.signature.name in functions
    )
    bodies = (node for function in result.library.function for node in function.node_def)
    for node in (*result.node, *bodies):
        node.device = ""
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]
    for function in result.library.function:
        function.attr.clear()
    return result


def _variables(graph: Graph, needed: Sequence[int], prefix: str) -> dict[int, Any]:
    """The stored value of each needed variable of the main graph, by node.

    Raises:
      LoadError: the checkpoint cannot be read, or lacks one.
    """
    numbers = [number for number in needed if graph.nodes[number].op in VARIABLE_OPS]
    if not numbers:
        return {}
    reader = open_checkpoint(prefix)
    names = _saved_names(graph)
    values = {}
    for number in numbers:
        name, part = names.get(number, (graph.variable_name(number), ""))
        if not reader.has_tensor(name):
            raise LoadError(f"the checkpoint has no value of {name!r}")
        values[number] = _part(reader.get_tensor(name), part)
    return values


def _saved_names(graph: Graph) -> dict[int, tuple[str, str]]:
    """Variable -> (its name, its slice) in checkpoints, as the graph's own Save ops have them."""
    found: dict[int, tuple[str, str]] = {}
    for node in graph.nodes:
        if node.op != "SaveV2" or node.function or len(node.inputs) < 3:
            continue
        names, parts = (_strings(graph, edge) for edge in node.inputs[1:3])
        for edge, name, part in zip(node.inputs[3:], names, parts, strict=False):
            number = graph.variable(edge)
            if number is not None:
                found[number] = (name, part)
    return found


def _strings(graph: Graph, edge: tuple[int, int]) -> list[str]:
    tensor = graph.nodes[edge[0]].tensor
    return [] if tensor is None else [one.decode("utf-8", "replace") for one in tensor.string_val]


def _part(values: Any, part: str) -> Any:
    """A slice "4 3 0,2:0,3" of a whole tensor: its shape, then offset,length of each axis.

    See https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/python/ops/variables.py
    (SaveSliceInfo.spec).
    """
    if not part:
        return values
    extents = part.rpartition(" ")[2].split(":")
    cuts = []
    for extent in extents:
        start, _, length = extent.partition(",")
        cuts.append(slice(None) if extent == "-" else slice(int(start), int(start) + int(length)))
    return values[tuple(cuts)]


def _assign(running: Any, session: Any, graph: Graph, values: Mapping[int, Any]) -> None:
    """Gives the session's variables their stored values."""
    import tensorflow as tf

    feeds, operations = {}, []
    for number, stored in values.items():
        node = graph.nodes[number]
        variable = running.get_tensor_by_name(f"{node.name}:0")
        value = tf.compat.v1.placeholder(tf.as_dtype(stored.dtype), stored.shape)
        if node.op == "VarHandleOp":
            operations.append(tf.raw_ops.AssignVariableOp(resource=variable, value=value))
        else:
            operations.append(tf.raw_ops.Assign(ref=variable, value=value, validate_shape=False))
        feeds[value] = stored
    # Ref variables' assignments are tensors; both run by themselves.
    session.run([one.op if hasattr(one, "op") else one for one in operations], feeds)


def _feeds(
    graph: Graph, needed: Sequence[int], found: Sequence[BatchNorm], data: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, bool]]:
    """Data by tensor name, and the is_training placeholders with their value in inference."""
    switches = {
        f"{graph.nodes[one.predicate[0]].name}:0": not one.train_when
        for one in found
        if one.predicate is not None and graph.nodes[one.predicate[0]].op in _PLACEHOLDERS
    }
    inputs = {
        f"{graph.nodes[number].name}:0"
        for number in needed
        if graph.nodes[number].op == "Placeholder" and not graph.nodes[number].function
    } - set(switches)
    if len(inputs) == 1 and len(data) == 1:
        return {inputs.pop(): next(iter(data.values()))}, switches
    feeds = {name if ":" in name else f"{name}:0": values for name, values in data.items()}
    missing = sorted(inputs - set(feeds))
    if missing or not feeds:
        raise LoadError(f"the data has no array for {', '.join(missing) or 'any input'}")
    return feeds, switches


def _run(
    running: Any,
    session: Any,
    graph: Graph,
    found: Sequence[BatchNorm],
    feeds: Mapping[str, Any],
    switches: Mapping[str, bool],
    values: Mapping[int, Any],
) -> Iterator[tuple[BatchNorm, Statistics, Statistics]]:
    import numpy as np
    import tensorflow as tf

    inputs = [
        running.get_tensor_by_name(graph.tensor_name(graph.strip(one.input))) for one in found
    ]
    stored = [stored_statistics(session, running, graph, one, values) for one in found]
    moments = [Moments() for _ in found]
    examples = len(next(iter(feeds.values())))
    limit = tf.compat.v1.RunOptions(timeout_in_ms=_TIMEOUT)
    for start in range(0, examples, _BATCH):
        batch = {name: values[start : start + _BATCH] for name, values in feeds.items()}
        seen = session.run(inputs, {**batch, **switches}, limit)
        for statistics, total, activations in zip(stored, moments, seen, strict=True):
            axis = channel_axis(activations.shape, statistics.mean.size)
            if axis is not None:
                rows = np.moveaxis(np.asarray(activations, np.float64), axis, -1)
                rows = rows.reshape(-1, statistics.mean.size)
                total.add(len(rows), rows.mean(axis=0), rows.var(axis=0))
    for one, statistics, total in zip(found, stored, moments, strict=True):
        if total.count:
            yield one, statistics, total.statistics()


def stored_statistics(
    session: Any,
    running: Any,
    graph: Graph,
    one: BatchNorm,
    known: Mapping[int, Any] = MappingProxyType({}),
) -> Statistics:
    """The moving statistics as they are in `session` now, or are `known` by node."""
    import numpy as np

    def value(number: int) -> Any:
        if number in known:
            return known[number]
        operation = running.get_operation_by_name(graph.nodes[number].name)
        if operation.type == "VarHandleOp":
            readers = [
                use for use in operation.outputs[0].consumers() if use.type == "ReadVariableOp"
            ]
            return session.run(readers[0].outputs[0])
        return session.run(operation.outputs[0])

    return Statistics(
        describe(graph, one).name,
        mean=np.asarray(value(one.moving["mean"]), np.float64).reshape(-1),
        variance=np.asarray(value(one.moving["variance"]), np.float64).reshape(-1),
    )


def channel_axis(shape: Sequence[int], channels: int) -> int | None:
    """Channels are last, or (NCHW) second; None when neither fits."""
    axes = [
        axis for axis in (len(shape) - 1, 1) if 0 < axis < len(shape) and shape[axis] == channels
    ]
    return axes[0] if axes else None
