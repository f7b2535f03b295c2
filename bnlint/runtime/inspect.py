"""The inspector's library API: what is wrong with batch norm in a graph, model or file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnlint.findings import FileError, sorted_findings
from bnlint.runtime.graph.table import Graph, GraphError, UnknownNode
from bnlint.runtime.outline import nothing_recognized, scope_of, with_statistics
from bnlint.runtime.report import BatchNormInfo, GraphReport
from bnlint.runtime.stored.protos import LoadError
from bnlint.runtime.stored.statistics import Measured

if TYPE_CHECKING:
    from bnlint.runtime.stored.names import Group

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
      bnlint.runtime.graph.table.GraphError: an edge names a node that does not exist.
      bnlint.runtime.graph.table.UnknownNode: a named train op or fetch is not in the graph.
    """
    from bnlint.runtime.graph.build import from_graph, from_graph_def, from_meta_graph

    if hasattr(graph, "as_graph_def"):
        table = from_graph(graph)
        if fetches is None and hasattr(graph, "control_outputs"):
            # The graph of a tf.function: calling it runs just these.
            fetches = [*graph.outputs, *graph.control_outputs]
    elif hasattr(graph, "graph_def"):
        table = from_meta_graph(graph)
    elif hasattr(graph, "node") and hasattr(graph, "library"):
        table = from_graph_def(graph)
    else:
        raise TypeError(f"{type(graph).__name__} is no tf.Graph, GraphDef or MetaGraphDef")
    return _inspect_table(table, path, train_op, fetches, feeds)


def inspect_model(model: Any, data: Any = None, path: str = "<model>") -> GraphReport:
    """Inspect a live Keras model (Keras 3 or tf-keras): its layers' settings and statistics.

    Args:
      model: a built `keras.Model`.
      data: inputs for a measured check (BN503): an array, or what `model` takes as its input.
      path: what findings call the model.

    Raises:
      TypeError: `model` has no layers.
    """
    from bnlint.runtime.keras_model import check_model

    return check_model(model, data, path)


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
    report = GraphReport(files=1)
    arrays = None
    try:
        arrays = None if data is None else _read_data(Path(data))
        _inspect_kind(Path(path), train_op, arrays, report)
    except (LoadError, GraphError) as error:
        report.errors.append(FileError(str(data if arrays is None and data else path), str(error)))
    except OSError as error:
        report.errors.append(FileError(str(path), error.strerror or str(error)))
    except UnknownNode as error:
        report.errors.append(FileError(str(path), str(error.args[0])))
    except RecursionError:
        report.errors.append(FileError(str(path), "nested too deep"))
    except MemoryError:
        report.errors.append(FileError(str(path), "too large for this machine's memory"))
    report.findings = sorted_findings(report.findings)
    report.errors += nothing_recognized(report, str(path))
    return report


def _read_data(path: Path) -> dict[str, Any]:
    from bnlint.runtime.stored.checkpoints import read_npz

    try:
        return read_npz(path)
    except OSError as error:
        raise LoadError(error.strerror or str(error)) from error


def _inspect_kind(
    path: Path, train_op: Any, data: dict[str, Any] | None, report: GraphReport
) -> None:
    from bnlint.runtime.stored.checkpoints import checkpoint_prefix
    from bnlint.runtime.stored.keras_files import is_keras_file
    from bnlint.runtime.stored.protos import is_saved_model, newest_export

    if path.is_dir() and is_saved_model(path):
        _inspect_saved_model(path, train_op, data, report)
    elif path.name.endswith((".meta", ".pb", ".pbtxt")) and path.is_file():
        _inspect_graph_file(path, train_op, data, report)
    elif (prefix := checkpoint_prefix(path)) is not None:
        _inspect_checkpoint(prefix, train_op, data, report)
    elif path.is_dir() and (export := newest_export(path)) is not None:
        _inspect_saved_model(export, train_op, data, report)
    elif path.is_dir():
        raise LoadError("the folder holds neither a SavedModel nor a checkpoint")
    elif not path.exists():
        raise LoadError("no such file, folder or checkpoint prefix")
    elif is_keras_file(path):
        _inspect_keras_file(path, data, report)
    else:
        raise LoadError(
            "not a graph (.meta, .pb, .pbtxt), SavedModel, checkpoint or Keras file (.keras, .h5)"
        )


