"""bnlint: find batch-norm training/eval mistakes in TensorFlow code, graphs and predictions."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnlint.runtime.inspect import inspect_graph, inspect_model
    from bnlint.runtime.monitor.callbacks import keras_callback
    from bnlint.runtime.monitor.hooks import BatchNormHook
    from bnlint.runtime.predictions.collapse import PredictionMonitor
    from bnlint.runtime.predictions.mode_gap import ModeGapMonitor
    from bnlint.runtime.predictions.shards import monitor_shards

try:
    __version__ = version("bnlint")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"

# Loaded on first use, so that `import bnlint` stays free of NumPy and TensorFlow.
_HOMES = {
    "ModeGapMonitor": "bnlint.runtime.predictions.mode_gap",
    "PredictionMonitor": "bnlint.runtime.predictions.collapse",
    "inspect_graph": "bnlint.runtime.inspect",
    "inspect_model": "bnlint.runtime.inspect",
    "keras_callback": "bnlint.runtime.monitor.callbacks",
    "monitor_shards": "bnlint.runtime.predictions.shards",
    "BatchNormHook": "bnlint.runtime.monitor.hooks",
}

__all__ = [
    "BatchNormHook",
    "ModeGapMonitor",
    "PredictionMonitor",
    "inspect_graph",
    "inspect_model",
    "keras_callback",
    "monitor_shards",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
