"""The form of `batch_norm` that equals `tf.layers.batch_normalization`."""

from __future__ import annotations

from typing import Any, NamedTuple

from bnlint.slim import utils
from bnlint.slim._tf import tf
from bnlint.slim.batch_norm_settings import Settings, run_fused
from bnlint.slim.moving_averages import assign_moving_average
from bnlint.slim.scoping import add_to_collections, layer_variable, without_partitioner

_CLIPPING_KEYS = ("rmax", "rmin", "dmax")


class Parameters(NamedTuple):
    """Variables of one layer; the ones left out are None."""

    gamma: Any
    beta: Any
    moving_mean: Any
    moving_variance: Any
    moving_stddev: Any = None
    renorm_mean: Any = None
    renorm_stddev: Any = None


def core_batch_norm(
    inputs: Any,
    settings: Settings,
    *,
    fused: bool,
    renorm: bool,
    renorm_clipping: dict[str, Any],
    renorm_decay: float,
    adjustment: Any,
) -> Any:
    """Batch norm with its updates in UPDATE_OPS; parameters in float32 for half types.

    Raises:
      ValueError: unknown rank or channels, or an unknown key in `renorm_clipping`.
      TypeError: `is_training` is no boolean.
    """
    if renorm and set(renorm_clipping) - set(_CLIPPING_KEYS):
        raise ValueError(
            f"renorm_clipping {renorm_clipping} contains keys not in {list(_CLIPPING_KEYS)}"
        )
    if not inputs.shape.rank:
        raise ValueError(f"Input has undefined rank: {inputs.shape}")
    axis = settings.channel_axis(inputs.shape.rank)
    channels = tf.dimension_value(inputs.shape[axis])
    if channels is None:
        raise ValueError(f"Input has undefined `axis` dimension. Input shape: {inputs.shape}")
    params = _create_parameters(channels, _parameter_dtype(inputs), settings, renorm)
    training = utils.constant_bool(settings.is_training)
    if fused:
        return _fused(inputs, channels, params, settings, training)
    scale, offset = params.gamma, params.beta
    mean, variance = params.moving_mean, params.moving_variance
    if training is not False:
        if adjustment is not None:
            scale, offset = _adjusted(adjustment, inputs, scale, offset, settings)
        axes = [index for index in range(inputs.shape.rank) if index != axis]
        mean, variance = tf.nn.moments(tf.cast(inputs, params.moving_mean.dtype.base_dtype), axes)
        mean = _in_training(settings, mean, params.moving_mean)
        variance = _in_training(settings, variance, params.moving_variance)
        new_mean, new_variance = mean, variance
        if renorm:
            r, d, new_mean, new_variance = _renormed(
                mean, variance, params, settings, renorm_clipping, renorm_decay
            )
            scale, offset = _compose(r, d, scale, offset)
        _collect(_updates(new_mean, new_variance, params, settings), settings)
    return _normalize(inputs, axis, [mean, variance, offset, scale], settings.epsilon)


def _create_parameters(channels: int, dtype: Any, settings: Settings, renorm: bool) -> Parameters:
    def create(name: str, initializer: Any, trainable: bool) -> Any:
        return layer_variable(
            name,
            [channels],
            dtype,
            initializer,
            settings.regularizers.get(name) if trainable_name(name) else None,
            trainable,
        )

    def trainable_name(name: str) -> bool:
        return name in ("beta", "gamma")

    def average(name: str, like: str) -> Any:
        return create(name, settings.initializer(like), False)

    def stddev(name: str) -> Any:
        variance = settings.initializer("moving_variance")
        return create(name, lambda *args, **kwargs: tf.sqrt(variance(*args, **kwargs)), False)

    trainable = settings.trainable
    gamma = create("gamma", settings.initializer("gamma"), trainable) if settings.scale else None
    beta = create("beta", settings.initializer("beta"), trainable) if settings.center else None
    with without_partitioner():
        averages = [average(name, name) for name in ("moving_mean", "moving_variance")]
        if renorm:
            averages += [
                stddev("moving_stddev"),
                average("renorm_mean", "moving_mean"),
                stddev("renorm_stddev"),
            ]
    # slim does not put the averages of renorm into `variables_collections`.
    for var, name in zip(averages, ("moving_mean", "moving_variance"), strict=False):
        add_to_collections(var, settings.variables_collections, name)
    for var, name in ((beta, "beta"), (gamma, "gamma")):
        if var is not None:
            add_to_collections(var, settings.variables_collections, name)
    return Parameters(gamma, beta, *averages)


def _parameter_dtype(inputs: Any) -> Any:
    dtype = inputs.dtype.base_dtype
    return tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype


def _fused(
    inputs: Any, channels: int, params: Parameters, settings: Settings, training: bool | None
) -> Any:
    dtype = params.moving_mean.dtype.base_dtype
    gamma = tf.ones([channels], dtype) if params.gamma is None else params.gamma
    beta = tf.zeros([channels], dtype) if params.beta is None else params.beta
    averages = params.moving_mean, params.moving_variance
    outputs, mean, variance = run_fused(inputs, gamma, beta, averages, settings)
    if training is not False:
        # With a tensor the updates always run; a decay of 1 keeps the average in evaluation.
        decay = settings.decay
        if training is None:
            decay = tf.cond(
                settings.is_training,
                lambda: tf.convert_to_tensor(settings.decay),
                lambda: tf.constant(1.0),
            )
        pairs = zip(averages, (mean, variance), strict=True)
        _collect([assign_moving_average(var, value, decay) for var, value in pairs], settings)
    return outputs


