"""Variable scopes of layers: every variable made inside is a model variable.

slim's layers stand on `tf.layers`, whose variables are called `kernel` and `bias`;
slim renames them to `weights` and `biases`. The regularization losses keep the
`tf.layers` name (`Conv/kernel/Regularizer/...`), and so do they here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf
from bnlint.slim.utils import get_variable_collections
from bnlint.slim.variables import add_once, model_variable

_MODEL_VARIABLE_ARGUMENTS = frozenset(inspect.signature(model_variable).parameters)


def layer_scope(
    scope: Any,
    default_name: str,
    inputs: Any,
    reuse: Any = None,
    rename: dict[str, str] | None = None,
) -> Any:
    """A variable scope whose new variables are model variables, renamed by `rename`."""
    return tf.variable_scope(
        scope, default_name, [inputs], reuse=reuse, custom_getter=_model_variable_getter(rename)
    )


def layer_variable(
    name: str,
    shape: Any,
    dtype: Any,
    initializer: Any,
    regularizer: Any,
    trainable: bool,
    variables_collections: Any,
    collections_key: str,
) -> Any:
    """The variable `name` of the current `layer_scope`, in its collections.

    Its penalty goes to REGULARIZATION_LOSSES when the variable is new.
    """
    known = {id(var) for var in tf.global_variables()}
    var = tf.get_variable(name, shape, dtype, initializer, trainable=trainable)
    if regularizer is not None and id(var) not in known:
        with tf.name_scope(f"{name}/Regularizer"):
            loss = regularizer(var)
        if loss is not None:
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, loss)
    for collection in get_variable_collections(variables_collections, collections_key) or ():
        add_once(collection, var)
    return var


def without_partitioner() -> Any:
    """The current variable scope without partitioner: moving averages cannot be split."""
    scope = tf.variable_scope(tf.get_variable_scope(), auxiliary_name_scope=False)
    return _Unpartitioned(scope)


class _Unpartitioned:
    def __init__(self, scope: Any) -> None:
        self._scope = scope

    def __enter__(self) -> Any:
        entered = self._scope.__enter__()
        entered.set_partitioner(None)
        return entered

    def __exit__(self, *error: Any) -> Any:
        return self._scope.__exit__(*error)


def _model_variable_getter(rename: dict[str, str] | None) -> Callable[..., Any]:
    # TensorFlow passes the next getter of the chain by the name `getter`.
    def rename_and_create(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        head, slash, last = name.rpartition("/")
        name = head + slash + (rename or {}).get(last, last)
        kept = {key: value for key, value in kwargs.items() if key in _MODEL_VARIABLE_ARGUMENTS}
        return model_variable(name, *args, **kept, custom_getter=getter)

    return rename_and_create
