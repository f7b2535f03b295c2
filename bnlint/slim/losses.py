"""Losses of `tf.contrib.losses`: each adds its value to the LOSSES collection.

Mind the order: logits or predictions come first, labels second, unlike `tf.losses`.
"""

from __future__ import annotations

from typing import Any

from bnlint.slim._tf import tf
from bnlint.slim.arg_scopes import add_arg_scope


@add_arg_scope
def add_loss(loss: Any, loss_collection: Any = tf.GraphKeys.LOSSES) -> None:
    """Adds a loss tensor to `loss_collection` (unless that is None)."""
    if loss_collection:
        tf.add_to_collection(loss_collection, loss)


def get_losses(scope: Any = None, loss_collection: Any = tf.GraphKeys.LOSSES) -> list[Any]:
    """Losses of `loss_collection` whose name starts with `scope`."""
    return tf.get_collection(loss_collection, scope)


def get_regularization_losses(scope: Any = None) -> list[Any]:
    """Penalties whose name starts with `scope`."""
    return tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, scope)


def get_total_loss(add_regularization_losses: bool = True, name: str = "total_loss") -> Any:
    """The sum of all losses and, unless told otherwise, penalties.

    Raises:
      ValueError: there are none.
    """
    penalties = get_regularization_losses() if add_regularization_losses else []
    return tf.add_n([*get_losses(), *penalties], name=name)


def compute_weighted_loss(losses: Any, weights: Any = 1.0, scope: Any = None) -> Any:
    """Mean of `losses` over the elements with nonzero weight; added to LOSSES.

    Args:
      losses: float tensor [batch, d1, ... dN].
      weights: scalar, [batch], or [batch, d1, ... dK] with K <= N.

    Raises:
      ValueError: `weights` is None, or a rank is unknown.
    """
    with tf.name_scope(scope, "weighted_loss", [losses, weights]):
        losses = tf.convert_to_tensor(losses)
        dtype = losses.dtype
        losses = tf.cast(losses, tf.float32)
        weights = tf.cast(tf.convert_to_tensor(weights), tf.float32)
        for name, tensor in (("losses", losses), ("weights", weights)):
            if tensor.shape.rank is None:
                raise ValueError(f"{name}.get_shape().ndims cannot be None")
        if weights.shape.rank > 1 and weights.shape[-1:].is_compatible_with([1]):
            weights = tf.squeeze(weights, [-1])
        total = _scaled_sum(losses, weights)
        present = tf.reduce_sum(_num_present_per_example(losses, weights))
        mean = tf.cast(tf.div_no_nan(total, present, name="value"), dtype)
        add_loss(mean)
        return mean


def absolute_difference(
    predictions: Any, labels: Any = None, weights: Any = 1.0, scope: Any = None
) -> Any:
    """Weighted mean of |predictions - labels|; added to LOSSES.

    Args:
      predictions, labels: tensors of one shape; computed in float32.
      weights: scalar, [batch], or [batch, d1, ... dK].
      scope: name of the ops.

    Raises:
      ValueError: incompatible shapes, or a rank is unknown.
    """
    with tf.name_scope(scope, "absolute_difference", [predictions, labels, weights]) as sc:
        predictions, labels = _float_pair(predictions, labels)
        return compute_weighted_loss(tf.abs(predictions - labels), weights, scope=sc)


def mean_squared_error(
    predictions: Any, labels: Any = None, weights: Any = 1.0, scope: Any = None
) -> Any:
    """Weighted mean of (predictions - labels) ** 2; added to LOSSES.

    Args:
      predictions, labels: tensors of one shape; computed in float32.
      weights: scalar, [batch], or [batch, d1, ... dK].
      scope: name of the ops.

    Raises:
      ValueError: incompatible shapes, or a rank is unknown.
    """
    with tf.name_scope(scope, "mean_squared_error", [predictions, labels, weights]) as sc:
        predictions, labels = _float_pair(predictions, labels)
        losses = tf.squared_difference(predictions, labels)
        return compute_weighted_loss(losses, weights, scope=sc)


