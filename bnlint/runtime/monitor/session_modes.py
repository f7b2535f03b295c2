"""In which mode the runs of a session use a graph's batch norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Confidence, Finding
from bnlint.runtime.graph import checks
from bnlint.runtime.graph.batch_norms import BatchNorm, find_batch_norms
from bnlint.runtime.graph.build import from_graph
from bnlint.runtime.graph.table import Graph
from bnlint.runtime.graph.train_ops import Optimization, find_optimization

_MAX_READS = 16  # of a graph that still grows


@dataclass
class _View:
    """A graph as it was read."""

    table: Graph
    batch_norms: list[BatchNorm]
    optimization: Optimization


@dataclass(frozen=True)
class Run:
    """What some fetches run.

    Attributes:
      writes: ids of the ops that train.
      training: the batch norms that run in training mode and whose updates were not asked for.
    """

    writes: frozenset[int] = frozenset()
    training: tuple[BatchNorm, ...] = ()


@dataclass
class SessionModes:
    """Tells evaluations in training mode from training steps.

    Args:
      path: what findings call the graph.

    Attributes:
      steps: training steps so far.
    """

    path: str
    steps: int = 0
    _view: _View | None = None
    _reads: int = 0
    _batch: list[Any] = field(default_factory=list)
    _pending: dict[str, tuple[tuple[BatchNorm, ...], int]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def look(self, graph: Any, operations: Sequence[Any], feeds: Any) -> Run:
        """What these fetches run when `feeds` are fed."""
        names = [op.name for op in operations]
        view = self._view
        if view is None or any(("", name) not in view.table.index for name in names):
            view = self._read(graph)
        if view is None:
            return Run()
        numbers = [view.table.index["", name] for name in names if ("", name) in view.table.index]
        run = view.table.reach(numbers)
        writes = frozenset(one for one in view.optimization.writes if run[one])
        step = checks.Step((), feeds=switches(feeds))
        asked = set(numbers)
        training = tuple(
            one
            for one in view.batch_norms
            if checks.runs_in_training_mode(view.table, one, step, run)
            and not asked.intersection(one.update_ops)
        )
        return Run(writes, () if _gathers(view.table, numbers, training) else training)

    def _read(self, graph: Any) -> _View | None:
        if self._reads < _MAX_READS:
            self._reads += 1
            table = from_graph(graph)
            batch_norms = find_batch_norms(table)
            updates = {op for one in batch_norms for op in one.update_ops}
            self._view = _View(table, batch_norms, find_optimization(table, updates))
        return self._view

    def trained(self, feeds: Any) -> None:
        """A training step with these feeds begins."""
        self.steps += 1
        self._batch = _arrays(feeds)

    def evaluated(self, run: Run, feeds: Any) -> list[Finding]:
        """A run without training begins. Metrics of the batch that was just trained on are no
        evaluation.
        """
        if not run.training:
            return []
        fed = _arrays(feeds)
        if any(one is old for one in fed for old in self._batch):
            return []
        key = str(run.training[0].node)
        if not fed or not self.steps:
            self._pending[key] = (run.training, self.steps)
            return []
        return self._finding(run.training, Confidence.MEDIUM)

    def finish(self) -> list[Finding]:
        """What only the end shows: runs in training mode that no training step followed."""
        found: list[Finding] = []
        for members, step in self._pending.values():
            if step == self.steps:
                found += self._finding(members, Confidence.LOW)
        return found

    def _finding(self, members: Sequence[BatchNorm], confidence: Confidence) -> list[Finding]:
        assert self._view is not None
        table = self._view.table
        fresh = [one for one in members if table.label(one.node) not in self._told]
        self._told.update(table.label(one.node) for one in fresh)
        return [checks.evaluated(table, fresh, self.path, confidence)] if fresh else []


def switches(feeds: Any) -> dict[str, Any]:
    """What is fed, by op name."""
    if not isinstance(feeds, Mapping):
        return {}
    return {
        str(getattr(key, "name", key)).split(":")[0]: value
        for key, value in feeds.items()
        if isinstance(getattr(key, "name", key), str)
    }


def _arrays(feeds: Any) -> list[Any]:
    """The fed values that may be a batch: no numbers, flags and strings."""
    values = feeds.values() if isinstance(feeds, Mapping) else ()
    return [one for one in values if hasattr(one, "__len__") and not isinstance(one, str | bytes)]


def _gathers(table: Graph, numbers: Sequence[int], training: Sequence[BatchNorm]) -> bool:
    """The fetches are groups of updates: statistics are estimated anew."""
    updates = {op for one in training for op in one.update_ops}
    return bool(updates) and all(
        updates.intersection(table.nodes[number].controls) for number in numbers
    )
