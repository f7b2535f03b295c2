"""Run a user's training script with the inspector attached (`bnlint run`).

TensorFlow and Keras are patched when the script imports them, not before, so that what the
script sets up first (environment variables, devices) still takes effect.
"""

from __future__ import annotations

import runpy
import sys
import sysconfig
import traceback
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import wrapt

from bnlint.findings import FileError, Finding, Location, Related, Report, sorted_findings
from bnlint.runtime.callbacks import keras_callback
from bnlint.runtime.graph_report import GraphReport
from bnlint.runtime.monitor_session import SessionMonitor

_OWN = str(Path(__file__).parent.parent)
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


@dataclass
class ScriptResult:
    """How a script ended, and what was found meanwhile.

    Attributes:
      exit_code: the script's own: what it passed to `sys.exit`, 0 at its end, 1 for an exception
        (its traceback is on stderr), 130 for an interrupt.
      report: findings, with the script's lines where they are known. `files` counts the graphs
        and models that were inspected.
      graphs: the inspections, one per graph or model trained.
    """

    exit_code: int = 0
    report: Report = field(default_factory=Report)
    graphs: list[GraphReport] = field(default_factory=list)


def run_script(
    script: Path,
    arguments: Iterable[str] = (),
    *,
    stop: bool = False,
    on_findings: Callable[[list[Finding]], None] = lambda findings: None,
) -> ScriptResult:
    """Run `script` as `__main__` with `sys.argv` = [script, *arguments].

    Args:
      script: the Python file to run. It runs in this process, with all its effects.
      arguments: its command line.
      stop: end the script (SystemExit, or Keras' `stop_training`) at the first finding.
      on_findings: called as soon as there is something to say, while the script runs.
    """
    inspector = _Inspector(str(script), stop, on_findings)
    inspector.attach()
    old_argv, old_path = sys.argv, list(sys.path)
    sys.argv = [str(script), *arguments]
    sys.path[:0] = [str(script.resolve().parent)]
    try:
        inspector.result.exit_code = _execute(script)
    finally:
        sys.argv, sys.path[:] = old_argv, old_path
        inspector.active = False
    inspector.result.report.findings = sorted_findings(inspector.result.report.findings)
    return inspector.result


def _execute(script: Path) -> int:
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        _print_traceback(error, script)
        return 1
    return 0


