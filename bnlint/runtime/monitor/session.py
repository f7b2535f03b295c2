"""Check and watch a `tf.compat.v1` graph through the session that trains it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bnlint.findings import Confidence, Finding, sorted_findings
from bnlint.runtime.monitor.session_modes import Run, SessionModes
from bnlint.runtime.monitor.statistics import (
    OverheadBudget,
    Schedule,
    StatisticsWatch,
    WatchedLayer,
    spread,
    warn_failure,
)
from bnlint.runtime.moving_statistics import Statistics
from bnlint.runtime.report import BatchNormInfo, GraphReport

_MAX_FETCH_SETS = 64
_MAX_INSPECTIONS = 8


def fetched_operations(fetches: Any, graph: Any) -> list[Any]:
    """The ops of everything a `Session.run` fetches: tensors, ops, names, nested structures."""
    import tensorflow as tf

    elements = (_element(item, graph) for item in tf.compat.v1.nest.flatten(fetches))
    found = [getattr(element, "op", element) for element in elements]
    return [op for op in found if isinstance(op, tf.Operation)]


def _quick_key(fetches: Any, feeds: Any) -> Any:
    """What the same fetches and flags are recognized by at every step; None for dicts and nested
    lists.
    """
    key = tuple(fetches) if isinstance(fetches, list) else fetches
    flags = _flags(feeds)
    try:
        hash((key, flags))
    except TypeError:
        return None
    return key, flags


def _flags(feeds: Any) -> tuple[tuple[Any, bool], ...]:
    """What is fed with True or False, a tensor's identity or its name."""
    if not isinstance(feeds, Mapping):
        return ()
    return tuple(
        (key if isinstance(key, str) else id(key), bool(value))
        for key, value in feeds.items()
        if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")
    )


def _element(item: Any, graph: Any) -> Any:
    """The op or tensor of a fetch; None for what is neither (sparse tensors, say)."""
    try:
        return graph.as_graph_element(item)
    except (TypeError, ValueError, KeyError):
        return None


def reached(operations: Iterable[Any]) -> set[Any]:
    """Everything that running `operations` runs: back over data and control edges.

    Linear in the edges. Bodies of functions are not entered.
    """
    queue = list(operations)
    seen = set(queue)
    while queue:
        op = queue.pop()
        for source in [tensor.op for tensor in op.inputs] + list(op.control_inputs):
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return seen


@dataclass
class _Reader:
    """Tensors that read one batch norm's statistics, made when the graph was: nothing is added."""

    layer: WatchedLayer
    mean: Any
    variance: Any