def _inspect_table(
    table: Graph, path: str, train_op: Any = None, fetches: Any = None, feeds: Any = None
) -> GraphReport:
    from bnlint.runtime.graph import checks
    from bnlint.runtime.graph.batch_norms import describe, find_batch_norms
    from bnlint.runtime.graph.train_ops import find_optimization, find_train_ops, named_nodes

    named = named_nodes(table, train_op)
    fetched = None if fetches is None else named_nodes(table, fetches)
    batch_norms = find_batch_norms(table)
    updates = {op for one in batch_norms for op in one.update_ops}
    optimization = find_optimization(table, updates)
    step = checks.Step(
        named or find_train_ops(table, optimization),
        fetched,
        _fed(feeds),
        optimization.trained,
        optimization.sources,
    )
    if fetched is not None and not named:
        step = checks.running(table, step)
    findings = [
        *checks.check_training(table, batch_norms, step, path),
        *checks.check_feeds(table, batch_norms, step, path),
        *checks.check_inference(table, batch_norms, step, path),
        *checks.check_evaluation(table, batch_norms, step, path),
        *checks.check_serving(table, batch_norms, path),
        *checks.check_frozen(table, batch_norms, path),
        *checks.check_dangling(table, batch_norms, step, path),
        *checks.check_copies(table, batch_norms, step, path),
    ]
    return GraphReport(
        findings=sorted_findings(findings),
        files=1,
        batch_norms=tuple(
            replace(describe(table, one), reached=reached)
            for one, reached in zip(
                batch_norms, checks.updated(table, batch_norms, step), strict=True
            )
        ),
        train_ops=tuple(table.label(op) for op in step.train_ops),
        reached_updates=checks.reached_updates(table, batch_norms, step),
        missed_updates=checks.missed_updates(table, batch_norms, step),
        serves=any(one.serving for one in table.signatures),
    )


def _fed(feeds: Mapping[Any, Any] | Sequence[Any] | None) -> dict[str, Any] | None:
    if feeds is None:
        return None
    pairs: Iterable[tuple[Any, Any]]
    pairs = feeds.items() if isinstance(feeds, Mapping) else ((one, None) for one in feeds)
    return {str(getattr(one, "name", one)).split(":")[0]: value for one, value in pairs}


def _add(report: GraphReport, part: GraphReport) -> None:
    report.findings += part.findings
    report.batch_norms += part.batch_norms
    report.train_ops += part.train_ops
    report.reached_updates.update(part.reached_updates)
    report.missed_updates.update(part.missed_updates)
    report.serves |= part.serves


def _add_measured(report: GraphReport, measured: Sequence[Measured], path: Path) -> None:
    from bnlint.runtime.stored.statistics import check_measured

    report.measured = tuple(measured)
    report.findings += check_measured(measured, str(path))


def _inspect_graph_file(
    path: Path, train_op: Any, data: dict[str, Any] | None, report: GraphReport
) -> None:
    from bnlint.runtime.graph.build import from_graph_def, from_meta_graph
    from bnlint.runtime.stored.protos import read_graph_file

    message = read_graph_file(path)
    if hasattr(message, "meta_graphs"):
        _inspect_meta_graphs(message, path, train_op, report)
    elif hasattr(message, "graph_def"):
        _add(report, _inspect_table(from_meta_graph(message), str(path), train_op))
    else:
        table = from_graph_def(message)
        _add(report, _inspect_table(table, str(path), train_op))
        _check_constants(table, path, report)
    if data is not None:
        raise LoadError("only a checkpoint or model can be measured: a graph has no statistics")


def _check_constants(table: Graph, path: Path, report: GraphReport) -> None:
    """The statistics of a frozen graph are constants in it."""
    from bnlint.runtime.graph.batch_norms import constant_statistics, find_batch_norms
    from bnlint.runtime.stored.statistics import check_stored

    groups = [
        found
        for one in find_batch_norms(table)
        if (found := constant_statistics(table, one)) is not None
    ]
    report.findings += check_stored(groups, str(path))
    report.batch_norms = with_statistics(report.batch_norms, groups)


