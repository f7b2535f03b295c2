"""Helpers shared by the layers: collections, aliases, static and dynamic conditions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf

CHANNELS_FIRST = "NCHW"
CHANNELS_LAST = "NHWC"


def check_image_format(data_format: str) -> None:
    """Raises ValueError unless `data_format` is NHWC or NCHW."""
    if data_format not in (CHANNELS_FIRST, CHANNELS_LAST):
        raise ValueError("data_format has to be either NCHW or NHWC.")


def collect_named_outputs(collections: Any, alias: str, outputs: Any) -> Any:
    """Adds `outputs` under the name `alias` to `collections` (if any); returns it."""
    if collections:
        append_tensor_alias(outputs, alias)
        tf.add_to_collections(collections, outputs)
    return outputs


def append_tensor_alias(tensor: Any, alias: str) -> Any:
    """Appends `alias` (without a trailing slash) to the aliases of `tensor`."""
    tensor.aliases = [*getattr(tensor, "aliases", []), alias.removesuffix("/")]
    return tensor


def get_tensor_aliases(tensor: Any) -> list[str]:
    """Aliases of `tensor`; its own name when it has none."""
    if hasattr(tensor, "aliases"):
        return list(tensor.aliases)
    return [tensor.op.name if tensor.name.endswith(":0") else tensor.name]


def gather_tensors_aliases(tensors: list[Any]) -> list[str]:
    """Aliases of all `tensors`, in order."""
    return [alias for tensor in tensors for alias in get_tensor_aliases(tensor)]


def convert_collection_to_dict(collection: Any, clear_collection: bool = False) -> Any:
    """An ordered dictionary {alias: tensor} of a collection, e.g. of end points."""
    named = OrderedDict(
        (alias, tensor)
        for tensor in tf.get_collection(collection)
        for alias in get_tensor_aliases(tensor)
    )
    if clear_collection:
        tf.get_default_graph().clear_collection(collection)
    return named


def get_variable_collections(variables_collections: Any, name: str) -> Any:
    """Collections for the variable `name`: one list for all, or a dict per name."""
    if isinstance(variables_collections, dict):
        return variables_collections.get(name)
    return variables_collections


def constant_value(value: Any) -> Any:
    """The Python value behind `value`; None when only a session run can tell.

    Raises:
      ValueError: `value` is None.
    """
    if value is None:
        raise ValueError("value_or_tensor_or_var cannot be None")
    if isinstance(value, tf.Variable):
        return None
    if tf.is_tensor(value):
        return tf.get_static_value(value)
    return value


def constant_bool(value: Any) -> bool | None:
    """As `constant_value`, but only for booleans, as the core layers take them.

    Raises:
      TypeError: neither a tensor, a variable, a bool, 0 nor 1.
    """
    if isinstance(value, tf.Variable):
        return None
    if tf.is_tensor(value):
        value = tf.get_static_value(value)
        return None if value is None else bool(value)
    if value in (0, 1):
        return bool(value)
    raise TypeError(
        f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: {type(value)}"
    )


def smart_cond(pred: Any, fn1: Callable[[], Any], fn2: Callable[[], Any]) -> Any:
    """`fn1()` or `fn2()` chosen while building when `pred` is known, else `tf.cond`."""
    value = constant_value(pred)
    if value is None:
        return tf.cond(pred, fn1, fn2)
    return fn1() if value else fn2()


def last_dimension(shape: Any, min_rank: int = 1) -> int:
    """Size of the last dimension.

    Raises:
      ValueError: unknown rank, rank below `min_rank`, or unknown last dimension.
    """
    return known_dimension(shape, -1, min_rank)


def known_dimension(shape: Any, index: int, min_rank: int = 1) -> int:
    """Size of dimension `index` of `shape`; ValueError when it is not known."""
    if shape.rank is None:
        raise ValueError("dims of shape must be known but is None")
    if shape.rank < min_rank:
        raise ValueError(f"rank of shape must be at least {min_rank} not: {shape.rank}")
    size = tf.dimension_value(shape[index])
    if size is None:
        raise ValueError(f"dimension {index} of shape must be known but is None: {shape}")
    return size


def n_integers(value: Any, count: int, name: str) -> tuple[int, ...]:
    """`value` repeated `count` times, or as it is when it already has `count` items.

    Raises:
      ValueError: anything but an integer or `count` integers.
    """
    if isinstance(value, int):
        return (value,) * count
    message = f"The `{name}` argument must be a tuple of {count} integers. Received: {value}"
    try:
        items = tuple(value)
    except TypeError:
        raise ValueError(message) from None
    if len(items) != count:
        raise ValueError(message)
    for item in items:
        try:
            int(item)
        except (TypeError, ValueError):
            raise ValueError(f"{message} including element {item} of type {type(item)}") from None
    return tuple(int(item) for item in items)


def two_element_tuple(value: Any) -> tuple[int, ...]:
    """An integer twice, or the two integers of a list, tuple or shape.

    Raises:
      ValueError: anything else.
    """
    if isinstance(value, int):
        return value, value
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise ValueError(f"Must be a list with 2 elements: {value}")
        return int(value[0]), int(value[1])
    if isinstance(value, tf.TensorShape) and value.rank == 2:
        return tuple(value.as_list())
    raise ValueError("Must be an int, a list with 2 elements or a TensorShape of length 2")


def checked_padding(padding: str) -> str:
    """`padding` in upper case; ValueError unless it is SAME or VALID."""
    lower = padding.lower()
    if lower not in ("same", "valid"):
        raise ValueError(
            'The `padding` argument must be a list/tuple or one of "valid", "same" '
            f'(or "causal", only for `Conv1D). Received: {lower}'
        )
    return lower.upper()


def check_rank(inputs: Any, layer: str, rank: int | None = None, min_rank: int = 0) -> None:
    """Raises ValueError unless the rank of `inputs` is known and is `rank` or not below."""
    start = f"Input 0 of layer {layer} is incompatible with the layer: "
    found = inputs.shape.rank
    if found is None:
        raise ValueError(start + "its rank is undefined, but the layer requires a defined rank.")
    received = f"found ndim={found}. Full shape received: {inputs.shape.as_list()}"
    if rank is not None and found != rank:
        raise ValueError(f"{start}expected ndim={rank}, {received}")
    if found < min_rank:
        raise ValueError(f"{start}: expected min_ndim={min_rank}, {received}")


def training_phase(is_training: Any) -> Any:
    """`is_training`; for None the graph's one placeholder `keras_learning_phase`, default False.

    So do the layers of TensorFlow 1 that slim's dropout and core batch norm stand on:
    None means evaluation unless the placeholder is fed.
    """
    if is_training is not None:
        return is_training
    try:
        return tf.get_default_graph().get_tensor_by_name("keras_learning_phase:0")
    except KeyError:
        with tf.name_scope(""), tf.control_dependencies(None):
            return tf.placeholder_with_default(False, [], name="keras_learning_phase")
