"""Assigning variables from values or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf
from bnlint.slim.variables import get_variable_full_name

Feed = dict[Any, Any]


def assign_from_values(var_names_to_values: dict[str, Any]) -> tuple[Any, Feed]:
    """An op and the feed that set the named global variables to NumPy arrays.

    Raises:
      ValueError: a name matches no variable, or more than one.
    """
    pairs = [(_variable_called(name), value) for name, value in var_names_to_values.items()]
    return _assign_op([(var, value.reshape(var.shape)) for var, value in pairs])


def assign_from_values_fn(var_names_to_values: dict[str, Any]) -> Callable[[Any], Any]:
    """As `assign_from_values`, as a function of the session (an `init_fn`)."""
    assign_op, feed = assign_from_values(var_names_to_values)
    return lambda session: session.run(assign_op, feed)


def assign_from_checkpoint(
    model_path: str, var_list: Any, ignore_missing_vars: bool = False
) -> tuple[Any, Feed]:
    """An op and the feed that set variables to their values in a checkpoint.

    Args:
      model_path: checkpoint, as `tf.train.latest_checkpoint` names it.
      var_list: variables, or {name in the checkpoint: variable or list of variables}.
      ignore_missing_vars: warn about a variable missing in the checkpoint and go on.

    Raises:
      ValueError: a variable is missing or has another shape in the checkpoint.
    """
    reader = tf.train.load_checkpoint(model_path)
    pairs = []
    for name, group in _grouped(var_list).items():
        if not reader.has_tensor(name):
            message = f"Checkpoint is missing variable [{name}]"
            if not ignore_missing_vars:
                raise ValueError(message)
            tf.logging.warning(message)
            continue
        value = reader.get_tensor(name)
        pairs += [(var, _slice_of(name, value, var)) for var in group]
    return _assign_op(pairs)


def assign_from_checkpoint_fn(
    model_path: str,
    var_list: Any,
    ignore_missing_vars: bool = False,
    reshape_variables: bool = False,
) -> Callable[[Any], None] | None:
    """A function of the session that restores `var_list`; None when nothing is left of it.

    Args:
      model_path: checkpoint, as `tf.train.latest_checkpoint` names it.
      var_list: variables, or {name in the checkpoint: variable}.
      ignore_missing_vars: warn about a variable missing in the checkpoint and go on.
      reshape_variables: restore also when only the number of elements agrees.

    Raises:
      ValueError: `var_list` is empty.
    """
    if not var_list:
        raise ValueError("var_list cannot be empty")
    if ignore_missing_vars:
        var_list = _available(model_path, var_list)
    if not var_list:
        tf.logging.warning("No Variables to restore")
        return None
    saver = tf.train.Saver(var_list, reshape=reshape_variables)
    return lambda session: saver.restore(session, model_path)


def _variable_called(name: str) -> Any:
    """The global variable `name`, or the only one whose name starts so."""
    candidates = tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, name)
    if not candidates:
        raise ValueError(f"Variable {name} wasn't found")
    exact = [var for var in candidates if var.op.name == name]
    if len(candidates) > 1 and not exact:
        raise ValueError(f"Variable {name} doesn't uniquely identify a variable")
    return (exact or candidates)[0]


def _available(model_path: str, var_list: Any) -> dict[str, Any]:
    if not isinstance(var_list, dict):
        var_list = {var.op.name: var for var in var_list}
    reader = tf.train.load_checkpoint(model_path)
    for name in var_list:
        if not reader.has_tensor(name):
            tf.logging.warning("Variable %s missing in checkpoint %s", name, model_path)
    return {name: var for name, var in var_list.items() if reader.has_tensor(name)}


def _grouped(var_list: Any) -> dict[str, list[Any]]:
    if isinstance(var_list, dict):
        return {
            name: list(value) if isinstance(value, (tuple, list)) else [value]
            for name, value in var_list.items()
        }
    groups: dict[str, list[Any]] = {}
    for var in var_list:
        groups.setdefault(get_variable_full_name(var), []).append(var)
    return groups


def _slice_of(name: str, value: Any, var: Any) -> Any:
    info = var._get_save_slice_info()
    if info:
        bounds = zip(info.var_offset, info.var_shape, strict=True)
        return value[tuple(slice(start, start + size) for start, size in bounds)]
    if tuple(var.shape) != value.shape:
        raise ValueError(
            f"Total size of new array must be unchanged for {name} "
            f"lh_shape: [{value.shape}], rh_shape: [{var.shape}]"
        )
    return value


def _assign_op(pairs: list[tuple[Any, Any]]) -> tuple[Any, Feed]:
    feed: Feed = {}
    assigns = []
    for var, value in pairs:
        # A placeholder keeps the value out of the graph, whose size is limited.
        name = "placeholder/" + var.op.name
        placeholder = tf.placeholder(var.dtype.base_dtype, var.shape, name=name)
        assigns.append(var.assign(placeholder))
        feed[placeholder] = value
    return tf.group(*assigns), feed
