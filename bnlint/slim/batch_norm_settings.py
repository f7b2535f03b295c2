"""The settings of every form of `batch_norm`, and the kernel they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bnlint.slim import utils
from bnlint.slim._tf import tf


@dataclass(frozen=True)
class Settings:
    """Arguments of `batch_norm` that all its forms read."""

    decay: Any
    center: bool
    scale: bool
    epsilon: float
    initializers: dict[str, Any]
    regularizers: dict[str, Any]
    updates_collections: Any
    is_training: Any
    variables_collections: Any
    trainable: bool
    data_format: str
    zero_debias: bool

    def initializer(self, name: str) -> Any:
        """Initializer of a parameter: the given one, else zeros for means, ones for scales."""
        starts_at_zero = name in ("beta", "moving_mean")
        default = tf.zeros_initializer() if starts_at_zero else tf.ones_initializer()
        return self.initializers.get(name, default)

    def channel_axis(self, rank: int) -> int:
        """Index of the channel dimension, never negative."""
        return 1 if self.data_format == utils.CHANNELS_FIRST else rank - 1


def run_fused(inputs: Any, gamma: Any, beta: Any, averages: Any, settings: Settings) -> Any:
    """The fused kernel: (outputs, mean, variance), by batch or by the moving averages.

    The batch variance is the unbiased one (divided by n - 1), as the kernel gives it.
    """
    common: dict[str, Any] = {"epsilon": settings.epsilon, "data_format": settings.data_format}

    def by_batch() -> Any:
        return tf.nn.fused_batch_norm(inputs, gamma, beta, **common)

    def by_averages() -> Any:
        mean, variance = averages
        return tf.nn.fused_batch_norm(
            inputs, gamma, beta, mean=mean, variance=variance, is_training=False, **common
        )

    return utils.smart_cond(settings.is_training, by_batch, by_averages)
