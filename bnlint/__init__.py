"""bnlint: find batch-norm training/eval mistakes in TensorFlow code, graphs and predictions."""

# Nothing is imported here: `python -m bnlint` passes through before it can take the current folder
# off the import path.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bnlint.runtime.inspect import inspect_graph, inspect_model
    from bnlint.runtime.monitor.callbacks import keras_callback
    from bnlint.runtime.monitor.hooks import BatchNormHook
    from bnlint.runtime.monitor.run_script import attach
    from bnlint.runtime.predictions.collapse import PredictionMonitor
    from bnlint.runtime.predictions.mode_gap import ModeGapMonitor
    from bnlint.runtime.predictions.shards import monitor_shards

    __version__: str

# Loaded on first use, so that `import bnlint` stays free of NumPy and TensorFlow.
_HOMES = {
    "ModeGapMonitor": "bnlint.runtime.predictions.mode_gap",
    "PredictionMonitor": "bnlint.runtime.predictions.collapse",
    "inspect_graph": "bnlint.runtime.inspect",
    "inspect_model": "bnlint.runtime.inspect",
    "keras_callback": "bnlint.runtime.monitor.callbacks",
    "monitor_shards": "bnlint.runtime.predictions.shards",
    "BatchNormHook": "bnlint.runtime.monitor.hooks",
    "attach": "bnlint.runtime.monitor.run_script",
}

__all__ = [
    "BatchNormHook",
    "ModeGapMonitor",
    "PredictionMonitor",
    "attach",
    "inspect_graph",
    "inspect_model",
    "keras_callback",
    "monitor_shards",
]


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        from bnlint.version import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
