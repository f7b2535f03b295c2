"""Convolutions: `conv2d` and its relatives, separable and transposed ones."""

from __future__ import annotations

from typing import Any

from bnlint.slim import utils
from bnlint.slim._tf import tf
from bnlint.slim.arg_scopes import add_arg_scope
from bnlint.slim.initializers import xavier_initializer
from bnlint.slim.scoping import layer_scope, layer_variable
from bnlint.slim.variables import model_variable

_DATA_FORMATS = (None, "NWC", "NCW", "NHWC", "NCHW", "NDHWC", "NCDHW")
_RENAME = {"kernel": "weights", "bias": "biases"}


def finish(
    outputs: Any,
    normalizer_fn: Any,
    normalizer_params: dict[str, Any] | None,
    activation_fn: Any,
    outputs_collections: Any,
    alias: str,
) -> Any:
    """What follows the linear part of a layer: normalizer, activation, collections."""
    if normalizer_fn is not None:
        outputs = normalizer_fn(outputs, **(normalizer_params or {}))
    if activation_fn is not None:
        outputs = activation_fn(outputs)
    return utils.collect_named_outputs(outputs_collections, alias, outputs)


@add_arg_scope
def convolution(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Any = 1,
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
    conv_dims: int | None = None,
) -> Any:
    """An N-D convolution (N = rank of `inputs` - 2), normalizer and activation.

    With a `normalizer_fn` there are no biases.

    Args:
      inputs: float tensor, [batch, space..., channels], or channels second for NC*.
      num_outputs: number of filters.
      kernel_size, stride, rate: an integer or one per spatial dimension; of `stride`
          and `rate` only one may exceed 1.
      padding: SAME or VALID.
      data_format: None, NWC, NCW, NHWC, NCHW, NDHWC or NCDHW.
      normalizer_params: keyword arguments of `normalizer_fn`.
      variables_collections: list of collections, or {"weights": ..., "biases": ...}.
      conv_dims: N, to refuse inputs of another rank.

    Raises:
      ValueError: bad `data_format`, `padding`, rank or sizes.
    """
    if data_format not in _DATA_FORMATS:
        raise ValueError(f"Invalid data_format: {data_format!r}")
    with layer_scope(scope, "Conv", inputs, reuse, _RENAME) as sc:
        inputs = tf.convert_to_tensor(inputs)
        dims = _spatial_rank(inputs.shape.rank, conv_dims)
        first = bool(data_format and data_format.startswith("NC"))
        strides = utils.n_integers(stride, dims, "strides")
        dilations = utils.n_integers(rate, dims, "dilation_rate")
        if max(strides) > 1 and max(dilations) > 1:
            raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
        kernel = utils.n_integers(kernel_size, dims, "kernel_size")
        padding = utils.checked_padding(padding)
        in_channels = _channels(inputs, first)
        dtype = inputs.dtype.base_dtype
        weights = layer_variable(
            "kernel",
            [*kernel, in_channels, num_outputs],
            dtype,
            weights_initializer,
            weights_regularizer,
            trainable,
            variables_collections,
            "weights",
        )
        outputs = tf.nn.convolution(
            inputs,
            weights,
            padding=padding,
            strides=strides,
            dilation_rate=dilations,
            data_format=_format_name(dims, first),
            name=f"Conv{dims}D",
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
            # Only the first letters matter to bias_add: channels second or last.
            outputs = tf.nn.bias_add(outputs, biases, data_format="NCHW" if first else "NHWC")
        return finish(
            outputs, normalizer_fn, normalizer_params, activation_fn, outputs_collections, sc.name
        )


@add_arg_scope
def convolution1d(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Any = 1,
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
    """As `convolution`, of inputs of rank 3."""
    return convolution(
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        conv_dims=1,
    )


@add_arg_scope
def convolution2d(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Any = 1,
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
    """As `convolution`, of inputs of rank 4."""
    return convolution(
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        conv_dims=2,
    )


@add_arg_scope
def convolution3d(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Any = 1,
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
    """As `convolution`, of inputs of rank 5."""
    return convolution(
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        conv_dims=3,
    )


@add_arg_scope
def separable_convolution2d(
    inputs: Any,
    num_outputs: int | None,
    kernel_size: Any,
    depth_multiplier: int = 1,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str = utils.CHANNELS_LAST,
    rate: Any = 1,
    activation_fn: Any = tf.nn.relu,
    normalizer_fn: Any = None,
    normalizer_params: dict[str, Any] | None = None,
    weights_initializer: Any = xavier_initializer(),
    pointwise_initializer: Any = None,
    weights_regularizer: Any = None,
    biases_initializer: Any = tf.zeros_initializer(),
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Any:
    """A depthwise convolution and, unless `num_outputs` is None, a 1x1 convolution.

    Args:
      inputs: float tensor [batch, height, width, channels] (NHWC) or NCHW.
      num_outputs: filters of the 1x1 convolution; None: depthwise only.
      depth_multiplier: depthwise filters per input channel.
      pointwise_initializer: of the 1x1 weights; None: `weights_initializer`.
      The rest as in `convolution`.

    Raises:
      ValueError: bad `data_format`, `padding`, rank or sizes.
    """
    utils.check_image_format(data_format)
    rename = {
        "bias": "biases",
        "depthwise_kernel": "depthwise_weights",
        "pointwise_kernel": "pointwise_weights",
    }
    with layer_scope(scope, "SeparableConv2d", inputs, reuse, rename) as sc:
        inputs = tf.convert_to_tensor(inputs)
        first = data_format == utils.CHANNELS_FIRST
        dtype = inputs.dtype.base_dtype
        rates = utils.two_element_tuple(rate)
        if num_outputs is None:
            kernel, strides = utils.two_element_tuple(kernel_size), utils.two_element_tuple(stride)
            in_channels = utils.known_dimension(inputs.shape, 1 if first else -1, min_rank=4)
        else:
            kernel = utils.n_integers(kernel_size, 2, "kernel_size")
            strides = utils.n_integers(stride, 2, "strides")
            padding = utils.checked_padding(padding)
            utils.check_rank(inputs, sc.name, rank=4)
            in_channels = _channels(inputs, first)
        common: dict[str, Any] = {
            "strides": [1, 1, *strides] if first else [1, *strides, 1],
            "padding": padding,
            "rate": rates,
            "data_format": data_format,
        }
        depthwise_shape = [*kernel, in_channels, depth_multiplier]
        if num_outputs is None:
            depthwise = model_variable(
                "depthwise_weights",
                shape=depthwise_shape,
                dtype=dtype,
                initializer=weights_initializer,
                regularizer=weights_regularizer,
                trainable=trainable,
                collections=utils.get_variable_collections(variables_collections, "weights"),
            )
            outputs = tf.nn.depthwise_conv2d(inputs, depthwise, **common)
        else:
            depthwise = layer_variable(
                "depthwise_kernel",
                depthwise_shape,
                dtype,
                weights_initializer,
                weights_regularizer,
                trainable,
                variables_collections,
                "weights",
            )
            pointwise = layer_variable(
                "pointwise_kernel",
                [1, 1, in_channels * depth_multiplier, num_outputs],
                dtype,
                pointwise_initializer or weights_initializer,
                weights_regularizer,
                trainable,
                variables_collections,
                "weights",
            )
            outputs = tf.nn.separable_conv2d(inputs, depthwise, pointwise, **common)
        if not normalizer_fn and biases_initializer:
            biases = _separable_biases(
                num_outputs, in_channels * depth_multiplier, dtype, biases_initializer,
                biases_regularizer, trainable, variables_collections,
            )  # fmt: skip
            outputs = tf.nn.bias_add(outputs, biases, data_format=data_format)
        return finish(
            outputs, normalizer_fn, normalizer_params, activation_fn, outputs_collections, sc.name
        )


def _separable_biases(
    num_outputs: int | None,
    depthwise_outputs: int,
    dtype: Any,
    initializer: Any,
    regularizer: Any,
    trainable: bool,
    variables_collections: Any,
) -> Any:
    if num_outputs is not None:
        return layer_variable(
            "bias", [num_outputs], dtype, initializer, regularizer, trainable,
            variables_collections, "biases",
        )  # fmt: skip
    return model_variable(
        "biases",
        shape=[depthwise_outputs],
        dtype=dtype,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=utils.get_variable_collections(variables_collections, "biases"),
    )


def _spatial_rank(input_rank: int | None, conv_dims: int | None) -> int:
    if conv_dims is not None and conv_dims + 2 != input_rank:
        raise ValueError(f"Convolution expects input with rank {conv_dims + 2}, got {input_rank}")
    if input_rank not in (3, 4, 5):
        raise ValueError(f"Convolution not supported for input with rank {input_rank}")
    return input_rank - 2


def _channels(inputs: Any, first: bool) -> int:
    size = tf.dimension_value(inputs.shape[1 if first else -1])
    if size is None:
        raise ValueError("The channel dimension of the inputs should be defined. Found `None`.")
    return size


def _format_name(dims: int, first: bool) -> str:
    space = "DHW"[3 - dims :]
    return f"NC{space}" if first else f"N{space}C"
