"""Initial weights: Xavier (Glorot and Bengio 2010) and variance scaling (He et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf

_MODES = ("FAN_IN", "FAN_OUT", "FAN_AVG")

# Ratio of the variances of a normal and of a normal truncated at two standard
# deviations, as slim rounds it.
_TRUNCATION_FACTOR = 1.3


def xavier_initializer(
    uniform: bool = True, seed: int | None = None, dtype: Any = tf.float32
) -> Callable[..., Any]:
    """Initializer with variance 2 / (fan_in + fan_out).

    Raises:
      TypeError: `dtype` is not a floating point type.
    """
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed, dtype)


xavier_initializer_conv2d = xavier_initializer


def variance_scaling_initializer(
    factor: float = 2.0,
    mode: str = "FAN_IN",
    uniform: bool = False,
    seed: int | None = None,
    dtype: Any = tf.float32,
) -> Callable[..., Any]:
    """Initializer with variance factor / n, n the fan that `mode` names.

    Args:
      factor: numerator of the variance.
      mode: FAN_IN, FAN_OUT or FAN_AVG.
      uniform: draw uniformly; else from a truncated normal.
      seed: seed of the random op.
      dtype: floating point type of the weights.

    Raises:
      TypeError: unknown `mode`, or `dtype` is not a floating point type.
    """
    _check_floating(dtype)
    if mode not in _MODES:
        raise TypeError(f"Unknown mode {mode} [{', '.join(_MODES)}]")

    def initializer(shape: Any, dtype: Any = dtype, partition_info: Any = None) -> Any:
        _check_floating(dtype)
        variance = factor / _fan([int(size) for size in shape], mode)
        if uniform:
            limit = math.sqrt(3.0 * variance)
            return tf.random_uniform(shape, -limit, limit, dtype, seed=seed)
        stddev = math.sqrt(_TRUNCATION_FACTOR * variance)
        return tf.truncated_normal(shape, 0.0, stddev, dtype, seed=seed)

    return initializer


def _fan(shape: list[int], mode: str) -> float:
    receptive_field = float(math.prod(shape[:-2]))
    fan_out = receptive_field * (shape[-1] if shape else 1)
    fan_in = receptive_field * (shape[-2] if len(shape) > 1 else shape[-1] if shape else 1)
    if mode == "FAN_AVG":
        return (fan_in + fan_out) / 2.0
    return fan_in if mode == "FAN_IN" else fan_out


def _check_floating(dtype: Any) -> None:
    if not tf.as_dtype(dtype).is_floating:
        raise TypeError("Cannot create initializer for non-floating point type.")
