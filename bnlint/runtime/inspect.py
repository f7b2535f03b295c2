"""The inspector's library API: what is wrong with batch norm in a graph, model or file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnlint.runtime.graph_report import BatchNormInfo, GraphReport

__all__ = ["BatchNormInfo", "GraphReport", "inspect_graph", "inspect_model", "inspect_path"]


def inspect_graph(
    graph: Any,
    train_op: Any = None,
    fetches: Any = None,
    feeds: Mapping[Any, Any] | Sequence[Any] | None = None,
    path: str = "<graph>",
) -> GraphReport:
    """Inspect a tf.Graph, GraphDef or MetaGraphDef, without running it.

    Args:
      graph: `tf.Graph`, `GraphDef` or `MetaGraphDef` (a `tf.Graph` or `MetaGraphDef` brings its
        collections along).
      train_op: op, tensor or name, or a sequence of them; found by their optimizer ops when None.
      fetches: everything that one training step runs (ops, tensors, names; nested lists and
        dicts allowed). Known fetches make findings about the train op certain.
      feeds: what that step feeds: tensor (or name) -> value, or just the tensors.
      path: what findings call the graph.

    Raises:
      TypeError: `graph` is none of these.
      bnlint.runtime.graph.GraphError: an edge names a node that does not exist.
      KeyError: a named train op or fetch is not in the graph.
    """
    raise NotImplementedError


def inspect_model(model: Any, data: Any = None, path: str = "<model>") -> GraphReport:
    """Inspect a live Keras model (Keras 3 or tf-keras): its layers' settings and statistics.

    Args:
      model: a built `keras.Model`.
      data: inputs for a measured check (BN503): an array, or what `model` takes as its input.
      path: what findings call the model.

    Raises:
      TypeError: `model` has no layers.
    """
    raise NotImplementedError


def inspect_path(
    path: str | Path,
    train_op: str | Sequence[str] | None = None,
    data: str | Path | None = None,
) -> GraphReport:
    """Inspect a file or folder: `.meta`, `.pb`, `.pbtxt`, SavedModel, checkpoint, `.keras`, `.h5`.

    What cannot be read comes back as a `FileError` in the report, never as an exception.

    Args:
      path: the file or folder; a checkpoint may also be named by its prefix.
      train_op: names of train ops, when their optimizer ops do not give them away.
      data: `.npz` file of inputs for a measured check (BN503), by input tensor or layer name.
    """
    raise NotImplementedError