def mean_pairwise_squared_error(
    predictions: Any, labels: Any = None, weights: Any = 1.0, scope: Any = None
) -> Any:
    """Weighted sum over examples of how far the differences between elements are off.

    Per example 2 * (mean(d ** 2) - mean(d) ** 2) with d = predictions - labels.

    Args:
      predictions, labels: [batch, d1, ... dN].
      weights: scalar, [batch], or [batch, d1, ... dK] with K <= N.

    Raises:
      ValueError: incompatible shapes, or a rank is unknown.
    """
    values = [predictions, labels, weights]
    with tf.name_scope(scope, "mean_pairwise_squared_error", values):
        predictions, labels = _float_pair(predictions, labels)
        weights = tf.cast(tf.convert_to_tensor(weights), tf.float32)
        differences = predictions - labels
        for name, tensor in (("diffs", differences), ("weights", weights)):
            if tensor.shape.rank is None:
                raise ValueError(f"{name}.get_shape().ndims cannot be None")
        axis = list(range(1, differences.shape.rank))
        present = _num_present_per_example(differences, weights)
        squares = tf.reduce_sum(tf.square(differences), axis=axis)
        square_of_sum = tf.square(tf.reduce_sum(differences, axis=axis))
        term1 = 2.0 * tf.div_no_nan(squares, present, name="value")
        term2 = 2.0 * tf.div_no_nan(square_of_sum, tf.square(present), name="value")
        loss = _scaled_sum(term1 - term2, weights)
        mean = tf.where(tf.reduce_sum(present) > 0, loss, tf.zeros_like(loss), name="value")
        add_loss(mean)
        return mean


def log_loss(
    predictions: Any,
    labels: Any = None,
    weights: Any = 1.0,
    epsilon: float = 1e-7,
    scope: Any = None,
) -> Any:
    """Weighted mean of the binary cross entropy of probabilities; added to LOSSES.

    Args:
      predictions, labels: tensors of one shape; computed in float32.
      weights: scalar, [batch], or [batch, d1, ... dK].
      epsilon: added to the argument of the logarithm; slim's default 1e-7.
      scope: name of the ops.

    Raises:
      ValueError: incompatible shapes, or a rank is unknown.
    """
    with tf.name_scope(scope, "log_loss", [predictions, labels, weights]) as sc:
        predictions, labels = _float_pair(predictions, labels)
        hit = labels * tf.log(predictions + epsilon)
        miss = (1 - labels) * tf.log(1 - predictions + epsilon)
        return compute_weighted_loss(-hit - miss, weights, scope=sc)


def hinge_loss(logits: Any, labels: Any = None, scope: Any = None) -> Any:
    """max(0, 1 - y * logits) per element, y = -1 or 1 for labels 0 or 1; in no collection."""
    with tf.name_scope(scope, "hinge_loss", [logits, labels]):
        logits.shape.assert_is_compatible_with(labels.shape)
        signs = 2 * tf.cast(labels, tf.float32) - 1
        return tf.nn.relu(1 - signs * logits)


def cosine_distance(
    predictions: Any,
    labels: Any = None,
    axis: int | None = None,
    weights: Any = 1.0,
    scope: Any = None,
    dim: int | None = None,
) -> Any:
    """Weighted mean of 1 - predictions . labels along `axis`, both of unit length.

    Args:
      predictions, labels: tensors of one shape; computed in float32.
      axis: dimension that is summed over; `dim` is its old name.
      weights: scalar, [batch], or [batch, d1, ... dK].
      scope: name of the ops.

    Raises:
      ValueError: neither or both of `axis` and its old name `dim` are given.
    """
    if axis is not None and dim is not None:
        raise ValueError("Cannot specify both 'dim' and 'axis'")
    axis = dim if axis is None else axis
    if axis is None:
        raise ValueError("You must specify 'axis'.")
    with tf.name_scope(scope, "cosine_distance_loss", [predictions, labels, weights]) as sc:
        predictions, labels = _float_pair(predictions, labels)
        losses = 1 - tf.reduce_sum(predictions * labels, axis=[axis])
        return compute_weighted_loss(losses, weights, scope=sc)


