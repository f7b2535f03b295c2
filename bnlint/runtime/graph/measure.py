"""Run a graph's forward pass in inference mode and measure what its batch norms see (BN503).

This is the only part of the inspector that runs a graph, and only when data is given for it. Ops
that reach outside the graph are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnlint.runtime.graph.batch_norms import BatchNorm, describe, find_batch_norms
from bnlint.runtime.graph.build import from_meta_graph
from bnlint.runtime.graph.table import Graph
from bnlint.runtime.moving_statistics import Moments, Statistics
from bnlint.runtime.stored.protos import LoadError
from bnlint.runtime.stored.statistics import Measured

_BATCH = 64  # rows run at a time
# Python callbacks, files, processes of other machines: nothing a forward pass needs.
_REFUSED = re.compile(
    r".*PyFunc.*|ReadFile|WriteFile|MatchingFiles|.*Reader.*|.*Dataset.*|.*Iterator.*|Save.*"
    r"|Print.*|MergeV2Checkpoints|Rpc|.*Remote.*|Debug.*|.*Summary.*|.*Queue.*"
)
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")


def measure_checkpoint(prefix: Path, meta_graph: Any, data: Mapping[str, Any]) -> list[Measured]:
    """The moving and batch statistics of a TF1 checkpoint with its MetaGraphDef.

    Args:
      prefix: of the checkpoint.
      meta_graph: its `.meta` file, read.
      data: arrays of shape [examples, ...] by placeholder name ("x" or "x:0"); a single array
        goes to the only placeholder the batch norms need.

    Raises:
      LoadError: the graph does not take this data, or would reach outside itself.
    """
    import tensorflow as tf

    def restore(session: Any) -> None:
        saver = tf.compat.v1.train.import_meta_graph(meta_graph, clear_devices=True)
        if saver is None:
            raise LoadError("its .meta has no Saver to restore the checkpoint with")
        saver.restore(session, str(prefix))

    return _measure(from_meta_graph(meta_graph), restore, data)


def measure_saved_model(folder: Path, message: Any, data: Mapping[str, Any]) -> list[Measured]:
    """The same of a SavedModel whose batch norms are in its main graph (as TF1 exports them).

    Raises:
      LoadError: they are in function bodies, or as in `measure_checkpoint`.
    """
    import tensorflow as tf

    meta_graph = message.meta_graphs[0]
    tags = list(meta_graph.meta_info_def.tags)

    def restore(session: Any) -> None:
        tf.compat.v1.saved_model.load(session, tags, str(folder))

    return _measure(from_meta_graph(meta_graph), restore, data)


def _measure(
    graph: Graph, restore: Callable[[Any], None], data: Mapping[str, Any]
) -> list[Measured]:
    import tensorflow as tf

    found = [
        one
        for one in find_batch_norms(graph)
        if not graph.nodes[one.node].function
        and not graph.nodes[one.input[0]].function
        and set(one.moving) == {"mean", "variance"}
    ]
    if not found:
        raise LoadError("no batch norm with moving statistics in the main graph to measure")
    feeds, switches = _feeds(graph, found, data)
    examples = len(next(iter(feeds.values())))
    try:
        with tf.Graph().as_default() as running, tf.compat.v1.Session(graph=running) as session:
            restore(session)
            measured = list(_run(running, session, graph, found, feeds, switches))
    except (tf.errors.OpError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, LoadError):
            raise
        text = str(getattr(error, "message", error)).strip().partition("\n")[0]
        raise LoadError(f"the graph does not run on this data: {text}") from error
    return [
        Measured(stored, batch, examples, 1e-3 if one.epsilon is None else one.epsilon)
        for one, stored, batch in measured
    ]


def _feeds(
    graph: Graph, found: Sequence[BatchNorm], data: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, bool]]:
    """Data by tensor name, and the is_training placeholders with their value in inference."""
    run = graph.reach(number for one in found for number in (one.input[0], *one.moving.values()))
    needed = [node for number, node in enumerate(graph.nodes) if run[number]]
    refused = sorted({node.op for node in needed if _REFUSED.fullmatch(node.op)})
    if refused:
        raise LoadError(f"a measured check does not run {', '.join(refused)} ops")
    switches = {
        f"{graph.nodes[one.predicate[0]].name}:0": not one.train_when
        for one in found
        if one.predicate is not None and graph.nodes[one.predicate[0]].op in _PLACEHOLDERS
    }
    inputs = {f"{node.name}:0" for node in needed if node.op == "Placeholder"} - set(switches)
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
) -> Iterator[tuple[BatchNorm, Statistics, Statistics]]:
    import numpy as np

    inputs = [
        running.get_tensor_by_name(graph.tensor_name(graph.strip(one.input))) for one in found
    ]
    stored = [stored_statistics(session, running, graph, one) for one in found]
    moments = [Moments() for _ in found]
    examples = len(next(iter(feeds.values())))
    for start in range(0, examples, _BATCH):
        batch = {name: values[start : start + _BATCH] for name, values in feeds.items()}
        for statistics, total, values in zip(
            stored, moments, session.run(inputs, {**batch, **switches}), strict=True
        ):
            axis = channel_axis(values.shape, statistics.mean.size)
            if axis is not None:
                rows = np.moveaxis(np.asarray(values, np.float64), axis, -1)
                rows = rows.reshape(-1, statistics.mean.size)
                total.add(len(rows), rows.mean(axis=0), rows.var(axis=0))
    for one, statistics, total in zip(found, stored, moments, strict=True):
        if total.count:
            yield one, statistics, total.statistics()


def stored_statistics(session: Any, running: Any, graph: Graph, one: BatchNorm) -> Statistics:
    """The moving statistics as they are in `session` now."""
    import numpy as np

    def value(number: int) -> Any:
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
