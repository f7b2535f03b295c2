"""`batch_norm` (Ioffe and Szegedy 2015), with the three forms slim chooses from.

* core: what `tf.layers.batch_normalization` does, fused or not, with renorm. Update
  *operations* go to UPDATE_OPS, gamma is made before beta.
* fused: the fused kernel for rank 2, for updates forced or collected elsewhere, and
  for zero debias. Update *tensors* go to the named collections.
* moments: the same without the fused kernel, and with batch weights.

Which one runs decides the structure of the graph, so the choice is slim's own
(`tf.contrib.layers.batch_norm` of TF 1.15).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bnlint.slim import utils
from bnlint.slim._tf import tf
from bnlint.slim.arg_scopes import add_arg_scope
from bnlint.slim.batch_norm_core import core_batch_norm
from bnlint.slim.batch_norm_own import fused_batch_norm, moments_batch_norm
from bnlint.slim.batch_norm_settings import Settings
from bnlint.slim.scoping import layer_scope


@add_arg_scope
def batch_norm(
    inputs: Any,
    decay: Any = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Any = None,
    param_initializers: dict[str, Any] | None = None,
    param_regularizers: dict[str, Any] | None = None,
    updates_collections: Any = tf.GraphKeys.UPDATE_OPS,
    is_training: Any = True,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    batch_weights: Any = None,
    fused: bool | None = None,
    data_format: str = utils.CHANNELS_LAST,
    zero_debias_moving_mean: bool = False,
    scope: Any = None,
    renorm: bool = False,
    renorm_clipping: dict[str, Any] | None = None,
    renorm_decay: float = 0.99,
    adjustment: Any = None,
) -> Any:
    """Normalizes each channel by the batch in training, by moving averages otherwise.

    Args:
      inputs: float tensor of rank 2 or more; channels last (NHWC) or second (NCHW).
      decay: weight of the old moving average, 0 to 1.
      center, scale: add the offset beta, multiply by gamma.
      epsilon: added to the variance.
      activation_fn: applied to the output.
      param_initializers: initializers of beta, gamma, moving_mean, moving_variance.
      param_regularizers: penalties of beta and gamma.
      updates_collections: where the moving-average updates go, to be run with the
          train op; None runs them in place, whenever the output is computed.
      is_training: bool or boolean tensor: normalize by the batch and update the
          averages, or normalize by the averages. None in the core form stands for the
          placeholder `keras_learning_phase`, False unless fed.
      reuse: reuse the variables of `scope`.
      variables_collections: list of collections, or a dictionary per variable name.
      outputs_collections: collections for the output.
      trainable: make beta and gamma trainable.
      batch_weights: [batch] frequency weight of each example.
      fused: use the fused kernel where it can be used; None means True.
      data_format: NHWC or NCHW.
      zero_debias_moving_mean: correct the moving mean for its start at zero.
      scope: variable scope; default "BatchNorm".
      renorm: batch renormalization (Ioffe 2017).
      renorm_clipping: bounds "rmax", "rmin", "dmax" of the renorm correction.
      renorm_decay: decay of the renorm averages.
      adjustment: function of the dynamic input shape that returns a (scale, bias)
          applied to the normalized values in training.

    Returns:
      Tensor of the shape of `inputs`.

    Raises:
      ValueError: bad `data_format`, unknown rank or channels, `is_training` None
          in the fused and moments forms, or
          `renorm` with an option it does not go with.
      TypeError: `is_training` is no boolean (core form).
    """
    fused = True if fused is None else fused
    inputs = tf.convert_to_tensor(inputs)
    rank = inputs.shape.rank
    utils.check_image_format(data_format)
    settings = Settings(
        decay=decay,
        center=center,
        scale=scale,
        epsilon=epsilon,
        initializers=param_initializers or {},
        regularizers=param_regularizers or {},
        updates_collections=updates_collections,
        is_training=is_training,
        variables_collections=variables_collections,
        trainable=trainable,
        data_format=data_format,
        zero_debias=zero_debias_moving_mean,
    )
    own_updates = updates_collections != tf.GraphKeys.UPDATE_OPS or zero_debias_moving_mean
    can_fuse = fused and batch_weights is None and not renorm and adjustment is None
    if can_fuse and (rank == 2 or (rank == 4 and own_updates)):
        with tf.variable_scope(scope, "BatchNorm", [inputs], reuse=reuse) as sc:
            outputs = fused_batch_norm(inputs, settings)
            return _finish(outputs, activation_fn, outputs_collections, sc.name)
    with layer_scope(scope, "BatchNorm", inputs, reuse) as sc:
        if batch_weights is None and not own_updates:
            outputs = core_batch_norm(
                inputs,
                replace(settings, is_training=utils.training_phase(is_training)),
                fused=can_fuse and rank == 4,
                renorm=renorm,
                renorm_clipping=renorm_clipping or {},
                renorm_decay=renorm_decay,
                adjustment=adjustment,
            )
        elif renorm:
            raise ValueError(
                "renorm is not supported with batch_weights, updates_collections "
                "or zero_debias_moving_mean"
            )
        else:
            outputs = moments_batch_norm(inputs, settings, batch_weights)
        return _finish(outputs, activation_fn, outputs_collections, sc.name)


def _finish(outputs: Any, activation_fn: Any, outputs_collections: Any, alias: str) -> Any:
    if activation_fn is not None:
        outputs = activation_fn(outputs)
    return utils.collect_named_outputs(outputs_collections, alias, outputs)