def _inspect_meta_graphs(message: Any, path: Path, train_op: Any, report: GraphReport) -> None:
    from bnlint.runtime.graph.build import from_meta_graph

    for meta_graph in message.meta_graphs:
        _add(report, _inspect_table(from_meta_graph(meta_graph), str(path), train_op))


def _inspect_saved_model(
    folder: Path, train_op: Any, data: dict[str, Any] | None, report: GraphReport
) -> None:
    from bnlint.runtime.stored.protos import read_saved_model

    message = read_saved_model(folder)
    _inspect_meta_graphs(message, folder, train_op, report)
    prefix = folder / "variables" / "variables"
    if prefix.with_name("variables.index").is_file():
        _check_checkpoint(str(prefix), str(folder), report)
    elif any(one.moving_mean for one in report.batch_norms):
        raise LoadError("its variables/variables.index is missing")
    if data is not None:
        from bnlint.runtime.graph.measure import measure_saved_model

        _add_measured(report, measure_saved_model(folder, message, data), folder)


def _inspect_checkpoint(
    prefix: str, train_op: Any, data: dict[str, Any] | None, report: GraphReport
) -> None:
    from bnlint.runtime.graph.build import from_meta_graph
    from bnlint.runtime.stored.protos import read_graph_file

    meta = Path(prefix + ".meta")
    meta_graph = read_graph_file(meta) if meta.is_file() else None
    if meta_graph is not None:
        _add(report, _inspect_table(from_meta_graph(meta_graph), str(meta), train_op))
    _check_checkpoint(prefix, prefix, report)
    if data is not None:
        from bnlint.runtime.graph.measure import measure_checkpoint

        if meta_graph is None:
            raise LoadError(f"a measured check needs the graph: {meta.name} is missing")
        _add_measured(report, measure_checkpoint(prefix, meta_graph, data), Path(prefix))


def _check_checkpoint(prefix: str, path: str, report: GraphReport) -> None:
    from bnlint.runtime.stored.checkpoints import read_checkpoint
    from bnlint.runtime.stored.statistics import check_stored

    stored = read_checkpoint(prefix, _known(report.batch_norms))
    report.findings += check_stored(stored.groups, path, stored.steps)
    report.batch_norms = with_statistics(report.batch_norms, stored.groups)
    if not stored.has_data:
        if not report.findings:
            raise LoadError("its data files are missing, and its names do not show a mistake")
        message = "its data files are missing: names were checked, and no values"
        report.errors.append(FileError(path, message, fatal=False))


def _known(batch_norms: Iterable[BatchNormInfo]) -> list[Group]:
    """The variables of a graph's batch norms, each batch norm once however often it is applied."""
    from bnlint.runtime.stored.names import Group

    found: dict[str, Group] = {}
    for one in batch_norms:
        names = {
            "mean": one.moving_mean,
            "variance": one.moving_variance,
            "gamma": one.gamma,
            "beta": one.beta,
        }
        if not one.moving_mean or one.moving_mean in found:
            continue
        parts = {part: name for part, name in names.items() if name}
        found[one.moving_mean] = Group(scope_of(one), parts, one.decay)
    return list(found.values())


def _inspect_keras_file(path: Path, data: dict[str, Any] | None, report: GraphReport) -> None:
    from bnlint.runtime.keras_model import always_training, keras_info
    from bnlint.runtime.stored.isolated import read_keras_isolated
    from bnlint.runtime.stored.statistics import check_stored

    found = read_keras_isolated(path)
    layers = [keras_info(layer.path, layer.config) for layer in found.layers]
    report.batch_norms = with_statistics(layers, found.stored.groups)
    report.findings += always_training(found, str(path))
    report.findings += check_stored(found.stored.groups, str(path), found.stored.steps)
    if data is not None:
        from bnlint.runtime.keras_model import load_model, measure_model

        if found.foreign:
            names = ", ".join(found.foreign[:5])
            raise LoadError(f"a measured check would run code from outside Keras: {names}")
        _add_measured(report, measure_model(load_model(path), data), path)
