"""Model variables: creating, listing and assigning them (`tf.contrib.framework`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf
from bnlint.slim.arg_scopes import add_arg_scope

create_global_step = tf.train.create_global_step
get_global_step = tf.train.get_global_step
get_or_create_global_step = tf.train.get_or_create_global_step
assert_global_step = tf.train.assert_global_step


def assert_or_get_global_step(graph: Any = None, global_step_tensor: Any = None) -> Any:
    """`global_step_tensor` after checking it; the graph's own (or None) when not given."""
    if global_step_tensor is None:
        return get_global_step(graph)
    assert_global_step(global_step_tensor)
    return global_step_tensor


def local_variable(
    initial_value: Any,
    validate_shape: bool = True,
    name: str | None = None,
    use_resource: bool | None = None,
) -> Any:
    """A new untrainable variable in LOCAL_VARIABLES.

    Args:
      initial_value: tensor or array; gives shape and type.
      validate_shape: refuse a value of unknown shape.
      name: name of the variable.
      use_resource: kind of the variable; None for the default in force.
    """
    return _untrainable(
        initial_value, validate_shape, name, use_resource, tf.GraphKeys.LOCAL_VARIABLES
    )


def global_variable(
    initial_value: Any,
    validate_shape: bool = True,
    name: str | None = None,
    use_resource: bool | None = None,
) -> Any:
    """A new untrainable variable in GLOBAL_VARIABLES; arguments as in `local_variable`."""
    return _untrainable(
        initial_value, validate_shape, name, use_resource, tf.GraphKeys.GLOBAL_VARIABLES
    )


def _untrainable(
    initial_value: Any, validate_shape: bool, name: str | None, use_resource: Any, key: str
) -> Any:
    return tf.Variable(
        initial_value,
        trainable=False,
        collections=[key],
        validate_shape=validate_shape,
        use_resource=use_resource,
        name=name,
    )


@add_arg_scope
def variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Any = None,
    caching_device: Any = None,
    device: Any = None,
    partitioner: Any = None,
    custom_getter: Callable[..., Any] | None = None,
    use_resource: bool | None = None,
    synchronization: Any = tf.VariableSynchronization.AUTO,
    aggregation: Any = tf.VariableAggregation.NONE,
) -> Any:
    """The variable `name` of the current variable scope, created if need be.

    As `tf.get_variable`; `collections` defaults to GLOBAL_VARIABLES, duplicates are
    dropped, and `device` places the variable.
    """
    if collections is None:
        collections = [tf.GraphKeys.GLOBAL_VARIABLES]
    getter = tf.get_variable
    if custom_getter is not None:
        getter = functools.partial(custom_getter, reuse=tf.get_variable_scope().reuse)
    with tf.device(device or ""):
        return getter(
            name,
            shape=shape,
            dtype=dtype,
            initializer=initializer,
            regularizer=_adding_penalty(regularizer or tf.get_variable_scope().regularizer),
            trainable=trainable,
            collections=list(dict.fromkeys(collections)),
            caching_device=caching_device,
            partitioner=partitioner,
            use_resource=use_resource,
            synchronization=synchronization,
            aggregation=aggregation,
        )


def _adding_penalty(regularizer: Any) -> Any:
    """`regularizer` as TensorFlow 1 called it: once per new variable, for a tensor.

    TensorFlow 2 would put a lazy object without name into REGULARIZATION_LOSSES.
    """
    if regularizer is None:
        return None

    def add_penalty(var: Any) -> None:
        with tf.name_scope(var.op.name + "/Regularizer/"):
            loss = regularizer(var)
        if loss is not None:
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, loss)

    return add_penalty


@add_arg_scope
def model_variable(
    name: str,
    shape: Any = None,
    dtype: Any = tf.float32,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Any = None,
    caching_device: Any = None,
    device: Any = None,
    partitioner: Any = None,
    custom_getter: Callable[..., Any] | None = None,
    use_resource: bool | None = None,
    synchronization: Any = tf.VariableSynchronization.AUTO,
    aggregation: Any = tf.VariableAggregation.NONE,
) -> Any:
    """As `variable`, and always also in GLOBAL_VARIABLES and MODEL_VARIABLES."""
    keys = [tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES]
    return variable(
        name,
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=[*(collections or []), *keys],
        caching_device=caching_device,
        device=device,
        partitioner=partitioner,
        custom_getter=custom_getter,
        use_resource=use_resource,
        synchronization=synchronization,
        aggregation=aggregation,
    )