def _updates(mean: Any, variance: Any, params: Parameters, settings: Settings) -> list[Any]:
    def update_mean() -> Any:
        return assign_moving_average(params.moving_mean, mean, settings.decay)

    def update_variance() -> Any:
        if params.moving_stddev is None:
            return assign_moving_average(params.moving_variance, variance, settings.decay)
        # Epsilon is part of the moving standard deviation, as in training.
        value = tf.sqrt(variance + settings.epsilon)
        stddev = assign_moving_average(params.moving_stddev, value, settings.decay)
        with tf.name_scope("AssignNewValue") as name:
            positive = tf.nn.relu(stddev * stddev - settings.epsilon)
            return tf.assign(params.moving_variance, positive, name=name)

    training = settings.is_training
    return [
        utils.smart_cond(training, update_mean, lambda: params.moving_mean),
        utils.smart_cond(training, update_variance, lambda: params.moving_variance),
    ]


def _collect(updates: list[Any], settings: Settings) -> None:
    # tf.layers reports no updates for a layer that is not trainable.
    if settings.trainable:
        for update in updates:
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update.op)


def _renorm_update(settings: Any, variable: Any, value: Any, decay: Any) -> Any:
    """Moves a renorm statistic towards `value` in training; reads it otherwise."""
    return utils.smart_cond(
        settings.is_training,
        lambda: assign_moving_average(variable, value, decay),
        lambda: tf.identity(variable),
    )


def _renormed(
    mean: Any,
    variance: Any,
    params: Parameters,
    settings: Settings,
    clipping: dict[str, Any],
    decay: float,
) -> tuple[Any, Any, Any, Any]:
    """Correction (r, d) of batch renormalization, and the moments after its updates.

    Ioffe 2017, algorithm 1: r = stddev / renorm_stddev, d = (mean - renorm_mean) /
    renorm_stddev, both clipped and constant for the gradient; r = 1, d = 0 in evaluation.
    """
    stddev = tf.sqrt(variance + settings.epsilon)
    # Early in training the running deviation is near zero.
    renorm_stddev = tf.maximum(params.renorm_stddev, tf.sqrt(settings.epsilon))
    r = stddev / renorm_stddev
    d = (mean - params.renorm_mean) / renorm_stddev
    # The corrections must read the averages before they are updated.
    with tf.control_dependencies([r, d]):
        mean, stddev = tf.identity(mean), tf.identity(stddev)
    if clipping.get("rmin") is not None:
        r = tf.maximum(r, clipping["rmin"])
    if clipping.get("rmax") is not None:
        r = tf.minimum(r, clipping["rmax"])
    if clipping.get("dmax") is not None:
        d = tf.minimum(tf.maximum(d, -clipping["dmax"]), clipping["dmax"])
    r = _in_training(settings, r, tf.ones_like(r))
    d = _in_training(settings, d, tf.zeros_like(d))
    updates = [
        _renorm_update(settings, params.renorm_mean, mean, decay),
        _renorm_update(settings, params.renorm_stddev, stddev, decay),
    ]
    with tf.control_dependencies(updates):
        mean, variance = tf.identity(mean), tf.identity(variance)
    return tf.stop_gradient(r, "renorm_r"), tf.stop_gradient(d, "renorm_d"), mean, variance


def _in_training(settings: Settings, value: Any, otherwise: Any) -> Any:
    return utils.smart_cond(
        settings.is_training, lambda: value, lambda: tf.convert_to_tensor(otherwise)
    )


def _adjusted(
    adjustment: Any, inputs: Any, scale: Any, offset: Any, settings: Settings
) -> tuple[Any, Any]:
    factor, bias = adjustment(tf.shape(inputs))
    factor = _in_training(settings, factor, tf.ones_like(factor))
    bias = _in_training(settings, bias, tf.zeros_like(bias))
    return _compose(factor, bias, scale, offset)


def _compose(factor: Any, bias: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
    """`(x * factor + bias) * scale + offset` as one (scale, offset)."""
    if scale is not None:
        factor, bias = factor * scale, bias * scale
    return factor, bias if offset is None else bias + offset


def _normalize(inputs: Any, axis: int, values: list[Any], epsilon: float) -> Any:
    """`tf.nn.batch_normalization` by (mean, variance, offset, scale), each [channels]."""
    values = [None if value is None else tf.cast(value, inputs.dtype) for value in values]
    rank = inputs.shape.rank
    if axis != rank - 1:
        shape = [1] * rank
        shape[axis] = -1
        values = [None if value is None else tf.reshape(value, shape) for value in values]
    outputs = tf.nn.batch_normalization(inputs, *values, epsilon)
    outputs.set_shape(inputs.shape)
    return outputs
