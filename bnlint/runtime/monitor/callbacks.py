"""A callback for `Model.fit` of Keras 3 (TensorFlow backend) and tf-keras."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bnlint.findings import Confidence, Finding
from bnlint.runtime.keras_model import batch_norm_layers, overridden_by_fit, stored_statistics
from bnlint.runtime.monitor.statistics import (
    OverheadBudget,
    Schedule,
    StatisticsWatch,
    WatchedLayer,
    spread,
    warn,
    warn_failure,
)
from bnlint.runtime.report import GraphReport


def keras_callback(
    model: Any,
    *,
    stop: bool = False,
    on_finding: Callable[[Finding], None] = warn,
    overhead: float = 0.005,
) -> Any:
    """A Keras `Callback` that checks batch norm once at the start and watches it in `fit`.

    At the start it inspects the model (`bnlint.inspect_model`). Then it reads the moving statistics
    of up to 16 batch-norm layers now and then: NaN, negative variances, statistics that never
    move, and, at the end, statistics that did not catch up with the batches. Its attributes
    `report` (a GraphReport) and `findings` (a list of Finding) can be read at any time. Should
    the inspection itself fail, training goes on, and `failure` holds the exception.

    Args:
      model: the model that will be fitted; it decides between Keras 3 and tf-keras.
      stop: set `model.stop_training` at the first finding.
      on_finding: called with every finding; the default issues a `BatchNormWarning`.
      overhead: largest share of the training time to spend on reading statistics; 0 for the
        check at the start only.

    Raises:
      TypeError: `model` is no Keras model.
    """
    return _callback_class(_keras_of(model))(stop, on_finding, overhead)


def _keras_of(model: Any) -> str:
    for base in type(model).__mro__:
        package = base.__module__.split(".")[0]
        if package in ("keras", "tf_keras") and hasattr(model, "fit"):
            return package
    raise TypeError(f"not a Keras model: {type(model).__name__}")


@functools.cache
def _callback_class(package: str) -> Any:
    """The callback, derived from `keras.callbacks.Callback` or `tf_keras.callbacks.Callback`."""
    base = importlib.import_module(package).callbacks.Callback
    return type("BatchNormCallback", (_BatchNormWatcher, base), {"__doc__": keras_callback.__doc__})


class _BatchNormWatcher:
    """The callback's methods; `model` is set by Keras."""

    model: Any
    _supports_tf_logs = True  # tf-keras: don't copy the metrics off the device for us

    def __init__(self, stop: bool, on_finding: Callable[[Finding], None], overhead: float) -> None:
        super().__init__()
        self.report: GraphReport | None = None
        self.watch: StatisticsWatch | None = None
        self.findings: list[Finding] = []
        self._stop = stop
        self._on_finding = on_finding
        self._overhead = overhead
        self._layers: dict[str, Any] = {}
        self._budget: OverheadBudget | None = None
        self._schedule: Schedule | None = None
        self._step = 0
        self._last_batch = -1
        self.failure: Exception | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Inspect the model, if it is built already."""
        self._step, self.watch, self._schedule = 0, None, None
        if self.model.built:
            self._start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Batches are numbered from 0 in every epoch."""
        self._last_batch = -1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Read the statistics, if that is due."""
        self._step += batch - self._last_batch  # more than 1 with `steps_per_execution`
        self._last_batch = batch
        if self.report is None:
            self._start()
        elif self._schedule is not None and self._schedule.due():
            self._read()

    def on_train_end(self, logs: Any = None) -> None:
        """Read the statistics a last time."""
        if self.watch is not None and self._step:
            self._read()
            self._tell(self.watch.conclude())

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the user's training must not die of our inspection
            self.failure = error
            self.watch = self._schedule = None
            self.report = self.report or GraphReport()
            warn_failure(error)

    def _start(self) -> None:
        found: list[Finding] = []
        with self._guard():
            if self.report is None:
                from bnlint.runtime.inspect import inspect_model

                self.report = inspect_model(self.model, path=self.model.name)
                # Training goes on: whether it is long enough shows at its end. And `fit` overrides
                # the flag that could go wrong elsewhere.
                found = [one for one in self.report.findings if not _is_about_later(one)]
                found += overridden_by_fit(self.model, self.model.name)
                self.report.findings = found
            if self._overhead > 0:
                self._start_watching()
        self._tell(found)

    def _start_watching(self) -> None:
        found = named_layers(self.model)
        self._layers = {name: found[name] for name in spread(list(found))}
        if not self._layers:
            return
        watched = [_watched(name, layer) for name, layer in self._layers.items()]
        self.watch = StatisticsWatch(watched, self.model.name, "BN209")
        self._budget = OverheadBudget(self._overhead)
        self._schedule = Schedule(self._budget)
        self._read()

    def _read(self) -> None:
        assert self._budget is not None and self.watch is not None
        found: list[Finding] = []
        with self._guard(), self._budget.charge():
            values = {name: stored_statistics(layer) for name, layer in self._layers.items()}
            found = self.watch.observe(self._step, values)
        self._tell(found)

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.findings.append(finding)
            self._on_finding(finding)
        if self._stop and self.findings:
            self.model.stop_training = True


def _is_about_later(finding: Finding) -> bool:
    return finding.code == "BN303" or (
        finding.code == "BN209" and finding.confidence is Confidence.LOW
    )


def named_layers(model: Any) -> dict[str, Any]:
    """A model's built batch norms by name. Those of nested models may share one: it is numbered."""
    found: dict[str, Any] = {}
    for layer in batch_norm_layers(model):
        if getattr(layer, "moving_mean", None) is None:
            continue
        name, number = layer.name, 2
        while name in found:
            name, number = f"{layer.name}#{number}", number + 1
        found[name] = layer
    return found


def _watched(name: str, layer: Any) -> WatchedLayer:
    renorm = getattr(layer, "renorm", False)  # tf-keras: its updates are no plain average
    decay = None if renorm else float(layer.momentum)
    return WatchedLayer(name, decay, moves=bool(layer.trainable))
