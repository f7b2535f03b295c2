"""Run one program in this process and measure what its evaluation sees.

The programs know nothing of this: while they run, every evaluation (a `Session.run` or an eager
Keras call that does not train) is repeated for the inputs of its batch norms.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import wrapt

from bnlint.reproduce.outcome import Layer
from bnlint.runtime.moving_statistics import Moments, Statistics

RESULTS = "results.npz"
MEASURED = "measured.json"
OUTPUT = "output.txt"
# One thread each: as many programs run as there are CPUs, and sums come out alike on all machines.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
_KERAS = "keras.src.layers.normalization.batch_normalization"


def run_program(script: str, folder: str) -> None:
    """Run `script` in `folder`, with the runtime inspector attached, and exit.

    The script writes RESULTS there; this writes MEASURED (batch norms and finding codes), and to
    OUTPUT what was printed. The process ends with the script's exit code.
    """
    os.chdir(folder)
    with open(OUTPUT, "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(_ENVIRONMENT)
    # Children start with a safe path (see runner.py); programs import what is beside them.
    sys.path.insert(0, str(Path(script).parent))
    from bnlint.runtime.monitor.run_script import run_script

    evaluations = Evaluations()
    evaluations.attach()
    result = run_script(Path(script))
    evaluations.active = False
    codes = {finding.code for finding in result.report.findings} | set(_stored_findings())
    measured = {
        "layers": [layer.to_dict() for layer in evaluations.layers()],
        "findings": sorted(codes),
        "errors": [error.message for error in result.report.errors],
    }
    Path(MEASURED).write_text(json.dumps(measured), encoding="utf-8")
    sys.exit(result.exit_code)


def _stored_findings() -> Iterable[str]:
    """Codes of what `bnlint inspect` and `bnlint predictions` say about what the program wrote."""
    from bnlint.runtime.inspect import inspect_path
    from bnlint.runtime.predictions.check import CheckOptions, check_predictions

    for path in ("model.ckpt", "model.keras"):
        if Path(path).exists() or Path(f"{path}.index").exists():
            yield from (finding.code for finding in inspect_path(path).findings)
    if Path(RESULTS).exists():
        options = CheckOptions(columns=("predictions",), labels="labels")
        yield from (
            finding.code for finding in check_predictions([Path(RESULTS)], options).findings
        )


class Evaluations:
    """The batch norms of the latest evaluation: their moving statistics, and their inputs'."""

    def __init__(self) -> None:
        self.active = True
        self._stored: dict[str, Statistics] = {}
        self._moments: dict[str, Moments] = {}
        self._source: Any = None
        self._graphs: dict[int, _Graph] = {}

    def attach(self) -> None:
        """Follow TensorFlow's sessions and Keras' batch norm, once they are imported."""

        def sessions(module: Any) -> None:
            wrapt.wrap_function_wrapper(module, "BaseSession.run", self._session_run)

        def tf_keras(module: Any) -> None:
            wrapt.wrap_function_wrapper(module, "BatchNormalizationBase.call", self._keras_call)

        def keras(module: Any) -> None:
            wrapt.wrap_function_wrapper(module, "BatchNormalization.call", self._keras_call)

        wrapt.register_post_import_hook(sessions, "tensorflow.python.client.session")
        wrapt.register_post_import_hook(keras, _KERAS)
        wrapt.register_post_import_hook(tf_keras, f"tf_{_KERAS}")

    def layers(self) -> list[Layer]:
        """What was measured, in the order in which the graph or model has the batch norms."""
        return [
            Layer.of(stored, self._moments[name].statistics())
            for name, stored in self._stored.items()
        ]

    def _session_run(self, wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        if self.active:
            self.active = False  # what follows runs the session too
            try:
                self._measure(session, *args, **kwargs)
            finally:
                self.active = True
        return result

    def _measure(self, session: Any, fetches: Any, feed_dict: Any = None, *_: Any) -> None:
        if not feed_dict:
            return
        known = self._graphs.setdefault(id(session.graph), _Graph(session.graph))
        found = known.evaluated(fetches)
        if not found:
            return
        self._begin(session)
        values = session.run([tensor for _, tensor in found], feed_dict)
        for (one, _), value in zip(found, values, strict=True):
            self._add(known.stored(session, one), value)

    def _keras_call(self, wrapped: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs["inputs"]
        if self.active and hasattr(inputs, "numpy"):  # not while a tf.function is traced
            from bnlint.runtime.keras_model import stored_statistics

            self._begin("keras")
            self._add(stored_statistics(layer), inputs.numpy())
        return wrapped(*args, **kwargs)

    def _begin(self, source: Any) -> None:
        """A later session's evaluation replaces an earlier one's."""
        if source is not self._source:
            self._source = source
            self._stored.clear()
            self._moments.clear()

    def _add(self, stored: Statistics, values: Any) -> None:
        import numpy as np

        from bnlint.runtime.graph.measure import channel_axis

        axis = channel_axis(values.shape, stored.mean.size)
        if axis is None:
            return
        rows = np.moveaxis(np.asarray(values, np.float64), axis, -1).reshape(-1, stored.mean.size)
        self._stored[stored.name] = stored
        moments = self._moments.setdefault(stored.name, Moments())
        moments.add(len(rows), rows.mean(axis=0), rows.var(axis=0))


class _Graph:
    """The batch norms of one tf.Graph, read when it is first evaluated."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._table: Any = None
        self._batch_norms: list[Any] = []
        self._known: dict[frozenset[str], list[tuple[Any, Any]]] = {}

    def evaluated(self, fetches: Any) -> list[tuple[Any, Any]]:
        """(batch norm, tensor it normalizes) of a run that trains nothing; else nothing."""
        from bnlint.runtime.graph.train_ops import OPTIMIZER_OP
        from bnlint.runtime.monitor.session import fetched_operations, reached

        operations = fetched_operations(fetches, self._graph)
        key = frozenset(op.name for op in operations)
        if key not in self._known:
            trains = any(OPTIMIZER_OP.fullmatch(op.type) for op in reached(operations))
            self._known[key] = [] if trains else self._reached(sorted(key))
        return self._known[key]

    def _reached(self, names: list[str]) -> list[tuple[Any, Any]]:
        from bnlint.runtime.graph.batch_norms import find_batch_norms
        from bnlint.runtime.graph.build import from_graph

        if self._table is None:
            self._table = from_graph(self._graph)
            self._batch_norms = find_batch_norms(self._table)
        table = self._table
        run = table.reach([table.find(name) for name in names])
        return [
            (one, self._graph.get_tensor_by_name(table.tensor_name(table.strip(one.input))))
            for one in self._batch_norms
            if set(one.moving) == {"mean", "variance"} and any(run[node] for node in one.nodes)
        ]

    def stored(self, session: Any, one: Any) -> Statistics:
        """The moving statistics now, by the name that their variables share."""
        from bnlint.runtime.graph.measure import stored_statistics

        found = stored_statistics(session, self._graph, self._table, one)
        found.name = self._table.nodes[one.moving["mean"]].name.rpartition("/")[0]
        return found
