"""Every layer of the reference slim under the names of `tf.contrib.layers`."""

from bnlint.slim.convolution import (
    convolution,
    convolution1d,
    convolution2d,
    convolution3d,
    separable_convolution2d,
)
from bnlint.slim.core_layers import (
    avg_pool2d,
    bias_add,
    dropout,
    elu,
    flatten,
    fully_connected,
    linear,
    max_pool2d,
    one_hot_encoding,
    relu,
    relu6,
    repeat,
    softmax,
    stack,
    unit_norm,
)
from bnlint.slim.normalization import batch_norm

conv1d = convolution1d
conv2d = convolution2d
conv3d = convolution3d
separable_conv2d = separable_convolution2d

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "bias_add",
    "conv1d",
    "conv2d",
    "conv3d",
    "convolution",
    "convolution1d",
    "convolution2d",
    "convolution3d",
    "dropout",
    "elu",
    "flatten",
    "fully_connected",
    "linear",
    "max_pool2d",
    "one_hot_encoding",
    "relu",
    "relu6",
    "repeat",
    "separable_conv2d",
    "separable_convolution2d",
    "softmax",
    "stack",
    "unit_norm",
]
