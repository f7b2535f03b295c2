"""A hook for `tf.compat.v1.train.MonitoredTrainingSession`, `tf.estimator` and slim's loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bnlint.findings import Finding
from bnlint.runtime.monitor.session import SessionMonitor
from bnlint.runtime.monitor.statistics import warn
from bnlint.runtime.report import GraphReport


class BatchNormHook(tf.compat.v1.train.SessionRunHook):
    """Checks batch norm at the first run of the train op, and watches it while training goes on.

    The first training step inspects the graph (`bnlint.inspect_graph`) with what is really
    fetched and fed. Afterwards the moving statistics of up to 16 batch norms are read now and
    then: NaN, negative variances, statistics that never move, and, at the end, statistics that
    did not catch up with the batches. Nothing is added to the graph.

    Args:
      train_op: the train op (op, tensor or name). None: whatever runs an optimizer op.
      stop: request a stop of the training at the first finding.
      on_finding: called with every finding; the default issues a `BatchNormWarning`.
      overhead: largest share of the training time to spend on reading statistics; 0 for the
        check at the first step only.
    """

    def __init__(
        self,
        train_op: Any = None,
        *,
        stop: bool = False,
        on_finding: Callable[[Finding], None] = warn,
        overhead: float = 0.005,
    ) -> None:
        self._monitor = SessionMonitor(on_finding, train_op, overhead=overhead)
        self._stop = stop
        self._training = False

    @property
    def report(self) -> GraphReport | None:
        """The inspection of the graph; None before the first training step."""
        return self._monitor.report

    @property
    def findings(self) -> list[Finding]:
        """Every finding so far: of the inspection, and of the statistics."""
        return list(self._monitor.findings)

    def before_run(self, run_context: Any) -> None:
        """Inspect at the first training step."""
        args, session = run_context.original_args, run_context.session
        self._training = self._monitor.before_run(
            session.graph, args.fetches, args.feed_dict, session
        )

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Read the statistics if due, and stop if asked to."""
        if self._training:
            self._monitor.after_run(run_context.session)
        if self._stop and self._monitor.findings:
            run_context.request_stop()

    def end(self, session: Any) -> None:
        """Read the statistics a last time."""
        self._monitor.finish(session)
