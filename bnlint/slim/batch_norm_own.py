"""Forms of `batch_norm` that place the moving-average updates themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

from bnlint.slim import utils
from bnlint.slim._tf import tf
from bnlint.slim.batch_norm_settings import Settings, run_fused
from bnlint.slim.moving_averages import Shadow, assign_moving_average, create_shadow
from bnlint.slim.scoping import without_partitioner
from bnlint.slim.variables import model_variable


class Parameters(NamedTuple):
    """Variables of one layer; beta and gamma are None when left out."""

    beta: Any
    gamma: Any
    moving_mean: Any
    moving_variance: Any
    shadow: Shadow | None

    @property
    def averages(self) -> tuple[Any, Any]:
        return self.moving_mean, self.moving_variance


def fused_batch_norm(inputs: Any, settings: Settings) -> Any:
    """Batch norm of rank 2 or 4 by the fused kernel; parameters in float32."""
    original = inputs
    rank = inputs.shape.rank
    channels = _known_channels(
        inputs, rank - 1 if rank == 2 else settings.channel_axis(rank), "`C`"
    )
    if rank == 2:
        first = settings.data_format == utils.CHANNELS_FIRST
        inputs = tf.reshape(inputs, [-1, channels, 1, 1] if first else [-1, 1, 1, channels])
    shape = inputs.shape
    params = _create_parameters(channels, tf.float32, settings, settings.regularizers)
    gamma = tf.constant(1.0, shape=[channels]) if params.gamma is None else params.gamma
    beta = tf.constant(0.0, shape=[channels]) if params.beta is None else params.beta
    outputs, mean, variance = run_fused(inputs, gamma, beta, params.averages, settings)
    if utils.constant_value(settings.is_training) in (None, True):
        outputs = _update_after(outputs, mean, variance, params, settings)
    outputs.set_shape(shape)
    return tf.reshape(outputs, tf.shape(original)) if rank == 2 else outputs


def moments_batch_norm(inputs: Any, settings: Settings, batch_weights: Any) -> Any:
    """Batch norm of any rank from explicit moments; parameters in the type of `inputs`.

    As in slim, `param_regularizers` have no effect here.
    """
    if inputs.shape.rank is None:
        raise ValueError(f"Inputs {inputs.name} has undefined rank.")
    rank = inputs.shape.rank
    axis = settings.channel_axis(rank)
    if batch_weights is not None:
        batch_weights = tf.convert_to_tensor(batch_weights)
        inputs.shape[0:1].assert_is_compatible_with(batch_weights.shape)
        batch_weights = tf.reshape(batch_weights, [-1] + [1] * (rank - 1))
    channels = _known_channels(inputs, axis, "channels")
    params = _create_parameters(channels, inputs.dtype.base_dtype, settings, {})
    mean, variance = params.averages
    if utils.constant_value(settings.is_training) in (None, True):
        axes = [index for index in range(rank) if index != axis]
        batch = _moments(inputs, axes, batch_weights)
        mean, variance = _update_moments(*batch, params, settings)
    values: list[Any] = [mean, variance, params.beta, params.gamma]
    if settings.data_format == utils.CHANNELS_FIRST:
        broadcast = [1, channels] + [1] * (rank - 2)
        values = [None if value is None else tf.reshape(value, broadcast) for value in values]
    outputs = tf.nn.batch_normalization(inputs, *values, settings.epsilon)
    outputs.set_shape(inputs.shape)
    return outputs


def _known_channels(inputs: Any, axis: int, called: str) -> int:
    channels = tf.dimension_value(inputs.shape[axis])
    if channels is not None:
        return channels
    if inputs.shape.rank == 2 and called == "`C`":
        raise ValueError("`C` dimension must be known but is None")
    shape = inputs.shape[axis : axis + 1]
    raise ValueError(f"Inputs {inputs.name} has undefined {called} dimension {shape}.")


def _create_parameters(
    channels: int, dtype: Any, settings: Settings, regularizers: dict[str, Any]
) -> Parameters:
    def create(name: str, trainable: bool) -> Any:
        return model_variable(
            name,
            shape=[channels],
            dtype=dtype,
            initializer=settings.initializer(name),
            regularizer=regularizers.get(name) if name in ("beta", "gamma") else None,
            collections=utils.get_variable_collections(settings.variables_collections, name),
            trainable=trainable,
        )

    beta = create("beta", settings.trainable) if settings.center else None
    gamma = create("gamma", settings.trainable) if settings.scale else None
    with without_partitioner():
        mean, variance = create("moving_mean", False), create("moving_variance", False)
    training = utils.constant_value(settings.is_training) in (None, True)
    shadow = create_shadow(mean) if settings.zero_debias and training else None
    return Parameters(beta, gamma, mean, variance, shadow)


def _moments(inputs: Any, axes: list[int], batch_weights: Any) -> tuple[Any, Any]:
    if batch_weights is None:
        return tf.nn.moments(inputs, axes)
    return tf.nn.weighted_moments(inputs, axes, batch_weights)


def _assign(mean: Any, variance: Any, params: Parameters, settings: Settings) -> tuple[Any, Any]:
    return (
        assign_moving_average(params.moving_mean, mean, settings.decay, params.shadow),
        assign_moving_average(params.moving_variance, variance, settings.decay),
    )


def _collect_updates(mean: Any, variance: Any, params: Parameters, settings: Settings) -> None:
    updates = utils.smart_cond(
        settings.is_training,
        lambda: _assign(mean, variance, params, settings),
        lambda: params.averages,
    )
    for update in updates:
        tf.add_to_collections(settings.updates_collections, update)


def _update_after(
    outputs: Any, mean: Any, variance: Any, params: Parameters, settings: Settings
) -> Any:
    """Collects the updates; or returns `outputs` computed after them (no collection)."""
    if settings.updates_collections is not None:
        _collect_updates(mean, variance, params, settings)
        return outputs

    def updated() -> Any:
        with tf.control_dependencies(_assign(mean, variance, params, settings)):
            return tf.identity(outputs)

    return utils.smart_cond(settings.is_training, updated, lambda: outputs)


def _update_moments(
    mean: Any, variance: Any, params: Parameters, settings: Settings
) -> tuple[Any, Any]:
    """The moments to normalize by, their updates collected or forced before them."""

    def updated() -> Any:
        with tf.control_dependencies(_assign(mean, variance, params, settings)):
            return tf.identity(mean), tf.identity(variance)

    if settings.updates_collections is None:
        return utils.smart_cond(settings.is_training, updated, lambda: params.averages)
    _collect_updates(mean, variance, params, settings)
    return utils.smart_cond(settings.is_training, lambda: (mean, variance), lambda: params.averages)