def _print_traceback(error: BaseException, script: Path) -> None:
    """The traceback as Python would print it without bnlint: from the script's frame on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != str(script):
        frames = frames.tb_next
    if frames is None:  # the script did not even start: a syntax error
        error = error.with_traceback(None)
    traceback.print_exception(type(error), error, frames)


class _Inspector:
    """What the patched `Session.run`, `Model.fit` and layer constructors call."""

    def __init__(
        self, script: str, stop: bool, on_findings: Callable[[list[Finding]], None]
    ) -> None:
        self.result = ScriptResult()
        self.active = True
        self._script = script
        self._stop = stop
        self._on_findings = on_findings
        self._monitors: list[tuple[Any, SessionMonitor]] = []
        self._created: weakref.WeakKeyDictionary[Any, Location] = weakref.WeakKeyDictionary()

    def attach(self) -> None:
        """Patch each library when it is imported (at once, if it is already)."""
        patches: list[tuple[str, str, Callable[..., Any]]] = [
            ("tensorflow.python.client.session", "BaseSession.run", self._session_run),
            ("keras.src.models.model", "Model.fit", self._fit),
            ("tf_keras.src.engine.training", "Model.fit", self._fit),
        ]
        for package in ("keras", "tf_keras"):
            module = f"{package}.src.layers.normalization.batch_normalization"
            patches.append((module, "BatchNormalization.__init__", self._layer_init))
        for module, name, wrapper in patches:
            wrapt.register_post_import_hook(_patcher(name, wrapper), module)

    def _session_run(self, wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        if self.active:
            self._before_run(session, *args, **kwargs)
        return wrapped(*args, **kwargs)

    def _before_run(
        self, session: Any, fetches: Any, feed_dict: Any = None, *_: Any, **__: Any
    ) -> None:
        monitor = self._monitor(session.graph)
        if monitor.report is not None:
            return
        try:
            monitor.before_run(session.graph, fetches, feed_dict)
        except Exception as error:  # the user's training must not die of our inspection
            self._failed(error)
            return
        if monitor.report is not None:
            self._add(monitor.report, lambda name: _op_line(session.graph, name))

    def _monitor(self, graph: Any) -> SessionMonitor:
        for known, monitor in self._monitors:
            if known is graph:
                return monitor
        monitor = SessionMonitor(lambda finding: None, path=self._script, overhead=0.0)
        self._monitors.append((graph, monitor))
        return monitor

    def _fit(self, wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
        if not self.active:
            return wrapped(*args, **kwargs)
        watcher = keras_callback(model, stop=self._stop, on_finding=lambda finding: None)
        callbacks = kwargs.get("callbacks")
        if hasattr(callbacks, "append") and not isinstance(callbacks, list):
            callbacks.append(watcher)  # a CallbackList
        else:
            own = (
                callbacks
                if isinstance(callbacks, list | tuple)
                else [callbacks]
                if callbacks
                else []
            )
            kwargs = {**kwargs, "callbacks": [*own, watcher]}
        # Told before the script goes on, also when `fit` raises.
        try:
            return wrapped(*args, **kwargs)
        finally:
            self._fitted(watcher)

    def _fitted(self, watcher: Any) -> None:
        if watcher.report is None:
            return
        report = replace(watcher.report, findings=list(watcher.findings))
        lines = {layer.name: place for layer, place in self._created.items()}
        self._add(report, lines.get)

    def _layer_init(self, wrapped: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        wrapped(*args, **kwargs)
        place = _user_line(sys._getframe(1)) if self.active else None
        if place is not None:
            self._created[layer] = place

    def _add(self, report: GraphReport, line_of: Callable[[str], Location | None]) -> None:
        result = self.result
        found = [_with_line(finding, line_of) for finding in report.findings]
        result.graphs.append(report)
        result.report.files += 1
        result.report.errors += report.errors
        result.report.findings += found
        if found:
            self._on_findings(found)
            if self._stop:
                raise SystemExit(1)

    def _failed(self, error: Exception) -> None:
        message = f"the inspection failed: {type(error).__name__}: {error}"
        if all(known.message != message for known in self.result.report.errors):
            self.result.report.errors.append(FileError(self._script, message))


def _patcher(name: str, wrapper: Callable[..., Any]) -> Callable[[Any], None]:
    def patch(module: Any) -> None:
        wrapt.wrap_function_wrapper(module, name, wrapper)

    return patch


def _with_line(finding: Finding, line_of: Callable[[str], Location | None]) -> Finding:
    """The finding, at the script's line that created its op or layer, where that is known."""

    def locate(place: Location) -> Location:
        line = line_of(place.node) if place.node else None
        return place if line is None else replace(line, node=place.node)

    related = tuple(Related(locate(item.location), item.message) for item in finding.related)
    return replace(finding, location=locate(finding.location), related=related)


def _op_line(graph: Any, name: str) -> Location | None:
    try:
        op = graph.get_operation_by_name(name.removeprefix("^").split(":")[0])
    except (KeyError, ValueError):
        return None
    frames = [(frame.filename, frame.lineno or 0) for frame in op.traceback or ()]
    own = [frame for frame in frames if _is_users(frame[0])]
    return _location(*own[-1]) if own else None


def _user_line(frame: FrameType | None) -> Location | None:
    while frame is not None and not _is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else _location(frame.f_code.co_filename, frame.f_lineno)


def _is_users(path: str) -> bool:
    """Whether a file is the user's, not a library's, Python's or bnlint's."""
    return not path.startswith(("<", _OWN, *_LIBRARIES))


def _location(path: str, line: int) -> Location:
    """Relative to the working directory if below it, as the user would name it."""
    full = Path(path).resolve()
    here = Path.cwd()
    shown = full.relative_to(here) if full.is_relative_to(here) else full
    return Location(str(shown), line=line, column=1)
