"""Variable scopes of layers: every variable made inside is a model variable.

slim's layers stand on `tf.layers`, whose variables are called `kernel` and `bias`;
slim renames them to `weights` and `biases`. The regularization losses keep the
`tf.layers` name (`Conv/kernel/Regularizer/...`), and so do they here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bnlint.slim._tf import tf
from bnlint.slim.utils import get_variable_collections
from bnlint.slim.variables import add_once, model_variable

_MODEL_VARIABLE_ARGUMENTS = frozenset(inspect.signature(model_variable).parameters)


@contextmanager
def layer_scope(
    scope: Any,
    default_name: str,
    inputs: Any,
    reuse: Any = None,
    rename: dict[str, str] | None = None,
) -> Iterator[Any]:
    """A variable scope whose new variables are model variables, renamed by `rename`."""
    getter = _model_variable_getter(rename)
    with tf.variable_scope(scope, default_name, [inputs], reuse=reuse, custom_getter=getter) as sc:
        # slim enters the scope twice, which takes its name inside it: what is called so
        # there, as `batchnorm` in `BatchNorm`, gets a number.
        with tf.variable_scope(sc):
            pass
        yield sc


def layer_variable(
    name: str,
    shape: Any,
    dtype: Any,
    initializer: Any,
    regularizer: Any,
    trainable: bool,
    variables_collections: Any = None,
    collections_key: str = "",
) -> Any:
    """The variable `name` of the current `layer_scope`, in its collections.

    Its penalty (one per part of a partitioned variable) goes to REGULARIZATION_LOSSES
    when the variable is new.
    """
    known = {id(var) for var in tf.global_variables()}
    var = tf.get_variable(name, shape, dtype, initializer, trainable=trainable)
    for part in _parts(var):
        if regularizer is not None and id(part) not in known:
            with tf.name_scope(f"{name}/Regularizer"):
                loss = regularizer(part)
            if loss is not None:
                tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, loss)
    add_to_collections(var, variables_collections, collections_key)
    return var


def add_to_collections(var: Any, variables_collections: Any, key: str) -> None:
    """Adds `var` (its parts) to the collections that `variables_collections` has for `key`."""
    for collection in get_variable_collections(variables_collections, key) or ():
        for part in _parts(var):
            add_once(collection, part)


def _parts(var: Any) -> list[Any]:
    """The parts of a partitioned variable; else the variable itself."""
    return list(var) if hasattr(var, "as_tensor") else [var]


@contextmanager
def without_partitioner() -> Iterator[None]:
    """The current variable scope without partitioner: moving averages cannot be split."""
    with tf.variable_scope(tf.get_variable_scope(), auxiliary_name_scope=False) as scope:
        scope.set_partitioner(None)
        yield


def _model_variable_getter(rename: dict[str, str] | None) -> Callable[..., Any]:
    # TensorFlow passes the next getter of the chain by the name `getter`.
    def rename_and_create(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        head, slash, last = name.rpartition("/")
        name = head + slash + (rename or {}).get(last, last)
        kept = {key: value for key, value in kwargs.items() if key in _MODEL_VARIABLE_ARGUMENTS}
        return model_variable(name, *args, **kept, custom_getter=getter)

    return rename_and_create
