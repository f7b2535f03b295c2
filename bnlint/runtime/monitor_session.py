"""Check and watch a `tf.compat.v1` graph through the session that trains it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bnlint.findings import Finding
from bnlint.runtime.graph_report import BatchNormInfo, GraphReport
from bnlint.runtime.monitor import (
    OverheadBudget,
    Schedule,
    Statistics,
    StatisticsWatch,
    WatchedLayer,
    spread,
)

_APPLY_PREFIXES = ("Apply", "ResourceApply", "SparseApply", "ResourceSparseApply")
_MAX_FETCH_SETS = 64


def fetched_operations(fetches: Any, graph: Any) -> list[Any]:
    """The ops of everything a `Session.run` fetches: tensors, ops, names, nested structures."""
    import tensorflow as tf

    elements = (_element(item, graph) for item in tf.compat.v1.nest.flatten(fetches))
    found = [getattr(element, "op", element) for element in elements]
    return [op for op in found if isinstance(op, tf.Operation)]


def _element(item: Any, graph: Any) -> Any:
    """The op or tensor of a fetch; None for what is neither (sparse tensors, say)."""
    try:
        return graph.as_graph_element(item)
    except (TypeError, ValueError, KeyError):
        return None


def runs_optimizer(operations: Iterable[Any]) -> bool:
    """Whether running `operations` runs an optimizer op (`Apply*`, `ResourceApply*`, ...).

    Goes back over data and control edges; linear in the edges it meets.
    """
    queue = list(operations)
    seen = set(queue)
    while queue:
        op = queue.pop()
        if op.type.startswith(_APPLY_PREFIXES):
            return True
        for source in [tensor.op for tensor in op.inputs] + list(op.control_inputs):
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return False


@dataclass
class _Reader:
    """Tensors that read one batch norm's statistics, made when the graph was: nothing is added."""

    layer: WatchedLayer
    mean: Any
    variance: Any


class SessionMonitor:
    """Inspects a graph at the first run of a train op, then watches its moving statistics.

    Args:
      train_op: the train op, or None: any fetch that runs an optimizer op.
      path: what findings call the graph.
      on_finding: called with every new finding.
      overhead: largest share of the training time to spend on watching; 0 never watches.
    """

    def __init__(
        self,
        on_finding: Callable[[Finding], None],
        train_op: Any = None,
        path: str = "<graph>",
        overhead: float = 0.01,
    ) -> None:
        self.report: GraphReport | None = None
        self.watch: StatisticsWatch | None = None
        self.findings: list[Finding] = []
        self._train_op = train_op
        self._path = path
        self._overhead = overhead
        self._on_finding = on_finding
        self._training_fetches: dict[frozenset[str], bool] = {}
        self._graph: Any = None
        self._readers: list[_Reader] = []
        self._schedule: Schedule | None = None
        self._budget: OverheadBudget | None = None
        self._step = 0

    def before_run(self, graph: Any, fetches: Any, feeds: Any, session: Any = None) -> bool:
        """Call before every run. Returns whether the run is a training step.

        At the first training step the graph is inspected and, with a `session`, the statistics
        are read for the first time.
        """
        if self._graph is not None and graph is not self._graph:
            return False
        operations = fetched_operations(fetches, graph)
        if not self._is_training(operations, graph):
            return False
        if self.report is None:
            self._graph = graph
            self._inspect(graph, fetches, feeds)
            if session is not None and self._overhead > 0:
                self._start_watching(graph, session)
        return True

    def after_run(self, session: Any) -> None:
        """Call after every training step; reads the statistics when that is due."""
        self._step += 1
        if self._schedule is not None and self._schedule.due():
            self._read(session)

    def finish(self, session: Any) -> None:
        """Call when training is over, while the session still lives."""
        if self.watch is not None and self._step:
            self._read(session)
            self._tell(self.watch.conclude())

    def _is_training(self, operations: list[Any], graph: Any) -> bool:
        key = frozenset(op.name for op in operations)
        if key not in self._training_fetches:
            if len(self._training_fetches) >= _MAX_FETCH_SETS:
                self._training_fetches.clear()
            self._training_fetches[key] = self._trains(operations, graph)
        return self._training_fetches[key]

    def _trains(self, operations: list[Any], graph: Any) -> bool:
        if self._train_op is None:
            return runs_optimizer(operations)
        wanted = set(fetched_operations(self._train_op, graph))
        return bool(wanted & set(operations))

    def _inspect(self, graph: Any, fetches: Any, feeds: Any) -> None:
        from bnlint.runtime.inspect import inspect_graph

        self.report = inspect_graph(
            graph, train_op=self._train_op, fetches=fetches, feeds=feeds, path=self._path
        )
        self._tell(self.report.findings)

    def _start_watching(self, graph: Any, session: Any) -> None:
        assert self.report is not None
        readers: dict[tuple[str, str], _Reader] = {}
        for norm in self.report.batch_norms:
            reader = _reader(graph, norm)
            if reader is not None:
                readers.setdefault((norm.moving_mean, norm.moving_variance), reader)
        by_name = {reader.layer.name: reader for reader in readers.values()}
        self._readers = [by_name[name] for name in spread(list(by_name))]
        if not self._readers:
            return
        layers = [reader.layer for reader in self._readers]
        self.watch = StatisticsWatch(layers, self._path, "BN101")
        self._budget = OverheadBudget(self._overhead)
        self._schedule = Schedule(self._budget)
        self._read(session)

    def _read(self, session: Any) -> None:
        assert self._budget is not None and self.watch is not None
        with self._budget.charge():
            fetches = [(reader.mean, reader.variance) for reader in self._readers]
            values = {
                reader.layer.name: Statistics(mean, variance)
                for reader, (mean, variance) in zip(
                    self._readers, session.run(fetches), strict=True
                )
            }
            found = self.watch.observe(self._step, values)
        self._tell(found)

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.findings.append(finding)
            self._on_finding(finding)


def _reader(graph: Any, norm: BatchNormInfo) -> _Reader | None:
    mean, variance = (
        _read_tensor(graph, name) for name in (norm.moving_mean, norm.moving_variance)
    )
    if mean is None or variance is None or norm.function:
        return None
    moves = norm.mode in ("train", "switched")
    return _Reader(WatchedLayer(norm.name, norm.decay, moves), mean, variance)


def _read_tensor(graph: Any, variable: str) -> Any:
    """A tensor that reads the variable and runs nothing else; None when the graph has none."""
    try:
        op = graph.get_operation_by_name(variable.split(":")[0])
    except (KeyError, ValueError):
        return None
    if op.type in ("VariableV2", "Variable"):
        return op.outputs[0]
    if op.type != "VarHandleOp":
        return None
    for reader in op.outputs[0].consumers():
        if reader.type == "ReadVariableOp" and not reader.control_inputs:
            return reader.outputs[0]
    return None