def add_model_variable(var: Any) -> None:
    """Adds `var` to MODEL_VARIABLES unless it is there."""
    add_once(tf.GraphKeys.MODEL_VARIABLES, var)


def add_once(collection: Any, item: Any) -> None:
    """Adds `item` to `collection` unless that very object is there."""
    if not any(member is item for member in tf.get_collection(collection)):
        tf.add_to_collection(collection, item)


def get_variables(
    scope: Any = None, suffix: str | None = None, collection: Any = tf.GraphKeys.GLOBAL_VARIABLES
) -> list[Any]:
    """Variables of `collection` whose name starts with `scope` and ends with `suffix`."""
    if isinstance(scope, tf.VariableScope):
        scope = scope.name
    if suffix is not None:
        suffix = suffix if ":" in suffix else suffix + ":"
        scope = (scope or "") + ".*" + suffix
    return tf.get_collection(collection, scope)


def get_model_variables(scope: Any = None, suffix: str | None = None) -> list[Any]:
    """As `get_variables`, of MODEL_VARIABLES."""
    return get_variables(scope, suffix, tf.GraphKeys.MODEL_VARIABLES)


def get_local_variables(scope: Any = None, suffix: str | None = None) -> list[Any]:
    """As `get_variables`, of LOCAL_VARIABLES."""
    return get_variables(scope, suffix, tf.GraphKeys.LOCAL_VARIABLES)


def get_trainable_variables(scope: Any = None, suffix: str | None = None) -> list[Any]:
    """As `get_variables`, of TRAINABLE_VARIABLES."""
    return get_variables(scope, suffix, tf.GraphKeys.TRAINABLE_VARIABLES)


def get_variables_by_suffix(suffix: str, scope: Any = None) -> list[Any]:
    """Global variables whose name ends with `suffix`."""
    return get_variables(scope=scope, suffix=suffix)


def get_variables_by_name(given_name: str, scope: Any = None) -> list[Any]:
    """Global variables whose last name component is `given_name`."""
    return get_variables(scope=scope, suffix=f"/{given_name}:|^{given_name}:")


def get_unique_variable(var_op_name: str) -> Any:
    """The one global variable called `var_op_name`; ValueError when there is none."""
    candidates = get_variables(scope=var_op_name)
    if not candidates:
        raise ValueError(f"Couldn't find variable {var_op_name}")
    for candidate in candidates:
        if candidate.op.name == var_op_name:
            return candidate
    raise ValueError(f"Variable {var_op_name} does not uniquely identify a variable")


def get_variable_full_name(var: Any) -> str:
    """Name of `var` in a checkpoint; slices of one variable share it."""
    slice_info = var._get_save_slice_info()
    return slice_info.full_name if slice_info else var.op.name


def get_variables_to_restore(include: Any = None, exclude: Any = None) -> list[Any]:
    """Global variables in the scopes `include` (default: all), less those in `exclude`.

    Raises:
      TypeError: `include` or `exclude` is neither a list nor a tuple.
    """
    for name, scopes in (("include", include), ("exclude", exclude)):
        if scopes is not None and not isinstance(scopes, (list, tuple)):
            raise TypeError(f"{name} is provided but is not a list or a tuple.")
    included = [
        var for scope in ([None] if include is None else include) for var in get_variables(scope)
    ]
    excluded = {id(var) for scope in exclude or () for var in get_variables(scope)}
    return [var for var in included if id(var) not in excluded]


def filter_variables(
    var_list: list[Any],
    include_patterns: list[str] | None = None,
    exclude_patterns: list[str] | None = None,
    reg_search: bool = True,
) -> list[Any]:
    """Variables whose name matches an include and no exclude pattern.

    Names are as `net/weights:0`, patterns are regular expressions.
    `reg_search` looks anywhere in the name; else the pattern must match from its start.
    """
    import re

    matches = re.search if reg_search else re.match

    def any_match(patterns: list[str], var: Any) -> bool:
        return any(matches(pattern, var.name) for pattern in patterns)

    kept = [var for var in var_list if include_patterns is None or any_match(include_patterns, var)]
    return [var for var in kept if not any_match(exclude_patterns or [], var)]