def sigmoid_cross_entropy(
    logits: Any,
    multi_class_labels: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: Any = None,
) -> Any:
    """Weighted mean of the sigmoid cross entropy; added to LOSSES.

    Args:
      logits: float tensor [batch, classes].
      multi_class_labels: of the same shape, 0 or 1, of any type.
      weights: scalar, [batch] or [batch, classes].
      label_smoothing: s > 0 makes the labels labels * (1 - s) + s / 2.
      scope: name of the ops.

    Raises:
      ValueError: incompatible shapes.
    """
    values = [logits, multi_class_labels, weights]
    with tf.name_scope(scope, "sigmoid_cross_entropy_loss", values) as sc:
        logits.shape.assert_is_compatible_with(multi_class_labels.shape)
        labels = tf.cast(multi_class_labels, logits.dtype)
        if label_smoothing > 0:
            labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
        losses = tf.nn.sigmoid_cross_entropy_with_logits(
            labels=labels, logits=logits, name="xentropy"
        )
        return compute_weighted_loss(losses, weights, scope=sc)


def softmax_cross_entropy(
    logits: Any,
    onehot_labels: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: Any = None,
) -> Any:
    """Weighted mean of the softmax cross entropy; smoothing moves labels towards 1/classes.

    Args:
      logits: [batch, classes].
      onehot_labels: [batch, classes].
      weights: scalar or [batch].
    """
    values = [logits, onehot_labels, weights]
    with tf.name_scope(scope, "softmax_cross_entropy_loss", values) as sc:
        logits.shape.assert_is_compatible_with(onehot_labels.shape)
        labels = tf.cast(onehot_labels, logits.dtype)
        if label_smoothing > 0:
            classes = tf.cast(tf.shape(labels)[1], logits.dtype)
            labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
        # slim uses the first version of the op: no gradient reaches the labels.
        losses = tf.nn.softmax_cross_entropy_with_logits(
            labels=tf.stop_gradient(labels), logits=logits, name="xentropy"
        )
        return compute_weighted_loss(losses, weights, scope=sc)


def sparse_softmax_cross_entropy(
    logits: Any, labels: Any, weights: Any = 1.0, scope: Any = None
) -> Any:
    """As `softmax_cross_entropy`, of class numbers.

    Args:
      logits: float tensor [batch, classes].
      labels: int32 or int64 tensor, [batch] or [batch, 1].
      weights: scalar or [batch].
      scope: name of the ops.
    """
    values = [logits, labels, weights]
    with tf.name_scope(scope, "sparse_softmax_cross_entropy_loss", values) as sc:
        labels = tf.reshape(labels, shape=[tf.shape(labels)[0]])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits, name="xentropy"
        )
        return compute_weighted_loss(losses, weights, scope=sc)


def _float_pair(predictions: Any, labels: Any) -> tuple[Any, Any]:
    predictions.shape.assert_is_compatible_with(labels.shape)
    return tf.cast(predictions, tf.float32), tf.cast(labels, tf.float32)


def _scaled_sum(losses: Any, weights: Any) -> Any:
    axis = list(range(weights.shape.rank, losses.shape.rank))
    return tf.reduce_sum(tf.reduce_sum(losses, axis=axis) * weights)


def _num_present_per_example(losses: Any, weights: Any) -> Any:
    """[batch]: number of elements of `losses` with nonzero weight, `weights` broadcast."""
    if weights.shape.rank == 0:
        weights = tf.fill(tf.shape(losses)[:1], weights)
    nonzero = tf.cast(tf.not_equal(weights, 0), tf.float32)
    per_example = tf.reduce_sum(nonzero, axis=list(range(1, weights.shape.rank)))
    repeated = tf.reduce_prod(tf.shape(losses)[weights.shape.rank :])
    return per_example * tf.cast(repeated, tf.float32)
