"""Layers without convolution: dense, pooling, reshaping, dropout, repetition."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from bnlint.slim import utils
from bnlint.slim._tf import tf
from bnlint.slim.arg_scopes import add_arg_scope
from bnlint.slim.convolution import finish
from bnlint.slim.initializers import xavier_initializer
from bnlint.slim.scoping import layer_scope, layer_variable
from bnlint.slim.variables import model_variable


@add_arg_scope
def fully_connected(
    inputs: Any,
    num_outputs: int,
    activation_fn: Any = tf.nn.relu,
    normalizer_fn: Any = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = xavier_initializer(),
    weights_regularizer: Any = None,
    biases_initializer: Any = tf.zeros_initializer(),
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Any:
    """A dense layer over the last dimension, normalizer and activation.

    With a `normalizer_fn` there are no biases.

    Args:
      inputs: float tensor of rank 2 or more, last dimension known.
      num_outputs: size of the last dimension of the output.
      The rest as in `convolution`.

    Raises:
      ValueError: `num_outputs` is no integer, or the last dimension is not known.
    """
    if not isinstance(num_outputs, int):
        raise ValueError(f"num_outputs type should be one of {[int]}, got {type(num_outputs)}.")
    rename = {"kernel": "weights", "bias": "biases"}
    with layer_scope(scope, "fully_connected", inputs, reuse, rename) as sc:
        inputs = tf.convert_to_tensor(inputs)
        utils.check_rank(inputs, sc.name, min_rank=2)
        dtype = inputs.dtype.base_dtype
        if not (dtype.is_floating or dtype.is_complex):
            raise TypeError(f"Unable to build `Dense` layer with non-floating point dtype {dtype}")
        depth = tf.dimension_value(inputs.shape[-1])
        if depth is None:
            raise ValueError(
                "The last dimension of the inputs to `Dense` should be defined. Found `None`."
            )
        weights = layer_variable(
            "kernel",
            [depth, num_outputs],
            dtype,
            weights_initializer,
            weights_regularizer,
            trainable,
            variables_collections,
            "weights",
        )
        if not normalizer_fn and biases_initializer:
            biases = layer_variable(
                "bias",
                [num_outputs],
                dtype,
                biases_initializer,
                biases_regularizer,
                trainable,
                variables_collections,
                "biases",
            )
        else:
            biases = None
        if inputs.shape.rank == 2:
            outputs = tf.matmul(inputs, weights)
        else:
            outputs = tf.tensordot(inputs, weights, axes=1)
        if biases is not None:
            outputs = tf.nn.bias_add(outputs, biases)
        return finish(
            outputs, normalizer_fn, normalizer_params, activation_fn, outputs_collections, sc.name
        )


relu = functools.partial(fully_connected, activation_fn=tf.nn.relu)
relu6 = functools.partial(fully_connected, activation_fn=tf.nn.relu6)
elu = functools.partial(fully_connected, activation_fn=tf.nn.elu)
linear = functools.partial(fully_connected, activation_fn=None)


@add_arg_scope
def bias_add(
    inputs: Any,
    activation_fn: Any = None,
    initializer: Any = tf.zeros_initializer(),
    regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    data_format: str = utils.CHANNELS_LAST,
    scope: Any = None,
) -> Any:
    """Adds one bias per channel; can be a `normalizer_fn`.

    Args:
      inputs: tensor of known rank and channels; rank 4 for NCHW.
      activation_fn: applied to the sum.
      initializer, regularizer: of the variable `biases`, of the type of `inputs`.
      data_format: NHWC (channels last) or NCHW.
      The rest as in `convolution`.

    Raises:
      ValueError: bad `data_format`, NCHW with a rank other than 4, or unknown shape.
    """
    utils.check_image_format(data_format)
    with tf.variable_scope(scope, "BiasAdd", [inputs], reuse=reuse) as sc:
        inputs = tf.convert_to_tensor(inputs)
        first = data_format == utils.CHANNELS_FIRST
        if inputs.shape.rank is None:
            raise ValueError("Dims of shape must be known but is None")
        if first and inputs.shape.rank != 4:
            raise ValueError("Data format NCHW only supports 4D Tensor")
        channels = tf.dimension_value(inputs.shape[1 if first else -1])
        if channels is None:
            raise ValueError("`C` dimension must be known but is None")
        biases = model_variable(
            "biases",
            shape=[channels],
            dtype=inputs.dtype.base_dtype,
            initializer=initializer,
            regularizer=regularizer,
            collections=utils.get_variable_collections(variables_collections, "biases"),
            trainable=trainable,
        )
        outputs = tf.nn.bias_add(inputs, biases, data_format=data_format)
        return finish(outputs, None, None, activation_fn, outputs_collections, sc.name)


@add_arg_scope
def max_pool2d(
    inputs: Any,
    kernel_size: Any,
    stride: Any = 2,
    padding: str = "VALID",
    data_format: str = utils.CHANNELS_LAST,
    outputs_collections: Any = None,
    scope: Any = None,
) -> Any:
    """The maximum over windows of `kernel_size`, `stride` apart, of a 4-D tensor.

    Args:
      inputs: [batch, height, width, channels] (NHWC) or NCHW.
      kernel_size, stride: an integer or [height, width].
      padding: VALID (slim's default, unlike convolutions) or SAME.
      data_format: NHWC or NCHW.
      outputs_collections: collections for the output.
      scope: name of the ops.

    Raises:
      ValueError: bad `data_format`, `padding`, rank or sizes.
    """
    return _pool2d(
        tf.nn.max_pool, "MaxPool", inputs, kernel_size, stride, padding, data_format,
        outputs_collections, scope,
    )  # fmt: skip


@add_arg_scope
def avg_pool2d(
    inputs: Any,
    kernel_size: Any,
    stride: Any = 2,
    padding: str = "VALID",
    data_format: str = utils.CHANNELS_LAST,
    outputs_collections: Any = None,
    scope: Any = None,
) -> Any:
    """As `max_pool2d`, the mean instead of the maximum."""
    return _pool2d(
        tf.nn.avg_pool, "AvgPool", inputs, kernel_size, stride, padding, data_format,
        outputs_collections, scope,
    )  # fmt: skip


def _pool2d(
    pool: Callable[..., Any],
    name: str,
    inputs: Any,
    kernel_size: Any,
    stride: Any,
    padding: str,
    data_format: str,
    outputs_collections: Any,
    scope: Any,
) -> Any:
    utils.check_image_format(data_format)
    with tf.name_scope(scope, f"{name}2D", [inputs]) as sc:
        inputs = tf.convert_to_tensor(inputs)
        window = utils.n_integers(kernel_size, 2, "pool_size")
        steps = utils.n_integers(stride, 2, "strides")
        padding = utils.checked_padding(padding)
        utils.check_rank(inputs, f"{name}2D", rank=4)
        first = data_format == utils.CHANNELS_FIRST
        outputs = pool(
            inputs,
            ksize=[1, 1, *window] if first else [1, *window, 1],
            strides=[1, 1, *steps] if first else [1, *steps, 1],
            padding=padding,
            data_format=data_format,
            name=name,
        )
        return utils.collect_named_outputs(outputs_collections, sc, outputs)


@add_arg_scope
def flatten(inputs: Any, outputs_collections: Any = None, scope: Any = None) -> Any:
    """[batch, ...] to [batch, product of the rest]."""
    with tf.name_scope(scope, "Flatten", [inputs]) as sc:
        inputs = tf.convert_to_tensor(inputs)
        utils.check_rank(inputs, "flatten", min_rank=1)
        size = inputs.shape[1:].num_elements()
        with tf.name_scope("flatten"):
            batch = -1 if size is not None else tf.shape(inputs)[0]
            outputs = tf.reshape(inputs, [batch, -1 if size is None else size])
        outputs.set_shape([inputs.shape[0], size])
        return utils.collect_named_outputs(outputs_collections, sc, outputs)


@add_arg_scope
def dropout(
    inputs: Any,
    keep_prob: Any = 0.5,
    noise_shape: Any = None,
    is_training: Any = True,
    outputs_collections: Any = None,
    scope: Any = None,
    seed: int | None = None,
) -> Any:
    """In training keeps each element with probability `keep_prob` and scales by its inverse.

    Args:
      inputs: float tensor.
      keep_prob: number in (0, 1] or scalar tensor.
      noise_shape: shape of the mask, to share it along dimensions of size 1.
      is_training: bool or boolean tensor; the identity when False. None stands for the
          placeholder `keras_learning_phase`, False unless fed.
    """
    with layer_scope(scope, "Dropout", inputs) as sc:
        inputs = tf.convert_to_tensor(inputs)

        def dropped() -> Any:
            return tf.nn.dropout(inputs, noise_shape=noise_shape, seed=seed, rate=1 - keep_prob)

        training = utils.training_phase(is_training)
        utils.constant_bool(training)  # Refuses what is no boolean.
        outputs = utils.smart_cond(training, dropped, lambda: tf.identity(inputs))
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


@add_arg_scope
def softmax(logits: Any, scope: Any = None) -> Any:
    """Softmax over the last dimension of a tensor of rank 2 or more."""
    with tf.variable_scope(scope, "softmax", [logits]):
        num_logits = utils.last_dimension(logits.shape, min_rank=2)
        predictions = tf.nn.softmax(tf.reshape(logits, [-1, num_logits]))
        predictions = tf.reshape(predictions, tf.shape(logits))
        predictions.set_shape(logits.shape)
        return predictions


@add_arg_scope
def one_hot_encoding(
    labels: Any,
    num_classes: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: Any = None,
    scope: Any = None,
) -> Any:
    """Integer labels [batch] to float32 [batch, num_classes].

    Args:
      labels: int32 or int64 tensor; a label outside [0, num_classes) gives a row of
          `off_value`.
      num_classes: length of a row.
      on_value, off_value: entry at the label, and elsewhere.
      outputs_collections: collections for the output.
      scope: name of the ops.
    """
    with tf.name_scope(scope, "OneHotEncoding", [labels, num_classes]) as sc:
        labels = tf.convert_to_tensor(labels)
        if labels.dtype == tf.int32:
            labels = tf.cast(labels, tf.int64)
        outputs = tf.one_hot(labels, num_classes, on_value=on_value, off_value=off_value)
        return utils.collect_named_outputs(outputs_collections, sc, outputs)


@add_arg_scope
def unit_norm(inputs: Any, dim: int, epsilon: float = 1e-7, scope: Any = None) -> Any:
    """Scales `inputs` to Euclidean length 1 along dimension `dim`.

    Args:
      inputs: float tensor of known rank.
      dim: dimension, counted from 0.
      epsilon: added to the squared length, against division by zero.
      scope: name of the ops.

    Raises:
      ValueError: unknown rank, or `dim` outside [0, rank).
    """
    with tf.variable_scope(scope, "UnitNorm", [inputs]):
        if inputs.shape.rank is None:
            raise ValueError("The input rank must be known.")
        if not 0 <= dim < inputs.shape.rank:
            raise ValueError("dim must be positive but smaller than the input rank.")
        length = tf.sqrt(epsilon + tf.reduce_sum(tf.square(inputs), dim, keepdims=True))
        return tf.div(inputs, length)


def repeat(
    inputs: Any, repetitions: int, layer: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Applies `layer` `repetitions` times, in scopes `<scope>/<scope>_1`, `_2`, ..."""
    scope = kwargs.pop("scope", None)
    with tf.variable_scope(scope, "Repeat", [inputs]):
        outputs = tf.convert_to_tensor(inputs)
        base = scope or _function_name(layer, "repeat")
        for index in range(1, repetitions + 1):
            outputs = layer(outputs, *args, **{**kwargs, "scope": f"{base}_{index}"})
        return outputs


def stack(inputs: Any, layer: Callable[..., Any], stack_args: Any, **kwargs: Any) -> Any:
    """Applies `layer` once per item of `stack_args` (its positional arguments).

    Raises:
      ValueError: `stack_args` is neither a list nor a tuple.
    """
    scope = kwargs.pop("scope", None)
    if not isinstance(stack_args, (list, tuple)):
        raise ValueError("stack_args need to be a list or tuple")
    with tf.variable_scope(scope, "Stack", [inputs]):
        outputs = tf.convert_to_tensor(inputs)
        base = scope or _function_name(layer, "stack")
        for index, item in enumerate(stack_args, start=1):
            args = item if isinstance(item, (list, tuple)) else [item]
            outputs = layer(outputs, *args, **{**kwargs, "scope": f"{base}_{index}"})
        return outputs


def _function_name(layer: Any, default: str) -> str:
    if hasattr(layer, "__name__"):
        return layer.__name__
    # A functools.partial has no name of its own.
    return getattr(getattr(layer, "func", None), "__name__", default)
