"""bnlint: find batch-norm training/eval mistakes in TensorFlow code, graphs and predictions."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bnlint")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"
