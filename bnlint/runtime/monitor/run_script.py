"""Run a user's training script with the inspector attached (`bnlint run`).

TensorFlow and Keras are patched when the script imports them, not before, so that what the
script sets up first (environment variables, devices) still takes effect.
"""

from __future__ import annotations

import atexit
import builtins
import importlib.machinery
import io
import os
import runpy
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import wrapt

from bnlint.findings import FileError, Finding, Location, Related, Report, sorted_findings
from bnlint.runtime.monitor.callbacks import keras_callback, named_layers
from bnlint.runtime.monitor.eager import EagerModes
from bnlint.runtime.monitor.session import SessionMonitor
from bnlint.runtime.monitor.statistics import warn
from bnlint.runtime.report import GraphReport

_LIBRARIES = tuple(
    os.path.join(folder, "")
    for folder in {
        str(Path(__file__).parents[2]),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
_NORMALIZATION = "src.layers.normalization.batch_normalization"
_TF_KERAS_OPTIMIZERS = "tf_keras.src.optimizers"
_AUTOGRAPH = "__autograph_generated_file"
_LOST_UPDATES = ("BN101", "BN105", "BN107")


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
      stop: end the script at the first finding, by a SystemExit inside its training step.
      on_findings: called as soon as there is something to say, while the script runs.
    """
    file = _main_file(script)
    folder = str(script.resolve().parent)  # as Python does
    run = _Program(str(script), folder, lambda: _run_as_main(file), lambda path: path == file)
    return _run(run, arguments, stop, on_findings)


def run_module(
    module: str,
    arguments: Iterable[str] = (),
    *,
    stop: bool = False,
    on_findings: Callable[[list[Finding]], None] = lambda findings: None,
) -> ScriptResult:
    """Run a module or package as `python -m module` does; otherwise as `run_script`."""

    def start() -> None:
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    return _run(_Program(module, os.getcwd(), start, _is_users), arguments, stop, on_findings)


@dataclass(frozen=True)
class _Program:
    """What is run: its name on the command line, the first folder of its import path, how it is
    started, and whether a file is the first of it in a traceback.
    """

    name: str
    folder: str
    start: Callable[[], None]
    is_first: Callable[[str], bool]


def _run(
    program: _Program,
    arguments: Iterable[str],
    stop: bool,
    on_findings: Callable[[list[Finding]], None],
) -> ScriptResult:
    inspector = _Inspector(program.name, stop, on_findings)
    inspector.attach()
    old_argv, old_path = sys.argv, list(sys.path)
    sys.argv = [program.name, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = program.folder
    try:
        inspector.result.exit_code = _execute(program)
    finally:
        sys.argv, sys.path[:] = old_argv, old_path
        inspector.active = False
    inspector.conclude()
    inspector.result.report.findings = sorted_findings(inspector.result.report.findings)
    return inspector.result


class Attached:
    """What `bnlint.attach` has found so far.

    Attributes:
      findings: every finding.
    """

    def __init__(self, on_finding: Callable[[Finding], None]) -> None:
        def tell(found: list[Finding]) -> None:
            for one in found:
                self.findings.append(one)
                on_finding(one)

        self.findings: list[Finding] = []
        self._inspector = _Inspector("<notebook>", False, tell)
        self._inspector.attach()
        atexit.register(self.conclude)

    def conclude(self) -> None:
        """Say what only the end of a training shows, and stop watching."""
        if self._inspector.active:
            self._inspector.conclude()


def attach(on_finding: Callable[[Finding], None] = warn) -> Attached:
    """Check every training that follows in this process, as `bnlint run` does: one line at the top
    of a notebook.

    Args:
      on_finding: called with every finding; the default issues a `BatchNormWarning`.
    """
    return Attached(on_finding)


def _execute(program: _Program) -> int:
    try:
        program.start()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return int(end.code or 0)
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        _show(error, program)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _run_as_main(file: str) -> None:
    """As `python file` does. (`runpy.run_path` differs in `sys.argv[0]`.)"""
    with io.open_code(file) as stream:
        code = compile(stream.read(), file, "exec", dont_inherit=True)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=file, __builtins__=builtins, __cached__=None)
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", file)
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = main
    try:
        exec(code, main.__dict__)
    finally:
        sys.modules["__main__"] = ours


def _main_file(script: Path) -> str:
    """`__file__` of a script: Python makes it absolute, and keeps symbolic links."""
    return os.path.abspath(script)


def _show(error: BaseException, program: _Program) -> None:
    """As Python shows it without bnlint: the traceback from the script's frame on."""
    frames = error.__traceback__
    while frames is not None and not program.is_first(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    # There are none where the script did not even start: a syntax error.
    sys.excepthook(type(error), error.with_traceback(frames), frames)


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
        self._monitors: dict[int, _Watched] = {}
        self._created: weakref.WeakKeyDictionary[Any, Location] = weakref.WeakKeyDictionary()
        self._busy = False
        self._eager = EagerModes(self._tell, _user_line)

    def attach(self) -> None:
        """Patch each library when it is imported (at once, if it is already)."""
        session = "tensorflow.python.client.session"
        patches: list[tuple[str, str, Callable[..., Any]]] = [
            (session, "BaseSession.run", self._session_run),
            # Keras in graph mode (tf-keras with eager execution disabled) trains by these.
            (session, "BaseSession._make_callable_from_options", self._make_callable),
            ("keras.src.models.model", "Model.fit", self._fit),
            ("tf_keras.src.engine.training", "Model.fit", self._fit),
        ]
        for package in ("keras", "tf_keras"):
            module = f"{package}.{_NORMALIZATION}"
            patches.append((module, "BatchNormalization.__init__", self._layer_init))
        patches += [
            (f"keras.{_NORMALIZATION}", "BatchNormalization.call", self._layer_call),
            (f"tf_keras.{_NORMALIZATION}", "BatchNormalizationBase.call", self._layer_call),
            ("keras.src.optimizers.base_optimizer", "BaseOptimizer.apply", self._apply),
            (f"{_TF_KERAS_OPTIMIZERS}.optimizer", "_BaseOptimizer.apply_gradients", self._apply_to),
            (
                f"{_TF_KERAS_OPTIMIZERS}.legacy.optimizer_v2",
                "OptimizerV2.apply_gradients",
                self._apply_to,
            ),
        ]
        for module, name, wrapper in patches:
            wrapt.register_post_import_hook(_patcher(name, wrapper), module)

    def _session_run(self, wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        if self.active and not self._busy:
            self._before_run(session, *args, **kwargs)
        return wrapped(*args, **kwargs)

    def _make_callable(self, wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        if self.active and args:
            self._before_run(session, [*args[0].fetch, *args[0].target])
        return wrapped(*args, **kwargs)

    def _before_run(
        self, session: Any, fetches: Any, feed_dict: Any = None, *_: Any, **__: Any
    ) -> None:
        graph = session.graph
        watched = self._monitors.get(id(graph))
        if watched is None:
            watched = self._monitors[id(graph)] = _Watched(graph, self._script)
        monitor = watched.monitor
        if monitor.failure is not None:
            return
        self._busy = True  # the monitor may read variables
        try:
            monitor.before_run(graph, fetches, feed_dict, session)
        finally:
            self._busy = False
        if monitor.failure is not None:
            self._failed(monitor.failure)
        if monitor.report is not None and not watched.counted:
            watched.counted = True
            self._count(monitor.report)
        self._tell_fresh(watched)

    def _tell_fresh(self, watched: _Watched) -> None:
        fresh = list(watched.fresh)
        watched.fresh.clear()
        if fresh:
            report = watched.monitor.report or GraphReport()
            self._tell([_with_op_lines(finding, watched.graph, report) for finding in fresh])

    def conclude(self) -> None:
        """What only the end of the script shows."""
        self.active = False
        for watched in self._monitors.values():
            watched.monitor.conclude()
            self._tell_fresh(watched)
        self._eager.finish()
        if self._eager.steps and self._eager.layers and not self.result.report.files:
            self.result.report.files = 1

    def _layer_call(self, wrapped: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        if self.active:
            with self._watching():
                given = args[1] if len(args) > 1 else kwargs.get("training")
                self._eager.called(layer, given)
        return wrapped(*args, **kwargs)

    def _apply(self, wrapped: Any, optimizer: Any, args: Any, kwargs: Any) -> Any:
        """Keras 3: `apply(grads, trainable_variables=None)`."""
        if self.active:
            with self._watching():
                given = args[1] if len(args) > 1 else kwargs.get("trainable_variables")
                self._eager.applied(optimizer._trainable_variables if given is None else given)
        return wrapped(*args, **kwargs)

    def _apply_to(self, wrapped: Any, optimizer: Any, args: Any, kwargs: Any) -> Any:
        """tf-keras: `apply_gradients(grads_and_vars, ...)`, which may be a `zip`."""
        if self.active and args:
            args = (list(args[0]), *args[1:])
            with self._watching():
                self._eager.applied([variable for _, variable in args[0]])
        return wrapped(*args, **kwargs)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """The training must not die of what watches it."""
        try:
            yield
        except Exception as error:
            self.active = False
            self._failed(error)

    def _fit(self, wrapped: Any, model: Any, args: Any, kwargs: Any) -> Any:
        if not self.active or not _runs_eagerly():
            return wrapped(*args, **kwargs)
        watcher = keras_callback(model, on_finding=lambda finding: self._tell([locate(finding)]))

        def locate(finding: Finding) -> Finding:
            return _with_lines(finding, self._layer_lines(watcher.model).get)

        watcher.set_model(model)  # Keras does not, for a CallbackList
        args, kwargs = _with_callback(args, kwargs, watcher)
        try:
            return wrapped(*args, **kwargs)
        finally:  # also when `fit` raises
            if watcher.failure is not None:
                self._failed(watcher.failure)
            elif watcher.report is not None:
                self._count(replace(watcher.report, findings=list(watcher.findings)))

    def _layer_init(self, wrapped: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        wrapped(*args, **kwargs)
        place = _user_line(sys._getframe(1)) if self.active else None
        if place is not None:
            self._created[layer] = place

    def _layer_lines(self, model: Any) -> dict[str, Location]:
        """The user's line that made each batch-norm layer, by the layer's name."""
        layers = named_layers(model)
        return {
            name: self._created[layer] for name, layer in layers.items() if layer in self._created
        }

    def _count(self, report: GraphReport) -> None:
        self.result.graphs.append(report)
        self.result.report.files += 1
        self.result.report.errors += report.errors

    def _tell(self, findings: list[Finding]) -> None:
        known = {_key(one) for one in self.result.report.findings}
        fresh = [one for one in findings if _key(one) not in known]
        if not fresh:  # `fit` in a loop
            return
        self.result.report.findings += fresh
        self._on_findings(fresh)
        if self._stop:
            raise SystemExit(1)

    def _failed(self, error: Exception) -> None:
        message = f"the inspection failed: {type(error).__name__}: {error}"
        if all(known.message != message for known in self.result.report.errors):
            self.result.report.errors.append(FileError(self._script, message))


def _key(finding: Finding) -> tuple[str, object]:
    """What a finding is about: a layer in `fit`, seen by the callback and by its calls, is one."""
    place = finding.location
    return finding.code, place.node if finding.code == "BN209" and place.node else place


def _patcher(name: str, wrapper: Callable[..., Any]) -> Callable[[Any], None]:
    def patch(module: Any) -> None:
        wrapt.wrap_function_wrapper(module, name, wrapper)

    return patch


class _Watched:
    """A graph that sessions run, and what its monitor found but has not told yet."""

    def __init__(self, graph: Any, path: str) -> None:
        self.graph = graph  # kept: another graph must not get its id
        self.fresh: list[Finding] = []
        self.counted = False
        self.monitor = SessionMonitor(self.fresh.append, path=path, overhead=0.0)


def _runs_eagerly() -> bool:
    """Keras in TensorFlow's graph mode trains through a session, which is watched instead."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is None or tensorflow.executing_eagerly()


def _with_callback(
    args: tuple[Any, ...], kwargs: dict[str, Any], watcher: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of `Model.fit` with a callback more."""
    position = 5  # fit(x, y, batch_size, epochs, verbose, callbacks, ...)
    given = args[position] if len(args) > position else kwargs.get("callbacks")
    members = getattr(given, "callbacks", None)
    if isinstance(members, list):  # a CallbackList
        members.append(watcher)
        return args, kwargs
    if given is not None and not isinstance(given, list | tuple):
        given = [given]
    both = [*(given or ()), watcher]
    if len(args) > position:
        return (*args[:position], both, *args[position + 1 :]), kwargs
    return args, {**kwargs, "callbacks": both}


def _with_lines(finding: Finding, line_of: Callable[[str], Location | None]) -> Finding:
    """The finding, at the user's line that created its op or layer, where that is known."""

    def locate(place: Location) -> Location:
        line = line_of(place.node) if place.node else None
        return place if line is None else replace(line, node=place.node)

    related = tuple(Related(locate(item.location), item.message) for item in finding.related)
    return replace(finding, location=locate(finding.location), related=related)


def _with_op_lines(finding: Finding, graph: Any, report: GraphReport) -> Finding:
    """Also names the line that made the train op, where that is what is wrong."""
    # An op in a function's body (`tf.cond`) has no line in the graph, but its variables have.
    variables = {
        f"{norm.function}/{norm.name}": norm.moving_mean
        for norm in report.batch_norms
        if norm.function
    }
    located = _with_lines(finding, lambda name: _op_line(graph, variables.get(name, name)))
    if finding.code not in _LOST_UPDATES:
        return located
    related = tuple(
        Related(replace(line, node=name), "the train op is made here")
        for name in report.train_ops
        if repr(name) in finding.message and (line := _op_line(graph, name)) is not None
    )
    return replace(located, related=(*related, *located.related))


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
    if frame is None:
        return None
    if os.path.basename(frame.f_code.co_filename).startswith(_AUTOGRAPH):
        return _line_before_autograph()
    return _location(frame.f_code.co_filename, frame.f_lineno)


def _line_before_autograph() -> Location | None:
    """AutoGraph writes a `tf.function` anew; TensorFlow's own stack has the lines of before."""
    frames = sys.modules["tensorflow.python.util.tf_stack"].extract_stack()
    own = [frame for frame in frames if _is_users(frame.filename)]
    return _location(own[-1].filename, own[-1].lineno) if own else None


def _is_users(path: str) -> bool:
    """Whether a file is the user's, not a library's, Python's or bnlint's."""
    parts = Path(path).parts
    installed = "site-packages" in parts or "dist-packages" in parts
    return not installed and not path.startswith(("<", *_LIBRARIES))


def _location(path: str, line: int) -> Location:
    """Relative to the working directory if below it, as the user would name it."""
    full = Path(path).resolve()
    here = Path.cwd()
    shown = full.relative_to(here) if full.is_relative_to(here) else full
    return Location(str(shown), line=line, column=1)
