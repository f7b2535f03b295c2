"""Weight penalties: functions that turn a weight tensor into a scalar loss."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf

Regularizer = Callable[[Any], Any]


def l1_regularizer(scale: Any, scope: str | None = None) -> Regularizer:
    """A penalty `scale * sum(|weights|)`; `scale` 0.0 disables it.

    Raises:
      ValueError: `scale` is an integer or negative.
    """
    return _penalty(scale, scope, "l1_regularizer", lambda w: tf.reduce_sum(tf.abs(w)))


def l2_regularizer(scale: Any, scope: str | None = None) -> Regularizer:
    """A penalty `scale * sum(weights ** 2) / 2`; `scale` 0.0 disables it.

    Raises:
      ValueError: `scale` is an integer or negative.
    """
    return _penalty(scale, scope, "l2_regularizer", tf.nn.l2_loss)


def l1_l2_regularizer(
    scale_l1: Any = 1.0, scale_l2: Any = 1.0, scope: str | None = None
) -> Regularizer | None:
    """The sum of an L1 and an L2 penalty; a scale of 0.0 leaves that one out.

    Raises:
      ValueError: a scale is an integer or negative.
    """
    for name, scale in (("scale_l1", scale_l1), ("scale_l2", scale_l2)):
        if isinstance(scale, numbers.Integral):
            raise ValueError(f"{name} cannot be an integer: {scale}")
    scope = scope or "l1_l2_regularizer"
    if scale_l1 == 0.0:
        return l2_regularizer(scale_l2, scope)
    if scale_l2 == 0.0:
        return l1_regularizer(scale_l1, scope)
    return sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)], scope)


def sum_regularizer(
    regularizer_list: list[Regularizer | None], scope: str | None = None
) -> Regularizer | None:
    """The sum of several penalties; None when the list holds none."""
    regularizers = [item for item in regularizer_list if item is not None]
    if not regularizers:
        return None

    def penalty(weights: Any) -> Any:
        with tf.name_scope(scope, "sum_regularizer", [weights]) as name:
            terms = [item(weights) for item in regularizers]
            terms = [term for term in terms if term is not None]
            return tf.add_n(terms, name=name) if terms else None

    return penalty


def apply_regularization(regularizer: Regularizer, weights_list: list[Any] | None = None) -> Any:
    """Adds the summed penalty of `weights_list` to REGULARIZATION_LOSSES; returns it.

    Raises:
      ValueError: no weights, or a penalty that is not a scalar.
    """
    weights_list = weights_list or tf.get_collection(tf.GraphKeys.WEIGHTS)
    if not weights_list:
        raise ValueError("No weights to regularize.")
    with tf.name_scope("get_regularization_penalty", values=weights_list) as scope:
        penalties = [regularizer(weights) for weights in weights_list]
        penalties = [tf.constant(0.0) if item is None else item for item in penalties]
        for item in penalties:
            if item.shape.rank != 0:
                raise ValueError(
                    "regularizer must return a scalar Tensor instead of a Tensor "
                    f"with rank {item.shape.rank}."
                )
        total = tf.add_n(penalties, name=scope)
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, total)
        return total


def _penalty(
    scale: Any, scope: str | None, default_name: str, measure: Callable[[Any], Any]
) -> Regularizer:
    if isinstance(scale, numbers.Integral):
        raise ValueError(f"scale cannot be an integer: {scale}")
    if isinstance(scale, numbers.Real):
        if scale < 0.0:
            raise ValueError(f"Setting a scale less than 0 on a regularizer: {scale:g}.")
        if scale == 0.0:
            tf.logging.info("Scale of 0 disables regularizer.")
            return lambda _: None

    def penalty(weights: Any) -> Any:
        with tf.name_scope(scope, default_name, [weights]) as name:
            factor = tf.convert_to_tensor(scale, dtype=weights.dtype.base_dtype, name="scale")
            return tf.multiply(factor, measure(weights), name=name)

    return penalty
