"""The one place where the reference slim imports TensorFlow."""

from __future__ import annotations

try:
    import tensorflow.compat.v1 as tf
except ImportError as error:
    raise ImportError(
        'bnlint.slim needs TensorFlow 2.16 or later: pip install "bnlint[runtime]"'
    ) from error

__all__ = ["tf"]
