"""Exponential moving averages of batch statistics.

`variable -= (1 - decay) * (variable - value)`, optionally corrected for the start at
zero as in Adam (Kingma and Ba 2014, section 3): the biased average divided by
`1 - decay ** steps`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bnlint.slim._tf import tf


class Shadow(NamedTuple):
    """The biased average of a variable and its number of updates."""

    biased: Any
    local_step: Any


def create_shadow(variable: Any) -> Shadow:
    """Variables `<name>/biased` and `<name>/local_step` for the average `variable`.

    They are made outside any `tf.cond`: a variable born in a branch could not be
    initialized.
    """
    with tf.variable_scope(variable.op.name, auxiliary_name_scope=False):
        zeros = tf.zeros_initializer()
        dtype = variable.dtype.base_dtype
        biased = tf.get_variable("biased", variable.shape, dtype, zeros, trainable=False)
        local_step = tf.get_variable("local_step", [], dtype, zeros, trainable=False)
    return Shadow(biased, local_step)


def assign_moving_average(
    variable: Any, value: Any, decay: Any, shadow: Shadow | None = None
) -> Any:
    """The update of `variable`; corrected for the start at zero when it has a `shadow`."""
    with tf.name_scope(None, "AssignMovingAvg", [variable, value, decay]) as scope:
        rate = tf.convert_to_tensor(1.0 - decay, name="decay")
        rate = tf.cast(rate, variable.dtype.base_dtype)
        value = tf.cast(value, variable.dtype.base_dtype)
        if shadow is None:
            return tf.assign_sub(variable, (variable - value) * rate, name=scope)
        biased = tf.assign_sub(shadow.biased, (shadow.biased - value) * rate)
        steps = tf.assign_add(shadow.local_step, 1)
        correction = 1 - tf.pow(1.0 - rate, steps)
        return tf.assign(variable, biased / correction, name=scope)