class SessionMonitor:
    """Inspects a graph at the first run of each train op, then watches its moving statistics.

    A failure of the inspector itself never stops the training: see `failure`.

    Args:
      on_finding: called with every new finding.
      train_op: the train op, or None: any fetch that runs an optimizer op.
      path: what findings call the graph.
      overhead: largest share of the training time to spend on watching; 0 never watches.

    Attributes:
      report: the inspections of up to 8 train ops in one; None before the first training step.
      watch: the statistics' watch; None where there is nothing to watch.
      findings: every finding so far.
      failure: the exception that stopped the inspection; None while it works.
    """

    def __init__(
        self,
        on_finding: Callable[[Finding], None],
        train_op: Any = None,
        path: str = "<graph>",
        overhead: float = 0.005,
    ) -> None:
        self.report: GraphReport | None = None
        self.watch: StatisticsWatch | None = None
        self.findings: list[Finding] = []
        self.failure: Exception | None = None
        self._train_op = train_op
        self._path = path
        self._overhead = overhead
        self._on_finding = on_finding
        self._modes = SessionModes(path)
        self._known: dict[Any, tuple[Run, bool]] = {}
        self._inspected: list[frozenset[int]] = []
        self._graph: Any = None
        self._readers: list[_Reader] = []
        self._schedule: Schedule | None = None
        self._budget: OverheadBudget | None = None
        self._step = 0

    def before_run(self, graph: Any, fetches: Any, feeds: Any, session: Any = None) -> bool:
        """Call before every run. Returns whether the run is a training step.

        At the first step of each train op the graph is inspected. At the very first, with a
        `session`, the statistics are read for the first time.
        """
        if self.failure is not None or (self._graph is not None and graph is not self._graph):
            return False
        key = _quick_key(fetches, feeds)
        found = None if key is None else self._known.get(key)
        if found is None:
            with self._guard():
                found = self._new_fetches(graph, fetches, feeds, session)
                if key is not None:
                    self._remember(key, found)
        if found is None:
            return False
        run, trains = found
        if trains:
            self._modes.trained(feeds)
        elif run.training:
            self._tell(self._modes.evaluated(run, feeds))
        return trains

    def after_run(self, session: Any) -> None:
        """Call after every training step; reads the statistics when that is due."""
        self._step += 1
        if self.failure is None and self._schedule is not None and self._schedule.due():
            self._read(session)

    def finish(self, session: Any) -> None:
        """Call when training is over, while the session still lives."""
        if self.failure is None and self.watch is not None and self._step:
            self._read(session)
            self._tell(self.watch.conclude())
        self.conclude()

    def conclude(self) -> None:
        """Call when nothing is run any more."""
        if self.failure is None:
            with self._guard():
                self._tell(self._modes.finish())

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the user's training must not die of our inspection
            self.failure = error
            warn_failure(error)

    def _remember(self, key: Any, found: tuple[Run, bool]) -> None:
        if len(self._known) >= _MAX_FETCH_SETS:
            self._known.pop(next(iter(self._known)))
        self._known[key] = found

    def _new_fetches(self, graph: Any, fetches: Any, feeds: Any, session: Any) -> tuple[Run, bool]:
        """What these fetches run, and whether they train; inspects that if nothing like it has been
        yet.
        """
        operations = fetched_operations(fetches, graph)
        slow_key = (frozenset(op.name for op in operations), _flags(feeds))
        if slow_key in self._known:
            return self._known[slow_key]
        run = self._modes.look(graph, operations, feeds)
        trains = bool(run.writes)
        if self._train_op:
            trains = bool(set(fetched_operations(self._train_op, graph)) & set(operations))
        self._remember(slow_key, (run, trains))
        if trains and run.writes not in self._inspected and len(self._inspected) < _MAX_INSPECTIONS:
            self._inspected.append(run.writes)
            self._inspect(graph, fetches, feeds, session)
            if session is not None and self._overhead > 0 and self.watch is None:
                self._start_watching(graph, session, {op.name for op in reached(operations)})
        return run, trains

    def _inspect(self, graph: Any, fetches: Any, feeds: Any, session: Any) -> None:
        from bnlint.runtime.inspect import inspect_graph

        self._graph = graph
        new = inspect_graph(
            graph, train_op=self._train_op, fetches=fetches, feeds=feeds, path=self._path
        )
        new.findings = [
            one for one in map(partial(_settled, graph, session, new), new.findings) if one
        ]
        if self.report is None:
            self.report = new
            fresh = new.findings
        else:
            known = {(one.code, one.location.node) for one in self.report.findings}
            fresh = [one for one in new.findings if (one.code, one.location.node) not in known]
            self.report.findings = sorted_findings([*self.report.findings, *fresh])
            self.report.train_ops += tuple(
                one for one in new.train_ops if one not in self.report.train_ops
            )
            self.report.reached_updates.update(new.reached_updates)
        self._tell(fresh)

    def _start_watching(self, graph: Any, session: Any, run: set[str]) -> None:
        assert self.report is not None
        readers: dict[str, _Reader] = {}
        updated = run.union(*self.report.reached_updates.values())
        for norm in self.report.batch_norms:
            # Updates that training does not run have been reported already.
            reader = _reader(graph, norm, moves=bool(updated.intersection(norm.update_ops)))
            if reader is not None:
                readers.setdefault(reader.layer.name, reader)
        self._readers = [readers[name] for name in spread(list(readers))]
        if not self._readers:
            return
        layers = [reader.layer for reader in self._readers]
        self.watch = StatisticsWatch(layers, self._path, "BN101")
        self._budget = OverheadBudget(self._overhead)
        self._schedule = Schedule(self._budget)
        self._read(session)

    def _read(self, session: Any) -> None:
        assert self._budget is not None and self.watch is not None
        found: list[Finding] = []
        with self._guard(), self._budget.charge():
            fetches = [(reader.mean, reader.variance) for reader in self._readers]
            values = {
                reader.layer.name: Statistics(reader.layer.name, mean, variance)
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


def _reader(graph: Any, norm: BatchNormInfo, moves: bool) -> _Reader | None:
    mean, variance = (
        _read_tensor(graph, name) for name in (norm.moving_mean, norm.moving_variance)
    )
    if mean is None or variance is None:
        return None
    # Ops inside functions (`tf.cond`) share their names; the variables don't.
    return _Reader(WatchedLayer(norm.moving_mean, norm.decay, moves), mean, variance)


def _settled(graph: Any, session: Any, report: GraphReport, finding: Finding) -> Finding | None:
    """Training in inference mode (BN204) is a mistake with statistics at their initial values, and
    meant with any others: the session has them.
    """
    if finding.code != "BN204" or session is None:
        return finding
    norm = next((one for one in report.batch_norms if one.name == finding.location.node), None)
    reader = None if norm is None else _reader(graph, norm, moves=False)
    if reader is None:
        return finding
    try:
        values = session.run((reader.mean, reader.variance))
    except (RuntimeError, ValueError):  # closed, or not initialized
        return finding
    initial = Statistics("", *values).at_initial_values
    return replace(finding, confidence=Confidence.HIGH) if initial else None


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
